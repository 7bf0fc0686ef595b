"""Credentials as they are told: in lists without a proof, and once with both."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from weft.identity.credentials import Credential, Issued


def told(credential: Credential, now: datetime) -> Mapping[str, Any]:
    """What everybody who may list credentials may see."""
    expires_at = credential.expires_at
    return {
        "accessKeyId": credential.id,
        "name": credential.name,
        "account": credential.account,
        "role": credential.role.value,
        "proxies": sorted(map(str, credential.proxies)),
        "createdAt": _iso(credential.created_at),
        "createdBy": credential.created_by,
        "expiresAt": None if expires_at is None else _iso(expires_at),
        "expired": expires_at is not None and now >= expires_at,
    }


def told_once(issued: Issued, now: datetime) -> Mapping[str, Any]:
    """With the proofs, for whoever asked for the credential."""
    return {
        **told(issued.credential, now),
        "secretAccessKey": issued.secret,
        "token": issued.token,
    }


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
