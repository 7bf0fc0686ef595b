"""The gRPC service of AWS's walkthrough: a colour that is read and set, and fails on request."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc.aio

from tests.envoy.running import DEADLINE

SERVICE = "color.ColorService"
HEALTH = "/grpc.health.v1.Health/Check"
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
"""HealthCheckResponse in the standard's protobuf."""


@dataclass
class Colors(grpc.GenericRpcHandler):
    """Colours travel as plain text: what is in a message is no matter of the mesh's."""

    color: str = "no_color"
    code: grpc.StatusCode | None = None
    rate: float = 0.0
    """Share of the calls that end with ``code``."""
    latency_seconds: float = 0.0
    healthy: bool = True
    pings: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    metadata: list[Mapping[str, str]] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    port: int = 0

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method == HEALTH:
            return grpc.unary_unary_rpc_method_handler(self._health)
        service, _, method = details.method.lstrip("/").partition("/")
        if method == "Watch":
            return grpc.unary_stream_rpc_method_handler(self._watch)
        if service != SERVICE:
            return None
        self.metadata.append({key: str(value) for key, value in details.invocation_metadata})

        async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            return await self._answer(method, request, context)

        return grpc.unary_unary_rpc_method_handler(answer)

    async def _health(self, request: bytes, context: object) -> bytes:
        self.pings += 1
        return SERVING if self.healthy else NOT_SERVING

    async def _watch(self, request: bytes, context: object) -> AsyncIterator[bytes]:
        for _ in range(3):
            yield self.color.encode()

    async def _answer(
        self, method: str, request: bytes, context: grpc.aio.ServicerContext
    ) -> bytes:
        self.calls[method] += 1
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        if self.code is not None and self.chance.random() < self.rate:
            await context.abort(self.code, "flaky")
        before, self.color = self.color, request.decode() or self.color
        return (before if method == "SetColor" else self.color).encode()


@asynccontextmanager
async def colors(color: str = "no_color") -> AsyncIterator[Colors]:
    made = Colors(color)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((made,))
    made.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield made
    finally:
        await server.stop(None)


@dataclass
class Client:
    """A program that calls the service at a local port, or by name through ``http_proxy``."""

    channel: grpc.aio.Channel

    async def call(
        self, method: str, request: str = "", metadata: Mapping[str, str] | None = None
    ) -> str:
        """The answer, or the name of the status."""
        path = method if "/" in method else f"/{SERVICE}/{method}"
        try:
            answer: bytes = await self.channel.unary_unary(path)(
                request.encode(), timeout=DEADLINE, metadata=tuple((metadata or {}).items())
            )
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        return answer.decode()


@asynccontextmanager
async def client(target: str, **options: str) -> AsyncIterator[Client]:
    named = [(f"grpc.{name}", value) for name, value in options.items()]
    async with grpc.aio.insecure_channel(target, options=named) as channel:
        yield Client(channel)
