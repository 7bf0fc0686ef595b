"""
For any mesh and any request, ``why`` says what a real Envoy does.

One Envoy runs throughout; each mesh is told to it over ADS, and several requests are sent
by either way a client has. The access log says which route and cluster each one took.
Every virtual node answers at a port of one small server, except those that have nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import state_from, to
from tests.envoy.running import DEADLINE, ask, free_ports, upstream
from tests.envoy.swapped import Swapped, swapped
from weft.ir.cluster import SocketAddress
from weft.names import BackendPort, Mode, Ports, ProxyId, View
from weft.resolve.explained import Explanation
from weft.resolve.matching import Request
from weft.resolve.proxy import resolve
from weft.resolve.why import why
from weft.resolve.why_caller import Asked
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy

Said = dict[str, Any]
NODES = ("a", "b", "c", "d")
RAW_NODES = ("raw-a", "raw-b")
RAW = "raw.local"
"""A service of connections, at a port of its own."""
SERVICES = ("one.local", "Two.local", "three.local")
HOSTS = (
    *("one.local", "ONE.local", "two.local", "three.local", "other.local", "127.0.0.1"),
    RAW,
)
PROXY = ProxyId.parse("mesh/shop/virtualNode/web")
SMALL, LARGE = 40, 1000
REQUESTS = 8


# --- Meshes -----------------------------------------------------------------------------------

switches = st.booleans()
texts = st.sampled_from(["a", "ab", "ba", "7", "-3", "x"])
matches = st.one_of(
    st.builds(lambda text: {"exact": text}, texts),
    st.builds(lambda text: {"prefix": text}, texts),
    st.builds(lambda text: {"suffix": text}, texts),
    st.sampled_from([{"regex": "a.*"}, {"regex": "[0-9]+"}, {"range": {"start": -5, "end": 8}}]),
)
header_matches = st.fixed_dictionaries(
    {"name": st.sampled_from(["x-one", "X-Two", "x_three"])},
    optional={"match": matches, "invert": switches},
)
query_matches = st.fixed_dictionaries(
    {"name": st.sampled_from(["q", "p"])},
    optional={"match": st.builds(lambda text: {"exact": text}, texts)},
)
paths: st.SearchStrategy[Said] = st.sampled_from(
    [
        {"prefix": "/"},
        {"prefix": "/"},
        {"prefix": "/"},
        {"prefix": "/a"},
        {"prefix": "/a/"},
        {"prefix": "/a/b"},
        {"path": {"exact": "/"}},
        {"path": {"exact": "/a/b"}},
        {"path": {"regex": "/[a-z]/.*"}},
        {"path": {"regex": "/s/m"}},
    ]
)
conditions = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["GET", "POST", "DELETE"]),
        "headers": st.lists(header_matches, min_size=1, max_size=2),
        "queryParameters": st.lists(query_matches, min_size=1, max_size=2),
    },
)
http_matches = st.builds(
    lambda path, more: {**path, **more}, paths, st.one_of(st.just({}), conditions)
)
schemes = st.builds(
    lambda found, scheme: {**found, "scheme": scheme},
    http_matches,
    st.sampled_from(["http", "https"]),
)
grpc_matches = st.fixed_dictionaries(
    {},
    optional={
        "serviceName": st.just("s"),
        "metadata": st.lists(header_matches, min_size=1, max_size=2),
    },
).flatmap(
    lambda found: (
        st.just({**found, "methodName": "m"}) | st.just(found)
        if "serviceName" in found
        else st.just(found)
    )
)
NEVER = {
    "maxRetries": 0,
    "perRetryTimeout": {"unit": "s", "value": 1},
    "httpRetryEvents": ["server-error"],
}
"""Or every request to nobody would take the time of two back-offs."""


def seldom(one: Any, other: Any) -> st.SearchStrategy[Any]:
    """One of two, the first in one of six cases."""
    return st.sampled_from([other, other, other, one, other, other])


@st.composite
def routes(draw: st.DrawFn, ports: tuple[int, ...]) -> Said:
    nodes = draw(st.lists(st.sampled_from(NODES), unique=True, min_size=1, max_size=3))
    weights = draw(st.lists(st.integers(0, 3), min_size=len(nodes), max_size=len(nodes)))
    if not sum(weights):
        weights[0] = 1
    action = {
        "weightedTargets": [
            {"virtualNode": node, "weight": weight}
            for node, weight in zip(nodes, weights, strict=True)
        ]
    }
    kind, found = draw(
        st.one_of(
            st.tuples(st.just("httpRoute"), http_matches),
            st.tuples(st.just("http2Route"), schemes),
            st.tuples(st.just("grpcRoute"), grpc_matches),
        )
    )
    if draw(seldom(True, False)):
        found = {**found, "port": draw(st.sampled_from(ports))}
    spec: Said = {kind: {"action": action, "match": found, "retryPolicy": NEVER}}
    if draw(switches):
        spec["priority"] = draw(st.integers(0, 2))
    return spec


@st.composite
def meshes(draw: st.DrawFn, ports: tuple[int, ...]) -> Said:
    said: Said = {"nodes": {}, "routers": {}, "services": {}, "instances": {}, "policies": {}}
    said["mesh"] = {"egressFilter": {"type": draw(seldom("ALLOW_ALL", "DROP_ALL"))}}
    said["nodes"]["web"] = {"calls": draw(seldom([SERVICES[0]], list(SERVICES)))}
    for node in NODES:
        said["nodes"][node] = {"listen": f"{draw(st.sampled_from(ports))}/http"}
    for router in ("r", "s"):
        listened = draw(seldom(ports[:1], ports))
        found = draw(st.lists(routes(ports), min_size=1, max_size=5))
        said["routers"][router] = {
            "listen": [f"{port}/http" for port in listened],
            "routes": {f"{router}{i}": spec for i, spec in enumerate(found)},
        }
    providers = ["router r", "router s", "router s", "router r", "node a", None]
    for service in SERVICES:
        if draw(seldom(False, True)):
            said["services"][service] = draw(st.sampled_from(providers))
    said["forgotten"] = draw(st.lists(st.sampled_from(NODES), unique=True, max_size=2))
    if draw(switches):
        said["policies"]["mesh"] = {"reroute": draw(switches), "amazonaws": draw(switches)}
    for router, spec in said["routers"].items():
        for route in spec["routes"]:
            if draw(st.integers(0, 3)) == 0:
                about = f"virtualRouter/{router}/route/{route}"
                said["policies"][about] = {"reroute": draw(switches)}
    if draw(seldom(True, False)):
        found_filter = draw(st.sampled_from(["DROP_ALL", "ALLOW_ALL"]))
        said["policies"]["virtualNode/web"] = {"egressFilter": {"type": found_filter}}
    for service in said["services"]:
        # Nobody's default: two retries would take the time of two back-offs.
        said["policies"][f"virtualService/{service}"] = {"retryPolicy": NEVER}
    return said


@st.composite
def with_connections(draw: st.DrawFn, ports: tuple[int, ...], raw_port: int) -> Said:
    """The same with a service of connections, by a router or a node."""
    said: Said = draw(meshes(ports))
    if draw(seldom(False, True)):
        said["nodes"]["web"]["calls"].append(RAW)
    for node in RAW_NODES:
        said["nodes"][node] = {"listen": f"{raw_port}/tcp"}
    weights = [(node, draw(st.integers(0, 2))) for node in RAW_NODES]
    split = to(*(f"{node}:{weight}" for node, weight in weights))
    found = {"all": {"tcpRoute": {"action": split}}}
    said["routers"]["raw"] = {
        "listen": [f"{raw_port}/tcp"],
        "routes": found if any(weight for _, weight in weights) else {},
    }
    said["services"][RAW] = draw(st.sampled_from(["router raw", "node raw-a"]))
    said["forgotten"] += draw(st.lists(st.sampled_from(RAW_NODES), unique=True, max_size=1))
    return said


requests = st.builds(
    lambda method, path, query, headers, grpc: Request(
        method,
        path + query,
        tuple(headers) + ((("content-type", grpc),) if grpc else ()),
    ),
    st.sampled_from(["GET", "GET", "POST", "DELETE"]),
    st.sampled_from(
        ["/", "/a", "/a/", "/a/b", "//a/b", "/a/x/../b", "/a/./b", "/s/m", "/s/n", "/z"]
    ),
    st.sampled_from(["", "", "?q=a", "?q=b&q=a", "?p", "?p=&q=ab", "?Q=a"]),
    st.lists(st.tuples(st.sampled_from(["x-one", "x-two", "X_Three"]), texts), max_size=3),
    st.sampled_from(["", "", "application/grpc", "application/grpc+proto", "application/grpcx"]),
)


@dataclass(frozen=True)
class Sent:
    """One request, and how it is sent."""

    request: Request
    host: str
    port: int
    with_port: bool
    socket: bool


sent = st.builds(Sent, requests, st.sampled_from(HOSTS), st.integers(0, 1), switches, switches)


# --- The Envoy --------------------------------------------------------------------------------


@dataclass
class Bench:
    """The Envoy, the ports that meshes use, and who answers for which virtual node."""

    envoy: Swapped
    egress: int
    ports: tuple[int, ...]
    sockets: tuple[int, ...]
    answering: dict[str, int]
    log: Path
    logged: int = 0
    count: int = field(default=0)

    @property
    def explicit(self) -> View:
        backends = tuple(
            BackendPort(service, port, socket)
            for (service, port), socket in zip(
                (*((s, p) for s in SERVICES for p in self.ports[:-1]), (RAW, self.ports[-1])),
                self.sockets,
                strict=True,
            )
        )
        return View(PROXY, Mode.EXPLICIT, Ports(egress=self.egress, backends=backends))

    async def check(self, said: Said, asked: list[Sent], mode: Mode) -> None:
        nodes = said["nodes"]
        web = {**nodes["web"], "logging": self._logging()}
        instances = {
            node: {"i": {int(nodes[node]["listen"].partition("/")[0]): f"127.0.0.1:{port}"}}
            for node, port in self.answering.items()
            if node not in said["forgotten"]
        }
        state = state_from({**said, "nodes": {**nodes, "web": web}, "instances": instances})
        view = View(PROXY)
        if mode is Mode.EXPLICIT:
            view = self.explicit
        told = resolve(state, view)
        if mode is Mode.TRANSPARENT:
            # As if redirected: a connection finds the chain of the port it was made to.
            addresses = tuple(SocketAddress("127.0.0.1", port) for port in self.ports)
            (egress,) = told.listeners
            told = replace(told, listeners=(replace(egress, addresses=addresses),))
        await self.envoy.say(translate(told))
        for one in asked:
            port = self.ports[-1 if one.host == RAW else one.port]
            host = f"{one.host}:{port}" if one.with_port or mode is Mode.EXPLICIT else one.host
            service = next((s for s in SERVICES if s.lower() == one.host.lower()), one.host)
            found = why(
                state,
                "shop",
                service,
                replace(one.request, host=host),
                view=view,
                asked=Asked(port, socket=one.socket),
            )
            await self._compare(found, one, host, mode)

    async def _compare(self, found: Explanation, one: Sent, host: str, mode: Mode) -> None:
        if found.outside and found.outside.startswith("allowed"):
            return  # It would leave the machine, or come back to this Envoy.
        entry = self.egress
        if mode is Mode.TRANSPARENT:
            entry = self.ports[-1 if one.host == RAW else one.port]
        if found.arrival is not None and found.arrival.listener.startswith("lds_egress_127"):
            entry = int(found.arrival.because.rpartition(":")[2])
        if found.arrival is None or (found.arrival.route_configuration == "" and not found.targets):
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await self._ask(entry, one.request, host)
            return
        if found.protocol == "tcp" and found.arrival.route_configuration == "":
            await self._compare_connection(found, entry)
            return
        answer = await self._ask(entry, one.request, host)
        status = answer.status
        if one.request.is_grpc and (code := grpc_status(answer.headers)) is not None:
            # An answer of the proxy's own is said in gRPC's way to those who speak it.
            status = {12: 404, 14: 503, 7: 403}[code]
            assert found.grpc_status in (None, code), found
        route, cluster, logged = await self._entry()
        said = f"{one} in {mode}: {found}"
        assert logged in (status, 200), said
        assert route == (found.route or "-"), said
        alive = {each.cluster for each in found.targets if each.weight}
        if found.status is not None:
            assert (status, cluster) == (found.status, "-"), said
        else:
            assert cluster in alive, said
            (target,) = (each for each in found.targets if each.cluster == cluster)
            assert status == (200 if target.endpoints else 503), said
        if not found.hosts or not any(each.matches for each in found.hosts):
            assert status == 404, said

    async def _compare_connection(self, found: Explanation, entry: int) -> None:
        """Who answers is one of the living; who is nobody closes the connection."""
        chosen = [each for each in found.targets if each.weight]
        try:
            body = (await ask(entry, "GET / HTTP/1.1\nHost: x")).body
        except (OSError, asyncio.IncompleteReadError):
            assert not chosen or any(not each.endpoints for each in chosen), found
        else:
            assert body in {each.virtual_node for each in chosen if each.endpoints}, found

    async def _ask(self, entry: int, request: Request, host: str) -> Any:
        self.count += 1
        headers = "".join(f"\n{name}: {value}" for name, value in request.headers)
        line = f"{request.method} {request.path} HTTP/1.1\nHost: {host}{headers}"
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    return await ask(entry, f"{line}\nx-n: {self.count}")
                except ConnectionRefusedError:
                    # A listener at other addresses is accepted a moment before it listens.
                    await asyncio.sleep(0.01)

    async def _entry(self) -> tuple[str, str, int]:
        """Route, cluster and status of the newest request."""
        async with asyncio.timeout(DEADLINE):
            while True:
                text = self.log.read_text() if self.log.exists() else ""
                last = text[self.logged :].splitlines()
                for line in last:
                    number, route, cluster, status = line.split("|")
                    if number == str(self.count):
                        self.logged = len(text)
                        return route, cluster, int(status)
                await asyncio.sleep(0.002)

    def _logging(self) -> Said:
        text = "%REQ(X-N)%|%ROUTE_NAME%|%UPSTREAM_CLUSTER_RAW%|%RESPONSE_CODE%\n"
        return {"accessLog": {"file": {"path": str(self.log), "format": {"text": text}}}}


@asynccontextmanager
async def bench(directory: Path) -> AsyncIterator[Bench]:
    egress, *others = free_ports(5 + len(SERVICES) * 2)
    ports, sockets = tuple(others[:3]), tuple(others[3:])
    async with AsyncExitStack() as stack:
        answering = {
            node: (await stack.enter_async_context(upstream(node))).port
            for node in (*NODES, *RAW_NODES)
        }
        envoy = await stack.enter_async_context(swapped(directory))
        yield Bench(envoy, egress, ports, sockets, answering, directory / "access.log")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Bench]]:
    with asyncio.Runner() as runner:
        context = bench(tmp_path_factory.mktemp("why"))
        found = runner.run(context.__aenter__())
        try:
            yield runner, found
        finally:
            runner.run(context.__aexit__(None, None, None))


def _agrees(running: tuple[asyncio.Runner, Bench], data: st.DataObject) -> None:
    runner, found = running
    said = data.draw(with_connections(found.ports[:-1], found.ports[-1]))
    asked = data.draw(st.lists(sent, min_size=REQUESTS, max_size=REQUESTS))
    runner.run(found.check(said, asked, data.draw(st.sampled_from(Mode))))


def grpc_status(headers: str) -> int | None:
    lines = (line.partition(":") for line in headers.lower().splitlines())
    return next((int(value) for name, _, value in lines if name == "grpc-status"), None)


def profile(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


@profile(SMALL)
@given(data=st.data())
def test_why_says_what_envoy_does(
    running: tuple[asyncio.Runner, Bench], data: st.DataObject
) -> None:
    _agrees(running, data)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@profile(LARGE)
@given(data=st.data())
def test_why_says_what_envoy_does_in_any_of_many_meshes(
    running: tuple[asyncio.Runner, Bench], data: st.DataObject
) -> None:
    _agrees(running, data)
