"""Servers that do, attempt by attempt, what the request itself asks for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio

from bench.http2 import ACK, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, SETTINGS, frame
from tests.envoy.running import listening

PLAN, ID = "x-plan", "x-id"


@dataclass
class Programmed:
    """
    An HTTP/1.1 server. ``x-plan: 503,reset,200`` is done one word for each attempt of an ``x-id``.

    A number is a status; ``reset`` closes without an answer, ``hang`` never answers,
    ``stall`` begins an answer and does not end it. The body is the number of attempts.
    """

    port: int = 0
    attempts: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                lines = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
                id = lines.get(ID, "")
                self.attempts[id] += 1
                plan = lines.get(PLAN, "200").split(",")
                match plan[min(self.attempts[id], len(plan)) - 1]:
                    case "reset":
                        return
                    case "hang":
                        await asyncio.Event().wait()
                    case "stall":
                        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")
                        await writer.drain()
                        await asyncio.Event().wait()
                    case status:
                        body = str(self.attempts[id])
                        answer = f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\n\r\n{body}"
                        writer.write(answer.encode())
                        await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def programmed() -> AsyncIterator[Programmed]:
    found = Programmed()
    async with listening(found.serve) as found.port:
        yield found


@dataclass
class Refusing:
    """An HTTP/2 server that refuses the first so many streams (REFUSED_STREAM), and answers 200 then."""

    port: int = 0
    refuse: int = 0
    attempts: int = 0
    silent: bool = False
    """It takes requests and never answers."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
            writer.write(frame(SETTINGS, 0, 0))
            while True:
                head = await reader.readexactly(9)
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
                await reader.readexactly(int.from_bytes(head[:3], "big"))
                if kind == SETTINGS and not flags & ACK:
                    writer.write(frame(SETTINGS, ACK, 0))
                elif kind == HEADERS:
                    self.attempts += 1
                    if self.silent:
                        continue
                    if self.attempts <= self.refuse:
                        writer.write(frame(RST_STREAM, 0, stream, (7).to_bytes(4, "big")))
                    else:
                        # 0x88 is ":status: 200" (RFC 7541, appendix A).
                        writer.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x88"))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def refusing() -> AsyncIterator[Refusing]:
    found = Refusing()
    async with listening(found.serve) as found.port:
        yield found


@dataclass
class ProgrammedGrpc:
    """A gRPC server; ``x-plan: unavailable,ok`` names a status for each attempt."""

    port: int = 0
    attempts: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: bytes, context: Any) -> bytes:
        said = dict(context.invocation_metadata())
        id = said[ID]
        self.attempts[id] += 1
        plan = said[PLAN].split(",")
        word = plan[min(self.attempts[id], len(plan)) - 1]
        if word == "hang":
            await asyncio.Event().wait()
        if word != "ok":
            await context.abort(grpc.StatusCode[word.upper().replace("-", "_")], word)
        return str(self.attempts[id]).encode()


@asynccontextmanager
async def programmed_grpc() -> AsyncIterator[ProgrammedGrpc]:
    found = ProgrammedGrpc()

    class Everything(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(found.answer)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Everything(),))
    found.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield found
    finally:
        await server.stop(None)
