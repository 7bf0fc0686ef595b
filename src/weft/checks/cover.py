"""Does one match take every request that another would? Only where that is certain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from weft.ir import route as ir
from weft.resolve.matching import fits

MOST_COMPARED = 100
"""Earlier routes that one route is held against; a router of thousands must not cost their square."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A route as its match alone: what it takes, and at which port."""

    name: str
    match: ir.RequestMatch
    port: int | None = None
    hosts: tuple[str, ...] = ()
    """Only for gateways: an exact host name, or one that starts with ``*``; empty for any."""


@dataclass(slots=True)
class Before:
    """The rules that come before another, to be found by their path."""

    _by_path: dict[ir.PathMatch, list[Rule]] = field(default_factory=lambda: defaultdict(list))
    _patterns: list[Rule] = field(default_factory=list)

    def add(self, rule: Rule) -> None:
        self._by_path[rule.match.path].append(rule)
        if isinstance(rule.match.path, ir.Regex):
            self._patterns.append(rule)

    def covering(self, rule: Rule) -> Rule | None:
        """A rule that leaves nothing for this one."""
        for i, earlier in enumerate(self._candidates(rule.match.path)):
            if i >= MOST_COMPARED:
                return None
            if covers(earlier, rule):
                return earlier
        return None

    def _candidates(self, path: ir.PathMatch) -> Iterator[Rule]:
        yield from self._by_path.get(path, ())
        match path:
            case ir.Exact(text) | ir.Prefix(text):
                for end in range(1, len(text) + 1):
                    prefix = ir.Prefix(text[:end])
                    if prefix != path:
                        yield from self._by_path.get(prefix, ())
                if isinstance(path, ir.Exact):
                    yield from self._patterns
            case ir.Regex():
                yield from self._by_path.get(ir.Prefix("/"), ())


def covers(earlier: Rule, later: Rule) -> bool:
    """Whether each request that ``later`` matches is matched by ``earlier``."""
    return (
        earlier.port in (None, later.port)
        and _hosts_cover(earlier.hosts, later.hosts)
        and _match_covers(earlier.match, later.match)
    )


def same(one: Rule, other: Rule) -> bool:
    """Whether two rules match exactly the same requests."""
    return covers(one, other) and covers(other, one)


def _match_covers(earlier: ir.RequestMatch, later: ir.RequestMatch) -> bool:
    return (
        (later.grpc or not earlier.grpc)
        and _path_covers(earlier.path, later.path)
        and all(any(_implied(e, given) for given in later.headers) for e in earlier.headers)
        and all(
            any(
                q.name == given.name and _value_covers(q.match, given.match)
                for given in later.query
            )
            for q in earlier.query
        )
    )


def _path_covers(earlier: ir.PathMatch, later: ir.PathMatch) -> bool:
    match earlier, later:
        case ir.Prefix(text), ir.Prefix(other) | ir.Exact(other):
            return other.startswith(text)
        case ir.Prefix("/"), ir.Regex():
            return True
        case _:
            return _value_covers(earlier, later)


def _implied(wanted: ir.HeaderMatch, given: ir.HeaderMatch) -> bool:
    """Whether a request that has the given header must have the wanted one."""
    if wanted.name.lower() != given.name.lower():
        return False
    if not wanted.inverted and not given.inverted:
        return _value_covers(wanted.match, given.match)
    if wanted.inverted and given.inverted:
        return wanted.match == given.match
    if wanted.inverted:
        # "Anything but" of a text that is known.
        return (
            isinstance(given.match, ir.Exact)
            and not isinstance(wanted.match, ir.Present)
            and not fits(wanted.match, given.match.text)
        )
    # Of the given we only know what it is not; where it is a value, that it is there.
    return isinstance(wanted.match, ir.Present) and not isinstance(given.match, ir.Present)


def _value_covers(earlier: ir.ValueMatch, later: ir.ValueMatch) -> bool:
    match earlier, later:
        case ir.Present(), _:
            return True
        case _, ir.Exact(text):
            return fits(earlier, text)
        case ir.Prefix(text), ir.Prefix(other):
            return other.startswith(text)
        case ir.Suffix(text), ir.Suffix(other):
            return other.endswith(text)
        case ir.Range(start, end), ir.Range(first, last):
            return start <= first and last <= end
        case _:
            return earlier == later


def _hosts_cover(earlier: tuple[str, ...], later: tuple[str, ...]) -> bool:
    if not earlier:
        return True
    return bool(later) and all(any(_host_covers(e, host) for e in earlier) for host in later)


def _host_covers(earlier: str, later: str) -> bool:
    if earlier.startswith("*"):
        return later.endswith(earlier[1:])
    return earlier == later
