"""
What a proxy says of itself when its stream opens: from the node of its first request to its view.

Our sidecar says everything in node metadata ``weft``. A proxy without it is a stock
image of App Mesh, whose agent says in metadata of its own what is switched on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from google.protobuf.json_format import MessageToDict

from weft.names import ProxyId, Tracing, View
from weft.xds.wire import Node

log = structlog.get_logger(__name__)

METRIC_FILTER = "aws.appmesh.metric_filter"
STATIC_RUNTIME = "aws.appmesh.static_runtime"
_SETS_DECISION = "envoy.reloadable_features.http_set_tracing_decision_in_request_id"
_METRICS_SINCE = (1, 40)
"""The first Envoy whose stats access logger takes what we say: scopes, gauges and rules."""


def view_of(node: Node, proxy: ProxyId) -> tuple[View, Mapping[str, Any]]:
    """The view of a proxy, and what else our sidecar says of it; BadRequest if it cannot be read."""
    fields = node.metadata.fields
    metadata = MessageToDict(fields["weft"].struct_value) if "weft" in fields else {}
    view = View.from_metadata(proxy, metadata)
    if not metadata:
        # AWS's agent does not say whether there is a tracer; without one this does nothing.
        view = replace(view, tracing=_tracing_of_image(fields))
    if METRIC_FILTER in fields:
        level = fields[METRIC_FILTER].struct_value.fields.get("level")
        view = replace(view, metrics=level is not None and level.string_value == "1")
    if view.metrics and not _counts(node):
        log.warning("this Envoy is too old for App Mesh's metrics", proxy=str(proxy))
        view = replace(view, metrics=False)
    return view, metadata


def _tracing_of_image(fields: Mapping[str, Any]) -> Tracing:
    if STATIC_RUNTIME in fields:
        said = fields[STATIC_RUNTIME].struct_value.fields.get(_SETS_DECISION)
        if said is not None and said.HasField("bool_value") and not said.bool_value:
            return Tracing.UNMARKED
    return Tracing.ON


def _counts(node: Node) -> bool:
    """Whether the Envoy has the logger that counts; an unknown one would refuse its listeners."""
    if not node.HasField("user_agent_build_version"):
        return False
    version = node.user_agent_build_version.version
    return (version.major_number, version.minor_number) >= _METRICS_SINCE
