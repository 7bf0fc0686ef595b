"""Weft's own policies as they hold: the nearest one that says something, else App Mesh's behaviour."""

from __future__ import annotations

from weft.ir.value import value
from weft.model import policy as model
from weft.model.policy import (
    POLICIES,
    MeshPolicy,
    RoutePolicy,
    VirtualNodePolicy,
    VirtualServicePolicy,
)
from weft.names import Key, Kind
from weft.resolve import specs
from weft.resolve.reading import Reading


def policy(reading: Reading, key: Key) -> model.Policy | None:
    """The policy kept for a resource; to be asked for as a part, so that it is decoded once."""
    kept = reading.document(POLICIES, str(key))
    if kept is None:
        return None
    found = model.decode_policy(key.kind, kept)
    assert isinstance(found, model.Policy), "kinds and models stand side by side"
    return found


def mesh(reading: Reading, name: str) -> MeshPolicy:
    found = reading.part(policy, Key.of_mesh(name))
    return found if isinstance(found, MeshPolicy) else MeshPolicy()


def virtual_service(reading: Reading, mesh: str, name: str) -> VirtualServicePolicy:
    found = reading.part(policy, Key(mesh, Kind.VIRTUAL_SERVICE, name))
    return found if isinstance(found, VirtualServicePolicy) else VirtualServicePolicy()


def route(reading: Reading, key: Key) -> bool | None:
    """What a route's own policy says of rerouting; None where it says nothing."""
    found = reading.part(policy, key)
    return found.reroute if isinstance(found, RoutePolicy) else None


def reroutes(reading: Reading, key: Key) -> bool:
    """Whether a route leaves out targets without a live instance: its own word, else its mesh's."""
    own = route(reading, key)
    return own if own is not None else bool(reading.part(mesh, key.mesh).reroute)


@value
class Outside:
    """What may be called besides backends."""

    everything: bool
    amazonaws: bool
    """``*.amazonaws.com`` at port 443, which App Mesh let through whatever its filter said."""


def outside(reading: Reading, mesh_name: str, node: str) -> Outside:
    """What lies open to a virtual node outside the mesh: its own filter, else its mesh's."""
    everything = specs.mesh(reading, mesh_name).allows_all
    found = reading.part(policy, Key(mesh_name, Kind.VIRTUAL_NODE, node))
    if isinstance(found, VirtualNodePolicy) and found.egress_filter is not None:
        everything = found.egress_filter.type == "ALLOW_ALL"
    return Outside(everything, reading.part(mesh, mesh_name).amazonaws is not False)
