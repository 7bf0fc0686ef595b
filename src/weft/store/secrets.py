"""The table of secrets: beside the log, since a private key that was replaced must be gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.dialects.sqlite import insert

from weft.store.document import UNLOGGED, Record, kept_of
from weft.store.schema import secrets


class SecretTable:
    """Sealed texts by the id of their document. Blocking; called from threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self) -> Mapping[str, str]:
        with self._engine.connect() as connection:
            return {row.id: row.sealed for row in connection.execute(select(secrets))}

    def keep(self, connection: Connection, records: Iterable[Record]) -> None:
        """Follow records of documents that may have a secret, in the transaction that logs them."""
        newest = {each.id: each for each in records if _may_have_one(each.id)}
        fresh = {id: each.sealed for id, each in newest.items() if each.sealed is not None}
        gone = [id for id, each in newest.items() if each.document is None]
        if not fresh and not gone:
            return
        # What is replaced shall not be found in a free page of the file.
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
        for id in gone:
            connection.execute(secrets.delete().where(secrets.c.id == id))
        upsert = insert(secrets)
        upsert = upsert.on_conflict_do_update(
            index_elements=["id"], set_={"sealed": upsert.excluded.sealed}
        )
        for id, sealed in fresh.items():
            connection.execute(upsert, {"id": id, "sealed": sealed})
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")

    def forget_all(self) -> int:
        """Forget every secret; how many there were."""
        with self._engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
            gone = connection.scalar(select(func.count()).select_from(secrets)) or 0
            connection.execute(secrets.delete())
            connection.exec_driver_sql("PRAGMA secure_delete=OFF")
            return gone


def _may_have_one(id: str) -> bool:
    kept = kept_of(id)
    return kept is not None and kept[0] in UNLOGGED
