"""``weft sidecar --intercept`` in a network namespace: its rules come, hold, and go."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as Packed

from tests.builders import state_from, view_of
from tests.envoy.sidecar_harness import PROXY, SRC, ControlPlane, Sidecar, eventually
from tests.isolated import FETCH, nat_rules, needs_root
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate
from weft.translate.snapshot import ResourceType

pytestmark = [pytest.mark.envoy, needs_root]

INSIDE, OUTSIDE = "198.51.100.2", "198.51.100.1"
SERVER = "import sys, http.server as h; h.ThreadingHTTPServer(('', int(sys.argv[1])), h.SimpleHTTPRequestHandler).serve_forever()"


class Namespace:
    """Two of them, back to back: the sidecar's, and the network around it."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self.around = self._hold(("unshare", "--net"))
        self.inside = self._hold((*self.around, "unshare", "--net"))
        peer = f"peer name eth0 netns {self._processes[1].pid}"
        self.run(self.around, *f"ip link add eth0 type veth {peer}".split())
        for enter, own in ((self.around, OUTSIDE), (self.inside, INSIDE)):
            up = f"ip link set lo up && ip addr add {own}/24 dev eth0 && ip link set eth0 up"
            self.run(enter, "sh", "-c", up)
        self.run(self.inside, *f"ip route add default via {OUTSIDE}".split())

    def _hold(self, command: tuple[str, ...]) -> tuple[str, ...]:
        held = subprocess.Popen(
            [*command, "sh", "-c", "echo there; exec sleep 1000"], stdout=subprocess.PIPE
        )
        self._processes.append(held)
        assert held.stdout is not None
        assert held.stdout.readline() == b"there\n"
        return ("nsenter", f"--net=/proc/{held.pid}/ns/net", "--")

    def run(self, enter: tuple[str, ...], *command: str) -> str:
        done = subprocess.run([*enter, *command], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve(self, enter: tuple[str, ...], port: int, directory: Path) -> None:
        """A web server there, of a directory."""
        held = subprocess.Popen(
            [*enter, sys.executable, "-c", SERVER, str(port)],
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(held)

    def fetch(self, enter: tuple[str, ...], host: str, port: int, *prefix: str) -> str:
        command = (*prefix, sys.executable, "-c", FETCH, host, str(port), "/name", "1")
        return self.run(enter, *command).strip()

    def rules(self) -> list[str]:
        return nat_rules(self.run(self.inside, "iptables-save", "-t", "nat"))

    def end(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


class Intercepting(Sidecar):
    """A sidecar in a namespace."""

    def __init__(self, directory: Path, xds: str, enter: tuple[str, ...], *more: str) -> None:
        super().__init__(directory, xds, "--intercept", *more)
        self.enter = enter

    async def start(self) -> Sidecar:
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(*self.enter, sys.executable, "-m", "weft", "sidecar", *self._arguments),
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(SRC)},
            )
        return self


@contextmanager
def namespaces() -> Iterator[Namespace]:
    made = Namespace()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """The workload serves 8080 and 8081, the network around it 8000 and 8022; each says its name."""
    with namespaces() as made:
        for enter, name, ports in (
            (made.inside, "web", (8080, 8081)),
            (made.around, "outside", (8000, 8022)),
        ):
            directory = tmp_path_factory.mktemp(name)
            (directory / "name").write_text(name)
            for port in ports:
                made.serve(enter, port, directory)
        yield made


def resources(*listeners: int) -> dict[str, dict[str, object]]:
    """What the control plane says of a virtual node with these listeners that may call nobody."""
    mesh = {"nodes": {"web": {"listen": [f"{port}/http" for port in listeners]}}}
    snapshot = translate(resolve(state_from(mesh), view_of("web")))
    found: dict[str, dict[str, object]] = {}
    for name, kind in (
        ("cluster", ResourceType.CLUSTER),
        ("endpoint", ResourceType.ENDPOINT),
        ("listener", ResourceType.LISTENER),
        ("route", ResourceType.ROUTE),
    ):
        found[name] = {}
        for key, resource in snapshot.of(kind).items():
            packed = Packed()
            packed.ParseFromString(_resource(resource.delta))
            message = json_format.MessageToDict(packed, preserving_proto_field_name=True)
            message.pop("@type")
            found[name][key] = message
    return found


def _resource(delta: bytes) -> bytes:
    from envoy.service.discovery.v3 import discovery_pb2

    (entry,) = discovery_pb2.DeltaDiscoveryResponse.FromString(delta).resources
    return bytes(entry.resource.SerializeToString())


@pytest.fixture
async def control_plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    made = ControlPlane(tmp_path, f"unix:{tmp_path}/xds.sock")
    await made.publish(resources(8080))
    await made.start()
    yield made
    await made.kill()


@pytest.fixture
async def sidecar(
    tmp_path: Path, control_plane: ControlPlane, network: Namespace, request: pytest.FixtureRequest
) -> AsyncIterator[Intercepting]:
    flags = getattr(request, "param", ())
    made = Intercepting(tmp_path, control_plane.address, network.inside, *flags)
    await made.start()
    yield made
    await made.stop()
    assert network.rules() == [], "whatever happened, they are gone"


async def test_rules_follow_the_listeners_and_go_with_the_sidecar(
    sidecar: Intercepting, control_plane: ControlPlane, network: Namespace
) -> None:
    await sidecar.ready()
    ingress = "-A APPMESH_INGRESS -p tcp -m multiport --dports {} -j REDIRECT --to-ports 15000"
    assert ingress.format("8080") in network.rules()

    await control_plane.publish(resources(8080, 8081))
    await eventually(lambda: ingress.format("8080,8081") in network.rules())
    assert len([rule for rule in network.rules() if "PREROUTING" in rule]) == 1

    await control_plane.publish(resources())
    await eventually(lambda: not [rule for rule in network.rules() if "INGRESS" in rule])

    assert await sidecar.stop() == 0
    assert network.rules() == []


async def test_the_rules_of_a_killed_sidecar_stay_closed_and_are_replaced(
    sidecar: Intercepting, network: Namespace
) -> None:
    await sidecar.ready()
    before = network.rules()
    assert sidecar.process is not None
    sidecar.process.kill()
    await sidecar.process.wait()
    assert network.rules() == before
    assert network.fetch(network.inside, OUTSIDE, 8000).startswith("failed"), "nothing leaks"

    sidecar.ready_file.unlink()
    await sidecar.start()
    await sidecar.ready()
    assert network.rules() == before


@pytest.mark.parametrize(
    "sidecar",
    [("--egress-ignored-ports", "8022", "--ignore-uid", "65534", "--app-ports", "8080")],
    indirect=True,
)
async def test_what_is_ignored_is_let_alone(sidecar: Intercepting, network: Namespace) -> None:
    await sidecar.ready()
    nobody = ("setpriv", "--reuid=65534", "--clear-groups")

    assert network.fetch(network.inside, OUTSIDE, 8000).startswith("failed"), "DROP_ALL"
    assert network.fetch(network.inside, OUTSIDE, 8022) == "200 outside"
    assert network.fetch(network.inside, INSIDE, 8081) == "200 web", "its own addresses"
    assert network.fetch(network.around, INSIDE, 8081) == "200 web", "a port not listed"
    assert network.fetch(network.around, INSIDE, 8080) == "200 web", "through the proxy"
    curl = f"curl -s -m 5 http://{OUTSIDE}:8000/name"
    assert network.run(network.inside, *nobody, "sh", "-c", curl) == "outside"


@pytest.mark.parametrize("sidecar", [("--egress-ignored-ips", "198.51.100.0/24")], indirect=True)
async def test_an_ignored_network_is_let_alone(sidecar: Intercepting, network: Namespace) -> None:
    await sidecar.ready()

    assert network.fetch(network.inside, OUTSIDE, 8000) == "200 outside"


async def test_a_second_sidecar_of_a_namespace_is_refused(
    sidecar: Intercepting, tmp_path: Path, network: Namespace, control_plane: ControlPlane
) -> None:
    await sidecar.ready()
    before = network.rules()
    (tmp_path / "other").mkdir()
    other = Intercepting(tmp_path / "other", control_plane.address, network.inside)
    await other.start()
    assert other.process is not None

    assert await asyncio.wait_for(other.process.wait(), 30) == 1
    assert "another sidecar redirects the traffic of this network namespace" in other.log
    assert network.rules() == before


def refused(network: Namespace, *prefix: str, path: str = "", flags: tuple[str, ...] = ()) -> str:
    """What a sidecar says that cannot intercept; it has changed nothing."""
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    if path:
        environment["PATH"] = path
    weft = (sys.executable, "-m", "weft", "sidecar", "--proxy", PROXY, "--intercept")
    done = subprocess.run(
        [*network.inside, *prefix, *weft, "--data", "/tmp/weft-nowhere", *flags],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
    )
    assert done.returncode == 1, done.stderr
    assert "fix:" in done.stderr
    assert network.rules() == []
    return done.stderr


def test_without_the_right_to_mark_no_rule_is_made(network: Namespace) -> None:
    without = ("setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-all")

    said = refused(network, *without)

    assert "Envoy may not mark its own connections" in said
    assert "CAP_NET_ADMIN" in said


def test_a_user_that_the_namespace_does_not_have_is_named(network: Namespace) -> None:
    said = refused(network, "unshare", "-r", "--net", flags=("--ignore-uid", "1337"))

    assert "this user namespace has no such uid" in said


def test_init_containers_make_the_rules_and_take_them_out_again(network: Namespace) -> None:
    weft = ("env", f"PYTHONPATH={SRC}", sys.executable, "-m", "weft", "sidecar", "rules")
    asked = ("--app-ports", "8080", "--ignore-uid", "1337")

    network.run(network.inside, *weft, "--install", *asked)
    made = network.rules()
    network.run(network.inside, *weft, "--install", *asked)
    assert network.rules() == made, "twice is once"
    assert "-A APPMESH_EGRESS -m owner --uid-owner 1337 -j RETURN" in made

    network.run(network.inside, *weft, "--remove")
    assert network.rules() == []
