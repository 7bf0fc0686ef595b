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
credentials = Table(
    "credentials",
    metadata,
    Column("id", String(128), primary_key=True, doc="The access key id."),
    Column("name", String(64), nullable=False, unique=True),
    Column("account", String(12), nullable=False),
    Column("role", String(16), nullable=False),
    Column("proxies", Text, nullable=False, doc="JSON list of proxy ids."),
    Column("token_hash", String(64), nullable=False, unique=True, doc="SHA-256 of the token."),
    Column("secret", Text, nullable=False, doc="Sealed with the key file of the data directory."),
    Column("created_at", BigInteger, nullable=False, doc="Milliseconds since 1970, UTC."),
    Column("created_by", String(255), nullable=False),
    Column("expires_at", BigInteger, doc="Null: never."),
)
"""Beside the log, since a credential that is revoked must be gone."""

secrets = Table(
    "secrets",
    metadata,
    Column("id", Text, primary_key=True, doc="Of the document it belongs to, as in the log."),
    Column("sealed", Text, nullable=False, doc="With the key file of the data directory."),
)
"""Beside the log, since a private key that was replaced must be gone."""
