"""``reroute``: requests leave failed targets by themselves, at once, and come back with them."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.builders import http_route, node_spec
from tests.envoy.running import DEADLINE, ask
from tests.envoy.sidecar_harness import Sidecar, eventually, free_port
from tests.load import Load, load
from tests.shares import assert_shares
from weft.model.instance import Instance
from weft.model.policy import POLICIES
from weft.names import Key, Kind, ProxyId, View
from weft.resolve.why import why
from weft.server import Running, serving
from weft.settings import Address, Settings
from weft.store.change import Author, Deregister, Keep, Put, Register, Step

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

ME = Author("ana", "pytest")
COLOURS = ("white", "blue", "red")
ROUTE = Key("shop", Kind.ROUTE, "split", "teller")
WEB = View(ProxyId("shop", Kind.VIRTUAL_NODE, "web"))
URL = "http://teller.local:9080/"

SERVER = """
import asyncio, sys

async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            await asyncio.sleep(0.005)
            body = sys.argv[2].encode()
            writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    print("up", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@dataclass
class Teller:
    """One colour: a process that can be killed as a machine would."""

    colour: str
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def node(self) -> Key:
        return Key("shop", Kind.VIRTUAL_NODE, self.colour)

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SERVER, str(self.port), self.colour),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert await self.process.stdout.readline() == b"up\n"

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    @property
    def registered(self) -> Register:
        return Register(Instance(self.node, "one", ((9080, f"127.0.0.1:{self.port}"),)))


@dataclass
class Shop:
    running: Running
    egress: int
    tellers: dict[str, Teller]

    async def apply(self, *steps: Step) -> None:
        """One revision, in force at every proxy when it returns."""
        applied = await self.running.parts.store.apply(steps, ME)
        patience = timedelta(seconds=DEADLINE)
        settled = await self.running.parts.delivery.wait_settled(applied.revision, patience)
        assert settled.done, settled

    async def reroute(self, on: bool | None, about: Key = ROUTE) -> None:
        await self.apply(Keep(POLICIES, str(about), None if on is None else {"reroute": on}))

    async def split(self, *targets: str) -> None:
        await self.apply(Put(ROUTE, http_route(*targets)))

    async def asked(self, count: int) -> Counter[str]:
        request = f"GET {URL} HTTP/1.1\nHost: teller.local:9080"
        found = [await ask(self.egress, request) for _ in range(count)]
        return Counter(each.body if each.status == 200 else str(each.status) for each in found)

    def summary(self) -> str:
        state = self.running.parts.store.state
        return why(state, "shop", "teller.local", view=WEB).summary


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    directory = tmp_path_factory.mktemp("reroute")
    egress, zero = free_port(), Address("127.0.0.1", 0)
    tellers = {colour: Teller(colour) for colour in COLOURS}
    router = {"listeners": [{"portMapping": {"port": 9080, "protocol": "http"}}]}
    provider = {"provider": {"virtualRouter": {"virtualRouterName": "teller"}}}
    specs: dict[str, Any] = {
        "mesh/shop": {},
        **{f"mesh/shop/virtualNode/{c}": node_spec(c, {"listen": "9080/http"}) for c in COLOURS},
        "mesh/shop/virtualNode/web": node_spec("web", {"calls": ["teller.local"]}),
        "mesh/shop/virtualRouter/teller": router,
        "mesh/shop/virtualService/teller.local": provider,
        str(ROUTE): http_route(*(f"{colour}:1" for colour in COLOURS)),
    }
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            serving(Settings(api=zero, xds=zero, data=directory / "control"))
        )
        for teller in tellers.values():
            stack.push_async_callback(teller.kill)
            await teller.start()
        steps: list[Step] = [Put(Key.parse(key), spec) for key, spec in specs.items()]
        await running.parts.store.apply([*steps, *(t.registered for t in tellers.values())], ME)
        sidecar = Sidecar(directory, str(running.settings.xds), "--egress", str(egress))
        await sidecar.start()
        stack.push_async_callback(sidecar.stop)
        await sidecar.ready()
        yield Shop(running, egress, tellers)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def as_before(shop: Shop) -> AsyncIterator[None]:
    """Every test begins with three that live, an even split, and no policy."""
    for teller in shop.tellers.values():
        if teller.process is None or teller.process.returncode is not None:
            await teller.start()
    await shop.apply(
        Put(ROUTE, http_route(*(f"{colour}:1" for colour in COLOURS))),
        *(teller.registered for teller in shop.tellers.values()),
        Keep(POLICIES, str(ROUTE), None),
        Keep(POLICIES, "mesh/shop", None),
    )
    yield


async def more(result: Load, count: int) -> None:
    """Until so many more have been answered, well or not."""
    before = result.total
    await eventually(lambda: result.total >= before + count)


async def test_without_the_policy_a_dead_targets_share_fails_as_in_app_mesh(shop: Shop) -> None:
    await shop.tellers["red"].kill()
    assert_shares(await shop.asked(150), {"white": 1 / 3, "blue": 1 / 3, "503": 1 / 3})
    await shop.apply(Deregister(shop.tellers["red"].node, "one"))
    assert_shares(await shop.asked(150), {"white": 1 / 3, "blue": 1 / 3, "503": 1 / 3})


async def test_what_dies_in_flight_goes_elsewhere_at_once(shop: Shop) -> None:
    await shop.reroute(True)
    await shop.tellers["red"].kill()
    # It is still registered: no word from the control plane has helped.
    assert_shares(await shop.asked(150), {"white": 1 / 2, "blue": 1 / 2})


async def test_under_load_a_death_and_a_return_cost_no_request(shop: Shop) -> None:
    red = shop.tellers["red"]
    await shop.reroute(True, Key.of_mesh("shop"))
    async with load(shop.egress, URL, per_second=300, allowed=COLOURS) as result:
        await more(result, 150)
        await red.kill()
        await more(result, 300)
        await shop.apply(Deregister(red.node, "one"))
        assert shop.summary().endswith("rerouted: 2 of 3 targets, red has no live instance")
        reds = result.bodies["red"]
        await more(result, 300)
        assert result.bodies["red"] == reds
        await red.start()
        await shop.apply(red.registered)
        result.bodies.clear()
        await more(result, 600)
    assert not result.failures, (result.summary(), result.failures[:5])
    assert_shares(result.bodies, {colour: 1 / 3 for colour in COLOURS})


async def test_when_two_die_the_third_answers_for_all(shop: Shop) -> None:
    await shop.reroute(True)
    await shop.tellers["red"].kill()
    await shop.tellers["blue"].kill()
    assert await shop.asked(100) == {"white": 100}


async def test_a_target_at_zero_is_no_refuge(shop: Shop) -> None:
    await shop.split("white:1", "red:1", "blue:0")
    await shop.reroute(True)
    await shop.tellers["red"].kill()
    assert await shop.asked(60) == {"white": 60}
    await shop.tellers["white"].kill()
    assert await shop.asked(20) == {"503": 20}
    await shop.apply(*(Deregister(shop.tellers[c].node, "one") for c in ("red", "white")))
    assert await shop.asked(20) == {"503": 20}
    assert "no target has a live instance" in shop.summary()


async def test_a_route_that_never_retries_leaves_the_dead_only_once_they_are_known(
    shop: Shop,
) -> None:
    never = {
        "maxRetries": 0,
        "perRetryTimeout": {"unit": "s", "value": 1},
        "httpRetryEvents": ["server-error"],
    }
    targets = (f"{colour}:1" for colour in COLOURS)
    await shop.apply(Put(ROUTE, http_route(*targets, retryPolicy=never)))
    await shop.reroute(True)
    await shop.tellers["red"].kill()
    assert_shares(await shop.asked(150), {"white": 1 / 3, "blue": 1 / 3, "503": 1 / 3})
    await shop.apply(Deregister(shop.tellers["red"].node, "one"))
    assert_shares(await shop.asked(100), {"white": 1 / 2, "blue": 1 / 2})


async def test_a_routes_own_word_wins_over_its_meshs(shop: Shop) -> None:
    await shop.reroute(True, Key.of_mesh("shop"))
    await shop.reroute(False)
    await shop.tellers["red"].kill()
    assert_shares(await shop.asked(150), {"white": 1 / 3, "blue": 1 / 3, "503": 1 / 3})
