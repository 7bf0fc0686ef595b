"""P2 with TLS from ACM: AWS's walkthrough with its own files, its authority and certificate made by its calls."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.contract.test_acm import root
from tests.envoy.running import DEADLINE
from tests.mesh_lab.apps import app
from tests.mesh_lab.doors import Door, door
from tests.mesh_lab.lab import Lab, Workload, example, needs_examples, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

HOME = "walkthroughs/howto-ingress-gateway/mesh"
MESH, DOMAIN, PORT = "loom", "thread.local", 8443
COLORS = ("white", "blue", "black", "red")
PATHS = {"/color1/tell": ("white", "blue"), "/color2/tell": ("black", "red")}
GATEWAY = {"meshName": MESH, "virtualGatewayName": "colorgateway-vg"}


@dataclass
class Case:
    weft: Lab
    door: Door
    nodes: dict[str, Workload]
    certificate: str
    authority: str
    trusted: str

    def spec(self, file: str, host: str = "") -> Any:
        return spec(file, host, certificate=self.certificate, authority=self.authority)

    async def says(self, path: str) -> str:
        """The body, or the status where that is not 200: over TLS, the gateway's certificate verified."""
        context = ssl.create_default_context(cadata=self.trusted)
        request = f"GET {path} HTTP/1.1\r\nHost: gate.{DOMAIN}\r\nConnection: close\r\n\r\n"
        async with asyncio.timeout(DEADLINE):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.door.socket(None), ssl=context, server_hostname=f"gate.{DOMAIN}"
            )
            writer.write(request.encode())
            answer = (await reader.read()).decode()
            writer.close()
        status, body = answer.split(" ", 2)[1], answer.rpartition("\r\n\r\n")[2]
        return body if status == "200" else status

    async def fits(self, path: str, expected: set[str]) -> None:
        """Until twenty replies in a row are of these, and each of these was among them."""

        async def so() -> bool:
            return {await self.says(path) for _ in range(20)} == expected

        await until(so, 10)

    async def with_tls(self, *colors: str) -> None:
        for color in colors:
            name = f"colorteller-{color}-vn"
            asked = self.spec(f"{name}-tls", f"{color}.{DOMAIN}")
            await self.weft.update("virtual_node", meshName=MESH, virtualNodeName=name, spec=asked)


def spec(file: str, host: str = "", service: str = "", **arns: str) -> Any:
    text = (
        example(f"{HOME}/{file}.json")
        .replace("$VIRTUALSERVICE_NAME", json.dumps(service))
        .replace("$DNS_HOSTNAME", json.dumps(host))
        .replace("$CERTIFICATE_ARN", json.dumps(arns.get("certificate")))
        .replace("$ROOT_CA_ARN", json.dumps(arns.get("authority")))
        .replace('"port": 9080', f'"port": {PORT}')
    )
    return json.loads(text)["spec"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    pca, acm = weft.client("acm-pca"), weft.client("acm")
    authority = await asyncio.to_thread(root, pca, "loom")
    requested = await asyncio.to_thread(
        acm.request_certificate, DomainName=f"*.{DOMAIN}", CertificateAuthorityArn=authority
    )
    certificate = requested["CertificateArn"]
    own = await asyncio.to_thread(
        pca.get_certificate_authority_certificate, CertificateAuthorityArn=authority
    )
    await weft.ask("create_mesh", meshName=MESH, spec={})
    gateway = spec("colorgateway-vg", certificate=certificate)
    await weft.ask("create_virtual_gateway", **GATEWAY, spec=gateway)
    for color in COLORS:
        name = f"colorteller-{color}-vn"
        asked = spec(name, f"{color}.{DOMAIN}")
        await weft.ask("create_virtual_node", meshName=MESH, virtualNodeName=name, spec=asked)
    for number in (1, 2):
        router, service = f"colorteller-vr-{number}", f"color{number}.{DOMAIN}"
        place = {"meshName": MESH, "virtualRouterName": router}
        await weft.ask("create_virtual_router", **place, spec=spec(router))
        route = f"colorteller-route-{number}"
        await weft.ask("create_route", **place, routeName=route, spec=spec(route))
        provider = spec(f"colorteller-vs-{number}")
        named = {"meshName": MESH, "virtualServiceName": service}
        await weft.ask("create_virtual_service", **named, spec=provider)
        route = f"colorgateway-route-{number}"
        asked = spec(route, service=service)
        await weft.ask("create_gateway_route", **GATEWAY, gatewayRouteName=route, spec=asked)
    nodes = {}
    async with AsyncExitStack() as stack:
        for color in COLORS:
            found = await stack.enter_async_context(app(color))
            nodes[color] = await weft.workload(MESH, f"colorteller-{color}-vn", {PORT: found})
        made = await door(weft, MESH, "colorgateway-vg", PORT)
        await weft.settled()
        yield Case(weft, made, nodes, certificate, authority, own["Certificate"])


async def handshakes(workload: Workload) -> int:
    found = await workload.stats(r"^listener\..*\.ssl\.handshake$")
    return sum(found.values())


async def test_the_gateway_speaks_tls_and_then_its_backends_have_to(case: Case) -> None:
    for path, colors in PATHS.items():
        await case.fits(path, {*colors})
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await case.door.says("/color1/tell")  # Plain text at a STRICT listener.
    # The gateway's policy: whoever is called presents a certificate of the authority.
    policy = case.spec("colorgateway-vg-backendDefaults")
    await case.weft.update("virtual_gateway", **GATEWAY, spec=policy)
    for path in PATHS:
        await case.fits(path, {"503"})
    await case.with_tls("white")
    await case.fits("/color1/tell", {"white", "503"})
    await case.fits("/color2/tell", {"503"})
    assert await handshakes(case.nodes["white"]) > 0
    await case.with_tls("blue", "black", "red")
    for path, colors in PATHS.items():
        await case.fits(path, {*colors})
    for workload in case.nodes.values():
        assert await handshakes(workload) > 0
    # The certificate changes, and every new connection goes on.
    await case.weft.ask("renew_certificate", "acm", CertificateArn=case.certificate)
    for path, colors in PATHS.items():
        await case.fits(path, {*colors})
