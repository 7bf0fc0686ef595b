"""P1, the rest of it: Color App's stack deployed again and again, grown by Fargate's, and wiped out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.mesh_lab.apps import App, app
from tests.mesh_lab.lab import Lab, Workload, example, needs_examples
from tests.shares import assert_shares

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

MESH, DOMAIN, PORT = "palette", "palette.test", 9191
HOME = "examples/apps/colorapp/servicemesh"
PORTS = {"Port: 9080": f"Port: {PORT}"}
PARAMETERS = {
    "EnvironmentName": "STUDIO",
    "AppMeshMeshName": MESH,
    "ServicesDomain": DOMAIN,
}
URL = f"http://colorteller.{DOMAIN}:{PORT}/"
SHIPPED = ("white", "blue", "red")


@dataclass
class Case:
    weft: Lab
    gateway: Workload
    apps: dict[str, App]

    async def deploy(self, template: str) -> None:
        # Parameters are given once; every later update keeps them.
        await self.weft.deployed("colorapp", template)

    async def shares(self, count: int = 300) -> Any:
        found = await self.gateway.replies(URL, count)
        assert set(found) <= set(self.apps), "an error is no colour"
        return found


def shipped() -> str:
    return example(f"{HOME}/appmesh-colorapp.yaml", PORTS)


def routed(**weights: int) -> str:
    """The stack's template with other targets on its route, as an editor would leave it."""
    targets = "".join(
        f"              - VirtualNode: colorteller-{color}-vn\n                Weight: {weight}\n"
        for color, weight in weights.items()
    )
    head, _, tail = shipped().partition("WeightedTargets:\n")
    _, match, rest = tail.partition("          Match:")
    return f"{head}WeightedTargets:\n{targets}{match}{rest}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    await weft.deployed(
        "mesh",
        example("examples/infrastructure/appmesh-mesh.yaml"),
        EnvironmentName="STUDIO",
        AppMeshMeshName=MESH,
    )
    await weft.deployed("colorapp", shipped(), **PARAMETERS)
    async with AsyncExitStack() as stack:
        apps = {}
        for color in ("white", "blue", "red", "black", "green"):
            apps[color] = await stack.enter_async_context(app(color))
        await weft.workload(MESH, "colorteller-white-vn", {PORT: apps["white"]})
        for color in ("blue", "red", "black"):
            await weft.bare(MESH, f"colorteller-{color}-vn", {PORT: apps[color]})
        yield Case(weft, await weft.workload(MESH, "colorgateway-vn"), apps)


async def test_the_stack_deployed_again_with_another_route_moves_the_traffic(case: Case) -> None:
    assert_shares(await case.shares(600), dict.fromkeys(SHIPPED, 1 / 3))
    black = case.apps["black"]
    assert not black.asked, "there from the start, and never chosen"

    await case.deploy(routed(black=1))
    assert_shares(await case.shares(60), {"black": 1})
    await case.deploy(routed(red=1, blue=1))
    assert_shares(await case.shares(), {"red": 0.5, "blue": 0.5})
    await case.deploy(routed(blue=1))
    assert_shares(await case.shares(60), {"blue": 1})
    await case.deploy(routed(blue=1, red=2))
    assert_shares(await case.shares(), {"blue": 1 / 3, "red": 2 / 3})


async def test_a_workload_that_no_route_leads_to_is_healthy_all_the_same(case: Case) -> None:
    await case.deploy(shipped())
    shares = await case.shares(30)
    assert "black" not in shares

    instances = case.weft.running.parts.store.state.workloads
    assert "colorteller-black-vn" in {node.name for node in instances}


async def test_the_stack_of_fargate_adds_green_to_the_stack_there_is(case: Case) -> None:
    template = example("walkthroughs/fargate/appmesh-colorapp.yaml", PORTS)
    await case.deploy(template)
    await case.weft.bare(MESH, "colorteller-green-vn", {PORT: case.apps["green"]})
    assert_shares(await case.shares(), {"blue": 2 / 3, "green": 1 / 3})

    names = {"virtualRouterName": "colorteller-vr", "routeName": "colorteller-route"}
    for weights in ({"blue": 1, "green": 2}, {"green": 1}):
        targets = [
            {"virtualNode": f"colorteller-{color}-vn", "weight": weight}
            for color, weight in weights.items()
        ]
        spec = {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}}
        await case.weft.update("route", meshName=MESH, **names, spec=spec)
        total = sum(weights.values())
        expected = {color: weight / total for color, weight in weights.items()}
        assert_shares(await case.shares(), expected)

    await case.deploy(shipped())
    assert_shares(await case.shares(), dict.fromkeys(SHIPPED, 1 / 3))


WIPE_OUT = [
    ("virtual_service", "virtualServices", ""),
    ("route", "routes", "virtualRouterName"),
    ("virtual_router", "virtualRouters", ""),
    ("virtual_node", "virtualNodes", ""),
]
"""What is deleted, in the order of the example's own script."""


async def test_wiping_out_a_mesh_leaves_nothing_to_list(case: Case) -> None:
    """Last: the mesh is gone afterwards. Another one stays as it is."""
    await case.weft.ask("create_mesh", meshName="other")
    place = {"meshName": MESH}

    async def names(kind: str, member: str, **parent: str) -> list[str]:
        found = await case.weft.ask(f"list_{kind}s", **place, **parent)
        return [each[f"{member[:-1]}Name"] for each in found[member]]

    for kind, member, parent in WIPE_OUT:
        owners = await names("virtual_router", "virtualRouters") if parent else [""]
        for owner in owners:
            of = {parent: owner} if owner else {}
            for name in await names(kind, member, **of):
                key = f"{member[:-1]}Name"
                await case.weft.ask(f"delete_{kind}", **place, **of, **{key: name})
    await case.weft.ask("delete_mesh", **place)

    meshes = (await case.weft.aws("appmesh", "list-meshes"))["meshes"]
    assert [each["meshName"] for each in meshes] == ["other"]
    answer = await case.gateway.get(URL)
    assert answer.status in (200, 404), "the last good configuration, or none; never half of one"
