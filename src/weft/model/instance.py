"""One registered workload address: what the registry knows of a running replica."""

from __future__ import annotations

from dataclasses import dataclass

from weft.names import Key


@dataclass(frozen=True, slots=True, order=True)
class Instance:
    """A replica of a virtual node's workload, reachable at one address per listener."""

    node: Key
    """The virtual node it belongs to."""
    id: str
    addresses: tuple[tuple[int, str], ...]
    """Listener port and the ``host:port`` at which this replica is reached for it, by port."""
    lease_seconds: float = 15.0
    """How long it stays without a heartbeat."""

    def address(self, listener_port: int) -> str | None:
        return next((address for port, address in self.addresses if port == listener_port), None)
