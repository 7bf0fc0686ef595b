"""How long we have been listening: time in which this process could not read is not counted."""

from __future__ import annotations

from weft.clock import Clock

STEP_SECONDS = 0.25
"""What counts at most between two looks at the clock."""


class Attention:
    """
    Seconds spent listening, for judging how long a proxy has not answered.

    A process that was busy or stopped has not heard the answers that lie in its
    sockets; by the wall it would take every proxy for silent and stop waiting for
    clusters to warm.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looked = clock.monotonic()
        self._counted_seconds = 0.0

    def now(self) -> float:
        """Seconds listened so far; stands still when nobody calls ``look`` for a while."""
        since = self._clock.monotonic() - self._looked
        return self._counted_seconds + min(since, STEP_SECONDS)

    def look(self) -> None:
        """Say that the event loop turns; to be called at least once in every step."""
        self._counted_seconds = self.now()
        self._looked = self._clock.monotonic()
