"""
One resource type on one stream: what the proxy asked for, what it was told, what it said.

    Unasked ──request──▶ Idle ──sent──▶ Unanswered ──ACK───▶ Idle
                          ▲                 │ └─────NACK──▶ Idle, its resources *unsure*
                          │                 └─2 s─▶ Suspect: blocks nothing any more; its
                          │                         answer still counts when it comes
                          └── an unsure resource goes alone: ACK ▶ sure again
                                                             NACK ▶ *held* at that version

A NACK names the response, not the resource, and what of it was applied is not known
(Envoy refuses all of it for a broken constraint, only the culprit otherwise). So its
resources are sent again one by one, and only one that is refused alone is held back,
until its version changes. A secret that is a file where the proxy runs may be mended there,
unseen by us: it is offered again from time to time, in other words, since Envoy accepts
what it was told before without looking (decision 0027).
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import ClassVar

from weft.translate.snapshot import ResourceType
from weft.xds.cache import Change, Resources, Target, differing
from weft.xds.wire import Request, Variant

NO_NAMES: frozenset[str] = frozenset()
_NOTHING: Resources = {}

_UNANSWERED_KEPT = 16
"""A proxy that answers nothing is still told the news; so many of its debts are remembered."""


class Answer(Enum):
    """What a request said about an earlier response."""

    ACK = auto()
    NACK = auto()
    STALE = auto()
    """About a response we have replaced or never sent."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A NACK: the proxy keeps what it accepted before."""

    words: str
    """Envoy's own, as they came."""
    nonce: str
    revision: int
    names: tuple[str, ...]
    version: str
    """Of the resource, when there is only one."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A response in flight."""

    nonce: str
    change: Change
    revision: int
    since: float
    """Monotonic seconds."""
    completes: bool
    """Whether the type is as wanted at that revision, once this is accepted."""


class Subscription:
    """The part that both protocols share: responses, answers, and doubt."""

    __slots__ = (
        "accepted",
        "accepted_revision",
        "asked",
        "begun",
        "covers",
        "fresh",
        "held",
        "kind",
        "names",
        "otherwise",
        "rejection",
        "returning",
        "sent_revision",
        "told",
        "unanswered",
        "unknown",
        "unsure",
        "wildcard",
    )

    variant: ClassVar[Variant]

    def __init__(self, kind: ResourceType) -> None:
        self.kind = kind
        self.begun = False
        self.asked = 0
        """How often the proxy has asked for something, not only answered."""
        self.wildcard = False
        self.names = NO_NAMES
        self.told = _NOTHING
        """What the proxy holds if it accepts everything in flight."""
        self.accepted = _NOTHING
        """What the proxy is known to hold: its last good configuration."""
        self.unanswered: list[Unanswered] = []
        self.unsure: set[str] = set()
        """Names of resources that were part of a NACK; each goes alone until it is accepted."""
        self.held: dict[str, Rejection] = {}
        """The unsure ones that were refused alone."""
        self.otherwise: set[str] = set()
        """Names of resources that are offered in other words next."""
        self.returning = False
        """Whether the proxy says that it holds something from an earlier stream."""
        self.rejection: Rejection | None = None
        """The last NACK, until everything it was about is accepted."""
        self.unknown = NO_NAMES
        """Names asked for that must be answered even when there is no such resource."""
        self.fresh = False
        """Whether the proxy waits for a response even when there is nothing to say."""
        self.covers = -1
        """The newest revision of which nothing is unsaid, unanswered or refused."""
        self.sent_revision: int | None = None
        self.accepted_revision: int | None = None

    def on_request(self, request: Request, at: datetime) -> Answer | None:
        """Take in what the proxy says about this type."""
        raise NotImplementedError

    # --- what is due ----------------------------------------------------------------------

    def wanted(self, target: Target) -> Resources:
        return target.wanted(self.kind, None if self.wildcard else self.names)

    def update(self, target: Target, withheld: AbstractSet[str] = NO_NAMES) -> Change | None:
        """The next response that adds or updates; None when there is nothing to say."""
        wanted = self.wanted(target)
        if self.unsure and (alone := self._alone(target, wanted, withheld)):
            return alone
        unknown = self.unknown - wanted.keys() if self.unknown else NO_NAMES
        change = (
            self._selected(target, wanted, self.unsure | withheld, unknown)
            if self.unsure or withheld or unknown
            else self._all(target, wanted)
        )
        if change is None and self.fresh:
            # Envoy does not go on before it has heard of all clusters and listeners, even
            # if there are none.
            return target.change(self.kind, self.variant, self.told, wanted, (), (), self.told)
        return change

    def removal(self, target: Target) -> Change | None:
        """
        The response that removes what is no longer wanted.

        Only clusters and listeners are ever removed: Envoy drops assignments, routes
        and secrets by itself, with the last cluster or listener that refers to them.
        """
        if not self.kind.wildcard:
            return None
        wanted = self.wanted(target)
        if self.told is wanted and not self.unsure:
            return None
        # What was refused together with others may have been applied all the same.
        doubtful = self.unsure - wanted.keys() - self.told.keys()
        if doubtful:
            removed = doubtful | (self.told.keys() - wanted.keys())
            return target.without(self.kind, self.variant, self.told, wanted, removed)
        return target.removal(self.kind, self.variant, self.told, wanted)

    def _all(self, target: Target, wanted: Resources) -> Change | None:
        if self.told is wanted:
            return None
        change = target.update(self.kind, self.variant, self.told, wanted)
        if change is None and len(self.told) == len(wanted):
            # Equal, so let it be the same: the next comparison is then one of identity.
            if self.accepted is self.told:
                self.accepted = wanted
            self.told = wanted
        return change

    def _selected(
        self,
        target: Target,
        wanted: Resources,
        apart: AbstractSet[str],
        unknown: AbstractSet[str],
    ) -> Change | None:
        """As ``_all``, without some, and with an answer for names that mean nothing."""
        updates = tuple([r for r in differing(self.told, wanted) if r.name not in apart])
        if not updates and not unknown:
            return None
        after = {**self.told, **{resource.name: resource for resource in updates}}
        removed = tuple(sorted(unknown)) if self.variant is Variant.DELTA else ()
        return target.change(
            self.kind,
            self.variant,
            self.told,
            wanted,
            updates,
            removed,
            wanted if after == wanted else after,
        )

    def _alone(
        self, target: Target, wanted: Resources, withheld: AbstractSet[str]
    ) -> Change | None:
        offered = {
            (resource.name, resource.version)
            for response in self.unanswered
            for resource in response.change.updates
        }
        for name in sorted(self.unsure):
            resource = wanted.get(name)
            if resource is None:
                # No longer a matter of being refused. But an earlier version may have
                # been applied, so it stays unsure until it is removed.
                self.held.pop(name, None)
                if not self.kind.wildcard:
                    self.unsure.discard(name)
                continue
            if (held := self.held.get(name)) and held.version == resource.version:
                continue
            if name in self.otherwise and resource.again is not None:
                resource = resource.again
            if name in withheld or (name, resource.version) in offered:
                continue
            after = {**self.told, name: resource}
            return target.change(
                self.kind,
                self.variant,
                self.told,
                wanted,
                (resource,),
                (),
                wanted if after == wanted else after,
            )
        if self.unsure.isdisjoint(wanted):
            self.rejection = None
        return None

    # --- what was sent, and what came back ------------------------------------------------

    def sent(self, change: Change, nonce: str, revision: int, since: float) -> None:
        """Remember a response that now leaves."""
        for name in change.removed:
            self._forget(name)
        self.otherwise.difference_update([resource.name for resource in change.updates])
        sure = not self.unsure.difference(resource.name for resource in change.updates)
        self.unanswered.append(
            Unanswered(nonce, change, revision, since, sure and change.completes(self.kind))
        )
        del self.unanswered[:-_UNANSWERED_KEPT]
        self.told = change.after
        self.sent_revision = revision
        self.fresh = False
        self.unknown = NO_NAMES

    def waits(self, now: float, patience_seconds: float) -> bool:
        """Whether a response is unanswered and may still be answered soon."""
        # Most of the time nothing is; and the last one sent is the last to become suspect.
        unanswered = self.unanswered
        return bool(unanswered) and now - unanswered[-1].since < patience_seconds

    def lacks(self, target: Target) -> bool:
        """Whether something wanted has not been told at all, and is not held back."""
        return not self.wanted(target).keys() <= self.told.keys() | self.held.keys()

    def adding(self, now: float, patience_seconds: float) -> bool:
        """Whether such a response names a resource that the proxy did not know."""
        return any(
            now - response.since < patience_seconds and response.change.adds
            for response in self.unanswered
        )

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """What the proxy refuses now: resource by resource, once that is known."""
        if self.held:
            return tuple(self.held[name] for name in sorted(self.held))
        if self.rejection is not None and (self.unsure or not self.rejection.names):
            return (self.rejection,)
        return ()

    def again(self, names: AbstractSet[str]) -> None:
        """Tell these once more, changed or not."""
        self._drop(names & self.names)

    def look_again(self, target: Target) -> bool:
        """
        Offer once more, in other words, what may have been mended where the proxy runs.

        Until it is accepted it stays refused, in the proxy's last words.
        """
        wanted = self.wanted(target)
        mendable = {
            name for name in self.held if (found := wanted.get(name)) and found.again is not None
        }
        self.otherwise |= mendable
        for name in mendable:
            del self.held[name]
        return bool(mendable)

    def doubt(self) -> None:
        """Of what was asked for, the proxy may have refused some before, and not look again."""
        names = self.names - self.told.keys()
        self.unsure |= names
        self.otherwise |= names

    def release(self) -> None:
        """Try once more what was refused: what it collided with may be gone."""
        self.held.clear()

    def _answered(self, nonce: str, error: str | None, at: datetime) -> Answer:
        response = next((r for r in self.unanswered if r.nonce == nonce), None)
        if response is None:
            return Answer.STALE
        self.unanswered.remove(response)
        if error is None:
            self._accept(response)
            return Answer.ACK
        self._reject(response, error, at)
        return Answer.NACK

    def _accept(self, response: Unanswered) -> None:
        change = response.change
        if self.accepted is change.before:
            self.accepted = change.after
        elif change.updates or change.removed:
            merged = {n: r for n, r in self.accepted.items() if n not in change.removed}
            merged.update(
                (resource.name, resource)
                for resource in change.updates
                if self.wildcard or resource.name in self.names
            )
            self.accepted = self.told if merged == self.told else merged
        for resource in change.updates:
            self._forget(resource.name)
        self.accepted_revision = response.revision
        if response.completes and not self.unsure:
            self.covers = max(self.covers, response.revision)
        if not self.unsure:
            self.rejection = None

    def _reject(self, response: Unanswered, error: str, at: datetime) -> None:
        change = response.change
        names = tuple(resource.name for resource in change.updates)
        version = change.updates[0].version if len(names) == 1 else ""
        self.rejection = Rejection(error, response.nonce, response.revision, names, version, at)
        self.unsure.update(names)
        if len(names) == 1:
            self.held[names[0]] = self.rejection
        told = dict(self.told)
        for resource in change.updates:
            now_told = told.get(resource.name)
            if now_told is None or now_told.version != resource.version:
                continue  # A later response has replaced it.
            if (good := self.accepted.get(resource.name)) is None:
                del told[resource.name]
            else:
                told[resource.name] = good
        self.told = self.accepted if told == self.accepted else told

    def _forget(self, name: str) -> None:
        self.unsure.discard(name)
        self.held.pop(name, None)

    def _drop(self, names: AbstractSet[str]) -> None:
        """The proxy no longer holds these, or wants to be told again."""
        if not self.told.keys().isdisjoint(names):
            self.told = {n: r for n, r in self.told.items() if n not in names}
        if not self.accepted.keys().isdisjoint(names):
            self.accepted = {n: r for n, r in self.accepted.items() if n not in names}
