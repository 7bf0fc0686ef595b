"""
What a resolution reads, and the parts of resolutions that are kept.

``resolve`` sees the state only through a ``Reading``, which notes every fact it
is asked for. What is computed by ``Reading.part`` is kept in ``Parts`` together
with the facts it read and the parts it used, so that one virtual host is
resolved once for all views.

    sure ──a fact it read changed────▶ stale ──asked for──▶ computed anew
      └───a part it uses is in doubt─▶ doubtful ──asked for──▶ these first: if one of them
                                       became another, it is stale; if none, sure again

So a change of weights computes the clusters of nobody: which targets there are is
found to be as before, and the doubt ends there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import Any, Literal, TypeVar, TypeVarTuple, Unpack

from weft.model.instance import Instance
from weft.model.meta import Resource
from weft.names import Key, Kind
from weft.store.state import MeshState

Args = TypeVarTuple("Args")
R = TypeVar("R")

Fact = (
    Key
    | tuple[Literal["children"], Kind, Key]
    | tuple[Literal["instances"], Key]
    | tuple[Literal["document"], str, str]
    | tuple[Literal["documents"], str]
)
"""
A resource; which resources of a kind a resource has; the instances of a virtual node;
one kept document; which documents a collection has.
"""

Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""Which part: a function, and the arguments after the reading."""


def children_of(parent: Key, kind: Kind) -> Fact:
    return ("children", kind, parent)


def instances_of(node: Key) -> Fact:
    return ("instances", node)


def document_of(collection: str, name: str) -> Fact:
    return ("document", collection, name)


def documents_of(collection: str) -> Fact:
    return ("documents", collection)


class _Trust(Enum):
    SURE = auto()
    DOUBTFUL = auto()
    STALE = auto()


class _Part:
    """A part, as a node of the graph of parts; compared by identity, which costs nothing."""

    __slots__ = ("call", "failure", "reads", "trust", "users", "uses", "value")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.value: Any = None
        self.failure: Exception | None = None
        # Tuples, because there are many parts and a set is ten times larger.
        self.reads: tuple[Fact, ...] = ()
        self.uses: tuple[_Part, ...] = ()
        """In the order in which it asked for them."""
        self.users: set[_Part] = set()
        self.trust = _Trust.STALE


class Parts:
    """Parts of before, and the index from facts to them."""

    __slots__ = ("_known", "_readers")

    def __init__(self) -> None:
        self._known: dict[Call, _Part] = {}
        self._readers: dict[Fact, set[_Part]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def drop(self, facts: Iterable[Fact]) -> list[Call]:
        """
        Trust no part any more that rests on one of these facts; say which they are.

        Whoever needs one of them asks for it again, and gets a new one or the same.
        """
        pending: list[_Part] = []
        doubted: list[Call] = []
        for fact in facts:
            for part in self._readers.get(fact, ()):
                if part.trust is _Trust.SURE:
                    pending.append(part)
                part.trust = _Trust.STALE
        while pending:
            part = pending.pop()
            doubted.append(part.call)
            for user in part.users:
                if user.trust is _Trust.SURE:
                    user.trust = _Trust.DOUBTFUL
                    pending.append(user)
        return doubted

    def forget(self, call: Call) -> None:
        """Forget a part that nobody will ask for again, and what only it used."""
        if (part := self._known.get(call)) is not None:
            self._release(part)

    def get(self, call: Call, state: MeshState) -> _Part:
        """A part that can be trusted, in this state."""
        part = self._known.get(call)
        if part is None:
            part = self._known[call] = _Part(call)
        if part.trust is not _Trust.SURE:
            self._renew(part, state)
        return part

    def _renew(self, part: _Part, state: MeshState) -> None:
        """Make a part trustworthy again, with as little as that takes."""
        if part.trust is _Trust.DOUBTFUL and self._is_as_before(part, state):
            part.trust = _Trust.SURE
        else:
            self._compute(part, state)

    def _is_as_before(self, part: _Part, state: MeshState) -> bool:
        # In the order of use: only if all before are the same would it ask for the next.
        for used in part.uses:
            if used.trust is not _Trust.SURE:
                self._renew(used, state)
                if part.trust is not _Trust.DOUBTFUL:
                    return False
        return True

    def _compute(self, part: _Part, state: MeshState) -> None:
        function, args = part.call
        reading = Reading(state, self, part)
        value, failure = None, None
        try:
            value = function(reading, *args)
        except Exception as error:  # noqa: BLE001 - raised by whoever asks for the part
            failure = error
        self._note(part, reading.reads, reading.uses)
        part.trust = _Trust.SURE
        if failure is None and part.failure is None and part.value == value:
            return  # And the object stays, so that comparing it costs nothing to others.
        part.value, part.failure = value, failure
        for user in part.users:
            if user.trust is _Trust.DOUBTFUL:
                user.trust = _Trust.STALE

    def _note(self, part: _Part, reads: set[Fact], uses: dict[_Part, None]) -> None:
        """What a part rests on now, in place of what it rested on before."""
        before = set(part.reads)
        if before != reads:
            for fact in reads - before:
                self._readers.setdefault(fact, set()).add(part)
            for fact in before - reads:
                self._no_longer_read(fact, part)
            part.reads = tuple(reads)
        used_before, part.uses = part.uses, tuple(uses)
        if used_before != part.uses:
            for used in used_before:
                if used not in uses:
                    self._no_longer_used(used, part)

    def _release(self, part: _Part) -> None:
        del self._known[part.call]
        for fact in part.reads:
            self._no_longer_read(fact, part)
        for used in part.uses:
            self._no_longer_used(used, part)

    def _no_longer_read(self, fact: Fact, part: _Part) -> None:
        readers = self._readers[fact]
        readers.discard(part)
        if not readers:
            del self._readers[fact]

    def _no_longer_used(self, used: _Part, part: _Part) -> None:
        used.users.discard(part)
        if not used.users:
            self._release(used)


class Reading:
    """One state, read on behalf of one part; it notes what was asked for."""

    __slots__ = ("_on_behalf_of", "parts", "reads", "state", "uses")

    def __init__(
        self, state: MeshState, parts: Parts | None = None, on_behalf_of: _Part | None = None
    ) -> None:
        self.state = state
        self.parts = Parts() if parts is None else parts
        self.reads: set[Fact] = set()
        self.uses: dict[_Part, None] = {}
        self._on_behalf_of = on_behalf_of

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

    def document(self, collection: str, name: str) -> Mapping[str, Any] | None:
        """A kept document."""
        self.reads.add(document_of(collection, name))
        return self.state.document(collection, name)

    def documents(self, collection: str) -> Mapping[str, Mapping[str, Any]]:
        """The documents of a collection by name, each of them read."""
        self.reads.add(documents_of(collection))
        return self.state.collection(collection)

    def part(self, function: Callable[[Reading, Unpack[Args]], R], *args: *Args) -> R:
        """
        ``function(reading, *args)``, computed only if what is kept of before no longer holds.

        A failure is kept like a value: it stands until a fact that led to it changes.
        """
        used = self.parts.get((function, args), self.state)
        if self._on_behalf_of is not None:
            # At once: what is in use must not be forgotten while this part is computed.
            used.users.add(self._on_behalf_of)
            self.uses[used] = None
        if used.failure is not None:
            raise used.failure
        found: R = used.value
        return found
