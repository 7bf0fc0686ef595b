"""Small values as JSON: times in ISO 8601, differences with their place."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from weft.store.change import Difference


def moment(at: datetime) -> str:
    """``2026-01-01T00:00:00.000Z``."""
    text = at.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def differences(found: Iterable[Difference]) -> list[dict[str, Any]]:
    return [{"path": each.path, "before": each.before, "after": each.after} for each in found]
