"""
Free ports on 127.0.0.1, held until the process that wants them starts.

They are taken from below the range that the kernel gives to outgoing connections,
so that between our letting go and the process's binding nobody is handed the
port by chance, and in turn, so that one just let go is not soon given out again.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from weft.errors import CannotStart
from weft.local.plan import NotYet

LOOPBACK = "127.0.0.1"
_LOWEST = 20000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EPHEMERAL_DEFAULT = 32768


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now; connections that linger do not count."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


class PortPool:
    """Gives out ports and holds them; one pool for a whole runner."""

    def __init__(self, low: int | None = None, high: int | None = None) -> None:
        highest = high or _below_ephemeral()
        lowest = low or (_LOWEST if highest > _LOWEST + 1000 else 1024)
        self._span = range(lowest, highest)
        # Runners on one machine begin at different places.
        self._next = os.getpid() * 97 % len(self._span)
        self._held: dict[int, socket.socket] = {}

    def take(self) -> int:
        """A free port, held from now on."""
        for _ in self._span:
            port = self._span[self._next]
            self._next = (self._next + 1) % len(self._span)
            if self.hold(port):
                return port
        raise CannotStart(
            f"no port from {self._span.start} to {self._span.stop - 1} of {LOOPBACK} is free",
            fix="stop some of what listens there",
        )

    def hold(self, port: int) -> bool:
        """Hold a particular port; False when another has it."""
        if port in self._held:
            return False
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # Without SO_REUSEADDR nobody else can bind it, whatever options they set.
            held.bind((LOOPBACK, port))
        except OSError:
            held.close()
            return False
        self._held[port] = held
        return True

    def hold_fixed(self, port: int) -> None:
        """The same for a port that is wanted by number; NotYet when another has it."""
        # Connections of whoever served it a moment ago may linger, which hinders a hold only.
        if not self.hold(port) and (port in self._held or not is_free(LOOPBACK, port)):
            raise NotYet(f"port {port}, which another program has")

    def release(self, *ports: int) -> None:
        """Let go, for a process that is about to bind them."""
        for port in ports:
            if held := self._held.pop(port, None):
                held.close()

    def close(self) -> None:
        self.release(*tuple(self._held))


def _below_ephemeral() -> int:
    try:
        return int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _EPHEMERAL_DEFAULT
