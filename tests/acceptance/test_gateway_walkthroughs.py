"""
What AWS's other walkthroughs of gateways show, rewritten: matches and rewrites, listeners, gRPC.

howto-match-and-rewrite-at-ingress, howto-multiple-listeners, howto-k8s-http-ingress-v2,
howto-k8s-ingress-gateway and howto-k8s-grpc-ingress-v2, with other names and ports.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import yaml

from tests.mesh_lab.apps import App, app
from tests.mesh_lab.colors import client, colors
from tests.mesh_lab.doors import Door, door
from tests.mesh_lab.lab import Lab, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

COLORS = ("red", "blue", "green", "yellow", "white", "maroon")
PORT = 5757
CRD = "appmesh.k8s.aws/v1beta2"


def crd(kind: str, name: str, spec: dict[str, Any], **labels: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "shades"}
    if kind == "Mesh":
        del metadata["namespace"]
    return {"apiVersion": CRD, "kind": kind, "metadata": {**metadata, **labels}, "spec": spec}


def http(port: int) -> dict[str, Any]:
    return {"portMapping": {"port": port, "protocol": "http"}}


def shades() -> list[dict[str, Any]]:
    """A node and a service of its own for each colour, and a gateway, as Kubernetes has them."""
    found = [crd("Mesh", "shades", {"namespaceSelector": {"matchLabels": {"mesh": "shades"}}})]
    for color in COLORS:
        discovery = {"dns": {"hostname": f"{color}.shades.svc.cluster.local"}}
        found += [
            crd("VirtualNode", color, {"listeners": [http(PORT)], "serviceDiscovery": discovery}),
            crd(
                "VirtualService",
                color,
                {"provider": {"virtualNode": {"virtualNodeRef": {"name": color}}}},
            ),
        ]
    return [*found, crd("VirtualGateway", "ingress", {"listeners": [http(8484)]})]


def route(name: str, service: str, match: dict[str, Any], **more: Any) -> dict[str, Any]:
    target = {"virtualService": {"virtualServiceRef": {"name": service}}}
    action = {"target": target, **({"rewrite": more.pop("rewrite")} if "rewrite" in more else {})}
    return crd("GatewayRoute", name, {"httpRoute": {"match": match, "action": action}, **more})


@dataclass
class Case:
    weft: Lab
    door: Door
    apps: dict[str, App]

    async def applied(self, *documents: dict[str, Any]) -> None:
        await self.weft.applied(yaml.safe_dump_all([*shades(), *documents]))

    async def arrived(self, color: str) -> tuple[str, str]:
        found = self.apps[color].asked[-1]
        return found.path, found.headers["host"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    await weft.applied(yaml.safe_dump_all(shades()))
    async with AsyncExitStack() as stack:
        apps = {color: await stack.enter_async_context(app(color)) for color in COLORS}
        for color, found in apps.items():
            await weft.bare("shades", f"{color}_shades", {PORT: found})
        yield Case(weft, await door(weft, "shades", "ingress_shades", 8484), apps)


async def test_kubernetes_http_ingress_matches_and_rewrites(case: Case) -> None:
    header = {"name": "color_header", "match": {"exact": "yellow"}}
    query = {"name": "color_type", "match": {"exact": "white"}}
    await case.applied(
        route("exact", "red", {"path": {"exact": "/paths/red"}}, priority=0),
        route("prefix-blue", "blue", {"prefix": "/paths/blue"}),
        route("method", "green", {"prefix": "/paths/green", "method": "GET"}),
        route("header", "yellow", {"prefix": "/", "headers": [header]}),
        route("query", "white", {"prefix": "/query", "queryParameters": [query]}),
        route("rewrite-prefix", "red", {"prefix": "/test/"}, rewrite={"prefix": {"value": "/x/"}}),
        route(
            "rewrite-path",
            "blue",
            {"path": {"exact": "/rewrite/path/blue"}},
            rewrite={"path": {"exact": "/paths/blue"}},
        ),
    )
    says = case.door.says
    assert await says("/paths/red") == "red"
    assert await says("/paths/red/more") == "404"
    assert await says("/paths/blue") == "blue"
    assert await says("/paths/green") == "green"
    assert await says("/paths/green", method="POST") == "404"
    assert await says("/", {"color_header": "yellow"}) == "yellow"
    assert await says("/", {"color_header": "pink"}) == "404"
    assert await says("/query?color_type=white") == "white"
    assert await says("/query?color_type=black") == "404"
    assert await says("/test/a") == "red"
    assert await case.arrived("red") == ("/x/a", "red.shades")
    assert await says("/rewrite/path/blue?q=1") == "blue"
    assert await case.arrived("blue") == ("/paths/blue?q=1", "blue.shades")


async def test_matching_and_rewriting_at_ingress_step_by_step(case: Case) -> None:
    place = {
        "meshName": "shades",
        "virtualGatewayName": "ingress_shades",
        "gatewayRouteName": "steps",
    }

    def spec(match: dict[str, Any], service: str, rewrite: dict[str, Any] | None = None) -> Any:
        target = {"virtualService": {"virtualServiceName": f"{service}.shades"}}
        action = {"target": target, **({"rewrite": rewrite} if rewrite else {})}
        return {"httpRoute": {"match": match, "action": action}}

    await case.weft.ask("create_gateway_route", **place, spec=spec({"prefix": "/maroon"}, "maroon"))
    assert await case.door.says("/maroon/tell") == "maroon"
    assert await case.arrived("maroon") == ("/tell", "maroon.shades")

    hosted = spec({"hostname": {"exact": "www.shades.example"}, "prefix": "/maroon"}, "maroon")
    await case.weft.update("gateway_route", **place, spec=hosted)
    assert await case.door.says("/maroon/tell") == "404"
    for host in ("www.shades.example", "WWW.shades.example:8484"):
        assert await case.door.says("/maroon/tell", {"Host": host}) == "maroon"

    kept = {"prefix": {"defaultPrefix": "DISABLED"}, "hostname": {"defaultTargetHostname": "DISABLED"}}  # fmt: skip
    await case.weft.update("gateway_route", **place, spec=spec({"prefix": "/maroon"}, "maroon", kept))  # fmt: skip
    assert await case.door.says("/maroon/tell", {"Host": "any.example"}) == "maroon"
    assert await case.arrived("maroon") == ("/maroon/tell", "any.example")

    value = spec({"prefix": "/maroon/"}, "maroon", {"prefix": {"value": "/deep/"}})
    await case.weft.update("gateway_route", **place, spec=value)
    assert await case.door.says("/maroon/tell") == "maroon"
    assert await case.arrived("maroon") == ("/deep/tell", "maroon.shades")

    fishes = [{"name": "fishes", "match": {"exact": "nemo"}}]
    asked = spec({"prefix": "/maroon", "queryParameters": fishes}, "maroon")
    await case.weft.update("gateway_route", **place, spec=asked)
    assert await case.door.says("/maroon/tell?fishes=nemo") == "maroon"
    assert await case.door.says("/maroon/tell") == "404"
    await case.weft.ask("delete_gateway_route", **place)


async def test_routers_behind_a_kubernetes_gateway(case: Case) -> None:
    def path(color: str) -> dict[str, Any]:
        target = {"weightedTargets": [{"virtualNodeRef": {"name": color}, "weight": 1}]}
        return {"name": color, "httpRoute": {"match": {"prefix": f"/{color}"}, "action": target}}

    def header(color: str) -> dict[str, Any]:
        target = {"weightedTargets": [{"virtualNodeRef": {"name": color}, "weight": 1}]}
        match = {"prefix": "/", "headers": [{"name": "color_header", "match": {"exact": color}}]}
        return {"name": color, "httpRoute": {"match": match, "action": target}}

    def router(name: str, routes: list[dict[str, Any]]) -> dict[str, Any]:
        return crd("VirtualRouter", name, {"listeners": [http(PORT)], "routes": routes})

    def service(name: str) -> dict[str, Any]:
        provider = {"virtualRouter": {"virtualRouterRef": {"name": name}}}
        return crd("VirtualService", name, {"provider": provider})

    some = ("red", "blue", "yellow")
    await case.applied(
        router("by-path", [path(color) for color in some]),
        router("by-header", [header(color) for color in some]),
        service("by-path"),
        service("by-header"),
        route("to-paths", "by-path", {"prefix": "/shades/paths"}),
        route("to-headers", "by-header", {"prefix": "/shades/headers"}),
    )
    for color in some:
        assert await case.door.says(f"/shades/paths/{color}") == color
        assert await case.door.says("/shades/headers", {"color_header": color}) == color
    assert await case.door.says("/shades/paths/green") == "404"
    assert await case.door.says("/shades/headers") == "404"
    found = await case.weft.aws("appmesh", "list-virtual-gateways", "--mesh-name", "shades")
    assert [each["virtualGatewayName"] for each in found["virtualGateways"]] == ["ingress_shades"]


async def test_listeners_of_gateway_router_and_node_are_told_apart(weft: Lab) -> None:
    place = {"meshName": "grocery"}
    listeners = {"food": (5656, 6767), "color": (7878,)}
    await weft.ask("create_mesh", **place)
    for name, ports in listeners.items():
        spec = {
            "listeners": [http(port) for port in ports],
            "serviceDiscovery": {"dns": {"hostname": f"{name}.invalid"}},
        }
        await weft.ask("create_virtual_node", **place, virtualNodeName=name, spec=spec)
    router = {**place, "virtualRouterName": "food"}
    await weft.ask("create_virtual_router", **router, spec={"listeners": [http(3434), http(4545)]})
    for name, at, port in (("fruit", 3434, 5656), ("vegetable", 4545, 6767)):
        target = {"virtualNode": "food", "port": port, "weight": 1}
        spec = {"httpRoute": {"match": {"port": at}, "action": {"weightedTargets": [target]}}}
        await weft.ask("create_route", **router, routeName=name, spec=spec)
    for name, provider in (
        ("food.grocery.local", {"virtualRouter": {"virtualRouterName": "food"}}),
        ("color.grocery.local", {"virtualNode": {"virtualNodeName": "color"}}),
    ):
        await weft.ask("create_virtual_service", **place, virtualServiceName=name, spec={"provider": provider})  # fmt: skip
    gateway = {**place, "virtualGatewayName": "teller"}
    await weft.ask("create_virtual_gateway", **gateway, spec={"listeners": [http(1212), http(2323)]})  # fmt: skip
    for name, match, service, port in (
        ("fruit", {"port": 1212, "prefix": "/fruit"}, "food", 3434),
        ("vegetable", {"port": 1212, "prefix": "/vegetable"}, "food", 4545),
        ("color", {"port": 2323}, "color", None),
    ):
        target: dict[str, Any] = {"virtualService": {"virtualServiceName": f"{service}.grocery.local"}}  # fmt: skip
        if port is not None:
            target["port"] = port
        spec = {"httpRoute": {"match": match, "action": {"target": target}}}
        await weft.ask("create_gateway_route", **gateway, gatewayRouteName=name, spec=spec)
    async with app("apple") as apple, app("leek") as leek, app("violet") as violet:
        await weft.bare("grocery", "food", {5656: apple, 6767: leek})
        await weft.bare("grocery", "color", {7878: violet})
        teller = await door(weft, "grocery", "teller", 1212, 2323)
        assert await teller.says("/fruit", port=1212) == "apple"
        assert await teller.says("/vegetable", port=1212) == "leek"
        assert await teller.says("/any", port=1212) == "404"
        assert await teller.says("/any", port=2323) == "violet"
        assert {app.asked[-1].headers["host"] for app in (apple, leek)} == {"food.grocery.local"}


async def test_grpc_comes_in_by_service_and_metadata(weft: Lab) -> None:
    place = {"meshName": "calls"}
    await weft.ask("create_mesh", **place)
    grpc = {"portMapping": {"port": 6363, "protocol": "grpc"}}
    discovery = {"dns": {"hostname": "hello.invalid"}}
    await weft.ask("create_virtual_node", **place, virtualNodeName="hello", spec={"listeners": [grpc], "serviceDiscovery": discovery})  # fmt: skip
    provider = {"provider": {"virtualNode": {"virtualNodeName": "hello"}}}
    await weft.ask("create_virtual_service", **place, virtualServiceName="hello.local", spec=provider)  # fmt: skip
    gateway = {**place, "virtualGatewayName": "front"}
    listener = {"portMapping": {"port": 4343, "protocol": "grpc"}}
    await weft.ask("create_virtual_gateway", **gateway, spec={"listeners": [listener]})
    named = {**gateway, "gatewayRouteName": "hello"}

    def spec(service: str, *metadata: dict[str, Any]) -> Any:
        match = {"serviceName": service, **({"metadata": list(metadata)} if metadata else {})}
        target = {"virtualService": {"virtualServiceName": "hello.local"}}
        return {"grpcRoute": {"match": match, "action": {"target": target}}}

    await weft.ask("create_gateway_route", **named, spec=spec("color.ColorService"))
    async with colors("teal") as server:
        await weft.bare("calls", "hello", {6363: server})
        front = await door(weft, "calls", "front", 4343)
        async with client(f"127.0.0.1:{front.socket(4343)}") as caller:
            assert await caller.call("GetColor") == "teal"
            assert await caller.call("/Other/GetColor") == "UNIMPLEMENTED"
            phone = {"device": "iphone"}
            for metadata, fits, fits_not in (
                ({"name": "device", "match": {"exact": "iphone"}}, phone, {}),
                ({"name": "device"}, phone, {}),
                ({"name": "device", "invert": True}, {}, phone),
                ({"name": "device", "match": {"prefix": "i"}}, phone, {"device": "android"}),
            ):
                asked = spec("color.ColorService", metadata)
                await weft.update("gateway_route", **named, spec=asked)
                assert await caller.call("GetColor", metadata=fits) == "teal"
                assert await caller.call("GetColor", metadata=fits_not) == "UNIMPLEMENTED"


async def test_a_gateway_that_stops_finishes_what_it_has(weft: Lab) -> None:
    place = {"meshName": "leaving"}
    await weft.ask("create_mesh", **place)
    spec = {"listeners": [http(PORT)], "serviceDiscovery": {"dns": {"hostname": "slow.invalid"}}}
    await weft.ask("create_virtual_node", **place, virtualNodeName="slow", spec=spec)
    provider = {"provider": {"virtualNode": {"virtualNodeName": "slow"}}}
    await weft.ask("create_virtual_service", **place, virtualServiceName="slow.local", spec=provider)  # fmt: skip
    gateway = {**place, "virtualGatewayName": "front"}
    await weft.ask("create_virtual_gateway", **gateway, spec={"listeners": [http(8585)]})
    target = {"virtualService": {"virtualServiceName": "slow.local"}}
    spec = {"httpRoute": {"match": {"prefix": "/"}, "action": {"target": target}}}
    await weft.ask("create_gateway_route", **gateway, gatewayRouteName="all", spec=spec)
    async with app("slow") as slow:
        await weft.bare("leaving", "slow", {PORT: slow})
        front = await door(weft, "leaving", "front", 8585)
        slow.gate = asyncio.Event()
        calls = [asyncio.create_task(front.says("/")) for _ in range(5)]

        async def all_there() -> bool:
            return slow.busy == 5

        await until(all_there)
        stopping = asyncio.create_task(front.sidecar.stop())

        async def drains() -> bool:
            return "draining for up to" in front.sidecar.log

        await until(drains)
        # Who comes a moment late is served, too: both hops still accept.
        late = asyncio.create_task(front.says("/late"))

        async def the_late_is_there() -> bool:
            return slow.busy == 6

        await until(the_late_is_there)
        slow.gate.set()
        assert [await call for call in (*calls, late)] == ["slow"] * 6
        assert await stopping == 0
