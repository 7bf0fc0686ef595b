"""
A whole workload in a network namespace: sidecar, rules, name service, servers and a caller.

The control plane runs in the test's own process, and is reached by a Unix socket.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.envoy.name_server import NameServer, sockets
from tests.envoy.namespaces import Namespace
from tests.envoy.sidecar_harness import SRC, eventually
from weft.names import Key
from weft.server import Running, serving
from weft.settings import Address, Settings
from weft.store.change import Author, Delete, Put, Step

ME = Author("ana", "pytest")


class Servers:
    """Servers inside the namespace, each in a thread: one connection after the other."""

    def __init__(self, inside: Namespace) -> None:
        self._inside = inside
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def add(self, host: str, port: int, greet: Callable[[socket.socket], None]) -> None:
        listening = self._inside.listening(host, port)
        self._open.append(listening)

        def run() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client:
                    client.settimeout(5)
                    try:
                        greet(client)
                    except OSError:
                        continue

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def stop(self) -> None:
        for each in self._open:
            each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()


def mysql(version: str) -> Callable[[socket.socket], None]:
    """The first packet of MySQL's protocol comes from the server; then it waits for the client."""

    def greet(client: socket.socket) -> None:
        content = b"\x0a" + version.encode() + b"\0" + bytes(20)
        client.sendall(len(content).to_bytes(3, "little") + b"\0" + content)
        client.recv(100)

    return greet


def smtp(name: str) -> Callable[[socket.socket], None]:
    def greet(client: socket.socket) -> None:
        client.sendall(f"220 {name} ESMTP\r\n".encode())
        if client.recv(100).startswith(b"EHLO"):
            client.sendall(f"250 {name}\r\n".encode())

    return greet


def page(body: str) -> Callable[[socket.socket], None]:
    """One answer for each connection, so that the next can come."""

    def answer(client: socket.socket) -> None:
        if client.recv(4096):
            head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall((head + body).encode())

    return answer


# What runs inside, as the workload does: it resolves by the C library, and connects by name.
CLIENT = """
import json, socket, sys, time
def one(asked):
    begun = time.monotonic()
    said = {"addresses": [], "got": "", "error": ""}
    try:
        found = socket.getaddrinfo(asked["host"], asked["port"], type=socket.SOCK_STREAM)
        said["addresses"] = [each[4][0] for each in found]
        family, kind, _, _, address = found[0]
        if "family" in asked:
            family, kind, _, _, address = next(f for f in found if (f[0] == socket.AF_INET6) == (asked["family"] == 6))
        begun = time.monotonic()
        with socket.socket(family, kind) as client:
            client.settimeout(8)
            client.connect(address)
            client.sendall(asked.get("send", "").encode())
            said["got"] = client.recv(4096).decode("latin-1")
    except OSError as error:
        said["error"] = type(error).__name__
    said["seconds"] = time.monotonic() - begun
    return said
for line in sys.stdin:
    print(json.dumps(one(json.loads(line))), flush=True)
"""


@dataclass
class Workload:
    """A virtual node ``web`` in a namespace, its sidecar, and a program that calls others."""

    inside: Namespace
    running: Running
    outside: NameServer
    resolv_conf: Path
    servers: Servers
    directory: Path
    status: dict[str, Any] = field(default_factory=dict)
    client: asyncio.subprocess.Process | None = None
    sidecar: asyncio.subprocess.Process | None = None

    async def call(self, host: str, port: int, send: str = "", **more: int) -> dict[str, Any]:
        assert self.client is not None
        assert self.client.stdin is not None
        assert self.client.stdout is not None
        asked = {"host": host, "port": port, "send": send, **more}
        self.client.stdin.write(json.dumps(asked).encode() + b"\n")
        async with asyncio.timeout(20):
            found: dict[str, Any] = json.loads(await self.client.stdout.readline())
        return found

    async def get(self, host: str, port: int, **more: int) -> str:
        """The status and the body of a page."""
        request = f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
        found = await self.call(host, port, request, **more)
        head, _, body = found["got"].partition("\r\n\r\n")
        return f"{head.split(' ')[1]} {body}" if head else found["error"] or "closed"

    async def page(self, path: str) -> str:
        """A page of the sidecar's status server, which is inside."""

        def ask() -> str:
            host, _, port = str(self.status["status"]).rpartition(":")
            with socket.create_connection((host, int(port)), 5) as connection:
                request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                connection.sendall(request.encode())
                found = b""
                while more := connection.recv(65536):
                    found += more
            return found.decode().partition("\r\n\r\n")[2]

        return await asyncio.to_thread(self.inside.inside, ask)

    async def apply(self, specs: dict[str, Any], *gone: str) -> None:
        """Returns when every proxy has accepted it."""
        steps: list[Step] = [
            *(Put(Key.parse(key), spec) for key, spec in specs.items()),
            *(Delete(Key.parse(key)) for key in gone),
        ]
        made = await self.running.parts.store.apply(steps, ME)
        told = await self.running.parts.delivery.wait_settled(made.revision, timedelta(seconds=20))
        assert told.done, told


def node(*listeners: str, host: str = "127.0.0.9", calls: tuple[str, ...] = ()) -> dict[str, Any]:
    made: dict[str, Any] = {
        "listeners": [
            {"portMapping": {"port": int(port), "protocol": protocol}}
            for port, protocol in (each.split("/") for each in listeners)
        ],
        "serviceDiscovery": {"dns": {"hostname": host}},
        "backends": [{"virtualService": {"virtualServiceName": each}} for each in calls],
    }
    return made


def service(name: str) -> dict[str, Any]:
    return {"provider": {"virtualNode": {"virtualNodeName": name}}}


async def begin(
    stack: AsyncExitStack, inside: Namespace, directory: Path, specs: dict[str, Any]
) -> Workload:
    """A workload ``web`` of a mesh ``shop``; what it calls is there already."""
    resolv_conf = directory / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\nsearch mesh.local\n")
    outside = NameServer(*inside.inside(lambda: sockets("127.0.0.53", 53)))
    outside.start()
    stack.callback(outside.stop)
    servers = Servers(inside)
    stack.callback(servers.stop)
    running = await stack.enter_async_context(
        serving(
            Settings(
                api=Address("127.0.0.1", 0),
                xds=Address("", 0, str(directory / "xds.sock")),
                data=directory / "control",
            )
        )
    )
    made = Workload(inside, running, outside, resolv_conf, servers, directory)
    await running.parts.store.apply([Put(Key.parse(k), v) for k, v in specs.items()], ME)
    return made


async def sidecar_of(
    stack: AsyncExitStack, web: Workload, node: str, inside: Namespace, *arguments: str
) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    """A sidecar with rules in a namespace, and what it said once it was ready."""
    directory = web.directory / node
    directory.mkdir()
    ready = directory / "ready.json"
    log = stack.enter_context((directory / "sidecar.log").open("wb"))
    sidecar = await asyncio.create_subprocess_exec(
        *inside.command(sys.executable, "-m", "weft", "sidecar", "--intercept"),
        *("--proxy", f"mesh/shop/virtualNode/{node}", "--xds", str(web.running.settings.xds)),
        *("--data", str(directory / "data"), "--ready-file", str(ready), "--drain-time", "1s"),
        *arguments,
        stderr=log,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(SRC)},
    )

    async def stop() -> None:
        if sidecar.returncode is None:
            sidecar.terminate()
        await asyncio.wait_for(sidecar.wait(), 30)

    stack.push_async_callback(stop)

    def is_ready() -> bool:
        assert sidecar.returncode is None, (directory / "sidecar.log").read_text()
        return ready.exists()

    await eventually(is_ready)
    return sidecar, json.loads(ready.read_text())


async def start(stack: AsyncExitStack, web: Workload) -> None:
    """Its sidecar, ready, and the program that calls others."""
    names = ("--dns", "127.0.0.1", "--dns-upstream", "127.0.0.53")
    web.sidecar, web.status = await sidecar_of(stack, web, "web", web.inside, *names)
    web.client = await asyncio.create_subprocess_exec(
        *web.inside.command(sys.executable, "-c", CLIENT, resolv_conf=web.resolv_conf),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )

    async def end() -> None:
        assert web.client is not None
        web.client.kill()
        await web.client.wait()

    stack.push_async_callback(end)
