"""Several listeners on a virtual node and its router, matched by port, as in AWS's walkthrough."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.mesh_lab import http2
from tests.mesh_lab.apps import App, app
from tests.mesh_lab.colors import Colors, client, colors
from tests.mesh_lab.lab import Lab, Workload

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

MESH = "grocer"
SERVICE = "food.grocer.local"
FRUIT, VEGETABLE, MODERN, CALLS = 3131, 4242, 5353, 6464
"""Ports of the router; those of the virtual node are a thousand higher."""


def listener(port: int, protocol: str) -> dict[str, Any]:
    return {"portMapping": {"port": port, "protocol": protocol}}


LISTENERS = ((FRUIT, "http"), (VEGETABLE, "http"), (MODERN, "http2"), (CALLS, "grpc"))


@dataclass
class Case:
    weft: Lab
    front: Workload
    apps: dict[int, App]
    colors: Colors


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    place = {"meshName": MESH}
    await weft.ask("create_mesh", **place)
    await weft.ask(
        "create_virtual_node",
        **place,
        virtualNodeName="food",
        spec={
            "listeners": [listener(port + 1000, protocol) for port, protocol in LISTENERS],
            "serviceDiscovery": {"dns": {"hostname": "food.invalid"}},
        },
    )
    await weft.ask(
        "create_virtual_router",
        **place,
        virtualRouterName="food",
        spec={"listeners": [listener(port, protocol) for port, protocol in LISTENERS]},
    )
    for port, protocol in LISTENERS:
        target = {"virtualNode": "food", "weight": 1, "port": port + 1000}
        # No prefix: the port is all that the match says.
        made = {"match": {"port": port}, "action": {"weightedTargets": [target]}}
        await weft.ask(
            "create_route",
            **place,
            virtualRouterName="food",
            routeName=f"at-{port}",
            spec={f"{protocol}Route": made},
        )
    await weft.ask(
        "create_virtual_service",
        **place,
        virtualServiceName=SERVICE,
        spec={"provider": {"virtualRouter": {"virtualRouterName": "food"}}},
    )
    backend = {"virtualService": {"virtualServiceName": SERVICE}}
    await weft.ask(
        "create_virtual_node", **place, virtualNodeName="front", spec={"backends": [backend]}
    )
    async with AsyncExitStack() as stack:
        apps = {}
        for port, word in ((FRUIT, "apple"), (VEGETABLE, "leek"), (MODERN, "quinoa")):
            apps[port] = await stack.enter_async_context(app(word))
        called = await stack.enter_async_context(colors("green"))
        behind = {port + 1000: found for port, found in apps.items()}
        await weft.workload(MESH, "food", {**behind, CALLS + 1000: called})
        local = [f"{SERVICE}:{port}" for port in (MODERN, CALLS)]
        yield Case(weft, await weft.workload(MESH, "front", backends=local), apps, called)


async def test_each_port_leads_to_its_own_listener(case: Case) -> None:
    for _ in range(5):
        assert (await case.front.get(f"http://{SERVICE}:{FRUIT}/")).body == "apple"
        assert (await case.front.get(f"http://{SERVICE}:{VEGETABLE}/")).body == "leek"


async def test_a_port_without_a_listener_is_nowhere(case: Case) -> None:
    assert (await case.front.get(f"http://{SERVICE}:9999/")).status == 404


async def test_http2_stays_http2_from_end_to_end(case: Case) -> None:
    socket = case.front.sockets[f"{SERVICE}:{MODERN}"]
    answers = await http2.requests(socket, 20, SERVICE)

    assert {(each.status, each.body) for each in answers} == {(200, "quinoa")}
    seen = case.apps[MODERN].asked
    assert {each.version for each in seen} == {"HTTP/2"}
    assert {each.headers["host"] for each in seen} == {SERVICE}


async def test_http11_is_carried_over_an_http2_backend(case: Case) -> None:
    answer = await case.front.get(f"http://{SERVICE}:{MODERN}/")
    assert (answer.status, answer.body) == (200, "quinoa")
    assert case.apps[MODERN].asked[-1].version == "HTTP/2"


async def test_grpc_has_a_listener_beside_them(case: Case) -> None:
    async with client(f"127.0.0.1:{case.front.sockets[f'{SERVICE}:{CALLS}']}") as caller:
        assert await caller.call("GetColor") == "green"
