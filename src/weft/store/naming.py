"""What names and tags may be made of (app-mesh.md, 1.3 and 2; decision 0007)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from weft.errors import Problem
from weft.model.meta import Tags
from weft.names import Key, Kind

MAX_TAGS = 50
_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
_MESH_NAME = re.compile(rf"{_NAME.pattern}(@[0-9]{{12}})?")
_SERVICE_NAME = re.compile(r"[^/\x00-\x20\x7f]{1,255}")
_TAG_CHARACTERS = frozenset("_.:/=+-@")


def name_problems(key: Key) -> Iterator[Problem]:
    place = f"{key.kind}Name"
    if key.kind is Kind.VIRTUAL_SERVICE:
        if not _SERVICE_NAME.fullmatch(key.name):
            yield Problem(place, "must have 1 to 255 characters, none of them a blank or /")
        return
    pattern = _MESH_NAME if key.kind is Kind.MESH else _NAME
    if not pattern.fullmatch(key.name):
        yield Problem(place, "must have 1 to 255 letters, digits, hyphens, underscores or dots")


def tag_problems(tags: Tags, *, limit: bool = True) -> list[Problem]:
    found = []
    if limit and len(tags) > MAX_TAGS:
        found.append(Problem("tags", f"must have at most {MAX_TAGS} items, not {len(tags)}"))
    for i, (name, value) in enumerate(tags):
        if not 1 <= len(name) <= 128:
            found.append(Problem(f"tags[{i}].key", "must have 1 to 128 characters"))
        if len(value) > 256:
            found.append(Problem(f"tags[{i}].value", "must have at most 256 characters"))
        if name.lower().startswith("aws:"):
            found.append(Problem(f"tags[{i}].key", "must not start with aws:, which is reserved"))
        for member, text in (("key", name), ("value", value)):
            if strange := next((each for each in text if not _in_tags(each)), None):
                found.append(
                    Problem(
                        f"tags[{i}].{member}",
                        "must have letters, numbers, blanks and _ . : / = + - @ only, "
                        f"not {strange!r}",
                    )
                )
    return found


def _in_tags(character: str) -> bool:
    r"""AWS's pattern for tags: ``[\p{L}\p{Z}\p{N}_.:/=+\-@]``."""
    return character in _TAG_CHARACTERS or unicodedata.category(character)[0] in "LZN"
