"""Tells a DogStatsD receiver what Envoy cannot tell it: the connections of callers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from weft.errors import Unreachable
from weft.names import View
from weft.sidecar.admin import Admin
from weft.sidecar.prometheus import Connections, connections, labels
from weft.sidecar.statistics import Statsd


class ConnectionReporter:
    """Sends two metrics at each interval, in a thread of its own."""

    def __init__(
        self,
        receiver: Statsd,
        view: View,
        admin: Callable[[], Admin | None],
        interval_seconds: float,
    ) -> None:
        self._receiver = receiver
        self._view = view
        self._admin = admin
        self._interval = interval_seconds
        self._before = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="statsd")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Say what is left to say, and end."""
        if self._thread.is_alive():
            self._over.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._interval):
            self._report()
        self._report()

    def _report(self) -> None:
        admin = self._admin()
        if admin is None:
            return
        try:
            found = connections(admin)
        except Unreachable:
            return  # Envoy is being started again; the next time counts for both.
        for line in lines(found, self._before, self._view):
            self._send(line)
        self._before = found.ever

    def _send(self, line: str) -> None:
        receiver = self._receiver
        family = socket.AF_UNIX if receiver.path else socket.AF_INET
        if ":" in receiver.host:
            family = socket.AF_INET6
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as out:
                out.sendto(line.encode(), receiver.path or (receiver.host, receiver.port))
        except OSError:
            return  # Nobody listens; Envoy's own sink says nothing of it either.


def lines(found: Connections, before: int, view: View) -> tuple[str, str]:
    """The datagrams: what was added since before, and what there is now."""
    tags = ",".join(f"{name}:{value}" for name, value in labels(view))
    added = found.ever - before if found.ever >= before else found.ever
    return (
        f"envoy.appmesh.NewConnectionCount:{added}|c|#{tags}",
        f"envoy.appmesh.ActiveConnectionCount:{found.now}|g|#{tags}",
    )
