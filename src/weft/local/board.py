"""Where the parts of a runner tell each other that something has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Board:
    """Wait on conditions; whoever changes something pokes."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def poke(self) -> None:
        """Something has changed: everyone who waits looks again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, holds: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until a condition holds; False when it does not in time."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await self._changed.wait()
        except TimeoutError:
            return holds()
        return True
