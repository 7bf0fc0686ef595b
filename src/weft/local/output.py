"""The one log stream: every line of every process, whole, with its name before it and a colour each."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO

from weft.clock import Clock
from weft.local.outlet import Outlet
from weft.settings import wants_color

_PALETTE = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
"""ANSI colours; red stays free for what is wrong."""
_DIM, _RESET = "\x1b[2m", "\x1b[0m"
OWN = "weft"
_MAX_FOLDED = 1000


@dataclass(slots=True)
class _Folded:
    """A line that is not shown again for a while."""

    shown_at: float
    left_out: int = 0


class LogStream:
    """Writes whole lines, so that those of two processes never mix."""

    def __init__(
        self,
        out: TextIO | None = None,
        *,
        clock: Clock,
        color: str = "auto",
        as_json: bool = False,
        environment: Mapping[str, str] = os.environ,
        on_broken: Callable[[], None] = lambda: None,
        fold_seconds: float = 0.0,
    ) -> None:
        """
        ``on_broken`` is called once, when whoever read our output has gone.

        On a terminal, a line that a process repeats within ``fold_seconds`` is
        counted and not shown again.
        """
        self._out = out or sys.stdout
        self._clock = clock
        self._colors = wants_color(color, environment, terminal=self._out.isatty())
        self._as_json = as_json
        self._width = len(OWN)
        self._color_of: dict[str, int] = {}
        self._fold_seconds = fold_seconds if self._out.isatty() and not as_json else 0.0
        self._folded: dict[tuple[str, str, str], _Folded] = {}
        self._outlet = Outlet(self._out, on_broken)
        encoding = (getattr(self._out, "encoding", None) or "ascii").lower().replace("-", "")
        self.tick = "✓" if encoding.startswith("utf") else "+"

    def expect(self, names: Iterable[str]) -> None:
        """Names that will be written: they share one width and each gets a colour."""
        for name in names:
            self._width = max(self._width, len(name))
            self._color(name)

    def line(self, name: str, text: str, *, of: str = "") -> None:
        """A line of a process; ``of`` names the process beside a workload's own."""
        if self._as_json:
            self._json(name, text, of)
            return
        if self._fold_seconds and of != OWN:
            folded = self._fold((name, of, text))
            if folded is None:
                return
            text += folded
        margin = f"{name:<{self._width}} | "
        if self._colors:
            margin = f"\x1b[{self._color(name)}m{margin}{_RESET}"
            self._write(margin + (f"{_DIM}{of}: {_RESET}{text}{_RESET}" if of else text + _RESET))
        else:
            self._write(margin + (f"{of}: {text}" if of else text))

    def note(self, name: str, text: str) -> None:
        """What the runner itself has to say about a workload."""
        self.line(name, text, of=OWN)

    def say(self, text: str = "") -> None:
        """What the runner has to say to its operator."""
        if self._as_json:
            if text.strip():
                self._json(OWN, text.strip(), "")
        else:
            self._write(text)

    def done(self, text: str) -> None:
        """A step that has been taken."""
        self.say(f"  {self.tick} {text}")

    def _fold(self, line: tuple[str, str, str]) -> str | None:
        """What to add to a line: how often it was left out; None when it is left out now."""
        now = self._clock.monotonic()
        seen = self._folded.get(line)
        if seen is not None and now - seen.shown_at < self._fold_seconds:
            seen.left_out += 1
            return None
        if len(self._folded) >= _MAX_FOLDED:
            self._folded.clear()
        self._folded[line] = _Folded(now)
        return f"   (and {seen.left_out} times before)" if seen and seen.left_out else ""

    def _color(self, name: str) -> int:
        return self._color_of.setdefault(name, _PALETTE[len(self._color_of) % len(_PALETTE)])

    def _json(self, name: str, text: str, of: str) -> None:
        entry = {"at": self._clock.now().isoformat(), "name": name, "line": text}
        self._write(json.dumps(entry | ({"of": of} if of else {}), ensure_ascii=False))

    def _write(self, text: str) -> None:
        self._outlet.line(text)

    def close(self) -> None:
        self._outlet.flush(1.0)
