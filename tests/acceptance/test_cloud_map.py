"""P10: two colours under one service of Cloud Map, told apart by an attribute, from AWS's stack."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from tests.envoy.running import free_ports
from tests.mesh_lab.apps import app
from tests.mesh_lab.lab import Lab, Workload, example, needs_examples, until
from tests.shares import assert_shares

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

FILE = "walkthroughs/howto-servicediscovery-cloudmap/mesh.yaml"
STACKS = ("harbour", "airport")
NO_REPLICA = "503 no healthy upstream"


@dataclass
class Stack:
    """One stack, whose name is in every name of its mesh, and the callers of its service."""

    weft: Lab
    name: str
    front: Workload
    port: int
    service: str
    hosts: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://colorteller.{self.name}.local:{self.port}/"

    async def cloud_map(self, operation: str, instance: str, **asked: Any) -> None:
        await self.weft.ask(
            operation, "servicediscovery", ServiceId=self.service, InstanceId=instance, **asked
        )

    async def register(self, color: str, instance: str, host: str, **attributes: str) -> None:
        given = {"AWS_INSTANCE_IPV4": host, "ECS_TASK_DEFINITION_FAMILY": color, **attributes}
        await self.cloud_map("register_instance", instance, Attributes=given)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stacks(weft: Lab) -> AsyncIterator[list[Stack]]:
    made = []
    async with AsyncExitStack() as stack:
        for i, name in enumerate(STACKS):
            # The port of an instance is its virtual node's: each stack has its own.
            (port,) = free_ports(1)
            template = example(FILE, {"Port: 9080": f"Port: {port}"})
            await weft.deployed(name, template)
            node = {
                "backends": [
                    {"virtualService": {"virtualServiceName": f"colorteller.{name}.local"}}
                ]
            }
            await weft.ask("create_virtual_node", meshName=name, virtualNodeName="front", spec=node)
            namespace = await weft.ask(
                "create_http_namespace", "servicediscovery", Name=f"{name}.local"
            )
            done = await weft.ask(
                "get_operation", "servicediscovery", OperationId=namespace["OperationId"]
            )
            service = await weft.ask(
                "create_service",
                "servicediscovery",
                Name="colorteller",
                NamespaceId=done["Operation"]["Targets"]["NAMESPACE"],
                HealthCheckCustomConfig={"FailureThreshold": 1},
            )
            found = Stack(
                weft, name, await weft.workload(name, "front"), port, service["Service"]["Id"]
            )
            for j, color in enumerate(("blue", "green", "blue-2")):
                host = f"127.0.{10 + i}.{10 + j}"
                found.hosts[color] = host
                await stack.enter_async_context(app(f"{name} {color}", host, port))
            made.append(found)
        yield made


async def test_two_colours_under_one_service_share_and_leave_as_they_are_registered(
    stacks: list[Stack],
) -> None:
    for stack in stacks:
        assert await stack.front.replies(stack.url, 4) == {NO_REPLICA: 4}
        await stack.register("blue", "one", stack.hosts["blue"])
        await stack.register("green", "two", stack.hosts["green"])
        blue, green = f"{stack.name} blue", f"{stack.name} green"
        assert_shares(await stack.front.replies(stack.url, 400), {blue: 0.5, green: 0.5})

    for stack in stacks:
        blue, second = f"{stack.name} blue", f"{stack.name} blue-2"
        await stack.cloud_map("deregister_instance", "two")
        # What no route leads away from keeps its share, as in App Mesh.
        assert_shares(await stack.front.replies(stack.url, 400), {blue: 0.5, NO_REPLICA: 0.5})

        await stack.register("blue", "three", stack.hosts["blue-2"])
        # Its health is checked first, and Envoy tells its balancer once a second.
        await stack.front.fits(stack.url, {blue, second, NO_REPLICA})
        found = await stack.front.replies(stack.url, 400)
        assert_shares(found, {blue: 0.25, second: 0.25, NO_REPLICA: 0.5})


async def test_a_change_reaches_envoy_within_a_second(stacks: list[Stack]) -> None:
    stack = stacks[0]
    cluster = f"cds_egress_{stack.name}_colorteller-blue-node_http_{stack.port}"
    pattern = rf"^cluster\.{cluster}\.membership_total$"

    async def members() -> int:
        return (await stack.front.stats(pattern))[f"cluster.{cluster}.membership_total"]

    async def timed(operation: str, instance: str, members_then: int, **asked: Any) -> float:
        began = time.monotonic()
        await stack.cloud_map(operation, instance, **asked)

        async def there() -> bool:
            return await members() == members_then

        await until(there, 5)
        return time.monotonic() - began

    # Whatever was registered before; now it is these two.
    for i, color in enumerate(("blue", "blue-2")):
        await stack.register("blue", ("one", "three")[i], stack.hosts[color])

    async def both() -> bool:
        return await members() == 2

    await until(both)
    attributes = {
        "AWS_INSTANCE_IPV4": stack.hosts["blue-2"],
        "ECS_TASK_DEFINITION_FAMILY": "blue",
    }
    took = [
        await timed("update_instance_custom_health_status", "three", 1, Status="UNHEALTHY"),
        await timed("update_instance_custom_health_status", "three", 2, Status="HEALTHY"),
        await timed("deregister_instance", "three", 1),
        await timed("register_instance", "three", 2, Attributes=attributes),
        await timed(
            "register_instance",
            "three",
            1,
            Attributes={**attributes, "ECS_TASK_DEFINITION_FAMILY": "grey"},
        ),
    ]
    assert max(took) < 1


async def test_a_zone_is_shown_and_changes_no_share(stacks: list[Stack]) -> None:
    stack = stacks[1]
    zone = {"REGION": "eu-west-1", "AVAILABILITY_ZONE": "eu-west-1a"}
    await stack.register("blue", "one", stack.hosts["blue"], **zone)
    await stack.register("blue", "three", stack.hosts["blue-2"])
    await stack.register("green", "two", stack.hosts["green"])

    blue, second, green = (f"{stack.name} {color}" for color in ("blue", "blue-2", "green"))
    await stack.front.fits(stack.url, {blue, second, green})
    found = await stack.front.replies(stack.url, 400)
    assert_shares(found, {blue: 0.25, second: 0.25, green: 0.5})
    dump = str(await stack.front.config_dump())
    assert "'zone': 'eu-west-1a'" in dump
