"""Route configurations, in Envoy's words."""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from envoy.type.v3 import range_pb2
from google.protobuf import wrappers_pb2

from weft.ir import route as ir
from weft.translate.basics import metadata, packed, timeout
from weft.translate.memo import memoised
from weft.translate.metrics import label
from weft.translate.snapshot import Encoded, ResourceType

HOST_SELECTION_ATTEMPTS = 5
"""App Mesh's figure: how often a retry looks for a host that was not tried yet."""

_REFRESH_CLUSTER_ON_RETRY = bytes((14 << 3, 1))
"""``RetryPolicy.refresh_cluster_on_retry: true`` (Envoy 1.39), which xds-protos does not know yet."""

_OVERWRITE = base_pb2.HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD

_PREVIOUS_HOSTS = route_components_pb2.RetryPolicy.RetryHostPredicate(
    name="envoy.retry_host_predicates.previous_hosts",
    typed_config=packed(previous_hosts_pb2.PreviousHostsPredicate()),
)


@memoised
def encoded(value: ir.RouteConfiguration) -> Encoded:
    # Joined from finished bytes: a route that many call is serialised once for all of them.
    name = route_pb2.RouteConfiguration(name=value.name).SerializeToString(deterministic=True)
    hosts = [virtual_host(host) for host in value.virtual_hosts]
    return Encoded.of_content(value.name, ResourceType.ROUTE, b"".join([name, *hosts]))


@memoised
def virtual_host(value: ir.VirtualHost) -> bytes:
    """A virtual host as it stands in a serialised route configuration."""
    message = route_components_pb2.VirtualHost(
        name=value.name, domains=value.domains, routes=[route(r) for r in value.routes]
    )
    around = route_pb2.RouteConfiguration(virtual_hosts=[message])
    return bytes(around.SerializeToString(deterministic=True))


def route(value: ir.Route) -> Any:
    message = route_components_pb2.Route(name=value.name, match=match_of(value.match))
    match value.action:
        case ir.Forward():
            message.route.CopyFrom(forward(value.action))
        case ir.Tunnel():
            message.route.CopyFrom(tunnel(value.action))
        case ir.Respond(status, body):
            message.direct_response.status = status
            message.direct_response.body.CopyFrom(base_pb2.DataSource(inline_string=body))
    for name, text in value.set_headers:
        message.request_headers_to_add.add(
            header=base_pb2.HeaderValue(key=name, value=text), append_action=_OVERWRITE
        )
    message.request_headers_to_remove.extend(value.removed_headers)
    message.response_headers_to_remove.extend(value.kept_from_client)
    if value.service:
        message.metadata.CopyFrom(metadata(service=value.service, route=value.name))
        if value.labelled:
            label(message.metadata, TargetVirtualService=value.service)
    return message


def forward(value: ir.Forward) -> Any:
    message = route_components_pb2.RouteAction(
        timeout=timeout(value.timeout),
        idle_timeout=timeout(value.idle_timeout),
        retry_policy=None if value.retry is None else retry_policy(value.retry),
    )
    if value.rewrite.host:
        message.host_rewrite_literal = value.rewrite.host
    # Envoy's word for both: of an exact path or a pattern it replaces the whole.
    message.prefix_rewrite = value.rewrite.path
    _send_to(message, value.targets)
    return message


def tunnel(value: ir.Tunnel) -> Any:
    message = route_components_pb2.RouteAction(
        timeout=timeout(ir.Disabled()),  # A tunnel has no answer to wait for.
        idle_timeout=timeout(value.idle_timeout),
    )
    message.upgrade_configs.add(
        upgrade_type="CONNECT",
        connect_config=route_components_pb2.RouteAction.UpgradeConfig.ConnectConfig(),
    )
    _send_to(message, value.targets)
    return message


def _send_to(message: Any, targets: tuple[ir.Target, ...]) -> None:
    for target in targets:
        message.weighted_clusters.clusters.add(
            name=target.cluster, weight=wrappers_pb2.UInt32Value(value=target.weight)
        )


def retry_policy(value: ir.Retry) -> Any:
    message = route_components_pb2.RetryPolicy(
        retry_on=",".join(value.on),
        num_retries=wrappers_pb2.UInt32Value(value=value.limit),
        per_try_timeout=timeout(value.per_try),
        retry_host_predicate=[_PREVIOUS_HOSTS],
        host_selection_retry_max_attempts=HOST_SELECTION_ATTEMPTS,
        retriable_status_codes=value.status_codes,
    )
    if value.elsewhere:
        message.MergeFromString(_REFRESH_CLUSTER_ON_RETRY)
    return message


def match_of(value: ir.Match) -> Any:
    message = route_components_pb2.RouteMatch()
    match value:
        case ir.ConnectMatch(headers):
            message.connect_matcher.SetInParent()
            message.headers.extend(header_matcher(h) for h in headers)
        case ir.RequestMatch(path, headers, query, grpc):
            _match_path(message, path)
            message.headers.extend(header_matcher(h) for h in headers)
            message.query_parameters.extend(query_matcher(q) for q in query)
            if grpc:
                message.grpc.SetInParent()
    return message


def _match_path(message: Any, path: ir.PathMatch) -> None:
    match path:
        case ir.Exact(text):
            message.path = text
        case ir.Prefix(text):
            message.prefix = text
        case ir.Regex(pattern):
            message.safe_regex.CopyFrom(regex_pb2.RegexMatcher(regex=pattern))


def header_matcher(value: ir.HeaderMatch) -> Any:
    message = route_components_pb2.HeaderMatcher(name=value.name, invert_match=value.inverted)
    match value.match:
        case ir.Exact(text):
            message.string_match.exact = text
        case ir.Prefix(text):
            message.string_match.prefix = text
        case ir.Suffix(text):
            message.string_match.suffix = text
        case ir.Regex(pattern):
            message.string_match.safe_regex.regex = pattern
        case ir.Range(start, end):
            message.range_match.CopyFrom(range_pb2.Int64Range(start=start, end=end))
        case ir.Present():
            message.present_match = True
    return message


def query_matcher(value: ir.QueryMatch) -> Any:
    message = route_components_pb2.QueryParameterMatcher(name=value.name)
    match value.match:
        case ir.Exact(text):
            message.string_match.CopyFrom(string_pb2.StringMatcher(exact=text))
        case ir.Present():
            message.present_match = True
    return message
