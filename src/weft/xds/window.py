"""
How many streams are served at the same time when one change concerns many.

The first go at once; the next goes when one has answered. That keeps the buffers of
a wave small, and the answers of the first are read while the last are still written
(performance.md, section 4: 64 at a time is about twice as fast as all at once). No one
waits for a proxy that does not answer: after a short while the rest moves on.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Protocol

SIZE = 64
_STALL_SECONDS = 0.02


class Follower(Protocol):
    """A stream that has something to say to its proxy."""

    def wake(self) -> None: ...


class Window:
    """Wakes streams, so many at a time."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._out: set[Follower] = set()
        # An ordered set: a stream that is published to twice keeps its place.
        self._waiting: dict[Follower, None] = {}
        self._stalled: asyncio.TimerHandle | None = None
        self._collecting = True

    def push(self, follower: Follower) -> None:
        """Wake this stream, now or when there is room."""
        if len(self._out) < self._size or follower in self._out:
            self._out.add(follower)
            follower.wake()
            return
        self._waiting[follower] = None
        if self._stalled is None:
            self._begin_wave()

    def done(self, follower: Follower) -> None:
        """A stream has said all, or its proxy answered, or it ended: the next may go."""
        self._waiting.pop(follower, None)
        if follower in self._out:
            self._out.remove(follower)
            self._refill()

    def close(self) -> None:
        """Forget all; used when the server stops."""
        self._out.clear()
        self._waiting.clear()
        self._end_wave()

    def _refill(self) -> None:
        while self._waiting and len(self._out) < self._size:
            follower = next(iter(self._waiting))
            del self._waiting[follower]
            self._out.add(follower)
            follower.wake()
        if not self._waiting:
            self._end_wave()

    def _begin_wave(self) -> None:
        self._stalled = asyncio.get_running_loop().call_later(_STALL_SECONDS, self._move_on)
        # A wave makes many short-lived objects and no cycles; collections in the
        # middle of it cost as much as the wave itself.
        self._collecting = gc.isenabled()
        gc.disable()

    def _end_wave(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
            if self._collecting:
                gc.enable()

    def _move_on(self) -> None:
        self._stalled = asyncio.get_running_loop().call_later(_STALL_SECONDS, self._move_on)
        self._out.clear()
        self._refill()
