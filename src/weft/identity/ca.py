"""
Certificates as X.509 has them: keys, roots, leaves; pure but for chance.

What an authority of ACM's kind writes into a certificate: RFC 5280 for the extensions,
AWS's user guide for lifetimes (395 days, renewed from 60 days before the end).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LEAF_LASTS = timedelta(days=395)
"""ACM's 13 months."""
ROOT_LASTS = timedelta(days=3650)
BACKDATED = timedelta(hours=1)
"""
A certificate is good from this long before it is made, for clocks that are behind; one
with a short life less long, or its last third would begin before it is made.
"""
_RENEWED_BEFORE = timedelta(days=60)
"""As ACM; of a shorter life the last third."""
_LONGEST_COMMON_NAME = 64
"""Bytes; RFC 5280, ub-common-name."""

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyAlgorithm(StrEnum):
    """The kinds of key that Envoy takes, as ACM spells them."""

    EC_P256 = "EC_prime256v1"
    EC_P384 = "EC_secp384r1"
    RSA_2048 = "RSA_2048"
    RSA_3072 = "RSA_3072"
    RSA_4096 = "RSA_4096"


@dataclass(frozen=True, slots=True)
class Names:
    """Whom a certificate is for: its subject alternative names."""

    hosts: tuple[str, ...] = ()
    """DNS names (which may begin with ``*.``) and addresses."""
    uris: tuple[str, ...] = ()
    """SPIFFE ids and other URIs."""

    @property
    def first(self) -> str:
        """What people call the certificate by."""
        return (*self.hosts, *self.uris, "")[0]


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: SigningKey = field(repr=False)


def new_key(algorithm: KeyAlgorithm) -> SigningKey:
    """A fresh private key; an RSA key takes a good part of a second."""
    match algorithm:
        case KeyAlgorithm.EC_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyAlgorithm.EC_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            return rsa.generate_private_key(65537, int(algorithm.partition("_")[2]))


def algorithm_of(key: object) -> KeyAlgorithm | None:
    """What kind a private or public key is; None for one that Envoy does not take."""
    match key:
        case ec.EllipticCurvePrivateKey() | ec.EllipticCurvePublicKey():
            curves = {"secp256r1": KeyAlgorithm.EC_P256, "secp384r1": KeyAlgorithm.EC_P384}
            return curves.get(key.curve.name)
        case rsa.RSAPrivateKey() | rsa.RSAPublicKey():
            sizes = {2048: KeyAlgorithm.RSA_2048, 3072: KeyAlgorithm.RSA_3072}
            return {**sizes, 4096: KeyAlgorithm.RSA_4096}.get(key.key_size)
        case _:
            return None


def root(name: str, algorithm: KeyAlgorithm, now: datetime, lasts: timedelta = ROOT_LASTS) -> Pair:
    """An authority of our own: it signs itself, and leaves directly."""
    key = new_key(algorithm)
    shown = name.encode()[:_LONGEST_COMMON_NAME].decode(errors="ignore")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, shown)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = _begun(subject, key, now, now + lasts).issuer_name(subject)
    for extension, critical in (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_usage(certificates=True), True),
        (identifier, False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False),
    ):
        builder = builder.add_extension(extension, critical)
    return Pair(builder.sign(key, _hash(key)), key)


def leaf(
    names: Names,
    algorithm: KeyAlgorithm,
    issuer: Pair,
    now: datetime,
    lasts: timedelta = LEAF_LASTS,
) -> Pair:
    """A certificate for servers and clients alike; it never outlives its issuer."""
    key = new_key(algorithm)
    common = [each for each in names.hosts if len(each) <= _LONGEST_COMMON_NAME][:1]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in common])
    until = min(now + lasts, issuer.certificate.not_valid_after_utc)
    builder = _begun(subject, key, now, until).issuer_name(issuer.certificate.subject)
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(encipherment=isinstance(key, rsa.RSAPrivateKey)), True),
        (x509.ExtendedKeyUsage(purposes), False),
        # RFC 5280, 4.2.1.6: without a subject the names are all there is, and critical.
        (x509.SubjectAlternativeName(_general_names(names)), not common),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (_issuer_identifier(issuer.certificate), False),
    ):
        builder = builder.add_extension(extension, critical)
    return Pair(builder.sign(issuer.key, _hash(issuer.key)), key)


def _begun(
    subject: x509.Name, key: SigningKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    backdated = min(BACKDATED, (until - now) / 10)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before((now - backdated).replace(microsecond=0))
        .not_valid_after(until.replace(microsecond=0))
    )


def _usage(*, certificates: bool = False, encipherment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        key = issuer.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(
            cast(ec.EllipticCurvePublicKey, key)
        )
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _hash(key: SigningKey) -> hashes.SHA256 | hashes.SHA384:
    strong = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256
    return hashes.SHA384() if strong else hashes.SHA256()


def _general_names(names: Names) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for host in names.hosts:
        address = address_of(host)
        found.append(x509.DNSName(host) if address is None else x509.IPAddress(address))
    return found + [x509.UniformResourceIdentifier(uri) for uri in names.uris]


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A host that is an address."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def names_of(certificate: x509.Certificate) -> Names:
    """Whom a certificate is for, as it says itself."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Names()
    hosts = (
        *found.get_values_for_type(x509.DNSName),
        *map(str, found.get_values_for_type(x509.IPAddress)),
    )
    return Names(hosts, tuple(found.get_values_for_type(x509.UniformResourceIdentifier)))


def renewed_from(begins: datetime, ends: datetime) -> datetime:
    """When a certificate's renewal is due: 60 days before its end, or in its last third."""
    return ends - min(_RENEWED_BEFORE, (ends - begins) / 3)


def pem(certificates: Iterable[x509.Certificate]) -> str:
    return "".join(
        each.public_bytes(serialization.Encoding.PEM).decode("ascii") for each in certificates
    )


def key_pem(key: SigningKey) -> str:
    """PKCS #8, not encrypted: what Envoy reads."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")


def request_pem(subject: x509.Name, key: SigningKey) -> str:
    """A certificate signing request (PKCS #10)."""
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, _hash(key))
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def loaded_request(text: str) -> x509.CertificateSigningRequest | None:
    """The inverse; None for what is none, or is not signed by its own key."""
    try:
        found = x509.load_pem_x509_csr(text.encode())
    except ValueError:
        return None
    return found if found.is_signature_valid else None


def encrypted_pem(key: str, passphrase: bytes) -> str:
    """A private key that only the passphrase opens (PKCS #8)."""
    return (
        loaded_key(key)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase),
        )
        .decode("ascii")
    )


def loaded(chain: str) -> list[x509.Certificate]:
    """The certificates of a text that we made or checked."""
    return x509.load_pem_x509_certificates(chain.encode())


def loaded_key(text: str) -> SigningKey:
    """The inverse of ``key_pem``."""
    found = serialization.load_pem_private_key(text.encode(), None)
    assert isinstance(found, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey), "no other is kept"
    return found


def key_id(certificate: x509.Certificate) -> str:
    """Names the key of a certificate; the same for two certificates of one key."""
    digest = x509.SubjectKeyIdentifier.from_public_key(
        cast(ec.EllipticCurvePublicKey, certificate.public_key())
    ).digest
    return digest.hex()


def serial(certificate: x509.Certificate) -> str:
    """As ACM and openssl show it: ``1f:00:a9``."""
    text = f"{certificate.serial_number:x}"
    text = text.zfill(len(text) + len(text) % 2)
    return ":".join(text[i : i + 2] for i in range(0, len(text), 2))


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    return basic.ca


def signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key signed the certificate, under the issuer's name."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - an unfit key raises whatever its library raises
        return False
    return True


def without_repetitions(certificates: Iterable[x509.Certificate]) -> Sequence[x509.Certificate]:
    """Each once, in order."""
    return list(dict.fromkeys(certificates))
