"""What was translated once is not translated again."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary, ref

V = TypeVar("V")
R = TypeVar("R")


def memoised(function: Callable[[V], R]) -> Callable[[V], R]:
    """
    Remember a function's results by the IR values they came from.

    Equal values share one result, whichever proxies they belong to. What no
    resolution holds any more is forgotten with it, so there is no size to choose.
    The same value asked for again finds its result on itself, which saves looking
    for an equal one: most of a thousand proxies' values are the very same.
    """
    results: MutableMapping[V, tuple[R, ref[V]]] = WeakKeyDictionary()
    place = f"_{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def result(value: V) -> R:
        found: R | None = value.__dict__.get(place)
        if found is None:
            known = results.get(value)
            if known is None:
                known = results[value] = (function(value), ref(value))
            found, first = known[0], known[1]()
            value.__dict__[place] = found
            if first is not value:
                # The result is found by the first of the equal values: it must live as
                # long as any of them, or the next to come would get a result of its own.
                value.__dict__[f"{place} first"] = first
        return found

    return result
