"""
How a proxy says what it wants, in each of the two protocols.

Citations are from the xDS protocol specification ("xDS REST and gRPC protocol").
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime

from weft.translate.snapshot import Encoded, ResourceType
from weft.xds.cache import Change, Target, content_version
from weft.xds.subscription import NO_NAMES, Answer, Subscription
from weft.xds.wire import DeltaRequest, Request, SotwRequest, Variant

_EVERYTHING = "*"


class DeltaSubscription(Subscription):
    """Names come and go one by one; what the proxy holds from before, it says."""

    __slots__ = ()

    variant = Variant.DELTA

    def on_request(self, request: Request, at: datetime) -> Answer | None:
        assert isinstance(request, DeltaRequest)
        answer = self._answered(request.nonce, request.error, at) if request.nonce else None
        first = not self.begun
        if first:
            self._begin(request)
        # An answer may be stale, a subscription never is: it is said only once.
        if first or request.subscribe or request.unsubscribe:
            self.asked += 1
        subscribed = request.subscribe - {_EVERYTHING}
        unsubscribed = request.unsubscribe - {_EVERYTHING}
        if _EVERYTHING in request.subscribe and not self.wildcard:
            self.wildcard = self.fresh = True
        if subscribed:
            # "Note that … the server must send [it] even if the client has it": it may
            # have dropped the resource since; only the first request says what it holds.
            again = subscribed - request.known.keys() if first else subscribed
            self.names |= subscribed
            self.unknown |= again
            self._drop(again)
            for name in again:
                self.held.pop(name, None)
        if unsubscribed:
            self.names -= unsubscribed
            self._drop(unsubscribed)
            if self.wildcard:
                # The name may still belong to "everything": the proxy waits to be told.
                self.unknown |= unsubscribed
            else:
                self.unknown -= unsubscribed
                for name in unsubscribed:
                    self._forget(name)
        if _EVERYTHING in request.unsubscribe and self.wildcard:
            self.wildcard = False
            others = (self.told.keys() | self.unsure) - self.names
            self._drop(others)
            for name in others:
                self._forget(name)
        return answer

    def _begin(self, request: DeltaRequest) -> None:
        self.begun = True
        # "If the first request for a type names nothing, it asks for everything."
        self.wildcard = self.kind.wildcard and not request.subscribe
        self.fresh = self.kind.wildcard
        # What is known by version only; the bytes are needed of what we send, not of this.
        known = {n: Encoded(n, version, b"") for n, version in request.known.items()}
        self.told = self.accepted = known
        self.returning = bool(known)


class SotwSubscription(Subscription):
    """Every request carries all names; a version says what the proxy holds from before."""

    __slots__ = ("_claimed", "_last_nonce", "_named")

    variant = Variant.SOTW

    def __init__(self, kind: ResourceType) -> None:
        super().__init__(kind)
        self._claimed = ""
        self._last_nonce = ""
        self._named = False

    def on_request(self, request: Request, at: datetime) -> Answer | None:
        assert isinstance(request, SotwRequest)
        answer = None
        if not self.begun:
            self.begun = True
            self.fresh = self.kind.wildcard
            self._claimed = request.version
            self.returning = bool(request.version)
        else:
            if request.nonce:
                answer = self._answered(request.nonce, request.error, at)
            if request.nonce != self._last_nonce:
                # Its names were said before our last response was read; the answer to
                # that one will carry them, or newer ones. But a name that is missing now
                # may be back by then, and its resource forgotten.
                if not self.wildcard and _EVERYTHING not in request.names:
                    self._drop(self.told.keys() - request.names)
                return answer or Answer.STALE
        before = (self.wildcard, self.names)
        # "An empty list asks for everything, unless the stream has ever named something."
        self._named = self._named or bool(request.names)
        self.wildcard = _EVERYTHING in request.names if self._named else self.kind.wildcard
        self.names = request.names - {_EVERYTHING}
        if before != (self.wildcard, self.names):
            self.asked += 1
        if not self.wildcard and not self.told.keys() <= self.names:
            self._drop(self.told.keys() - self.names)
        for name in [] if self.wildcard else self.unsure - self.names:
            self._forget(name)
        # A second request about a nonce only changes names; it answers nothing.
        return None if answer is Answer.STALE else answer

    def update(self, target: Target, withheld: AbstractSet[str] = NO_NAMES) -> Change | None:
        if self._claimed:
            claimed, self._claimed = self._claimed, ""
            wanted = self.wanted(target)
            if claimed == content_version(wanted):
                self.told = self.accepted = wanted
                self.fresh = False
        return super().update(target, withheld)

    def sent(self, change: Change, nonce: str, revision: int, since: float) -> None:
        super().sent(change, nonce, revision, since)
        self._last_nonce = nonce
