"""P11: a canary of five in a hundred for two services, from AWS's Kubernetes manifests, and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
import yaml

from tests.mesh_lab.apps import app
from tests.mesh_lab.lab import Lab, Workload, example, needs_examples
from tests.shares import assert_shares

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

HOME = "examples/apps/djapp"
NAMES = {"dj-app": "radio", "namespace: prod": "namespace: air", ".prod.": ".air."}
PORTS = {"containerPort: 9080": "containerPort: 6160", "port: 9080": "port: 6160"}
MESHED = f"{HOME}/2_meshed_application/meshed_app.yaml"
CANARY = f"{HOME}/3_canary_new_version/v2_app.yaml"
ARTISTS = {
    "jazz-v1": '["Astrud Gilberto","Miles Davis"]',
    "jazz-v2": '["Astrud Gilberto (Bahia, Brazil)","Miles Davis (Alton, Illinois)"]',
    "metal-v1": '["Megadeth","Judas Priest"]',
    "metal-v2": '["Megadeth (Los Angeles, California)","Judas Priest (West Bromwich, England)"]',
}


def url(genre: str) -> str:
    return f"http://{genre}.air.svc.cluster.local:6160/"


def meshed() -> str:
    return example(MESHED, {**NAMES, "name: prod": "name: air", "port: 9080": "port: 6160"})


def canary() -> str:
    return example(CANARY, {k: v for k, v in NAMES.items() if k != "dj-app"} | PORTS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dj(weft: Lab) -> AsyncIterator[Workload]:
    await weft.applied(meshed())
    async with AsyncExitStack() as stack:
        for version in ("jazz-v1", "metal-v1"):
            found = await stack.enter_async_context(app(ARTISTS[version]))
            await weft.bare("radio", f"{version}_air", {6160: found})
        yield await weft.workload("radio", "dj_air")


@pytest.mark.parametrize("genre", ["jazz", "metal"])
async def test_before_the_canary_all_is_the_first_version(dj: Workload, genre: str) -> None:
    assert await dj.replies(url(genre), 50) == {ARTISTS[f"{genre}-v1"]: 50}


async def test_five_in_a_hundred_go_to_the_second_version_until_it_is_taken_away(
    weft: Lab, dj: Workload
) -> None:
    await weft.applied(canary())
    async with AsyncExitStack() as stack:
        for version in ("jazz-v2", "metal-v2"):
            found = await stack.enter_async_context(app(ARTISTS[version]))
            await weft.workload("radio", f"{version}_air", {6160: found})
        for genre in ("jazz", "metal"):
            found_replies = await dj.replies(url(genre), 1000)
            shares = {ARTISTS[f"{genre}-v1"]: 0.95, ARTISTS[f"{genre}-v2"]: 0.05}
            assert_shares(found_replies, shares)

    await weft.applied(meshed())
    for version in ("jazz-v2", "metal-v2"):
        await weft.ask("delete_virtual_node", meshName="radio", virtualNodeName=f"{version}_air")
    for genre in ("jazz", "metal"):
        assert await dj.replies(url(genre), 100) == {ARTISTS[f"{genre}-v1"]: 100}


async def test_the_second_stage_defines_what_the_first_one_routes_to(weft: Lab) -> None:
    kinds = [each["kind"] for each in yaml.safe_load_all(canary()) if each]
    assert kinds.count("VirtualRouter") == kinds.count("VirtualNode") == 2
