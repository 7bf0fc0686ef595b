"""
Writes to the terminal or pipe without ever waiting for it.

A runner whose output is stopped (Ctrl-S, a pager that waits) has to go on renewing
leases, or the mesh would empty itself. What cannot be written now is kept, up to a
limit, and written later; what is over the limit is counted and said.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

MAX_KEPT_BYTES = 4 * 1024 * 1024
_RETRY_SECONDS = 0.05
# When poll says that it can be written to, a pipe takes this much without blocking
# (PIPE_BUF is at least 512 everywhere), a terminal half of it.
_CHUNK = 512
_TERMINAL_CHUNK = 256


class Outlet:
    """A text stream that does not block; ``on_broken`` is called once when its reader has gone."""

    def __init__(self, out: TextIO, on_broken: Callable[[], None]) -> None:
        self._out = out
        self._on_broken = on_broken
        self._broken = False
        self._encoding = getattr(out, "encoding", None) or "utf-8"
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._left_out = 0
        self._retrying = False
        try:
            self._descriptor: int | None = out.fileno()
        except (OSError, ValueError):
            self._descriptor = None
        self._chunk = _TERMINAL_CHUNK if out.isatty() else _CHUNK

    def line(self, text: str) -> None:
        """Write a line, now or later; a letter that cannot be shown there becomes another."""
        encoded = (text + "\n").encode(self._encoding, "replace")
        if self._descriptor is None:
            self._write_plainly(encoded)
            return
        if self._broken:
            return
        if self._kept_bytes + len(encoded) > MAX_KEPT_BYTES:
            self._left_out += 1
            return
        self._keep(encoded)
        self._pump()

    def flush(self, seconds: float) -> None:
        """Write what is left, but do not wait long for a reader who does not read."""
        while self._kept and not self._broken and self._is_writable(seconds):
            self._write_some()

    def _keep(self, encoded: bytes) -> None:
        self._kept.append(encoded)
        self._kept_bytes += len(encoded)

    def _pump(self) -> None:
        while self._kept and not self._broken and self._is_writable(0):
            self._write_some()
        if self._kept and not self._retrying and not self._broken:
            with suppress(RuntimeError):  # Outside a loop, flush is what writes it.
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._retry)
                self._retrying = True

    def _retry(self) -> None:
        self._retrying = False
        self._pump()
        if self._left_out and not self._kept:
            count, self._left_out = self._left_out, 0
            self.line(f"({count} lines are left out here: nobody read them)")

    def _write_some(self) -> None:
        assert self._descriptor is not None
        first = self._kept.popleft()
        try:
            written = os.write(self._descriptor, first[: self._chunk])
        except BlockingIOError:
            written = 0
        except OSError:
            self._break()
            return
        self._kept_bytes -= written
        if written < len(first):
            self._kept.appendleft(first[written:])

    def _is_writable(self, seconds: float) -> bool:
        poll = select.poll()
        assert self._descriptor is not None
        # A reader that has gone counts too: writing then says so.
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))

    def _write_plainly(self, encoded: bytes) -> None:
        if self._broken:
            return
        try:
            self._out.write(encoded.decode(self._encoding))
            self._out.flush()
        except OSError:
            self._break()

    def _break(self) -> None:
        self._broken = True
        self._kept.clear()
        self._on_broken()
