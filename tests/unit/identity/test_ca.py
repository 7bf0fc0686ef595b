"""Certificates that are made: what cryptography's own verifier and openssl say to them."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.identity import ca

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = ca.root("weft", ca.KeyAlgorithm.EC_P256, NOW)
NAMES = ca.Names(("web.local", "*.web.local", "10.0.0.1"), ("spiffe://m/web",))


def verified(leaf: ca.Pair, root: ca.Pair, name: str, at: datetime = NOW) -> None:
    """As a client does; raises why not."""
    policy = PolicyBuilder().store(Store([root.certificate])).time(at)
    policy.build_server_verifier(x509.DNSName(name)).verify(leaf.certificate, [])
    policy.build_client_verifier().verify(leaf.certificate, [])


@pytest.mark.parametrize("algorithm", list(ca.KeyAlgorithm))
def test_every_kind_of_key_makes_a_certificate_that_is_verified(
    algorithm: ca.KeyAlgorithm, tmp_path: Path
) -> None:
    root = ca.root("root", algorithm, NOW)
    leaf = ca.leaf(NAMES, algorithm, root, NOW)
    verified(leaf, root, "web.local")
    verified(leaf, root, "any.web.local")
    assert ca.algorithm_of(leaf.key) is algorithm
    assert ca.names_of(leaf.certificate) == NAMES
    (tmp_path / "root.pem").write_text(ca.pem([root.certificate]))
    (tmp_path / "leaf.pem").write_text(ca.pem([leaf.certificate]))
    for purpose in ("sslserver", "sslclient"):
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-attime"]
        command += [str(int(NOW.timestamp())), "-CAfile", "root.pem", "leaf.pem"]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert said.stdout == "leaf.pem: OK\n", said.stderr


def test_a_certificate_lasts_as_long_as_acms_and_no_longer_than_its_issuer() -> None:
    leaf = ca.leaf(NAMES, ca.KeyAlgorithm.EC_P256, ROOT, NOW).certificate
    assert leaf.not_valid_after_utc == NOW + timedelta(days=395)
    assert leaf.not_valid_before_utc == NOW - timedelta(hours=1)
    late = NOW + timedelta(days=3600)
    leaf = ca.leaf(NAMES, ca.KeyAlgorithm.EC_P256, ROOT, late).certificate
    assert leaf.not_valid_after_utc == ROOT.certificate.not_valid_after_utc


def test_a_root_signs_leaves_and_no_other_authority() -> None:
    basic = ROOT.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    usage = ROOT.certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    found = [each for each in ROOT.certificate.extensions if each.oid._name == "nameConstraints"]
    assert not found


def test_a_leaf_names_its_issuers_key_and_serves_and_calls() -> None:
    leaf = ca.leaf(NAMES, ca.KeyAlgorithm.EC_P256, ROOT, NOW).certificate.extensions
    root = ROOT.certificate.extensions
    issuer = leaf.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert issuer == root.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert not leaf.get_extension_for_class(x509.BasicConstraints).value.ca
    names = leaf.get_extension_for_class(x509.SubjectAlternativeName)
    assert not names.critical


def test_names_are_critical_where_there_is_no_subject() -> None:
    for names in (ca.Names(uris=("spiffe://m/web",)), ca.Names(("a" * 60 + ".b.c.d",))):
        leaf = ca.leaf(names, ca.KeyAlgorithm.EC_P256, ROOT, NOW).certificate
        critical = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
        assert critical is (not leaf.subject)


def test_serial_numbers_do_not_repeat() -> None:
    made = [ca.leaf(NAMES, ca.KeyAlgorithm.EC_P256, ROOT, NOW).certificate for _ in range(20)]
    assert len({each.serial_number for each in made}) == 20
    assert all(each.serial_number.bit_length() > 64 for each in made)
    assert len(ca.serial(made[0]).split(":")) == (made[0].serial_number.bit_length() + 7) // 8


def test_a_certificate_is_renewed_60_days_before_its_end_or_in_its_last_third() -> None:
    end = NOW + timedelta(days=395)
    assert ca.renewed_from(NOW, end) == end - timedelta(days=60)
    assert ca.renewed_from(NOW, NOW + timedelta(hours=3)) == NOW + timedelta(hours=2)


def test_a_key_is_read_back_as_it_was_written() -> None:
    assert ca.key_pem(ca.loaded_key(ca.key_pem(ROOT.key))) == ca.key_pem(ROOT.key)
    assert "PRIVATE" not in repr(ROOT)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z0-9]{1,10}){1,3}", fullmatch=True),
        min_size=1,
        max_size=10,
        unique=True,
    )
)
def test_whatever_the_names_each_of_them_is_verified(hosts: list[str]) -> None:
    # A last label of digits is no host name to a verifier.
    hosts = [f"{host}.local" for host in hosts]
    leaf = ca.leaf(ca.Names(tuple(hosts)), ca.KeyAlgorithm.EC_P256, ROOT, NOW)
    assert list(ca.names_of(leaf.certificate).hosts) == hosts
    for host in hosts:
        verified(leaf, ROOT, host)
    with pytest.raises(x509.verification.VerificationError):
        verified(leaf, ROOT, "another.example")
