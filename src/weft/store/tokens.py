"""
The memory of client tokens: a repeated request is answered as it was the first time.

A token is remembered in the transaction of its write, for a day, for one account,
operation and resource (decision 0017). The answer is not kept: it follows from what
the log has of the revision. Blocking; called from the database's threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from weft.names import Key
from weft.store.schema import tokens

LIFE = timedelta(hours=24)
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Token:
    """A client token, and the request it came with."""

    account: str
    operation: str
    key: Key
    token: str
    fingerprint: str
    """Of everything else in the request."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """An earlier request with the same token, of the same account to the same resource."""

    fingerprint: str
    revision: int


class TokenUsed(Exception):
    """The token came before: nothing was written."""


def remember(connection: Connection, token: Token, revision: int, at: int) -> None:
    """Remember a token with its write, and forget a few old ones; TokenUsed if it came before."""
    oldest = at - round(LIFE.total_seconds() * 1000)
    fresh = insert(tokens).values(
        resource=str(token.key),
        account=token.account,
        operation=token.operation,
        token=token.token,
        fingerprint=token.fingerprint,
        revision=revision,
        at=at,
    )
    written = connection.execute(
        fresh.on_conflict_do_update(
            index_elements=["resource", "account", "operation", "token"],
            set_={name: fresh.excluded[name] for name in ("fingerprint", "revision", "at")},
            where=tokens.c.at <= oldest,
        )
    )
    if written.rowcount == 0:
        raise TokenUsed
    # Every write removes more than it adds, so old ones never pile up and none takes long.
    old = select(tokens.c.id).where(tokens.c.at <= oldest).limit(_BATCH)
    connection.execute(tokens.delete().where(tokens.c.id.in_(old)))


def recall(connection: Connection, token: Token, at: int) -> Remembered | None:
    """The earlier request with this token, if it is not too long ago."""
    row = connection.execute(
        select(tokens.c.fingerprint, tokens.c.revision).where(
            tokens.c.resource == str(token.key),
            tokens.c.account == token.account,
            tokens.c.operation == token.operation,
            tokens.c.token == token.token,
            tokens.c.at > at - round(LIFE.total_seconds() * 1000),
        )
    ).first()
    return Remembered(row.fingerprint, row.revision) if row else None


def forget(connection: Connection, deleted: Iterable[str]) -> None:
    """Forget the tokens of what was deleted: whatever takes its name is another resource."""
    ids = list(deleted)
    for i in range(0, len(ids), _BATCH):
        batch = ids[i : i + _BATCH]
        connection.execute(tokens.delete().where(tokens.c.resource.in_(batch)))
