"""A real Envoy with one snapshot, and small servers for it to talk to."""

from __future__ import annotations

import asyncio
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.envoy.envoy_binary import envoy_binary, write_bootstrap
from weft.translate.snapshot import Snapshot

DEADLINE = 30.0


def free_ports(count: int) -> list[int]:
    """Ports nobody listens at; all are held until all are known, so they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@asynccontextmanager
async def envoy(
    snapshot: Snapshot, port: int, directory: Path, *, end_gently: bool = False, admin: int = 0
) -> AsyncIterator[None]:
    """
    An Envoy that serves a snapshot, ready once ``port`` is open; ended by its pid.

    Ended gently it writes its access log first. With an ``admin`` port, ``stats`` reads it.
    """
    bootstrap = write_bootstrap(directory / "envoy.json", snapshot, admin)
    log = (directory / "envoy.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        envoy_binary(),
        *("-c", str(bootstrap), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warn"),
        *("--drain-time-s", "1"),
        stderr=log,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            while not await _open(port):
                assert process.returncode is None, (directory / "envoy.log").read_text()
                await asyncio.sleep(0.02)
        yield
        if end_gently:
            process.terminate()
            async with asyncio.timeout(DEADLINE):
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        log.close()
        if sys.exc_info()[0] is not None:
            sys.stderr.write((directory / "envoy.log").read_text())


async def _open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def stats(admin: int, cluster: str) -> dict[str, int]:
    """The counters and gauges of one cluster, by their names without the cluster's."""
    url = f"http://127.0.0.1:{admin}/stats?filter=^cluster\\.{cluster}\\."
    found = await asyncio.to_thread(read, url)
    start = len(f"cluster.{cluster}.")
    pairs = (line.rsplit(": ", 1) for line in found.splitlines())
    return {name[start:]: int(value) for name, value in pairs if value.isdigit()}


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=DEADLINE) as response:
        found: str = response.read().decode()
    return found


@dataclass
class Upstream:
    """A server that answers every request with its name, and remembers what it was asked."""

    name: str
    port: int = 0
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head.decode())
                body = self.name.encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    clients: set[asyncio.Task[None]] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        clients.add(task)
        try:
            await handler(reader, writer)
        finally:
            clients.discard(task)

    server = await asyncio.start_server(tracked, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for client in list(clients):
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


@asynccontextmanager
async def upstream(name: str, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Upstream]:
    found = Upstream(name)
    async with listening(found.serve, host, port) as found.port:
        yield found


@dataclass(frozen=True)
class Answer:
    status: int
    headers: str
    body: str


async def ask(port: int, request: str, host: str = "127.0.0.1") -> Answer:
    """One raw HTTP/1.1 request (lines, without the last empty one) on a connection of its own."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            return await said(reader, writer, request)
        finally:
            writer.close()


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str) -> Answer:
    writer.write(request.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status = int(head.split(" ", 2)[1])
    length = next(
        (int(line.split(":")[1]) for line in head.lower().splitlines() if "content-length" in line),
        0,
    )
    return Answer(status, head, (await reader.readexactly(length)).decode())
