"""The log of revisions and the newest documents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "revisions",
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("author", sa.String(255), nullable=False),
        sa.Column("client", sa.String(1024), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("registry_only", sa.Boolean, nullable=False),
    )
    op.create_table(
        "log",
        sa.Column("revision", sa.Integer, sa.ForeignKey("revisions.revision"), primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("document", sa.Text),
    )
    op.create_index("log_by_id", "log", ["id", "revision", "sequence"])
    op.create_table(
        "current",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )
