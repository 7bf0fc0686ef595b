"""The only door through which time, and ids made by chance, come in."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where the present comes from."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def uid(self) -> str:
        """A fresh UUID-shaped identifier."""
        ...


class SystemClock:
    """The machine's own clock and its own chance."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def uid(self) -> str:
        return str(uuid.uuid4())


@dataclass(slots=True)
class ManualClock:
    """A clock that a test moves by hand; its ids count upwards."""

    at: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    elapsed_seconds: float = 0.0
    made: int = 0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.elapsed_seconds

    def uid(self) -> str:
        self.made += 1
        return str(uuid.UUID(int=self.made))

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.at += by
        self.elapsed_seconds += by.total_seconds()
