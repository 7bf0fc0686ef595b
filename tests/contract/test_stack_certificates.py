"""Certificates and authorities of a CloudFormation template are made with their stack, and go with it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.served import Served

TEMPLATE = """
Parameters:
  Domain: {Type: String, Default: "*.till.local"}
Resources:
  Root:
    Type: AWS::ACMPCA::CertificateAuthority
    Properties:
      Type: ROOT
      KeyAlgorithm: EC_prime256v1
      SigningAlgorithm: SHA256WITHECDSA
      Subject: {CommonName: NAME}
  RootCertificate:
    Type: AWS::ACMPCA::Certificate
    Properties:
      CertificateAuthorityArn: !Ref Root
      CertificateSigningRequest: !GetAtt Root.CertificateSigningRequest
      SigningAlgorithm: SHA256WITHECDSA
      TemplateArn: arn:aws:acm-pca:::template/RootCACertificate/V1
      Validity: {Type: YEARS, Value: 10}
  Activation:
    Type: AWS::ACMPCA::CertificateAuthorityActivation
    Properties:
      CertificateAuthorityArn: !Ref Root
      Certificate: !GetAtt RootCertificate.Certificate
      Status: ACTIVE
  Certificate:
    Type: AWS::CertificateManager::Certificate
    Properties: {DomainName: !Ref Domain, CertificateAuthorityArn: !Ref Root}
  Public:
    Type: AWS::CertificateManager::Certificate
    Properties: {DomainName: www.example.com, ValidationMethod: DNS}
  Mesh:
    Type: AWS::AppMesh::Mesh
    Properties: {MeshName: NAME}
  Till:
    Type: AWS::AppMesh::VirtualNode
    Properties:
      MeshName: !GetAtt Mesh.MeshName
      VirtualNodeName: till
      Spec:
        ServiceDiscovery: {DNS: {Hostname: a.till.local}}
        Listeners:
          - PortMapping: {Port: 9080, Protocol: http}
            TLS: {Mode: STRICT, Certificate: {ACM: {CertificateArn: !Ref Certificate}}}
Outputs:
  Certificate: {Value: !Ref Certificate}
  Root: {Value: !Ref Root}
"""


@pytest.fixture(scope="module")
def cloudformation(weft: Served) -> Any:
    return weft.client("cloudformation")


def outputs(cloudformation: Any, name: str) -> dict[str, str]:
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def arns(weft: Served) -> set[str]:
    found = [weft.get(f"/weft/v1/{each}").body[each] for each in ("certificates", "authorities")]
    return {each["arn"] for listed in found for each in listed}


def test_a_stack_makes_what_it_names_and_takes_it_along(weft: Served, cloudformation: Any) -> None:
    before, name = arns(weft), "with-certificates"
    template = TEMPLATE.replace("NAME", name)
    cloudformation.create_stack(StackName=name, TemplateBody=template)
    made = outputs(cloudformation, name)
    assert arns(weft) - before == {made["Certificate"], made["Root"]}
    (certificate,) = [
        each
        for each in weft.get("/weft/v1/certificates").body["certificates"]
        if each["arn"] == made["Certificate"]
    ]
    assert certificate["hosts"] == ["*.till.local"]
    assert certificate["authority"] == made["Root"]
    assert [each["key"] for each in certificate["usedBy"]] == [f"mesh/{name}/virtualNode/till"]
    serial = certificate["serial"]
    # An update that is not about it leaves it as it is.
    template = re.sub("Hostname: a", "Hostname: b", template)
    cloudformation.update_stack(StackName=name, TemplateBody=template)
    found = weft.get("/weft/v1/certificates").body["certificates"]
    assert serial in [each["serial"] for each in found]
    cloudformation.delete_stack(StackName=name)
    assert arns(weft) == before


@pytest.mark.parametrize(
    ("right", "wrong"), [("Protocol: http", "Protocol: smtp"), ("*.till.local", "no host")]
)
def test_a_stack_that_fails_leaves_no_certificate(
    weft: Served, cloudformation: Any, right: str, wrong: str
) -> None:
    before = arns(weft)
    template = TEMPLATE.replace("NAME", "failing").replace(right, wrong)
    try:
        cloudformation.create_stack(StackName="failing", TemplateBody=template)
    except ClientError:
        pass
    else:
        (stack,) = cloudformation.describe_stacks(StackName="failing")["Stacks"]
        assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
        events = cloudformation.describe_stack_events(StackName="failing")["StackEvents"]
        assert any(wrong.split()[-1] in each.get("ResourceStatusReason", "") for each in events)
        cloudformation.delete_stack(StackName="failing")
    assert arns(weft) == before


def test_a_certificate_that_is_retained_stays(weft: Served, cloudformation: Any) -> None:
    name = "retaining"
    retained = "Type: AWS::CertificateManager::Certificate\n    DeletionPolicy: Retain"
    template = TEMPLATE.replace("NAME", name).replace(
        "Type: AWS::CertificateManager::Certificate", retained, 1
    )
    cloudformation.create_stack(StackName=name, TemplateBody=template)
    made = outputs(cloudformation, name)
    cloudformation.delete_stack(StackName=name)
    # Its authority renews it, and so stays with it.
    assert {made["Certificate"], made["Root"]} <= arns(weft)
