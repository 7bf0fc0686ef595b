"""``weft up`` on a file of one's own: replicas that come, go and die under load, on real Envoys."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.demo import DEADLINE_SECONDS, Demo, aside, demo, free_ports, get, wait_for
from tests.load import load
from weft.local import control

pytestmark = pytest.mark.envoy

APP = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave together: nobody can try again what was half answered by the dead.
    wbufsize = -1

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", str(len(sys.argv[2])))
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())

    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

MESH = """
mesh: shop
resources:
  - kind: mesh
  - kind: virtualNode
    virtualNodeName: back-vn
    spec:
      listeners: [{portMapping: {port: 9080, protocol: http}}]
      serviceDiscovery: {dns: {hostname: back.local}}
  - kind: virtualService
    virtualServiceName: back.local
    spec: {provider: {virtualNode: {virtualNodeName: back-vn}}}
  - kind: virtualNode
    virtualNodeName: front-vn
    spec:
      listeners: [{portMapping: {port: 9080, protocol: http}}]
      serviceDiscovery: {dns: {hostname: front.local}}
      backends: [{virtualService: {virtualServiceName: back.local}}]
workloads:
  front: {virtualNode: front-vn, command: "${python} app.py ${port.9080} front"}
  back:
    virtualNode: back-vn
    replicas: 2
    command: ["${python}", app.py, "${port.9080}", "back ${replica}"]
"""
BY_CLOUD_MAP = MESH.replace(
    "dns: {hostname: back.local}", "awsCloudMap: {namespaceName: shop, serviceName: back}"
)
URL = "http://back.local:9080/"
BOTH = {"back 0", "back 1"}


class Running:
    """A ``weft up -f`` that runs."""

    def __init__(self, directory: Path, mesh: str) -> None:
        (directory / "app.py").write_text(APP)
        (directory / "weft.yaml").write_text(mesh)
        self.data = directory / "data"
        self.log = directory / "log"
        api, xds = free_ports(2)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "weft", "up", "-f", str(directory / "weft.yaml")),
                    *("--data", str(self.data)),
                    *("--api", f"127.0.0.1:{api}", "--xds", f"127.0.0.1:{xds}"),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return "Ready in" in self.log.read_text()

        wait_for(ready, "weft up is ready")

    def ask(self, op: str, workload: str) -> dict[str, Any]:
        return control.request(self.data, {"op": op, "workload": workload})

    def replica(self, name: str) -> dict[str, Any]:
        status = control.request(self.data, {"op": "status"})
        found = {each["name"]: each for w in status["workloads"] for each in w["replicas"]}
        return found[name]

    def running(self, name: str, *, pid_before: int = 0) -> dict[str, Any]:
        def runs() -> dict[str, Any] | None:
            found = self.replica(name)
            return found if found["state"] == "running" and found["pid"] != pid_before else None

        found: dict[str, Any] = wait_for(runs, f"{name} runs:\n{self.log.read_text()}")
        return found

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(DEADLINE_SECONDS)


@pytest.fixture
def up(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    running = Running(tmp_path, getattr(request, "param", MESH))
    try:
        running.wait_ready()
        yield running
    finally:
        running.end()


@pytest.mark.parametrize("up", [MESH, BY_CLOUD_MAP], ids=["dns", "cloud map"], indirect=True)
async def test_replicas_that_are_stopped_started_and_killed_lose_no_request(up: Running) -> None:
    egress = up.replica("front")["egress"]
    async with load(egress, URL, per_second=100, allowed=BOTH) as result:

        async def answers_again(body: str) -> None:
            before = result.bodies[body]
            async with asyncio.timeout(DEADLINE_SECONDS):
                while result.bodies[body] < before + 20:
                    await asyncio.sleep(0.05)

        await answers_again("back 0")
        await answers_again("back 1")

        stopped = await aside(up.ask, "stop", "back/0")
        assert [each["state"] for each in stopped["replicas"]] == ["stopped"]
        before = result.bodies["back 0"]
        await answers_again("back 1")
        assert result.bodies["back 0"] == before, "what is stopped gets nothing"

        started = await aside(up.ask, "start", "back/0")
        assert [each["state"] for each in started["replicas"]] == ["running"]
        await answers_again("back 0")
        assert not result.failures, result.summary()

        pid = (await aside(up.replica, "back/1"))["pid"]
        os.kill(pid, signal.SIGKILL)
        await aside(lambda: up.running("back/1", pid_before=pid))
        await answers_again("back 1")
    assert not result.failures, (result.summary(), result.failures[:5])


async def test_a_killed_sidecar_comes_back_at_its_ports(up: Running) -> None:
    before = up.running("front")
    os.kill(before["sidecarPid"], signal.SIGKILL)

    def back() -> dict[str, Any] | None:
        found = up.replica("front")
        other = found["sidecarPid"] != before["sidecarPid"]
        return found if other and found["state"] == "running" else None

    after = wait_for(back, "the sidecar is back")
    assert (after["egress"], after["pid"]) == (before["egress"], before["pid"])
    async with load(after["egress"], URL, per_second=50, allowed=BOTH) as result:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while set(result.bodies) != BOTH:
                await asyncio.sleep(0.05)
    assert not result.failures, result.failures[:5]


@contextmanager
def waiting_demo(directory: Path) -> Iterator[Demo]:
    """A demo without a mesh."""
    running = Demo(directory, ("--no-traffic", "--no-mesh"))
    running.start()
    try:
        wait_for(lambda: "Ready in" in running.log(), "the demo is ready to wait")
        yield running
    finally:
        running.stop()


def wait_for_colors(running: Demo) -> None:
    """Until the gateway answers one."""

    def answers() -> bool:
        try:
            return get(running.gateway, "/color")[0] == 200
        except OSError:
            return False

    wait_for(answers, f"the gateway answers:\n{running.log()}")


def states(running: Demo) -> set[str]:
    status = control.request(running.directory / "data", {"op": "status"})
    return {each["state"] for workload in status["workloads"] for each in workload["replicas"]}


def test_a_demo_without_a_mesh_waits_until_others_have_created_it(tmp_path: Path) -> None:
    with waiting_demo(tmp_path) as running:
        assert running.log().count("waits for virtual node") == 6
        assert running.api_get("/weft/v1/resources")["resources"] == []

        example = Path(__file__).parents[2] / "examples/colorapp/weft.yaml"
        running.run("apply", "-f", str(example))
        wait_for(lambda: states(running) == {"running"}, "all run")
        running.run("wait")
        assert set(running.colors(30)) <= {"white", "blue", "red"}


def test_a_fresh_demo_undoes_what_was_changed(tmp_path: Path) -> None:
    with demo(tmp_path) as first:
        first.run("split", "colorteller", "blue=0", "red=0")
        assert set(first.colors(20)) == {"white"}
    with demo(tmp_path, "--no-traffic", "--fresh") as second:
        wait_for_colors(second)
        second.run("wait")
        assert set(second.colors(60)) == {"white", "blue", "red"}


def test_the_demo_sends_light_traffic_of_its_own(tmp_path: Path) -> None:
    with demo(tmp_path, "--fresh") as running:
        wait_for(lambda: running.log().count("color requested") > 20, "traffic arrives")
        stats = json.loads(get(running.gateway, "/color")[1])["stats"]
        assert set(stats) <= {"white", "blue", "red"}
