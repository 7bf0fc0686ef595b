"""
Cloud Map as MeshState holds it: namespaces, services, instances, and which of them are discovered.

They are kept documents, in these collections:

    cloudmap/namespaces        ns-…          a namespace
    cloudmap/services          srv-…         a service
    cloudmap/names             NS/ and NS/S  the id behind a name: who looks one up reads one document
    cloudmap/instances/srv-…   an id         an instance: a collection for each service, so that a
                                             change concerns nobody who uses another service
    cloudmap/revisions         srv-…         counts what came to a service and left it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from weft.model.meta import Tags

NAMESPACES = "cloudmap/namespaces"
SERVICES = "cloudmap/services"
NAMES = "cloudmap/names"
INSTANCES = "cloudmap/instances"
REVISIONS = "cloudmap/revisions"

IPV4 = "AWS_INSTANCE_IPV4"
IPV6 = "AWS_INSTANCE_IPV6"
PORT = "AWS_INSTANCE_PORT"
CNAME = "AWS_INSTANCE_CNAME"
ALIAS = "AWS_ALIAS_DNS_NAME"
EC2 = "AWS_EC2_INSTANCE_ID"
INIT_HEALTH = "AWS_INIT_HEALTH_STATUS"
LEASE = "WEFT_LEASE_SECONDS"
"""How long an instance stays when it is not registered again; ours, beside AWS's."""
ADDRESS = "WEFT_ADDRESS_"
"""With a listener's port behind it: the ``host:port`` at which a replica serves that listener."""
MESH = "WEFT_MESH"
VIRTUAL_NODE = "WEFT_VIRTUAL_NODE"

Document = Mapping[str, Any]


class Documents(Protocol):
    """Where documents are read: a state, or a reading of one."""

    def document(self, collection: str, name: str) -> Document | None: ...


class NamespaceType(StrEnum):
    HTTP = "HTTP"
    DNS_PRIVATE = "DNS_PRIVATE"
    DNS_PUBLIC = "DNS_PUBLIC"

    @property
    def is_dns(self) -> bool:
        return self is not NamespaceType.HTTP


class Health(StrEnum):
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"
    """Nobody checks it: it counts as healthy wherever that is asked."""


class Wanted(StrEnum):
    """Which instances are wanted, by their health."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    ALL = "ALL"
    HEALTHY_OR_ELSE_ALL = "HEALTHY_OR_ELSE_ALL"


@dataclass(frozen=True, slots=True)
class Namespace:
    id: str
    name: str
    type: NamespaceType
    created_at: int
    """Milliseconds, as everywhere in documents."""
    creator_request_id: str | None = None
    description: str | None = None
    soa_ttl: int | None = None
    vpc: str | None = None
    tags: Tags = ()

    @classmethod
    def of(cls, id: str, document: Document) -> Namespace:
        return cls(
            id,
            document["name"],
            NamespaceType(document["type"]),
            document["createdAt"],
            document.get("creatorRequestId"),
            document.get("description"),
            document.get("soaTtl"),
            document.get("vpc"),
            _pairs(document.get("tags")),
        )

    def document(self) -> Document:
        return _present(
            name=self.name,
            type=self.type.value,
            createdAt=self.created_at,
            creatorRequestId=self.creator_request_id,
            description=self.description,
            soaTtl=self.soa_ttl,
            vpc=self.vpc,
            tags=dict(self.tags) or None,
        )


@dataclass(frozen=True, slots=True)
class Service:
    id: str
    name: str
    namespace_id: str
    type: str
    """``HTTP`` or ``DNS_HTTP``."""
    created_at: int
    creator_request_id: str | None = None
    description: str | None = None
    dns_config: Document | None = None
    """As it was sent, like the other two."""
    health_check_config: Document | None = None
    health_check_custom_config: Document | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    tags: Tags = ()

    @classmethod
    def of(cls, id: str, document: Document) -> Service:
        return cls(
            id,
            document["name"],
            document["namespaceId"],
            document["type"],
            document["createdAt"],
            document.get("creatorRequestId"),
            document.get("description"),
            document.get("dnsConfig"),
            document.get("healthCheckConfig"),
            document.get("healthCheckCustomConfig"),
            _pairs(document.get("attributes")),
            _pairs(document.get("tags")),
        )

    def document(self) -> Document:
        return _present(
            name=self.name,
            namespaceId=self.namespace_id,
            type=self.type,
            createdAt=self.created_at,
            creatorRequestId=self.creator_request_id,
            description=self.description,
            dnsConfig=self.dns_config,
            healthCheckConfig=self.health_check_config,
            healthCheckCustomConfig=self.health_check_custom_config,
            attributes=dict(self.attributes) or None,
            tags=dict(self.tags) or None,
        )

    @property
    def instances(self) -> str:
        """The collection of its instances."""
        return instances_of(self.id)

    @property
    def record_types(self) -> frozenset[str]:
        records = (self.dns_config or {}).get("DnsRecords", ())
        return frozenset(record["Type"] for record in records)


@dataclass(frozen=True, slots=True)
class Instance:
    """One registered address of a service."""

    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    health: Health = Health.UNKNOWN
    creator_request_id: str | None = None

    @classmethod
    def of(cls, id: str, document: Document) -> Instance:
        return cls(
            id,
            document["attributes"],
            Health(document.get("health", Health.UNKNOWN)),
            document.get("creatorRequestId"),
        )

    def document(self) -> Document:
        return _present(
            attributes=dict(self.attributes),
            health=None if self.health is Health.UNKNOWN else self.health.value,
            creatorRequestId=self.creator_request_id,
        )

    @property
    def lease_seconds(self) -> float | None:
        """None: it stays until it is deregistered."""
        text = self.attributes.get(LEASE)
        return float(text) if text else None

    def matches(self, attributes: Mapping[str, str]) -> bool:
        return all(self.attributes.get(name) == value for name, value in attributes.items())

    def address(self, listener_port: int) -> str | None:
        """The ``host:port`` that was registered for one listener."""
        return self.attributes.get(f"{ADDRESS}{listener_port}")

    @property
    def has_addresses(self) -> bool:
        """Whether it says where each listener is, so that there is nothing to assume."""
        return any(name.startswith(ADDRESS) for name in self.attributes)


def instances_of(service_id: str) -> str:
    return f"{INSTANCES}/{service_id}"


def name_of(namespace: str, service: str = "") -> str:
    """Under which name ``cloudmap/names`` has a service; without one, a namespace."""
    return f"{namespace}/{service}"


def id_behind(documents: Documents, namespace: str, service: str = "") -> str | None:
    """The id of a service by its names, or of a namespace."""
    found = documents.document(NAMES, name_of(namespace, service))
    return None if found is None else str(found["id"])


def discovered(
    instances: Iterable[Instance],
    wanted: Wanted = Wanted.HEALTHY_OR_ELSE_ALL,
    query: Mapping[str, str] | None = None,
    optional: Mapping[str, str] | None = None,
) -> Sequence[Instance]:
    """
    The instances that match, in their order.

    ``optional`` narrows them further, unless it would leave none.
    """
    found = [each for each in instances if each.matches(query or {})]
    found = list(_of_health(found, wanted))
    return [each for each in found if each.matches(optional or {})] or found


def _of_health(instances: list[Instance], wanted: Wanted) -> Iterable[Instance]:
    healthy = [each for each in instances if each.health is not Health.UNHEALTHY]
    match wanted:
        case Wanted.ALL:
            return instances
        case Wanted.HEALTHY:
            return healthy
        case Wanted.HEALTHY_OR_ELSE_ALL:
            return healthy or instances
        case Wanted.UNHEALTHY:
            # Of what nobody checks the filter leaves out nothing, as in Cloud Map.
            return [each for each in instances if each.health is not Health.HEALTHY]


def _pairs(members: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple((members or {}).items())


def _present(**members: Any) -> Document:
    return {name: value for name, value in members.items() if value is not None}
