"""
App Mesh's own metrics: what the Wasm filter of AWS's image counted, by Envoy's stats access logger.

Names and dimensions are those of the user guide ("App Mesh metrics"). Requests that leave
are counted once per attempt at a target, as the router logs them. Connections have no log
that says they began, so their two metrics are computed by the sidecar (decision 0031).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from google.protobuf import struct_pb2
from xds.type.v3 import typed_struct_pb2

from weft.ir.listener import Measure, Metrics
from weft.translate.basics import packed

Json = dict[str, Any]

AGGREGATE_STATS = "aws.appmesh.aggregate_stats"
"""The metadata in which App Mesh's filter found the dimensions."""

SERVICE, NODE = "TargetVirtualService", "TargetVirtualNode"

_STATS = "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config"
_NODE_OF_CLUSTER = "%METADATA(CLUSTER:weft:node)%"
_SERVICE_OF_ROUTE = "%METADATA(ROUTE:weft:service)%"
_LOWEST_STATUS, _HIGHEST_STATUS = 100, 599

_NOTHING_IF_EMPTY: Json = {
    "matcher_list": {
        "matchers": [
            {
                "predicate": {
                    "single_predicate": {
                        "input": {
                            "name": "value",
                            "typed_config": {
                                "@type": "type.googleapis.com/envoy.extensions.matching.common_inputs.stats.v3.StatTagValueInput"
                            },
                        },
                        "value_match": {"exact": ""},
                    }
                },
                "on_match": {
                    "action": {
                        "name": "drop",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.matching.actions.transform_stat.v3.TransformStat",
                            "drop_stat": {},
                        },
                    }
                },
            }
        ]
    }
}
"""What goes to no virtual node is not counted: App Mesh had no metrics of what passes through."""


def of_requests(value: Metrics | None) -> list[Any]:
    """What an HTTP connection manager logs: one entry per request of a caller."""
    if value is None or value.of is not Measure.CALLERS:
        return []
    tags = _tags(value.labels)
    return [
        _logger([_one("RequestCount", tags), *_bytes("ProcessedBytes", tags, "DOWNSTREAM")]),
        _logger([_one("GrpcRequestCount", tags)], only=_is_grpc()),
    ]


def of_attempts(value: Metrics | None) -> list[Any]:
    """What a router logs: one entry per attempt at a target."""
    if value is None or value.of is not Measure.TARGETS:
        return []
    tags = _tags(value.labels, _SERVICE_OF_ROUTE)
    return [
        _logger(
            [
                _one("RequestCountPerTarget", tags),
                *_bytes("TargetProcessedBytes", tags, "UPSTREAM"),
            ]
        ),
        _logger(
            [],
            [
                {
                    "stat": {"name": "TargetResponseTime", "tags": tags},
                    "unit": "Milliseconds",
                    "value_format": "%COMMON_DURATION(US_TX_END:US_RX_BEG:ms)%",
                }
            ],
            # Without a response there is no such time, and the logger would complain of it.
            only=_status(_LOWEST_STATUS, _HIGHEST_STATUS),
        ),
        *(
            _logger(
                [_one(f"HTTPCode_Target_{hundreds}XX_Count", tags)],
                only=_status(hundreds * 100, hundreds * 100 + 99),
            )
            for hundreds in (2, 3, 4, 5)
        ),
    ]


def of_connections(value: Metrics | None, service: str) -> list[Any]:
    """What a TCP proxy logs: one entry per connection, at its end."""
    if value is None:
        return []
    if value.of is Measure.CALLERS:
        return [_logger(_bytes("ProcessedBytes", _tags(value.labels), "DOWNSTREAM"))]
    return [_logger(_bytes("TargetProcessedBytes", _tags(value.labels, service), "UPSTREAM"))]


def label(message: Any, **dimensions: str) -> None:
    """Put dimensions into a message's metadata, in the form App Mesh's filter read."""
    tags = [{"key": key, "value": value} for key, value in dimensions.items()]
    config = json.dumps({"tags": tags}, separators=(",", ":"))
    message.filter_metadata[AGGREGATE_STATS].update({"config": config})


def _tags(labels: Iterable[tuple[str, str]], service: str = "") -> list[Json]:
    # Percent signs are Envoy's operators; a name of App Mesh's may hold one and means it.
    tags: list[Json] = [
        {"name": name, "value_format": value.replace("%", "%%")} for name, value in labels
    ]
    if service == _SERVICE_OF_ROUTE:
        tags += [
            {"name": SERVICE, "value_format": service},
            {"name": NODE, "value_format": _NODE_OF_CLUSTER, "rules": _NOTHING_IF_EMPTY},
        ]
    elif service:
        tags += [
            {"name": SERVICE, "value_format": service.replace("%", "%%")},
            {"name": NODE, "value_format": _NODE_OF_CLUSTER},
        ]
    return tags


def _one(name: str, tags: list[Json]) -> Json:
    return {"stat": {"name": name, "tags": tags}, "value_fixed": 1}


def _bytes(name: str, tags: list[Json], side: str) -> list[Json]:
    """Bytes on the wire, both ways, added up."""
    return [
        {
            "stat": {"name": name, "tags": tags},
            "value_format": f"%{side}_WIRE_BYTES_{direction}%",
        }
        for direction in ("SENT", "RECEIVED")
    ]


def _logger(counters: list[Json], histograms: Iterable[Json] = (), *, only: Any = None) -> Any:
    # No sharing_name, though it would keep counts over a change of the listener that nobody
    # uses meanwhile: Envoy 1.40 crashes of it when it only validates.
    config: Json = {"stats_scope": {"prefix": "appmesh"}}
    if counters:
        config["counters"] = counters
    if histograms:
        config["histograms"] = list(histograms)
    value = struct_pb2.Struct()
    value.update(config)
    # Envoy reads it with descriptors of its own; ours are older and lack stats_scope.
    typed = packed(typed_struct_pb2.TypedStruct(type_url=_STATS, value=value))
    return accesslog_pb2.AccessLog(
        name="envoy.access_loggers.stats", typed_config=typed, filter=only
    )


def _is_grpc() -> Any:
    found = accesslog_pb2.AccessLogFilter()
    found.header_filter.header.name = "content-type"
    found.header_filter.header.string_match.prefix = "application/grpc"
    return found


def _status(lowest: int, highest: int) -> Any:
    """Responses with a status in this range, both ends included."""
    operators = accesslog_pb2.ComparisonFilter
    found = accesslog_pb2.AccessLogFilter()
    for operator, bound in ((operators.GE, lowest), (operators.LE, highest)):
        comparison = found.and_filter.filters.add().status_code_filter.comparison
        comparison.op = operator
        comparison.value.default_value = bound
        # Envoy insists that the bound may be overridden under some name.
        comparison.value.runtime_key = "weft.metrics.status"
    return found
