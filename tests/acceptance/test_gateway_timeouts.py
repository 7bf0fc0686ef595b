"""P5, at the gateway: it waits as long as the service's longest route, and each route ends at its own time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.mesh_lab.apps import app
from tests.mesh_lab.doors import Door, door
from tests.mesh_lab.lab import Lab, example, needs_examples

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

HOME = "walkthroughs/howto-timeout-policy/mesh"
MESH = "patient"
SERVICE = "teller.patient.local"
PORT = 8383
ROUTES = {
    "color1": ("colorteller-route1-timeout18s.json", "colorteller-route1.json"),
    "color2": ("colorteller-route2-timeout10s.json", "colorteller-route2.json"),
}
NODES = {
    "ColorTellerWhite": "colorteller-white-vn-timeout20s.json",
    "ColorTellerRed": "colorteller-vn-timeout20s.json",
}


def spec(file: str) -> Any:
    text = (
        example(f"{HOME}/{file}")
        .replace("$DNS_HOSTNAME", '"patient.invalid"')
        .replace("$VIRTUALSERVICE_NAME", json.dumps(SERVICE))
        .replace("$COLOR_TELLER_VS", json.dumps(SERVICE))
        .replace('"port": 80,', f'"port": {PORT},')
    )
    return json.loads(text)["spec"]


@dataclass
class Case:
    weft: Lab
    door: Door

    async def limits(self, color1: int | None, color2: int | None) -> None:
        """Other limits of the service's two routes, in milliseconds; none is App Mesh's own."""
        for path, value in (("color1", color1), ("color2", color2)):
            found = spec(ROUTES[path][1])
            if value is not None:
                found["httpRoute"]["timeout"] = {"perRequest": {"unit": "ms", "value": value}}
            await self.route(path, found)

    async def route(self, path: str, found: Any) -> None:
        place = {"meshName": MESH, "virtualRouterName": "colorteller-vr", "routeName": path}
        await self.weft.ask("update_route", **place, spec=found)

    async def answered(self, path: str, seconds: float) -> tuple[int, float]:
        """The status of a request that takes so long, and when it came."""
        began = time.monotonic()
        found = await self.door.get(path, {"latency": str(seconds)})
        return found.status, time.monotonic() - began


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    place = {"meshName": MESH}
    await weft.ask("create_mesh", **place)
    for node, file in NODES.items():
        await weft.ask("create_virtual_node", **place, virtualNodeName=node, spec=spec(file))
    router = {**place, "virtualRouterName": "colorteller-vr"}
    await weft.ask("create_virtual_router", **router, spec=spec("colorteller-vr.json"))
    for path, (file, _) in ROUTES.items():
        await weft.ask("create_route", **router, routeName=path, spec=spec(file))
    provider = spec("colorteller-vs.json")
    await weft.ask("create_virtual_service", **place, virtualServiceName=SERVICE, spec=provider)
    gateway = {**place, "virtualGatewayName": "public"}
    await weft.ask("create_virtual_gateway", **gateway, spec=spec("publicgateway-vg.json"))
    through = spec("publicgateway-route.json")
    await weft.ask("create_gateway_route", **gateway, gatewayRouteName="all", spec=through)
    async with app("white") as white, app("red") as red:
        for node, found in zip(NODES, (white, red), strict=True):
            await weft.workload(MESH, node, {PORT: found})
        yield Case(weft, await door(weft, MESH, "public", PORT))


async def test_each_route_ends_at_its_own_time_behind_a_gateway(case: Case) -> None:
    await case.limits(1800, 600)
    found = await asyncio.gather(
        case.answered("/color1", 1.4),
        case.answered("/color2", 0.3),
        case.answered("/color1", 2.4),
        case.answered("/color2", 1.2),
    )
    assert [status for status, _ in found] == [200, 200, 504, 504]
    assert 1.75 < found[2][1] < 2.2
    assert 0.55 < found[3][1] < 1.0


async def test_a_limit_of_zero_is_none_at_the_gateway_too(case: Case) -> None:
    await case.limits(0, 600)
    status, _ = await case.answered("/color1", 1.0)
    assert status == 200
    manager = await case.door.get("/color2", {"latency": "1.0"})
    assert manager.status == 504


@pytest.mark.soak
@pytest.mark.timeout(200)
async def test_the_walkthrough_in_its_own_seconds(case: Case) -> None:
    for path, (file, _) in ROUTES.items():
        await case.route(path, spec(file))
    found = await asyncio.gather(
        case.answered("/color1", 17),
        case.answered("/color1", 20),
        case.answered("/color2", 5),
        case.answered("/color2", 12),
    )
    assert [status for status, _ in found] == [200, 504, 200, 504]
    assert 17.5 < found[1][1] < 19
    assert 9.5 < found[3][1] < 11
    await case.limits(None, None)
    (ok, _), (late, took) = await asyncio.gather(
        case.answered("/color1", 12), case.answered("/color1", 17)
    )
    assert (ok, late) == (200, 504)
    assert 14.5 < took < 16, "App Mesh's hidden limit"
