"""Snapshots made by hand: the smallest resources that Envoy accepts, and a source that serves them."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import config_source_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm_pb2,
)
from google.protobuf.message import Message

from weft.errors import NotFound
from weft.names import View
from weft.translate.snapshot import Encoded, ResourceType, Snapshot
from weft.xds.server import AdsServer

_KINDS = {
    cluster_pb2.Cluster: ResourceType.CLUSTER,
    endpoint_pb2.ClusterLoadAssignment: ResourceType.ENDPOINT,
    listener_pb2.Listener: ResourceType.LISTENER,
    route_pb2.RouteConfiguration: ResourceType.ROUTE,
}


def snapshot(*resources: Message) -> Snapshot:
    """A snapshot of these, each under its own name."""
    found: dict[ResourceType, dict[str, Encoded]] = {}
    for resource in sorted(resources, key=name_of):
        kind = _KINDS[type(resource)]
        deserted = kind is ResourceType.ENDPOINT and not resource.endpoints[0].lb_endpoints  # type: ignore[attr-defined]
        told = isinstance(resource, cluster_pb2.Cluster) and resource.HasField("eds_cluster_config")
        found.setdefault(kind, {})[name_of(resource)] = Encoded.of(
            name_of(resource), resource, deserted=deserted, told_endpoints=told
        )
    return Snapshot(found)


def name_of(resource: Message) -> str:
    return str(getattr(resource, "cluster_name", "") or resource.name)


def _from_ads() -> config_source_pb2.ConfigSource:
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        resource_api_version=config_source_pb2.V3,
    )


def cluster(name: str, *, connect_timeout_ms: int = 1000) -> cluster_pb2.Cluster:
    """A cluster whose endpoints come from us."""
    made = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    made.connect_timeout.FromMilliseconds(connect_timeout_ms)
    made.eds_cluster_config.eds_config.CopyFrom(_from_ads())
    return made


def cluster_by_dns(name: str) -> cluster_pb2.Cluster:
    """A cluster that Envoy resolves by itself."""
    made = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.LOGICAL_DNS)
    made.load_assignment.CopyFrom(endpoints(name, 1))
    return made


def endpoints(name: str, *ports: int) -> endpoint_pb2.ClusterLoadAssignment:
    made = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    locality = made.endpoints.add()
    for port in ports:
        address = locality.lb_endpoints.add().endpoint.address.socket_address
        address.address, address.port_value = "127.0.0.1", port
    return made


def routes(
    name: str, cluster: str, *, domains: Iterable[str] = ("*",)
) -> route_pb2.RouteConfiguration:
    """Everything to one cluster."""
    made = route_pb2.RouteConfiguration(name=name)
    host = made.virtual_hosts.add(name="all", domains=domains)
    host.routes.add(
        match=route_components_pb2.RouteMatch(prefix="/"),
        route=route_components_pb2.RouteAction(cluster=cluster),
    )
    return made


def listener(name: str, port: int, routes: str) -> listener_pb2.Listener:
    """An HTTP listener on 127.0.0.1 whose routes come from us."""
    manager = hcm_pb2.HttpConnectionManager(stat_prefix=name)
    manager.rds.route_config_name = routes
    manager.rds.config_source.CopyFrom(_from_ads())
    manager.http_filters.add(name="envoy.filters.http.router").typed_config.Pack(
        router_pb2.Router()
    )
    made = listener_pb2.Listener(name=name)
    made.address.socket_address.address = "127.0.0.1"
    made.address.socket_address.port_value = port
    made.filter_chains.add().filters.add(
        name="envoy.filters.network.http_connection_manager"
    ).typed_config.Pack(manager)
    return made


class HandmadeSource:
    """A pipeline without a mesh: it publishes what the test says."""

    def __init__(self) -> None:
        self.server: AdsServer | None = None
        self.attached: list[View] = []
        self.revision = 0
        self._snapshots: dict[str, Snapshot] = {}

    def say(self, proxy: str, *resources: Message) -> int:
        """From the next revision on, proxies with this id are told these resources."""
        self.revision += 1
        self._snapshots[proxy] = snapshot(*resources)
        for view in [view for view in self.attached if str(view.proxy) == proxy]:
            self._publish(view)
        if self.server is not None:
            self.server.processed(self.revision)
        return self.revision

    def delete(self, proxy: str, reason: str = "it was deleted") -> int:
        self.revision += 1
        del self._snapshots[proxy]
        assert self.server is not None
        for view in [view for view in self.attached if str(view.proxy) == proxy]:
            self.server.gone(view, reason, self.revision)
        self.server.processed(self.revision)
        return self.revision

    def attach(self, view: View) -> None:
        if str(view.proxy) not in self._snapshots:
            raise NotFound(f"there is no {view.proxy}; there is {', '.join(self._snapshots)}")
        self.attached.append(view)
        self._publish(view)

    def detach(self, view: View) -> None:
        self.attached.remove(view)

    def _publish(self, view: View) -> None:
        assert self.server is not None
        self.server.publish(view, self._snapshots[str(view.proxy)], self.revision)
