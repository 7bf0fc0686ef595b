"""TCP by weight: two versions of a server that speaks first, and a switch from one to the other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.envoy.running import DEADLINE
from tests.mesh_lab.apps import TcpApp, tcp_app
from tests.mesh_lab.lab import Lab, Workload, until
from tests.shares import assert_shares

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

PORT = 2702
MESH = "lines"
BACKEND = f"echo.lines.local:{PORT}"
ROUTE = {"meshName": MESH, "virtualRouterName": "echo-vr", "routeName": "echo"}


def node(idle: dict[str, Any] | None = None) -> dict[str, Any]:
    listener: dict[str, Any] = {"portMapping": {"port": PORT, "protocol": "tcp"}}
    if idle:
        listener["timeout"] = {"tcp": {"idle": idle}}
    return {"listeners": [listener], "serviceDiscovery": {"dns": {"hostname": "echo.invalid"}}}


def route(idle: dict[str, Any] | None = None, **weights: int) -> dict[str, Any]:
    targets = [{"virtualNode": f"echo-{name}", "weight": weights[name]} for name in weights]
    found: dict[str, Any] = {"action": {"weightedTargets": targets}, "match": {"port": PORT}}
    if idle:
        found["timeout"] = {"idle": idle}
    return {"tcpRoute": found}


@dataclass
class Case:
    weft: Lab
    client: Workload
    versions: dict[str, TcpApp]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.client.sockets[BACKEND])

    async def call(self) -> str:
        """The banner, which comes unasked, and the answer to a line."""
        async with asyncio.timeout(DEADLINE):
            reader, writer = await self.connect()
            try:
                banner = await reader.readline()
                writer.write(b"hello\n")
                answer = await reader.readline()
            finally:
                writer.close()
        assert banner.split()[1] + b" hello\n" == answer, "one connection, one server"
        return banner.split()[1].decode()

    async def calls(self, count: int) -> Counter[str]:
        return Counter([await self.call() for _ in range(count)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    place = {"meshName": MESH}
    await weft.ask("create_mesh", **place)
    for version in ("one", "two"):
        await weft.ask(
            "create_virtual_node", **place, virtualNodeName=f"echo-{version}", spec=node()
        )
    listener = {"portMapping": {"port": PORT, "protocol": "tcp"}}
    await weft.ask(
        "create_virtual_router",
        **place,
        virtualRouterName="echo-vr",
        spec={"listeners": [listener]},
    )
    await weft.ask("create_route", **ROUTE, spec=route(one=100, two=0))
    await weft.ask(
        "create_virtual_service",
        **place,
        virtualServiceName="echo.lines.local",
        spec={"provider": {"virtualRouter": {"virtualRouterName": "echo-vr"}}},
    )
    backend = {"virtualService": {"virtualServiceName": "echo.lines.local"}}
    await weft.ask(
        "create_virtual_node", **place, virtualNodeName="client", spec={"backends": [backend]}
    )
    async with AsyncExitStack() as stack:
        versions = {}
        for version in ("one", "two"):
            banner = f"welcome {version}\n".encode()
            versions[version] = await stack.enter_async_context(tcp_app(version, banner))
        await weft.workload(MESH, "echo-one", {PORT: versions["one"]})
        await weft.bare(MESH, "echo-two", {PORT: versions["two"]})
        yield Case(weft, await weft.workload(MESH, "client", backends=[BACKEND]), versions)


async def test_connections_are_shared_by_weight_and_switched_over(case: Case) -> None:
    for weights in ({"one": 100, "two": 0}, {"one": 3, "two": 1}, {"one": 0, "two": 100}):
        await case.weft.update("route", **ROUTE, spec=route(**weights))

        total = sum(weights.values())
        expected = {name: weight / total for name, weight in weights.items()}
        assert_shares(await case.calls(200), expected)


async def test_an_open_connection_outlives_a_switch(case: Case) -> None:
    await case.weft.update("route", **ROUTE, spec=route(one=1))
    reader, writer = await case.connect()
    assert await reader.readline() == b"welcome one\n"
    await case.weft.update("route", **ROUTE, spec=route(two=1))

    writer.write(b"still here\n")
    assert await reader.readline() == b"one still here\n"
    writer.close()
    assert await case.call() == "two"


@pytest.mark.parametrize("where", ["route", "listener"])
async def test_a_silent_connection_is_closed_at_its_idle_timeout(case: Case, where: str) -> None:
    idle = {"unit": "ms", "value": 300}
    given = idle if where == "route" else None
    await case.weft.update("route", **ROUTE, spec=route(given, one=1))
    listens = node(idle if where == "listener" else None)
    await case.weft.update("virtual_node", meshName=MESH, virtualNodeName="echo-one", spec=listens)

    loop = asyncio.get_running_loop()
    reader, writer = await case.connect()
    assert await reader.readline() == b"welcome one\n"
    began = loop.time()
    assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
    assert 0.25 < loop.time() - began < 0.8
    writer.close()


async def test_a_weighted_version_without_a_replica_keeps_its_share(case: Case) -> None:
    await case.weft.update("virtual_node", meshName=MESH, virtualNodeName="echo-one", spec=node())
    await case.weft.ask(
        "create_virtual_node", meshName=MESH, virtualNodeName="echo-none", spec=node()
    )
    await case.weft.update("route", **ROUTE, spec=route(one=1, none=0))

    async def reached() -> bool:
        return await case.call() == "one"

    await until(reached)
    assert await case.calls(20) == {"one": 20}
