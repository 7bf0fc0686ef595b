"""Protocols in which the server speaks first never hang: in both modes, with TLS and without."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.certificates import Authority
from tests.envoy import namespaces
from tests.envoy.namespaces import namespace, neighbour
from tests.envoy.proxies import directory_of_certificates, proxy
from tests.envoy.running import DEADLINE, free_ports, listening
from tests.envoy.test_tls_mutual import serving
from tests.envoy.workload import Servers, Workload, begin, mysql, service, sidecar_of, smtp, start
from weft.names import BackendPort, IngressPort

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

MODES = ("none", "PERMISSIVE", "STRICT")
GREETINGS = {"mysql": b"8.0-x", "smtp": b"220 mail ESMTP\r\n"}
AT_ONCE = 0.25
"""Less than anybody is waited for who might speak."""
SO_MARK = 36


def listener(port: int, mode: str, certificate: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"portMapping": {"port": port, "protocol": "tcp"}}
    return made if mode == "none" else {**made, "tls": {"mode": mode, "certificate": certificate}}


async def mysql_greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x1a\0\0\0\x0a8.0-x\0" + bytes(20))
    await writer.drain()
    await reader.read()
    writer.close()


async def smtp_greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail ESMTP\r\n")
    await writer.drain()
    await reader.read()
    writer.close()


async def test_in_explicit_mode_greetings_come_at_once_through_both_proxies() -> None:
    with directory_of_certificates() as directory:
        leaf = Authority(directory).leaf("server", hosts=("server.test",))
        shown = {"file": {"certificateChain": str(leaf.certificate), "privateKey": str(leaf.key)}}
        cases = [(mode, protocol) for mode in MODES for protocol in GREETINGS]
        arrivals, locals = free_ports(len(cases)), free_ports(len(cases))
        numbers = [3306 + i for i in range(len(cases))]
        mesh: dict[str, Any] = {"nodes": {"web": {"calls": []}}, "services": {}, "instances": {}}
        for (mode, protocol), number, arrival in zip(cases, numbers, arrivals, strict=True):
            name = f"{protocol}-{mode}"
            mesh["nodes"][name] = {
                "listeners": [listener(number, mode, shown)],
                "serviceDiscovery": {"dns": {"hostname": "server.test"}},
            }
            mesh["nodes"]["web"]["calls"].append(f"{name}.local")
            mesh["services"][f"{name}.local"] = f"node {name}"
            mesh["instances"][name] = {"one": {number: f"127.0.0.1:{arrival}"}}
        mesh["nodes"]["server"] = {
            "listeners": [
                listener(n, mode, shown) for (mode, _), n in zip(cases, numbers, strict=True)
            ]
        }
        async with listening(mysql_greets) as a, listening(smtp_greets) as b:
            apps = {"mysql": a, "smtp": b}
            ingress = tuple(
                IngressPort(n, arrival, apps[protocol])
                for (_, protocol), n, arrival in zip(cases, numbers, arrivals, strict=True)
            )
            backends = tuple(
                BackendPort(f"{protocol}-{mode}.local", n, at)
                for (mode, protocol), n, at in zip(cases, numbers, locals, strict=True)
            )
            async with (
                serving(mesh) as control_plane,
                proxy(control_plane, "server", egress=0, ingress=ingress),
                proxy(control_plane, "web", egress=free_ports(1)[0], backends=backends),
            ):
                await control_plane.settled()
                for (mode, protocol), at in zip(cases, locals, strict=True):
                    seconds, greeting = await _greeted(at)
                    assert GREETINGS[protocol] in greeting, (mode, protocol)
                    assert seconds < AT_ONCE, (mode, protocol)


async def _greeted(port: int) -> tuple[float, bytes]:
    """The quickest of three: the first may have to make connections."""
    found = []
    for _ in range(3):
        begun = time.monotonic()
        async with asyncio.timeout(DEADLINE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            found.append((await reader.read(100), time.monotonic() - begun))
            writer.close()
    return min(seconds for _, seconds in found), found[-1][0]


# --- Transparent mode ------------------------------------------------------------------------

TRANSPARENT = {
    ("none", "mysql"): 3306,
    ("PERMISSIVE", "mysql"): 3307,
    ("STRICT", "mysql"): 3308,
    ("none", "smtp"): 25,
    ("PERMISSIVE", "smtp"): 26,
    ("STRICT", "smtp"): 465,
}
SERVER = "10.77.0.1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workload]:
    if reason := namespaces.missing():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("first")
    leaf = Authority(directory).leaf("server", hosts=(SERVER,))
    shown = {"file": {"certificateChain": str(leaf.certificate), "privateKey": str(leaf.key)}}
    server = {
        "listeners": [listener(port, mode, shown) for (mode, _), port in TRANSPARENT.items()],
        "serviceDiscovery": {"dns": {"hostname": SERVER}},
    }
    backend = {"virtualService": {"virtualServiceName": "server.mesh.local"}}
    specs: dict[str, Any] = {
        "mesh/shop": {},
        "mesh/shop/virtualNode/server": server,
        "mesh/shop/virtualService/server.mesh.local": service("server"),
        "mesh/shop/virtualNode/web": {"backends": [backend]},
    }
    async with AsyncExitStack() as stack:
        inside = stack.enter_context(namespace(directory, "first"))
        beside = stack.enter_context(neighbour(inside))
        made = await begin(stack, inside, directory, specs)
        servers = Servers(beside)
        stack.callback(servers.stop)
        for (_, protocol), port in TRANSPARENT.items():
            servers.add("127.0.0.1", port, mysql("8.0-x") if protocol == "mysql" else smtp("mail"))
        await sidecar_of(stack, made, "server", beside)
        await start(stack, made)
        yield made


@pytest.mark.parametrize(("mode", "protocol"), TRANSPARENT)
async def test_in_transparent_mode_greetings_come_at_once_through_both_proxies(
    web: Workload, mode: str, protocol: str
) -> None:
    found = [await web.call("server.mesh.local", TRANSPARENT[mode, protocol]) for _ in range(3)]
    for each in found:
        assert GREETINGS[protocol] in each["got"].encode("latin-1"), each
    assert min(each["seconds"] for each in found) < AT_ONCE


async def test_a_client_without_a_proxy_is_waited_for_where_it_might_begin_with_tls(
    web: Workload,
) -> None:
    """And nowhere else; where TLS is a must it gets nothing."""

    def greeted(port: int) -> tuple[bytes, float]:
        begun = time.monotonic()
        with socket.socket() as past_the_proxy:
            past_the_proxy.setsockopt(socket.SOL_SOCKET, SO_MARK, 1337)
            past_the_proxy.settimeout(3)
            past_the_proxy.connect((SERVER, port))
            try:
                return past_the_proxy.recv(100), time.monotonic() - begun
            except TimeoutError:
                return b"", time.monotonic() - begun

    async def at(mode: str) -> tuple[bytes, float]:
        port = TRANSPARENT[mode, "smtp"]
        return await asyncio.to_thread(web.inside.inside, lambda: greeted(port))

    assert (await at("none"))[0] == GREETINGS["smtp"]
    assert min([(await at("none"))[1] for _ in range(3)]) < AT_ONCE
    greeting, seconds = await at("PERMISSIVE")
    assert greeting == GREETINGS["smtp"]
    assert seconds < 2
    assert (await at("STRICT"))[0] == b""
