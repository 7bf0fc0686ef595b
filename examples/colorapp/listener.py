"""
A TCP listener that stops cleanly: what is being answered at SIGTERM is answered.

Shared by the three services. It knows no protocol: a service hands in a
coroutine that serves one connection and marks it ``busy`` while it owes a reply.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

log = logging.getLogger("colorapp")

BACKLOG = 512
MAX_HEAD_BYTES = 64 * 1024

# A caller that has not heard yet that we stop still finds us, and is told to close.
LAME_DUCK_S = 0.1
GRACE_S = 10.0


class Misconfigured(Exception):
    """The service cannot start with this environment; the message says why."""


@dataclass(slots=True, eq=False)
class Connection:
    """One accepted connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    busy: bool = False
    """A request has arrived and its reply is not out yet."""
    last: bool = False
    """We are stopping: the next reply is the last on this connection."""

    @property
    def peer(self) -> str:
        """The address of the other side, without its port."""
        address = self.writer.get_extra_info("peername")
        return str(address[0]) if address else ""


Serve = Callable[[Connection], Awaitable[None]]


class Listener:
    """Accepts connections and owns the task of each."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._tasks: dict[Connection, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()

    async def run(self, name: str, host: str, port: int) -> None:
        """Serve until SIGTERM or SIGINT, then finish what is in flight."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):  # Windows has no signal handlers on its loop.
                loop.add_signal_handler(signum, self._stop.set)
        refusal: OSError | None = None
        async with asyncio.TaskGroup() as tasks:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                connection = Connection(reader, writer, last=self._stop.is_set())
                self._tasks[connection] = tasks.create_task(self._one(connection))

            try:
                server = await asyncio.start_server(
                    accept, sock=listening(host, port), backlog=BACKLOG, limit=MAX_HEAD_BYTES
                )
            except OSError as problem:
                refusal = problem  # Raised outside, or the group would wrap it.
            else:
                where = ", ".join("{}:{}".format(*s.getsockname()) for s in server.sockets)
                log.info("%s is listening on %s", name, where)
                await self._stop.wait()
                await self._drain(server)
        if refusal:
            raise refusal
        log.info("%s has stopped", name)

    async def _one(self, connection: Connection) -> None:
        try:
            await self._serve(connection)
        except OSError:
            pass  # The other side went away; there is nobody left to tell.
        except Exception:
            log.exception("a connection failed")
        finally:
            connection.writer.close()
            del self._tasks[connection]

    async def _drain(self, server: asyncio.Server) -> None:
        for connection in self._tasks:
            connection.last = True
        await asyncio.sleep(LAME_DUCK_S)
        server.close()
        for connection in self._tasks:
            if not connection.busy:
                connection.writer.close()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=GRACE_S)
        for task in self._tasks.values():
            task.cancel()


def listening(host: str, port: int) -> socket.socket:
    """A socket bound to an address; ``::`` means both families, as it does elsewhere."""
    if ":" not in host:
        return socket.create_server((host, port), backlog=BACKLOG)
    both = host == "::"
    return socket.create_server(
        (host, port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=both
    )


def port_from(environ: Mapping[str, str], variable: str, default: int) -> int:
    """The port number in an environment variable; 0 lets the system choose."""
    text = environ.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise Misconfigured(f"{variable} must be a port number, not {text!r}")
    return int(text)


def run(name: str, serve: Callable[[], Serve], variable: str, default_port: int) -> None:
    """Run one service as this process; ``serve`` is called once, inside the loop."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        host = os.environ.get("BIND_ADDRESS") or "127.0.0.1"
        port = port_from(os.environ, variable, default_port)
        asyncio.run(_run(name, serve, variable, host, port))
    except Misconfigured as problem:
        raise SystemExit(f"{name}: {problem}") from None


async def _run(name: str, serve: Callable[[], Serve], variable: str, host: str, port: int) -> None:
    listener = Listener(serve())
    try:
        await listener.run(name, host, port)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        if problem.errno is not None and problem.errno > 0:
            reason = os.strerror(problem.errno)  # asyncio puts a sentence of its own there.
        raise Misconfigured(
            f"cannot listen on {host}:{port}: {reason} (change {variable} or BIND_ADDRESS)"
        ) from None
