"""Small values as JSON: times in ISO 8601, differences with their place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic.alias_generators import to_camel

from weft.store.change import Difference


def moment(at: datetime) -> str:
    """``2026-01-01T00:00:00.000Z``."""
    text = at.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def differences(found: Iterable[Difference]) -> list[dict[str, Any]]:
    return [{"path": each.path, "before": each.before, "after": each.after} for each in found]


def document(value: Any) -> Any:
    """A dataclass, whatever is in it, member by member and in camelCase."""
    if is_dataclass(value):
        return {to_camel(each.name): document(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [document(each) for each in value]
    assert value is None or isinstance(value, bool | int | float | str), "only plain values"
    return value
