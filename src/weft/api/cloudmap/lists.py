"""Lists of Cloud Map: which filters a thing passes, and one page after the other."""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from weft.discovery.cloud_map import id_of
from weft.discovery.cloud_map_errors import InvalidInput
from weft.errors import Problem
from weft.model.cloud_map_queries import Filter, Paged

T = TypeVar("T")

_MOST = 100
_NOT_SECONDS = 10**11
"""A date beyond this is in milliseconds."""


def passes(filters: Sequence[Filter] | None, values: Mapping[str, str]) -> bool:
    """Whether a thing with these values passes every filter."""
    return all(_passes(each, values.get(each.name, "")) for each in filters or ())


def _passes(filter: Filter, value: str) -> bool:
    if filter.name == "UPDATE_DATE":
        return _in_time(filter, float(value))
    values = filter.values
    if filter.name.endswith("_ID"):
        values = tuple(map(id_of, values))
    match filter.condition:
        case "EQ" | "IN":
            return value in values
        case "BEGINS_WITH":
            return value.startswith(values[0])
        case "BETWEEN":
            return values[0] <= value <= values[1]


def _in_time(filter: Filter, at: float) -> bool:
    times = [float(text) for text in filter.values]
    times = [time / 1000 if time > _NOT_SECONDS else time for time in times]
    return min(times) <= at <= max(times)


def page(
    things: Sequence[T], key: Callable[[T], str], *, of: str, asked: Paged
) -> tuple[Sequence[T], dict[str, str]]:
    """
    One page of things that are sorted by their key, and the members that lead to the next.

    A token says after which key to go on, so a list stays right while others write.
    """
    start = 0
    if asked.next_token is not None:
        start = bisect_right(things, _last(asked.next_token, of), key=key)
    end = start + (asked.max_results or _MOST)
    chosen = things[start:end]
    more = end < len(things)
    return chosen, {"NextToken": _token(of, key(chosen[-1]))} if more else {}


def _token(of: str, last: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([of, last]).encode()).decode().rstrip("=")


def _last(token: str, of: str) -> str:
    try:
        padded = token + "=" * (-len(token) % 4)
        content = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        content = None
    match content:
        case [str(list_), str(last)] if list_ == of:
            return last
        case _:
            raise InvalidInput([Problem("NextToken", "is not a token that this list answered")])
