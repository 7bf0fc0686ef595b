"""
The only memory of the mesh: admit, write, one revision up, wake the watchers.

One process writes. A change is checked against the state in memory, written to
the database in a thread, and becomes the state only once it is durable.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import DatabaseError

from weft.clock import Clock
from weft.errors import BadRequest, Conflict, Forbidden, NotFound, Unavailable, WeftError
from weft.names import DEFAULT_ACCOUNT
from weft.quotas import Quotas
from weft.store import document, history
from weft.store.admission import Admitted, admit
from weft.store.change import Applied, Author, Change, Kept, Outcome, Step
from weft.store.database import Database, Row
from weft.store.state import Draft, MeshState
from weft.store.tokens import Token, TokenUsed

T = TypeVar("T")

_JUDGED_AT_ONCE = 50
"""Steps of a change that is judged without leaving the event loop."""


@dataclass(frozen=True, slots=True)
class Event:
    """What watchers are woken with: the new state and what led to it."""

    state: MeshState
    outcomes: tuple[Outcome, ...]
    kept: tuple[Kept, ...] = ()


class Watcher:
    """Every revision since it was opened, in order and without gaps."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def wake(self, event: Event) -> None:
        self._events.put_nowait(event)

    async def next(self) -> list[Event]:
        """Everything that has happened since the last call; waits until there is something."""
        events = [await self._events.get()]
        while not self._events.empty():
            events.append(self._events.get_nowait())
        return events


class Store:
    """One data directory, opened by one process."""

    def __init__(
        self,
        database: Database,
        state: MeshState,
        clock: Clock,
        account: str = DEFAULT_ACCOUNT,
        quotas: Quotas = Quotas(),  # noqa: B008 - frozen
    ) -> None:
        self.state = state
        """Everything at the newest revision."""
        self.credentials = database.credentials
        """Beside the log; to be used in ``blocking``."""
        self.secrets = database.secrets
        """The same; ``complete`` takes what they open to."""
        self._database = database
        self._clock = clock
        self.account = account
        """The control plane's own, which owns every mesh whose key names no other."""
        self._quotas = quotas
        self._writing = asyncio.Lock()
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(2, "store-reader")
        self._watchers: list[Watcher] = []

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        directory: Path,
        clock: Clock,
        account: str = DEFAULT_ACCOUNT,
        quotas: Quotas = Quotas(),  # noqa: B008 - frozen
    ) -> AsyncIterator[Store]:
        """Open a data directory, made and migrated where needed; CannotStart says why not."""
        loop = asyncio.get_running_loop()
        database = await loop.run_in_executor(None, Database, directory)
        try:
            state = await loop.run_in_executor(None, _newest_state, database)
            store = cls(database, state, clock, account, quotas)
            try:
                yield store
            finally:
                store._writer.shutdown()
                store._readers.shutdown()
        finally:
            database.close()

    def complete(self, secrets: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        """
        Join what secrets hold to documents of the newest state, by collection and name.

        For whoever can open them, once and before anybody else reads the state.
        """
        draft = Draft(self.state)
        for (collection, name), members in secrets.items():
            if (found := draft.document(collection, name)) is not None and members:
                draft.keep(collection, name, {**found, **members})
        self.state = draft.freeze(self.state.revision)

    def watch(self) -> Watcher:
        """Be woken from now on; ``state`` is read by the caller in the same breath."""
        watcher = Watcher()
        self._watchers.append(watcher)
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers.remove(watcher)

    async def apply(
        self,
        steps: Sequence[Step],
        author: Author,
        *,
        note: str = "",
        dry_run: bool = False,
        caller: str | None = None,
        token: Token | None = None,
    ) -> Applied:
        """
        Do all steps as one revision, or none; answered once it is durable.

        Without a ``caller`` (an account) nobody's ownership stands in the way. With a
        ``token``, which goes with one step, what was done before is answered again.
        """
        if dry_run:
            admitted = await self._admit(steps, caller)
            return Applied(self.state.revision, admitted.outcomes, admitted.kept)
        # A caller that goes away must not leave memory and disk disagreeing.
        return await asyncio.shield(self._apply(steps, author, note, caller, token))

    async def decide(
        self,
        decide: Callable[[MeshState], Sequence[Step]],
        author: Author,
        *,
        note: str = "",
        caller: str | None = None,
    ) -> Applied:
        """Like ``apply``, for steps that depend on the state: nothing comes between the two."""
        return await asyncio.shield(self._apply(decide, author, note, caller))

    async def _apply(
        self,
        asked: Sequence[Step] | Callable[[MeshState], Sequence[Step]],
        author: Author,
        note: str,
        caller: str | None = None,
        token: Token | None = None,
    ) -> Applied:
        async with self._writing:
            steps = asked(self.state) if callable(asked) else asked
            try:
                admitted = await self._admit(steps, caller)
            except WeftError as error:
                if token is None or isinstance(error, Forbidden):
                    raise
                return await self._again(token, error)
            if not admitted.records:
                return Applied(self.state.revision, admitted.outcomes, admitted.kept)
            row = Row(
                self.state.revision + 1,
                self._clock.now(),
                author,
                note,
                all(document.is_registry(record.id) for record in admitted.records),
            )
            try:
                await self._write(self._database.append, row, admitted.records, token)
            except TokenUsed:
                assert token is not None, "no other was asked about"
                return await self._again(token)
            except DatabaseError as error:
                raise Unavailable(
                    f"the change could not be written and was not made: {error.orig or error}",
                    fix="see whether the disk of the data directory is full or read-only",
                ) from error
            self.state = admitted.draft.freeze(row.revision)
            event = Event(self.state, admitted.outcomes, admitted.kept)
            for watcher in self._watchers:
                watcher.wake(event)
            return Applied(row.revision, admitted.outcomes, admitted.kept)

    async def _again(self, token: Token, refused: WeftError | None = None) -> Applied:
        """What a token's request was answered the first time; else the refusal, or a Conflict."""
        found = await self._write(self._database.tokens.recall, token, self._clock.now())
        if found is not None and found.fingerprint == token.fingerprint:
            outcome = await self._read(history.outcome, self._database, found.revision, token.key)
            return Applied(found.revision, (outcome,))
        # What is malformed is that first of all, whatever its token.
        if refused is not None and (found is None or isinstance(refused, BadRequest)):
            raise refused
        raise Conflict(
            "The request contains a client token that was used for a previous update resource "
            "call with different specifications. Try the request again with a new client token."
        )

    async def _admit(self, steps: Sequence[Step], caller: str | None) -> Admitted:
        judge = functools.partial(
            admit,
            self.state,
            steps,
            self._clock,
            self.account,
            caller=caller,
            quotas=self._quotas,
        )
        # A large change takes seconds to judge, and proxies must not wait for it.
        return judge() if len(steps) <= _JUDGED_AT_ONCE else await self._write(judge)

    async def state_at(self, revision: int) -> MeshState:
        """Everything as it stood at a revision; NotFound for one that is not there yet."""
        if revision == self.state.revision:
            return self.state
        self._known(revision)
        return await self._read(_state_at, self._database, revision)

    async def changes(
        self, *, limit: int, before: int | None = None, registry: bool = False
    ) -> list[Change]:
        """The log, newest first; ``registry`` includes revisions that only moved instances."""
        return await self._read(
            history.changes, self._database, limit=limit, before=before, registry=registry
        )

    async def change(self, revision: int) -> Change:
        """One revision of the log."""
        self._known(revision, lowest=1)
        return await self._read(history.change, self._database, revision)

    async def revert(self, revision: int, author: Author) -> Applied:
        """The inverse of a revision as a new one; Conflict when a later one is in the way."""
        self._known(revision, lowest=1)
        steps = await self._read(history.inverse, self._database, revision)
        return await self.apply(steps, author, note=f"revert {revision}")

    async def blocking(self, function: Callable[..., T], *args: object) -> T:
        """Call what waits for the disk, in the thread that writes."""
        return await self._write(function, *args)

    def _known(self, revision: int, lowest: int = 0) -> None:
        if not lowest <= revision <= self.state.revision:
            raise NotFound(
                f"there is no revision {revision}; the newest is {self.state.revision}",
                fix="weft changes lists them",
            )

    async def _write(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, function, *args)

    async def _read(self, function: Callable[..., T], *args: object, **named: object) -> T:
        call = functools.partial(function, *args, **named)
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)


def _newest_state(database: Database) -> MeshState:
    draft = Draft(MeshState())
    document.load(draft, database.current())
    return draft.freeze(database.newest_revision())


def _state_at(database: Database, revision: int) -> MeshState:
    draft = Draft(MeshState())
    document.load(draft, database.at(revision))
    return draft.freeze(revision)
