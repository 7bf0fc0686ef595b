"""
The filter chains of transparent mode, without a kernel that redirects.

A connection that was not redirected counts as made to the socket it arrived at.
So the egress listener is bound to the backends' own ports, and each connection
finds the chain it would have found.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import state_from, view_of
from tests.certificates import Authority
from tests.envoy.running import DEADLINE, ask, envoy, free_ports, listening, said, upstream
from weft.ir.cluster import SocketAddress
from weft.ir.listener import Listener
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy


async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that speaks first."""
    writer.write(b"welcome\n")
    await writer.drain()
    await reader.read()
    writer.close()


async def seconds_to_banner(port: int) -> float:
    loop = asyncio.get_running_loop()
    before = loop.time()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.readline() == b"welcome\n"
    writer.close()
    return loop.time() - before


@asynccontextmanager
async def at_ports(mesh: dict[str, Any], ports: list[int], directory: Path) -> AsyncIterator[None]:
    proxy = resolve(state_from(mesh), view_of("web"))
    (egress,) = proxy.listeners
    addresses = tuple(SocketAddress("127.0.0.1", port) for port in ports)
    bound = replace(proxy, listeners=(replace(egress, addresses=addresses),))
    async with envoy(translate(bound), ports[0], directory):
        yield


async def test_the_port_picks_the_chain_and_the_host_the_backend(tmp_path: Path) -> None:
    http, tcp, other = free_ports(3)
    async with upstream("white") as white, upstream("blue") as blue, listening(banner) as server:
        mesh = {
            "nodes": {
                "web": {"calls": ["white.local", "blue.local", "db.local"]},
                "white": {"listen": f"{http}/http"},
                "blue": {"listen": f"{http}/http"},
                "db": {"listen": f"{tcp}/tcp"},
            },
            "services": {
                "white.local": "node white",
                "blue.local": "node blue",
                "db.local": "node db",
            },
            "instances": {
                "white": {"w": {http: f"127.0.0.1:{white.port}"}},
                "blue": {"b": {http: f"127.0.0.1:{blue.port}"}},
                "db": {"d": {tcp: f"127.0.0.1:{server}"}},
            },
        }
        async with at_ports(mesh, [http, tcp, other], tmp_path), asyncio.timeout(DEADLINE):
            assert (await ask(http, "GET / HTTP/1.1\nHost: white.local")).body == "white"
            assert (await ask(http, f"GET / HTTP/1.1\nHost: blue.local:{http}")).body == "blue"
            assert (await ask(http, "GET / HTTP/1.1\nHost: other.local")).status == 404

            # An inspector would have waited its whole second for the client, every time.
            assert min([await seconds_to_banner(tcp) for _ in range(3)]) < 0.9

            reader, writer = await asyncio.open_connection("127.0.0.1", other)
            with pytest.raises(asyncio.IncompleteReadError):
                await reader.readexactly(1)
            writer.close()


async def test_a_tcp_backend_without_a_route_is_closed_even_when_all_is_allowed(
    tmp_path: Path,
) -> None:
    http, tcp = free_ports(2)
    mesh = {
        "mesh": {"egressFilter": {"type": "ALLOW_ALL"}},
        "nodes": {
            "web": {"calls": ["db.local", "white.local"]},
            "white": {"listen": f"{http}/http"},
        },
        "services": {"db.local": "router db", "white.local": "node white"},
        "routers": {"db": {"listen": f"{tcp}/tcp"}},
    }
    async with at_ports(mesh, [http, tcp], tmp_path), asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", tcp)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()


async def test_a_permissive_port_takes_either_and_a_strict_one_tls_alone(tmp_path: Path) -> None:
    either, strict, plain = free_ports(3)
    leaf = Authority(tmp_path).leaf("server", hosts=("web.test",))
    shown = {"file": {"certificateChain": str(leaf.certificate), "privateKey": str(leaf.key)}}

    def listener(port: int, mode: str, protocol: str = "http") -> dict[str, Any]:
        tls = {"mode": mode, "certificate": shown}
        return {"portMapping": {"port": port, "protocol": protocol}, "tls": tls}

    mesh = {
        "nodes": {
            "web": {
                "listeners": [
                    listener(either, "PERMISSIVE"),
                    listener(strict, "STRICT"),
                    listener(plain, "DISABLED", "tcp"),
                ],
            }
        }
    }
    proxy = resolve(state_from(mesh), view_of("web"))
    ingress, *others = proxy.listeners
    # The workload has these ports at 127.0.0.1; what arrives for it has them elsewhere.
    addresses = tuple(SocketAddress("127.0.0.2", port) for port in (either, strict, plain))
    bound = replace(proxy, listeners=(replace(ingress, addresses=addresses), *quiet(others)))
    async with (
        upstream("either", port=either),
        upstream("strict", port=strict),
        listening(banner, port=plain),
        envoy(translate(bound), either, tmp_path),
        asyncio.timeout(DEADLINE),
    ):
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE

        async def asked(port: int, context: ssl.SSLContext | None) -> str:
            while True:
                try:
                    streams = await asyncio.open_connection("127.0.0.2", port, ssl=context)
                    break
                except ConnectionRefusedError:
                    await asyncio.sleep(0.02)
            try:
                return (await said(*streams, "GET / HTTP/1.1\nHost: web")).body
            finally:
                streams[1].close()

        assert await asked(either, None) == "either"
        assert await asked(either, tls) == "either"
        assert await asked(strict, tls) == "strict"
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asked(strict, None)
        reader, writer = await asyncio.open_connection("127.0.0.2", plain)
        # At once: nobody asks this one how it begins.
        async with asyncio.timeout(0.2):
            assert await reader.readline() == b"welcome\n"
        writer.close()


def quiet(listeners: Iterable[Listener]) -> Iterator[Listener]:
    """The same at addresses that are nobody else's."""
    for each in listeners:
        (port,) = free_ports(1)
        yield replace(each, addresses=(SocketAddress("127.0.0.1", port),))
