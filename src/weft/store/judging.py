"""
The result of a change, judged as a whole: parents, references, quotas, and what is in use.

By where it leads and not by the order of its steps (app-mesh.md, 2.8 to 2.10).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from weft.errors import Forbidden, InUse, Invalid, NotFound, Problem, WeftError
from weft.names import Key
from weft.quotas import Quotas
from weft.store import ownership
from weft.store.counting import Counting
from weft.store.rules import Missing, blame, blocker, dependents, outermost, rules
from weft.store.state import MeshState


@dataclass(frozen=True, slots=True)
class Result:
    """What a change leads to, and what it touched on the way."""

    before: MeshState
    after: MeshState
    put: Collection[Key]
    deleted: Collection[Key]


def judged(
    result: Result, broken: set[Key], *, account: str, caller: str | None, quotas: Quotas
) -> Iterator[tuple[Key, WeftError]]:
    """Every reason against a result; what is missing because its own step failed is not one."""
    state = result.after
    counting = Counting(quotas, result.before, state, result.put, account)
    for key in result.put:
        resource = state.resource(key)
        assert resource is not None, "a key that was put stands in the draft"
        if result.before.resource(key) is None and key.parent is not None:
            parent = key.parent
            if state.resource(parent) is None:
                if parent not in broken:
                    yield key, NotFound(str(Missing(outermost(state, parent), account)))
                continue
            if caller is not None:
                # Again: the parent may have come with the same change, after its child.
                try:
                    ownership.check_creation(state, key, caller, account)
                except Forbidden as error:
                    yield key, error
                    continue
        found = list(rules(state, resource, account))
        problems = [each for each in found if isinstance(each, Problem)]
        missing = [each for each in found if isinstance(each, Missing) and each.key not in broken]
        for dependent in dependents(state, resource):
            if dependent.key not in result.put:
                problems += blame(resource, dependent, rules(state, dependent, account))
        if problems:
            yield key, Invalid([*problems, *(Problem("", str(each)) for each in missing)])
        elif missing:
            yield key, NotFound("; ".join(dict.fromkeys(map(str, missing))))
        else:
            for excess in counting.excess(key):
                yield key, excess
    for key in result.deleted:
        if reason := blocker(state, key):
            yield key, InUse(reason)
