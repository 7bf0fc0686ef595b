"""Filters of listeners, connections and requests, in Envoy's words; their order is data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.filters.http.dynamic_forward_proxy.v3 import dynamic_forward_proxy_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.request_id.uuid.v3 import uuid_pb2
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message

from weft.ir import listener as ir
from weft.translate import metrics
from weft.translate.basics import over_ads, packed, timeout
from weft.translate.cluster import dns_cache

HCM = http_connection_manager_pb2.HttpConnectionManager

_PLAIN_REQUEST_ID = uuid_pb2.UuidRequestIdConfig(
    pack_trace_reason=wrappers_pb2.BoolValue(value=False)
)

HTTP_FILTER_ORDER = (
    "envoy.filters.http.dynamic_forward_proxy",  # before the router, which needs the address
    "envoy.filters.http.router",  # last: it ends the chain
)
LISTENER_FILTER_ORDER = (
    "envoy.filters.listener.original_dst",  # first: the next asks for the original port
    "envoy.filters.listener.tls_inspector",
)


def _in_order(filters: Mapping[str, Any], order: tuple[str, ...]) -> list[tuple[str, Any]]:
    return sorted(filters.items(), key=lambda item: order.index(item[0]))


def network_filter(action: ir.Http | ir.Tcp) -> Any:
    if isinstance(action, ir.Http):
        name, config = "envoy.filters.network.http_connection_manager", http(action)
    else:
        name, config = "envoy.filters.network.tcp_proxy", tcp(action)
    return listener_components_pb2.Filter(name=name, typed_config=packed(config))


def http(value: ir.Http) -> Any:
    message = HCM(
        stat_prefix=value.stat_prefix,
        rds=http_connection_manager_pb2.Rds(
            route_config_name=value.route_configuration, config_source=over_ads()
        ),
        http_filters=[
            http_connection_manager_pb2.HttpFilter(name=name, typed_config=packed(config))
            for name, config in _in_order(http_filters(value), HTTP_FILTER_ORDER)
        ],
        # What the workload says of itself reaches the client.
        server_header_transformation=HCM.PASS_THROUGH,
        # Where nothing is traced nobody reads the ids, and making them costs.
        generate_request_id=wrappers_pb2.BoolValue(value=value.traced),
        normalize_path=wrappers_pb2.BoolValue(value=True),
        merge_slashes=True,
        path_with_escaped_slashes_action=HCM.KEEP_UNCHANGED,
        stream_idle_timeout=timeout(value.idle_timeout),
        access_log=[*access_log(value.access_log), *metrics.of_requests(value.metrics)],
    )
    if value.traced:
        message.tracing.SetInParent()
        if not value.decision_in_request_id:
            message.request_id_extension.typed_config.CopyFrom(packed(_PLAIN_REQUEST_ID))
    for upgrade, served in (("websocket", value.websockets), ("CONNECT", value.tunnels)):
        if served:
            message.upgrade_configs.add(
                upgrade_type=upgrade, enabled=wrappers_pb2.BoolValue(value=True)
            )
    return message


def http_filters(value: ir.Http) -> dict[str, Message]:
    filters: dict[str, Message] = {
        "envoy.filters.http.router": router_pb2.Router(
            upstream_log=metrics.of_attempts(value.metrics)
        )
    }
    if value.forward_proxy is not None:
        filters["envoy.filters.http.dynamic_forward_proxy"] = (
            dynamic_forward_proxy_pb2.FilterConfig(dns_cache_config=dns_cache(value.forward_proxy))
        )
    return filters


def tcp(value: ir.Tcp) -> Any:
    message = tcp_proxy_pb2.TcpProxy(
        stat_prefix=value.stat_prefix,
        idle_timeout=timeout(value.idle_timeout),
        access_log=[
            *access_log(value.access_log),
            *metrics.of_connections(value.metrics, value.service),
        ],
    )
    # Unlike a route, a TCP proxy takes no weight of zero.
    targets = [target for target in value.targets if target.weight]
    if len(targets) == 1:
        message.cluster = targets[0].cluster
    for target in targets if len(targets) > 1 else ():
        message.weighted_clusters.clusters.add(name=target.cluster, weight=target.weight)
    return message


def listener_filters(value: ir.Listener) -> list[Any]:
    filters: dict[str, Any] = {}
    if value.redirected:
        filters["envoy.filters.listener.original_dst"] = original_dst_pb2.OriginalDst()
    if value.server_name_ports:
        filters["envoy.filters.listener.tls_inspector"] = tls_inspector_pb2.TlsInspector()
    made = []
    for name, config in _in_order(filters, LISTENER_FILTER_ORDER):
        message = listener_components_pb2.ListenerFilter(name=name, typed_config=packed(config))
        if name == "envoy.filters.listener.tls_inspector":
            message.filter_disabled.not_match.CopyFrom(_any_port(value.server_name_ports))
        made.append(message)
    return made


def _any_port(ports: tuple[int, ...]) -> Any:
    """Connections that were made to one of these ports."""
    matches = [listener_components_pb2.ListenerFilterChainMatchPredicate() for _ in ports]
    for match, port in zip(matches, ports, strict=True):
        match.destination_port_range.start = port
        match.destination_port_range.end = port + 1
    if len(matches) == 1:
        return matches[0]
    either = listener_components_pb2.ListenerFilterChainMatchPredicate()
    either.or_match.rules.extend(matches)
    return either


def access_log(value: ir.AccessLog | None) -> list[Any]:
    if value is None:
        return []
    config = file_pb2.FileAccessLog(path=value.path)
    match value.format:
        case ir.TextFormat(text):
            config.log_format.text_format_source.inline_string = text
        case ir.JsonFormat(members):
            config.log_format.json_format.update(dict(members))
        case None:
            pass  # Envoy's own format
    return [accesslog_pb2.AccessLog(name="envoy.access_loggers.file", typed_config=packed(config))]
