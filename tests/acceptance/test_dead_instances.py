"""A workload whose sidecar is killed is left by its callers within a lease, and a stop at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.mesh_lab.apps import app
from tests.mesh_lab.lab import Lab, Workload, until
from weft.sidecar.registration import LEASE_SECONDS

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

MESH, PORT = "graveyard", 9595
URL = f"http://ghost.graveyard.local:{PORT}/"


@dataclass
class Case:
    weft: Lab
    front: Workload
    replicas: dict[str, Workload]

    async def members(self) -> int:
        cluster = f"cluster.cds_egress_{MESH}_ghost_http_{PORT}"
        name = f"{cluster}.membership_total"
        return (await self.front.stats(f"^{name}$".replace(".", r"\.")))[name]

    async def until_members(self, count: int) -> float:
        """Seconds until the caller's Envoy knows so many endpoints."""
        began = time.monotonic()

        async def so() -> bool:
            return await self.members() == count

        await until(so, 3 * LEASE_SECONDS)
        return time.monotonic() - began


@pytest_asyncio.fixture(loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    place = {"meshName": MESH}
    if not weft.sidecars:
        await weft.ask("create_mesh", **place)
        listener = {"portMapping": {"port": PORT, "protocol": "http"}}
        node = {"listeners": [listener], "serviceDiscovery": {"dns": {"hostname": "g.invalid"}}}
        await weft.ask("create_virtual_node", **place, virtualNodeName="ghost", spec=node)
        await weft.ask(
            "create_virtual_service",
            **place,
            virtualServiceName="ghost.graveyard.local",
            spec={"provider": {"virtualNode": {"virtualNodeName": "ghost"}}},
        )
        backend = {"virtualService": {"virtualServiceName": "ghost.graveyard.local"}}
        await weft.ask(
            "create_virtual_node", **place, virtualNodeName="front", spec={"backends": [backend]}
        )
    async with AsyncExitStack() as stack:
        replicas = {}
        for word in ("boo", "hoo"):
            found = await stack.enter_async_context(app(word))
            replicas[word] = await weft.workload(MESH, "ghost", {PORT: found})
        made = Case(weft, await weft.workload(MESH, "front"), replicas)
        await made.until_members(2)
        yield made
        for each in replicas.values():
            await each.sidecar.stop()
        await made.until_members(0)


async def test_a_stopped_replica_is_left_at_once_and_no_request_fails(case: Case) -> None:
    process = case.replicas["boo"].sidecar.process
    assert process is not None
    process.terminate()

    assert await case.until_members(1) < 2
    assert await case.front.replies(URL, 20) == {"hoo": 20}


async def test_a_killed_replica_costs_no_request_and_is_forgotten_within_its_lease(
    case: Case,
) -> None:
    process = case.replicas["boo"].sidecar.process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()

    # The kernel has ended its Envoy, so callers are refused and try the other one.
    began = time.monotonic()
    replies = await case.front.replies(URL, 100)
    assert replies == {"hoo": 100}, "left at once: a retry goes to another replica"
    assert time.monotonic() - began < LEASE_SECONDS

    assert await case.until_members(1) < LEASE_SECONDS + 3
