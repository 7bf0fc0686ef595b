"""
Mesh DNS as a workload sees it: in a network namespace, with the kernel's redirection.

The whole way: control plane, sidecar with its name service and its rules, Envoy, servers.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest
import pytest_asyncio

from tests.envoy import namespaces
from tests.envoy.name_server import NameServer, sockets
from tests.envoy.namespaces import V4, V6, Namespace, namespace
from tests.envoy.sidecar_harness import SRC, eventually
from weft.names import Key
from weft.server import Running, serving
from weft.settings import Address, Settings
from weft.store.change import Author, Delete, Put

pytestmark = [
    pytest.mark.envoy,
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
    pytest.mark.asyncio(loop_scope="module"),
]

ME = Author("ana", "pytest")
OUTSIDE = "10.77.0.53"


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
    def answer(client: socket.socket) -> None:
        while client.recv(4096):
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
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
    status: dict[str, Any] = field(default_factory=dict)
    client: asyncio.subprocess.Process | None = None

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

    async def apply(self, specs: dict[str, Any], *gone: str) -> None:
        """Returns when every proxy has accepted it."""
        steps = [
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


SERVICES = {
    "db-a.mesh.local": ("db-a", "127.0.0.11"),
    "db-b.mesh.local": ("db-b", "127.0.0.12"),
    "mail.mesh.local": ("mail", "127.0.0.13"),
    "shop.mesh.local": ("shop", "127.0.0.14"),
    "on443.mesh.local": ("on443", "127.0.0.15"),
    "mixed.mesh.local": ("mixed", "127.0.0.16"),
}
LISTENERS = {
    "db-a": "3306/tcp",
    "db-b": "3306/tcp",
    "mail": "25/tcp",
    "shop": "8080/http",
    "on443": "443/tcp",
    "mixed": "3306/http",
}
CALLS = tuple(SERVICES)


def mesh(**spec: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"mesh/shop": spec}
    for name, (provider, host) in SERVICES.items():
        made[f"mesh/shop/virtualNode/{provider}"] = node(LISTENERS[provider], host=host)
        made[f"mesh/shop/virtualService/{name}"] = service(provider)
    made["mesh/shop/virtualNode/web"] = node("9080/http", calls=CALLS)
    return made


@contextmanager
def started(servers: Servers) -> Iterator[Servers]:
    try:
        servers.add("127.0.0.11", 3306, mysql("8.0-a"))
        servers.add("127.0.0.12", 3306, mysql("8.0-b"))
        servers.add("127.0.0.13", 25, smtp("mail"))
        servers.add("127.0.0.14", 8080, page("shop"))
        servers.add("127.0.0.15", 443, smtp("on443"))
        servers.add("127.0.0.16", 3306, page("mixed"))
        yield servers
    finally:
        servers.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workload]:
    directory = tmp_path_factory.mktemp("dns")
    resolv_conf = directory / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\nsearch mesh.local\n")
    async with AsyncExitStack() as stack:
        inside = stack.enter_context(namespace(directory, "dns"))
        outside = NameServer(*inside.inside(lambda: sockets("127.0.0.53", 53)))
        outside.start()
        stack.callback(outside.stop)
        outside.records[("www.example", "A")] = ["127.0.0.14"]
        # The same name elsewhere, as in Color App: Envoy must not be sent back to itself.
        outside.records[("shop.mesh.local", "A")] = ["127.0.0.14"]
        servers = stack.enter_context(started(Servers(inside)))
        running = await stack.enter_async_context(
            serving(
                Settings(
                    api=Address("127.0.0.1", 0),
                    xds=Address("", 0, str(directory / "xds.sock")),
                    data=directory / "control",
                )
            )
        )
        made = Workload(inside, running, outside, resolv_conf, servers)
        specs = mesh(egressFilter={"type": "ALLOW_ALL"})
        await running.parts.store.apply([Put(Key.parse(k), v) for k, v in specs.items()], ME)
        await _start(stack, made, directory)
        yield made


async def _start(stack: AsyncExitStack, web: Workload, directory: Path) -> None:
    ready = directory / "ready.json"
    log = stack.enter_context((directory / "sidecar.log").open("wb"))
    sidecar = await asyncio.create_subprocess_exec(
        *web.inside.command(sys.executable, "-m", "weft", "sidecar"),
        *("--proxy", "mesh/shop/virtualNode/web", "--intercept", "--dns", "127.0.0.1"),
        *("--dns-upstream", "127.0.0.53", "--xds", str(web.running.settings.xds)),
        *("--data", str(directory / "data"), "--ready-file", str(ready), "--drain-time", "1s"),
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
    web.status = json.loads(ready.read_text())
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


async def test_two_tcp_backends_on_one_port_and_an_http_one_are_told_apart(web: Workload) -> None:
    for name in ("a", "b"):
        found = await web.call(f"db-{name}.mesh.local", 3306)
        assert f"8.0-{name}" in found["got"], found
        # An inspector would have waited for the client, which waits for the server.
        assert found["seconds"] < 0.5
    assert await web.get("mixed.mesh.local", 3306) == "200 mixed"


async def test_a_server_that_speaks_first_is_heard_at_once(web: Workload) -> None:
    for _ in range(3):
        found = await web.call("mail.mesh.local", 25)
        assert found["got"] == "220 mail ESMTP\r\n"
        assert found["seconds"] < 0.5


async def test_at_the_port_where_server_names_are_read_a_server_that_speaks_first_is_heard_soon(
    web: Workload,
) -> None:
    found = await web.call("on443.mesh.local", 443)
    assert found["got"] == "220 on443 ESMTP\r\n"
    assert found["seconds"] < 1.5


async def test_names_are_found_without_a_record_anywhere(web: Workload) -> None:
    web.outside.asked.clear()
    assert await web.get("shop.mesh.local", 8080) == "200 shop"
    assert await web.get("Shop.MESH.local", 8080) == "200 shop"
    asked_by_envoy = {name for name, _, _ in web.outside.asked}
    assert "db-a.mesh.local." not in asked_by_envoy


async def test_names_outside_are_found_where_they_always_were(web: Workload) -> None:
    found = await web.call("www.example", 9999)
    assert found["addresses"] == ["127.0.0.14"]
    assert (await web.call("no.example", 80))["error"] == "gaierror"


async def test_a_port_that_a_service_does_not_have_is_closed_at_once(web: Workload) -> None:
    for host, port in (
        ("shop.mesh.local", 9999),  # a port that nobody has
        ("shop.mesh.local", 25),  # another backend's, by TCP
        ("db-a.mesh.local", 443),  # where server names are read
        ("mail.mesh.local", 3306),
    ):
        found = await web.call(host, port, "hello")
        assert found["got"] == "", (host, port, found)
        assert found["seconds"] < 0.5, (host, port, found)
    # Where requests are read there is a sentence.
    assert (await web.get("db-a.mesh.local", 8080)).startswith("404 this virtual service has no")
