"""Which failures are tried again: every event of a retry policy, how often, and for how long each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tests.builders import to
from tests.envoy.running import free_ports
from tests.mesh_lab.apps import App, Asked, app
from tests.mesh_lab.colors import Client, Colors, client, colors
from tests.mesh_lab.lab import Lab, Workload

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

MESH = "again"
PORTS = {"http": 5101, "http2": 5102, "grpc": 5103}
LIMIT = 3
SERVER_ERRORS = {*range(500, 509), 510, 511}
OF_EVENT = {
    "server-error": SERVER_ERRORS,
    "gateway-error": {502, 503, 504},
    "client-error": {409},
    "stream-error": set(),
}
TRIED = (400, 404, 409, 429, *sorted(SERVER_ERRORS))


def route(protocol: str, policy: dict[str, Any] | None) -> dict[str, Any]:
    match = {} if protocol == "grpc" else {"prefix": "/"}
    made: dict[str, Any] = {"match": match, "action": to(f"{protocol}:1")}
    if policy:
        per_try = {"unit": "s", "value": 5}
        made["retryPolicy"] = {"maxRetries": LIMIT, "perRetryTimeout": per_try, **policy}
    listen = f"{PORTS[protocol]}/{protocol}"
    routes = {"all": {f"{protocol}Route": made}}
    return {"routers": {protocol: {"listen": listen, "routes": routes}}}


@dataclass
class Case:
    weft: Lab
    front: Workload
    app: App
    colors: Colors
    caller: Client
    attempts: Counter[str] = field(default_factory=Counter)
    calls: int = 0

    def judge(self, asked: Asked) -> int:
        self.attempts[asked.headers["call"]] += 1
        return int(asked.headers["status"])

    async def policy(self, protocol: str, policy: dict[str, Any] | None) -> None:
        await self.weft.say(MESH, route(protocol, policy))

    async def attempts_at(self, protocol: str, status: int) -> int:
        """How often a request is sent to a workload that always answers so."""
        self.calls += 1
        call = str(self.calls)
        url = f"http://{protocol}.again.local:{PORTS[protocol]}/"
        answer = await self.front.get(url, {"call": call, "status": str(status)})
        assert answer.status == status
        return self.attempts[call]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    said: dict[str, Any] = {
        "nodes": {
            **{protocol: {"listen": f"{port}/{protocol}"} for protocol, port in PORTS.items()},
            "front": {"calls": [f"{protocol}.again.local" for protocol in PORTS]},
        },
        "services": {f"{protocol}.again.local": f"router {protocol}" for protocol in PORTS},
        "routers": {},
    }
    for protocol in PORTS:
        said["routers"] |= route(protocol, None)["routers"]
    await weft.say(MESH, said)
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(app("served"))
        called = await stack.enter_async_context(colors())
        for protocol in ("http", "http2"):
            await weft.bare(MESH, protocol, {PORTS[protocol]: served})
        await weft.bare(MESH, "grpc", {PORTS["grpc"]: called})
        backend = f"grpc.again.local:{PORTS['grpc']}"
        front = await weft.workload(MESH, "front", backends=[backend])
        caller = await stack.enter_async_context(client(f"127.0.0.1:{front.sockets[backend]}"))
        made = Case(weft, front, served, called, caller)
        served.judge = made.judge
        yield made


@pytest.mark.parametrize("protocol", ["http", "http2"])
@pytest.mark.parametrize("event", OF_EVENT)
async def test_an_http_event_tries_its_own_statuses_again_and_no_others(
    case: Case, protocol: str, event: str
) -> None:
    await case.policy(protocol, {"httpRetryEvents": [event]})

    found = {status for status in TRIED if await case.attempts_at(protocol, status) > 1}
    assert found == OF_EVENT[event]
    for status in sorted(OF_EVENT[event])[:1]:
        assert await case.attempts_at(protocol, status) == 1 + LIMIT


async def test_a_stream_error_is_tried_again(case: Case) -> None:
    """The workload refuses streams before it does anything about them."""
    for event, tried in (("stream-error", 1 + LIMIT), ("client-error", 1)):
        await case.policy("http2", {"httpRetryEvents": [event]})
        case.app.refused_streams = 0
        case.app.refuses_streams = True
        answer = await case.front.get(f"http://http2.again.local:{PORTS['http2']}/")
        case.app.refuses_streams = False

        assert answer.status == 503
        assert case.app.refused_streams == tried


async def test_a_connection_error_is_tried_at_another_replica(case: Case) -> None:
    (dead,) = free_ports(1)
    nobody = App("nobody", port=dead)
    await case.weft.bare(MESH, "http", {PORTS["http"]: nobody})
    try:
        url = f"http://http.again.local:{PORTS['http']}/"
        sent = {"call": "dead", "status": "200"}
        await case.policy("http", {"httpRetryEvents": ["client-error"]})
        found = Counter([(await case.front.get(url, sent)).status for _ in range(20)])
        assert found == {200: 10, 503: 10}

        await case.policy("http", {"tcpRetryEvents": ["connection-error"]})
        found = Counter([(await case.front.get(url, sent)).status for _ in range(20)])
        assert found == {200: 20}
    finally:
        await case.weft.gone(MESH, "http", dead)


async def test_each_try_has_its_own_limit(case: Case) -> None:
    limit = {"unit": "ms", "value": 200}
    await case.policy("http", {"httpRetryEvents": ["server-error"], "perRetryTimeout": limit})
    slow_once = iter([1.0, 0.0, 0.0])
    answer_now = case.app.answer

    async def slow_at_first(asked: Asked) -> tuple[int, str]:
        case.app.latency_seconds = next(slow_once)
        return await answer_now(asked)

    case.app.answer = slow_at_first  # type: ignore[method-assign]
    began = time.monotonic()
    try:
        url = f"http://http.again.local:{PORTS['http']}/"
        answer = await case.front.get(url, {"call": "slow", "status": "200"})
    finally:
        case.app.answer = answer_now  # type: ignore[method-assign]
        case.app.latency_seconds = 0.0
    assert answer.status == 200
    assert 0.2 < time.monotonic() - began < 0.8
    assert case.attempts["slow"] >= 1


@pytest.mark.parametrize("protocol", ["http", "http2"])
async def test_no_retries_means_one_try(case: Case, protocol: str) -> None:
    await case.policy(protocol, {"httpRetryEvents": ["server-error"], "maxRetries": 0})

    assert await case.attempts_at(protocol, 503) == 1


GRPC_EVENTS = {
    "cancelled": grpc.StatusCode.CANCELLED,
    "deadline-exceeded": grpc.StatusCode.DEADLINE_EXCEEDED,
    "internal": grpc.StatusCode.INTERNAL,
    "resource-exhausted": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
}


@pytest.mark.parametrize("event", GRPC_EVENTS)
async def test_a_grpc_event_tries_its_own_status_again_and_no_others(
    case: Case, event: str
) -> None:
    await case.policy("grpc", {"grpcRetryEvents": [event]})
    case.colors.rate = 1.0
    found = {}
    for name, code in GRPC_EVENTS.items():
        case.colors.code = code
        before = case.colors.calls["GetColor"]
        assert await case.caller.call("GetColor") == code.name
        found[name] = case.colors.calls["GetColor"] - before

    assert found == {name: 1 + LIMIT if name == event else 1 for name in GRPC_EVENTS}
