"""``weft up`` with virtual gateways: an Envoy alone, reached from the machine."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.demo import DEADLINE_SECONDS, aside, free_ports, get, wait_for
from tests.envoy.test_up import Running
from tests.load import load
from tests.shares import assert_shares
from weft.local import control

pytestmark = pytest.mark.envoy

MESH = """
mesh: shop
resources:
  - kind: mesh
  - kind: virtualGateway
    virtualGatewayName: front-vg
    spec: {listeners: [{portMapping: {port: OWN, protocol: http}}]}
  - kind: virtualNode
    virtualNodeName: white-vn
    spec: &node
      listeners: [{portMapping: {port: 9080, protocol: http}}]
      serviceDiscovery: {dns: {hostname: white.local}}
  - {kind: virtualNode, virtualNodeName: blue-vn, spec: *node}
  - kind: virtualRouter
    virtualRouterName: color-vr
    spec: {listeners: [{portMapping: {port: 9080, protocol: http}}]}
  - kind: route
    virtualRouterName: color-vr
    routeName: tell
    spec:
      httpRoute:
        match: {prefix: /tell}
        action: {weightedTargets: [{virtualNode: white-vn, weight: 3}, {virtualNode: blue-vn, weight: 1}]}
  - kind: virtualService
    virtualServiceName: color.local
    spec: {provider: {virtualRouter: {virtualRouterName: color-vr}}}
  - kind: gatewayRoute
    virtualGatewayName: front-vg
    gatewayRouteName: color
    spec:
      httpRoute:
        match: {prefix: /color}
        action: {target: {virtualService: {virtualServiceName: color.local}}}
workloads:
  front: {virtualGateway: front-vg, replicas: 2}
  side: {virtualGateway: front-vg, ingress: MAPPED}
  white: {virtualNode: white-vn, command: "${python} app.py ${port.9080} white"}
  blue: {virtualNode: blue-vn, command: "${python} app.py ${port.9080} blue"}
"""


FRONTS = ("front/0", "front/1", "side")


class Gateways(Running):
    """Three proxies of one gateway, on one machine."""

    def __init__(self, directory: Path) -> None:
        self.own, self.mapped = free_ports(2)
        text = MESH.replace("OWN", str(self.own)).replace("MAPPED", str(self.mapped))
        super().__init__(directory, text)

    def port_of(self, name: str) -> int:
        (url,) = self.replica(name)["urls"].values()
        return int(url.rpartition(":")[2])

    def weft(self, *arguments: str) -> str:
        endpoint = control.request(self.data, {"op": "status"})["api"]
        environment = {"WEFT_ENDPOINT": endpoint, "WEFT_DATA": str(self.data), "COLUMNS": "200"}
        told = subprocess.run(
            [sys.executable, "-m", "weft", *arguments],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=DEADLINE_SECONDS,
        )
        return told.stdout


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    running = Gateways(tmp_path_factory.mktemp("up"))
    try:
        running.wait_ready()
        yield running
    finally:
        running.end()


def test_a_gateway_has_its_own_port_or_the_one_asked_for_or_else_a_free_one(up: Gateways) -> None:
    ports = [up.port_of(name) for name in FRONTS]
    assert ports[2] == up.mapped
    assert (ports[0] == up.own) is not (ports[1] == up.own)
    assert len(set(ports)) == 3


@pytest.mark.parametrize("name", FRONTS)
def test_the_services_weights_hold_behind_every_proxy_of_a_gateway(up: Gateways, name: str) -> None:
    port = up.port_of(name)
    found = Counter(get(port, "/color/tell")[1] for _ in range(60))
    assert_shares(found, {"white": 0.75, "blue": 0.25})
    assert get(port, "/color")[0] == get(port, "/other")[0] == 404


def test_status_env_and_the_first_page_say_where_a_gateway_is(up: Gateways) -> None:
    url = f"http://127.0.0.1:{up.port_of('side')}"
    assert f"{'side':<10} {url}" in up.log.read_text()
    assert f"side  {url}" in up.weft("status")
    assert f"WEFT_GATEWAY_SIDE={url}" in up.weft("env").replace("'", "")
    assert url in up.weft("get", "workloads")


def test_why_tells_both_hops_of_a_request_from_outside(up: Gateways) -> None:
    said = up.weft("why", "http://outside.example/color/tell?x", "--from", "front-vg")
    assert said.splitlines()[0] == "front-vg to color.local:9080"
    for line in (
        "gateway route color leads to color.local: route tell matches: white-vn 75 %, blue-vn 25 %",
        f"arrives at lds_ingress_0.0.0.0_{up.own}",
        "goes on as color.local, path /tell?x; the gateway waits 15s",
        "request timeout    15s  (App Mesh's default)",
    ):
        assert line in said, said
    said = up.weft("why", "outside.example", "--path", "/other", "--from", "front-vg")
    assert "no gateway route matches: the caller gets 404" in said
    assert "the path /other does not start with /color" in said


async def test_a_gateway_is_replaced_without_a_failed_request(up: Gateways) -> None:
    before, port = up.replica("side"), up.port_of("side")
    url, colors = f"http://127.0.0.1:{port}/color/tell", {"white", "blue"}
    async with load(port, url, per_second=100, allowed=colors) as result:
        answer = await aside(up.ask, "restart", "side")
    (replica,) = answer["replicas"]
    assert replica["paused"] is None
    assert replica["sidecarPid"] == before["sidecarPid"], "its Envoy is another, the sidecar is not"
    assert not result.failures, (result.summary(), result.failures[:5])
    assert set(result.bodies) == colors


def test_a_gateway_whose_envoy_dies_comes_back_by_itself(up: Gateways) -> None:
    ready = json.loads((up.data / "run" / "front-1.json").read_text())
    os.kill(ready["envoy"], signal.SIGKILL)
    port = up.port_of("front/1")

    def answers() -> bool:
        with suppress(OSError, http.client.HTTPException):
            return get(port, "/color/tell")[0] == 200
        return False

    wait_for(answers, "the gateway serves again")


def test_a_gateway_route_is_in_force_as_soon_as_it_is_settled(up: Gateways, tmp_path: Path) -> None:
    told = {"virtualService": {"virtualServiceName": "color.local"}}
    spec = {"httpRoute": {"match": {"prefix": "/new/"}, "action": {"target": told}}}
    named = {"meshName": "shop", "virtualGatewayName": "front-vg", "gatewayRouteName": "new"}
    route = tmp_path / "route.yaml"
    route.write_text(json.dumps({"kind": "gatewayRoute", **named, "spec": spec}))
    port = up.port_of("side")
    assert get(port, "/new/tell")[0] == 404
    up.weft("apply", "-f", str(route))
    up.weft("wait")
    assert get(port, "/new/tell")[0] == 200
