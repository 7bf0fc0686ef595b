"""
What is kept of Cloud Map's instances, and how replicas of a virtual node get among them.

A virtual node that is discovered by Cloud Map has its registered replicas there
too, with the attributes it asks for. They are kept in the revision that registers
them, so that no one ever sees the one without the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from weft.errors import InUse
from weft.model import cloud_map
from weft.model.cloud_map import Documents, Health, Instance, Namespace, NamespaceType, Service
from weft.model.instance import Instance as Replica
from weft.model.virtual_node import ByCloudMap, CloudMapDiscovery, VirtualNodeSpec
from weft.names import Key
from weft.store.change import Expect, Keep, Kept
from weft.store.state import MeshState

MAX_INSTANCE_ID = 64

NewId = Callable[[str], str]
"""From a prefix such as ``ns`` to an id that nothing has."""


def keep_instance(documents: Documents, service: str, instance: Instance) -> Iterator[Keep]:
    """Put an instance into a service, or change it; the same again changes nothing."""
    collection = cloud_map.instances_of(service)
    before = documents.document(collection, instance.id)
    if before is None or before["attributes"] != instance.attributes:
        yield _counted(documents, service)
    yield Keep(collection, instance.id, instance.document())


def forget_instance(documents: Documents, service: str, id: str) -> Iterator[Keep]:
    """Take an instance out of a service, if it is in."""
    collection = cloud_map.instances_of(service)
    if documents.document(collection, id) is not None:
        yield _counted(documents, service)
        yield Keep(collection, id, None)


def broken(state: MeshState, kept: Iterable[Kept]) -> Iterator[InUse]:
    """What no change may leave behind, whoever makes it: a revert knows the rules of no surface."""
    for each in kept:
        match each:
            case Kept(cloud_map.SERVICES, id, _, None):
                if inside := state.collection(cloud_map.instances_of(id)):
                    yield InUse(f"service {id} has {len(inside)} instance(s) registered")
            case Kept(cloud_map.SERVICES, id, _, document) if document is not None:
                within = document["namespaceId"]
                if state.document(cloud_map.NAMESPACES, within) is None:
                    yield InUse(f"service {id} is in namespace {within}, which is not there")
            case Kept(cloud_map.NAMESPACES, id, _, None):
                services = state.collection(cloud_map.SERVICES).values()
                names = sorted(one["name"] for one in services if one["namespaceId"] == id)
                if names:
                    yield InUse(f"namespace {id} has services: {', '.join(names[:5])}")
            case _:
                pass


def revision_of(documents: Documents, service: str) -> int:
    """Counts what came to a service and left it; health does not count."""
    found = documents.document(cloud_map.REVISIONS, service)
    return int(found["revision"]) if found else 1


def _counted(documents: Documents, service: str) -> Keep:
    revision = revision_of(documents, service) + 1
    return Keep(cloud_map.REVISIONS, service, {"revision": revision})


def new_id(prefix: str, uid: str) -> str:
    """``srv-…`` with sixteen letters and digits, as Cloud Map's are."""
    number = int.from_bytes(hashlib.sha256(f"{prefix}-{uid}".encode()).digest())
    return f"{prefix}-{_base36(number)[:16]}"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits += "0123456789abcdefghijklmnopqrstuvwxyz"[digit]
    return digits


# --- replicas -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where in Cloud Map a replica stands."""

    namespace: str
    service: str
    id: str


def follow(
    node: Key, before: MeshState, after: MeshState, documents: Documents, new: NewId, now_ms: int
) -> Iterator[Keep]:
    """
    What is to be kept so that a virtual node's replicas stand in Cloud Map as they are now.

    ``documents`` has what was kept so far, each of these steps included once it is taken.
    """
    stood, stands = _places(before, node), _places(after, node)
    for place in stood.keys() - stands.keys():
        service = cloud_map.id_behind(documents, place.namespace, place.service)
        if service is not None:
            yield from forget_instance(documents, service, place.id)
    for place, attributes in stands.items():
        if stood.get(place) == attributes:
            continue
        service = cloud_map.id_behind(documents, place.namespace, place.service)
        if service is None:
            # As App Mesh's Kubernetes controller does for pods, else nobody could be found.
            yield from _services(documents, place, new, now_ms)
            service = cloud_map.id_behind(documents, place.namespace, place.service)
            assert service is not None, "it was just kept"
        health = _health(documents, service, place.id)
        yield from keep_instance(documents, service, Instance(place.id, attributes, health))


def _places(state: MeshState, node: Key) -> Mapping[_Placed, Mapping[str, str]]:
    """Where a virtual node's replicas are to stand, and with which attributes."""
    resource = state.resource(node)
    if resource is None or not isinstance(resource.spec, VirtualNodeSpec):
        return {}
    match resource.spec.service_discovery:
        case ByCloudMap(aws_cloud_map=asked):
            return {
                _Placed(asked.namespace_name, asked.service_name, _id(replica)): _attributes(
                    asked, replica
                )
                for replica in state.instances(node)
            }
        case _:
            return {}


def _id(replica: Replica) -> str:
    """Replicas of several virtual nodes meet in one service, so the id has the node's name too."""
    full = f"{replica.node.mesh}/{replica.node.name}/{replica.id}"
    if len(full) <= MAX_INSTANCE_ID:
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:12]
    return f"{full[: MAX_INSTANCE_ID - 13]}-{digest}"


def _attributes(asked: CloudMapDiscovery, replica: Replica) -> Mapping[str, str]:
    found = {each.key: each.value for each in asked.attributes or ()}
    found |= {cloud_map.MESH: replica.node.mesh, cloud_map.VIRTUAL_NODE: replica.node.name}
    for i, (port, address) in enumerate(replica.addresses):
        host, _, socket = address.rpartition(":")
        if i == 0:
            found |= _first_address(host.strip("[]"), socket)
        found[f"{cloud_map.ADDRESS}{port}"] = address
    return found


def _first_address(host: str, socket: str) -> Mapping[str, str]:
    try:
        version = ip_address(host).version
    except ValueError:  # A name: it is in the listener's own attribute.
        return {}
    return {cloud_map.IPV4 if version == 4 else cloud_map.IPV6: host, cloud_map.PORT: socket}


def _services(documents: Documents, place: _Placed, new: NewId, now_ms: int) -> Iterator[Keep]:
    """The service a replica belongs into, and its namespace where that is missing too."""
    namespace_id = cloud_map.id_behind(documents, place.namespace)
    if namespace_id is None:
        namespace_id = new("ns")
        yield from keep_namespace(
            Namespace(namespace_id, place.namespace, NamespaceType.HTTP, now_ms)
        )
    yield from keep_service(
        Service(new("srv"), place.service, namespace_id, "HTTP", now_ms), place.namespace
    )


def keep_namespace(namespace: Namespace) -> Iterator[Keep]:
    """A new namespace, and the way to it by its name."""
    yield Keep(cloud_map.NAMESPACES, namespace.id, namespace.document())
    name = cloud_map.name_of(namespace.name)
    yield Keep(cloud_map.NAMES, name, {"id": namespace.id}, Expect.ABSENT)


def keep_service(service: Service, namespace: str) -> Iterator[Keep]:
    """A new service, and the way to it by its namespace's name and its own."""
    yield Keep(cloud_map.SERVICES, service.id, service.document())
    name = cloud_map.name_of(namespace, service.name)
    yield Keep(cloud_map.NAMES, name, {"id": service.id}, Expect.ABSENT)


def _health(documents: Documents, service_id: str, id: str) -> Health:
    """A replica is registered while it is ready; what was said of it since stays said."""
    known = documents.document(cloud_map.instances_of(service_id), id)
    if known is not None:
        return Instance.of(id, known).health
    service = documents.document(cloud_map.SERVICES, service_id)
    checked = service is not None and service.get("healthCheckCustomConfig") is not None
    return Health.HEALTHY if checked else Health.UNKNOWN
