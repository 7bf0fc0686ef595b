"""
Mesh DNS as a workload sees it: in a network namespace, with the kernel's redirection.

The whole way: control plane, sidecar with its name service and its rules, Envoy, servers.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import dns.message
import pytest
import pytest_asyncio

from tests.envoy import namespaces
from tests.envoy.namespaces import namespace
from tests.envoy.sidecar_harness import eventually
from tests.envoy.workload import Workload, begin, mysql, node, page, service, smtp, start

pytestmark = [
    pytest.mark.envoy,
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
    pytest.mark.asyncio(loop_scope="module"),
]


SERVICES = {
    "db-a.mesh.local": ("db-a", "127.0.0.11"),
    "db-b.mesh.local": ("db-b", "127.0.0.12"),
    "mail.mesh.local": ("mail", "127.0.0.13"),
    # As in Color App the service has the host name of its node, which leads there elsewhere.
    "shop.mesh.local": ("shop", "shop.mesh.local"),
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workload]:
    directory = tmp_path_factory.mktemp("dns")
    async with AsyncExitStack() as stack:
        inside = stack.enter_context(namespace(directory, "dns"))
        made = await begin(stack, inside, directory, mesh(egressFilter={"type": "ALLOW_ALL"}))
        made.outside.records[("www.example", "A")] = ["127.0.0.14"]
        made.outside.records[("shop.mesh.local", "A")] = ["127.0.0.14"]
        for host, port, greet in (
            ("127.0.0.11", 3306, mysql("8.0-a")),
            ("127.0.0.12", 3306, mysql("8.0-b")),
            ("127.0.0.13", 25, smtp("mail")),
            ("127.0.0.14", 8080, page("shop")),
            ("127.0.0.15", 443, smtp("on443")),
            ("127.0.0.16", 3306, page("mixed")),
        ):
            made.servers.add(host, port, greet)
        await start(stack, made)
        yield made


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
    assert 0.15 < found["seconds"] < 0.7
    # A client that speaks first is not waited for.
    assert (await web.call("on443.mesh.local", 443, "EHLO me\r\n"))["seconds"] < 0.15


async def test_names_are_found_without_a_record_anywhere(web: Workload) -> None:
    for name in ("mail.mesh.local", "MAIL.Mesh.local", "mail"):
        assert (await web.call(name, 25))["got"] == "220 mail ESMTP\r\n"
    assert not any(name.lower() == "mail.mesh.local." for name, _, _ in web.outside.asked)


async def test_a_service_named_like_its_own_node_does_not_lead_the_proxy_back_to_itself(
    web: Workload,
) -> None:
    """The workload gets the virtual address, and Envoy the node's own."""
    found = await web.call("shop.mesh.local", 8080, "QUIT\r\n\r\n")
    assert found["addresses"][0].startswith("240.")
    assert await web.get("shop.mesh.local", 8080) == "200 shop"
    assert ("shop.mesh.local.", "A", "udp") in web.outside.asked


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


async def test_a_new_service_can_be_called_within_a_second_and_a_removed_one_is_gone(
    web: Workload,
) -> None:
    assert (await web.call("new.mesh.local", 8080))["error"] == "gaierror"
    web_key, new_key = "mesh/shop/virtualNode/web", "mesh/shop/virtualService/new.mesh.local"
    begun = time.monotonic()
    steps = {new_key: service("shop"), web_key: node("9080/http", calls=(*CALLS, "new.mesh.local"))}
    await web.apply(steps)
    assert await web.get("new.mesh.local", 8080) == "200 shop"
    assert time.monotonic() - begun < 1

    await web.apply({web_key: node("9080/http", calls=CALLS)}, new_key)
    assert (await web.call("new.mesh.local", 8080))["error"] == "gaierror"


async def test_no_question_is_lost_while_names_come_and_go(web: Workload) -> None:
    """Fifty changes of the table, asked all the while: the name service, and Envoy itself."""
    web_key, new_key = "mesh/shop/virtualNode/web", "mesh/shop/virtualService/new.mesh.local"
    await web.apply({new_key: service("shop")})
    async with asking(web, 53, 53, web.status["ports"]["dns"]):
        for i in range(50):
            more = () if i % 2 else ("new.mesh.local",)
            await web.apply({web_key: node("9080/http", calls=(*CALLS, *more))})
    await web.apply({}, new_key)


async def test_no_question_is_lost_while_another_envoy_takes_over(web: Workload) -> None:
    assert web.sidecar is not None
    elder = json.loads(await web.page("/status"))["envoy"]["pid"]
    async with asking(web, 53, 53):
        web.sidecar.send_signal(signal.SIGUSR1)
        await eventually(lambda: not os.path.exists(f"/proc/{elder}"))
    assert "8.0-a" in (await web.call("db-a.mesh.local", 3306))["got"]


@asynccontextmanager
async def asking(web: Workload, *ports: int) -> AsyncIterator[None]:
    """For the length of a block a client at each of these ports asks, and misses no answer."""
    address = await _address(web, "db-a.mesh.local")
    stop = threading.Event()
    clients = [Asking(web, port) for port in ports]
    threads = [threading.Thread(target=each.run, args=(stop,)) for each in clients]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in threads:
            await asyncio.to_thread(each.join)
    for client in clients:
        assert client.lost == []
        assert client.found == {address}
        assert client.count > 100


class Asking:
    """One client: a question, its answer, and the next."""

    def __init__(self, web: Workload, port: int) -> None:
        self._socket = web.inside.inside(lambda: socket.socket(type=socket.SOCK_DGRAM))
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(3)
        self.lost: list[str] = []
        self.found: set[str] = set()
        self.count = 0

    def run(self, stop: threading.Event) -> None:
        with self._socket:
            while not stop.is_set():
                self._socket.send(dns.message.make_query("db-a.mesh.local", "A").to_wire())
                try:
                    answer = dns.message.from_wire(self._socket.recv(600))
                    self.found.add(answer.answer[0][0].to_text())
                except (OSError, IndexError) as error:
                    self.lost.append(repr(error))
                self.count += 1


async def _address(web: Workload, name: str) -> str:
    return str((await web.call(name, 3306))["addresses"][0])


async def test_names_are_answered_while_envoy_is_killed_and_started_again(web: Workload) -> None:
    before = await _address(web, "db-a.mesh.local")
    # What it has in force is read twice a second.
    kept = web.directory / "web" / "data"
    await eventually(
        lambda: any("db-a.mesh.local" in each.read_text() for each in kept.rglob("snap.json"))
    )
    os.kill(json.loads(await web.page("/status"))["envoy"]["pid"], signal.SIGKILL)
    for _ in range(20):
        found = await web.call("db-a.mesh.local", 3306)
        assert found["addresses"] == [before]
    assert (await web.call("www.example", 80))["addresses"] == ["127.0.0.14"]

    async def reached() -> bool:
        return "8.0-a" in (await web.call("db-a.mesh.local", 3306))["got"]

    await eventually(reached)

    async def follows_again() -> bool:
        """It may have started from what was kept, and be followed by one that asks again."""
        found = json.loads(await web.page("/status"))
        return bool(found["source"] == "ads" and found["xds"]["connected"])

    await eventually(follows_again)


async def test_with_a_preference_for_version_6_both_families_lead_to_the_service(
    web: Workload,
) -> None:
    open_mesh = {"egressFilter": {"type": "ALLOW_ALL"}}
    await web.apply(
        {"mesh/shop": {**open_mesh, "serviceDiscovery": {"ipPreference": "IPv6_PREFERRED"}}}
    )
    for family in (4, 6):
        found = await web.call("db-b.mesh.local", 3306, family=family)
        assert len(found["addresses"]) == 2
        assert "8.0-b" in found["got"], (family, found)
        assert "8.0-a" in (await web.call("db-a.mesh.local", 3306, family=family))["got"]
        assert await web.get("mixed.mesh.local", 3306, family=family) == "200 mixed"
        assert (await web.call("mail.mesh.local", 3306, family=family))["got"] == ""
    await web.apply({"mesh/shop": open_mesh})
    found = await web.call("db-b.mesh.local", 3306)
    assert (len(found["addresses"]), "8.0-b" in found["got"]) == (1, True)


async def test_nothing_is_left_open_when_only_backends_may_be_called(web: Workload) -> None:
    await web.apply({"mesh/shop": {"egressFilter": {"type": "DROP_ALL"}}})
    assert "8.0-b" in (await web.call("db-b.mesh.local", 3306))["got"]
    for host, port in (("shop.mesh.local", 9999), ("db-a.mesh.local", 443), ("192.0.2.1", 9999)):
        found = await web.call(host, port, "hello")
        assert (found["got"], found["seconds"] < 0.5) == ("", True), (host, port, found)
    assert (await web.get("db-a.mesh.local", 8080)).startswith("404")
