"""
Pages of a list. A token says which list and after which item to go on.

Nothing is remembered between pages, so a list can be continued after a restart,
and resources that come and go meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from starlette.datastructures import QueryParams

from weft.api.exchange import whole_number
from weft.errors import Invalid, Problem

T = TypeVar("T")


def page(
    items: Sequence[T], name: Callable[[T], str], *, of: str, query: QueryParams, most: int = 100
) -> tuple[Sequence[T], str | None]:
    """One page of items that are sorted by name, and the token of the next."""
    limit = whole_number(query, "limit", default=most, least=1, most=most)
    start = 0
    if token := query.get("nextToken"):
        last = _last(token, of)
        start = _after(items, name, last)
    chosen = items[start : start + limit]
    more = start + limit < len(items)
    return chosen, _token(of, name(chosen[-1])) if more else None


def _after(items: Sequence[T], name: Callable[[T], str], last: str) -> int:
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if name(items[middle]) <= last:
            low = middle + 1
        else:
            high = middle
    return low


def _token(of: str, last: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([of, last]).encode()).decode().rstrip("=")


def _last(token: str, of: str) -> str:
    try:
        content = json.loads(
            base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        )
    except (binascii.Error, ValueError, RecursionError):
        content = None
    match content:
        case [str(list_), str(last)] if list_ == of:
            return last
        case [str(), str()]:
            raise Invalid([Problem("nextToken", "belongs to another list")])
        case _:
            raise Invalid([Problem("nextToken", "is not a token that a list answered with")])
