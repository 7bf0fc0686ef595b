"""A sidecar's part in mesh DNS: its name service, Envoy's port for it, and the names last known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from weft.sidecar.directory import Directory
from weft.sidecar.dns_options import free_port, table_of
from weft.sidecar.dns_servers import NameServer, of_machine
from weft.sidecar.last_good import LastGood
from weft.sidecar.options import Options

if TYPE_CHECKING:
    from weft.sidecar.dns import NameService


class Naming:
    """Does nothing where nobody asked for it."""

    def __init__(self, asked: Options, directory: Directory, warn: Callable[[str], None]) -> None:
        self.port = free_port(directory) if asked.dns is not None else 0
        """The UDP port at which Envoy answers; 0: nowhere."""
        self.servers: tuple[NameServer, ...] = ()
        """Who is asked for names outside the mesh, by us and by Envoy."""
        if asked.dns is not None:
            self.servers = asked.dns_upstreams or of_machine(asked.dns)
        self._at = asked.dns
        # Whoever makes rules in our place makes them for both families, as far as we know.
        self._v6 = asked.intercept is None or asked.intercept.ipv6 is not False
        self._warn = warn
        self._service: NameService | None = None
        self._told: LastGood | None = None

    def start(self, kept: LastGood | None) -> None:
        if self._at is None:
            return
        from weft.sidecar.dns import NameService  # Few answer names, and it is not for nothing.

        if not self.servers:
            self._warn("there is no other name server: names outside the mesh are not found")
        self._service = NameService(self._at, self.port, self.servers, self._warn, v6=self._v6)
        self.know(kept)
        self._service.start()

    def know(self, kept: LastGood | None) -> None:
        """The configuration in force, for the moments in which no Envoy answers."""
        if self._service is not None and kept is not None and kept is not self._told:
            self._told = kept
            self._service.know(table_of(kept.listeners))

    def stop(self) -> None:
        if self._service is not None:
            self._service.stop()
