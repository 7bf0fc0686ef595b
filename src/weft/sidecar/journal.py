"""What the sidecar and its Envoy say on standard error, and the words worth remembering."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from typing import Any

_HEADER = re.compile(r"^\[[^\]]*\]\[([^\]]*)\]\[[^\]]*\] ")

_RECONNECT = "gRPC config stream to weft_xds closed"


class Journal:
    """One line at a time, from any thread: each is a single write."""

    def __init__(self, *, hide_reconnects: bool = False) -> None:
        self._hide_reconnects = hide_reconnects
        self._rejected: deque[dict[str, Any]] = deque(maxlen=10)
        self._last_words = ""

    def say(self, text: str, *, level: str = "info") -> None:
        """A line of our own, in the form of Envoy's."""
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        _write(f"[{stamp}.{int(now * 1000) % 1000:03d}][{level}][sidecar] {text}")

    def envoy_line(self, line: str) -> None:
        """A line of Envoy's: passed on, and remembered if it tells why something was refused."""
        header = _HEADER.match(line)
        words = line[header.end() :] if header else line
        # Twice a second while the control plane is away; we say it once in our own words.
        if not (self._hide_reconnects and _RECONNECT in words):
            _write(f"envoy: {line}")
        if "rejected" in words:
            self._rejected.append({"at": round(time.time(), 3), "words": words})
        if header and header[1] in ("critical", "error"):
            self._last_words = words
        elif not header and words.startswith(": "):
            # A message that holds a whole configuration says what is wrong on a line of its end.
            self._last_words = words[2:]

    def rejected(self) -> tuple[dict[str, Any], ...]:
        """The latest refusals in Envoy's own words, oldest first."""
        return tuple(self._rejected)

    def last_words(self) -> str:
        """The last serious thing Envoy said; asking forgets it."""
        words, self._last_words = self._last_words, ""
        return words


def _write(line: str) -> None:
    try:
        os.write(2, f"{line}\n".encode())
    except OSError:
        return  # Whoever read our standard error is gone; the proxy goes on.
