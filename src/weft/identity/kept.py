"""
Certificates and authorities as the store keeps them, and as operators see them.

``model/certificate.py`` reads of the same documents what a proxy is given. A private key
is in none of them: the store keeps it sealed beside the log (``store/secrets.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self

from cryptography import x509

from weft.identity import ca
from weft.store.document import KEY_ID

Origin = Literal["created", "issued", "imported"]
Phase = Literal["trusting", "moving"]
"""
Of an authority that changes its key.

trusting ──every proxy trusts both──▶ moving ──every leaf has moved, every proxy knows──▶ over
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority that is known by its ARN."""

    arn: str
    name: str
    trusted: str = field(repr=False)
    """PEM of what its clients trust: its own certificate, and for a while the one before or after."""
    certificate: str = field(repr=False)
    """PEM of the one that signs."""
    above: str = field(repr=False)
    """PEM of the authorities above it, which leaves present besides themselves; empty for a root."""
    origin: Origin
    can_issue: bool
    lasts: timedelta
    created_at: datetime
    phase: Phase | None = None
    following: str | None = field(default=None, repr=False)
    """PEM of the one that will sign, while it is not yet trusted by all."""
    disabled: bool = False
    """It is trusted, and signs nothing until it is enabled again."""

    @property
    def own(self) -> x509.Certificate:
        return ca.loaded(self.certificate)[0]

    @classmethod
    def from_document(cls, arn: str, document: Mapping[str, Any]) -> Self:
        return cls(
            arn,
            document["name"],
            document["certificateChain"],
            document["certificate"],
            document["above"],
            document["origin"],
            document["canIssue"],
            timedelta(seconds=document["lifetimeSeconds"]),
            moment(document["createdAt"]),
            document["phase"],
            document["following"],
            document["disabled"],
        )

    def to_document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "certificateChain": self.trusted,
            "certificate": self.certificate,
            "above": self.above,
            "origin": self.origin,
            "canIssue": self.can_issue,
            "lifetimeSeconds": self.lasts.total_seconds(),
            "createdAt": iso(self.created_at),
            "phase": self.phase,
            "following": self.following,
            "disabled": self.disabled,
            **_of(self.own),
        }


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that is known by its ARN, without its private key."""

    arn: str
    chain: str = field(repr=False)
    """PEM: itself, then those that stand between it and its root."""
    authority: str | None
    """ARN of the authority that issued it; None for one that was imported."""
    root: str | None = field(repr=False)
    """PEM of what clients must trust; None if that is not known."""
    names: ca.Names
    origin: Origin
    lasts: timedelta
    created_at: datetime
    issuer_key: str | None = None
    """Names the authority's key that signed it."""
    renewed_at: datetime | None = None
    renewals: int = 0

    @property
    def own(self) -> x509.Certificate:
        return ca.loaded(self.chain)[0]

    @classmethod
    def from_document(cls, arn: str, document: Mapping[str, Any]) -> Self:
        renewed_at = document["renewedAt"]
        return cls(
            arn,
            document["certificateChain"],
            document["authorityArn"],
            document["rootChain"],
            ca.Names(tuple(document["hosts"]), tuple(document["uris"])),
            document["origin"],
            timedelta(seconds=document["lifetimeSeconds"]),
            moment(document["createdAt"]),
            document["issuerKeyId"],
            moment(renewed_at) if renewed_at else None,
            document["renewals"],
        )

    def to_document(self) -> dict[str, Any]:
        return {
            "certificateChain": self.chain,
            "authorityArn": self.authority,
            "rootChain": self.root,
            "hosts": list(self.names.hosts),
            "uris": list(self.names.uris),
            "origin": self.origin,
            "lifetimeSeconds": self.lasts.total_seconds(),
            "createdAt": iso(self.created_at),
            "issuerKeyId": self.issuer_key,
            "renewedAt": iso(self.renewed_at) if self.renewed_at else None,
            "renewals": self.renewals,
            **_of(self.own),
        }


def _of(certificate: x509.Certificate) -> dict[str, Any]:
    algorithm = ca.algorithm_of(certificate.public_key())
    return {
        "keyAlgorithm": algorithm.value if algorithm else None,
        KEY_ID: ca.key_id(certificate),
        "serial": ca.serial(certificate),
        "notBefore": iso(certificate.not_valid_before_utc),
        "notAfter": iso(certificate.not_valid_after_utc),
    }


def trusting(pems: Sequence[str]) -> str:
    """Several PEM texts as one, each certificate once."""
    return ca.pem(ca.without_repetitions(ca.loaded("".join(pems))))


def iso(at: datetime) -> str:
    """``2026-01-01T00:00:00Z``."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The inverse of ``iso``."""
    return datetime.fromisoformat(text)
