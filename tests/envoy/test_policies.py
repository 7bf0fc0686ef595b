"""Weft's own policies, on a real Envoy: what App Mesh could not be told takes effect."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.builders import http_route, state_from, to, view_of
from tests.envoy.programmed import ID, PLAN, Programmed, programmed
from tests.envoy.running import Upstream, ask, free_ports, upstream
from tests.envoy.swapped import Swapped, swapped
from tests.shares import assert_shares
from weft.names import BackendPort, Mode, Ports
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

AMAZON = "CONNECT weft-test.invalid.amazonaws.com:443 HTTP/1.1\nHost: weft-test.invalid.amazonaws.com:443"


@dataclass
class Bench:
    envoy: Swapped
    egress: int
    server: Programmed
    outside: Upstream
    count: int = 0

    async def told(self, *, egress_filter: str = "DROP_ALL", **policies: Any) -> None:
        """Say the mesh with these policies; ``service=…`` is that of the virtual service."""
        names = {"service": "virtualService/shop.local", "node": "virtualNode/web"}
        mesh = {
            "mesh": {"egressFilter": {"type": egress_filter}},
            "nodes": {"web": {"calls": ["shop.local"]}, "shop": {"listen": "9080/http"}},
            "services": {"shop.local": "node shop"},
            "instances": {"shop": {"i": {9080: f"127.0.0.1:{self.server.port}"}}},
            "policies": {names.get(about, about): said for about, said in policies.items()},
        }
        view = view_of("web", Mode.EXPLICIT, Ports(egress=self.egress))
        await self.envoy.say(translate(resolve(state_from(mesh), view)))

    async def ask(self, plan: str) -> tuple[int, int]:
        """The status, and how often the server was asked."""
        self.count += 1
        head = f"GET / HTTP/1.1\nHost: shop.local:9080\n{PLAN}: {plan}\n{ID}: {self.count}"
        return (await ask(self.egress, head)).status, self.server.attempts[str(self.count)]

    async def leaves(self) -> int:
        host = f"0.0.0.0:{self.outside.port}"
        return (await ask(self.egress, f"GET http://{host}/ HTTP/1.1\nHost: {host}")).status


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    (egress,) = free_ports(1)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(programmed())
        outside = await stack.enter_async_context(upstream("outside"))
        envoy = await stack.enter_async_context(swapped(tmp_path_factory.mktemp("policies")))
        yield Bench(envoy, egress, server, outside)


async def served(bench: Bench, said: dict[str, Any], host: str, count: int) -> Counter[int]:
    """The statuses of so many requests to a mesh of one's own."""
    view = view_of("web", Mode.EXPLICIT, Ports(egress=bench.egress))
    await bench.envoy.say(translate(resolve(state_from(said), view)))
    head = f"GET / HTTP/1.1\nHost: {host}"
    return Counter([(await ask(bench.egress, head)).status for _ in range(count)])


async def test_a_target_found_by_dns_keeps_its_share_and_what_fails_goes_elsewhere(
    bench: Bench,
) -> None:
    (nobody,) = free_ports(1)
    found = {"serviceDiscovery": {"dns": {"hostname": "localhost", "ipPreference": "IPv4_ONLY"}}}
    said: dict[str, Any] = {
        "nodes": {
            "web": {"calls": ["shop.local"]},
            "here": {"listen": "9080/http"},
            "gone": {"listen": f"{nobody}/http", **found},
        },
        "services": {"shop.local": "router shop"},
        "routers": {
            "shop": {"listen": "9080/http", "routes": {"all": http_route("here:1", "gone:1")}}
        },
        "instances": {"here": {"i": {9080: f"127.0.0.1:{bench.server.port}"}}},
        "policies": {"mesh": {"reroute": True}},
    }
    assert await served(bench, said, "shop.local:9080", 40) == {200: 40}
    del said["policies"]
    fails = await served(bench, said, "shop.local:9080", 40)
    assert_shares(Counter(map(str, fails.elements())), {"200": 0.5, "503": 0.5})


async def test_connections_of_a_tcp_route_go_to_the_living(bench: Bench) -> None:
    (local,) = free_ports(1)
    split = {"tcpRoute": {"action": to("one:1", "two:1")}}
    said: dict[str, Any] = {
        "nodes": {
            "web": {"calls": ["raw.local"]},
            "one": {"listen": "9070/tcp"},
            "two": {"listen": "9070/tcp"},
        },
        "services": {"raw.local": "router raw"},
        "routers": {"raw": {"listen": "9070/tcp", "routes": {"all": split}}},
        "instances": {"one": {"i": {9070: f"127.0.0.1:{bench.outside.port}"}}},
        "forgotten": ["two"],
        "policies": {"virtualRouter/raw/route/all": {"reroute": True}},
    }
    ports = Ports(egress=bench.egress, backends=(BackendPort("raw.local", 9070, local),))
    view = view_of("web", Mode.EXPLICIT, ports)

    async def answered() -> int:
        await bench.envoy.say(translate(resolve(state_from(said), view)))
        count = 0
        for _ in range(20):
            try:
                count += (await ask(local, "GET / HTTP/1.1\nHost: x")).status == 200
            except (OSError, asyncio.IncompleteReadError):
                continue
        return count

    assert await answered() == 20
    del said["policies"]
    assert 0 < await answered() < 20


async def test_a_service_without_a_router_has_the_retries_of_its_policy(bench: Bench) -> None:
    await bench.told()
    assert await bench.ask("500,200") == (500, 1)
    assert await bench.ask("503,503,200") == (200, 3)

    retry = {
        "maxRetries": 1,
        "perRetryTimeout": {"unit": "s", "value": 5},
        "httpRetryEvents": ["server-error"],
    }
    await bench.told(service={"retryPolicy": retry})
    assert await bench.ask("500,200") == (200, 2)
    assert await bench.ask("503,503,200") == (503, 2)

    await bench.told(service={"retryPolicy": {**retry, "maxRetries": 0}})
    assert await bench.ask("503,200") == (503, 1)


async def test_a_service_without_a_router_has_the_timeouts_of_its_policy(bench: Bench) -> None:
    short = {"unit": "ms", "value": 300}
    for timeout in ({"perRequest": short}, {"idle": short}):
        await bench.told(service={"timeout": timeout})
        began = time.monotonic()
        status, _ = await bench.ask("hang")
        assert status == 504
        assert 0.28 <= time.monotonic() - began < 2.3


async def test_a_node_may_leave_a_mesh_that_keeps_its_others_in(bench: Bench) -> None:
    await bench.told()
    assert await bench.leaves() == 404
    await bench.told(node={"egressFilter": {"type": "ALLOW_ALL"}})
    assert await bench.leaves() == 200
    await bench.told(egress_filter="ALLOW_ALL", node={"egressFilter": {"type": "DROP_ALL"}})
    assert await bench.leaves() == 404


async def test_the_exception_for_amazonaws_can_be_closed(bench: Bench) -> None:
    await bench.told()
    # Nobody has that name; that it was looked up is the proof that it was let out.
    assert (await ask(bench.egress, AMAZON)).status == 503
    await bench.told(mesh={"amazonaws": False})
    assert (await ask(bench.egress, AMAZON)).status == 404
    await bench.told(mesh={"amazonaws": True})
    assert (await ask(bench.egress, AMAZON)).status == 503
