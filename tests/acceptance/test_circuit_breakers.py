"""P9: of fifty callers of a slow workload fifteen come through, in two meshes that know nothing of each other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.envoy.running import Answer
from tests.mesh_lab.apps import App, app
from tests.mesh_lab.lab import Lab, Workload, example, needs_examples, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

HOME = "walkthroughs/howto-circuit-breakers/mesh"
PORT = 5150
URL = f"http://teller.breakers.local:{PORT}/tell"
CALLS = 50
LIMITS = {"east": (10, 5), "west": (7, 3)}


@dataclass
class Side:
    mesh: str
    teller: App
    front: Workload
    server: Workload

    async def stats(self) -> dict[str, int]:
        prefix = f"cluster.cds_ingress_{self.mesh}_teller-vn_http_{PORT}."
        found = await self.server.stats(f"^{prefix}".replace(".", r"\."))
        return {name.removeprefix(prefix): value for name, value in found.items()}


def spec(file: str, **variables: str) -> Any:
    """A spec of the walkthrough's, with the variables that its script would fill in."""
    text = example(f"{HOME}/{file}", {"9080": str(PORT)})
    for name, value in variables.items():
        text = text.replace(f"${name}", json.dumps(value))
    return json.loads(text)["spec"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sides(weft: Lab) -> AsyncIterator[list[Side]]:
    async with AsyncExitStack() as stack:
        made = []
        for mesh in LIMITS:
            place = {"meshName": mesh}
            await weft.ask("create_mesh", **place)
            node = spec("colorteller-white-vn.json", DNS_HOSTNAME="teller.invalid")
            await weft.ask("create_virtual_node", **place, virtualNodeName="teller-vn", spec=node)
            provider = {"virtualNode": {"virtualNodeName": "teller-vn"}}
            await weft.ask(
                "create_virtual_service",
                **place,
                virtualServiceName="teller.breakers.local",
                spec={"provider": provider},
            )
            backend = {"virtualService": {"virtualServiceName": "teller.breakers.local"}}
            await weft.ask(
                "create_virtual_node",
                **place,
                virtualNodeName="front-vn",
                spec={"backends": [backend]},
            )
            teller = await stack.enter_async_context(app(f"white of {mesh}"))
            server = await weft.workload(mesh, "teller-vn", {PORT: teller})
            front = await weft.workload(mesh, "front-vn")
            made.append(Side(mesh, teller, front, server))
        yield made


async def fifty(side: Side, connections: int, pending: int) -> list[Answer]:
    """
    Fifty calls at once of a workload that is busy.

    The first ones are sent one after the other: while a connection is being opened, its
    request counts as pending, and a burst would meet that limit alone.
    """
    side.teller.gate = asyncio.Event()
    calls = []

    async def reads(name: str, value: int) -> None:
        seen = 0

        async def so() -> bool:
            nonlocal seen
            seen = (await side.stats())[name]
            return seen == value

        try:
            await until(so, 10)
        except AssertionError:
            raise AssertionError(f"{name} is {seen}, and not {value}") from None

    for busy in range(1, connections + 1):
        calls.append(asyncio.create_task(side.front.get(URL)))
        await reads("upstream_rq_active", busy)
    before = (await side.stats())["upstream_rq_pending_overflow"]
    calls += [asyncio.create_task(side.front.get(URL)) for _ in range(CALLS - connections)]
    await reads("upstream_rq_pending_active", pending)
    turned_away = CALLS - connections - pending

    async def told() -> bool:
        return sum(each.done() for each in calls) == turned_away

    await until(told)
    found = await side.stats()
    # App Mesh's hidden policy tries again what was turned away, in vain.
    assert found["upstream_rq_pending_overflow"] - before >= 3 * turned_away
    assert found["upstream_cx_active"] == connections
    assert found["circuit_breakers.default.cx_open"] == 1
    assert found["circuit_breakers.default.rq_pending_open"] == 1
    side.teller.gate.set()
    answers: list[Answer] = await asyncio.gather(*calls)
    side.teller.gate = None
    return answers


async def test_without_a_limit_all_fifty_are_answered(sides: list[Side]) -> None:
    for side in sides:
        side.teller.gate = asyncio.Event()
        calls = [asyncio.create_task(side.front.get(URL)) for _ in range(CALLS)]

        async def all_busy(side: Side = side) -> bool:
            return side.teller.busy == CALLS

        await until(all_busy)
        side.teller.gate.set()
        answers = await asyncio.gather(*calls)
        assert [each.body for each in answers] == [f"white of {side.mesh}"] * CALLS
        side.teller.gate = None


async def test_fifteen_of_fifty_come_through_and_the_others_are_told(
    weft: Lab, sides: list[Side]
) -> None:
    for side in sides:
        connections, pending = LIMITS[side.mesh]
        limited = spec("colorteller-white-vn-update.json", DNS_HOSTNAME="teller.invalid")
        (listener,) = limited["listeners"]
        assert listener["connectionPool"]["http"] == {"maxConnections": 10, "maxPendingRequests": 5}
        listener["connectionPool"]["http"] = {
            "maxConnections": connections,
            "maxPendingRequests": pending,
        }
        await weft.update(
            "virtual_node", meshName=side.mesh, virtualNodeName="teller-vn", spec=limited
        )

    for side in sides:
        connections, pending = LIMITS[side.mesh]
        answers = await fifty(side, connections, pending)

        let_through = [each for each in answers if each.status == 200]
        assert len(let_through) == connections + pending
        assert {each.body for each in let_through} == {f"white of {side.mesh}"}
        refused = [each for each in answers if each.status != 200]
        assert {each.status for each in refused} == {503}
        assert all("x-envoy-overloaded: true" in each.headers for each in refused)
        assert all(each.body.startswith("upstream connect error") for each in refused)
        assert all(each.body.endswith("reset reason: overflow") for each in refused)
        assert (await side.front.get(URL)).status == 200, "closed again"
