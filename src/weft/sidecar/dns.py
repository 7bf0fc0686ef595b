"""
The workload's name server: it answers names of the mesh, and asks others for all the rest.

    query ──▶ is it a name of the mesh? ── Envoy's table says so ──▶ answer
                        │ no                     │ Envoy does not answer
                        ▼                        ▼
              the machine's name servers    the table as it was last known

Envoy's own filter knows the table milliseconds after a change, and is strict: it compares
letters with their case, speaks UDP alone, and says "no such name" for a family of addresses
that a name does not have, after which C libraries like musl give the name up. So this stands
between: in a thread of its own, with one loop for datagrams; each TCP client has a thread.
"""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from weft.errors import CannotStart
from weft.sidecar import dns_message as wire
from weft.sidecar.dns_message import Answer, Query, Rcode
from weft.sidecar.dns_relay import Relays, read_message, write_message
from weft.sidecar.dns_servers import NameServer

Table = Mapping[str, tuple[str, ...]]
"""Names in lower case, and their addresses."""
Reply = Callable[[bytes], None]

_TRIES = 4
_TRY_SECONDS = 0.1
"""Envoy is on the same machine; what is not there after this was lost."""
_MOST_LOOKUPS = 4096
_MOST_TCP_CLIENTS = 32
_TCP_IDLE_SECONDS = 10.0
_LARGEST = 65535
_BURST = 64
"""Datagrams read in a row from one socket, so that the others have their turn."""
_BUFFER = 1 << 20


@dataclass(slots=True)
class _Lookup:
    """A name that Envoy is being asked for, in each family that the client's answer needs."""

    query: Query
    reply: Reply
    open: dict[int, int] = field(default_factory=dict)
    """Types still without an answer, by the id of their question."""
    tries: int = 0
    known: bool = True
    addresses: tuple[str, ...] = ()
    over: bool = False


class NameService:
    """Answers at one address until it is stopped."""

    def __init__(
        self,
        at: NameServer,
        envoy_port: int,
        servers: Sequence[NameServer],
        warn: Callable[[str], None],
        *,
        v6: bool = True,
    ) -> None:
        """``v6``: whether addresses of version 6 lead to the proxy; else no name has one."""
        self._v6 = v6
        self._at = at
        self._envoy = ("127.0.0.1", envoy_port)
        self._servers = tuple(servers)
        self._warn = warn
        self._table: Table | None = None
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._asked: dict[int, _Lookup] = {}
        self._relays = Relays(self._servers, self._selector, self._after)
        self._stopping = False
        self._complaint = ""
        self._tcp_clients = threading.BoundedSemaphore(_MOST_TCP_CLIENTS)
        self._thread = threading.Thread(target=self._run, name="dns", daemon=True)
        self._udp = socket.socket(at.family, socket.SOCK_DGRAM)
        self._tcp = socket.socket(at.family, socket.SOCK_STREAM)
        self._to_envoy = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._wake, self._woken = socket.socketpair()

    def start(self) -> None:
        """Take the address; CannotStart where that is not possible."""
        try:
            self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._udp.bind(self._at.address())
            self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._tcp.bind(self._at.address())
            self._tcp.listen(_MOST_TCP_CLIENTS)
            self._to_envoy.connect(self._envoy)
        except OSError as error:
            raise CannotStart(
                f"names cannot be answered at {self._at}: {error.strerror}",
                fix="give --dns an address of this machine whose port is free (below 1024 as root "
                "or with CAP_NET_BIND_SERVICE)",
            ) from error
        for each, react in (
            (self._udp, self._on_queries),
            (self._tcp, self._on_tcp_client),
            (self._to_envoy, self._on_envoy),
            (self._woken, lambda: None),
        ):
            each.settimeout(0.0)
            self._selector.register(each, selectors.EVENT_READ, react)
        self._thread.start()

    def know(self, table: Table | None) -> None:
        """The names that were in force a moment ago, for when Envoy does not answer."""
        self._table = table

    def stop(self) -> None:
        self._stopping = True
        if self._thread.is_alive():
            self._wake.send(b".")
            self._thread.join()
        self._relays.close()
        self._selector.close()
        for each in (self._udp, self._tcp, self._to_envoy, self._wake, self._woken):
            each.close()

    # --- the loop ---

    def _run(self) -> None:
        while not self._stopping:
            pause = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for key, _ in self._selector.select(pause):
                self._guarded(key.data)
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                self._guarded(heapq.heappop(self._timers)[2])

    def _guarded(self, react: Callable[[], None]) -> None:
        try:
            react()
        except Exception as error:  # noqa: BLE001 - one bad datagram must not end name resolution
            words = f"a question was not answered: {type(error).__name__}: {error}"
            if words != self._complaint:
                self._complaint = words
                self._warn(words)

    def _after(self, seconds: float, react: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), react))

    def _on_queries(self) -> None:
        for _ in range(_BURST):
            try:
                message, client = self._udp.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            self._serve(message, self._reply_to(client))

    def _reply_to(self, client: Any) -> Reply:
        def reply(message: bytes) -> None:
            with suppress(OSError):  # It has gone, or its buffer is full: it asks again.
                self._udp.sendto(message, client)

        return reply

    def _serve(self, message: bytes, reply: Reply) -> None:
        query = wire.parse(message)
        if query is None or not query.name:
            self._relays.ask(message, reply)
        elif len(self._asked) < _MOST_LOOKUPS:
            self._look_up(_Lookup(query, reply))

    # --- Envoy ---

    def _look_up(self, lookup: _Lookup) -> None:
        types = _types(lookup.query)
        lookup.open = {self._free_id(lookup): type for type in types}
        self._ask_envoy(lookup)

    def _free_id(self, lookup: _Lookup) -> int:
        while (id := int.from_bytes(os.urandom(2))) in self._asked:
            pass
        self._asked[id] = lookup
        return id

    def _ask_envoy(self, lookup: _Lookup) -> None:
        if lookup.over:
            return
        if lookup.tries == _TRIES:
            self._without_envoy(lookup)
            return
        lookup.tries += 1
        try:
            for id, type in lookup.open.items():
                self._to_envoy.send(wire.question(id, lookup.query.name, type))
        except ConnectionRefusedError:
            self._without_envoy(lookup)
            return
        except BlockingIOError:
            pass  # As if it were lost.
        self._after(_TRY_SECONDS, lambda: self._ask_envoy(lookup))

    def _on_envoy(self) -> None:
        for _ in range(_BURST):
            try:
                found = wire.parse_answer(self._to_envoy.recv(_LARGEST))
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                # Nobody is there: of all that is open nothing will be answered.
                for lookup in list(self._asked.values()):
                    if not lookup.over:
                        self._without_envoy(lookup)
                return
            asking = None if found is None else self._asked.get(found.id)
            if found is not None and asking is not None:
                self._on_answer(asking, found)

    def _on_answer(self, lookup: _Lookup, found: Answer) -> None:
        type = lookup.open.pop(found.id, None)
        if type is None:
            return
        del self._asked[found.id]
        lookup.addresses += found.addresses
        if type == wire.A:
            # Every name of the mesh has an address of version 4.
            lookup.known = found.rcode == Rcode.NOERROR and bool(found.addresses)
        if not lookup.open:
            self._finish(lookup, lookup.addresses if lookup.known else None)

    def _without_envoy(self, lookup: _Lookup) -> None:
        table = self._table
        if table is None:
            self._close(lookup)
            lookup.reply(wire.failure(lookup.query, Rcode.SERVFAIL))
        else:
            self._finish(lookup, table.get(lookup.query.name))

    def _finish(self, lookup: _Lookup, addresses: tuple[str, ...] | None) -> None:
        self._close(lookup)
        if addresses is None:
            self._relays.ask(lookup.query.message, lookup.reply)
        else:
            lookup.reply(wire.answer(lookup.query, self._reachable(addresses)))

    def _reachable(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(each for each in addresses if self._v6 or ":" not in each)

    def _close(self, lookup: _Lookup) -> None:
        lookup.over = True
        for id in lookup.open:
            del self._asked[id]
        lookup.open = {}

    # --- TCP ---

    def _on_tcp_client(self) -> None:
        with suppress(OSError):
            client, _ = self._tcp.accept()
            if not self._tcp_clients.acquire(blocking=False):
                client.close()
                return
            threading.Thread(
                target=self._serve_tcp, args=(client,), name="dns-tcp", daemon=True
            ).start()

    def _serve_tcp(self, client: socket.socket) -> None:
        try:
            with client, suppress(OSError):
                client.settimeout(_TCP_IDLE_SECONDS)
                while not self._stopping and (message := read_message(client)) is not None:
                    found = self._answer(message)
                    if found is None:
                        return
                    write_message(client, found)
        finally:
            self._tcp_clients.release()

    def _answer(self, message: bytes) -> bytes | None:
        """The same as for a datagram, step by step, because the thread may wait."""
        query = wire.parse(message)
        if query is None or not query.name:
            return self._relays.ask_by_tcp(message)
        found = self._found(query)
        if isinstance(found, Rcode):
            return wire.failure(query, found)
        if found is None:
            return self._relays.ask_by_tcp(message)
        return wire.answer(query, self._reachable(found))

    def _found(self, query: Query) -> tuple[str, ...] | Rcode | None:
        """The addresses of a mesh name; None for another name; SERVFAIL where nobody knows."""
        addresses: tuple[str, ...] = ()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.connect(self._envoy)
            own.settimeout(_TRY_SECONDS)
            for type in _types(query):
                found = _asked(own, query.name, type)
                if found is None:
                    table = self._table
                    return Rcode.SERVFAIL if table is None else table.get(query.name)
                if type == wire.A and not found.addresses:
                    return None
                addresses += found.addresses
        return addresses


def _types(query: Query) -> tuple[int, ...]:
    """What Envoy is asked: always for version 4, which tells whether the name is the mesh's."""
    return (wire.A, wire.AAAA) if query.type in (wire.AAAA, wire.ANY) else (wire.A,)


def _asked(own: socket.socket, name: str, type: int) -> Answer | None:
    for _ in range(_TRIES):
        asked = wire.question(int.from_bytes(os.urandom(2)), name, type)
        try:
            own.send(asked)
            found = wire.parse_answer(own.recv(_LARGEST))
        except TimeoutError:
            continue
        except ConnectionRefusedError:
            return None
        if found is not None and found.id == int.from_bytes(asked[:2]):
            return found
    return None
