"""Where certificates and authorities are written: one after the other, private keys sealed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from weft.clock import Clock
from weft.errors import Conflict, InUse, LimitExceeded, NotFound
from weft.identity.sealing import Seal
from weft.identity.uses import Use
from weft.store.change import Applied, Author, Secret, Step
from weft.store.document import id_of_kept
from weft.store.state import MeshState
from weft.store.store import Store

T = TypeVar("T")

FORGET = "forget every private key and issue anew: weft cert forget-keys"
MOST = 10_000
"""Certificates that one control plane keeps, and as many authorities."""
_LISTED = 10


@dataclass(slots=True)
class Vault:
    """What authorities and certificates have in common."""

    store: Store
    seal: Seal
    clock: Clock
    region: str
    account: str
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever makes something of what stands."""

    @property
    def state(self) -> MeshState:
        return self.store.state

    def now(self) -> datetime:
        return self.clock.now()

    async def alone(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something while nobody else writes here, to its end even if the caller goes away."""

        async def in_turn() -> T:
            async with self._turn:
                return await work

        # Or memory and disk would disagree.
        return await asyncio.shield(in_turn())

    async def write(
        self, steps: Callable[[MeshState], Sequence[Step]], author: Author, note: str
    ) -> Applied:
        return await self.store.decide(steps, author, note=note)

    def secret(
        self, collection: str, arn: str, text: str, members: Mapping[str, Any] | None = None
    ) -> Secret:
        """A key, sealed for the document it belongs to."""
        return Secret(self.seal.seal(text, id_of_kept(collection, arn)), members or {})

    def opened(self, collection: str, arn: str, sealed: str) -> str:
        """The inverse; CannotStart when the key file is another."""
        return self.seal.open(sealed, id_of_kept(collection, arn), FORGET)

    def new_arn(self, service: str, kind: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{kind}/{self.clock.uid()}"


def only(found: Sequence[T], said: str, noun: str, command: str, arn: Callable[[T], str]) -> T:
    """The one that is meant by a name; NotFound or Conflict say why none is."""
    match found:
        case [one]:
            return one
        case []:
            raise NotFound(f"there is no {noun} {said[:200]!r}", fix=f"{command} shows them")
        case _:
            raise Conflict(
                f"{len(found)} are named {said[:200]!r}: {listed([*map(arn, found)])}",
                fix="say which by its ARN",
            )


def refuse_used(what: str, uses: Sequence[Use]) -> None:
    """InUse, if definitions name it."""
    if uses:
        raise InUse(
            f"{what} is used by {listed([f'{each.key} ({each.path})' for each in uses])}",
            fix="take it out there first, or use --force: connections fail then",
        )


def refuse_more(there: int, what: str) -> None:
    """LimitExceeded, if there are so many that no more are taken."""
    if there >= MOST:
        raise LimitExceeded(
            f"there are {MOST} {what} already, which is the limit",
            fix="delete those that are not used",
        )


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
