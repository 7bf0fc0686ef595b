"""How many Envoys are connected for one proxy id, and whether one more may be (app-mesh.md, 2.10)."""

from __future__ import annotations

from collections import Counter

from weft.errors import LimitExceeded
from weft.names import Kind, ProxyId
from weft.quotas import ENVOYS_PER_GATEWAY, ENVOYS_PER_NODE, Quotas


class Seats:
    """Counts instances, not streams: an Envoy whose old stream lingers does not count twice."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._taken: dict[ProxyId, Counter[str]] = {}

    def check(self, proxy: ProxyId, instance: str) -> None:
        """LimitExceeded when the proxy id has as many Envoys as it may have."""
        name = ENVOYS_PER_GATEWAY if proxy.kind is Kind.VIRTUAL_GATEWAY else ENVOYS_PER_NODE
        limit, taken = self._quotas.of(name), self._taken.get(proxy, Counter())
        if limit is not None and instance not in taken and len(taken) >= limit:
            raise LimitExceeded(
                f"{proxy} has {len(taken)} Envoys connected; the quota is {limit}",
                fix=f"raise it with --quota {name}=N",
            )

    def take(self, proxy: ProxyId, instance: str) -> None:
        self._taken.setdefault(proxy, Counter())[instance] += 1

    def leave(self, proxy: ProxyId, instance: str) -> None:
        taken = self._taken[proxy]
        taken[instance] -= 1
        if not taken[instance]:
            del taken[instance]
        if not taken:
            del self._taken[proxy]
