"""Who is there: instances with a lease, renewed by heartbeats that make no revision."""

from __future__ import annotations

import asyncio

import structlog

from weft.clock import Clock
from weft.errors import NotFound, WeftError
from weft.model.instance import Instance
from weft.names import Key
from weft.store.change import Applied, Author, Deregister, Register
from weft.store.store import Store

log = structlog.get_logger(__name__)

_AUTHOR = Author("weft", "registry")
_TICK_SECONDS = 0.5
MIN_LEASE_SECONDS = 1.0
MAX_LEASE_SECONDS = 3600.0


class Registry:
    """
    The leases of this process; the instances themselves are in the store.

    A lease that was given before this process started runs for its full length
    from the start, or a restart of the control plane would empty the mesh.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ends: dict[tuple[Key, str], float] = {}
        for instances in store.state.workloads.values():
            for instance in instances.values():
                self._renew(instance)

    async def register(self, instance: Instance, author: Author) -> Applied:
        """Put an instance in, or renew its lease; the same again makes no revision."""
        applied = await self._store.apply(
            [Register(instance)], author, note=f"{instance.node.name}/{instance.id} registered"
        )
        self._renew(instance)
        return applied

    def heartbeat(self, node: Key, id: str) -> bool:
        """Renew a lease; False when the instance is not (or no longer) registered."""
        found = self._store.state.workloads.get(node, {}).get(id)
        if found is None:
            return False
        self._renew(found)
        return True

    async def deregister(self, node: Key, id: str, author: Author, note: str = "") -> Applied:
        """Take an instance out; NotFound when it is not in."""
        self._ends.pop((node, id), None)
        return await self._store.apply(
            [Deregister(node, id)], author, note=note or f"{node.name}/{id} deregistered"
        )

    def leases(self) -> dict[tuple[Key, str], float]:
        """Seconds left of each lease, by virtual node and instance id."""
        now = self._clock.monotonic()
        return {lease: end - now for lease, end in self._ends.items()}

    async def expire(self) -> list[tuple[Key, str]]:
        """Take out every instance whose lease has ended, as one revision."""
        now = self._clock.monotonic()
        ended = [lease for lease, end in self._ends.items() if end <= now]
        there = [
            (node, id) for node, id in ended if id in self._store.state.workloads.get(node, {})
        ]
        if there:
            names = ", ".join(f"{node.name}/{id}" for node, id in there)
            steps = [Deregister(node, id) for node, id in there]
            await self._store.apply(steps, _AUTHOR, note=f"lease expired: {names}")
            log.warning("lease expired", instances=names)
        for lease in ended:
            # It may have been renewed while the store was writing.
            if self._ends.get(lease, now + 1) <= now:
                del self._ends[lease]
        return there

    async def run(self) -> None:
        """Expire leases until cancelled."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                await self.expire()
            except NotFound:
                continue  # One left by itself meanwhile; the next round judges anew.
            except WeftError as error:
                log.error("leases could not be expired", reason=error.message)  # noqa: TRY400

    def _renew(self, instance: Instance) -> None:
        seconds = min(max(instance.lease_seconds, MIN_LEASE_SECONDS), MAX_LEASE_SECONDS)
        self._ends[(instance.node, instance.id)] = self._clock.monotonic() + seconds
