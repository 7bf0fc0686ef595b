"""P6: certificates from files behind a virtual gateway, by AWS's stack and four states of it."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.mesh_lab.apps import app
from tests.mesh_lab.gateways import Front, gateway
from tests.mesh_lab.lab import Lab, example, needs_examples
from tests.shares import assert_shares

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

MESH, DOMAIN, PORT = "atelier", "atelier.test", 8643
FILE = "walkthroughs/howto-tls-file-provided/mesh/mesh.yaml"
WHITE, GREEN = 2, 3


@dataclass
class Case:
    weft: Lab
    front: Front
    keys: Path

    async def deploy(self, **parameters: str) -> None:
        # What an update does not say stays as it was.
        await self.weft.deployed("atelier", template(self.keys), **parameters)

    async def shares(self, **expected: int) -> None:
        """By weight; ``status_503`` stands for answers that failed."""
        await self.front.fits("/", {name.removeprefix("status_") for name in expected})
        total = sum(expected.values())
        assert_shares(
            await self.front.replies("/", 300),
            {name.removeprefix("status_"): weight / total for name, weight in expected.items()},
        )

    async def stat(self, node: str, name: str) -> int:
        """A TLS statistic of the gateway's connections to a node."""
        full = f"cluster.cds_egress_{MESH}_{node}_http_{PORT}.ssl.{name}"
        return (await self.front.proxy.stats(f"^{full}$"))[full]


def template(keys: Path) -> str:
    return example(
        FILE,
        {
            "/keys/": f"{keys}/",
            "Port: 80": f"Port: {PORT}",
            "White": "Ivory",
            "Green": "Jade",
            "Weight: 1": f"Weight: {WHITE}",
            "AllowedValues: [0, 1]": f"AllowedValues: [0, {GREEN}]",
        },
    )


def openssl(*arguments: str, directory: Path) -> None:
    subprocess.run(("openssl", *arguments), cwd=directory, check=True, capture_output=True)


def certificates(directory: Path) -> None:
    """Two authorities, a certificate of each, and a bundle of both, as the walkthrough's script makes them."""
    for n, color, host in ((1, "white", "colorteller"), (2, "green", "colorteller-green")):
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
            *("-subj", f"/CN=ca {n}", "-keyout", f"ca_{n}_key.pem", "-out", f"ca_{n}_cert.pem"),
            directory=directory,
        )
        name = f"colorteller_{color}"
        (directory / "names.ext").write_text(f"subjectAltName=DNS:{host}.{DOMAIN}\n")
        openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={host}.{DOMAIN}"),
            *("-keyout", f"{name}_key.pem", "-out", f"{name}.csr"),
            directory=directory,
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-days", "30", "-extfile", "names.ext"),
            *("-CA", f"ca_{n}_cert.pem", "-CAkey", f"ca_{n}_key.pem", "-CAcreateserial"),
            *("-out", f"{name}_cert.pem"),
            directory=directory,
        )
        chain = [f"{name}_cert.pem", f"ca_{n}_cert.pem"]
        text = "".join((directory / each).read_text() for each in chain)
        (directory / f"{name}_cert_chain.pem").write_text(text)
    both = "".join((directory / f"ca_{n}_cert.pem").read_text() for n in (1, 2))
    (directory / "ca_1_ca_2_bundle.pem").write_text(both)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Case]:
    keys = tmp_path_factory.mktemp("keys")
    certificates(keys)
    await weft.deployed(
        "atelier",
        template(keys),
        MeshName=MESH,
        ServicesDomain=DOMAIN,
        EnableClientValidationFlag="false",
    )
    async with AsyncExitStack() as stack:
        for color, node in (("ivory", "ColorTellerIvory"), ("jade", "ColorTellerJade")):
            teller = await stack.enter_async_context(app(color))
            await weft.workload(MESH, node, {PORT: teller})
        yield Case(weft, await gateway(weft, MESH, "ColorGateway", PORT), keys)


async def test_without_a_policy_the_gateway_speaks_tls_because_the_node_does(case: Case) -> None:
    await case.shares(ivory=1)
    assert await case.stat("ColorTellerIvory", "handshake") >= 1
    described = await case.weft.described(
        "virtual_gateway", meshName=MESH, virtualGatewayName="ColorGateway"
    )
    # The template's condition leaves the policy empty rather than out.
    assert "tls" not in described["spec"]["backendDefaults"].get("clientPolicy", {})


async def test_the_second_update_brings_in_the_other_node(case: Case) -> None:
    await case.deploy(ColorTellerJadeRouteWeight=str(GREEN))
    await case.shares(ivory=WHITE, jade=GREEN)
    assert await case.stat("ColorTellerJade", "handshake") >= 1


async def test_a_gateway_that_trusts_one_authority_loses_the_share_of_the_other(case: Case) -> None:
    await case.deploy(
        ColorTellerJadeRouteWeight=str(GREEN),
        ColorGatewayTlsValidationPath=f"{case.keys}/ca_1_cert.pem",
        EnableClientValidationFlag="true",
    )
    await case.shares(ivory=WHITE, status_503=GREEN)
    assert await case.stat("ColorTellerJade", "fail_verify_error") >= 1
    assert await case.stat("ColorTellerIvory", "fail_verify_error") == 0


async def test_a_bundle_of_both_reaches_both_again(case: Case) -> None:
    # The weight and the flag keep their values.
    await case.deploy(ColorGatewayTlsValidationPath=f"{case.keys}/ca_1_ca_2_bundle.pem")
    await case.shares(ivory=WHITE, jade=GREEN)
    spec = (
        await case.weft.described(
            "virtual_gateway", meshName=MESH, virtualGatewayName="ColorGateway"
        )
    )["spec"]
    tls = spec["backendDefaults"]["clientPolicy"]["tls"]
    assert tls["enforce"] is True
    assert tls["validation"]["trust"]["file"]["certificateChain"].endswith("ca_1_ca_2_bundle.pem")
