"""
How much a proxy is told: resources and bytes of each xDS type, in meshes of several sizes.

Nothing is started; the snapshots are those that a proxy would get. A caller has ten
backends, each of them a virtual service with a router, a route and two virtual nodes
behind it, registered with so many replicas. What is measured is whether a proxy's
configuration follows what it calls and not the mesh, and what replicas, listeners and
backends add to it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench import mesh
from bench.figures import Goal
from weft.model import codec
from weft.model.instance import Instance
from weft.model.meta import Metadata, Resource
from weft.names import Key, Kind, Mode, ProxyId, View
from weft.resolve.proxy import resolve
from weft.store.state import Draft, MeshState
from weft.translate.proxy import translate
from weft.translate.snapshot import ResourceType, Snapshot

SERVICES = (50, 200, 1000)
PROMISED = 200
"""The size of mesh that the figures are stated for."""
REPLICAS = (1, 10, 50)
"""Proxies of each virtual node."""
LISTENERS = (1, 5, 10)
BACKENDS = (0, 10, 50)
GROWTH = 1.05
"""A caller in the largest mesh against the same in the smallest, at most; names are longer."""

_METADATA = Metadata("0", 1, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
_NAMES = {
    Kind.VIRTUAL_NODE: "virtualNodeName",
    Kind.VIRTUAL_ROUTER: "virtualRouterName",
    Kind.VIRTUAL_SERVICE: "virtualServiceName",
    Kind.ROUTE: "routeName",
}


@dataclass(frozen=True, slots=True)
class Size:
    """The configuration of one proxy."""

    services: int
    replicas: int
    listeners: int
    backends: int
    counts: Mapping[str, int]
    """Resources, by the short name of their type."""
    sizes: Mapping[str, int]
    """Bytes, likewise, as they travel."""

    @property
    def total_bytes(self) -> int:
        return sum(self.sizes.values())

    def __str__(self) -> str:
        each = ", ".join(
            f"{kind} {self.counts[kind]}: {self.sizes[kind]:,}" for kind in sorted(self.counts)
        )
        return (
            f"{self.services:>5} services, {self.replicas:>2} proxies a node, "
            f"{self.listeners:>2} listeners, {self.backends:>2} backends: "
            f"{self.total_bytes:>9,} bytes ({each})"
        )


def measured(
    services: int, *, replicas: int = 1, listeners: int = 1, backends: int = 10
) -> tuple[Size, Snapshot]:
    """A caller's configuration in a mesh of so many services."""
    state = state_of(services, replicas, listeners, backends)
    view = View(ProxyId("bench", Kind.VIRTUAL_NODE, CALLER), Mode.TRANSPARENT)
    snapshot = translate(resolve(state, view))
    kinds = [kind for kind in ResourceType if snapshot.of(kind)]
    size = Size(
        services,
        replicas,
        listeners,
        backends,
        {kind.short: len(snapshot.of(kind)) for kind in kinds},
        {kind.short: sum(len(e.delta) for e in snapshot.of(kind).values()) for kind in kinds},
    )
    return size, snapshot


CALLER = "caller-1"
_FIRST = 4
"""Backends of the caller: the services from this one on, in meshes of every size."""


def state_of(services: int, replicas: int, listeners: int, backends: int) -> MeshState:
    draft = Draft(MeshState())
    for said in mesh.Mesh("bench", services).definitions():
        draft.put(_resource(said))
    listening = [
        {"portMapping": {"port": mesh.PORT + i, "protocol": "http"}} for i in range(listeners)
    ]
    called = [
        {"virtualService": {"virtualServiceName": mesh.service(_FIRST + i)}}
        for i in range(backends)
    ]
    draft.put(
        _decoded(
            Key("bench", Kind.VIRTUAL_NODE, CALLER),
            {
                "listeners": listening,
                "backends": called,
                "serviceDiscovery": {"dns": {"hostname": f"{CALLER}.bench.local"}},
            },
        )
    )
    for i in range(services):
        key = Key("bench", Kind.VIRTUAL_NODE, mesh.node(i))
        for j in range(replicas):
            address = f"10.{i // 250}.{i % 250}.{j + 1}:{mesh.PORT}"
            draft.put_instance(Instance(key, f"r{j}", ((mesh.PORT, address),)))
    return draft.freeze(1)


def _resource(said: Mapping[str, Any]) -> Resource:
    kind = Kind(said["kind"])
    if kind is Kind.MESH:
        return _decoded(Key.of_mesh(said["meshName"]), said["spec"])
    parent = said["virtualRouterName"] if kind is Kind.ROUTE else ""
    name = said[_NAMES[kind]]
    key = Key(said["meshName"], kind, name, parent) if parent else Key(said["meshName"], kind, name)
    return _decoded(key, said["spec"])


def _decoded(key: Key, spec: Mapping[str, Any]) -> Resource:
    return Resource(key, codec.decode(key.kind, spec), spec, _METADATA)


def run(services: Sequence[int] = SERVICES) -> list[Size]:
    """All that is stated, the meshes' sizes first."""
    at = PROMISED if PROMISED in services else services[-1]
    backends = [each for each in BACKENDS if each <= at - _FIRST]
    return [
        *(measured(each)[0] for each in services),
        *(measured(at, replicas=each)[0] for each in REPLICAS[1:]),
        *(measured(at, listeners=each)[0] for each in LISTENERS[1:]),
        *(measured(at, backends=each)[0] for each in backends if each != 10),
    ]


def goals(services: Sequence[int] = SERVICES) -> list[Goal]:
    """What was promised, and what came of it."""
    small, before = measured(services[0])
    large, after = measured(services[-1])
    ratio = large.total_bytes / small.total_bytes
    what = f"a caller's bytes among {services[-1]:,} services against {services[0]:,}"
    found = [Goal("Z1", what, f"{ratio:.3f}", ratio <= GROWTH)]
    changed = sorted(_names(after) ^ _names(before))
    what = "resources it has in one of the two and not in the other"
    found.append(Goal("Z2", what, str(len(changed)), not changed))
    called = {mesh.node(i) for i in range(_FIRST, _FIRST + 10)}
    strangers = {
        name
        for name in after.of(ResourceType.CLUSTER)
        if name.startswith("cds_egress_bench_node-")
        and name.removeprefix("cds_egress_bench_").rsplit("_", 2)[0] not in called
    }
    what = "clusters of virtual nodes that none of its backends leads to"
    found.append(Goal("Z3", what, str(len(strangers)), not strangers))
    return found


def _names(snapshot: Snapshot) -> set[tuple[str, str]]:
    return {(kind.short, name) for kind in ResourceType for name in snapshot.of(kind)}


def table(sizes: Iterable[Size]) -> list[str]:
    return [str(each) for each in sizes]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sizes", description=__doc__)
    parser.parse_args(arguments)
    for line in table(run()):
        print(line)
    found = goals()
    for goal in found:
        print(goal)
    return 1 if any(goal.missed for goal in found) else 0


if __name__ == "__main__":
    sys.exit(main())
