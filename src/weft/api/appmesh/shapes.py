"""App Mesh's JSON: how a resource, its metadata and its place in a list are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from weft.model.meta import Resource
from weft.names import Arn, Key, Kind, bare_name, owner_of
from weft.store.ownership import resource_owner

WRAPPERS: Mapping[Kind, str] = {
    Kind.MESH: "meshes",
    Kind.VIRTUAL_NODE: "virtualNodes",
    Kind.VIRTUAL_SERVICE: "virtualServices",
    Kind.VIRTUAL_ROUTER: "virtualRouters",
    Kind.ROUTE: "routes",
    Kind.VIRTUAL_GATEWAY: "virtualGateways",
    Kind.GATEWAY_ROUTE: "gatewayRoutes",
}
"""The member that holds the items of a list."""

Json = dict[str, Any]


def name_member(kind: Kind) -> str:
    """The member that names a resource of this kind: ``virtualNodeName``."""
    return f"{kind.value}Name"


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes in one region."""

    region: str
    account: str
    """The control plane's own."""

    def arn(self, resource: Resource) -> str:
        return str(Arn(self.region, resource_owner(resource, self.account), resource.key))

    def data(self, resource: Resource, *, created: bool = False, deleted: bool = False) -> Json:
        """``VirtualNodeData`` and its like: the bare body of all operations but the lists."""
        return {
            **names(resource.key),
            "metadata": self.metadata(resource),
            "spec": echoed(resource, created=created),
            "status": {"status": "DELETED" if deleted else "ACTIVE"},
        }

    def ref(self, resource: Resource) -> Json:
        """``VirtualNodeRef`` and its like: an item of a list."""
        metadata = self.metadata(resource)
        del metadata["uid"]
        return {**names(resource.key), **metadata}

    def metadata(self, resource: Resource) -> Json:
        metadata = resource.metadata
        return {
            "arn": self.arn(resource),
            "createdAt": epoch(metadata.created_at),
            "lastUpdatedAt": epoch(metadata.last_updated_at),
            "meshOwner": owner_of(resource.key.mesh, self.account),
            "resourceOwner": resource_owner(resource, self.account),
            "uid": metadata.uid,
            "version": metadata.version,
        }


def names(key: Key) -> Json:
    """The members that say which resource: of its mesh, its parent, and its own."""
    found = {"meshName": bare_name(key.mesh)}
    if key.kind is not Kind.MESH:
        if key.parent_name and key.kind.parent:
            found[name_member(key.kind.parent)] = key.parent_name
        found[name_member(key.kind)] = key.name
    return found


def key_of(kind: Kind, labels: Mapping[str, Any]) -> Key:
    """The resource that these names lead to."""
    parent = kind.parent
    return Key(
        labels["meshName"],
        kind,
        labels[name_member(kind)],
        "" if parent in (None, Kind.MESH) else labels[name_member(parent)],
    )


def parent_of(kind: Kind, labels: Mapping[str, Any]) -> Key | None:
    match kind.parent:
        case None:
            return None
        case Kind.MESH:
            return Key.of_mesh(labels["meshName"])
        case parent:
            return Key(labels["meshName"], parent, labels[name_member(parent)])


def epoch(at: datetime) -> float:
    """Seconds since 1970 with milliseconds, as a JSON number."""
    return round(at.timestamp(), 3)


def echoed(resource: Resource, *, created: bool = False) -> Mapping[str, Any]:
    """
    The spec as it was sent, with App Mesh's own two additions and no other.

    A health check without a port shows its listener's; a virtual node without
    backends shows an empty list, except in the answer that creates it.
    """
    spec = resource.sent
    if resource.key.kind is Kind.VIRTUAL_NODE and not created and "backends" not in spec:
        spec = {**spec, "backends": []}
    listeners = spec.get("listeners") or ()
    if any("port" not in each["healthCheck"] for each in listeners if "healthCheck" in each):
        spec = {**spec, "listeners": [_with_probed_port(each) for each in listeners]}
    return spec


def _with_probed_port(listener: Mapping[str, Any]) -> Mapping[str, Any]:
    check = listener.get("healthCheck")
    if check is None or "port" in check:
        return listener
    return {**listener, "healthCheck": {**check, "port": listener["portMapping"]["port"]}}
