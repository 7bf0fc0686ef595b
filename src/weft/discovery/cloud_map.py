"""
Cloud Map's rules (pure): from a state and a request to the steps that fulfil it, or why not.

A plan is made and applied in one breath (``Store.decide``). Whoever changes more
than Cloud Map at once puts a plan's steps among others and makes the next plan on
what they lead to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from weft.discovery.cloud_map_errors import (
    CustomHealthNotFound,
    DuplicateRequest,
    InstanceNotFound,
    InvalidInput,
    NamespaceAlreadyExists,
    NamespaceNotFound,
    ResourceInUse,
    ResourceNotFound,
    ServiceAlreadyExists,
    ServiceAttributesLimitExceeded,
    ServiceNotFound,
)
from weft.discovery.cloud_map_instances import attribute_problems
from weft.errors import Problem, TooManyTags
from weft.model import cloud_map
from weft.model import cloud_map_requests as requests
from weft.model.cloud_map import Health, Instance, Namespace, NamespaceType, Service
from weft.model.cloud_map_requests import Request
from weft.model.meta import Tags
from weft.store.change import Keep
from weft.store.cloud_map import forget_instance, keep_instance, keep_namespace, keep_service
from weft.store.state import MeshState

MAX_TAGS = 50

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan(Generic[T]):
    """Steps, and the thing they leave behind."""

    value: T
    steps: tuple[Keep, ...] = ()


# --- finding -------------------------------------------------------------------------------


def namespace(state: MeshState, id: str) -> Namespace:
    """The namespace of an id or an ARN."""
    id = id_of(id)
    found = state.document(cloud_map.NAMESPACES, id)
    if found is None:
        raise NamespaceNotFound(
            f"there is no namespace {id[:80]}", fix="aws servicediscovery list-namespaces"
        )
    return Namespace.of(id, found)


def service(state: MeshState, id: str) -> Service:
    """The service of an id or an ARN."""
    id = id_of(id)
    found = state.document(cloud_map.SERVICES, id)
    if found is None:
        raise ServiceNotFound(
            f"there is no service {id[:80]}", fix="aws servicediscovery list-services"
        )
    return Service.of(id, found)


def service_named(state: MeshState, namespace: str, service: str) -> Service:
    """The service that has a name in the namespace that has a name."""
    if cloud_map.id_behind(state, namespace) is None:
        raise NamespaceNotFound(
            f"there is no namespace {namespace[:80]!r}", fix="aws servicediscovery list-namespaces"
        )
    id = cloud_map.id_behind(state, namespace, service)
    if id is None:
        raise ServiceNotFound(
            f"namespace {namespace!r} has no service {service!r}",
            fix="aws servicediscovery list-services",
        )
    return Service.of(id, state.collection(cloud_map.SERVICES)[id])


def instance(state: MeshState, service: Service, id: str) -> Instance:
    found = state.document(service.instances, id)
    if found is None:
        raise InstanceNotFound(f"service {service.name} ({service.id}) has no instance {id!r}")
    return Instance.of(id, found)


def namespaces(state: MeshState) -> list[Namespace]:
    found = state.collection(cloud_map.NAMESPACES)
    return [Namespace.of(id, found[id]) for id in sorted(found)]


def services(state: MeshState, namespace_id: str | None = None) -> list[Service]:
    """By id; all of them, or those of one namespace."""
    found = state.collection(cloud_map.SERVICES)
    return [
        Service.of(id, found[id])
        for id in sorted(found)
        if namespace_id in (None, found[id]["namespaceId"])
    ]


def instances(state: MeshState, service: Service) -> list[Instance]:
    found = state.collection(service.instances)
    return [Instance.of(id, found[id]) for id in sorted(found)]


def resource(state: MeshState, arn: str) -> Namespace | Service:
    """What carries tags under an ARN."""
    kind, _, id = arn.rpartition(":")[2].partition("/")
    known = {"namespace": cloud_map.NAMESPACES, "service": cloud_map.SERVICES}.get(kind)
    if (
        not arn.startswith("arn:aws:servicediscovery:")
        or known is None
        or state.document(known, id) is None
    ):
        raise ResourceNotFound(f"there is no namespace or service {arn[:200]}")
    return namespace(state, id) if kind == "namespace" else service(state, id)


def id_of(text: str) -> str:
    """What stands behind the last slash of an ARN; an id as it is."""
    return text.rpartition("/")[2] if text.startswith("arn:") else text


# --- namespaces ----------------------------------------------------------------------------


def create_namespace(
    state: MeshState, asked: requests.CreateNamespace, id: str, now_ms: int
) -> Plan[Namespace]:
    """A new namespace; the one there is, when the same request comes again."""
    _few_tags(asked.tags)
    made = Namespace(
        id,
        asked.name,
        asked.type,
        now_ms,
        asked.creator_request_id,
        asked.description,
        asked.soa_ttl,
        asked.vpc if isinstance(asked, requests.CreatePrivateDnsNamespace) else None,
        requests.pairs(asked.tags),
    )
    for known in namespaces(state):
        again = asked.creator_request_id is not None and (
            known.creator_request_id == asked.creator_request_id
        )
        if again and replace(made, id=known.id, created_at=known.created_at) == known:
            return Plan(known)
        if known.name == asked.name:
            raise NamespaceAlreadyExists(
                f"namespace {known.name} exists already, as {known.id}",
                members={
                    "NamespaceId": known.id,
                    "CreatorRequestId": known.creator_request_id,
                },
            )
        if again:
            raise DuplicateRequest(
                f"the creator request id was used for namespace {known.name}",
                fix="give every request an id of its own, or leave it out",
                members={},
            )
    return Plan(made, tuple(keep_namespace(made)))


def update_namespace(
    state: MeshState,
    asked: requests.UpdateHttpNamespace | requests.UpdateDnsNamespace,
    type: NamespaceType,
) -> Plan[Namespace]:
    found = namespace(state, asked.id)
    if found.type is not type:
        raise NamespaceNotFound(
            f"namespace {found.id} is of type {found.type}, not {type}",
            fix=f"use the operation for {found.type}",
        )
    if asked.namespace.description is not None:
        found = replace(found, description=asked.namespace.description)
    if isinstance(asked, requests.UpdateDnsNamespace) and asked.namespace.properties is not None:
        found = replace(found, soa_ttl=asked.namespace.properties.dns_properties.soa.ttl)
    return Plan(found, (Keep(cloud_map.NAMESPACES, found.id, found.document()),))


def delete_namespace(state: MeshState, id: str) -> Plan[Namespace]:
    found = namespace(state, id)
    if inside := services(state, found.id):
        raise ResourceInUse(
            f"namespace {found.name} has {len(inside)} service(s): {_some(inside)}",
            fix="delete its services first",
        )
    return Plan(
        found,
        (
            Keep(cloud_map.NAMESPACES, found.id, None),
            Keep(cloud_map.NAMES, cloud_map.name_of(found.name), None),
        ),
    )


# --- services ------------------------------------------------------------------------------


def create_service(
    state: MeshState, asked: requests.CreateService, id: str, now_ms: int
) -> Plan[Service]:
    """A new service; the one there is, when the same request comes again."""
    _few_tags(asked.tags)
    given = asked.namespace_id or (asked.dns_config and asked.dns_config.namespace_id) or ""
    within = namespace(state, given)
    made = Service(
        id,
        asked.name,
        within.id,
        "HTTP" if asked.dns_config is None else "DNS_HTTP",
        now_ms,
        asked.creator_request_id,
        asked.description,
        _dns_config(asked.dns_config),
        _sent(asked.health_check_config),
        _sent(asked.health_check_custom_config),
        (),
        requests.pairs(asked.tags),
    )
    if found := list(_service_problems(made, within)):
        raise InvalidInput(found)
    known_id = cloud_map.id_behind(state, within.name, asked.name)
    if known_id is not None:
        known = service(state, known_id)
        same = replace(made, id=known.id, created_at=known.created_at, attributes=known.attributes)
        if asked.creator_request_id is not None and same == known:
            return Plan(known)
        raise ServiceAlreadyExists(
            f"namespace {within.name} has a service {asked.name} already: {known.id}",
            members={"ServiceId": known.id, "CreatorRequestId": known.creator_request_id},
        )
    return Plan(made, tuple(keep_service(made, within.name)))


def update_service(state: MeshState, asked: requests.UpdateService) -> Plan[Service]:
    """As Cloud Map does: records and a Route 53 health check that are left out are taken away."""
    found = service(state, asked.id)
    within = namespace(state, found.namespace_id)
    change = asked.service
    dns_config: dict[str, Any] | None = None
    if change.dns_config is not None:
        if found.dns_config is None:
            raise InvalidInput(
                [Problem("Service.DnsConfig", f"service {found.name} was created without records")]
            )
        dns_config = {**found.dns_config, **_sent_object(change.dns_config)}
    updated = replace(
        found,
        description=found.description if change.description is None else change.description,
        dns_config=dns_config,
        type="HTTP" if dns_config is None else "DNS_HTTP",
        health_check_config=_sent(change.health_check_config),
    )
    if wrong := list(_service_problems(updated, within, at="Service.")):
        raise InvalidInput(wrong)
    return Plan(updated, (_kept(updated),))


def delete_service(state: MeshState, id: str) -> Plan[Service]:
    found = service(state, id)
    if inside := state.collection(found.instances):
        raise ResourceInUse(
            f"service {found.name} has {len(inside)} instance(s) registered",
            fix="deregister them first",
        )
    within = namespace(state, found.namespace_id)
    return Plan(
        found,
        (
            Keep(cloud_map.SERVICES, found.id, None),
            Keep(cloud_map.REVISIONS, found.id, None),
            Keep(cloud_map.NAMES, cloud_map.name_of(within.name, found.name), None),
        ),
    )


def update_service_attributes(
    state: MeshState, id: str, attributes: Mapping[str, str]
) -> Plan[Service]:
    found = service(state, id)
    after = {**dict(found.attributes), **attributes}
    if len(after) > requests.MAX_ATTRIBUTES:
        raise ServiceAttributesLimitExceeded(
            f"a service carries at most {requests.MAX_ATTRIBUTES} attributes, not {len(after)}"
        )
    updated = replace(found, attributes=tuple(after.items()))
    return Plan(updated, (_kept(updated),))


def delete_service_attributes(state: MeshState, id: str, names: Iterable[str]) -> Plan[Service]:
    found, gone = service(state, id), set(names)
    left = tuple((name, value) for name, value in found.attributes if name not in gone)
    updated = replace(found, attributes=left)
    return Plan(updated, (_kept(updated),))


# --- instances -----------------------------------------------------------------------------


def register_instance(state: MeshState, asked: requests.RegisterInstance) -> Plan[Instance]:
    """Put an instance in, or give it other attributes; the same again makes no steps that change."""
    into = service(state, asked.service_id)
    if found := list(attribute_problems(into, asked.attributes)):
        raise InvalidInput(found)
    document = state.document(into.instances, asked.instance_id)
    known = None if document is None else Instance.of(asked.instance_id, document)
    if known is not None and known.attributes == asked.attributes:
        return Plan(known)
    health = Health.UNKNOWN
    if into.health_check_custom_config is not None:
        health = Health(asked.attributes.get(cloud_map.INIT_HEALTH, Health.HEALTHY))
        if known is not None and cloud_map.INIT_HEALTH not in asked.attributes:
            health = known.health
    made = Instance(asked.instance_id, asked.attributes, health, asked.creator_request_id)
    return Plan(made, tuple(keep_instance(state, into.id, made)))


def deregister_instance(state: MeshState, service_id: str, id: str) -> Plan[Instance]:
    out_of = service(state, service_id)
    return Plan(instance(state, out_of, id), tuple(forget_instance(state, out_of.id, id)))


def tell_health(state: MeshState, service_id: str, id: str, health: Health) -> Plan[Instance]:
    """Custom health: what somebody outside says of an instance."""
    of = service(state, service_id)
    found = instance(state, of, id)
    if of.health_check_custom_config is None:
        raise CustomHealthNotFound(
            f"service {of.name} ({of.id}) has no custom health check",
            fix="create the service with HealthCheckCustomConfig",
        )
    told = replace(found, health=health)
    return Plan(told, tuple(keep_instance(state, of.id, told)))


# --- tags ----------------------------------------------------------------------------------


def tag(of: Namespace | Service, tags: Tags) -> Plan[Namespace | Service]:
    after = {**dict(of.tags), **dict(tags)}
    if len(after) > MAX_TAGS:
        raise TooManyTags(f"a resource carries at most {MAX_TAGS} tags, not {len(after)}")
    return _tagged(of, tuple(after.items()))


def untag(of: Namespace | Service, names: Iterable[str]) -> Plan[Namespace | Service]:
    gone = set(names)
    return _tagged(of, tuple((name, value) for name, value in of.tags if name not in gone))


def _tagged(of: Namespace | Service, tags: Tags) -> Plan[Namespace | Service]:
    tagged = replace(of, tags=tags)
    return Plan(tagged, (_kept(tagged),))


def _few_tags(tags: tuple[requests.Tag, ...] | None) -> None:
    if (number := len(requests.pairs(tags))) > MAX_TAGS:
        raise TooManyTags(f"a resource carries at most {MAX_TAGS} tags, not {number}")


# --- the small things ----------------------------------------------------------------------


def _service_problems(made: Service, within: Namespace, at: str = "") -> Iterable[Problem]:
    if made.dns_config is not None and not within.type.is_dns:
        yield Problem(f"{at}DnsConfig", f"has no meaning in {within.name}, an HTTP namespace")
    if made.health_check_config is not None and within.type is NamespaceType.DNS_PRIVATE:
        yield Problem(
            f"{at}HealthCheckConfig",
            f"cannot be used in {within.name}, a private DNS namespace; use HealthCheckCustomConfig",
        )
    if made.health_check_config is not None and made.health_check_custom_config is not None:
        yield Problem(f"{at}HealthCheckConfig", "excludes HealthCheckCustomConfig")


def _dns_config(config: requests.DnsConfig | None) -> Mapping[str, Any] | None:
    if config is None:
        return None
    sent = _sent_object(config)
    is_cname = any(record.type == "CNAME" for record in config.dns_records)
    sent.setdefault("RoutingPolicy", "WEIGHTED" if is_cname else "MULTIVALUE")
    sent.pop("NamespaceId", None)
    return sent


def _sent(config: Request | None) -> Mapping[str, Any] | None:
    return None if config is None else _sent_object(config)


def _sent_object(config: Request) -> dict[str, Any]:
    return config.model_dump(mode="json", by_alias=True, exclude_none=True)


def _kept(thing: Namespace | Service) -> Keep:
    is_namespace = isinstance(thing, Namespace)
    collection = cloud_map.NAMESPACES if is_namespace else cloud_map.SERVICES
    return Keep(collection, thing.id, thing.document())


def _some(found: list[Service]) -> str:
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(each.name for each in found[:5]) + more
