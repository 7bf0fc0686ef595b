"""
Questions that are not ours, passed on to the machine's name servers word for word.

    ask ──▶ first server ──no answer, or it refuses──▶ next … ──▶ SERVFAIL
                 └─ answer ──▶ back to the client, as it came

Each question goes out from a port of its own with an id that nobody can guess (RFC 5452).
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from weft.sidecar import dns_message as wire
from weft.sidecar.dns_message import Rcode
from weft.sidecar.dns_servers import NameServer
from weft.sidecar.machine import SO_MARK
from weft.sidecar.rules import MARK

Reply = Callable[[bytes], None]

TRY_SECONDS = 1.5
"""Three tries fit into the five seconds that C libraries wait before they ask again."""
TRIES = 3
MOST = 256
"""Open questions; each has a socket."""
_LARGEST = 65535
_ANOTHER_MAY_KNOW = (Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED)


@dataclass(slots=True, eq=False)
class _Relay:
    """One question on its way."""

    message: bytes
    reply: Reply
    tries: int = 0
    sent: bytes = b""
    socket: socket.socket | None = None
    poor_answer: bytes | None = None
    """From a server that could not say; better than none."""


class Relays:
    """All questions on their way, in the loop of whoever owns the selector."""

    def __init__(
        self,
        servers: Sequence[NameServer],
        selector: selectors.BaseSelector,
        after: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._servers = tuple(servers)
        self._selector = selector
        self._after = after
        self._open: set[_Relay] = set()

    def ask(self, message: bytes, reply: Reply) -> None:
        relay = _Relay(message, reply)
        if len(self._open) >= MOST:
            self._give_up(relay)
            return
        self._open.add(relay)
        self._try(relay)

    def close(self) -> None:
        for relay in list(self._open):
            self._hang_up(relay)
        self._open.clear()

    def _try(self, relay: _Relay) -> None:
        """Ask the next server, and come back if it does not answer."""
        self._hang_up(relay)
        while self._servers and relay.tries < max(TRIES, len(self._servers)):
            server = self._servers[relay.tries % len(self._servers)]
            relay.tries += 1
            relay.sent = wire.with_id(relay.message, int.from_bytes(os.urandom(2)))
            try:
                relay.socket = socket.socket(server.family, socket.SOCK_DGRAM)
                relay.socket.settimeout(0.0)
                relay.socket.connect(server.address())
                relay.socket.send(relay.sent)
            except OSError:
                self._hang_up(relay)
                continue
            self._selector.register(
                relay.socket, selectors.EVENT_READ, lambda: self._on_answer(relay)
            )
            self._after(TRY_SECONDS, partial(self._on_silence, relay, relay.sent))
            return
        self._give_up(relay)

    def _on_silence(self, relay: _Relay, asked: bytes) -> None:
        if relay in self._open and relay.sent is asked:
            self._try(relay)

    def _on_answer(self, relay: _Relay) -> None:
        if relay.socket is None:
            return
        try:
            found = relay.socket.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError:  # Nobody is at that port.
            self._try(relay)
            return
        if not wire.answers(found, relay.sent):
            return
        found = wire.with_id(found, wire.id_of(relay.message))
        if wire.rcode_of(found) in _ANOTHER_MAY_KNOW and relay.tries < len(self._servers):
            relay.poor_answer = found
            self._try(relay)
            return
        self._end(relay, found)

    def _give_up(self, relay: _Relay) -> None:
        self._end(relay, relay.poor_answer or wire.cannot(relay.message))

    def _end(self, relay: _Relay, answer: bytes | None) -> None:
        self._hang_up(relay)
        self._open.discard(relay)
        if answer is not None:
            relay.reply(answer)

    def _hang_up(self, relay: _Relay) -> None:
        if relay.socket is not None:
            with suppress(KeyError):
                self._selector.unregister(relay.socket)
            relay.socket.close()
            relay.socket = None

    # --- TCP, in the thread of the client ---

    def ask_by_tcp(self, message: bytes) -> bytes | None:
        """The answer of the first server that has one; this waits."""
        poor_answer = None
        for server in self._servers:
            try:
                found = _asked(server, message)
            except OSError:
                continue
            if found is not None and wire.answers(found, message):
                if wire.rcode_of(found) not in _ANOTHER_MAY_KNOW:
                    return found
                poor_answer = found
        return poor_answer or wire.cannot(message)


def _asked(server: NameServer, message: bytes) -> bytes | None:
    with socket.socket(server.family, socket.SOCK_STREAM) as connection:
        connection.settimeout(TRY_SECONDS)
        with suppress(OSError):  # Without the right to mark it, it takes the proxy's way out.
            connection.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
        connection.connect(server.address())
        write_message(connection, message)
        return read_message(connection)


def read_message(connection: socket.socket) -> bytes | None:
    """One message of a TCP connection (RFC 1035, 4.2.2); None at its end."""
    length = _read(connection, 2)
    return _read(connection, int.from_bytes(length)) if length else None


def write_message(connection: socket.socket, message: bytes) -> None:
    connection.sendall(len(message).to_bytes(2) + message)


def _read(connection: socket.socket, count: int) -> bytes | None:
    found = b""
    while len(found) < count:
        more = connection.recv(count - len(found))
        if not more:
            return None
        found += more
    return found
