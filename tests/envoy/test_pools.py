"""A connection pool turns away what is above it, at the server, and says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from tests.builders import state_from, view_of
from tests.envoy.running import DEADLINE, Answer, ask, envoy, free_ports, listening, stats
from tests.envoy.sidecar_harness import eventually
from tests.mesh_lab import http2
from weft.names import IngressPort, Mode, Ports
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy

CALLS = 50


@dataclass
class Slow:
    """A workload that answers nobody before its gate is open."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    busy: int = 0

    async def passed(self) -> None:
        self.busy += 1
        await self.gate.wait()

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await self.passed()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def http2(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def answer(_: http2.Headers) -> tuple[int, str]:
            await self.passed()
            return 200, "ok"

        try:
            await http2.serve(reader, writer, answer)
        finally:
            writer.close()


@dataclass
class Pool:
    """A proxy in front of a slow workload."""

    port: int
    admin: int
    cluster: str

    async def stats(self) -> dict[str, int]:
        return await stats(self.admin, self.cluster)

    async def reads(self, **expected: int) -> None:
        """Until the statistics are these."""
        seen: dict[str, int] = {}

        async def so() -> bool:
            found = await self.stats()
            seen.update({name: found[name.replace("__", ".")] for name in expected})
            return seen == expected

        try:
            await eventually(so, seconds=10)
        except AssertionError:
            raise AssertionError(f"expected {expected}, found {seen}") from None


@asynccontextmanager
async def pool(
    protocol: str, limits: dict[str, int], app: int, directory: Path
) -> AsyncIterator[Pool]:
    port, admin = free_ports(2)
    mapping = {"port": 8080, "protocol": protocol}
    listener = {"portMapping": mapping, "connectionPool": {protocol: limits}}
    ports = Ports(ingress=(IngressPort(8080, port, app),))
    mesh = {"nodes": {"web": {"listeners": [listener]}}}
    snapshot = translate(resolve(state_from(mesh), view_of("web", Mode.EXPLICIT, ports)))
    async with envoy(snapshot, port, directory, admin=admin), asyncio.timeout(DEADLINE):
        yield Pool(port, admin, f"cds_ingress_shop_web_{protocol}_8080")


def started(count: int, call: Callable[[], Awaitable[Any]]) -> list[asyncio.Task[Any]]:
    async def one() -> Any:
        return await call()

    return [asyncio.create_task(one()) for _ in range(count)]


def statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(each.status for each in answers)


async def test_ten_connections_and_five_waiting_let_fifteen_of_fifty_through(
    tmp_path: Path,
) -> None:
    slow = Slow()
    limits = {"maxConnections": 10, "maxPendingRequests": 5}
    async with listening(slow.http) as app, pool("http", limits, app, tmp_path) as proxy:
        calls: list[asyncio.Task[Answer]] = []
        for busy in range(1, 11):
            # One after the other: who waits for a connection to open counts as waiting.
            calls += started(1, lambda: ask(proxy.port, "GET / HTTP/1.1\nHost: web"))
            await eventually(lambda busy=busy: slow.busy == busy)
        calls += started(CALLS - 10, lambda: ask(proxy.port, "GET / HTTP/1.1\nHost: web"))
        await proxy.reads(
            upstream_cx_active=10,
            upstream_rq_pending_active=5,
            upstream_rq_pending_overflow=35,
            circuit_breakers__default__cx_open=1,
            circuit_breakers__default__rq_pending_open=1,
        )
        assert slow.busy == 10
        slow.gate.set()
        answers: list[Answer] = await asyncio.gather(*calls)

        assert statuses(answers) == {200: 15, 503: 35}
        refused = [each for each in answers if each.status == 503]
        assert all("x-envoy-overloaded: true" in each.headers for each in refused)
        assert all(each.body.endswith("reset reason: overflow") for each in refused)
        await proxy.reads(circuit_breakers__default__rq_pending_open=0)
        assert (await ask(proxy.port, "GET / HTTP/1.1\nHost: web")).status == 200


async def test_without_a_limit_for_the_waiting_all_wait(tmp_path: Path) -> None:
    slow = Slow()
    async with (
        listening(slow.http) as app,
        pool("http", {"maxConnections": 10}, app, tmp_path) as proxy,
    ):
        calls = started(CALLS, lambda: ask(proxy.port, "GET / HTTP/1.1\nHost: web"))
        await proxy.reads(upstream_cx_active=10, upstream_rq_pending_active=40)
        slow.gate.set()

        assert statuses(await asyncio.gather(*calls)) == {200: CALLS}


async def test_ten_requests_of_http2_are_let_through_whatever_the_connections(
    tmp_path: Path,
) -> None:
    slow = Slow()
    async with (
        listening(slow.http2) as app,
        pool("http2", {"maxRequests": 10}, app, tmp_path) as proxy,
    ):
        calls = started(2, lambda: http2.requests(proxy.port, CALLS // 2, "web"))
        await proxy.reads(
            upstream_rq_active=10,
            upstream_rq_active_overflow=40,
            circuit_breakers__default__rq_open=1,
        )
        slow.gate.set()
        answers = [each for found in await asyncio.gather(*calls) for each in found]

        assert Counter(each.status for each in answers) == {200: 10, 503: 40}
        overloaded = [each.headers.get("x-envoy-overloaded") for each in answers]
        assert overloaded.count("true") == 40


async def test_ten_calls_of_grpc_are_let_through_and_the_others_are_unavailable(
    tmp_path: Path,
) -> None:
    slow = Slow()

    async def answer(request: bytes, context: object) -> bytes:
        await slow.passed()
        return b"ok"

    class Everything(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Everything(),))
    app = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with (
            pool("grpc", {"maxRequests": 10}, app, tmp_path) as proxy,
            grpc.aio.insecure_channel(f"127.0.0.1:{proxy.port}") as channel,
        ):

            async def call() -> grpc.StatusCode:
                try:
                    await channel.unary_unary("/stock.Stock/Get")(b"", timeout=DEADLINE)
                except grpc.aio.AioRpcError as error:
                    return error.code()
                return grpc.StatusCode.OK

            calls = started(CALLS, call)
            await proxy.reads(upstream_rq_active=10, upstream_rq_active_overflow=40)
            slow.gate.set()
            codes = Counter(await asyncio.gather(*calls))

            assert codes == {grpc.StatusCode.OK: 10, grpc.StatusCode.UNAVAILABLE: 40}
    finally:
        await server.stop(None)


async def test_ten_connections_of_tcp_are_kept_and_the_others_are_closed(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await reader.read()
        writer.close()

    async with listening(echo) as app, pool("tcp", {"maxConnections": 10}, app, tmp_path) as proxy:
        # Whoever asked whether the port is open has to have gone.
        await proxy.reads(upstream_cx_active=0)
        opened = [await asyncio.open_connection("127.0.0.1", proxy.port) for _ in range(CALLS)]
        for _, writer in opened:
            writer.write(b"hello\n")

        async def heard(reader: asyncio.StreamReader) -> bytes:
            try:
                return await reader.readline()
            except ConnectionError:
                return b""

        heard_by_all = Counter(await asyncio.gather(*(heard(reader) for reader, _ in opened)))
        assert heard_by_all == {b"hello\n": 10, b"": 40}
        await proxy.reads(upstream_cx_active=10, upstream_cx_overflow=CALLS - 10)

        for _, writer in opened:
            writer.close()
        await proxy.reads(upstream_cx_active=0)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"again\n")
        assert await reader.readline() == b"again\n"
        writer.close()
