"""Would a request match, and if not, for which reason? As Envoy would decide it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from weft.ir import route as ir


@dataclass(frozen=True, slots=True)
class Request:
    """What matches look at."""

    method: str = "GET"
    path: str = "/"
    """With its query, if there is one."""
    headers: tuple[tuple[str, str], ...] = ()
    scheme: str = "http"
    host: str = ""
    """As the client writes it, with the port where it does."""

    def values(self, name: str) -> tuple[str, ...]:
        """A header's values; it may have been sent more than once."""
        match name.lower():
            case ":method":
                return (self.method,)
            case ":scheme":
                return (self.scheme,)
            case ":authority" | "host":
                return (self.host,) if self.host else ()
            case ":path":
                return (self.path,)
            case lowered:
                return tuple(value for key, value in self.headers if key.lower() == lowered)

    @property
    def is_grpc(self) -> bool:
        """As Envoy tells: the content type alone, or with a suffix after a plus."""
        found = "".join(self.values("content-type")[:1])
        return found == _GRPC or found.startswith(f"{_GRPC}+")


_GRPC = "application/grpc"


def normalised(path: str) -> str:
    """A path without its query, as Envoy sees it: ``.``, ``..`` and repeated slashes resolved."""
    steps: list[str] = []
    parts = re.sub("/+", "/", path.partition("?")[0]).split("/")[1:]
    for step in parts:
        if step == "..":
            steps = steps[:-1]
        elif step != ".":
            steps.append(step)
    if parts and parts[-1] in (".", ".."):
        steps.append("")
    return "/" + "/".join(steps)


def mismatch(match: ir.RequestMatch, request: Request) -> str | None:
    """The first reason why a request does not match; None when it does."""
    return next(_mismatches(match, request), None)


def _mismatches(match: ir.RequestMatch, request: Request) -> Iterator[str]:
    path = normalised(request.path)
    if not fits(match.path, path):
        yield f"the path {path} {_words(match.path)[1]}"
    if match.grpc and not request.is_grpc:
        yield "it is for gRPC, and the request's content-type is not application/grpc"
    for header in match.headers:
        values = request.values(header.name)
        name = header.name.lstrip(":")
        said, said_not = _words(header.match)
        if isinstance(header.match, ir.Present):
            if bool(values) is header.inverted:
                yield f"{name} {said if header.inverted else said_not}"
        elif not values:
            # An absent header fits nothing, not even "anything but".
            yield f"{name} is not there"
        elif any(fits(header.match, each) for each in values) is header.inverted:
            yield f"{name} {', '.join(values)!r} {said if header.inverted else said_not}"
    parameters = _query(request.path)
    for parameter in match.query:
        given = parameters.get(parameter.name)
        if given is None:
            yield f"query parameter {parameter.name} is not there"
        elif not fits(parameter.match, given):
            yield f"query parameter {parameter.name}={given} {_words(parameter.match)[1]}"


def _query(path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in path.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        found.setdefault(name, value)
    return found


def fits(match: ir.ValueMatch, text: str) -> bool:
    """Whether a text is what a match asks for."""
    match match:
        case ir.Exact(exact):
            return text == exact
        case ir.Prefix(prefix):
            return text.startswith(prefix)
        case ir.Suffix(suffix):
            return text.endswith(suffix)
        case ir.Regex(pattern):
            try:
                return re.fullmatch(pattern, text) is not None
            except re.error:  # RE2 knows a few things that Python does not.
                return False
        case ir.Range(start, end):
            return re.fullmatch("[+-]?[0-9]+", text) is not None and start <= int(text) < end
        case ir.Present():
            return True


def _words(match: ir.ValueMatch) -> tuple[str, str]:
    """A match said of a value that fits, and of one that does not."""
    match match:
        case ir.Exact(exact):
            return f"is {exact}", f"is not {exact}"
        case ir.Prefix(prefix):
            return f"starts with {prefix}", f"does not start with {prefix}"
        case ir.Suffix(suffix):
            return f"ends with {suffix}", f"does not end with {suffix}"
        case ir.Regex(pattern):
            return f"matches {pattern}", f"does not match {pattern}"
        case ir.Range(start, end):
            return f"is from {start} up to {end}", f"is not from {start} up to {end}"
        case ir.Present():
            return "is there", "is not there"
