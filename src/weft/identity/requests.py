"""What a new authority or certificate shall be, as JSON: checked once, every mistake said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from weft.errors import Invalid, Problem
from weft.identity import ca
from weft.identity.imported import MOST_BYTES
from weft.identity.uses import AUTHORITY_ARN, CERTIFICATE_ARN

AUTHORITY_MEMBERS = (
    *("arn", "name", "keyAlgorithm", "lifetimeSeconds"),
    *("certificate", "certificateChain", "privateKey"),
)
CERTIFICATE_MEMBERS = (
    *("arn", "hosts", "uris", "authority", "keyAlgorithm", "lifetimeSeconds"),
    *("certificate", "certificateChain", "privateKey", "rootChain"),
)
MOST_NAMES = 100
"""Of one certificate, as ACM's quota allows at most."""
_SHORTEST_SECONDS = 30
_LONGEST_SECONDS = 30 * 366 * 24 * 3600
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$)(\*\.)?{_LABEL}(\.{_LABEL})*")
_URI = re.compile(r"(?=.{1,2048}$)[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_SPIFFE = re.compile(
    r"(?=.{1,2048}$)spiffe://[a-z0-9._-]{1,255}(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)*"
)
"""SPIFFE-ID, section 2: trust domain and path."""
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")


@dataclass(frozen=True, slots=True)
class WantedAuthority:
    """A new authority; with ``certificate`` one that somebody has already."""

    arn: str | None = None
    name: str = ""
    algorithm: ca.KeyAlgorithm = ca.KeyAlgorithm.EC_P256
    lasts: timedelta = ca.ROOT_LASTS
    certificate: str | None = field(default=None, repr=False)
    chain: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class WantedCertificate:
    """A new certificate; with ``certificate`` one that somebody has already."""

    arn: str | None = None
    names: ca.Names = field(default_factory=ca.Names)
    authority: str | None = None
    """ARN or name; None for the control plane's own."""
    algorithm: ca.KeyAlgorithm = ca.KeyAlgorithm.EC_P256
    lasts: timedelta = ca.LEAF_LASTS
    certificate: str | None = field(default=None, repr=False)
    chain: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    root: str = field(default="", repr=False)


def wanted_authority(document: Mapping[str, Any]) -> WantedAuthority:
    """Invalid with every mistake that shows without the state."""
    found: list[Problem] = []
    arn = _arn(
        document, AUTHORITY_ARN, "arn:aws:acm-pca:REGION:ACCOUNT:certificate-authority/ID", found
    )
    name = _text(document, "name", found, most=64)
    if name and not _NAME.fullmatch(name):
        found.append(Problem("name", "must be 1 to 64 characters without control characters"))
    _either(
        document, ("keyAlgorithm", "lifetimeSeconds"), ("certificateChain", "privateKey"), found
    )
    made = WantedAuthority(
        arn,
        name,
        _algorithm(document, found),
        _lasts(document, ca.ROOT_LASTS, found),
        _text(document, "certificate", found) or None,
        _text(document, "certificateChain", found),
        _text(document, "privateKey", found),
    )
    if found:
        raise Invalid(found)
    return made


def wanted_certificate(
    document: Mapping[str, Any], *, replacing: bool = False
) -> WantedCertificate:
    """Invalid with every mistake that shows without the state."""
    found: list[Problem] = []
    if replacing and document.get("arn") is None:
        found.append(Problem("arn", "says which certificate is replaced, and is missing"))
    arn = _arn(document, CERTIFICATE_ARN, "arn:aws:acm:REGION:ACCOUNT:certificate/ID", found)
    _either(
        document,
        ("hosts", "uris", "authority", "keyAlgorithm", "lifetimeSeconds"),
        ("certificateChain", "privateKey", "rootChain"),
        found,
    )
    names = ca.Names(_hosts(document, found), _uris(document, found))
    if document.get("certificate") is None and not names.first and not found:
        found.append(Problem("hosts", "must name at least one host, or uris at least one URI"))
    if document.get("certificate") is not None and document.get("privateKey") is None:
        found.append(Problem("privateKey", "belongs to the certificate and is missing"))
    if len(names.hosts) + len(names.uris) > MOST_NAMES:
        found.append(Problem("hosts", f"are more than {MOST_NAMES}, with uris"))
    made = WantedCertificate(
        arn,
        names,
        _text(document, "authority", found) or None,
        _algorithm(document, found),
        _lasts(document, ca.LEAF_LASTS, found),
        _text(document, "certificate", found) or None,
        _text(document, "certificateChain", found),
        _text(document, "privateKey", found),
        _text(document, "rootChain", found),
    )
    if found:
        raise Invalid(found)
    return made


def _either(
    document: Mapping[str, Any],
    made: tuple[str, ...],
    brought: tuple[str, ...],
    found: list[Problem],
) -> None:
    """Of what is made and what is brought different things are said."""
    importing = document.get("certificate") is not None
    for member in made if importing else brought:
        if document.get(member) is not None:
            why = "is not asked for" if importing else "goes with a certificate to import"
            found.append(
                Problem(member, f"{why}; certificate is {'' if importing else 'not '}given")
            )


def _text(
    document: Mapping[str, Any], member: str, found: list[Problem], most: int = MOST_BYTES
) -> str:
    value = document.get(member)
    if value is None:
        return ""
    if not isinstance(value, str) or not value.strip():
        found.append(Problem(member, "must be text"))
        return ""
    if len(value) > most:
        found.append(Problem(member, f"is longer than {most} characters"))
        return ""
    return value


def _arn(
    document: Mapping[str, Any], form: re.Pattern[str], shown: str, found: list[Problem]
) -> str | None:
    value = document.get("arn")
    if value is None:
        return None
    if not isinstance(value, str) or not form.fullmatch(value):
        found.append(Problem("arn", f"must look like {shown}, not {str(value)[:120]!r}"))
        return None
    return value


def _algorithm(document: Mapping[str, Any], found: list[Problem]) -> ca.KeyAlgorithm:
    value = document.get("keyAlgorithm")
    if value is None:
        return ca.KeyAlgorithm.EC_P256
    known = [each.value for each in ca.KeyAlgorithm]
    if value not in known:
        found.append(Problem("keyAlgorithm", f"must be one of {', '.join(known)}"))
        return ca.KeyAlgorithm.EC_P256
    return ca.KeyAlgorithm(value)


def _lasts(document: Mapping[str, Any], default: timedelta, found: list[Problem]) -> timedelta:
    value = document.get("lifetimeSeconds")
    if value is None:
        return default
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not _SHORTEST_SECONDS <= value <= _LONGEST_SECONDS
    ):
        found.append(
            Problem(
                "lifetimeSeconds",
                f"must be a number from {_SHORTEST_SECONDS} to {_LONGEST_SECONDS}",
            )
        )
        return default
    return timedelta(seconds=value)


def _hosts(document: Mapping[str, Any], found: list[Problem]) -> tuple[str, ...]:
    texts = _texts(document, "hosts", found)
    for i, each in enumerate(texts):
        if ca.address_of(each) is None and not _HOST.fullmatch(each):
            found.append(
                Problem(
                    f"hosts[{i}]",
                    f"must be a host name (it may begin with *.) or an address, not {each[:80]!r}",
                )
            )
    return tuple(dict.fromkeys(texts))


def _uris(document: Mapping[str, Any], found: list[Problem]) -> tuple[str, ...]:
    texts = _texts(document, "uris", found)
    for i, each in enumerate(texts):
        if each.lower().startswith("spiffe:") and not _SPIFFE.fullmatch(each):
            said = (
                "must be spiffe://TRUST-DOMAIN/PATH, the domain in lower case and no / at the end"
            )
            found.append(Problem(f"uris[{i}]", said))
        elif not _URI.fullmatch(each):
            found.append(Problem(f"uris[{i}]", f"must be a URI, not {each[:80]!r}"))
    return tuple(dict.fromkeys(texts))


def _texts(document: Mapping[str, Any], member: str, found: list[Problem]) -> list[str]:
    value = document.get(member)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        found.append(Problem(member, "must be a list of texts"))
        return []
    if len(value) > MOST_NAMES:
        found.append(Problem(member, f"must be at most {MOST_NAMES}"))
        return []
    return value
