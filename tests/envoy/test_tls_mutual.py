"""Who is let in where clients are validated, in both directions; and what plain and TLS clients get."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.certificates import Authority, Leaf
from tests.envoy.proxies import ControlPlane, directory_of_certificates, proxy
from tests.envoy.running import DEADLINE, Answer, ask, free_ports, listening, said, upstream
from tests.envoy.secret_server import secret_server
from tests.envoy.test_explicit_grpc import call, grpc_server
from weft.names import BackendPort, IngressPort

pytestmark = pytest.mark.envoy

INSIDE = "listener.0.0.0.0_15000.ssl."


def file(leaf: Leaf) -> dict[str, Any]:
    return {"file": {"certificateChain": str(leaf.certificate), "privateKey": str(leaf.key)}}


def trust(authority: Authority, *names: str) -> dict[str, Any]:
    found: dict[str, Any] = {"trust": {"file": {"certificateChain": str(authority.certificate)}}}
    if names:
        found["subjectAlternativeNames"] = {"match": {"exact": list(names)}}
    return found


def listener(port: int, tls: dict[str, Any] | None, protocol: str = "http") -> dict[str, Any]:
    made: dict[str, Any] = {"portMapping": {"port": port, "protocol": protocol}}
    return made if tls is None else {**made, "tls": tls}


@dataclass(frozen=True)
class Expected:
    status: int
    counted: str
    """The statistic of the server that tells it from the others."""


async def test_a_client_is_let_in_by_its_certificate_authority_and_name() -> None:
    with directory_of_certificates() as directory:
        ours, theirs = Authority(directory, "ours"), Authority(directory, "theirs")
        server = ours.leaf("server", hosts=("a.test",))
        strict = {
            "mode": "STRICT",
            "certificate": file(server),
            "validation": trust(ours, "spiffe://shop/web", "web.test"),
        }
        permissive = {"mode": "PERMISSIVE", "certificate": file(server), "validation": trust(ours)}
        served = {
            "mode": "STRICT",
            "certificate": {"sds": {"secretName": "spiffe://shop/server"}},
            "validation": {"trust": {"sds": {"secretName": "spiffe://shop"}}},
        }
        right = ours.leaf("right", uri="spiffe://shop/web")
        other = ours.leaf("other", uri="spiffe://shop/other", hosts=("other.test",))
        foreign = theirs.leaf("foreign", uri="spiffe://shop/web")
        by_sds = {"sds": {"secretName": "spiffe://shop/web"}}
        no_name = {"validation": trust(ours)}
        # Name → the listener, the client policy, and what comes of it.
        cases: dict[str, tuple[dict[str, Any], dict[str, Any] | None, Expected]] = {
            "right": (strict, {**no_name, "certificate": file(right)}, Expected(200, "handshake")),
            "sds": (strict, {**no_name, "certificate": by_sds}, Expected(200, "handshake")),
            "none": (strict, no_name, Expected(503, "fail_verify_no_cert")),
            "unasked": (strict, None, Expected(503, "fail_verify_no_cert")),
            "other": (
                strict,
                {**no_name, "certificate": file(other)},
                Expected(503, "fail_verify_san"),
            ),
            "foreign": (
                strict,
                {**no_name, "certificate": file(foreign)},
                Expected(503, "fail_verify_error"),
            ),
            "p-none": (permissive, no_name, Expected(200, "no_certificate")),
            "p-right": (
                permissive,
                {**no_name, "certificate": file(other)},
                Expected(200, "handshake"),
            ),
            "p-foreign": (
                permissive,
                {**no_name, "certificate": file(foreign)},
                Expected(503, "fail_verify_error"),
            ),
            "s-right": (served, {**no_name, "certificate": by_sds}, Expected(200, "handshake")),
            "s-none": (served, no_name, Expected(503, "fail_verify_no_cert")),
        }
        egress, *sockets = free_ports(4)
        listeners = [strict, permissive, served]
        nodes: dict[str, Any] = {
            "server": {"listeners": [listener(9080 + i, tls) for i, tls in enumerate(listeners)]},
            "web": {"backends": []},
        }
        mesh: dict[str, Any] = {"nodes": nodes, "services": {}, "instances": {}}
        for name, (tls, policy, _) in cases.items():
            nodes[name] = {
                "listeners": [listener(80, tls)],
                "serviceDiscovery": {"dns": {"hostname": "a.test"}},
            }
            mesh["services"][f"{name}.local"] = f"node {name}"
            address = f"127.0.0.1:{sockets[listeners.index(tls)]}"
            mesh["instances"][name] = {name: {80: address}}
            backend: dict[str, Any] = {"virtualServiceName": f"{name}.local"}
            if policy is not None:
                backend["clientPolicy"] = {"tls": policy}
            nodes["web"]["backends"].append({"virtualService": backend})
        async with upstream("app") as app, secret_server(directory / "sds.sock") as sds:
            sds.certificate("spiffe://shop/server", server)
            sds.certificate("spiffe://shop/web", right)
            sds.trust("spiffe://shop", ours.certificate)
            ingress = tuple(IngressPort(9080 + i, s, app.port) for i, s in enumerate(sockets))
            async with (
                serving(mesh) as control_plane,
                proxy(
                    control_plane, "server", egress=0, ingress=ingress, sds_socket=sds.socket
                ) as inside,
                proxy(control_plane, "web", egress=egress, sds_socket=sds.socket),
            ):
                assert (await control_plane.settled()).accepted == 2
                for name, (_, _, expected) in cases.items():
                    before = await inside.stat(INSIDE + expected.counted)
                    answer = await ask(egress, f"GET / HTTP/1.1\nHost: {name}.local")
                    assert answer.status == expected.status, (name, answer)
                    after = await inside.stat(INSIDE + expected.counted)
                    assert after > before, (name, expected.counted)


async def test_a_client_validates_the_server_by_authority_and_by_its_discovery_name() -> None:
    with directory_of_certificates() as directory:
        ours, theirs = Authority(directory, "ours"), Authority(directory, "theirs")
        named = ours.leaf("named", hosts=("api.test", "api.prod"))
        cases: dict[str, tuple[dict[str, Any], Authority, int, str]] = {
            "dns": ({"dns": {"hostname": "api.test"}}, ours, 200, "handshake"),
            "cloudmap": (
                {"awsCloudMap": {"namespaceName": "prod", "serviceName": "api"}},
                ours,
                200,
                "handshake",
            ),
            "misnamed": ({"dns": {"hostname": "else.test"}}, ours, 503, "fail_verify_san"),
            "foreign": ({"dns": {"hostname": "api.test"}}, theirs, 503, "fail_verify_error"),
        }
        egress, socket = free_ports(2)
        strict = {"mode": "STRICT", "certificate": file(named)}
        nodes: dict[str, Any] = {"server": {"listeners": [listener(80, strict)]}}
        mesh: dict[str, Any] = {
            "nodes": nodes,
            "services": {},
            "instances": {},
            "cloudmap": {
                "prod/api": {
                    "one": {"AWS_INSTANCE_IPV4": "127.0.0.1", "AWS_INSTANCE_PORT": str(socket)}
                }
            },
        }
        backends = []
        for name, (discovery, authority, _, _) in cases.items():
            port = socket if name == "cloudmap" else 80
            nodes[name] = {"listeners": [listener(port, strict)], "serviceDiscovery": discovery}
            mesh["services"][f"{name}.local"] = f"node {name}"
            if name != "cloudmap":
                mesh["instances"][name] = {name: {80: f"127.0.0.1:{socket}"}}
            policy = {"clientPolicy": {"tls": {"validation": trust(authority)}}}
            backends.append({"virtualService": {"virtualServiceName": f"{name}.local", **policy}})
        nodes["web"] = {"backends": backends}
        async with (
            upstream("app") as app,
            serving(mesh) as control_plane,
            proxy(control_plane, "server", egress=0, ingress=(IngressPort(80, socket, app.port),)),
            proxy(control_plane, "web", egress=egress) as web,
        ):
            assert (await control_plane.settled()).accepted == 2
            for name, (_, _, status, counted) in cases.items():
                port = socket if name == "cloudmap" else 80
                answer = await ask(egress, f"GET / HTTP/1.1\nHost: {name}.local:{port}")
                assert answer.status == status, (name, answer)
                stat = f"cluster.cds_egress_shop_{name}_http_{port}.ssl.{counted}"
                assert await web.stat(stat) >= 1, stat


@asynccontextmanager
async def serving(mesh: dict[str, Any]) -> AsyncIterator[ControlPlane]:
    control_plane = ControlPlane(mesh)
    await control_plane.start()
    try:
        yield control_plane
    finally:
        await control_plane.server.stop()


# --- Clients of the outside -------------------------------------------------------------------


async def ask_with_tls(port: int, request: str, *protocols: str) -> tuple[Answer, str | None]:
    """The answer, and the application protocol that was agreed on."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        agreed = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        try:
            return await said(reader, writer, request), agreed
        finally:
            writer.close()


async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that speaks first."""
    writer.write(b"welcome\n")
    await writer.drain()
    await reader.read()
    writer.close()


async def greeted(port: int, *, tls: bool) -> tuple[bytes, float]:
    """The first line of a server that speaks first, and the seconds it took to come."""
    context = None
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        line = await reader.readline()
        writer.close()
    return line, loop.time() - begun


GET = "GET / HTTP/1.1\nHost: any"


async def test_each_mode_takes_what_it_says_from_any_client() -> None:
    with directory_of_certificates() as directory:
        shown = file(Authority(directory).leaf("server", hosts=("server.test",)))
        modes = {
            mode: {"mode": mode, "certificate": shown}
            for mode in ("DISABLED", "PERMISSIVE", "STRICT")
        }
        ports = dict(
            zip(
                ("DISABLED", "PERMISSIVE", "STRICT", "tcp-STRICT", "tcp-PERMISSIVE", "plain-tcp"),
                free_ports(6),
                strict=True,
            )
        )
        listeners = [
            *(listener(9080 + i, tls) for i, tls in enumerate(modes.values())),
            listener(9083, modes["STRICT"], "tcp"),
            listener(9084, modes["PERMISSIVE"], "tcp"),
            listener(9085, None, "tcp"),
        ]
        async with upstream("app") as app, listening(banner) as greeter:
            ingress = tuple(
                IngressPort(9080 + i, port, app.port if i < 3 else greeter)
                for i, port in enumerate(ports.values())
            )
            async with (
                serving({"nodes": {"server": {"listeners": listeners}}}) as control_plane,
                proxy(control_plane, "server", egress=0, ingress=ingress),
            ):
                assert (await ask(ports["DISABLED"], GET)).body == "app"
                assert (await ask(ports["PERMISSIVE"], GET)).body == "app"
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await ask(ports["STRICT"], GET)

                for mode in ("PERMISSIVE", "STRICT"):
                    answer, agreed = await ask_with_tls(ports[mode], GET, "h2", "http/1.1")
                    assert (answer.body, agreed) == ("app", "http/1.1")
                    assert (await ask_with_tls(ports[mode], GET))[0].body == "app"
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await ask_with_tls(ports["DISABLED"], GET)

                for port in (ports["tcp-STRICT"], ports["tcp-PERMISSIVE"]):
                    line, _ = await greeted(port, tls=True)
                    assert line == b"welcome\n"
                line, seconds = await greeted(ports["tcp-PERMISSIVE"], tls=False)
                assert line == b"welcome\n"
                # It is asked whether it begins with TLS, and says nothing: that is waited for.
                assert 0.2 < seconds < 2
                # Nobody else waits, on whatever port of the same Envoy listener.
                quickest = min(
                    [(await greeted(ports["plain-tcp"], tls=False))[1] for _ in range(3)]
                )
                assert quickest < 0.2


async def test_tcp_http2_and_grpc_go_over_tls_too() -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        server = authority.leaf("server", hosts=("db.test", "api.test", "rpc.test"))
        strict = {"mode": "STRICT", "certificate": file(server)}
        spoken = {"db": (5432, "tcp"), "rpc": (9090, "grpc"), "api": (9091, "http2")}
        sockets = dict(zip(spoken, free_ports(3), strict=True))
        egress, db, rpc = free_ports(3)
        mesh: dict[str, Any] = {
            "nodes": {
                "server": {"listeners": [listener(p, strict, kind) for p, kind in spoken.values()]},
                "web": {
                    "calls": [f"{name}.local" for name in spoken],
                    "backendDefaults": {"clientPolicy": {"tls": {"validation": trust(authority)}}},
                },
                **{
                    name: {"listeners": [listener(port, strict, kind)]}
                    for name, (port, kind) in spoken.items()
                },
            },
            "services": {f"{name}.local": f"node {name}" for name in spoken},
            "instances": {
                name: {name: {port: f"127.0.0.1:{sockets[name]}"}}
                for name, (port, _) in spoken.items()
            },
        }
        async with listening(banner) as greeter, grpc_server(b"rpc") as app:
            apps = {"db": greeter, "rpc": app, "api": app}
            ingress = tuple(
                IngressPort(port, sockets[name], apps[name]) for name, (port, _) in spoken.items()
            )
            backends = (BackendPort("db.local", 5432, db), BackendPort("rpc.local", 9090, rpc))
            async with (
                serving(mesh) as control_plane,
                proxy(control_plane, "server", egress=0, ingress=ingress),
                proxy(control_plane, "web", egress=egress, backends=backends) as web,
            ):
                assert (await control_plane.settled()).accepted == 2
                assert (await greeted(db, tls=False))[0] == b"welcome\n"
                assert await call(f"127.0.0.1:{rpc}", "/any.Service/Method") == b"rpc"
                through = {"http_proxy": f"http://127.0.0.1:{egress}"}
                assert await call("api.local:9091", "/any.Service/Method", **through) == b"rpc"
                for name, (port, kind) in spoken.items():
                    stat = f"cluster.cds_egress_shop_{name}_{kind}_{port}.ssl.handshake"
                    assert await web.stat(stat) >= 1, stat
