"""
Credentials: made once, shown once, kept so that nobody can read them out again.

One credential has two proofs: an access key with a secret, which signs as AWS's clients do,
and a bearer token. The token is kept as a hash. The secret has to be known to verify a
signature, so it is kept sealed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from weft.clock import Clock
from weft.errors import ExpiredToken, LimitExceeded, NotFound, Unavailable
from weft.identity.caller import Caller, Role
from weft.identity.sealing import Seal
from weft.names import KEY_PREFIX, ProxyId
from weft.store.credentials import CredentialRow, CredentialTable
from weft.store.store import Store

TOKEN_PREFIX = "weft_"  # noqa: S105 - what every token begins with
MOST = 10_000
"""Credentials that one control plane keeps."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new credential shall be; its members have been checked."""

    name: str
    account: str
    role: Role
    proxies: frozenset[ProxyId] = frozenset()
    lasts: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """One that stands."""

    id: str
    """The access key id."""
    name: str
    account: str
    role: Role
    proxies: frozenset[ProxyId]
    created_at: datetime
    created_by: str
    expires_at: datetime | None

    def caller(self, now: datetime) -> Caller:
        """Its holder; ExpiredToken once its time is over."""
        if self.expires_at is not None and now >= self.expires_at:
            raise ExpiredToken(
                f"The security token included in the request is expired: {self.name} was good "
                f"until {self.expires_at:%Y-%m-%dT%H:%M:%SZ}",
                fix="ask for a new one: weft token create",
            )
        return Caller(
            self.name,
            self.account,
            self.role,
            credential=self.id,
            proxies=self.proxies,
            known=True,
            expires_at=self.expires_at,
        )


@dataclass(frozen=True, slots=True)
class Issued:
    """A new credential with its proofs, which are never seen again."""

    credential: Credential
    secret: str = field(repr=False)
    token: str = field(repr=False)


def issue(wanted: Wanted, by: str, now: datetime, seal: Seal) -> tuple[Issued, CredentialRow]:
    """Make a credential: what its holder gets, and what is kept of it."""
    id = KEY_PREFIX + base64.b32encode(secrets.token_bytes(10)).decode("ascii")
    secret = base64.b64encode(secrets.token_bytes(30)).decode("ascii")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    # Kept in milliseconds; what is said now must be what is read back.
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    expires_at = None if wanted.lasts is None else now + wanted.lasts
    credential = Credential(
        id, wanted.name, wanted.account, wanted.role, wanted.proxies, now, by, expires_at
    )
    row = CredentialRow(
        id,
        wanted.name,
        wanted.account,
        wanted.role.value,
        tuple(sorted(map(str, wanted.proxies))),
        _hash(token),
        seal.seal(secret, id),
        now,
        by,
        expires_at,
    )
    return Issued(credential, secret, token), row


def credential_of(row: CredentialRow) -> Credential:
    return Credential(
        row.id,
        row.name,
        row.account,
        Role(row.role),
        frozenset(map(ProxyId.parse, row.proxies)),
        row.created_at,
        row.created_by,
        row.expires_at,
    )


def named(credentials: Iterable[Credential], name: str) -> Credential:
    """By its name or its access key id."""
    for each in credentials:
        if name in (each.name, each.id):
            return each
    raise NotFound(f"there is no credential {name[:128]!r}", fix="weft token list shows them")


def _hash(token: str) -> str:
    # The token has 256 bits of chance: nothing slower than this is needed to hide it.
    return hashlib.sha256(token.encode()).hexdigest()


class Credentials:
    """Every credential, in memory; what is made or revoked is on disk before it counts."""

    def __init__(self, store: Store | None = None, seal: Seal | None = None) -> None:
        self._store = store
        self._seal = seal
        self._by_id: dict[str, Credential] = {}
        self._secrets: dict[str, str] = {}
        self._by_hash: dict[str, str] = {}
        self._watchers: list[Callable[[Credential], None]] = []

    @classmethod
    async def open(cls, store: Store, directory: Path) -> Self:
        """Those of a data directory; CannotStart when their secrets cannot be read."""
        rows = await store.blocking(store.credentials.rows)
        sealed = bool(rows or await store.blocking(store.secrets.rows))
        seal = await store.blocking(lambda: Seal.of(directory, must_exist=sealed))
        found = cls(store, seal)
        for row in rows:
            found._add(credential_of(row), seal.open(row.secret, row.id), row.token_hash)
        return found

    @property
    def seal(self) -> Seal | None:
        """What opens every secret of the data directory; None without one."""
        return self._seal

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[Credential]:
        """By name."""
        return sorted(self._by_id.values(), key=lambda each: each.name)

    def of_key(self, access_key: str) -> tuple[Credential, str] | None:
        """A credential and its secret."""
        credential = self._by_id.get(access_key)
        return None if credential is None else (credential, self._secrets[access_key])

    def of_token(self, token: str) -> Credential | None:
        id = self._by_hash.get(_hash(token))
        return None if id is None else self._by_id[id]

    def stands(self, id: str) -> bool:
        return id in self._by_id

    def watch(self, revoked: Callable[[Credential], None]) -> None:
        """Be told of every credential that is revoked from now on."""
        self._watchers.append(revoked)

    async def create(self, wanted: Wanted, by: str, clock: Clock) -> Issued:
        """Make one; Conflict when the name is taken."""
        # A caller that goes away must not leave memory and disk disagreeing.
        return await asyncio.shield(self._create(wanted, by, clock))

    async def _create(self, wanted: Wanted, by: str, clock: Clock) -> Issued:
        store, seal = self._opened()
        if len(self) >= MOST:
            raise LimitExceeded(
                f"there are {MOST} credentials already, which is the limit",
                fix="revoke those that are not used: weft token list",
            )
        issued, row = issue(wanted, by, clock.now(), seal)
        await store.blocking(store.credentials.insert, row)
        self._add(issued.credential, issued.secret, row.token_hash)
        return issued

    async def revoke(self, name: str) -> Credential:
        """Take one back, by its name or its access key id; it is good for nothing from now on."""
        return await asyncio.shield(self._revoke(name))

    async def _revoke(self, name: str) -> Credential:
        store, _ = self._opened()
        credential = named(self.all(), name)
        await store.blocking(store.credentials.delete, credential.id)
        self._by_id.pop(credential.id, None)
        self._secrets.pop(credential.id, None)
        self._by_hash = {h: id for h, id in self._by_hash.items() if id != credential.id}
        for tell in self._watchers:
            tell(credential)
        return credential

    def _opened(self) -> tuple[Store, Seal]:
        if self._store is None or self._seal is None:
            raise Unavailable("this control plane keeps no credentials")
        return self._store, self._seal

    def _add(self, credential: Credential, secret: str, token_hash: str) -> None:
        self._by_id[credential.id] = credential
        self._secrets[credential.id] = secret
        self._by_hash[token_hash] = credential.id


def of_directory(table: CredentialTable) -> Mapping[str, Credential]:
    """Those of a data directory that no control plane uses, by access key id."""
    return {row.id: credential_of(row) for row in table.rows()}
