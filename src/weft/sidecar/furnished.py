"""The bootstrap with all that App Mesh's variables ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.errors import BadRequest
from weft.sidecar.app_mesh import AppMesh
from weft.sidecar.documents import merged

Json = dict[str, Any]

METRIC_FILTER: Mapping[str, Json] = {"aws.appmesh.metric_filter": {"level": "1"}}


def furnished(base: Json, asked: AppMesh) -> tuple[Json, tuple[str, ...]]:
    """The whole bootstrap; and which generated members a file of the operator's has replaced."""
    if asked.whole is not None:
        # As it is; only without an admin interface we could not tell how it is doing.
        return {"admin": base["admin"], **asked.whole}, ()
    made = _node(base, asked)
    made = _admin(made, asked)
    made = _runtime(made, asked)
    made = _resources(made, asked)
    made = _statistics(made, asked)
    replaced: list[str] = []
    for document in asked.documents:
        made, names = merged(made, document)
        replaced += [f"{name} of the bootstrap is that of {document.path}" for name in names]
    return made, tuple(replaced)


def fixed_admin(asked: AppMesh) -> str:
    """Where Envoy's admin interface is whenever it is started; empty: at a socket of our own."""
    found = "" if asked.admin is None else asked.admin.reached_at
    for content in (*(each.content for each in asked.documents), asked.whole or {}):
        if "admin" in content:
            found = _reached_at(content["admin"])
    return found


def asks_for_listeners(asked: AppMesh) -> bool:
    """Whether listeners come from a control plane: not so with a bootstrap that has them all."""
    if asked.whole is None:
        return True
    resources = asked.whole.get("dynamic_resources", {})
    return "lds_config" in resources or "ldsConfig" in resources


def _reached_at(admin: Any) -> str:
    address = admin.get("address") if isinstance(admin, dict) else None
    if not isinstance(address, dict):
        raise BadRequest(
            "the admin interface of the given bootstrap has no address",
            fix="give it one, or leave admin out: the sidecar asks Envoy how it is doing",
        )
    if path := address.get("pipe", {}).get("path"):
        return str(path)
    socket = address.get("socket_address") or address.get("socketAddress") or {}
    host, port = socket.get("address", ""), socket.get("port_value") or socket.get("portValue")
    if not port:
        raise BadRequest(
            "the admin interface of the given bootstrap has no port that is known",
            fix="give a port, or leave admin out",
        )
    # Where it is bound to all addresses, the loopback one reaches it.
    return f"{'127.0.0.1' if host in ('0.0.0.0', '::', '') else host}:{port}"


def _node(base: Json, asked: AppMesh) -> Json:
    node = dict(base["node"])
    node["id"] = asked.node_id or node["id"]
    node["cluster"] = asked.node_cluster or node["id"]
    if asked.region:
        node["locality"] = {"region": asked.region}
    metadata = {**node["metadata"], **asked.platform}
    if asked.platform:
        layer = base["layered_runtime"]["layers"][0]["static_layer"]
        metadata["aws.appmesh.static_runtime"] = layer
    if asked.metrics:
        metadata |= METRIC_FILTER
    node["metadata"] = metadata
    return {**base, "node": node}


def _admin(base: Json, asked: AppMesh) -> Json:
    admin = dict(base["admin"])
    log = asked.admin_log
    if asked.admin is not None:
        admin["address"] = asked.admin.address
        log = asked.admin.log
    if log:
        admin["access_log"] = [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": log,
                },
            }
        ]
    return {**base, "admin": admin}


def _runtime(base: Json, asked: AppMesh) -> Json:
    if asked.requests_per_io_cycle is None:
        return base
    first, *others = base["layered_runtime"]["layers"]
    layer = {
        **first["static_layer"],
        "http.max_requests_per_io_cycle": asked.requests_per_io_cycle,
    }
    return {**base, "layered_runtime": {"layers": [{**first, "static_layer": layer}, *others]}}


def _resources(base: Json, asked: AppMesh) -> Json:
    made = dict(base)
    if asked.fetch_timeout_seconds:
        timeout = {"initial_fetch_timeout": f"{asked.fetch_timeout_seconds}s"}
        resources = dict(made["dynamic_resources"])
        for name in ("lds_config", "cds_config"):
            resources[name] = {**resources[name], **timeout}
        made["dynamic_resources"] = resources
    if asked.outlier_log:
        made["cluster_manager"] = {
            **made.get("cluster_manager", {}),
            "outlier_detection": {"event_log_path": asked.outlier_log},
        }
    if asked.tracer is not None:
        made["tracing"] = {"http": asked.tracer.http}
        if asked.tracer.cluster is not None:
            static = made["static_resources"]
            clusters = [*static["clusters"], asked.tracer.cluster]
            made["static_resources"] = {**static, "clusters": clusters}
    return made


def _statistics(base: Json, asked: AppMesh) -> Json:
    made = dict(base)
    if asked.stats_tags:
        made["stats_config"] = {**made["stats_config"], "stats_tags": list(asked.stats_tags)}
    if asked.statsd is not None:
        made["stats_sinks"] = [*made.get("stats_sinks", ()), asked.statsd.sink()]
    if asked.flush_interval:
        made["stats_flush_interval"] = asked.flush_interval
    return made
