"""The database under the store: open, migrate, append, read back. Blocking; called from threads."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from weft.errors import CannotStart
from weft.store import schema
from weft.store.change import Action, Author
from weft.store.credentials import CredentialTable
from weft.store.document import Document, Record, milliseconds, moment
from weft.store.prepared import Prepared
from weft.store.secrets import SecretTable
from weft.store.tokens import Token, TokenTable

_BATCH = 500
"""Rows written with one statement; SQLite limits the variables of a statement."""


@dataclass(frozen=True, slots=True)
class Row:
    """A revision as it is written, without what it did."""

    revision: int
    at: datetime
    author: Author
    note: str
    registry_only: bool


@dataclass(frozen=True, slots=True)
class Logged:
    """One line of the log."""

    revision: int
    id: str
    action: str
    document: Document | None


class Database:
    """SQLite in a data directory (WAL, synchronous=FULL), held by one process at a time."""

    def __init__(self, directory: Path) -> None:
        self._lock = _lock(directory)
        self.path = directory / "weft.db"
        try:
            self._engine = _engine(self.path)
            with self._engine.begin() as connection:
                _migrate(connection)
            upsert = insert(schema.current)
            self._keep_newest = Prepared(
                upsert.on_conflict_do_update(
                    index_elements=["id"], set_={"document": upsert.excluded.document}
                ),
                self._engine,
            )
            self._add_revision = Prepared(schema.revisions.insert(), self._engine)
            self._add_lines = Prepared(schema.log.insert(), self._engine)
        except DatabaseError as error:
            self._lock.close()
            raise CannotStart(
                f"{self.path} cannot be used: {error.orig or error}",
                fix="restore it from a backup, or start with another --data directory",
            ) from error

        self.credentials = CredentialTable(self._engine)
        self.tokens = TokenTable(self._engine)
        self.secrets = SecretTable(self._engine)

    def close(self) -> None:
        self._engine.dispose()
        self._lock.close()

    def append(self, row: Row, records: Sequence[Record], token: Token | None = None) -> None:
        """Write one revision; durable when this returns. TokenUsed, and nothing written, if it was."""
        texts = [
            None if each.document is None else json.dumps(each.document, separators=(",", ":"))
            for each in records
        ]
        newest = dict(zip((record.id for record in records), texts, strict=True))
        kept = [{"id": id, "document": text} for id, text in newest.items() if text is not None]
        gone = [id for id, text in newest.items() if text is None]
        with self._engine.begin() as connection:
            if token is not None:
                self.tokens.remember(connection, token, row.revision, row.at)
            self._add_revision(
                connection,
                {
                    "revision": row.revision,
                    "at": milliseconds(row.at),
                    "author": row.author.name[:255],
                    "client": row.author.client[:1024],
                    "note": row.note,
                    "registry_only": row.registry_only,
                },
            )
            self._add_lines(
                connection,
                *(
                    {
                        "revision": row.revision,
                        "sequence": i,
                        "id": record.id,
                        "action": record.action.value,
                        "document": text,
                    }
                    for i, (record, text) in enumerate(zip(records, texts, strict=True))
                ),
            )
            self.secrets.keep(connection, records)
            if kept:
                self._keep_newest(connection, *kept)
            for i in range(0, len(gone), _BATCH):
                connection.execute(
                    schema.current.delete().where(schema.current.c.id.in_(gone[i : i + _BATCH]))
                )
            self.tokens.forget(
                connection, (each.id for each in records if each.action is Action.DELETED)
            )

    def newest_revision(self) -> int:
        with self._engine.connect() as connection:
            return connection.scalar(select(func.max(schema.revisions.c.revision))) or 0

    def current(self) -> Iterator[tuple[str, Document]]:
        """Every thing and its newest document."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(schema.current.c.id, schema.current.c.document))
            for id, text in rows:
                yield id, json.loads(text)

    def at(self, revision: int) -> Iterator[tuple[str, Document]]:
        """Every thing that stood at a revision and its document then."""
        log = schema.log
        last = (
            select(
                log.c.id,
                log.c.document,
                func.row_number()
                .over(
                    partition_by=log.c.id, order_by=(log.c.revision.desc(), log.c.sequence.desc())
                )
                .label("age"),
            )
            .where(log.c.revision <= revision)
            .subquery()
        )
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(last.c.id, last.c.document).where(
                    last.c.age == 1, last.c.document.is_not(None)
                )
            )
            for id, text in rows:
                yield id, json.loads(text)

    def revisions(
        self, *, limit: int, before: int | None = None, registry: bool = False
    ) -> list[Row]:
        """Newest first."""
        table = schema.revisions
        query = select(table).order_by(table.c.revision.desc()).limit(limit)
        if before is not None:
            query = query.where(table.c.revision < before)
        if not registry:
            query = query.where(table.c.registry_only.is_(False))
        with self._engine.connect() as connection:
            return [_row(row) for row in connection.execute(query)]

    def revision(self, revision: int) -> Row | None:
        table = schema.revisions
        with self._engine.connect() as connection:
            row = connection.execute(select(table).where(table.c.revision == revision)).first()
            return _row(row) if row else None

    def logged(self, revision: int) -> list[Logged]:
        """What one revision did, in order."""
        log = schema.log
        query = select(log).where(log.c.revision == revision).order_by(log.c.sequence)
        with self._engine.connect() as connection:
            return [_logged(row) for row in connection.execute(query)]

    def before(self, id: str, revision: int) -> Logged | None:
        """The last line about a thing older than a revision."""
        log = schema.log
        query = (
            select(log)
            .where(log.c.id == id, log.c.revision < revision)
            .order_by(log.c.revision.desc(), log.c.sequence.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
            return _logged(row) if row else None

    def last(self, id: str) -> Logged | None:
        """The newest line about a thing."""
        return self.before(id, 2**31 - 1)


def _row(row: Any) -> Row:
    author = Author(row.author, row.client)
    return Row(row.revision, moment(row.at), author, row.note, row.registry_only)


def _logged(row: Any) -> Logged:
    document = None if row.document is None else json.loads(row.document)
    return Logged(row.revision, row.id, row.action, document)


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"check_same_thread": False, "timeout": 30},
        poolclass=QueuePool,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # The driver would begin transactions by its own rules; we say BEGIN ourselves.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _lock(directory: Path) -> IO[str]:
    """Hold the directory; the kernel lets go of it when the process ends, however it ends."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (directory / "weft.lock").open("a+")
    except OSError as error:
        raise CannotStart(
            f"the data directory {directory} cannot be written: {error.strerror}",
            fix="give a directory that can, with --data",
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise CannotStart(
            f"the data directory {directory} is in use by process {holder}",
            fix="stop that one first, or give another directory with --data",
        ) from error
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


@contextmanager
def opened(directory: Path) -> Iterator[Database]:
    database = Database(directory)
    try:
        yield database
    finally:
        database.close()
