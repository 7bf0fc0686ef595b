"""
Streams that grow old: closed with status 0 after a time, and taken up again by their proxies.

App Mesh did so after half an hour, and proxies know it: they keep what they have and come
back at once. Until then they are still counted as connected, or every such close would
look like a proxy that is gone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from weft.clock import Clock
from weft.names import ProxyId
from weft.xds.cache import Feed
from weft.xds.delivery import Connection

GRACE_SECONDS = 15.0
"""AWS's image waits ten seconds before it connects again."""
_SPREAD = 0.1
"""Proxies that came together do not come back together."""

Key = tuple[ProxyId, str]


class Ageing:
    """When streams are to end, and whom we expect back."""

    def __init__(self, clock: Clock, age: timedelta | None) -> None:
        self._clock = clock
        self._age = age
        self._expected: dict[Key, tuple[Connection, asyncio.TimerHandle, Callable[[], None]]] = {}
        self._feeds: Counter[Feed] = Counter()

    def begin(self, end: Callable[[], None]) -> asyncio.TimerHandle | None:
        """Call ``end`` when a stream that begins now is old enough; None if it never is."""
        if self._age is None:
            return None
        # Between 0 and 1; the clock is where chance comes from.
        chance = int(self._clock.uid().replace("-", "")[-8:], 16) / 2**32
        seconds = self._age.total_seconds() * (1 - _SPREAD + 2 * _SPREAD * chance)
        return asyncio.get_running_loop().call_later(seconds, end)

    def expect(self, connection: Connection, gone: Callable[[], None]) -> None:
        """The proxy of a stream that was closed for its age; ``gone`` if it does not come back."""
        self.back(connection.key)
        timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self.back, connection.key)
        self._expected[connection.key] = connection, timer, gone
        self._feeds[connection.stream.feed] += 1

    def back(self, key: Key) -> None:
        """It has come back, or will not come any more: its old stream is over either way."""
        if (found := self._expected.pop(key, None)) is None:
            return
        connection, timer, gone = found
        timer.cancel()
        feed = connection.stream.feed
        self._feeds[feed] -= 1
        if not self._feeds[feed]:
            del self._feeds[feed]
        gone()

    def returning(self, proxy: ProxyId, prefix: str) -> str | None:
        """
        The instance that a proxy without a name of its own is taken for when it connects.

        Replicas of one proxy id are told the same, so it does not matter which of them it is.
        """
        found = (i for p, i in self._expected if p == proxy and i.startswith(prefix))
        return next(found, None)

    def awaits(self, feed: Feed) -> bool:
        """Whether a proxy that follows this feed is expected back."""
        return feed in self._feeds

    def close(self) -> None:
        """Expect nobody any more."""
        for key in list(self._expected):
            self.back(key)
