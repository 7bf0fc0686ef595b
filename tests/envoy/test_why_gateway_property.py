"""
For any mesh, any gateway and any request from outside, ``why`` says what a real Envoy does.

As ``test_why_property`` has it for callers inside: both hops are held against the access
log, the route of each, and the path and host with which the request arrives at the second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import state_from
from tests.envoy.running import DEADLINE, ask, free_ports, upstream
from tests.envoy.swapped import Swapped, swapped
from tests.envoy.test_why_property import (
    NODES,
    SERVICES,
    Said,
    header_matches,
    http_matches,
    meshes,
    profile,
    requests,
    switches,
)
from tests.strategies import callable_services
from weft.names import IngressPort, Mode, Ports, ProxyId, View
from weft.resolve.explained import Explanation
from weft.resolve.matching import Request
from weft.resolve.proxy import resolve
from weft.resolve.why import why
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy

FRONT = ProxyId.parse("mesh/shop/virtualGateway/front")
HTTP, GRPC = 8080, 9090
"""The gateway's listeners, as App Mesh knows them."""
SMALL, LARGE, REQUESTS = 30, 1500, 8

hosts = st.sampled_from(["any.example", "WWW.Shop.example", "shop.example", "one.local", "two.local:15001"])  # fmt: skip
hostnames: st.SearchStrategy[Said] = st.sampled_from(
    [{}, {}, {"exact": "www.shop.example"}, {"suffix": "shop.example"}, {"suffix": ".EXAMPLE"}]
)
rewrites: st.SearchStrategy[Said] = st.sampled_from(
    [{}, {"hostname": {"defaultTargetHostname": "DISABLED"}}]
)


@st.composite
def gateway_routes(draw: st.DrawFn, targets: list[Said]) -> Said:
    action: Said = {"target": draw(st.sampled_from(targets))}
    rewrite = dict(draw(rewrites))
    kind = draw(st.sampled_from(["httpRoute", "http2Route", "grpcRoute"]))
    if kind == "grpcRoute":
        match: Said = {"port": GRPC, **draw(st.sampled_from([{}, {"serviceName": "s"}]))}
        if draw(switches):
            match["metadata"] = draw(st.lists(header_matches, min_size=1, max_size=2))
    else:
        match = {"port": HTTP, **draw(http_matches)}
        prefix = match.get("prefix")
        if prefix is None and draw(switches):
            rewrite["path"] = {"exact": "/a/b"}
        elif prefix is not None and draw(switches):
            rewrite["prefix"] = {"defaultPrefix": "DISABLED"}
        elif prefix is not None and prefix.endswith("/") and draw(switches):
            rewrite["prefix"] = {"value": "/a/"}
    if hostname := draw(hostnames):
        match["hostname"] = hostname
    if rewrite:
        action["rewrite"] = rewrite
    spec: Said = {kind: {"match": match, "action": action}}
    if draw(switches):
        spec["priority"] = draw(st.integers(0, 2))
    return spec


@st.composite
def behind_a_gateway(draw: st.DrawFn, ports: tuple[int, ...]) -> Said:
    said = draw(meshes(ports))
    for service in SERVICES[:2]:
        said["services"].setdefault(service, draw(st.sampled_from([None, "router r", "node a"])))
    routers = {name: {"listen": each["listen"]} for name, each in said["routers"].items()}
    nodes = {
        name: {"listeners": [{"portMapping": {"port": int(each["listen"].partition("/")[0])}}]}
        for name, each in said["nodes"].items()
        if "listen" in each
    }
    targets = callable_services({**said, "routers": routers, "nodes": nodes})
    found = draw(st.lists(gateway_routes(targets), min_size=1, max_size=5))
    routes = {f"g{i}": spec for i, spec in enumerate(found)}
    said["gateways"] = {"front": {"listen": [f"{HTTP}/http", f"{GRPC}/grpc"], "routes": routes}}
    return said


@dataclass(frozen=True)
class Sent:
    request: Request
    host: str
    port: int


def with_header(request: Request, service: str) -> Request:
    """Some clients try to name the service themselves."""
    named = (("x-app-mesh-virtual-service", service),) if service else ()
    return replace(request, headers=(*request.headers, *named))


sent = st.builds(
    Sent,
    st.builds(with_header, requests, st.sampled_from(["", "", *SERVICES])),
    hosts,
    st.sampled_from([HTTP, HTTP, GRPC]),
)


@dataclass
class Bench:
    envoy: Swapped
    view: View
    ports: tuple[int, ...]
    answering: dict[str, int]
    log: Path
    logged: int = 0
    count: int = field(default=0)

    async def check(self, said: Said, asked: list[Sent]) -> None:
        nodes = said["nodes"]
        front = {**said["gateways"]["front"], "logging": self._logging()}
        instances = {
            node: {"i": {int(nodes[node]["listen"].partition("/")[0]): f"127.0.0.1:{port}"}}
            for node, port in self.answering.items()
            if node not in said["forgotten"]
        }
        state = state_from({**said, "gateways": {"front": front}, "instances": instances})
        await self.envoy.say(translate(resolve(state, self.view)))
        for one in asked:
            found = why(state, "shop", one.host, one.request, port=one.port, view=self.view)
            await self._compare(found, one)

    async def _compare(self, found: Explanation, one: Sent) -> None:
        said = f"{one}: {found}"
        assert found.passage is not None, said
        await self._ask(one)
        hops = await self._hops(2 if found.passage.route else 1)
        assert hops["outside"][0] == (found.passage.route or "-"), said
        if found.passage.route is None:
            assert (found.status, set(hops)) == (404, {"outside"}), said
            return
        route, cluster, path, host, status = hops["egress"]
        assert route == (found.route or "-"), said
        through = found.passage
        # The port of a service with several is gone where the request goes on to a target.
        port_is_gone = bool(found.targets) and not through.host_kept
        sees = found.service if port_is_gone else through.host
        assert (path, host) == (through.path, sees), said
        if found.status is not None:
            assert cluster == "-", said
            assert status in (str(found.status), "200"), said
        else:
            assert cluster in {each.cluster for each in found.targets if each.weight}, said

    async def _ask(self, one: Sent) -> None:
        self.count += 1
        (socket,) = (p.socket for p in self.view.ports.ingress if p.listener == one.port)
        headers = "".join(f"\n{name}: {value}" for name, value in one.request.headers)
        line = f"{one.request.method} {one.request.path} HTTP/1.1\nHost: {one.host}{headers}"
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    await ask(socket, f"{line}\nx-n: {self.count}")
                except ConnectionRefusedError:
                    # The first listener is accepted a moment before it listens.
                    await asyncio.sleep(0.01)
                else:
                    return

    async def _hops(self, number: int) -> dict[str, tuple[str, ...]]:
        """What the newest request was at each hop, by hop."""
        found: dict[str, tuple[str, ...]] = {}
        async with asyncio.timeout(DEADLINE):
            while True:
                text = self.log.read_text() if self.log.exists() else ""
                for line in text[self.logged :].splitlines():
                    count, chain, *rest = line.split("|")
                    if count == str(self.count):
                        found["egress" if chain == "egress" else "outside"] = tuple(rest)
                if len(found) == number:
                    self.logged = len(text)
                    return found
                await asyncio.sleep(0.002)

    def _logging(self) -> Said:
        text = (
            "%REQ(X-N)%|%FILTER_CHAIN_NAME%|%ROUTE_NAME%|%UPSTREAM_CLUSTER_RAW%|"
            "%REQ(:PATH)%|%REQ(:AUTHORITY)%|%RESPONSE_CODE%\n"
        )
        return {"accessLog": {"file": {"path": str(self.log), "format": {"text": text}}}}


@asynccontextmanager
async def bench(directory: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        answering = {node: (await stack.enter_async_context(upstream(node))).port for node in NODES}
        egress, http, grpc, *ports = free_ports(5)
        ingress = (IngressPort(HTTP, http, 0), IngressPort(GRPC, grpc, 0))
        view = View(FRONT, Mode.EXPLICIT, Ports(ingress, egress))
        envoy = await stack.enter_async_context(swapped(directory))
        yield Bench(envoy, view, tuple(ports), answering, directory / "access.log")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Bench]]:
    with asyncio.Runner() as runner:
        context = bench(tmp_path_factory.mktemp("why-gateway"))
        found = runner.run(context.__aenter__())
        try:
            yield runner, found
        finally:
            runner.run(context.__aexit__(None, None, None))


def _agrees(running: tuple[asyncio.Runner, Bench], data: st.DataObject) -> None:
    runner, found = running
    said = data.draw(behind_a_gateway(found.ports))
    asked = data.draw(st.lists(sent, min_size=REQUESTS, max_size=REQUESTS))
    runner.run(found.check(said, asked))


@profile(SMALL)
@given(data=st.data())
def test_why_says_what_a_gateways_envoy_does(
    running: tuple[asyncio.Runner, Bench], data: st.DataObject
) -> None:
    _agrees(running, data)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@profile(LARGE)
@given(data=st.data())
def test_why_says_what_a_gateways_envoy_does_in_any_of_many_meshes(
    running: tuple[asyncio.Runner, Bench], data: st.DataObject
) -> None:
    _agrees(running, data)
