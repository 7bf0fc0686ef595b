"""Names as people shorten them: any part that only one name has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

from weft.cli.exits import Usage
from weft.errors import NotFound


def _words(name: str) -> list[str]:
    return re.split(r"[.\-_/]", name)


_WAYS: tuple[Callable[[str, str], bool], ...] = (
    lambda typed, name: typed == name,
    lambda typed, name: typed == name.partition(".")[0],
    lambda typed, name: typed in _words(name),
    lambda typed, name: name.startswith(typed),
    lambda typed, name: typed in name,
)


def candidates(typed: str, names: Iterable[str]) -> list[str]:
    """
    The names that a shortened one may mean, by the strictest way that finds any.

    The whole name comes first, then its first label, a whole word of it, its
    beginning, any part: ``red`` means ``teller-red-vn`` also beside ``teller-infrared-vn``.
    """
    known = sorted(set(names))
    for way in _WAYS:
        if found := [name for name in known if typed and way(typed, name)]:
            return found
    return []


def meant(typed: str, names: Iterable[str], noun: str, *, fix: str | None = None) -> str:
    """The one name that is meant; none and several are errors that list what there is."""
    known = sorted(set(names))
    match candidates(typed, known):
        case [name]:
            return name
        case []:
            listed = ", ".join(known) or "none"
            near = nearest(typed, known)
            guess = f"did you mean {near}?" if near else None
            raise NotFound(
                f"there is no {noun} {typed!r}; there are: {listed}",
                fix=fix or guess or f"weft get {noun.replace(' ', '-')}s",
            )
        case found:
            raise Usage(
                f"{typed!r} may be {' or '.join(found)}",
                fix=f"write enough of the {noun}'s name to tell them apart",
            )


def nearest(typed: str, names: Iterable[str]) -> str:
    """The name, or the name with a word, that is spelt most like what was typed."""
    known = sorted(set(names))
    words = {word: name for name in reversed(known) for word in _words(name)}
    near = difflib.get_close_matches(typed, [*known, *words], n=1, cutoff=0.5)
    if not near:
        return ""
    return words.get(near[0], near[0])
