"""
How a route's traffic is split, and who leaves the split when nobody is there to serve.

In App Mesh a target without a live instance keeps its share, and that share fails. With
the policy ``reroute`` its share goes to the other targets: at once, because what fails
is tried again elsewhere, and for good, because the split is made of the living alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from weft.ir import route as ir
from weft.ir.cluster import Assigned
from weft.ir.value import value
from weft.model.cloud_map import Wanted
from weft.model.policy import POLICIES
from weft.model.virtual_node import ByCloudMap, VirtualNodeSpec
from weft.model.virtual_router import RouteSpec
from weft.names import Key, Kind
from weft.resolve import cloud_map, clusters, policies, specs
from weft.resolve.clusters import Target, target
from weft.resolve.limits import endpoint
from weft.resolve.reading import Reading
from weft.store.state import MeshState


@value
class Split:
    """The targets of a route as its proxies are told them."""

    targets: tuple[ir.Target, ...]
    configured: tuple[ir.Target, ...]
    """As they stand in the route."""
    reroutes: bool = False
    """Whether what fails is tried elsewhere: it is asked for, and there are several targets."""
    left_out: tuple[str, ...] = ()
    """Virtual nodes that have a share and get nothing, because nobody of them is there."""
    nobody: bool = False
    """Rerouting is asked for, and no target has a live instance: all keep their shares and fail."""
    unknown: tuple[str, ...] = ()
    """Virtual nodes found by DNS: whether anybody is there shows only when they are called."""


def split(reading: Reading, route: Key) -> Split:
    """A route's targets and weights, in its own order; zeros are kept, as in App Mesh."""
    resource = reading.resource(route)
    assert resource is not None, "its router's children were just read"
    assert isinstance(resource.spec, RouteSpec)
    found = [
        (each, given.weight)
        for given in resource.spec.targets
        if (each := target(reading, route.mesh, given.virtual_node, given.port))
    ]
    configured = tuple(ir.Target(each.cluster, weight) for each, weight in found)
    serving = [(each, weight) for each, weight in found if weight]
    if len(serving) < 2 or not policies.reroutes(reading, route):
        return Split(configured, configured)
    alive = {each: reading.part(is_alive, each) for each, _ in serving}
    living = tuple(ir.Target(t.cluster, weight) for t, weight in serving if alive[t] is not False)
    unknown = tuple(each.node for each, _ in serving if alive[each] is None)
    # Zeros are left out as well, or a retry would find a target that nobody wants to be used.
    if not living:
        everyone = tuple(each for each in configured if each.weight)
        return Split(everyone, configured, reroutes=True, nobody=True)
    left_out = tuple(each.node for each, _ in serving if alive[each] is False)
    return Split(living, configured, reroutes=True, left_out=left_out, unknown=unknown)


@value
class Rerouted:
    """A route whose split is not as it was configured, because targets are gone."""

    route: Key
    left_out: tuple[str, ...]
    nobody: bool

    @property
    def message(self) -> str:
        if self.nobody:
            return "no target has a live instance: all keep their shares, and these fail"
        verb = "has" if len(self.left_out) == 1 else "have"
        return f"{' and '.join(self.left_out)} {verb} no live instance; the others get the share"


def rerouted(reading: Reading, routes: Iterable[Key]) -> Iterator[Rerouted]:
    """Those of these routes that do without some target now."""
    for route in routes:
        found = reading.part(split, route)
        if found.left_out or found.nobody:
            yield Rerouted(route, found.left_out, found.nobody)


def rerouting(state: MeshState) -> Iterator[Key]:
    """The routes that may reroute: all of a mesh that says so, and those that say so themselves."""
    reading = Reading(state)
    for name in state.collection(POLICIES):
        key = Key.parse(name)
        if key.kind is Kind.ROUTE and state.resource(key) and policies.route(reading, key):
            yield key
        elif key.kind is Kind.MESH and policies.mesh(reading, key.mesh).reroute:
            for router in state.children(key, Kind.VIRTUAL_ROUTER):
                for each in state.children(router.key, Kind.ROUTE):
                    if policies.route(reading, each.key) is None:
                        yield each.key


def is_alive(reading: Reading, target: Target) -> bool | None:
    """Whether an instance is registered and not known to be ill; None where only DNS would know."""
    if not isinstance(reading.part(clusters.discovery, target), Assigned):
        return None
    spec = specs.virtual_node(reading, target.mesh, target.node) or VirtualNodeSpec()
    match spec.service_discovery:
        case ByCloudMap(aws_cloud_map=asked):
            preferred = clusters.preference(reading, target.mesh, spec)
            found = cloud_map.addresses(reading, asked, target.port, preferred, Wanted.HEALTHY)
            return any(endpoint(address) for address, _ in found)
        case _:
            return bool(reading.part(clusters.assignment, target).endpoints)
