"""How long to wait before a process is started again."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
"""A process that ran this long starts with a clean slate."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often a process has ended lately."""

    failures: int = 0

    def after(self, ran_seconds: float) -> Backoff:
        """One end more, of a process that had run for so long."""
        return Backoff(1 if ran_seconds >= HEALTHY_SECONDS else self.failures + 1)

    @property
    def delay_seconds(self) -> float:
        if self.failures == 0:
            return 0.0
        return min(FIRST_SECONDS * 2.0 ** min(self.failures - 1, 16), LONGEST_SECONDS)
