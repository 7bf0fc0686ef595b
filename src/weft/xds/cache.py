"""
What the streams of one view share: its newest snapshot, and each response assembled once.

Replicas of a workload that are in the same state get the same bytes. The state of a
stream, per type, is the mapping of resources it was told; such mappings are never
changed but replaced, so *the same state* is *the same object*, and a response can be
looked up by what was told before and what is wanted now. A response lives as long as
some proxy still has to answer it, no longer: bodies are the largest thing we hold.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from weft.names import View
from weft.translate.snapshot import Encoded, ResourceType, Snapshot
from weft.xds import wire
from weft.xds.wire import Variant

Resources = Mapping[str, Encoded]

_ASKED_KEPT = 512


def content_version(resources: Resources) -> str:
    """The version of a set of resources: equal sets have equal versions, wherever they are made."""
    lines = sorted(f"{name} {resource.version}" for name, resource in resources.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def differing(told: Resources, wanted: Resources) -> tuple[Encoded, ...]:
    """What is wanted and was not told, or not in this version."""
    return tuple(
        [
            resource
            for name, resource in wanted.items()
            if (before := told.get(name)) is not resource
            and (before is None or before.version != resource.version)
        ]
    )


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Change:
    """What one response says: the proxy held ``before`` and, once it accepts, holds ``after``."""

    before: Resources
    wanted: Resources
    updates: tuple[Encoded, ...]
    removed: tuple[str, ...]
    after: Resources
    body: bytes = field(repr=False)

    @property
    def adds(self) -> bool:
        """Whether the proxy learns of a resource it did not know by name."""
        return any(resource.name not in self.before for resource in self.updates)

    def completes(self, kind: ResourceType) -> bool:
        """Whether nothing of this type is left to say once this is accepted."""
        if self.after is self.wanted:
            return True
        # Assignments and routes that are no longer wanted need no word from us.
        return not kind.wildcard and not differing(self.after, self.wanted)


class Target:
    """Where the streams of a view are to be led: one snapshot, and the responses that lead there."""

    __slots__ = ("_before", "_changes", "_wanted", "revision", "snapshot")

    def __init__(self, snapshot: Snapshot, revision: int, previous: Target | None = None) -> None:
        self.snapshot = snapshot
        self.revision = revision
        self._wanted: dict[tuple[ResourceType, frozenset[str] | None], Resources] = {}
        self._before = previous._wanted if previous else {}
        self._changes: WeakValueDictionary[tuple[Any, ...], Change] = WeakValueDictionary()

    def wanted(self, kind: ResourceType, names: frozenset[str] | None) -> Resources:
        """The resources of a subscription; names ``None`` asks for all of the type."""
        key = (kind, names)
        if (found := self._wanted.get(key)) is not None:
            return found
        resources = self.snapshot.of(kind)
        if names is not None:
            resources = {name: resources[name] for name in names if name in resources}
        # The same content stays the same object, or streams that it does not
        # concern would be compared name by name at every change.
        before = self._before.get(key)
        wanted = before if before is not None and before == resources else resources
        self._wanted[key] = wanted
        return wanted

    def update(
        self, kind: ResourceType, variant: Variant, told: Resources, wanted: Resources
    ) -> Change | None:
        """The response that adds and updates all that is wanted; it removes nothing."""
        key = (kind, variant, id(told), id(wanted))
        if (found := self._changes.get(key)) is not None:
            return found
        updates = differing(told, wanted)
        if not updates:
            return None
        if not told.keys() <= wanted.keys():
            after: Resources = {**told, **{resource.name: resource for resource in updates}}
        else:
            after = wanted
        change = self.change(kind, variant, told, wanted, updates, (), after)
        self._changes[key] = change
        return change

    def removal(
        self, kind: ResourceType, variant: Variant, told: Resources, wanted: Resources
    ) -> Change | None:
        """The response that removes what is no longer wanted, and nothing else."""
        key = (kind, variant, id(told), id(wanted), "removal")
        if (found := self._changes.get(key)) is not None:
            return found
        removed = told.keys() - wanted.keys()
        if not removed:
            return None
        change = self.without(kind, variant, told, wanted, removed)
        self._changes[key] = change
        return change

    def without(
        self,
        kind: ResourceType,
        variant: Variant,
        told: Resources,
        wanted: Resources,
        removed: Collection[str],
    ) -> Change:
        """The response that removes exactly these."""
        kept = {name: resource for name, resource in told.items() if name not in removed}
        after = wanted if kept == wanted else kept
        return self.change(kind, variant, told, wanted, (), tuple(sorted(removed)), after)

    def change(
        self,
        kind: ResourceType,
        variant: Variant,
        told: Resources,
        wanted: Resources,
        updates: tuple[Encoded, ...],
        removed: tuple[str, ...],
        after: Resources,
    ) -> Change:
        """Assemble one response, nonce aside."""
        if variant is Variant.DELTA:
            # The version means nothing to the protocol; Envoy shows it as the text of its
            # version statistics, where an operator recognises a revision.
            body = wire.delta_body(kind, updates, removed, str(self.revision))
        else:
            # Clusters and listeners that are left out are removed; of the other types they
            # are left alone (xDS protocol, "Grouping Resources into Responses").
            resources = after.values() if kind.wildcard else updates
            body = wire.sotw_body(kind, resources, content_version(after))
        return Change(told, wanted, updates, removed, after, body)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no snapshot could be made of a revision; the last good one stays in force."""

    reason: str
    revision: int
    since: int
    """The first revision that was to be published with it."""


class Feed:
    """What was published for one view, and the streams that follow it."""

    __slots__ = ("_asked", "failure", "followers", "target", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self.target: Target | None = None
        self.failure: Failure | None = None
        self.followers: set[Any] = set()
        self._asked: list[int] = []

    def publish(self, snapshot: Snapshot, revision: int, since: int) -> None:
        """
        Lead the streams to this snapshot.

        ``since`` is the first revision that may have made it necessary: where changes
        come faster than they are followed, one snapshot stands for several.
        """
        self.target = Target(snapshot, revision, self.target)
        self.failure = None
        if not self._asked or self._asked[-1] < since:
            self._asked.append(since)
            if len(self._asked) > _ASKED_KEPT:
                del self._asked[: _ASKED_KEPT // 2]

    def fail(self, reason: str, revision: int, since: int) -> None:
        """Say that nothing could be published for this revision."""
        self.failure = Failure(reason, revision, since)

    def first_after(self, revision: int) -> int | None:
        """The first revision after this one that asked something of the view's proxies."""
        at = bisect_right(self._asked, revision)
        published = self._asked[at] if at < len(self._asked) else None
        if self.failure is None or self.failure.since <= revision:
            return published
        return min(published or self.failure.since, self.failure.since)
