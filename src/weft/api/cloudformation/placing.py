"""The store's reasons against a stack's steps, said of places in its template."""

from __future__ import annotations

from collections.abc import Mapping

from weft.errors import Invalid, WeftError
from weft.manifests.cloudformation.reading import Finding
from weft.manifests.cloudformation.spelling import place_of
from weft.manifests.document import Path


def findings_of(error: WeftError, owners: Mapping[str, str]) -> list[Finding]:
    """The store's reasons, said of places in the template."""
    if isinstance(error, Invalid):
        return [_placed(each.path, each.message, owners) for each in error.problems]
    key = next(iter(getattr(error, "__notes__", ())), "")
    return [_placed(key, error.message, owners)]


def _placed(path: str, message: str, owners: Mapping[str, str]) -> Finding:
    """``KEY spec.x`` at its place; a key that is refused for it may have blanks."""
    end = len(path)
    while end > 0:
        if (logical_id := owners.get(path[:end])) is not None:
            at: Path = ("Resources", logical_id)
            rest = path[end + 1 :]
            place = place_of(rest, (*at, "Properties")) if rest else at
            return Finding(place, message, late=True)
        end = path.rfind(" ", 0, end)
    return Finding((), f"{path}: {message}" if path else message, late=True)
