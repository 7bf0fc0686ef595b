"""Light traffic for a demo: one request after the other, and a word when they begin to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from weft.clock import Clock
from weft.local import http
from weft.settings import Address

_FAILURES_SAID_AFTER = 3


class Traffic:
    def __init__(
        self,
        address: Address,
        path: str,
        *,
        per_second: float,
        note: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self.succeeded = 0
        self.failed = 0
        self._address = address
        self._path = path
        self._pause_seconds = 1 / per_second
        self._note = note
        self._clock = clock
        self._in_a_row = 0

    async def run(self) -> None:
        """Until cancelled."""
        due = self._clock.monotonic()
        while True:
            self._count(await self._failure())
            # Requests that were slow are not made up for.
            due = max(due + self._pause_seconds, self._clock.monotonic() - self._pause_seconds)
            await asyncio.sleep(max(0.0, due - self._clock.monotonic()))

    async def _failure(self) -> str:
        """Why one request failed; empty when it did not."""
        try:
            answer = await http.request(
                self._address,
                "GET",
                self._path,
                headers={"user-agent": "weft demo"},
                seconds=5,
            )
        except TimeoutError:
            return "no answer in 5 s"
        except OSError as error:
            return error.strerror or str(error)
        return "" if answer.status == 200 else f"status {answer.status}"

    def _count(self, failure: str) -> None:
        if failure:
            self.failed += 1
            self._in_a_row += 1
            if self._in_a_row == _FAILURES_SAID_AFTER:
                self._note(f"requests to {self._path} fail: {failure}")
            return
        self.succeeded += 1
        if self._in_a_row >= _FAILURES_SAID_AFTER:
            self._note(f"requests to {self._path} succeed again, after {self._in_a_row} failures")
        self._in_a_row = 0
