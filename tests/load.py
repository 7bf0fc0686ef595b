"""Requests at a fixed rate through a proxy, and what came of each of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CONNECTIONS = 16
TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A request whose status is not 200 or whose body is not allowed."""

    at_seconds: float
    what: str


@dataclass(slots=True)
class Load:
    """What has been sent and answered so far."""

    allowed: Container[str]
    bodies: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    """Seconds, of every request that was answered."""
    started_seconds: float = field(default_factory=time.monotonic)

    @property
    def total(self) -> int:
        return len(self.failures) + self.bodies.total()

    @property
    def rate(self) -> float:
        return self.total / (time.monotonic() - self.started_seconds)

    def percentile(self, share: float) -> float:
        """Seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    def summary(self) -> str:
        return (
            f"{self.total} requests at {self.rate:.0f}/s, {len(self.failures)} failed, "
            f"p50 {self.percentile(0.5) * 1000:.1f} ms, p99 {self.percentile(0.99) * 1000:.1f} ms, "
            f"max {max(self.latencies) * 1000:.1f} ms"
        )


@asynccontextmanager
async def load(
    proxy_port: int, url: str, *, per_second: float, allowed: Container[str]
) -> AsyncIterator[Load]:
    """Load for the length of the block; requests in flight at its end are waited for."""
    result = Load(allowed)
    stop = asyncio.Event()
    step = CONNECTIONS / per_second
    async with asyncio.TaskGroup() as tasks:
        for i in range(CONNECTIONS):
            first = time.monotonic() + i / per_second
            tasks.create_task(_connection(proxy_port, url, first, step, result, stop))
        try:
            yield result
        finally:
            stop.set()


async def _connection(
    port: int, url: str, first: float, step: float, result: Load, stop: asyncio.Event
) -> None:
    due = first
    reader, writer = None, None
    host = url.split("/")[2]
    request = f"GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(0.0, due - time.monotonic()))
        if stop.is_set():
            break
        due += step
        began = time.monotonic()
        try:
            if writer is None or reader is None or reader.at_eof():
                if writer is not None:
                    writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            status, body, last = await asyncio.wait_for(_response(reader), TIMEOUT_SECONDS)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            result.failures.append(
                Failure(began - result.started_seconds, f"{type(error).__name__}: {error}")
            )
            if writer is not None:
                writer.close()
            reader, writer = None, None
            continue
        if last:
            writer.close()
            reader, writer = None, None
        if status == 200 and body in result.allowed:
            result.bodies[body] += 1
            result.latencies.append(time.monotonic() - began)
        else:
            result.failures.append(Failure(began - result.started_seconds, f"{status} {body!r}"))
    if writer is not None:
        writer.close()


async def _response(reader: asyncio.StreamReader) -> tuple[int, str, bool]:
    """Status, body, and whether the connection takes no more requests (RFC 9112, 9.6)."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status = int(head.split(" ", 2)[1])
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
    }
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return status, body.decode(), headers.get("connection", "").lower() == "close"
