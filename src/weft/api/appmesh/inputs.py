"""
Request bodies of the App Mesh API, but for the spec: names, tags, tokens.

Readers note what is wrong in a list instead of raising, so that one answer can
name every mistake of a request, those in the spec included.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from weft.api.appmesh.shapes import name_member
from weft.api.exchange import unknown_members
from weft.errors import Invalid, Problem, WeftError
from weft.model.codec import decode, without_nulls
from weft.model.meta import Tags
from weft.names import Kind
from weft.store.change import Author, Step
from weft.store.store import Store

MAX_NAME = 255
MAX_TAGS = 50
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,36}")


def members(
    body: Mapping[str, Any],
    known: Iterable[str],
    found: list[Problem],
    *,
    in_path: Iterable[str] = (),
    at: str = "",
) -> None:
    """Note every member that does not belong, those that belong in the path by their own words."""
    in_path = tuple(in_path)
    for name in in_path:
        if name in body:
            found.append(Problem(_below(at, name), "is part of the path, not of the body"))
    found += unknown_members((name for name in body if name not in in_path), known, at=at)


def label_problems(label: str, value: str) -> Iterator[Problem]:
    """What is wrong with a name in the path, whether or not it leads to anything."""
    if "/" in value or value.startswith("arn:"):
        yield Problem(label, "must be a name, not an ARN or a path")
    if len(value) > MAX_NAME:
        yield Problem(label, f"must have at most {MAX_NAME} characters, not {len(value)}")


def text(body: Mapping[str, Any], name: str, found: list[Problem], *, at: str = "") -> str | None:
    """A string that must be there."""
    match body.get(name):
        case str() as value:
            return value
        case None:
            found.append(Problem(_below(at, name), "is missing"))
        case _:
            found.append(Problem(_below(at, name), "must be a string"))
    return None


def spec(body: Mapping[str, Any], kind: Kind, found: list[Problem], *, at: str = "") -> Any:
    """The spec as sent; only a mesh can do without."""
    value = body.get("spec")
    if value is None:
        if kind is Kind.MESH:
            return {}
        found.append(Problem(_below(at, "spec"), "is missing"))
    return value


def token(body: Mapping[str, Any], found: list[Problem], *, at: str = "") -> str | None:
    """A client token, checked for its form; None when it is not given."""
    value = body.get("clientToken")
    if value is None:
        return None
    if isinstance(value, str) and _TOKEN.fullmatch(value):
        return value
    found.append(
        Problem(
            _below(at, "clientToken"), "must have 1 to 36 letters, digits, hyphens and underscores"
        )
    )
    return None


def fingerprint(body: Mapping[str, Any], owner: str | None) -> str:
    """What makes two requests with one token the same: all they say, but for the token."""
    rest = {name: value for name, value in body.items() if name != "clientToken"}
    text = json.dumps([owner, without_nulls(rest)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def tags(value: Any, found: list[Problem], *, at: str = "tags") -> Tags:
    """A list of tags; empty when not given."""
    if value is None:
        return ()
    if not isinstance(value, list):
        found.append(Problem(at, "must be a list"))
        return ()
    if len(value) > MAX_TAGS:
        found.append(Problem(at, f"must have at most {MAX_TAGS} items, not {len(value)}"))
        return ()
    pairs: dict[str, str] = {}
    for i, item in enumerate(value):
        place = f"{at}[{i}]"
        if not isinstance(item, dict):
            found.append(Problem(place, "must be an object with key and value"))
            continue
        members(item, ("key", "value"), found, at=place)
        key = text(item, "key", found, at=place)
        # The value is optional in App Mesh's words, if not in its model.
        content = text({"value": "", **_without_null(item)}, "value", found, at=place)
        if key is None or content is None:
            continue
        if key in pairs:
            found.append(Problem(f"{place}.key", f"{key!r} is given twice"))
        pairs[key] = content
    return tuple(pairs.items())


def _without_null(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return {} if item.get("value") is None else item


def tag_keys(value: Any, found: list[Problem]) -> tuple[str, ...]:
    """The keys of tags to take away."""
    if value is None:
        found.append(Problem("tagKeys", "is missing"))
        return ()
    if not isinstance(value, list):
        found.append(Problem("tagKeys", "must be a list"))
        return ()
    if len(value) > MAX_TAGS:
        found.append(Problem("tagKeys", f"must have at most {MAX_TAGS} items, not {len(value)}"))
    for i, key in enumerate(value):
        if not isinstance(key, str) or not 1 <= len(key) <= 128:
            found.append(Problem(f"tagKeys[{i}]", "must be a string of 1 to 128 characters"))
    return tuple(dict.fromkeys(key for key in value if isinstance(key, str)))


def parents(kind: Kind) -> tuple[str, ...]:
    """The members that say where a resource of this kind lives."""
    if kind is Kind.MESH:
        return ()
    assert kind.parent is not None, "only a mesh lives in nothing"
    if kind.parent is Kind.MESH:
        return ("meshName",)
    return ("meshName", name_member(kind.parent))


async def refuse(
    store: Store,
    author: Author,
    found: Sequence[Problem],
    step: Step | None,
    kind: Kind,
    sent: Any,
    caller: str,
) -> NoReturn:
    """Refuse a request that is wrong outside its spec, with all that is wrong within it too."""
    more: tuple[Problem, ...] = ()
    try:
        if step is not None:
            await store.apply([step], author, dry_run=True, caller=caller)
        elif sent is not None:
            decode(kind, sent)
    except Invalid as error:
        more = error.problems
    except WeftError:
        pass  # Of another sort: said once the request itself is right.
    raise Invalid(dict.fromkeys([*found, *more]))


def _below(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
