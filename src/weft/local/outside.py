"""Where workloads are reached from the machine they run on (pure)."""

from __future__ import annotations

from collections.abc import Callable

from weft.local.plan import LOOPBACK, Demand, Plan
from weft.manifests.workload import Workload
from weft.names import Key, Kind


def fixed(workload: Workload, demand: Demand) -> tuple[int, ...]:
    """Ports of the machine that an isolated workload insists on."""
    found = [fixed for _, fixed in demand.ingress if fixed is not None]
    if workload.node is None:
        found += [fixed for _, fixed in demand.apps if fixed is not None]
    return tuple(found)


def published(
    workload: Workload, demand: Demand, own: Callable[[int], int]
) -> tuple[tuple[int, int], ...]:
    """
    Which ports of an isolated workload are reached from the machine, and where.

    Those asked for as ``ingress``; of a gateway, every one; and of a program that is no
    part of the mesh, which nobody else reaches, every fixed one.
    """
    found = [
        (listener, own(listener) if fixed is None else fixed)
        for listener, fixed in demand.ingress
        if fixed is not None or demand.at_own_ports
    ]
    if workload.node is None:
        found += [(listener, fixed) for listener, fixed in demand.apps if fixed is not None]
    return tuple(found)


def urls(plan: Plan) -> dict[int, str]:
    """Where a gateway is reached from this machine, by listener; empty for all else."""
    if not _is_gateway(plan.node):
        return {}
    reached = {target: socket for socket, target in plan.forwards}
    if plan.allocation.sidecar is not None:
        reached = {each.listener: each.socket for each in plan.allocation.sidecar.ingress}
    found = {}
    for listener in plan.needs.listeners:
        if (socket := reached.get(listener.port)) is not None:
            scheme = "https" if listener.port in plan.needs.tls else "http"
            found[listener.port] = f"{scheme}://{LOOPBACK}:{socket}"
    return found


def _is_gateway(key: Key | None) -> bool:
    return key is not None and key.kind is Kind.VIRTUAL_GATEWAY
