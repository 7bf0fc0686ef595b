"""Who else is asked: the name servers of the machine, from its resolv.conf."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from weft.errors import BadRequest
from weft.sidecar import values

PORT = 53
RESOLV_CONF = "/etc/resolv.conf"
_MOST = 3
"""As many as the C library asks (resolv.conf(5), MAXNS)."""


@dataclass(frozen=True, slots=True)
class NameServer:
    """Where DNS is spoken: an address, never a name."""

    host: str
    port: int = PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def address(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """As sockets take it, with the interface of a link-local address."""
        if self.family == socket.AF_INET:
            return self.host, self.port
        host, _, scope = self.host.partition("%")
        interface = (
            (int(scope) if scope.isdigit() else socket.if_nametoindex(scope)) if scope else 0
        )
        return host, self.port, 0, interface


def name_server(text: str) -> NameServer:
    """``ADDRESS``, ``ADDRESS:PORT`` or ``[V6]:PORT``."""
    host, port = text, PORT
    if text.startswith("[") and "]" in text:
        host, _, rest = text[1:].partition("]")
        port = values.port(rest.removeprefix(":"), lowest=1) if rest else PORT
    elif text.count(":") == 1:
        host, _, number = text.partition(":")
        port = values.port(number, lowest=1)
    made = NameServer(host, port)
    try:
        socket.inet_pton(made.family, host.partition("%")[0])
    except (OSError, ValueError):
        raise BadRequest(
            f"{text!r} is not an IP address with a port", fix="write it as 127.0.0.1:53"
        ) from None
    return made


def of_machine(own: NameServer, path: str = RESOLV_CONF) -> tuple[NameServer, ...]:
    """The name servers that a resolv.conf names, without our own address."""
    found: list[NameServer] = []
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                words = line.split()
                if len(words) < 2 or words[0] != "nameserver":
                    continue
                try:
                    found.append(name_server(f"[{words[1]}]" if ":" in words[1] else words[1]))
                except BadRequest:
                    continue  # The C library skips such a line, too.
    except OSError:
        return ()
    return tuple(each for each in dict.fromkeys(found) if not _same(each, own))[:_MOST]


def _same(server: NameServer, own: NameServer) -> bool:
    """Whether a question to a server would come back to us."""
    everywhere = own.host in ("0.0.0.0", "::")
    loopback = server.host == "::1" or server.host.startswith("127.")
    return server.port == own.port and (server.host == own.host or (everywhere and loopback))
