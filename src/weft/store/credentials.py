"""The table of credentials: beside the log, since a credential that is revoked must be gone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError

from weft.errors import Conflict
from weft.store.document import milliseconds, moment
from weft.store.schema import credentials


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """One credential as it is kept: nothing in it lets anybody in."""

    id: str
    name: str
    account: str
    role: str
    proxies: tuple[str, ...]
    token_hash: str
    secret: str
    """Sealed."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None


class CredentialTable:
    """Blocking; called from threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self) -> list[CredentialRow]:
        """All of them, by name."""
        with self._engine.connect() as connection:
            found = connection.execute(select(credentials).order_by(credentials.c.name))
            return [
                CredentialRow(
                    row.id,
                    row.name,
                    row.account,
                    row.role,
                    tuple(json.loads(row.proxies)),
                    row.token_hash,
                    row.secret,
                    moment(row.created_at),
                    row.created_by,
                    None if row.expires_at is None else moment(row.expires_at),
                )
                for row in found
            ]

    def insert(self, row: CredentialRow) -> None:
        """Keep one; durable when this returns. Conflict when the name is taken."""
        values = {
            "id": row.id,
            "name": row.name,
            "account": row.account,
            "role": row.role,
            "proxies": json.dumps(row.proxies),
            "token_hash": row.token_hash,
            "secret": row.secret,
            "created_at": milliseconds(row.created_at),
            "created_by": row.created_by[:255],
            "expires_at": None if row.expires_at is None else milliseconds(row.expires_at),
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(credentials.insert(), values)
        except IntegrityError as error:
            raise Conflict(
                f"there is a credential named {row.name} already",
                fix=f"choose another name, or revoke it: weft token revoke {row.name}",
            ) from error

    def delete(self, id: str) -> None:
        """Forget one; not there any more when this returns."""
        with self._engine.begin() as connection:
            connection.execute(credentials.delete().where(credentials.c.id == id))
