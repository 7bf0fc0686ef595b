"""Statements that are executed all the time, turned into SQL once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Insert


class Prepared:
    """
    A statement that every write executes, turned into SQL once.

    Building and looking up the same three statements took longer than executing them.
    """

    def __init__(self, statement: Insert, engine: Engine) -> None:
        compiled = statement.compile(dialect=engine.dialect)
        self._sql = str(compiled)
        self._names: list[str] | None = getattr(compiled, "positiontup", None)

    def __call__(self, connection: Connection, *rows: Mapping[str, Any]) -> int:
        """Execute it for these rows; how many rows of the table that touched."""
        if self._names is None:  # The driver takes names.
            result = connection.exec_driver_sql(self._sql, [dict(row) for row in rows])
        else:
            values = [tuple(row[name] for name in self._names) for row in rows]
            one_or_many = values if len(values) > 1 else values[0]
            result = connection.exec_driver_sql(self._sql, one_or_many)
        return result.rowcount
