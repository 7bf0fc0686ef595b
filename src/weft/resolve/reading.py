"""
What a resolution reads, and the parts of resolutions that are kept.

``resolve`` sees the state only through a ``Reading``, which notes every fact it
is asked for. What is computed by ``Reading.part`` is kept in ``Parts`` together
with the facts it read and the parts it used, so that one virtual host is
resolved once for all views. When facts change, ``Parts.drop`` forgets what
depended on them, directly or through other parts, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, TypeVarTuple, Unpack

from weft.model.instance import Instance
from weft.model.meta import Resource
from weft.names import Key, Kind
from weft.store.state import MeshState

Args = TypeVarTuple("Args")
R = TypeVar("R")

Fact = Key | tuple[Literal["children"], Kind, Key] | tuple[Literal["instances"], Key]
"""A resource; which resources of a kind a resource has; the instances of a virtual node."""

Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""Which part: a function, and the arguments after the reading."""


def children_of(parent: Key, kind: Kind) -> Fact:
    return ("children", kind, parent)


def instances_of(node: Key) -> Fact:
    return ("instances", node)


@dataclass(frozen=True, slots=True)
class _Part:
    value: Any
    failure: Exception | None
    reads: frozenset[Fact]
    uses: frozenset[Call]


@dataclass(slots=True)
class Parts:
    """Parts that still hold, and the index from facts to them."""

    _known: dict[Call, _Part] = field(default_factory=dict)
    _readers: dict[Fact, set[Call]] = field(default_factory=dict)
    _users: dict[Call, set[Call]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._known)

    def get(self, call: Call) -> _Part | None:
        return self._known.get(call)

    def put(self, call: Call, part: _Part) -> None:
        self._known[call] = part
        for fact in part.reads:
            self._readers.setdefault(fact, set()).add(call)
        for used in part.uses:
            self._users.setdefault(used, set()).add(call)

    def drop(self, facts: Iterable[Fact]) -> set[Call]:
        """Forget every part that rests on one of these facts; say which they were."""
        stale = [call for fact in facts for call in self._readers.get(fact, ())]
        dropped: set[Call] = set()
        while stale:
            call = stale.pop()
            if call not in dropped:
                dropped.add(call)
                stale.extend(self._users.get(call, ()))
        for call in dropped:
            self._remove(call)
        return dropped

    def forget(self, call: Call) -> None:
        """Forget a part that nobody will ask for again, and what only it used."""
        for used in self._remove(call):
            if not self._users.get(used):
                self.forget(used)

    def _remove(self, call: Call) -> frozenset[Call]:
        part = self._known.pop(call, None)
        if part is None:
            return frozenset()
        for fact in part.reads:
            _discard(self._readers, fact, call)
        for used in part.uses:
            _discard(self._users, used, call)
        return part.uses


K = TypeVar("K")


def _discard(index: dict[K, set[Call]], key: K, call: Call) -> None:
    found = index.get(key)
    if found is not None:
        found.discard(call)
        if not found:
            del index[key]


@dataclass(slots=True)
class Reading:
    """One state, read on behalf of one part; it notes what was asked for."""

    state: MeshState
    parts: Parts = field(default_factory=Parts)
    reads: set[Fact] = field(default_factory=set)
    uses: set[Call] = field(default_factory=set)

    def resource(self, key: Key) -> Resource | None:
        self.reads.add(key)
        return self.state.resource(key)

    def children(self, parent: Key, kind: Kind) -> list[Resource]:
        """The resources of a kind within a parent, by name, each of them read."""
        found = self.state.children(parent, kind)
        self.reads.add(children_of(parent, kind))
        self.reads.update(resource.key for resource in found)
        return found

    def instances(self, node: Key) -> tuple[Instance, ...]:
        self.reads.add(instances_of(node))
        return self.state.instances(node)

    def instances_known(self, node: Key) -> bool:
        """Whether a workload was ever registered for this virtual node."""
        self.reads.add(instances_of(node))
        return self.state.instances_known(node)

    def part(self, function: Callable[[Reading, Unpack[Args]], R], *args: *Args) -> R:
        """
        ``function(reading, *args)``, computed only if no part of before still holds.

        A failure is kept like a value: it stands until a fact that led to it changes.
        """
        call: Call = (function, args)
        self.uses.add(call)
        known = self.parts.get(call)
        if known is None:
            known = self._computed(function, args)
            self.parts.put(call, known)
        if known.failure is not None:
            raise known.failure
        found: R = known.value
        return found

    def _computed(self, function: Callable[..., Any], args: tuple[Any, ...]) -> _Part:
        inner = Reading(self.state, self.parts)
        value, failure = None, None
        try:
            value = function(inner, *args)
        except Exception as error:  # noqa: BLE001 - raised by whoever asks for the part
            failure = error
        return _Part(value, failure, frozenset(inner.reads), frozenset(inner.uses))
