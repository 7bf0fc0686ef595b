"""
A change in at one end, snapshots out at the other; the cost follows the change.

Every view that some proxy has is kept as one part of ``Parts``. A revision is
reduced to the facts it touched, the parts that rest on them are dropped, and only
the views among those are resolved anew, from parts that mostly still hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Protocol

import structlog

from weft.errors import NotFound
from weft.ir import proxy as ir
from weft.names import Key, Kind, ProxyId, View
from weft.resolve.proxy import proxy, resolve
from weft.resolve.reading import (
    Fact,
    Parts,
    Reading,
    children_of,
    document_of,
    documents_of,
    instances_of,
)
from weft.store.change import Action, Kept, Outcome
from weft.store.ownership import SHARES, no_longer_shared, proxy_named, share_needed
from weft.store.state import MeshState
from weft.store.store import Event, Store
from weft.translate.proxy import translate
from weft.translate.snapshot import Snapshot

log = structlog.get_logger(__name__)

_VIEWS_IN_A_ROW = 50
"""Views resolved before other tasks get their turn."""
_NAMED = 10
"""How many of what there is a message names."""


class Publisher(Protocol):
    """Where snapshots go; xds fulfils it."""

    def publish(self, view: View, snapshot: Snapshot, revision: int) -> None:
        """A view's snapshot as of a revision; called again only when it may differ."""
        ...

    def failed(self, view: View, reason: str, revision: int) -> None:
        """No snapshot could be made; the last good one stays, the reason is shown to operators."""
        ...

    def gone(self, view: View, reason: str, revision: int) -> None:
        """The resource a view stands for was deleted: its streams end with NOT_FOUND."""
        ...

    def processed(self, revision: int) -> None:
        """Everything up to this revision has been published."""
        ...


class _Nobody:
    """Hears everything and passes nothing on."""

    def publish(self, view: View, snapshot: Snapshot, revision: int) -> None: ...
    def failed(self, view: View, reason: str, revision: int) -> None: ...
    def gone(self, view: View, reason: str, revision: int) -> None: ...
    def processed(self, revision: int) -> None: ...


def snapshot_for(state: MeshState, view: View) -> Snapshot:
    """Say what one proxy must be told: this line is the product."""
    return translate(resolve(state, view))


class Pipeline:
    """Keeps every attached view's snapshot up to date with the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._publisher: Publisher = _Nobody()
        self._parts = Parts()
        self._attached: dict[View, int] = {}
        self._watcher = store.watch()
        self._state = store.state
        self.processed = store.state.revision
        """Everything up to this revision has been published."""

    def publish_to(self, publisher: Publisher) -> None:
        """Say where snapshots go; before the first view is attached."""
        self._publisher = publisher
        publisher.processed(self.processed)

    def named(self, id: str, caller: str | None) -> ProxyId:
        """Which proxy an Envoy of an account is by its node id; BadRequest for what is none."""
        return proxy_named(self._state, id, self._store.account, caller)

    def attach(self, view: View) -> None:
        """A proxy with this view is there: publish its snapshot, now and whenever it changes."""
        if (reason := unserved(self._state, view)) is not None:
            raise NotFound(reason)
        self._attached[view] = self._attached.get(view, 0) + 1
        self._publish(view)

    def detach(self, view: View) -> None:
        """One proxy with this view less."""
        left = self._attached.pop(view) - 1
        if left:
            self._attached[view] = left
        else:
            self._parts.forget((proxy, (view,)))

    def resolved(self, view: View) -> ir.Proxy:
        """What an attached view must do, as of ``processed``, for whoever explains it."""
        return Reading(self._state, self._parts).part(proxy, view)

    def notes(self) -> Iterator[tuple[ProxyId, ir.Note]]:
        """What attached views were asked for and cannot do, as of ``processed``."""
        for view in tuple(self._attached):
            try:
                found = self.resolved(view).notes
            except Exception:  # noqa: BLE001, S112 - said when it was to be published
                continue
            yield from ((view.proxy, note) for note in found)

    async def run(self) -> None:
        """Follow the store until cancelled."""
        try:
            while True:
                await self.follow(await self._watcher.next())
        finally:
            self._store.unwatch(self._watcher)

    async def follow(self, events: list[Event]) -> None:
        """Take in revisions, several at once where they came faster than we follow."""
        self._state = events[-1].state
        touched = {fact for event in events for fact in facts(event.outcomes, event.kept)}
        dropped = self._parts.drop(touched)
        affected: list[View] = [args[0] for part, args in dropped if part is proxy]
        for i, view in enumerate(affected):
            if i and i % _VIEWS_IN_A_ROW == 0:
                await asyncio.sleep(0)
            if view in self._attached:
                self._publish(view)
        self.processed = self._state.revision
        self._publisher.processed(self.processed)

    def _publish(self, view: View) -> None:
        revision = self._state.revision
        try:
            snapshot = translate(self.resolved(view))
        except NotFound as error:
            reason = unserved(self._state, view) or error.message
            self._publisher.gone(view, reason, revision)
        except Exception as error:  # One proxy misses one update; the others go on.
            log.exception("snapshot failed", proxy=str(view.proxy), revision=revision)
            self._publisher.failed(view, f"{type(error).__name__}: {error}", revision)
        else:
            self._publisher.publish(view, snapshot, revision)


def facts(outcomes: Iterable[Outcome], kept: Iterable[Kept] = ()) -> Iterator[Fact]:
    """What a change touched, in the terms in which resolutions note what they read."""
    for each in kept:
        yield document_of(each.collection, each.name)
        yield documents_of(each.collection)
    for outcome in outcomes:
        key = outcome.key
        match outcome.action:
            case Action.CREATED | Action.DELETED:
                yield key
                if key.parent is not None:
                    yield children_of(key.parent, key.kind)
                yield instances_of(key)
            case Action.UPDATED:
                yield key
            case Action.REGISTERED | Action.DEREGISTERED:
                yield instances_of(key)
            case Action.TAGGED | Action.UNCHANGED:
                pass


def unserved(state: MeshState, view: View) -> str | None:
    """Why a view gets nothing, in words that say what else there is; None where it gets something."""
    key = view.proxy.key
    found = state.resource(key)
    if found is not None:
        share = share_needed(found)
        if share is None or state.document(SHARES, share) is not None:
            return None
        return no_longer_shared(found)
    if state.resource(Key.of_mesh(key.mesh)) is None:
        meshes = ", ".join(state.names(None, Kind.MESH)[:_NAMED])
        return f"there is no mesh {key.mesh}; there is {meshes or 'none at all'}"
    there = state.names(Key.of_mesh(key.mesh), key.kind)
    more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
    shown = ", ".join(there[:_NAMED]) + more
    return f"mesh {key.mesh} has no {key.kind} {key.name}; it has {shown or 'none'}"
