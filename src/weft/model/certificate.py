"""
Certificates and authorities that are known by ARN, as the store keeps them.

They stand in for AWS Certificate Manager (ACM) and its private authorities. Whoever
issues them writes documents; whoever needs one for a proxy reads it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

CERTIFICATES = "certificates"
"""The collection of certificates, by their ARN."""
AUTHORITIES = "authorities"
"""The collection of certificate authorities, by their ARN."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A PEM key that never prints itself."""

    pem: str = field(repr=False)

    def __repr__(self) -> str:
        return "PrivateKey(<redacted>)"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the holder of an ARN may present, and what its clients need in order to trust it."""

    chain: str
    """PEM: the certificate itself, then its intermediates."""
    private_key: PrivateKey
    authority: str | None = None
    """ARN of the authority that issued it; None for one that was imported."""
    root_chain: str | None = None
    """PEM of what clients must trust; None if that is not known."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None) -> Self | None:
        """As it is kept; None for nothing, and for what lacks a chain or a key."""
        chain, key = _text(document, "certificateChain"), _text(document, "privateKey")
        if chain is None or key is None:
            return None
        authority, root = _text(document, "authorityArn"), _text(document, "rootChain")
        return cls(chain, PrivateKey(key), authority, root)

    def to_document(self) -> dict[str, Any]:
        """The inverse; whoever keeps it may add members of its own."""
        return {
            "certificateChain": self.chain,
            "privateKey": self.private_key.pem,
            "authorityArn": self.authority,
            "rootChain": self.root_chain,
        }


@dataclass(frozen=True, slots=True)
class Authority:
    """What whoever trusts an authority needs of it."""

    chain: str
    """PEM of its own certificate, or of the several it is trusted by."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None) -> Self | None:
        """As it is kept; None for nothing, and for what lacks a chain."""
        chain = _text(document, "certificateChain")
        return None if chain is None else cls(chain)

    def to_document(self) -> dict[str, Any]:
        return {"certificateChain": self.chain}


def _text(document: Mapping[str, Any] | None, member: str) -> str | None:
    found = document.get(member) if document else None
    return found if isinstance(found, str) and found else None
