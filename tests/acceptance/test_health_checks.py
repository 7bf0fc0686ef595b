"""Health checks of all four protocols: a replica that fails its own loses its traffic to the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
import pytest_asyncio

from tests.mesh_lab import http2
from tests.mesh_lab.apps import app, tcp_app
from tests.mesh_lab.colors import client, colors
from tests.mesh_lab.lab import Lab, Workload, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

MESH = "clinic"
PORTS = {"http": 7001, "http2": 7002, "grpc": 7003, "tcp": 7004}
BOTH = {"one", "two"}
INTERVAL_SECONDS = 5


class Patient(Protocol):
    port: int
    healthy: bool


def node(protocol: str) -> dict[str, Any]:
    check = {
        "protocol": protocol,
        "healthyThreshold": 2,
        "unhealthyThreshold": 2,
        "intervalMillis": INTERVAL_SECONDS * 1000,
        "timeoutMillis": 2000,
    }
    if protocol in ("http", "http2"):
        check["path"] = "/ping"
    mapping = {"port": PORTS[protocol], "protocol": protocol}
    return {
        "listeners": [{"portMapping": mapping, "healthCheck": check}],
        "serviceDiscovery": {"dns": {"hostname": f"{protocol}.clinic.invalid"}},
    }


@dataclass
class Case:
    front: Workload
    first: dict[str, Patient]
    stack: AsyncExitStack
    closers: dict[str, AsyncExitStack]

    def socket(self, protocol: str) -> int:
        return self.front.sockets[f"{protocol}.clinic.local:{PORTS[protocol]}"]

    async def ask(self, protocol: str) -> str:
        """Which replica answers."""
        host, socket = f"{protocol}.clinic.local:{PORTS[protocol]}", self.socket(protocol)
        match protocol:
            case "http":
                answer = await self.front.get(f"http://{host}/")
                return answer.body
            case "http2":
                (only,) = await http2.requests(socket, 1, host)
                return only.body
            case "grpc":
                async with client(f"127.0.0.1:{socket}") as caller:
                    return await caller.call("GetColor")
            case _:
                reader, writer = await asyncio.open_connection("127.0.0.1", socket)
                writer.write(b"?\n")
                line = (await reader.readline()).decode()
                writer.close()
                return line.split()[0] if line else "closed"

    async def seen(self, protocol: str, count: int = 12) -> set[str]:
        return {await self.ask(protocol) for _ in range(count)}

    async def stat(self, protocol: str, name: str) -> int:
        cluster = f"cluster.cds_egress_{MESH}_{protocol}_{protocol}_{PORTS[protocol]}"
        found = await self.front.stats(rf"^{cluster}\.{name}$".replace("cluster.", r"cluster\."))
        return found.get(f"{cluster}.{name}", 0)

    async def fall_ill(self, protocol: str) -> None:
        if protocol == "tcp":
            # Nothing but a port that is closed is ill.
            await self.closers["tcp"].aclose()
        else:
            self.first[protocol].healthy = False


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    place = {"meshName": MESH}
    await weft.ask("create_mesh", **place)
    for protocol in PORTS:
        await weft.ask(
            "create_virtual_node", **place, virtualNodeName=protocol, spec=node(protocol)
        )
        await weft.ask(
            "create_virtual_service",
            **place,
            virtualServiceName=f"{protocol}.clinic.local",
            spec={"provider": {"virtualNode": {"virtualNodeName": protocol}}},
        )
    backends = [
        {"virtualService": {"virtualServiceName": f"{protocol}.clinic.local"}} for protocol in PORTS
    ]
    await weft.ask(
        "create_virtual_node", **place, virtualNodeName="front", spec={"backends": backends}
    )
    async with AsyncExitStack() as stack:
        first: dict[str, Any] = {}
        closers = {protocol: AsyncExitStack() for protocol in PORTS}
        makers: dict[str, Any] = {"http": app, "http2": app, "grpc": colors, "tcp": tcp_app}
        for protocol, port in PORTS.items():
            for word in ("one", "two"):
                of = closers[protocol] if word == "one" else stack
                made = await of.enter_async_context(makers[protocol](word))
                if word == "one":
                    first[protocol] = made
                await weft.bare(MESH, protocol, {port: made})
            stack.push_async_callback(closers[protocol].aclose)
        front = await weft.workload(
            MESH, "front", backends=[f"{each}.clinic.local:{PORTS[each]}" for each in PORTS]
        )
        yield Case(front, first, stack, closers)


async def test_a_replica_that_fails_its_check_gets_nothing_until_it_is_well(case: Case) -> None:
    """All four at once: an interval is App Mesh's shortest, five seconds."""

    async def healthy(protocol: str, count: int) -> None:
        async def so() -> bool:
            return await case.stat(protocol, "health_check.healthy") == count

        await until(so, 4 * INTERVAL_SECONDS)

    async def one(protocol: str) -> None:
        await healthy(protocol, 2)
        assert await case.seen(protocol) == BOTH
        assert await case.stat(protocol, "health_check.success") >= 2

        await case.fall_ill(protocol)
        await healthy(protocol, 1)
        assert await case.stat(protocol, "health_check.failure") >= 1

        async def left() -> bool:
            return await case.seen(protocol) == {"two"}

        await until(left, 5)
        if protocol == "tcp":
            return
        case.first[protocol].healthy = True
        await healthy(protocol, 2)

        async def back() -> bool:
            return await case.seen(protocol) == BOTH

        await until(back, 5)

    async with asyncio.TaskGroup() as tasks:
        for protocol in PORTS:
            tasks.create_task(one(protocol))
