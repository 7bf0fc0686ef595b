"""What is tried again, how often and for how long: every event of a retry policy, on a real Envoy."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio

from tests.builders import state_from, to, view_of
from tests.envoy.programmed import (
    ID,
    PLAN,
    Programmed,
    ProgrammedGrpc,
    Refusing,
    programmed,
    programmed_grpc,
    refusing,
)
from tests.envoy.running import DEADLINE, ask, envoy, free_ports, upstream
from weft.names import BackendPort, Mode, Ports
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

SERVER_ERRORS = (*range(500, 509), 510, 511)
GRPC_EVENTS = ("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable")
_ids = itertools.count(1)


def policy(*http: str, retries: int = 1, tcp: bool = False, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "maxRetries": retries,
        "perRetryTimeout": more.pop("per_try", {"unit": "s", "value": 15}),
        **more,
    }
    if http:
        found["httpRetryEvents"] = list(http)
    if tcp:
        found["tcpRetryEvents"] = ["connection-error"]
    return found


def route(name: str, *targets: str, kind: str = "httpRoute", **more: Any) -> dict[str, Any]:
    return {kind: {"match": {"prefix": f"/{name}"}, "action": to(*targets), **more}}


ROUTES = {
    "server-error": route("server-error", "one:1", retryPolicy=policy("server-error")),
    "gateway-error": route("gateway-error", "one:1", retryPolicy=policy("gateway-error")),
    "client-error": route("client-error", "one:1", retryPolicy=policy("client-error")),
    "default": route("default", "one:1"),
    "never": route("never", "one:1", retryPolicy=policy("server-error", retries=0)),
    "often": route("often", "one:1", retryPolicy=policy("server-error", retries=5)),
    "brief": route(
        "brief",
        "one:1",
        retryPolicy=policy("server-error", per_try={"unit": "ms", "value": 200}),
    ),
    "unhurried": route(
        "unhurried",
        "one:1",
        retryPolicy=policy("server-error", retries=3, per_try={"unit": "s", "value": 0}),
        timeout={"perRequest": {"unit": "ms", "value": 400}},
    ),
    "refused": route("refused", "half:1", retryPolicy=policy(tcp=True)),
    "not-refused": route("not-refused", "half:1", retryPolicy=policy("client-error")),
}
HTTP2_ROUTES = {
    "stream-error": route(
        "stream-error", "two:1", kind="http2Route", retryPolicy=policy("stream-error")
    ),
    "other": route("other", "two:1", kind="http2Route", retryPolicy=policy("client-error")),
}
GRPC_ROUTES = {
    event: {
        "grpcRoute": {
            "match": {"serviceName": event},
            "action": to("calls:1"),
            "retryPolicy": policy(grpcRetryEvents=[event]),
        }
    }
    for event in GRPC_EVENTS
} | {"rest": {"grpcRoute": {"match": {}, "action": to("calls:1")}}}


@dataclass
class Bench:
    egress: int
    calls: int
    http: Programmed
    http2: Refusing
    grpc: ProgrammedGrpc

    async def ask(self, name: str, plan: str) -> tuple[int, int]:
        """The status that came back, and how often the server was asked."""
        id = str(next(_ids))
        head = f"GET /{name} HTTP/1.1\nHost: shop.local:9080\n{PLAN}: {plan}\n{ID}: {id}"
        return (await ask(self.egress, head)).status, self.http.attempts[id]

    async def ask_http2(self, name: str, *, refuse: int) -> tuple[int, int]:
        self.http2.refuse, self.http2.attempts = refuse, 0
        head = f"GET /{name} HTTP/1.1\nHost: two.local:9080"
        return (await ask(self.egress, head)).status, self.http2.attempts

    async def call(self, service: str, plan: str) -> tuple[str, int]:
        """The gRPC status in words, and how often the server was called."""
        id = str(next(_ids))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.calls}") as channel:
            method = channel.unary_unary(f"/{service}/M")
            try:
                await method(b"", metadata=((PLAN, plan), (ID, id)), timeout=DEADLINE)
            except grpc.aio.AioRpcError as error:
                return error.code().name.lower().replace("_", "-"), self.grpc.attempts[id]
        return "ok", self.grpc.attempts[id]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    egress, calls, nobody = free_ports(3)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(programmed())
        http2 = await stack.enter_async_context(refusing())
        called = await stack.enter_async_context(programmed_grpc())
        alive = await stack.enter_async_context(upstream("alive"))
        mesh = {
            "nodes": {
                "web": {"calls": ["shop.local", "two.local", "calls.local"]},
                "one": {"listen": "9080/http"},
                "half": {"listen": "9080/http"},
                "two": {"listen": "9080/http2"},
                "calls": {"listen": "9090/grpc"},
            },
            "services": {
                "shop.local": "router shop",
                "two.local": "router two",
                "calls.local": "router calls",
            },
            "routers": {
                "shop": {"listen": "9080/http", "routes": ROUTES},
                "two": {"listen": "9080/http2", "routes": HTTP2_ROUTES},
                "calls": {"listen": "9090/grpc", "routes": GRPC_ROUTES},
            },
            "instances": {
                "one": {"i": {9080: f"127.0.0.1:{http.port}"}},
                "half": {
                    "i": {9080: f"127.0.0.1:{alive.port}"},
                    "j": {9080: f"127.0.0.1:{nobody}"},
                },
                "two": {"i": {9080: f"127.0.0.1:{http2.port}"}},
                "calls": {"i": {9090: f"127.0.0.1:{called.port}"}},
            },
        }
        ports = Ports(egress=egress, backends=(BackendPort("calls.local", 9090, calls),))
        snapshot = translate(resolve(state_from(mesh), view_of("web", Mode.EXPLICIT, ports)))
        await stack.enter_async_context(envoy(snapshot, egress, tmp_path_factory.mktemp("retries")))
        yield Bench(egress, calls, http, http2, called)


@pytest.mark.parametrize("status", SERVER_ERRORS)
async def test_a_server_error_is_tried_again(bench: Bench, status: int) -> None:
    assert await bench.ask("server-error", f"{status},200") == (200, 2)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_gateway_error_is_tried_again(bench: Bench, status: int) -> None:
    assert await bench.ask("gateway-error", f"{status},200") == (200, 2)


async def test_a_client_error_is_409_and_no_other(bench: Bench) -> None:
    assert await bench.ask("client-error", "409,200") == (200, 2)
    for status in (400, 404, 408, 429, 500):
        assert await bench.ask("client-error", f"{status},200") == (status, 1)


async def test_what_is_no_event_of_the_policy_is_not_tried_again(bench: Bench) -> None:
    assert await bench.ask("server-error", "509,200") == (509, 1)
    assert await bench.ask("server-error", "409,200") == (409, 1)
    for status in (500, 501, 505, 511):
        assert await bench.ask("gateway-error", f"{status},200") == (status, 1)


@pytest.mark.parametrize("name", ["server-error", "gateway-error", "default"])
async def test_a_connection_that_breaks_is_such_an_error_too(bench: Bench, name: str) -> None:
    assert await bench.ask(name, "reset,200") == (200, 2)


async def test_a_client_error_policy_leaves_a_broken_connection_alone(bench: Bench) -> None:
    assert await bench.ask("client-error", "reset,200") == (503, 1)


async def test_a_stream_error_is_a_stream_that_was_refused(bench: Bench) -> None:
    assert await bench.ask_http2("stream-error", refuse=1) == (200, 2)
    assert await bench.ask_http2("stream-error", refuse=2) == (503, 2)
    assert await bench.ask_http2("other", refuse=1) == (503, 1)


async def test_a_connection_error_is_tried_again_at_another_instance(bench: Bench) -> None:
    request = "GET /{} HTTP/1.1\nHost: shop.local:9080"
    found = [(await ask(bench.egress, request.format("refused"))).status for _ in range(16)]
    assert found == [200] * 16
    found = [(await ask(bench.egress, request.format("not-refused"))).status for _ in range(16)]
    assert sorted(found) == [200] * 8 + [503] * 8, "round robin, and half of the hosts is nobody"


@pytest.mark.parametrize("event", GRPC_EVENTS)
async def test_a_grpc_status_is_tried_again_by_its_own_event(bench: Bench, event: str) -> None:
    assert await bench.call(event, f"{event},ok") == ("ok", 2)
    assert await bench.call(event, f"{event},{event},ok") == (event, 2)
    other = next(each for each in GRPC_EVENTS if each != event)
    assert await bench.call(event, f"{other},ok") == (other, 1)


async def test_without_a_policy_503_is_tried_twice_again_and_nothing_else(bench: Bench) -> None:
    assert await bench.ask("default", "503,503,200") == (200, 3)
    assert await bench.ask("default", "503,503,503,200") == (503, 3)
    for status in (500, 502, 504, 409):
        assert await bench.ask("default", f"{status},200") == (status, 1)
    assert await bench.call("rest", "unavailable,unavailable,ok") == ("ok", 3)
    assert await bench.call("rest", "internal,ok") == ("internal", 1)
    assert await bench.ask_http2("other", refuse=0) == (200, 1)


async def test_no_retries_are_none(bench: Bench) -> None:
    assert await bench.ask("never", "503,200") == (503, 1)
    assert await bench.ask("never", "reset,200") == (503, 1)


async def test_as_many_as_are_asked_for(bench: Bench) -> None:
    assert await bench.ask("often", "500,500,500,500,500,200") == (200, 6)
    assert await bench.ask("often", "500,500,500,500,500,500,200") == (500, 6)


async def test_a_try_that_takes_too_long_is_ended_and_made_again(bench: Bench) -> None:
    began = time.monotonic()
    assert await bench.ask("brief", "hang,200") == (200, 2)
    assert 0.2 <= time.monotonic() - began < 2
    assert await bench.ask("brief", "hang,hang,200") == (504, 2)


async def test_without_a_limit_of_its_own_a_try_may_take_all_the_time_there_is(
    bench: Bench,
) -> None:
    async with asyncio.timeout(DEADLINE):
        assert await bench.ask("unhurried", "hang,200") == (504, 1)
