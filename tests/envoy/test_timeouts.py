"""How long things may take: requests and silence, on routes and listeners of every protocol, and 0."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio

from tests.builders import state_from, to, view_of
from tests.envoy.programmed import ID, PLAN, programmed, programmed_grpc, refusing
from tests.envoy.running import ask, envoy, free_ports, listening
from weft.names import BackendPort, IngressPort, Mode, Ports
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

LIMIT_SECONDS = 0.4
TICK_SECONDS = 0.02
"""By so much two processes may disagree about when something began."""
SHORT = {"unit": "ms", "value": 400}
OFF = {"unit": "s", "value": 0}
NEVER = {"maxRetries": 0, "perRetryTimeout": OFF, "httpRetryEvents": ["server-error"]}


def routes(kind: str, *targets: str) -> dict[str, Any]:
    """One for each limit; of gRPC by its service, of the others by the path."""
    found = {}
    for name, limits in {
        "request": {"perRequest": SHORT},
        "idle": {"idle": SHORT, "perRequest": OFF},
        "off": {"perRequest": OFF, "idle": OFF},
        "default": {},
    }.items():
        match = {"serviceName": name} if kind == "grpcRoute" else {"prefix": f"/{name}"}
        spec = {"match": match, "action": to(*targets), "timeout": limits, "retryPolicy": NEVER}
        found[name] = {kind: spec}
    return found


def tcp_route(**limits: Any) -> dict[str, Any]:
    return {"tcpRoute": {"action": to("raw:1"), "timeout": limits}}


def listener(port: int, protocol: str, **limits: Any) -> dict[str, Any]:
    mapping = {"portMapping": {"port": port, "protocol": protocol}}
    return {**mapping, "timeout": {protocol: limits}}


@dataclass
class Bench:
    egress: int
    sockets: dict[str, int]
    """The ways to single backends, and in to this workload's own listeners."""

    async def ask(self, host: str, path: str, plan: str, port: int | None = None) -> int:
        head = f"GET /{path} HTTP/1.1\nHost: {host}:9080\n{PLAN}: {plan}"
        return (await ask(port or self.egress, head)).status

    async def call(self, service: str) -> str:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.sockets['calls']}") as channel:
            try:
                metadata = ((PLAN, "hang"), (ID, service))
                await channel.unary_unary(f"/{service}/M")(b"", metadata=metadata)
            except grpc.aio.AioRpcError as error:
                return error.code().name
        return "OK"

    async def closes(self, socket: str) -> None:
        """Say something, hear it again, be silent, and wait for the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.sockets[socket])
        try:
            for _ in range(3):
                writer.write(b"still here\n")
                assert await reader.readline() == b"still here\n"
                await asyncio.sleep(LIMIT_SECONDS / 2)
            assert await reader.read() == b""
        finally:
            writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    egress, *others = free_ports(6)
    sockets = dict(zip(("calls", "raw", "raw-off", "in", "in-raw"), others, strict=True))
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(programmed())
        http2 = await stack.enter_async_context(refusing())
        http2.silent = True
        called = await stack.enter_async_context(programmed_grpc())
        raw = await stack.enter_async_context(listening(echo))
        services = ("shop", "two", "calls", "raw", "raw-off")
        mesh = {
            "nodes": {
                "web": {
                    "calls": [f"{name}.local" for name in services],
                    "listeners": [
                        listener(8080, "http", perRequest=SHORT),
                        listener(8081, "tcp", idle=SHORT),
                    ],
                },
                "one": {"listen": "9080/http"},
                "two": {"listen": "9080/http2"},
                "calls": {"listen": "9090/grpc"},
                "raw": {"listen": "9070/tcp"},
            },
            "services": {f"{name}.local": f"router {name}" for name in services},
            "routers": {
                "shop": {"listen": "9080/http", "routes": routes("httpRoute", "one:1")},
                "two": {"listen": "9080/http2", "routes": routes("http2Route", "two:1")},
                "calls": {"listen": "9090/grpc", "routes": routes("grpcRoute", "calls:1")},
                "raw": {"listen": "9070/tcp", "routes": {"all": tcp_route(idle=SHORT)}},
                "raw-off": {"listen": "9071/tcp", "routes": {"all": tcp_route(idle=OFF)}},
            },
            "instances": {
                "one": {"i": {9080: f"127.0.0.1:{http.port}"}},
                "two": {"i": {9080: f"127.0.0.1:{http2.port}"}},
                "calls": {"i": {9090: f"127.0.0.1:{called.port}"}},
                "raw": {"i": {9070: f"127.0.0.1:{raw}"}},
            },
        }
        backends = (
            BackendPort("calls.local", 9090, sockets["calls"]),
            BackendPort("raw.local", 9070, sockets["raw"]),
            BackendPort("raw-off.local", 9071, sockets["raw-off"]),
        )
        ingress = (
            IngressPort(8080, sockets["in"], http.port),
            IngressPort(8081, sockets["in-raw"], raw),
        )
        ports = Ports(ingress, egress, backends)
        snapshot = translate(resolve(state_from(mesh), view_of("web", Mode.EXPLICIT, ports)))
        await stack.enter_async_context(
            envoy(snapshot, egress, tmp_path_factory.mktemp("timeouts"))
        )
        yield Bench(egress, sockets)


async def took(work: Awaitable[Any]) -> tuple[Any, float]:
    began = time.monotonic()
    return await work, time.monotonic() - began


def is_about(seconds: float, limit: float) -> bool:
    """Not before its time, and not much after it on a machine that has more to do."""
    return limit - TICK_SECONDS <= seconds < limit + 2


@pytest.mark.parametrize("host", ["shop.local", "two.local"])
@pytest.mark.parametrize("limit", ["request", "idle"])
async def test_a_request_without_an_answer_ends_with_504_at_its_limit(
    bench: Bench, host: str, limit: str
) -> None:
    status, seconds = await took(bench.ask(host, limit, "hang"))
    assert status == 504
    assert is_about(seconds, LIMIT_SECONDS)


@pytest.mark.parametrize("limit", ["request", "idle"])
async def test_an_answer_that_stalls_is_cut_off(bench: Bench, limit: str) -> None:
    async def cut_off() -> None:
        with pytest.raises(asyncio.IncompleteReadError):
            await bench.ask("shop.local", limit, "stall")

    _, seconds = await took(cut_off())
    assert is_about(seconds, LIMIT_SECONDS)


@pytest.mark.parametrize("limit", ["request", "idle"])
async def test_a_grpc_call_without_an_answer_ends_at_its_limit(bench: Bench, limit: str) -> None:
    code, seconds = await took(bench.call(limit))
    # What a proxy answers for it is 504, which gRPC maps to this.
    assert code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert is_about(seconds, LIMIT_SECONDS)


@pytest.mark.parametrize("socket", ["raw", "in-raw"], ids=["route", "listener"])
async def test_a_silent_connection_is_closed_and_one_that_speaks_is_not(
    bench: Bench, socket: str
) -> None:
    _, seconds = await took(bench.closes(socket))
    assert is_about(seconds, 2 * LIMIT_SECONDS)


async def test_the_listeners_own_limit_holds_at_the_workload(bench: Bench) -> None:
    port = bench.sockets["in"]
    status, seconds = await took(bench.ask("web", "", "hang", port))
    assert status == 504
    assert is_about(seconds, LIMIT_SECONDS)


async def outlasts(work: Awaitable[Any], seconds: float) -> bool:
    """Whether something is still under way after this time; it is left then."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return True
    return False


async def test_zero_is_no_limit(bench: Bench) -> None:
    """The limits of the neighbouring routes do not hold; the default of 15 s is in the soak."""
    off = (
        bench.ask("shop.local", "off", "hang"),
        bench.ask("shop.local", "off", "stall"),
        bench.ask("two.local", "off", "hang"),
        bench.call("off"),
        bench.closes("raw-off"),
    )
    assert all(await asyncio.gather(*(outlasts(work, 5 * LIMIT_SECONDS) for work in off)))


@pytest.mark.soak
@pytest.mark.timeout(120)
async def test_without_a_limit_it_is_fifteen_seconds_and_with_zero_none(bench: Bench) -> None:
    default = (
        bench.ask("shop.local", "default", "hang"),
        bench.ask("two.local", "default", "hang"),
        bench.call("default"),
    )
    off = (
        bench.ask("shop.local", "off", "hang"),
        bench.ask("two.local", "off", "hang"),
        bench.call("off"),
        bench.closes("raw-off"),
    )
    ended, lasted = await asyncio.gather(
        asyncio.gather(*(took(work) for work in default)),
        asyncio.gather(*(outlasts(work, 18) for work in off)),
    )
    assert [answer for answer, _ in ended[:2]] == [504, 504]
    assert all(is_about(seconds, 15) for _, seconds in ended)
    assert all(lasted)
