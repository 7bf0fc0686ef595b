"""Findings drawn for people: by area, one entry for each code, with cause, fix and where to read on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from weft.cli.kinds import short
from weft.cli.render import Glyph, Role, plural
from weft.cli.session import Session

Finding = Mapping[str, Any]
PlaceOf = Callable[[Finding], str]
SEVERITIES = ("error", "warning", "info")
_SHOWN = 10
"""Places listed of one code; ``-o json`` has them all."""
_SIGNS = {
    "error": (Glyph.BAD, Role.BAD),
    "warning": (Glyph.WARNING, Role.WARN),
    "info": (Glyph.INFO, Role.DIM),
}


def draw_area(session: Session, findings: Iterable[Finding], place_of: PlaceOf) -> None:
    """The findings of one area; those of one code are told together."""
    for _, same in groupby(findings, key=lambda each: str(each.get("code"))):
        _draw_code(session, list(same), place_of)


def _draw_code(session: Session, same: Sequence[Finding], place_of: PlaceOf) -> None:
    first = same[0]
    paint = session.out
    glyph, role = _SIGNS.get(str(first.get("severity")), (Glyph.NOTE, Role.WARN))
    code = paint.text(f"[{first.get('code')}]", Role.DIM)
    session.say(f"  {paint.text(paint.glyph(glyph), role)} {first.get('title')}  {code}")
    fixes = {str(each.get("fix")) for each in same}
    for each in same[:_SHOWN]:
        session.say(f"      {sentence(each)}{place_of(each)}")
        if len(fixes) > 1:
            _line(session, "fix", str(each.get("fix")))
    if len(same) > _SHOWN:
        session.say(f"      and {len(same) - _SHOWN} more; -o json lists them")
    _line(session, "cause", str(first.get("cause")))
    if len(fixes) == 1:
        _line(session, "fix", fixes.pop())
    _line(session, "docs", f"weft explain {first.get('code')}")


def _line(session: Session, label: str, text: str) -> None:
    session.say(f"      {session.out.text(label.ljust(5), Role.STRONG)}  {text}")


def sentence(finding: Finding) -> str:
    """What is found, and where: ``virtualNode/web spec.backends[0]: …``."""
    message, path = str(finding.get("message")), str(finding.get("path") or "")
    place = short(str(finding.get("key")))
    # Of a refusal the message begins with the path.
    if path and path not in message:
        place += f" {path}"
    return f"{place}: {message}"


def verdict(counts: Mapping[str, int], clean: int) -> str:
    """``57 ok, 1 warning, 1 failed``."""
    said = [f"{clean} ok"]
    if counts.get("info"):
        said.append(f"{counts['info']} worth knowing")
    if counts.get("warning"):
        said.append(plural(counts["warning"], "warning"))
    if counts.get("error"):
        said.append(f"{counts['error']} failed")
    return ", ".join(said)
