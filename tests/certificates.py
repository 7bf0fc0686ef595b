"""Certificates made for one test: an authority, and leaves of it."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from weft.clock import SystemClock

_YEAR = datetime.timedelta(days=365)


@dataclass(frozen=True)
class Leaf:
    certificate: Path
    key: Path


class Authority:
    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=None)
        made = self._signed(self._name, self._key, basic, critical=True)
        self.certificate = directory / f"{name}.pem"
        self.certificate.write_bytes(made)

    def leaf(self, name: str, *, hosts: tuple[str, ...] = (), uri: str = "") -> Leaf:
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)] if uri else []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        extension: x509.ExtensionType = (
            x509.SubjectAlternativeName(names)
            if names
            else x509.BasicConstraints(ca=False, path_length=None)
        )
        stem = name.replace("/", "-")
        leaf = Leaf(self._directory / f"{stem}.pem", self._directory / f"{stem}.key")
        leaf.certificate.write_bytes(self._signed(subject, key, extension, critical=False))
        leaf.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return leaf

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        *,
        critical: bool,
    ) -> bytes:
        now = SystemClock().now()
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _YEAR)
            .not_valid_after(now + _YEAR)
            .add_extension(extension, critical=critical)
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)


def chain_by_openssl(directory: Path) -> tuple[str, str, str, str, str]:
    """leaf ← first ← second ← root, and the leaf's key, made by another program than ours."""

    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    (directory / "ca.ext").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n")
    (directory / "leaf.ext").write_text("subjectAltName=DNS:chain.local\n")
    make = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *make, "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=root")
    for name, issuer in (("second", "root"), ("first", "second"), ("leaf", "first")):
        run("req", *make, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        extensions = "leaf.ext" if name == "leaf" else "ca.ext"
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey"),
            *(f"{issuer}.key", "-CAcreateserial", "-out", f"{name}.pem", "-days", "30"),
            *("-extfile", extensions),
        )
    names = ("leaf.pem", "first.pem", "second.pem", "root.pem", "leaf.key")
    leaf, first, second, root, key = ((directory / name).read_text() for name in names)
    return leaf, first, second, root, key
