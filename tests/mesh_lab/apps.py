"""Applications of the lab: small servers in the test's own loop, which do what the test tells them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.envoy.running import listening
from tests.mesh_lab import http2

PING = "/ping"
"""Health checks come here: answered by ``healthy`` alone, and not remembered."""


@dataclass(frozen=True)
class Asked:
    """A request as the application saw it."""

    at: float
    """``time.monotonic()``."""
    method: str
    path: str
    headers: Mapping[str, str]
    version: str


@dataclass
class App:
    """
    Answers every request with its word; speaks HTTP/1.1 and HTTP/2 on one port.

    A request's header ``latency`` makes it wait so many seconds.
    """

    word: str
    status: int = 200
    latency_seconds: float = 0.0
    healthy: bool = True
    gate: asyncio.Event | None = None
    """Nobody is answered before it is open."""
    judge: Callable[[Asked], int] | None = None
    """The status of each answer, in place of ``status``."""
    echoes_path: bool = False
    refuses_streams: bool = False
    """Every request by HTTP/2 is refused before anything is done about it (REFUSED_STREAM)."""
    refused_streams: int = 0
    asked: list[Asked] = field(default_factory=list)
    pings: int = 0
    busy: int = 0
    port: int = 0

    async def answer(self, asked: Asked) -> tuple[int, str]:
        if asked.path == PING:
            self.pings += 1
            return (200, "") if self.healthy else (503, "")
        self.asked.append(asked)
        self.busy += 1
        try:
            seconds = self.latency_seconds or float(asked.headers.get("latency", 0))
            if seconds:
                await asyncio.sleep(seconds)
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.busy -= 1
        status = self.judge(asked) if self.judge else self.status
        return status, f"{self.word} {asked.path}" if self.echoes_path else self.word

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            begun = await reader.readuntil(b"\r\n\r\n")
            if begun == http2.PREFACE:
                await self._http2(reader, writer, begun)
            else:
                await self._http1(reader, writer, begun)
        except* (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _http2(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begun: bytes
    ) -> None:
        async def answer(headers: http2.Headers) -> tuple[int, str]:
            plain = {name: value for name, value in headers.items() if not name.startswith(":")}
            plain["host"] = headers[":authority"]
            return await self.answer(
                Asked(time.monotonic(), headers[":method"], headers[":path"], plain, "HTTP/2")
            )

        def refuses() -> bool:
            self.refused_streams += self.refuses_streams
            return self.refuses_streams

        await http2.serve(reader, writer, answer, begun, refuses)

    async def _http1(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begun: bytes
    ) -> None:
        while True:
            first, *lines = begun.decode("latin-1").rstrip().split("\r\n")
            method, path, version = first.split(" ")
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            if length := int(headers.get("content-length", 0)):
                await reader.readexactly(length)
            if headers.get("upgrade") == "websocket":
                await self._websocket(reader, writer)
                return
            status, body = await self.answer(
                Asked(time.monotonic(), method, path, headers, version)
            )
            head = f"HTTP/1.1 {status} Said\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write((head + body).encode())
            await writer.drain()
            begun = await reader.readuntil(b"\r\n\r\n")

    async def _websocket(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both ends agree to leave HTTP; after that, lines come back with our word before them."""
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        )
        while line := await reader.readline():
            writer.write(f"{self.word} ".encode() + line)
            await writer.drain()


@asynccontextmanager
async def app(
    word: str, host: str = "127.0.0.1", port: int = 0, **more: object
) -> AsyncIterator[App]:
    """An application for the length of a block."""
    made = App(word, **more)  # type: ignore[arg-type]
    async with listening(made.serve, host, port) as made.port:
        yield made


@dataclass
class TcpApp:
    """Speaks first, if it has a banner, and then answers each line with its word before it."""

    word: str
    banner: bytes = b""
    port: int = 0
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            writer.write(self.banner)
            while line := await reader.readline():
                writer.write(f"{self.word} ".encode() + line)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def tcp_app(word: str, banner: bytes = b"") -> AsyncIterator[TcpApp]:
    made = TcpApp(word, banner)
    async with listening(made.serve) as made.port:
        yield made
