"""P7: gRPC by method, with retries and a health check, from AWS's stack; and matches by metadata."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc
import pytest
import pytest_asyncio

from tests.mesh_lab.colors import Client, Colors, client, colors
from tests.mesh_lab.lab import Lab, Workload, example, needs_examples, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

HOME = "walkthroughs/howto-grpc"
NAMES = {"virtual-router": "hue-router", "color_server": "hue_server"}
SERVICE = "hue_server.hues.local"
BACKEND = f"{SERVICE}:7575"
MESH = "hues-mesh"
CLUSTER = f"cds_egress_{MESH}_hue_server_grpc_7575"


@dataclass
class Case:
    weft: Lab
    server: Colors
    front: Workload
    client: Client

    async def route(self, file: str) -> None:
        found = json.loads(example(f"{HOME}/mesh/{file}", NAMES))
        await self.weft.update("route", meshName=MESH, **found)

    async def stat(self, name: str) -> int:
        found = await self.front.stats(rf"^cluster\.{CLUSTER}\.{name}$")
        return found.get(f"cluster.{CLUSTER}.{name}", 0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    template = example(f"{HOME}/mesh.yaml", {**NAMES, "Port: 8080": "Port: 7575"})
    await weft.deployed("hues", template, ProjectName="hues")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(colors())
        await weft.workload(MESH, "hue_server", {7575: server})
        front = await weft.workload(MESH, "color_client", backends=[BACKEND])
        caller = await stack.enter_async_context(client(f"127.0.0.1:{front.sockets[BACKEND]}"))
        yield Case(weft, server, front, caller)


async def test_only_the_method_of_the_route_is_served(case: Case) -> None:
    assert await case.client.call("GetColor") == "no_color"
    assert await case.client.call("SetColor", "blue") == "UNIMPLEMENTED"
    assert case.server.calls["SetColor"] == 0


async def test_with_the_route_for_all_methods_the_colour_can_be_set(case: Case) -> None:
    await case.route("route-all-methods.json")

    assert await case.client.call("SetColor", "blue") == "no_color", "the one before"
    assert await case.client.call("GetColor") == "blue"
    assert await case.client.call("/other.Service/GetColor") == "UNIMPLEMENTED"


async def test_with_three_retries_fifteen_of_sixteen_flaky_calls_succeed(case: Case) -> None:
    await case.route("route-retries.json")
    case.server.code, case.server.rate = grpc.StatusCode.INTERNAL, 0.5
    before = case.server.calls["GetColor"]

    async def some() -> Counter[str]:
        return Counter([await case.client.call("GetColor") for _ in range(40)])

    found = sum(await asyncio.gather(*(some() for _ in range(10))), Counter[str]())

    assert set(found) <= {"blue", "INTERNAL"}
    assert 355 <= found["blue"] <= 394, "375, give or take four sigma"
    assert case.server.calls["GetColor"] - before <= 4 * 400
    assert await case.stat("upstream_rq_retry") > 200
    assert await case.stat("upstream_rq_retry_success") > 100
    case.server.code = None


async def test_without_the_event_a_flaky_call_is_not_tried_again(case: Case) -> None:
    await case.route("route-all-methods.json")
    case.server.code, case.server.rate = grpc.StatusCode.INTERNAL, 1.0
    before = case.server.calls["GetColor"]

    assert await case.client.call("GetColor") == "INTERNAL"
    assert case.server.calls["GetColor"] - before == 1
    case.server.code = grpc.StatusCode.UNAVAILABLE
    assert await case.client.call("GetColor") == "UNAVAILABLE"
    assert case.server.calls["GetColor"] - before == 1 + 3, "App Mesh's two hidden retries"
    case.server.code = None


async def test_the_health_check_asks_the_standard_service(case: Case) -> None:
    async def checked() -> bool:
        return await case.stat("health_check.success") > 0

    await until(checked)
    assert case.server.pings > 0
    assert await case.stat("health_check.healthy") == 1


async def test_a_limit_of_the_route_ends_a_call_and_a_stream_passes(case: Case) -> None:
    found = json.loads(example(f"{HOME}/mesh/route-all-methods.json", NAMES))
    limit = {"perRequest": {"unit": "ms", "value": 200}}
    found["spec"]["grpcRoute"]["timeout"] = limit
    await case.weft.update("route", meshName=MESH, **found)
    case.server.latency_seconds = 1.0
    assert await case.client.call("GetColor") == "UNAVAILABLE"
    case.server.latency_seconds = 0.0

    stream = case.client.channel.unary_stream("/color.ColorService/Watch")(b"")
    assert [each async for each in stream] == [b"blue"] * 3


@pytest.mark.parametrize(
    ("match", "metadata", "routed"),
    [
        ({"exact": "gold"}, "gold", True),
        ({"exact": "gold"}, "golden", False),
        ({"prefix": "go"}, "gold", True),
        ({"suffix": "ld"}, "gold", True),
        ({"suffix": "ld"}, "golden", False),
        ({"regex": "g.*d"}, "gold", True),
        ({"regex": "g.*d"}, "golden", False),
        ({"range": {"start": 10, "end": 20}}, "19", True),
        ({"range": {"start": 10, "end": 20}}, "20", False),
        (None, "anything", True),
        (None, None, False),
    ],
)
async def test_calls_are_matched_by_their_metadata(
    case: Case, match: dict[str, object] | None, metadata: str | None, routed: bool
) -> None:
    found = json.loads(example(f"{HOME}/mesh/route-all-methods.json", NAMES))
    for invert in (False, True):
        wanted = {"name": "tier", "invert": invert} | ({"match": match} if match else {})
        found["spec"]["grpcRoute"]["match"] = {
            "serviceName": "color.ColorService",
            "metadata": [wanted],
        }
        await case.weft.update("route", meshName=MESH, **found)

        sent = {} if metadata is None else {"tier": metadata}
        answer = await case.client.call("GetColor", metadata=sent)
        assert answer == ("blue" if routed is not invert else "UNIMPLEMENTED")
