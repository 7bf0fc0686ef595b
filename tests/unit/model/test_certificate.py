"""Certificates by ARN, as they are kept and read."""

from __future__ import annotations

import pytest

from weft.model.certificate import Authority, Certificate, PrivateKey

KEPT = Certificate("leaf", PrivateKey("secret"), "arn:authority", "root")


@pytest.mark.parametrize("certificate", [KEPT, Certificate("leaf", PrivateKey("secret"))])
def test_a_certificate_survives_being_kept(certificate: Certificate) -> None:
    assert Certificate.from_document(certificate.to_document()) == certificate


def test_what_else_a_document_holds_is_not_minded() -> None:
    assert Certificate.from_document({**KEPT.to_document(), "issued": 1}) == KEPT


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"certificateChain": "leaf"},
        {"certificateChain": "leaf", "privateKey": ""},
        {"certificateChain": 1, "privateKey": "secret"},
    ],
)
def test_without_chain_and_key_there_is_no_certificate(document: dict[str, str] | None) -> None:
    assert Certificate.from_document(document) is None


def test_an_authority_survives_being_kept() -> None:
    assert Authority.from_document(Authority("root").to_document()) == Authority("root")
    assert Authority.from_document({}) is None


def test_a_private_key_never_prints_itself() -> None:
    assert "secret" not in f"{KEPT} {KEPT.private_key} {KEPT.private_key!r}"
