"""One request and its answer, as handlers see them: labels decoded, the body bounded and parsed."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NoReturn

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope

from weft.errors import BadRequest, Invalid, Problem
from weft.identity.caller import Caller
from weft.model.schema import MAX_PROBLEMS
from weft.store.change import Author

MAX_BODY_BYTES = 1024 * 1024
_MAX_CLIENT = 256
MAX_DEPTH = 64
"""Of objects and lists within one another; App Mesh's specs need a dozen."""
_TOO_DEEP = f"the body is nested too deeply: more than {MAX_DEPTH} objects and lists deep"
_PARSED_IN_PLACE_BYTES = 256 * 1024
"""Larger bodies are parsed in a thread, so that proxies are served meanwhile."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a status, a body, headers besides those that every answer has."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def answer(content: Any, *, status: int = 200, revision: int | None = None) -> Answer:
    """A JSON answer; ``revision`` is given by every write."""
    headers = {} if revision is None else {"x-weft-revision": str(revision)}
    return Answer(json.dumps(content, separators=(",", ":")).encode(), status, headers)


def nothing(revision: int | None = None) -> Answer:
    """An answer without a body."""
    return Answer(
        status=204, headers={} if revision is None else {"x-weft-revision": str(revision)}
    )


@dataclass(slots=True)
class Call:
    """One request, addressed to the handler that gets it."""

    id: str
    """The request id, as it is answered and logged."""
    author: Author
    scope: Scope
    receive: Receive
    labels: dict[str, str] = field(default_factory=dict)
    """The variable parts of the path, each decoded once."""
    caller: Caller = field(default_factory=Caller)
    """Who was let in, and with which rights; ``author`` is how the log calls them."""
    read: bytes | None = None
    """The body, once it has been read: whoever verifies a signature reads it first."""

    @classmethod
    def of(cls, id: str, scope: Scope, receive: Receive) -> Call:
        """A request as it comes, from somebody who has not been asked yet."""
        client = next((v for n, v in scope["headers"] if n == b"user-agent"), b"")
        author = Author(client=client.decode("utf-8", "replace")[:_MAX_CLIENT])
        return cls(id, author, scope, receive)

    @property
    def query(self) -> QueryParams:
        return QueryParams(self.scope["query_string"])

    def header(self, name: bytes) -> str | None:
        """The first header of this (lower case) name."""
        return next((v.decode("latin-1") for n, v in self.scope["headers"] if n == name), None)

    def known_query(self, *names: str) -> QueryParams:
        """The query, or Invalid when it has parameters other than these."""
        query = self.query
        if found := list(unknown_members(query.keys(), names, what="parameter")):
            raise Invalid(found)
        return query

    async def json_object(self, *, most_bytes: int = MAX_BODY_BYTES) -> dict[str, Any]:
        """The body, which must be a JSON object; no body at all counts as an empty one."""
        body = await self.body(most_bytes=most_bytes)
        if not body.strip():
            return {}
        small = len(body) <= _PARSED_IN_PLACE_BYTES
        value = parse(body) if small else await asyncio.to_thread(parse, body)
        if not isinstance(value, dict):
            raise BadRequest(f"the body must be a JSON object, not {_named(value)}")
        return value

    async def body(self, *, most_bytes: int = MAX_BODY_BYTES) -> bytes:
        """The body, as long as it keeps to the limit; what is beyond is not kept."""
        if self.read is None:
            self.read = await self._body(most_bytes)
        if len(self.read) > most_bytes:
            too_large(most_bytes)
        return self.read

    async def _body(self, most_bytes: int) -> bytes:
        declared = self.header(b"content-length")
        if declared is not None and (not declared.isdecimal() or int(declared) > most_bytes):
            too_large(most_bytes)
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise BadRequest("the client left before its request was complete")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > most_bytes:
                too_large(most_bytes)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    @property
    def leaves_much(self) -> bool:
        """Whether more is on its way than is worth reading once the answer is known."""
        if self.read is not None or self.scope["method"] == "GET":
            return False
        declared = self.header(b"content-length")
        if declared is None:
            return self.header(b"transfer-encoding") is not None
        return not declared.isdecimal() or int(declared) > MAX_BODY_BYTES

    async def gone(self) -> None:
        """Return when the client has left."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


def too_large(most_bytes: int) -> NoReturn:
    raise BadRequest(f"the body is larger than {most_bytes} bytes, which is the limit")


def parse(body: bytes) -> Any:
    """JSON, or a BadRequest that says where it stops being JSON."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: byte {error.start} is {error.reason}") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_members,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise BadRequest(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    except UnicodeEncodeError:
        raise BadRequest("the body has half of a surrogate pair, which is no character") from None
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    # What does not open so many brackets does not open them within one another.
    if text.count("[") + text.count("{") > MAX_DEPTH and not _within_depth(value):
        raise BadRequest(_TOO_DEEP)
    return value


def _within_depth(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        # Which of the two is meant is anybody's guess, and parsers guess differently.
        raise BadRequest(f"the body has a member twice in one object: {twice[:80]!r}")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def unknown_members(
    given: Iterable[str], known: Iterable[str], *, at: str = "", what: str = "member"
) -> Iterable[Problem]:
    """A problem for every member that is not known, with the name that may have been meant."""
    known = tuple(known)
    unknown = [name for name in given if name not in known]
    # Looking for what was meant takes a while, and nobody mistypes more names.
    for name in unknown[:MAX_PROBLEMS]:
        near = get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        yield Problem(f"{at}.{name}" if at else name, f"unknown {what}{hint}")


def whole_number(
    query: QueryParams, name: str, *, default: int, least: int, most: int | None = None
) -> int:
    """A whole number from the query, within its limits."""
    text = query.get(name)
    if text is None:
        return default
    # Longer digit strings are no number anybody means, and slow to convert.
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
    if value is None or value < least or (most is not None and value > most):
        limits = f"{least} or more" if most is None else f"from {least} to {most}"
        raise Invalid([Problem(name, f"must be a whole number {limits}, not {text[:40]!r}")])
    return value


def flag(query: QueryParams, name: str) -> bool:
    """A switch from the query: absent is off, empty is on."""
    match query.get(name):
        case None | "false" | "0":
            return False
        case "" | "true" | "1":
            return True
        case other:
            raise Invalid([Problem(name, f"must be true or false, not {other[:40]!r}")])


def _named(value: Any) -> str:
    match value:
        case None:
            return "null"
        case list():
            return "a list"
        case str():
            return "a string"
        case bool():
            return "true or false"
        case _:
            return "a number"
