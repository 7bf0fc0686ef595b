"""ACM and ACM-PCA with boto3 and the AWS CLI: what scripts of App Mesh's examples do with them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization

from tests.contract.served import Served
from weft.clock import SystemClock
from weft.identity import ca

NOW = SystemClock().now()
ROOT_TEMPLATE = "arn:aws:acm-pca:::template/RootCACertificate/V1"


@pytest.fixture(scope="module")
def acm(weft: Served) -> Any:
    return weft.client("acm")


@pytest.fixture(scope="module")
def pca(weft: Served) -> Any:
    return weft.client("acm-pca")


def root(pca: Any, name: str = "") -> str:
    """A root with its certificate installed, as scripts make it; its ARN."""
    configuration = {
        "KeyAlgorithm": "RSA_2048",
        "SigningAlgorithm": "SHA256WITHRSA",
        "Subject": {"CommonName": name, "Organization": "App Mesh"},
    }
    if not name:
        del configuration["Subject"]["CommonName"]  # type: ignore[attr-defined]  # a dict
    arn: str = pca.create_certificate_authority(
        CertificateAuthorityType="ROOT", CertificateAuthorityConfiguration=configuration
    )["CertificateAuthorityArn"]
    named = {"CertificateAuthorityArn": arn}
    request = pca.get_certificate_authority_csr(**named)["Csr"]
    issued = pca.issue_certificate(
        **named,
        Csr=request,
        SigningAlgorithm="SHA256WITHRSA",
        TemplateArn=ROOT_TEMPLATE,
        Validity={"Type": "YEARS", "Value": 10},
    )["CertificateArn"]
    text = pca.get_certificate(**named, CertificateArn=issued)["Certificate"]
    pca.import_certificate_authority_certificate(**named, Certificate=text.encode())
    pca.create_permission(
        **named,
        Principal="acm.amazonaws.com",
        Actions=["IssueCertificate", "GetCertificate", "ListPermissions"],
    )
    return arn


def refused(call: Callable[..., Any], **named: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**named)
    code: str = caught.value.response["Error"]["Code"]
    return code


def test_a_root_is_made_and_a_certificate_requested_of_it(acm: Any, pca: Any) -> None:
    authority = root(pca, "howto")
    described = pca.describe_certificate_authority(CertificateAuthorityArn=authority)
    assert described["CertificateAuthority"]["Status"] == "ACTIVE"
    assert described["CertificateAuthority"]["Type"] == "ROOT"
    arn = acm.request_certificate(
        DomainName="*.howto.local",
        SubjectAlternativeNames=["howto.local"],
        CertificateAuthorityArn=authority,
    )["CertificateArn"]
    found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert (found["Status"], found["Type"]) == ("ISSUED", "PRIVATE")
    assert found["SubjectAlternativeNames"] == ["*.howto.local", "howto.local"]
    assert found["CertificateAuthorityArn"] == authority
    texts = acm.get_certificate(CertificateArn=arn)
    own = pca.get_certificate_authority_certificate(CertificateAuthorityArn=authority)
    assert texts["CertificateChain"] == own["Certificate"]
    leaf, above = ca.loaded(texts["Certificate"])[0], ca.loaded(own["Certificate"])[0]
    assert ca.signed(leaf, above)
    before = found["Serial"]
    acm.renew_certificate(CertificateArn=arn)
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["Serial"] != before


def test_a_request_that_comes_again_is_answered_as_before(acm: Any, pca: Any) -> None:
    named = {
        "DomainName": "again.local",
        "CertificateAuthorityArn": root(pca),
        "IdempotencyToken": "t1",
    }
    assert acm.request_certificate(**named) is not None
    first, second = (acm.request_certificate(**named)["CertificateArn"] for _ in range(2))
    assert first == second
    other = acm.request_certificate(**{**named, "IdempotencyToken": "t2"})["CertificateArn"]
    assert other != first


def test_what_was_imported_is_imported_anew_under_its_arn(acm: Any) -> None:
    theirs = ca.root("theirs", ca.KeyAlgorithm.EC_P256, NOW)

    def pair() -> dict[str, bytes]:
        made = ca.leaf(ca.Names(("im.local",)), ca.KeyAlgorithm.EC_P256, theirs, NOW)
        return {
            "Certificate": ca.pem([made.certificate]).encode(),
            "PrivateKey": ca.key_pem(made.key).encode(),
            "CertificateChain": ca.pem([theirs.certificate]).encode(),
        }

    arn = acm.import_certificate(**pair())["CertificateArn"]
    first = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert (first["Type"], first["RenewalEligibility"]) == ("IMPORTED", "INELIGIBLE")
    assert acm.import_certificate(**pair(), CertificateArn=arn)["CertificateArn"] == arn
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["Serial"] != first["Serial"]
    mixed = {**pair(), "PrivateKey": pair()["PrivateKey"]}
    assert refused(acm.import_certificate, **mixed) == "ValidationException"


def test_an_export_is_encrypted_with_the_callers_passphrase(acm: Any, pca: Any) -> None:
    arn = acm.request_certificate(DomainName="ex.local", CertificateAuthorityArn=root(pca))
    found = acm.export_certificate(CertificateArn=arn["CertificateArn"], Passphrase=b"secret")
    assert "ENCRYPTED" in found["PrivateKey"]
    key = serialization.load_pem_private_key(found["PrivateKey"].encode(), b"secret")
    assert key.public_key() == ca.loaded(found["Certificate"])[0].public_key()


def test_lists_come_in_pages(acm: Any, pca: Any) -> None:
    authority = root(pca)
    for i in range(5):
        acm.request_certificate(DomainName=f"p{i}.local", CertificateAuthorityArn=authority)
    pages = acm.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 2})
    found = [each for page in pages for each in page["CertificateSummaryList"]]
    assert len({each["CertificateArn"] for each in found}) == len(found) >= 5
    pages = pca.get_paginator("list_certificate_authorities").paginate(
        PaginationConfig={"PageSize": 1}
    )
    assert authority in [each["Arn"] for page in pages for each in page["CertificateAuthorities"]]


def test_refusals_have_the_codes_of_their_service(acm: Any, pca: Any) -> None:
    nobody = "arn:aws:acm:us-west-2:111122223333:certificate/nobody"
    no_ca = "arn:aws:acm-pca:us-west-2:111122223333:certificate-authority/nobody"
    authority = root(pca)
    assert refused(acm.describe_certificate, CertificateArn=nobody) == "ResourceNotFoundException"
    assert refused(acm.describe_certificate, CertificateArn="x" * 20) == "ValidationException"
    assert refused(acm.request_certificate, DomainName="public.example") == "ValidationException"
    named = {"CertificateAuthorityArn": no_ca}
    assert refused(pca.describe_certificate_authority, **named) == "ResourceNotFoundException"
    signing = {"SigningAlgorithm": "SHA256WITHRSA", "Validity": {"Type": "DAYS", "Value": 1}}
    other = {"CertificateAuthorityArn": authority, "Csr": b"x", **signing}
    assert refused(pca.issue_certificate, **other) == "InvalidArgsException"
    acm.request_certificate(DomainName="kept.local", CertificateAuthorityArn=authority)
    deleting = {"CertificateAuthorityArn": authority}
    assert refused(pca.delete_certificate_authority, **deleting) == "InvalidStateException"


def test_a_disabled_authority_signs_nothing_until_it_is_enabled(acm: Any, pca: Any) -> None:
    authority = root(pca)
    named = {"CertificateAuthorityArn": authority}
    pca.update_certificate_authority(**named, Status="DISABLED")
    found = pca.describe_certificate_authority(**named)["CertificateAuthority"]
    assert found["Status"] == "DISABLED"
    assert refused(acm.request_certificate, DomainName="d.local", **named) == "ValidationException"
    pca.update_certificate_authority(**named, Status="ACTIVE")
    arn = acm.request_certificate(DomainName="d.local", **named)["CertificateArn"]
    acm.delete_certificate(CertificateArn=arn)
    pca.delete_certificate_authority(**named)
    assert refused(pca.describe_certificate_authority, **named) == "ResourceNotFoundException"


def test_the_aws_cli_makes_a_root_as_the_walkthroughs_do(weft: Served, tmp_path: Path) -> None:
    """The steps of the walkthroughs with TLS from ACM, in the shell they are written for."""
    script = tmp_path / "root.sh"
    script.write_text(
        """set -eu
arn=$(aws acm-pca create-certificate-authority --certificate-authority-type ROOT \\
  --certificate-authority-configuration \\
  'KeyAlgorithm=RSA_2048,SigningAlgorithm=SHA256WITHRSA,Subject={CommonName=by-cli}' \\
  --query CertificateAuthorityArn --output text)
aws acm-pca get-certificate-authority-csr --certificate-authority-arn "$arn" \\
  --output text > csr.pem
issued=$(aws acm-pca issue-certificate --certificate-authority-arn "$arn" \\
  --template-arn arn:aws:acm-pca:::template/RootCACertificate/V1 \\
  --signing-algorithm SHA256WITHRSA --validity Value=10,Type=YEARS --csr fileb://csr.pem \\
  --query CertificateArn --output text)
aws acm-pca get-certificate --certificate-arn "$issued" --certificate-authority-arn "$arn" \\
  --query Certificate --output text > root.pem
aws acm-pca import-certificate-authority-certificate --certificate-authority-arn "$arn" \\
  --certificate fileb://root.pem
aws acm request-certificate --domain-name '*.by-cli.local' --certificate-authority-arn "$arn" \\
  --query CertificateArn --output text
""",
        encoding="utf-8",
    )
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": weft.url,
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": os.devnull,
    }
    done = subprocess.run(
        ["sh", str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("arn:aws:acm:us-west-2:000000000000:certificate/")
