"""
Mutual TLS with a server's certificate from ACM and a client's from a file: one parameter switches.

As AWS's walkthrough ``howto-mutual-tls-file-provided-by-acm`` is described: a stack with an
authority, certificates of it, conditions around whole specs. The files are exported by the
AWS CLI and decrypted by openssl, as its script does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.mesh_lab.apps import app
from tests.mesh_lab.doors import Door, door
from tests.mesh_lab.lab import Lab, Workload, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

STACK, MESH, PORT = "orchard", "orchard", 7443
TEMPLATE = """
Parameters:
  Tls: {Type: String, AllowedValues: [none, 1-way, mutual], Default: none}
  Files: {Type: String}
Conditions:
  1wayTls: !Equals [!Ref Tls, 1-way]
  mtls: !Equals [!Ref Tls, mutual]
  setTls: !Or [!Condition 1wayTls, !Condition mtls]
Resources:
  Root:
    Type: AWS::ACMPCA::CertificateAuthority
    Properties:
      Type: ROOT
      KeyAlgorithm: RSA_2048
      SigningAlgorithm: SHA256WITHRSA
      Subject: {CommonName: orchard root}
  RootCertificate:
    Type: AWS::ACMPCA::Certificate
    Properties:
      CertificateAuthorityArn: !Ref Root
      CertificateSigningRequest: !GetAtt Root.CertificateSigningRequest
      SigningAlgorithm: SHA256WITHRSA
      TemplateArn: arn:aws:acm-pca:::template/RootCACertificate/V1
      Validity: {Type: YEARS, Value: 10}
  Activation:
    Type: AWS::ACMPCA::CertificateAuthorityActivation
    Properties: {CertificateAuthorityArn: !Ref Root, Certificate: !GetAtt RootCertificate.Certificate}
  Server:
    Type: AWS::CertificateManager::Certificate
    DependsOn: Activation
    Properties: {DomainName: "*.orchard.local", CertificateAuthorityArn: !Ref Root}
  Client:
    Type: AWS::CertificateManager::Certificate
    DependsOn: Activation
    Properties: {DomainName: gate.orchard.local, CertificateAuthorityArn: !Ref Root}
  Mesh:
    Type: AWS::AppMesh::Mesh
    Properties: {MeshName: orchard}
  Gate:
    Type: AWS::AppMesh::VirtualGateway
    Properties:
      MeshName: !GetAtt Mesh.MeshName
      VirtualGatewayName: gate
      Spec:
        Listeners: [{PortMapping: {Port: 7443, Protocol: http}}]
        BackendDefaults: !If
          - setTls
          - ClientPolicy:
              TLS:
                Validation:
                  Trust: {ACM: {CertificateAuthorityArns: [!Ref Root]}}
                Certificate: !If
                  - mtls
                  - File:
                      CertificateChain: !Sub "${Files}/client.pem"
                      PrivateKey: !Sub "${Files}/client.key"
                  - !Ref AWS::NoValue
          - !Ref AWS::NoValue
  Pear:
    Type: AWS::AppMesh::VirtualNode
    Properties:
      MeshName: !GetAtt Mesh.MeshName
      VirtualNodeName: pear
      Spec: !If
        - setTls
        - Listeners:
            - PortMapping: {Port: 7443, Protocol: http}
              TLS:
                Mode: STRICT
                Certificate: {ACM: {CertificateArn: !Ref Server}}
                Validation: !If
                  - mtls
                  - Trust: {File: {CertificateChain: !Sub "${Files}/root.pem"}}
                    SubjectAlternativeNames: {Match: {Exact: [gate.orchard.local]}}
                  - !Ref AWS::NoValue
          ServiceDiscovery: {DNS: {Hostname: pear.orchard.local}}
        - Listeners: [{PortMapping: {Port: 7443, Protocol: http}}]
          ServiceDiscovery: {DNS: {Hostname: pear.orchard.local}}
  Fruit:
    Type: AWS::AppMesh::VirtualService
    Properties:
      MeshName: !GetAtt Mesh.MeshName
      VirtualServiceName: fruit.orchard.local
      Spec: {Provider: {VirtualNode: {VirtualNodeName: !GetAtt Pear.VirtualNodeName}}}
  Way:
    Type: AWS::AppMesh::GatewayRoute
    Properties:
      MeshName: !GetAtt Mesh.MeshName
      VirtualGatewayName: !GetAtt Gate.VirtualGatewayName
      GatewayRouteName: way
      Spec:
        HttpRoute:
          Match: {Prefix: /}
          Action:
            Target:
              VirtualService: {VirtualServiceName: !GetAtt Fruit.VirtualServiceName}
Outputs:
  Root: {Value: !Ref Root}
  Client: {Value: !Ref Client}
"""


@dataclass
class Case:
    weft: Lab
    pear: Workload
    gate: Door
    files: Path

    async def ssl(self) -> tuple[int, int]:
        """Handshakes of the node's listener, and how many of them without a client's certificate."""
        found = await self.pear.stats(r"^listener\..*\.ssl\.(handshake|no_certificate)$")
        counted = [
            sum(number for name, number in found.items() if name.endswith(end))
            for end in ("handshake", "no_certificate")
        ]
        return counted[0], counted[1]

    async def with_tls(self, how: str) -> None:
        await self.weft.deployed(STACK, TEMPLATE, Tls=how, Files=str(self.files))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Case]:
    files = tmp_path_factory.mktemp("files")
    await weft.deployed(STACK, TEMPLATE, Files=str(files))
    await exported(weft, files)
    async with app("pear") as found:
        pear = await weft.workload(MESH, "pear", {PORT: found})
        yield Case(weft, pear, await door(weft, MESH, "gate", PORT), files)


async def exported(weft: Lab, files: Path) -> None:
    """What the walkthrough's script puts into the images: from ACM, encrypted, and decrypted here."""
    described = await weft.aws("cloudformation", "describe-stacks", "--stack-name", STACK)
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Stacks"][0]["Outputs"]}
    (files / "passphrase").write_text("correct horse")
    found = await weft.aws(
        *("acm", "export-certificate", "--certificate-arn", outputs["Client"]),
        *("--passphrase", f"fileb://{files}/passphrase"),
    )
    (files / "client.pem").write_text(found["Certificate"])
    (files / "encrypted.key").write_text(found["PrivateKey"])
    process = await asyncio.create_subprocess_exec(
        *("openssl", "pkey", "-in", "encrypted.key", "-passin", "file:passphrase"),
        *("-out", "client.key"),
        cwd=files,
    )
    assert await process.wait() == 0
    root = await weft.aws(
        *("acm-pca", "get-certificate-authority-certificate"),
        *("--certificate-authority-arn", outputs["Root"]),
    )
    (files / "root.pem").write_text(root["Certificate"])


async def test_one_parameter_switches_from_none_to_one_way_to_mutual(case: Case) -> None:
    await case.gate.fits("/", {"pear"})
    assert await case.ssl() == (0, 0)

    await case.with_tls("1-way")
    await case.gate.fits("/", {"pear"})
    handshakes, without = await case.ssl()
    assert handshakes == without > 0

    await case.with_tls("mutual")
    await case.gate.fits("/", {"pear"})

    async def shown() -> bool:
        return (await case.ssl())[0] > handshakes

    await until(shown, 10)
    assert (await case.ssl())[1] == without

    await case.with_tls("none")
    await case.gate.fits("/", {"pear"})
