"""What comes to Cloud Map and leaves it is what Envoy sends requests to, at once and without polling."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.envoy.running import DEADLINE, ask, upstream
from tests.envoy.sidecar_harness import Sidecar, eventually, free_port
from weft.names import Key
from weft.server import Running, serving
from weft.settings import Address, Settings
from weft.store.change import Author, Put

pytestmark = pytest.mark.envoy

ME = Author("ana", "pytest")


@dataclass
class Mesh:
    """A control plane, boto3's client for it, and an Envoy that calls ``shop.local``."""

    running: Running
    client: Any
    egress: int
    port: int
    """The listener of the virtual node ``shop``."""

    async def ask(self, name: str, **asked: Any) -> Any:
        """One operation of Cloud Map; returns when every proxy has accepted what came of it."""
        answer = await asyncio.to_thread(getattr(self.client, name), **asked)
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        if revision := headers.get("x-weft-revision"):
            told = await self.running.parts.delivery.wait_settled(
                int(revision), timedelta(seconds=DEADLINE)
            )
            assert told.done, told
        return answer

    async def replies(self, number: int = 12) -> Counter[str]:
        request = f"GET http://shop.local:{self.port}/ HTTP/1.1\nHost: shop.local:{self.port}"
        found = [await ask(self.egress, request) for _ in range(number)]
        return Counter(each.body if each.status == 200 else str(each.status) for each in found)

    async def reached(self) -> set[str]:
        return set(await self.replies())


def _node(port: int, discovery: dict[str, Any]) -> dict[str, Any]:
    return {
        "listeners": [{"portMapping": {"port": port, "protocol": "http"}}],
        "serviceDiscovery": discovery,
    }


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    port, egress = free_port(), free_port()
    zero = Address("127.0.0.1", 0)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            serving(Settings(api=zero, xds=zero, data=tmp_path / "control"))
        )
        cloud_map = {"awsCloudMap": {"namespaceName": "test", "serviceName": "shop"}}
        backend = {"virtualService": {"virtualServiceName": "shop.local"}}
        web = {**_node(port, {"dns": {"hostname": "web.local"}}), "backends": [backend]}
        provider = {"provider": {"virtualNode": {"virtualNodeName": "shop"}}}
        steps = {
            "mesh/shop": {},
            "mesh/shop/virtualNode/shop": _node(port, cloud_map),
            "mesh/shop/virtualNode/web": web,
            "mesh/shop/virtualService/shop.local": provider,
        }
        await running.parts.store.apply([Put(Key.parse(k), v) for k, v in steps.items()], ME)
        (tmp_path / "web").mkdir()
        sidecar = Sidecar(tmp_path / "web", str(running.settings.xds), "--egress", str(egress))
        await sidecar.start()
        stack.push_async_callback(sidecar.stop)
        await sidecar.ready()
        client = boto3.client(
            "servicediscovery",
            endpoint_url=f"http://{running.settings.api}",
            region_name="us-west-2",
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="secret",
            config=Config(inject_host_prefix=False),
        )
        yield Mesh(running, client, egress, port)


async def test_instances_that_come_fall_ill_and_go_are_followed(mesh: Mesh) -> None:
    assert await mesh.reached() == {"503"}
    made = await mesh.ask("create_http_namespace", Name="test")
    operation = await mesh.ask("get_operation", OperationId=made["OperationId"])
    namespace = operation["Operation"]["Targets"]["NAMESPACE"]
    answer = await mesh.ask(
        "create_service", Name="shop", NamespaceId=namespace, HealthCheckCustomConfig={}
    )
    service = {"ServiceId": answer["Service"]["Id"]}

    async with upstream("one", "127.0.0.1", mesh.port), upstream("two", "127.0.0.2", mesh.port):
        for id, address in (("one", "127.0.0.1"), ("two", "127.0.0.2")):
            await mesh.ask(
                "register_instance",
                **service,
                InstanceId=id,
                Attributes={"AWS_INSTANCE_IPV4": address},
            )
        assert await mesh.reached() == {"one", "two"}

        await mesh.ask(
            "update_instance_custom_health_status",
            **service,
            InstanceId="one",
            Status="UNHEALTHY",
        )
        assert await mesh.reached() == {"two"}
        await mesh.ask("deregister_instance", **service, InstanceId="two")
        assert await mesh.reached() == {"one"}, "none is healthy, so all of them are tried"
        await mesh.ask("deregister_instance", **service, InstanceId="one")
        assert await mesh.reached() == {"503"}


async def test_a_sidecar_registers_itself_and_is_found_until_it_stops(
    mesh: Mesh, tmp_path: Path
) -> None:
    app = free_port()
    (tmp_path / "shop").mkdir()
    sidecar = Sidecar(
        tmp_path / "shop",
        str(mesh.running.settings.xds),
        *("--proxy", "mesh/shop/virtualNode/shop", "--ingress", f"{mesh.port}=0:{app}"),
        *("--instance", "self", "--register", f"http://{mesh.running.settings.api}"),
    )
    async with upstream("itself", "127.0.0.1", app):
        await sidecar.start()
        try:
            found = await sidecar.ready()
            (socket,) = [each["socket"] for each in found["ports"]["ingress"]]

            async def instances() -> Any:
                asked = {"NamespaceName": "test", "ServiceName": "shop"}
                try:
                    return (await mesh.ask("discover_instances", **asked))["Instances"]
                except mesh.client.exceptions.NamespaceNotFound:
                    return []

            (instance,) = await eventually(instances)
            assert instance["InstanceId"] == "shop/shop/self"
            assert instance["Attributes"][f"WEFT_ADDRESS_{mesh.port}"] == f"127.0.0.1:{socket}"

            async def served() -> bool:
                return await mesh.reached() == {"itself"}

            await eventually(served)
            await sidecar.stop()
            assert await instances() == []
        finally:
            await sidecar.stop()
