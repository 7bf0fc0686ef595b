"""howto-mutual-tls-file-provided: its five steps, through a gateway, by the AWS CLI's own input."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.certificates import Authority, Leaf
from tests.mesh_lab.apps import app
from tests.mesh_lab.gateways import Front, gateway
from tests.mesh_lab.lab import Lab, Workload

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

MESH, NAMESPACE, PORT, FRONT = "vault", "vault.local", 9443, 8088
SERVICE = f"teller.{NAMESPACE}"
CLUSTER = f"cluster.cds_egress_{MESH}_teller_http_{PORT}.ssl."
INSIDE = "listener.0.0.0.0_15000.ssl."


@dataclass
class Case:
    weft: Lab
    front: Front
    teller: Workload
    ours: Authority
    server: Leaf
    client: Leaf

    async def node(self, tls: dict[str, Any]) -> None:
        await self._update("virtual-node", {"virtualNodeName": "teller", "spec": node(tls)})

    async def policy(self, tls: dict[str, Any]) -> None:
        spec = {
            "listeners": [{"portMapping": {"port": FRONT, "protocol": "http"}}],
            "backendDefaults": {"clientPolicy": {"tls": tls}},
        }
        await self._update("virtual-gateway", {"virtualGatewayName": "entry", "spec": spec})

    async def _update(self, kind: str, body: dict[str, Any]) -> None:
        said = json.dumps({"meshName": MESH, **body})
        await self.weft.aws("appmesh", f"update-{kind}", "--cli-input-json", said)
        await self.weft.settled()

    def trust(self, *names: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "trust": {"file": {"certificateChain": str(self.ours.certificate)}}
        }
        if names:
            found["subjectAlternativeNames"] = {"match": {"exact": list(names)}}
        return found

    async def stat(self, name: str) -> int:
        """A statistic of the server's listener, or of the gateway's cluster."""
        asked = self.teller if name.startswith(INSIDE) else self.front.proxy
        return (await asked.stats(f"^{name}$".replace(".", r"\."))).get(name, 0)

    async def counts(self, name: str, status: int) -> None:
        """A request answered with this status, which this statistic explains."""
        before = await self.stat(name)
        await self.front.fits("/", {"amber" if status == 200 else str(status)})
        assert await self.stat(name) > before, name


def node(tls: dict[str, Any] | None = None) -> dict[str, Any]:
    listener: dict[str, Any] = {"portMapping": {"port": PORT, "protocol": "http"}}
    if tls is not None:
        listener["tls"] = tls
    found = {"awsCloudMap": {"namespaceName": NAMESPACE, "serviceName": "teller"}}
    return {"listeners": [listener], "serviceDiscovery": found}


def file(leaf: Leaf) -> dict[str, Any]:
    return {"file": {"certificateChain": str(leaf.certificate), "privateKey": str(leaf.key)}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Case]:
    keys: Path = tmp_path_factory.mktemp("keys")
    ours = Authority(keys)
    made = await weft.ask("create_http_namespace", "servicediscovery", Name=NAMESPACE)
    done = await weft.ask("get_operation", "servicediscovery", OperationId=made["OperationId"])
    namespace = done["Operation"]["Targets"]["NAMESPACE"]
    await weft.ask("create_service", "servicediscovery", Name="teller", NamespaceId=namespace)
    await weft.ask("create_mesh", meshName=MESH, spec={})
    await weft.ask("create_virtual_node", meshName=MESH, virtualNodeName="teller", spec=node())
    provider = {"provider": {"virtualNode": {"virtualNodeName": "teller"}}}
    await weft.ask(
        "create_virtual_service", meshName=MESH, virtualServiceName=SERVICE, spec=provider
    )
    listener = {"portMapping": {"port": FRONT, "protocol": "http"}}
    await weft.ask(
        "create_virtual_gateway",
        meshName=MESH,
        virtualGatewayName="entry",
        spec={"listeners": [listener]},
    )
    target = {"target": {"virtualService": {"virtualServiceName": SERVICE}}}
    await weft.ask(
        "create_gateway_route",
        meshName=MESH,
        virtualGatewayName="entry",
        gatewayRouteName="all",
        spec={"httpRoute": {"match": {"prefix": "/"}, "action": target}},
    )
    async with app("amber") as amber:
        teller = await weft.workload(MESH, "teller", {PORT: amber})
        front = await gateway(weft, MESH, "entry", FRONT)
        yield Case(
            weft,
            front,
            teller,
            ours,
            ours.leaf("server", hosts=(SERVICE,)),
            ours.leaf("client", hosts=("entry.vault.test",)),
        )


async def test_1_plain_text_works(case: Case) -> None:
    await case.front.fits("/", {"amber"})
    assert await case.stat(INSIDE + "handshake") == 0


async def test_2_a_strict_listener_switches_its_client_to_tls(case: Case) -> None:
    await case.node({"mode": "STRICT", "certificate": file(case.server)})
    await case.counts(INSIDE + "handshake", 200)
    assert await case.stat(INSIDE + "no_certificate") >= 1


async def test_3_a_name_that_the_server_has_not_is_refused_by_the_client(case: Case) -> None:
    await case.policy({"enforce": True, "validation": case.trust("bogus.vault.local")})
    await case.counts(CLUSTER + "fail_verify_san", 503)


async def test_4_the_right_name_is_accepted(case: Case) -> None:
    await case.policy({"enforce": True, "validation": case.trust(SERVICE)})
    await case.counts(CLUSTER + "handshake", 200)


async def test_5_a_server_that_wants_a_certificate_refuses_a_client_without_one(
    case: Case,
) -> None:
    await case.node(
        {
            "mode": "STRICT",
            "certificate": file(case.server),
            "validation": case.trust("entry.vault.test"),
        }
    )
    await case.counts(INSIDE + "fail_verify_no_cert", 503)


async def test_6_a_client_with_one_is_let_in(case: Case) -> None:
    await case.policy(
        {
            "enforce": True,
            "certificate": file(case.client),
            "validation": case.trust(SERVICE),
        }
    )
    before = await case.stat(INSIDE + "no_certificate")
    await case.counts(INSIDE + "handshake", 200)
    assert await case.stat(INSIDE + "no_certificate") == before
