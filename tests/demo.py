"""A real ``weft demo`` as a child process, and what an operator does with it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEADLINE_SECONDS = 60.0
MESH = "my-first-appmesh"
COLORTELLER = "http://colorteller.myapp.local:9080/"


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """The first true answer of a condition."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)
    return found


def get(port: int, path: str, *, host: str = "127.0.0.1") -> tuple[int, str]:
    """Status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": f"{host}:{port}"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@dataclass
class Demo:
    """A running demo."""

    directory: Path
    options: tuple[str, ...] = ("--no-traffic",)
    file: Path | None = None
    """A weft.yaml of one's own: then it is ``weft up``."""
    api: int = 0
    xds: int = 0
    gateway: int = 0
    process: subprocess.Popen[str] = field(init=False, repr=False)
    prefix: tuple[str, ...] = ()
    """What runs every command, such as another user."""
    python: str = sys.executable
    variables: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        if not self.api:
            self.api, self.xds, self.gateway = free_ports(3)
        if self.file is None:
            command = [*self.weft, "demo", *self.options, "--gateway-port", str(self.gateway)]
        else:
            command = [*self.weft, "up", "-f", str(self.file), *self.options]
        command += ["--data", str(self.directory / "data")]
        command += ["--api", f"127.0.0.1:{self.api}", "--xds", f"127.0.0.1:{self.xds}"]
        with (self.directory / "out").open("w") as out, (self.directory / "err").open("w") as err:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, env=self.environment, text=True
            )

    @property
    def weft(self) -> list[str]:
        return [*self.prefix, self.python, "-m", "weft"]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "WEFT_ENDPOINT": f"http://127.0.0.1:{self.api}",
            "WEFT_DATA": str(self.directory / "data"),
            "WEFT_DEMO_GATEWAY_PORT": str(self.gateway),
            "NO_COLOR": "1",
            **self.variables,
        }

    def log(self) -> str:
        return "".join((self.directory / name).read_text() for name in ("out", "err"))

    def wait_ready(self) -> None:
        """Until the demo says that it is ready."""

        def is_ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the demo ended by itself:\n{self.log()}")
            return "Ready in" in (self.directory / "out").read_text()

        try:
            wait_for(is_ready, "the demo is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}; its log:\n{self.log()}") from None

    def color_body(self) -> str:
        return get(self.gateway, "/color")[1]

    def colors(self, count: int) -> Counter[str]:
        """The colours of so many requests to the gateway."""
        found: Counter[str] = Counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway, timeout=20)
        with contextlib.closing(connection):
            for _ in range(count):
                connection.request("GET", "/color")
                response = connection.getresponse()
                body = response.read().decode()
                found[json.loads(body)["color"] if response.status == 200 else body] += 1
        return found

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A ``weft`` command."""
        done = subprocess.run(
            [*self.weft, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        if check and done.returncode:
            raise AssertionError(f"weft {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
        return done

    def aws(self, *arguments: str) -> Any:
        """An ``aws`` command with what ``weft env`` exports; its JSON."""
        command = 'eval "$("$0" -m weft env)"; exec aws "$@"'
        done = subprocess.run(
            ["bash", "-c", command, sys.executable, *arguments],
            env={
                **self.environment,
                "AWS_PROFILE": "default",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        if done.returncode:
            raise AssertionError(f"aws {' '.join(arguments)}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def api_get(self, path: str) -> Any:
        status, body = get(self.api, path)
        assert status == 200, body
        return json.loads(body)

    def proxies(self) -> dict[str, list[dict[str, Any]]]:
        """The connected proxies by virtual node."""
        found: dict[str, list[dict[str, Any]]] = {}
        for proxy in self.api_get("/weft/v1/proxies")["proxies"]:
            if not proxy["disconnectedAt"]:
                found.setdefault(proxy["proxy"].rpartition("/")[2], []).append(proxy)
        return found

    def sidecar(self, node: str) -> dict[str, Any]:
        """What the status page of a virtual node's only sidecar says."""
        return self.sidecar_page(node, "/status")

    def sidecar_page(self, node: str, page: str) -> dict[str, Any]:
        """Another page of the same."""
        (proxy,) = self.proxies()[node]
        port = int(proxy["statusAddress"].rpartition(":")[2])
        status, body = get(port, page)
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def replicas(self, workload: str) -> list[dict[str, Any]]:
        """What the runner says of a workload's replicas."""
        found = json.loads(self.run("get", "workloads", "-o", "json").stdout)
        (row,) = [row for row in found["workloads"] if row["name"] == workload]
        replicas: list[dict[str, Any]] = row["replicas"]
        return replicas

    def control_plane_pid(self) -> int:
        pid: int = json.loads((self.directory / "data" / "serve.json").read_text())["pid"]
        return pid

    def stop(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)


@contextlib.contextmanager
def demo(directory: Path, *options: str, file: Path | None = None) -> Iterator[Demo]:
    """A demo for the length of a block."""
    default = ("--no-traffic",) if file is None else ()
    running = Demo(directory, options or default, file)
    with started(running):
        yield running


@contextlib.contextmanager
def started(running: Demo) -> Iterator[Demo]:
    """One that was described already."""
    running.start()
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def descendants(pid: int) -> set[int]:
    """The processes below a process."""
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                child = int(stat.parent.name)
                found |= {child} | descendants(child)
    return found


async def aside(function: Callable[..., Any], *arguments: Any) -> Any:
    """A blocking call while the event loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(None, lambda: function(*arguments))
