"""TLS at a virtual gateway's own listeners, from outside, and from the gateway to its services."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Leaf
from tests.envoy.proxies import ControlPlane, directory_of_certificates, proxy
from tests.envoy.running import DEADLINE, Answer, ask, free_ports, said, upstream
from tests.envoy.secret_server import secret_server
from tests.envoy.test_tls_mutual import file, listener, trust
from weft.names import IngressPort, Kind

pytestmark = pytest.mark.envoy

GET = "GET / HTTP/1.1\nHost: front.test"
ARN = "arn:aws:acm:us-west-2:000000000000:certificate/front"
PORTS = {"strict": 8080, "either": 8081, "mutual": 8082, "served": 8083, "known": 8084}


async def asked(port: int, authority: Authority, shown: Leaf | None = None) -> Answer:
    """As a client that validates the gateway by its name, and shows a certificate if it has one."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if shown is not None:
        context.load_cert_chain(shown.certificate, shown.key)
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="front.test"
        )
        try:
            return await said(reader, writer, GET)
        finally:
            writer.close()


def mesh(ours: Authority, front: Leaf, api: Leaf, shown: Leaf, socket: int) -> dict[str, Any]:
    def strict(certificate: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"mode": "STRICT", "certificate": certificate, **more}

    taken = {
        "strict": strict(file(front)),
        "either": {"mode": "PERMISSIVE", "certificate": file(front)},
        "mutual": strict(file(front), validation=trust(ours, "browser.test")),
        "served": strict({"sds": {"secretName": "spiffe://shop/front"}}),
        "known": strict({"acm": {"certificateArn": ARN}}),
    }
    route = {
        "httpRoute": {
            "match": {"prefix": "/"},
            "action": {"target": {"virtualService": {"virtualServiceName": "api.local"}}},
        }
    }
    return {
        "nodes": {
            "api": {
                "listeners": [
                    listener(80, strict(file(api), validation=trust(ours, "front.test")))
                ],
                "serviceDiscovery": {"dns": {"hostname": "api.test"}},
            }
        },
        "services": {"api.local": "node api"},
        "gateways": {
            "front": {
                "listeners": [listener(PORTS[name], tls) for name, tls in taken.items()],
                "backendDefaults": {
                    "clientPolicy": {"tls": {"certificate": file(shown), "validation": trust(ours)}}
                },
                "routes": {"all": route},
            }
        },
        "instances": {"api": {"one": {80: f"127.0.0.1:{socket}"}}},
        "certificates": {
            ARN: {
                "certificateChain": front.certificate.read_text(),
                "privateKey": front.key.read_text(),
            }
        },
    }


async def test_a_gateway_takes_tls_from_outside_and_shows_itself_to_its_services() -> None:
    with directory_of_certificates() as made:
        directory = Path(made)
        ours, theirs = Authority(directory, "ours"), Authority(directory, "theirs")
        front = ours.leaf("front", hosts=("front.test",))
        api = ours.leaf("api", hosts=("api.test",))
        browser = ours.leaf("browser", hosts=("browser.test",))
        socket, egress, *sockets = free_ports(2 + len(PORTS))
        at = dict(zip(PORTS, sockets, strict=True))
        control_plane = ControlPlane(mesh(ours, front, api, front, socket))
        await control_plane.start()
        try:
            async with (
                upstream("app") as app,
                secret_server(directory / "sds.sock") as sds,
                proxy(
                    control_plane,
                    "api",
                    egress=0,
                    ingress=(IngressPort(80, socket, app.port),),
                ) as inside,
            ):
                sds.certificate("spiffe://shop/front", front)
                ingress = tuple(IngressPort(PORTS[name], at[name], 0) for name in PORTS)
                async with proxy(
                    control_plane,
                    "front",
                    kind=Kind.VIRTUAL_GATEWAY,
                    egress=egress,
                    ingress=ingress,
                    sds_socket=sds.socket,
                ):
                    told = await control_plane.settled()
                    assert (told.total, told.accepted) == (2, 2), told
                    for name in ("strict", "either", "served", "known"):
                        assert (await asked(at[name], ours)).body == "app", name
                    assert (await ask(at["either"], GET)).body == "app"
                    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                        await ask(at["strict"], GET)

                    assert (await asked(at["mutual"], ours, browser)).body == "app"
                    for wrong in (None, front, theirs.leaf("stranger", hosts=("browser.test",))):
                        with pytest.raises((asyncio.IncompleteReadError, OSError)):
                            await asked(at["mutual"], ours, wrong)
                    # What the gateway itself shows is asked for by its service.
                    counted = await inside.stats(r"^listener\.0\.0\.0\.0_15000\.ssl\.")
                    assert counted["listener.0.0.0.0_15000.ssl.handshake"] >= 1
                    assert counted["listener.0.0.0.0_15000.ssl.no_certificate"] == 0
        finally:
            await control_plane.server.stop()
