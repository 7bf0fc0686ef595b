"""
What one view is told: xDS resources, serialised once, versioned by content.

A resource is kept as it travels, so that a stream only joins bytes: ``delta`` is
one ``resources`` entry of a DeltaDiscoveryResponse; ``sotw``, one of a
DiscoveryResponse, is taken from it. Both share the version, a content hash, so
replicas and restarts of the control plane agree and an unchanged resource is
never sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Self

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import Message


class ResourceType(Enum):
    """The xDS types we serve, in make-before-break order (xDS protocol, "Eventual consistency")."""

    CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    ENDPOINT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type URL
    LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
    ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

    # Tables by type are looked into for every message, and Enum's own hash is a call into Python.
    __hash__ = object.__hash__

    @property
    def short(self) -> str:
        """As operators say it: CDS, EDS, SDS, LDS, RDS."""
        return _SHORT[self]

    @property
    def wildcard(self) -> bool:
        """Envoy asks for all clusters and listeners; the others it asks for by name."""
        return self in (ResourceType.CLUSTER, ResourceType.LISTENER)


_SHORT = {
    ResourceType.CLUSTER: "CDS",
    ResourceType.ENDPOINT: "EDS",
    ResourceType.SECRET: "SDS",
    ResourceType.LISTENER: "LDS",
    ResourceType.ROUTE: "RDS",
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """One xDS resource, ready to be sent."""

    name: str
    version: str
    delta: bytes = field(repr=False)
    deserted: bool = False
    """Whoever is still led here finds nobody: said after what leads elsewhere."""
    again: Encoded | None = field(default=None, repr=False)
    """The same in other words, for a proxy that refused it and should look at it once more."""
    told_endpoints: bool = False
    """A cluster whose endpoints we tell (EDS), where others find their own."""

    @classmethod
    def of(
        cls, name: str, message: Message, *, deserted: bool = False, told_endpoints: bool = False
    ) -> Self:
        """Serialise a message, deterministically, and name its content."""
        content = message.SerializeToString(deterministic=True)
        type_url = f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
        made = cls._of(name, type_url, content, deserted=deserted)
        return replace(made, told_endpoints=True) if told_endpoints else made

    @classmethod
    def of_content(cls, name: str, kind: ResourceType, content: bytes) -> Self:
        """The same of a message that is serialised already."""
        return cls._of(name, kind.value, content)

    @classmethod
    def _of(cls, name: str, type_url: str, content: bytes, *, deserted: bool = False) -> Self:
        delta = discovery_pb2.DeltaDiscoveryResponse()
        entry = delta.resources.add(name=name, version=version_of(content))
        entry.resource.type_url = type_url
        entry.resource.value = content
        return cls(name, entry.version, delta.SerializeToString(), deserted)

    @property
    def sotw(self) -> bytes:
        """As the other protocol has it. Few proxies speak that, so it is not kept twice."""
        (entry,) = discovery_pb2.DeltaDiscoveryResponse.FromString(self.delta).resources
        sotw = discovery_pb2.DiscoveryResponse(resources=[entry.resource])
        return bytes(sotw.SerializeToString())


def version_of(content: bytes) -> str:
    """Name the content: equal resources have equal versions, on every replica and restart."""
    return hashlib.sha256(content).hexdigest()[:16]


_NOTHING: Mapping[str, Encoded] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All xDS resources of one view, by type and name."""

    resources: Mapping[ResourceType, Mapping[str, Encoded]]

    def of(self, kind: ResourceType) -> Mapping[str, Encoded]:
        return self.resources.get(kind, _NOTHING)
