"""Who lives at which address when workloads are isolated, and under which names (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from weft.local.addressing import FAMILIES, Families, Home, Named
from weft.local.topology import Topology
from weft.manifests.workload import Workload
from weft.names import Key


class Residents:
    """The workloads of a runner, each replica at an address that it keeps."""

    def __init__(self, workloads: Sequence[Workload], *, ipv6: bool) -> None:
        every = [
            (workload, replica) for workload in workloads for replica in range(workload.replicas)
        ]
        # A replica that is replaced has two homes for a while.
        self._homes = {
            (workload.name, replica): (Home(number, ipv6), Home(number + len(every), ipv6))
            for number, (workload, replica) in enumerate(every, start=1)
        }
        self._sides = dict.fromkeys(self._homes, 0)
        self._of_node: dict[Key, list[tuple[str, int]]] = {}
        for workload, replica in every:
            if workload.node is not None:
                self._of_node.setdefault(workload.node, []).append((workload.name, replica))
        self._meshes = tuple(sorted({node.mesh for node in self._of_node}))

    def home(self, workload: Workload, replica: int, side: int) -> Home:
        return self._homes[workload.name, replica][side]

    def move(self, workload: Workload, replica: int, side: int) -> None:
        """From now on a replica's names lead to its other home."""
        self._sides[workload.name, replica] = side

    def names(
        self, topology: Topology, mesh: str | None, answered: Collection[str] = ()
    ) -> tuple[Named, ...]:
        """
        Host names of virtual nodes; who is of no mesh knows those of all.

        They lead to the nodes' workloads, as DNS would have it: without a proxy a caller
        gets them, and the mesh has no say. ``answered``: what mesh DNS answers, and is
        therefore left out.
        """
        found: dict[str, Named] = {}
        for each in (mesh,) if mesh is not None else self._meshes:
            for name, nodes in topology.host_names(each).items():
                addresses = tuple(self._addresses(topology, nodes))
                if addresses and name.lower() not in answered:
                    found[name] = Named(name, addresses)
        return tuple(found.values())

    def _addresses(self, topology: Topology, nodes: Iterable[Key]) -> Iterable[str]:
        for node in nodes:
            families = FAMILIES.get(topology.ip_preference(node), Families())
            for each in self._of_node.get(node, ()):
                yield from self._homes[each][self._sides[each]].of(families)
