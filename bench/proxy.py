"""
A simulated proxy: what Envoy says on a delta stream, without I/O.

It asks for clusters and listeners first, for the endpoints and routes that these
name as soon as it learns of them, and acknowledges every response at once. Unlike
Envoy it does not withhold the ACK of clusters that warm: it has nothing to warm.
After a reconnect it says what it holds.

Requests are joined from finished bytes, since most are acknowledgements that
differ by a nonce.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2,
)
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

SHORT = {CLUSTER: "CDS", ENDPOINT: "EDS", LISTENER: "LDS", ROUTE: "RDS"}
_NAMED_BY = {CLUSTER: ENDPOINT, LISTENER: ROUTE}
"""Resources of the one type say which of the other are needed."""


def _field(number: int, text: str) -> bytes:
    encoded = text.encode()
    assert len(encoded) < 128, "longer fields need a second length byte"
    return bytes((number << 3 | 2, len(encoded))) + encoded


_TYPE_URL = {type_url: _field(2, type_url) for type_url in SHORT}


def node(proxy: str, instance: str, weft: dict[str, Any]) -> bytes:
    """The ``node`` field of the first request, serialised."""
    metadata = {"weft": {**weft, "instance": instance}}
    value = base_pb2.Node(id=proxy, cluster=proxy, user_agent_name="envoy")
    ParseDict(metadata, value.metadata)
    return bytes(discovery_pb2.DeltaDiscoveryRequest(node=value).SerializeToString())


@dataclass(frozen=True, slots=True)
class Response:
    """A response, as far as an acknowledgement needs it."""

    message: Any
    type_url: str
    nonce: str
    size: int


def response(data: bytes) -> Response | None:
    """Read a response; None if it is none."""
    try:
        message = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
    except DecodeError:
        return None
    return Response(message, message.type_url, message.nonce, len(data))


def ack(received: Response) -> bytes:
    return _TYPE_URL[received.type_url] + _field(6, received.nonce)


def nack(received: Response, words: str) -> bytes:
    request = discovery_pb2.DeltaDiscoveryRequest(
        type_url=received.type_url, response_nonce=received.nonce
    )
    request.error_detail.code = 13
    request.error_detail.message = words
    return bytes(request.SerializeToString())


@dataclass(slots=True)
class Change:
    """What one response did to a proxy."""

    resources: int = 0
    changed: int = 0
    """Resources whose version it did not hold yet, and removals of what it held."""
    changed_bytes: int = 0
    """Size of these resources alone."""
    unwanted: int = 0
    """Resources it never asked for."""


class Proxy:
    """One Envoy's knowledge: versions by type and name, and what follows from them."""

    __slots__ = ("_awaited", "_heard", "_names", "_wanted", "held", "node")

    def __init__(self, node: bytes) -> None:
        self.node = node
        self.held: dict[str, dict[str, str]] = {type_url: {} for type_url in SHORT}
        self._names: dict[str, dict[str, tuple[str, ...]]] = {CLUSTER: {}, LISTENER: {}}
        self._wanted: dict[str, frozenset[str]] = {ENDPOINT: frozenset(), ROUTE: frozenset()}
        self._heard: set[str] = set()
        self._awaited: dict[str, set[str]] = {ENDPOINT: set(), ROUTE: set()}

    @property
    def is_configured(self) -> bool:
        """Whether everything asked for on this stream has been answered."""
        return len(self._heard) == 2 and not any(self._awaited.values())

    def opening(self) -> Iterator[bytes]:
        """The first requests of a new stream; nothing has been heard on it yet."""
        self._heard.clear()
        first = self.node
        for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE):
            wanted = self._wanted.get(type_url, frozenset())
            if type_url not in _NAMED_BY and not wanted:
                continue
            if type_url in self._awaited:
                # What it holds in its newest version is not sent again.
                self._awaited[type_url] = set(wanted - self.held[type_url].keys())
            request = discovery_pb2.DeltaDiscoveryRequest(
                type_url=type_url,
                resource_names_subscribe=sorted(wanted),
                initial_resource_versions=self.held[type_url],
            )
            yield first + request.SerializeToString()
            first = b""

    def follow(self, received: Response, change: Change) -> list[bytes]:
        """Take a response in; the subscriptions that follow from it."""
        type_url = received.type_url
        held = self.held[type_url]
        for resource in received.message.resources:
            name = resource.name
            change.resources += 1
            if held.get(name) != resource.version:
                change.changed += 1
                change.changed_bytes += len(resource.resource.value)
                held[name] = resource.version
            if type_url in self._names:
                self._names[type_url][name] = _named(type_url, resource)
            elif name not in self._wanted[type_url]:
                change.unwanted += 1
            else:
                self._awaited[type_url].discard(name)
        for name in received.message.removed_resources:
            if held.pop(name, None) is not None:
                change.changed += 1
            if type_url in self._names:
                self._names[type_url].pop(name, None)
            else:
                self._awaited[type_url].discard(name)
        if type_url not in self._names:
            return []
        self._heard.add(type_url)
        return self._subscriptions(_NAMED_BY[type_url], self._names[type_url].values())

    def _subscriptions(self, type_url: str, names: Iterable[tuple[str, ...]]) -> list[bytes]:
        before, after = self._wanted[type_url], frozenset(name for each in names for name in each)
        if before == after:
            return []
        self._wanted[type_url] = after
        for name in before - after:
            self.held[type_url].pop(name, None)
        self._awaited[type_url] = (self._awaited[type_url] & after) | (after - before)
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=type_url,
            resource_names_subscribe=sorted(after - before),
            resource_names_unsubscribe=sorted(before - after),
        )
        return [request.SerializeToString()]


# --- what clusters and listeners name -------------------------------------------------------

_known: dict[tuple[str, str, str], tuple[str, ...]] = {}
"""By type, name and version: the same content is the same for every proxy."""


def _named(type_url: str, resource: Any) -> tuple[str, ...]:
    key = (type_url, resource.name, resource.version)
    found = _known.get(key)
    if found is None:
        of = _endpoints_of if type_url == CLUSTER else _routes_of
        found = _known[key] = tuple(of(resource.resource.value))
    return found


def _endpoints_of(value: bytes) -> Iterator[str]:
    cluster = cluster_pb2.Cluster.FromString(value)
    if cluster.type == cluster_pb2.Cluster.EDS:
        yield cluster.eds_cluster_config.service_name or cluster.name


def _routes_of(value: bytes) -> Iterator[str]:
    listener = listener_pb2.Listener.FromString(value)
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        for each in chain.filters:
            manager = http_connection_manager_pb2.HttpConnectionManager()
            if each.typed_config.Unpack(manager) and manager.HasField("rds"):
                yield manager.rds.route_config_name
