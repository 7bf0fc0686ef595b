"""
The tables: an append-only log of revisions, and the newest document of each thing.

``log`` alone holds the whole history; ``current`` is what reading it to the end
gives, kept so that a start costs the size of the mesh and not of its past.
``tokens`` are the client tokens of a day: no part of the mesh, and not in the log.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

revisions = Table(
    "revisions",
    metadata,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False, doc="Milliseconds since 1970, UTC."),
    Column("author", String(255), nullable=False),
    Column("client", String(1024), nullable=False),
    Column("note", Text, nullable=False),
    Column("registry_only", Boolean, nullable=False),
)

log = Table(
    "log",
    metadata,
    Column("revision", Integer, ForeignKey("revisions.revision"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("action", String(16), nullable=False),
    Column("document", Text, doc="JSON; null when the thing is gone."),
    Index("log_by_id", "id", "revision", "sequence"),
)

current = Table(
    "current",
    metadata,
    Column("id", Text, primary_key=True),
    Column("document", Text, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("resource", Text, nullable=False),
    Column("account", String(12), nullable=False),
    Column("operation", String(64), nullable=False),
    Column("token", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("revision", Integer, nullable=False, doc="Whose outcome is the answer."),
    Column("at", BigInteger, nullable=False, doc="Milliseconds since 1970, UTC."),
    UniqueConstraint("resource", "account", "operation", "token", name="tokens_by_scope"),
    Index("tokens_by_age", "at"),
)
