"""
From a method and a path to a handler.

Paths are split while still percent-encoded and each label is decoded once: a
virtual service's name may contain anything, and decoded text cannot be split.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from weft.api.errors import MethodNotAllowed, UnknownOperation
from weft.api.exchange import Answer, Call
from weft.errors import BadRequest
from weft.identity.caller import Right

Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """``GET /a/{label}``; a last segment ``{label*}`` takes all the rest."""

    method: str
    path: str
    handler: Handler
    right: Right | None = None
    """What the caller needs; by itself GET reads and everything else writes."""

    @property
    def needs(self) -> Right:
        return self.right or (Right.READ if self.method == "GET" else Right.WRITE)


@dataclass(frozen=True, slots=True)
class Found:
    """A route that fits, with what its labels stand for."""

    route: Route
    labels: dict[str, str]


@dataclass(slots=True)
class _Branch:
    fixed: dict[str, _Branch] = field(default_factory=dict)
    label: _Branch | None = None
    rest: _Branch | None = None
    ends: dict[str, tuple[tuple[str, ...], Route]] = field(default_factory=dict)
    """By method: the names of the labels on the way, and the route."""


class Router:
    """All routes as a tree, so that finding one costs its depth and not their number."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Branch()
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        branch, names = self._root, []
        for segment in route.path.strip("/").split("/"):
            if segment.endswith("*}"):
                names.append(segment[1:-2])
                branch.rest = branch = branch.rest or _Branch()
            elif segment.startswith("{"):
                names.append(segment[1:-1])
                branch.label = branch = branch.label or _Branch()
            else:
                branch = branch.fixed.setdefault(segment, _Branch())
        assert route.method not in branch.ends, f"two handlers for {route.method} {route.path}"
        branch.ends[route.method] = (tuple(names), route)

    def find(self, method: str, raw_path: bytes) -> Found:
        """The route and its decoded labels."""
        ends, values = self._ends(raw_path)
        found = ends.get("GET" if method == "HEAD" else method)
        if found is None:
            raise MethodNotAllowed(method, allowed(ends))
        names, route = found
        return Found(route, dict(zip(names, values, strict=True)))

    def allowed(self, raw_path: bytes) -> tuple[str, ...]:
        """The methods a path answers to."""
        return allowed(self._ends(raw_path)[0])

    def _ends(self, raw_path: bytes) -> tuple[dict[str, tuple[tuple[str, ...], Route]], list[str]]:
        branch = self._root
        values: list[str] = []
        segments = raw_path.split(b"/")[1:]
        for i, segment in enumerate(segments):
            text = decoded(segment)
            if (fixed := branch.fixed.get(text)) is not None:
                branch = fixed
            elif branch.label is not None and text:
                values.append(text)
                branch = branch.label
            elif branch.rest is not None and text:
                values.append("/".join(map(decoded, segments[i:])))
                branch = branch.rest
                break
            else:
                raise UnknownOperation(raw_path)
        if not branch.ends:
            raise UnknownOperation(raw_path)
        return branch.ends, values


def allowed(ends: Iterable[str]) -> tuple[str, ...]:
    methods = {*ends, "OPTIONS"}
    if "GET" in methods:
        methods.add("HEAD")
    return tuple(sorted(methods))


def decoded(segment: bytes) -> str:
    try:
        return (unquote_to_bytes(segment) if b"%" in segment else segment).decode()
    except UnicodeDecodeError:
        shown = segment[:80].decode("latin-1")
        raise BadRequest(f"the path is not UTF-8 where it says {shown!r}") from None
