"""Whatever is asked about certificates is answered, and never with a fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.served import Served, served
from weft.api.acm import authorities, certificates
from weft.identity.requests import AUTHORITY_MEMBERS, CERTIFICATE_MEMBERS

TARGETS = [
    *(f"CertificateManager.{each}" for each in certificates.OPERATIONS),
    *(f"ACMPrivateCA.{each}" for each in authorities.OPERATIONS),
]
ARN = "arn:aws:acm:us-west-2:111122223333:certificate/1"
CA_ARN = "arn:aws:acm-pca:us-west-2:111122223333:certificate-authority/1"
MEMBERS = (
    *("CertificateArn", "CertificateAuthorityArn", "DomainName", "SubjectAlternativeNames"),
    *("CertificateAuthorityConfiguration", "CertificateAuthorityType", "Certificate", "Csr"),
    *("PrivateKey", "CertificateChain", "Passphrase", "NextToken", "MaxItems", "MaxResults"),
    *("Status", "TemplateArn", "IdempotencyToken", "KeyAlgorithm", "Principal", "Tags"),
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5000),
    st.text(max_size=20),
    st.sampled_from([ARN, CA_ARN, "ROOT", "x.local", "spiffe://m/x", "RSA_1024", "AAAA", "1"]),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def weft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("data")) as found:
        found.request("POST", "/weft/v1/authorities", {"arn": CA_ARN})
        found.request("POST", "/weft/v1/certificates", {"arn": ARN, "hosts": ["x.local"]})
        yield found


def answered(status: int, body: Any) -> None:
    assert status < 500, body
    assert "PRIVATE KEY" not in json.dumps(body)


@pytest.mark.parametrize("passphrase", ["é", "AAA", "no base64", "YWJj", "YWJj" * 400])
def test_a_passphrase_that_is_none_is_refused(weft: Served, passphrase: str) -> None:
    sent = {"CertificateArn": ARN, "Passphrase": passphrase}
    headers = {"X-Amz-Target": "CertificateManager.ExportCertificate"}
    reply = weft.request("POST", "/", sent, headers=headers)
    assert (reply.status, reply.body["__type"]) == (400, "ValidationException")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["certificates", "authorities", "missingCertificates"]),
    st.dictionaries(
        st.sampled_from([*AUTHORITY_MEMBERS, *CERTIFICATE_MEMBERS, "resources"]), values
    ),
    st.sampled_from(["", "?replace=true"]),
)
def test_any_body_is_answered(
    weft: Served, collection: str, body: dict[str, Any], query: str
) -> None:
    reply = weft.request("POST", f"/weft/v1/{collection}{query}", body)
    answered(reply.status, reply.body)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["certificates", "authorities"]),
    st.text(max_size=60),
    st.sampled_from(["GET", "POST", "DELETE", "PUT"]),
    st.sampled_from(["", "/renew", "/nothing"]),
)
def test_any_name_is_answered(
    weft: Served, collection: str, name: str, method: str, below: str
) -> None:
    reply = weft.request(method, f"/weft/v1/{collection}/{quote(name, safe='')}{below}", {})
    answered(reply.status, reply.body)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TARGETS), st.dictionaries(st.sampled_from(MEMBERS), values))
def test_any_call_of_acm_is_answered(weft: Served, target: str, body: dict[str, Any]) -> None:
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    reply = weft.request("POST", "/", body, headers)
    if not target.endswith("ExportCertificate"):
        answered(reply.status, reply.body)
    assert reply.status < 500, reply.body
