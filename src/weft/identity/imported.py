"""Certificates and keys that people bring: read, put in order, and every mistake in them said at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from weft.errors import Invalid, Problem
from weft.identity import ca

MOST_CERTIFICATES = 10
"""In one chain; Envoy verifies at most as many."""
MOST_BYTES = 64 * 1024
_BEGIN = "-----BEGIN CERTIFICATE"
_TAKEN = ", ".join(ca.KeyAlgorithm)


@dataclass(frozen=True, slots=True)
class Brought:
    """What was brought, checked."""

    certificate: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    """From the one that signed it upwards, without a root."""
    roots: tuple[x509.Certificate, ...]
    """What clients trust; none if they were not given."""
    key: ca.SigningKey | None = field(repr=False)
    warnings: tuple[str, ...] = ()


def certificate(
    certificate: str, private_key: str, chain: str, root_chain: str, now: datetime
) -> Brought:
    """A leaf with its key; Invalid with every mistake, each at its member of the request."""
    found: list[Problem] = []
    leaf, above = _certificates("certificate", certificate, found), []
    if leaf is not None:
        above = leaf[1:]
    above += _certificates("certificateChain", chain, found) or [] if chain else []
    roots = (_certificates("rootChain", root_chain, found) or []) if root_chain else []
    key = _key("privateKey", private_key, found)
    if not leaf:
        raise Invalid(found)
    first = leaf[0]
    if ca.is_authority(first):
        found.append(
            Problem(
                "certificate",
                f"the first certificate is that of an authority ({_shown(first)}); "
                "the server's or client's own comes first",
            )
        )
    found += _dates("certificate", first, now)
    found += _fits("privateKey", key, first)
    intermediates, own_roots = _ordered("certificateChain", first, above, now, found)
    for each in (*intermediates, *roots):
        found += _dates("rootChain" if each in roots else "certificateChain", each, now)
    roots = list(ca.without_repetitions([*roots, *own_roots]))
    last = (first, *intermediates)[-1]
    if roots and not any(ca.signed(last, each) or each == last for each in roots):
        found.append(Problem("rootChain", f"none of these signed {_shown(last)}"))
    if found:
        raise Invalid(found)
    warnings = []
    if not ca.names_of(first).first:
        warnings.append("it has no subject alternative name: clients that check names refuse it")
    if not roots:
        warnings.append("its root is not known: clients without a policy cannot validate it")
    return Brought(first, tuple(intermediates), tuple(roots), key, tuple(warnings))


def authority(certificate: str, private_key: str, chain: str, now: datetime) -> Brought:
    """An authority, with its key if it is to issue; Invalid with every mistake."""
    found: list[Problem] = []
    given = _certificates("certificate", certificate, found)
    above = _certificates("certificateChain", chain, found) or [] if chain else []
    key = _key("privateKey", private_key, found) if private_key else None
    if not given:
        raise Invalid(found)
    first, above = given[0], [*given[1:], *above]
    if not ca.is_authority(first):
        found.append(Problem("certificate", f"{_shown(first)} is no authority: it may not sign"))
    found += _dates("certificate", first, now)
    if private_key:
        found += _fits("privateKey", key, first)
    intermediates, roots = _ordered("certificateChain", first, above, now, found)
    if found:
        raise Invalid(found)
    return Brought(first, tuple(intermediates), tuple(roots), key)


def _ordered(
    path: str,
    first: x509.Certificate,
    above: list[x509.Certificate],
    now: datetime,
    found: list[Problem],
) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    """The chain without its root, and the root; a chain in another order is a mistake."""
    chain = [each for each in above if each != first]
    roots = [each for each in chain if each.subject == each.issuer and ca.signed(each, each)]
    between = [each for each in chain if each not in roots]
    last = first
    for i, each in enumerate(between):
        if not ca.signed(last, each):
            order = _order(first, between)
            said = f"certificate {i + 1} ({_shown(each)}) did not sign {_shown(last)}"
            if order is not None:
                said += f"; the order is {' , '.join(map(_shown, order))}".replace(" , ", ", ")
            found.append(Problem(path, said))
            return between, roots
        if not ca.is_authority(each):
            found.append(Problem(path, f"{_shown(each)} is no authority: it may not sign"))
        last = each
    if roots and not any(ca.signed(last, each) for each in roots):
        found.append(Problem(path, f"the root in it did not sign {_shown(last)}"))
    return between, roots


def _order(
    first: x509.Certificate, between: list[x509.Certificate]
) -> list[x509.Certificate] | None:
    """The certificates as they sign each other; None where they do not."""
    left, ordered = list(between), [first]
    while left:
        issuer = next((each for each in left if ca.signed(ordered[-1], each)), None)
        if issuer is None:
            return None
        left.remove(issuer)
        ordered.append(issuer)
    return ordered[1:]


def _certificates(path: str, text: str, found: list[Problem]) -> list[x509.Certificate] | None:
    if "PRIVATE KEY" in text:
        found.append(Problem(path, "holds a private key, which belongs into privateKey"))
        if _BEGIN not in text:
            return None
    if _BEGIN not in text:
        found.append(Problem(path, "is no PEM: it must have -----BEGIN CERTIFICATE-----"))
        return None
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
        for each in certificates:
            _read_through(each)
    except Exception as error:  # noqa: BLE001 - a library may choke on strangers in many ways
        found.append(Problem(path, f"cannot be read as certificates: {_said(error)}"))
        return None
    if len(certificates) > MOST_CERTIFICATES:
        found.append(
            Problem(path, f"holds {len(certificates)} certificates; {MOST_CERTIFICATES} may be")
        )
    return certificates


def _read_through(certificate: x509.Certificate) -> None:
    """What is read of it later; a certificate is only looked into where it is asked."""
    ca.is_authority(certificate)
    ca.names_of(certificate)
    ca.key_id(certificate)
    _shown(certificate)
    _ = certificate.issuer, certificate.not_valid_before_utc, certificate.not_valid_after_utc


def _key(path: str, text: str, found: list[Problem]) -> ca.SigningKey | None:
    if "ENCRYPTED" in text:
        found.append(
            Problem(
                path,
                "is encrypted, and the passphrase is not asked for; "
                "openssl pkey -in FILE -out DECRYPTED takes it off",
            )
        )
        return None
    if "PRIVATE KEY-----" not in text:
        found.append(Problem(path, "is no PEM: it must have -----BEGIN PRIVATE KEY-----"))
        return None
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except Exception as error:  # noqa: BLE001 - as above
        found.append(Problem(path, f"cannot be read as a private key: {_said(error)}"))
        return None
    if ca.algorithm_of(key) is None or not isinstance(
        key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    ):
        found.append(Problem(path, f"is of a kind that Envoy does not take; it takes {_TAKEN}"))
        return None
    return key


def _fits(path: str, key: ca.SigningKey | None, first: x509.Certificate) -> Iterator[Problem]:
    if key is not None and key.public_key() != first.public_key():
        yield Problem(path, f"is not the key of {_shown(first)}")


def _dates(path: str, each: x509.Certificate, now: datetime) -> Iterator[Problem]:
    if each.not_valid_after_utc <= now:
        at = each.not_valid_after_utc
        yield Problem(path, f"{_shown(each)} expired at {at:%Y-%m-%dT%H:%M:%SZ}")
    if each.not_valid_before_utc > now:
        at = each.not_valid_before_utc
        yield Problem(path, f"{_shown(each)} is not valid before {at:%Y-%m-%dT%H:%M:%SZ}")


def _shown(certificate: x509.Certificate) -> str:
    """How a mistake calls a certificate."""
    return certificate.subject.rfc4514_string() or ca.names_of(certificate).first or "no name"


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
