"""P2: two services behind one gateway, from AWS's walkthrough, in two meshes with the same names at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.mesh_lab.apps import App, app
from tests.mesh_lab.doors import Door, door
from tests.mesh_lab.lab import Lab, example, needs_examples
from tests.shares import assert_shares

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

HOME = "walkthroughs/howto-ingress-gateway/mesh"
COLORS = ("white", "blue", "black", "red")
SERVICES = {1: "left.fruit.local", 2: "right.fruit.local"}
PORTS = {"lemon": 6161, "orange": 7272}
"""Each mesh's own, in place of the walkthrough's 9080."""
WEIGHTS = {"lemon": (1, 1), "orange": (4, 1)}
"""The walkthrough's, and others."""


def spec(file: str, mesh: str, service: str = "") -> Any:
    """A spec of the walkthrough's without TLS, on the mesh's port."""
    text = (
        example(f"{HOME}/{file}.json")
        .replace("$VIRTUALSERVICE_NAME", json.dumps(service))
        .replace("$DNS_HOSTNAME", '"fruit.invalid"')
        .replace("$CERTIFICATE_ARN", '"arn"')
        .replace('"port": 9080', f'"port": {PORTS[mesh]}')
    )
    found = json.loads(text)["spec"]
    for listener in found.get("listeners", ()):
        listener.pop("tls", None)
    if targets := found.get("httpRoute", {}).get("action", {}).get("weightedTargets"):
        for target, weight in zip(targets, WEIGHTS[mesh], strict=True):
            target["weight"] = weight
    return found


async def go_up(weft: Lab, mesh: str) -> None:
    """What the walkthrough's script creates, in its order."""
    client, place = weft.client(), {"meshName": mesh}

    async def create(kind: str, **asked: Any) -> None:
        await asyncio.to_thread(getattr(client, f"create_{kind}"), **place, **asked)

    await asyncio.to_thread(client.create_mesh, **place, spec={})
    await create("virtual_gateway", virtualGatewayName="colorgateway-vg", spec=spec("colorgateway-vg", mesh))  # fmt: skip
    for color in COLORS:
        name = f"colorteller-{color}-vn"
        await create("virtual_node", virtualNodeName=name, spec=spec(name, mesh))
    for number, service in SERVICES.items():
        router = f"colorteller-vr-{number}"
        await create("virtual_router", virtualRouterName=router, spec=spec(router, mesh))
        provider = spec(f"colorteller-vs-{number}", mesh)
        await create("virtual_service", virtualServiceName=service, spec=provider)
        route = f"colorteller-route-{number}"
        await create("route", virtualRouterName=router, routeName=route, spec=spec(route, mesh))
        gateway_route = f"colorgateway-route-{number}"
        await create(
            "gateway_route",
            virtualGatewayName="colorgateway-vg",
            gatewayRouteName=gateway_route,
            spec=spec(gateway_route, mesh, service),
        )


@dataclass
class Case:
    weft: Lab
    doors: dict[str, Door]
    apps: dict[str, dict[str, App]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    made = Case(weft, {}, {})
    async with AsyncExitStack() as stack:
        for mesh in PORTS:
            await go_up(weft, mesh)
            apps = {c: await stack.enter_async_context(app(f"{mesh} {c}")) for c in COLORS}
            for color, found in apps.items():
                await weft.bare(mesh, f"colorteller-{color}-vn", {PORTS[mesh]: found})
            made.apps[mesh] = apps
            made.doors[mesh] = await door(weft, mesh, "colorgateway-vg", PORTS[mesh])
        await weft.settled()
        yield made


@pytest.mark.parametrize("mesh", PORTS)
@pytest.mark.parametrize(
    ("path", "colors"), [("/color1/tell", ("white", "blue")), ("/color2/tell", ("black", "red"))]
)
async def test_each_service_has_its_prefix_and_its_weights(
    case: Case, mesh: str, path: str, colors: tuple[str, str]
) -> None:
    for color in colors:
        case.apps[mesh][color].asked.clear()
    total = sum(WEIGHTS[mesh])
    expected = {f"{mesh} {c}": w / total for c, w in zip(colors, WEIGHTS[mesh], strict=True)}
    await case.doors[mesh].fits(path, set(expected))
    assert_shares(await case.doors[mesh].replies(path, 200), expected)
    seen = {(a.path, a.headers["host"]) for c in colors for a in case.apps[mesh][c].asked}
    assert seen == {("/tell", SERVICES[int(path[6])])}


@pytest.mark.parametrize("mesh", PORTS)
@pytest.mark.parametrize("path", ["/color1", "/color2/", "/color1/other", "/other", "/"])
async def test_what_no_route_takes_is_404(case: Case, mesh: str, path: str) -> None:
    assert await case.doors[mesh].says(path) == "404"


async def test_down_deletes_everything_in_order_and_nothing_before_its_turn(case: Case) -> None:
    client, place = case.weft.client(), {"meshName": "orange"}

    async def delete(kind: str, **names: str) -> None:
        await asyncio.to_thread(getattr(client, f"delete_{kind}"), **place, **names)

    gateway = {"virtualGatewayName": "colorgateway-vg"}
    for kind, names in (
        ("virtual_gateway", gateway),
        ("virtual_service", {"virtualServiceName": SERVICES[1]}),
        ("virtual_router", {"virtualRouterName": "colorteller-vr-1"}),
        ("virtual_node", {"virtualNodeName": "colorteller-white-vn"}),
        ("mesh", {}),
    ):
        with pytest.raises(client.exceptions.ResourceInUseException):
            await delete(kind, **names)
    for number in SERVICES:
        await delete("gateway_route", **gateway, gatewayRouteName=f"colorgateway-route-{number}")
    await case.weft.settled()
    assert await case.doors["orange"].says("/color1/tell") == "404"
    await delete("virtual_gateway", **gateway)
    for number, service in SERVICES.items():
        await delete("route", virtualRouterName=f"colorteller-vr-{number}", routeName=f"colorteller-route-{number}")  # fmt: skip
        await delete("virtual_service", virtualServiceName=service)
        await delete("virtual_router", virtualRouterName=f"colorteller-vr-{number}")
    for color in COLORS:
        await delete("virtual_node", virtualNodeName=f"colorteller-{color}-vn")
    await delete("mesh")
    meshes = await asyncio.to_thread(client.list_meshes)
    assert [each["meshName"] for each in meshes["meshes"]] == ["lemon"]
    assert (await case.doors["lemon"].says("/color1/tell")).startswith("lemon")
