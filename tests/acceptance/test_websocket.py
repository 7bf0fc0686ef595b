"""A WebSocket through two proxies: both ends leave HTTP and go on talking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.envoy.running import DEADLINE
from tests.mesh_lab.apps import app
from tests.mesh_lab.lab import Lab, Workload

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

HOST = "chat.parlour.local:8484"
REQUEST = (
    f"GET http://{HOST}/room HTTP/1.1\r\nHost: {HOST}\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(weft: Lab) -> AsyncIterator[Workload]:
    place = {"meshName": "parlour"}
    await weft.ask("create_mesh", **place)
    # A limit for requests, which a conversation outlives.
    limit = {"http": {"perRequest": {"unit": "ms", "value": 400}}}
    listener = {"portMapping": {"port": 8484, "protocol": "http"}, "timeout": limit}
    node = {"listeners": [listener], "serviceDiscovery": {"dns": {"hostname": "chat.invalid"}}}
    await weft.ask("create_virtual_node", **place, virtualNodeName="chat", spec=node)
    await weft.ask(
        "create_virtual_service",
        **place,
        virtualServiceName="chat.parlour.local",
        spec={"provider": {"virtualNode": {"virtualNodeName": "chat"}}},
    )
    backend = {"virtualService": {"virtualServiceName": "chat.parlour.local"}}
    await weft.ask(
        "create_virtual_node", **place, virtualNodeName="front", spec={"backends": [backend]}
    )
    async with app("heard") as chat:
        await weft.workload("parlour", "chat", {8484: chat})
        yield await weft.workload("parlour", "front")


async def test_both_ends_talk_on_after_the_upgrade(front: Workload) -> None:
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", front.egress)
        writer.write(REQUEST.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 101")
        assert "upgrade: websocket" in head

        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        while loop.time() - began < 1.2:
            writer.write(f"line {number}\n".encode())
            assert await reader.readline() == f"heard line {number}\n".encode()
            number += 1
            await asyncio.sleep(0.1)
        writer.close()


async def test_many_conversations_at_once_stay_apart(front: Workload) -> None:
    async def talk(name: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.egress)
        writer.write(REQUEST.encode())
        await reader.readuntil(b"\r\n\r\n")
        for i in range(10):
            writer.write(f"{name} {i}\n".encode())
            assert await reader.readline() == f"heard {name} {i}\n".encode()
        writer.close()

    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(talk(f"guest {i}") for i in range(20)))
