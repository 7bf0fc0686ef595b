"""Clusters, in Envoy's words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import health_check_pb2, protocol_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.clusters.common.dns.v3 import dns_pb2
from envoy.extensions.clusters.dns.v3 import dns_cluster_pb2
from envoy.extensions.clusters.dynamic_forward_proxy.v3 import cluster_pb2 as forward_proxy_pb2
from envoy.extensions.common.dynamic_forward_proxy.v3 import dns_cache_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import http_pb2
from google.protobuf import wrappers_pb2

from weft.ir import cluster as ir
from weft.translate.basics import address, duration, metadata, over_ads, packed
from weft.translate.memo import memoised
from weft.translate.metrics import label
from weft.translate.snapshot import Encoded
from weft.translate.transport import client_side

UNLIMITED = 2**31 - 1
"""App Mesh's figure for a circuit breaker that never opens."""

DNS_REFRESH = timedelta(seconds=2)
"""How old a name's addresses may be, whatever their TTL; App Mesh left Envoy's own 5 s."""
DNS_RETRY = timedelta(milliseconds=500)
"""After a look-up that failed; doubled each time, up to the former."""

_FAMILIES = {
    ir.IpPreference.UNSET: cluster_pb2.Cluster.AUTO,
    ir.IpPreference.IPV6_PREFERRED: cluster_pb2.Cluster.AUTO,
    ir.IpPreference.IPV4_PREFERRED: cluster_pb2.Cluster.V4_PREFERRED,
    ir.IpPreference.IPV6_ONLY: cluster_pb2.Cluster.V6_ONLY,
    ir.IpPreference.IPV4_ONLY: cluster_pb2.Cluster.V4_ONLY,
    ir.IpPreference.EITHER: cluster_pb2.Cluster.ALL,
}

_LOOKED_UP = {
    ir.IpPreference.UNSET: dns_pb2.AUTO,
    ir.IpPreference.IPV6_PREFERRED: dns_pb2.AUTO,
    ir.IpPreference.IPV4_PREFERRED: dns_pb2.V4_PREFERRED,
    ir.IpPreference.IPV6_ONLY: dns_pb2.V6_ONLY,
    ir.IpPreference.IPV4_ONLY: dns_pb2.V4_ONLY,
    ir.IpPreference.EITHER: dns_pb2.ALL,
}
"""The same, in the words of the extension that looks names up."""

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@memoised
def encoded(value: ir.Cluster) -> Encoded:
    told = isinstance(value.discovery, ir.Assigned)
    return Encoded.of(value.name, cluster(value), told_endpoints=told)


def cluster(value: ir.Cluster) -> Any:
    message = cluster_pb2.Cluster(
        name=value.name,
        connect_timeout=duration(value.connect_timeout),
        circuit_breakers=circuit_breakers(value.breakers or ir.Breakers()),
        metadata=metadata(node=value.node) if value.node else None,
    )
    if value.labelled:
        label(message.metadata, TargetVirtualNode=value.node)
    _discover(message, value)
    if value.protocol is None or value.protocol.multiplexes:
        options = _http2() if value.protocol else _as_the_client()
        if isinstance(value.discovery, ir.NamedByRequest):
            # Nothing here speaks TLS itself, but Envoy insists on both for such clusters.
            options.upstream_http_protocol_options.auto_sni = True
            options.upstream_http_protocol_options.auto_san_validation = True
        message.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
    if value.outliers is not None:
        message.outlier_detection.CopyFrom(outlier_detection(value.outliers))
    if value.tls is not None:
        message.transport_socket.CopyFrom(client_side(value.tls))
    if value.health_check is not None:
        message.health_checks.append(health_check(value.health_check))
        if value.tls is not None:
            _probe_protocol(message.health_checks[0], value.health_check.probe)
        # An endpoint that was taken away must go at once, healthy or not: traffic
        # to it would fail until its checks do.
        message.ignore_health_on_host_removal = True
    return message


def circuit_breakers(value: ir.Breakers) -> Any:
    """All four are always said: Envoy's own limits are 1024, and 3 for retries."""
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            circuit_breaker_pb2.CircuitBreakers.Thresholds(
                max_connections=_limit(value.connections),
                max_pending_requests=_limit(value.pending),
                max_requests=_limit(value.requests),
                max_retries=_limit(None),
            )
        ]
    )


def _limit(value: int | None) -> Any:
    return wrappers_pb2.UInt32Value(value=UNLIMITED if value is None else value)


def outlier_detection(value: ir.OutlierDetection) -> Any:
    return outlier_detection_pb2.OutlierDetection(
        consecutive_5xx=wrappers_pb2.UInt32Value(value=value.server_errors),
        interval=duration(value.interval),
        base_ejection_time=duration(value.ejection),
        max_ejection_percent=wrappers_pb2.UInt32Value(value=value.most_percent),
        # Envoy would also eject, in clusters of five and more, whoever does worse than
        # the others. Nobody asked for that.
        enforcing_success_rate=wrappers_pb2.UInt32Value(value=0),
        always_eject_one_host=wrappers_pb2.BoolValue(value=True),
    )


def _probe_protocol(message: Any, probe: ir.HttpCheck | ir.GrpcCheck | ir.TcpCheck) -> None:
    """A check may speak another version of HTTP than the requests, and must not agree on theirs."""
    if isinstance(probe, ir.HttpCheck):
        message.tls_options.alpn_protocols.append("h2" if probe.http2 else "http/1.1")


def _discover(message: Any, value: ir.Cluster) -> None:
    match value.discovery:
        case ir.Assigned():
            message.type = cluster_pb2.Cluster.EDS
            message.eds_cluster_config.eds_config.CopyFrom(over_ads())
            message.ignore_health_on_host_removal = True
        case ir.Dns(target, preference, every_address):
            # As LOGICAL_DNS or STRICT_DNS, whose own fields for all this are deprecated.
            message.cluster_type.name = "envoy.clusters.dns"
            message.cluster_type.typed_config.CopyFrom(
                packed(dns(preference, every_address=every_address))
            )
            message.load_assignment.CopyFrom(load_assignment(value.name, (target,)))
            message.ignore_health_on_host_removal = True
        case ir.Static(endpoints):
            message.type = cluster_pb2.Cluster.STATIC
            message.load_assignment.CopyFrom(load_assignment(value.name, endpoints))
        case ir.OriginalDestination():
            message.type = cluster_pb2.Cluster.ORIGINAL_DST
            message.lb_policy = cluster_pb2.Cluster.CLUSTER_PROVIDED
        case ir.NamedByRequest(preference):
            message.lb_policy = cluster_pb2.Cluster.CLUSTER_PROVIDED
            message.cluster_type.name = "envoy.clusters.dynamic_forward_proxy"
            message.cluster_type.typed_config.CopyFrom(
                packed(forward_proxy_pb2.ClusterConfig(dns_cache_config=dns_cache(preference)))
            )


def dns(preference: ir.IpPreference, *, every_address: bool) -> Any:
    """How a name is looked up, and what its addresses are: endpoints, or one of them at a time."""
    message = dns_cluster_pb2.DnsCluster(
        dns_refresh_rate=duration(DNS_REFRESH),
        dns_lookup_family=_LOOKED_UP[preference],
        all_addresses_in_single_endpoint=not every_address,
    )
    message.dns_failure_refresh_rate.base_interval.CopyFrom(duration(DNS_RETRY))
    message.dns_failure_refresh_rate.max_interval.CopyFrom(duration(DNS_REFRESH))
    return message


def dns_cache(preference: ir.IpPreference) -> Any:
    """The names that requests were sent to; the filter and the clusters must agree on it word for word."""
    return dns_cache_pb2.DnsCacheConfig(
        name=f"weft-{preference}", dns_lookup_family=_FAMILIES[preference]
    )


def load_assignment(
    name: str, endpoints: tuple[ir.SocketAddress, ...], zones: tuple[ir.Zone, ...] = ()
) -> Any:
    """
    The endpoints of a cluster; those whose zone is known stand in a locality of their own.

    All have the same priority, no locality has a weight, and a proxy does not say where it
    is itself: each endpoint gets the same share, wherever it is.
    """
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    placed = {endpoint for zone in zones for endpoint in zone.endpoints}
    if placed:
        endpoints = tuple(each for each in endpoints if each not in placed)
    if endpoints:
        message.endpoints.append(_locality(endpoints))
    for zone in zones:
        locality = _locality(zone.endpoints)
        locality.locality.region = zone.region
        locality.locality.zone = zone.name
        message.endpoints.append(locality)
    return message


def _locality(endpoints: tuple[ir.SocketAddress, ...]) -> Any:
    return endpoint_components_pb2.LocalityLbEndpoints(
        lb_endpoints=[
            endpoint_components_pb2.LbEndpoint(
                endpoint=endpoint_components_pb2.Endpoint(address=address(endpoint))
            )
            for endpoint in endpoints
        ]
    )


def _http2() -> Any:
    """HTTP/2 without asking first: between proxies there is no TLS that could negotiate it."""
    options = http_protocol_options_pb2.HttpProtocolOptions()
    options.explicit_http_config.http2_protocol_options.CopyFrom(
        protocol_pb2.Http2ProtocolOptions()
    )
    return options


def _as_the_client() -> Any:
    """What passes through unread by the mesh keeps the version of HTTP it came with."""
    options = http_protocol_options_pb2.HttpProtocolOptions()
    options.use_downstream_protocol_config.http_protocol_options.SetInParent()
    options.use_downstream_protocol_config.http2_protocol_options.SetInParent()
    return options


def health_check(value: ir.HealthCheck) -> Any:
    message = health_check_pb2.HealthCheck(
        interval=duration(value.interval),
        # App Mesh's interval holds always; Envoy's own is a minute while nothing is sent.
        no_traffic_interval=duration(value.interval),
        timeout=duration(value.timeout),
        healthy_threshold=wrappers_pb2.UInt32Value(value=value.healthy_threshold),
        unhealthy_threshold=wrappers_pb2.UInt32Value(value=value.unhealthy_threshold),
    )
    match value.probe:
        case ir.HttpCheck(path, http2, host):
            message.http_health_check.path = path
            message.http_health_check.host = host
            if http2:
                message.http_health_check.codec_client_type = http_pb2.CodecClientType.HTTP2
        case ir.GrpcCheck(authority):
            message.grpc_health_check.authority = authority
            message.grpc_health_check.SetInParent()
        case ir.TcpCheck():
            message.tcp_health_check.SetInParent()
    return message
