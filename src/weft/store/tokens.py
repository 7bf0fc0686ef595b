"""
The memory of client tokens: a repeated request is answered as it was the first time.

A token is remembered in the transaction of its write, for a day, for one account,
operation and resource (decision 0022). The answer is not kept: it follows from what
the log has of the revision. Blocking; called from the database's threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, bindparam, select
from sqlalchemy.dialects.sqlite import insert

from weft.names import Key
from weft.store.document import milliseconds
from weft.store.prepared import Prepared
from weft.store.schema import tokens

LIFE = timedelta(hours=24)
_BATCH = 500
_PURGED_EVERY = 64
"""Revisions from one look at the old ones to the next."""


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


class TokenTable:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        fresh = insert(tokens)
        self._add = Prepared(
            fresh.on_conflict_do_update(
                index_elements=["resource", "account", "operation", "token"],
                set_={name: fresh.excluded[name] for name in ("fingerprint", "revision", "at")},
                where=tokens.c.at <= bindparam("oldest"),
            ),
            engine,
        )

    def remember(self, connection: Connection, token: Token, revision: int, at: datetime) -> None:
        """Remember a token with its write; TokenUsed if it came before and not too long ago."""
        row = {
            "id": None,
            "resource": str(token.key),
            "account": token.account,
            "operation": token.operation,
            "token": token.token,
            "fingerprint": token.fingerprint,
            "revision": revision,
            "at": milliseconds(at),
            "oldest": milliseconds(at - LIFE),
        }
        if self._add(connection, row) == 0:
            raise TokenUsed
        if revision % _PURGED_EVERY == 0:
            # More than came since the last time, so old ones never pile up and none takes long.
            old = select(tokens.c.id).where(tokens.c.at <= row["oldest"]).limit(_BATCH)
            connection.execute(tokens.delete().where(tokens.c.id.in_(old)))

    def recall(self, token: Token, at: datetime) -> Remembered | None:
        """The earlier request with this token, if it is not too long ago."""
        query = select(tokens.c.fingerprint, tokens.c.revision).where(
            tokens.c.resource == str(token.key),
            tokens.c.account == token.account,
            tokens.c.operation == token.operation,
            tokens.c.token == token.token,
            tokens.c.at > milliseconds(at - LIFE),
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
            return Remembered(row.fingerprint, row.revision) if row else None

    def forget(self, connection: Connection, deleted: Iterable[str]) -> None:
        """Forget the tokens of what was deleted: whatever takes its name is another resource."""
        ids = list(deleted)
        for i in range(0, len(ids), _BATCH):
            batch = ids[i : i + _BATCH]
            connection.execute(tokens.delete().where(tokens.c.resource.in_(batch)))
