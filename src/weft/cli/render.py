"""What a terminal shows: colours, glyphs and aligned tables; plain text where there is no terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

from weft.settings import wants_color

GAP = "  "


class Role(StrEnum):
    """What a piece of text is; a colour never says it alone."""

    PLAIN = ""
    OK = "32"
    WARN = "33"
    BAD = "31"
    DIM = "2"
    STRONG = "1"


class Glyph(StrEnum):
    """A sign and, after the bar, its spelling where the terminal has only ASCII."""

    OK = "✓|ok"
    BAD = "✗|x"
    PENDING = "…|.."
    ADDED = "+|+"
    CHANGED = "~|~"
    REMOVED = "-|-"
    SAME = "=|="
    NOTE = "!|!"
    WARNING = "‼|!!"
    INFO = "·|."
    ARROW = "→|->"
    PLUS_MINUS = "±|+/-"
    CUT = "…|..."
    FULL = "▇|#"
    EMPTY = "░|."


class Paint:
    """What one stream can show."""

    def __init__(
        self, stream: TextIO, choice: str = "auto", environment: Mapping[str, str] = os.environ
    ) -> None:
        self.terminal = stream.isatty()
        self.colour = wants_color(choice, environment, terminal=self.terminal)
        self.unicode = _can_encode(stream)
        self.width = _width(environment, terminal=self.terminal)

    def text(self, text: str, role: Role = Role.PLAIN) -> str:
        return f"\x1b[{role}m{text}\x1b[0m" if self.colour and role and text else text

    def glyph(self, glyph: Glyph) -> str:
        fine, _, plain = glyph.partition("|")
        return fine if self.unicode else plain


def _width(environment: Mapping[str, str], *, terminal: bool) -> int | None:
    """Columns of the terminal; None where nothing limits a line."""
    columns = environment.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(1).columns or None if terminal else None
    except OSError:
        return None


def _can_encode(stream: TextIO) -> bool:
    try:
        "✓✗…→±▇░‼·".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``free`` text is cut when the terminal is too narrow, an identifier never is."""

    title: str
    right: bool = False
    free: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A text and its role; several ``lines`` stand beside each other where they fit."""

    lines: tuple[str, ...]
    role: Role = Role.PLAIN

    @classmethod
    def of(cls, value: Any) -> Cell:
        if isinstance(value, Cell):
            return value
        return cls(("" if value is None else str(value),))


def cell(text: str, role: Role) -> Cell:
    return Cell((text,), role)


@dataclass(slots=True)
class Table:
    """Rows under titles; ``lines`` aligns them."""

    columns: Sequence[Column]
    rows: list[Sequence[Any]] = field(default_factory=list)

    def lines(self, paint: Paint, *, headers: bool = True) -> list[str]:
        rows = [[Cell.of(value) for value in row] for row in self.rows]
        widths = self._widths(rows, headers=headers, stacked=False)
        stacked = paint.width is not None and _total(widths) > paint.width
        if stacked:
            widths = self._widths(rows, headers=headers, stacked=True)
            self._shrink(widths, paint.width or 0)
        drawn = []
        if headers:
            titles = [cell(column.title, Role.DIM) for column in self.columns]
            drawn.append(self._line([(each.lines[0], each.role) for each in titles], widths, paint))
        for row in rows:
            height = max((len(each.lines) for each in row), default=1) if stacked else 1
            for i in range(height):
                parts = [(_part(each, i, stacked=stacked), each.role) for each in row]
                drawn.append(self._line(parts, widths, paint))
        return drawn

    def _widths(self, rows: list[list[Cell]], *, headers: bool, stacked: bool) -> list[int]:
        widths = [len(column.title) if headers else 0 for column in self.columns]
        for row in rows:
            for i, each in enumerate(row):
                texts = each.lines if stacked else (", ".join(each.lines),)
                widths[i] = max(widths[i], *(len(text) for text in texts), 0)
        return widths

    def _shrink(self, widths: list[int], limit: int) -> None:
        """Take from the columns of free text, the widest first, what the terminal lacks."""
        excess = _total(widths) - limit
        free = [i for i, column in enumerate(self.columns) if column.free]
        for i in sorted(free, key=lambda i: -widths[i]):
            if excess > 0:
                taken = min(excess, max(0, widths[i] - max(12, len(self.columns[i].title))))
                widths[i] -= taken
                excess -= taken

    def _line(self, parts: list[tuple[str, Role]], widths: list[int], paint: Paint) -> str:
        drawn = []
        for (text, role), column, width in zip(parts, self.columns, widths, strict=True):
            shown = text
            if column.free and len(text) > width:
                cut = paint.glyph(Glyph.CUT)
                shown = text[: max(0, width - len(cut))] + cut
            padding = " " * (width - len(shown))
            painted = paint.text(shown, role)
            drawn.append(padding + painted if column.right else painted + padding)
        return GAP.join(drawn).rstrip()


def _total(widths: list[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _part(each: Cell, i: int, *, stacked: bool) -> str:
    if not stacked:
        return ", ".join(each.lines)
    return each.lines[i] if i < len(each.lines) else ""


def moment(value: Any) -> datetime | None:
    """A time as the control plane writes it: ISO 8601 or seconds since 1970."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str) and value:
            at = datetime.fromisoformat(value)
            return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def age(value: Any, now: datetime) -> str:
    """How long ago, in the largest unit that says it: ``3 min``."""
    at = moment(value)
    return span((now - at).total_seconds()) if at else ""


def span(seconds: float) -> str:
    """A length of time in one unit."""
    seconds = max(0.0, seconds)
    for limit, size, unit in ((90, 1, "s"), (90 * 60, 60, "min"), (36 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def when(value: Any) -> str:
    """A time of day here, to the second."""
    at = moment(value)
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""


def plural(count: int, noun: str) -> str:
    """``1 proxy``, ``2 proxies``, ``3 keys``."""
    if count == 1:
        return f"1 {noun}"
    ies = noun.endswith("y") and noun[-2:-1] not in "aeou"
    return f"{count} {noun[:-1]}ies" if ies else f"{count} {noun}s"
