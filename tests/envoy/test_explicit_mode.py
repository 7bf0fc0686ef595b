"""What a workload in explicit mode gets from a real Envoy."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.builders import http_route, state_from, view_of
from tests.envoy.running import DEADLINE, ask, envoy, free_ports, listening, said, upstream
from weft.names import BackendPort, IngressPort, Mode, Ports
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate
from weft.translate.snapshot import Snapshot

pytestmark = pytest.mark.envoy


def snapshot(mesh: dict[str, object], ports: Ports) -> Snapshot:
    return translate(resolve(state_from(mesh), view_of("web", Mode.EXPLICIT, ports)))


async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that speaks first, and then echoes a line."""
    try:
        writer.write(b"welcome\n")
        writer.write(await reader.readline())
        await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def test_http_proxy_reaches_backends_and_says_why_it_does_not_reach_others(
    tmp_path: Path,
) -> None:
    (egress,) = free_ports(1)
    async with upstream("white") as white, upstream("blue") as blue:
        mesh = {
            "nodes": {
                "web": {"calls": ["color.local"]},
                "white": {"listen": "9080/http"},
                "blue": {"listen": "9080/http"},
            },
            "services": {"color.local": "router color"},
            "routers": {
                "color": {
                    "listen": "9080/http",
                    "routes": {
                        "root": http_route("white:1", "blue:0"),
                        "blue": http_route("blue:1", prefix="/blue"),
                    },
                }
            },
            "instances": {
                "white": {"w": {9080: f"127.0.0.1:{white.port}"}},
                "blue": {"b": {9080: f"127.0.0.1:{blue.port}"}},
            },
        }
        async with envoy(snapshot(mesh, Ports(egress=egress)), egress, tmp_path):
            found = await ask(
                egress, "GET http://COLOR.local:9080/x HTTP/1.1\nHost: color.local:9080"
            )
            assert (found.status, found.body) == (200, "white")
            found = await ask(egress, "GET /blue/1 HTTP/1.1\nHost: color.local:9080")
            assert (found.status, found.body) == (200, "blue")

            found = await ask(egress, "GET http://color.local/x HTTP/1.1\nHost: color.local")
            assert found.status == 404
            assert "check the name, the port and the node's backends" in found.body
            found = await ask(egress, "CONNECT example.test:443 HTTP/1.1\nHost: example.test:443")
            assert found.status == 404


async def test_a_tunnel_to_an_http_backend_is_routed_request_by_request(tmp_path: Path) -> None:
    (egress,) = free_ports(1)
    async with upstream("white") as white:
        mesh = {
            "nodes": {"web": {"calls": ["color.local"]}, "white": {"listen": "9080/http"}},
            "services": {"color.local": "node white"},
            "instances": {"white": {"w": {9080: f"127.0.0.1:{white.port}"}}},
        }
        async with (
            envoy(snapshot(mesh, Ports(egress=egress)), egress, tmp_path),
            asyncio.timeout(DEADLINE),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", egress)
            tunnel = "CONNECT color.local:9080 HTTP/1.1\nHost: color.local:9080"
            assert (await said(reader, writer, tunnel)).status == 200
            found = await said(reader, writer, "GET / HTTP/1.1\nHost: color.local:9080")
            assert (found.status, found.body) == (200, "white")
            found = await said(reader, writer, "GET / HTTP/1.1\nHost: other.local:9080")
            assert found.status == 404
            writer.close()


async def test_a_tcp_backend_may_speak_first_on_its_own_socket_and_in_a_tunnel(
    tmp_path: Path,
) -> None:
    egress, local = free_ports(2)
    async with listening(banner) as port:
        mesh = {
            "nodes": {"web": {"calls": ["db.local"]}, "db": {"listen": "2701/tcp"}},
            "services": {"db.local": "node db"},
            "instances": {"db": {"d": {2701: f"127.0.0.1:{port}"}}},
        }
        ports = Ports(egress=egress, backends=(BackendPort("db.local", 2701, local),))
        async with (
            envoy(snapshot(mesh, ports), egress, tmp_path),
            asyncio.timeout(DEADLINE),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            assert await reader.readline() == b"welcome\n"
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            writer.close()

            reader, writer = await asyncio.open_connection("127.0.0.1", egress)
            found = await said(
                reader, writer, "CONNECT db.local:2701 HTTP/1.1\nHost: db.local:2701"
            )
            assert found.status == 200
            assert await reader.readline() == b"welcome\n"
            writer.close()

            found = await ask(egress, "GET http://db.local:2701/ HTTP/1.1\nHost: db.local:2701")
            assert found.status == 400
            assert "speaks TCP" in found.body


async def test_allow_all_reaches_any_host_but_never_itself(tmp_path: Path) -> None:
    (egress,) = free_ports(1)
    mesh = {"mesh": {"egressFilter": {"type": "ALLOW_ALL"}}, "nodes": {"web": {}}}
    async with (
        upstream("outside") as outside,
        envoy(snapshot(mesh, Ports(egress=egress)), egress, tmp_path),
    ):
        # Any host will do that needs no resolver and is not written like loopback.
        host = f"0.0.0.0:{outside.port}"
        found = await ask(egress, f"GET http://{host}/x HTTP/1.1\nHost: {host}")
        assert (found.status, found.body) == (200, "outside")
        for itself in (f"127.0.0.1:{egress}", f"Localhost.:{egress}", f"[::1]:{egress}"):
            found = await ask(egress, f"GET http://{itself}/x HTTP/1.1\nHost: {itself}")
            assert found.status == 403
            assert "no_proxy" in found.body
            found = await ask(egress, f"CONNECT {itself} HTTP/1.1\nHost: {itself}")
            assert found.status == 403


async def test_each_listener_has_a_socket_and_leads_to_the_workload(tmp_path: Path) -> None:
    egress, first, second = free_ports(3)
    async with upstream("one") as one, upstream("two") as two:
        mesh = {"nodes": {"web": {"listen": ["8080/http", "8081/http"]}}}
        ports = Ports(
            (IngressPort(8080, first, one.port), IngressPort(8081, second, two.port)), egress
        )
        async with envoy(snapshot(mesh, ports), egress, tmp_path):
            assert (await ask(first, "GET / HTTP/1.1\nHost: any")).body == "one"
            assert (await ask(second, "GET / HTTP/1.1\nHost: any")).body == "two"


async def test_a_dead_replica_costs_no_request(tmp_path: Path) -> None:
    egress, dead = free_ports(2)
    async with upstream("alive") as alive:
        mesh = {
            "nodes": {"web": {"calls": ["color.local"]}, "color": {"listen": "9080/http"}},
            "services": {"color.local": "node color"},
            "instances": {
                "color": {
                    "a": {9080: f"127.0.0.1:{alive.port}"},
                    "b": {9080: f"127.0.0.1:{dead}"},
                }
            },
        }
        async with envoy(snapshot(mesh, Ports(egress=egress)), egress, tmp_path):
            request = "GET / HTTP/1.1\nHost: color.local:9080"
            answers = [await ask(egress, request) for _ in range(20)]
            assert {(each.status, each.body) for each in answers} == {(200, "alive")}
