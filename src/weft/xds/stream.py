"""
One aggregated stream, without its socket: what to say next, over all types.

Make before break (xDS protocol, "Eventual consistency considerations"):

    1  clusters, then their endpoints and secrets      said as soon as they are known
    2  listeners, then routes                          once no new cluster is unanswered
    3  endpoints of which none is left                 once 2 is accepted
    4  listeners that are no longer wanted             once 2 is accepted
    5  clusters that are no longer wanted              once 4 is accepted

Endpoints never wait for the clusters' ACK: Envoy gives that ACK only when the clusters
are warm, and they get warm by their endpoints. Routes do wait for it, because a route
to a cluster that is still warming answers 503. The last endpoint of a cluster stays
until the routes lead elsewhere: with none Envoy answers 503 without a second try. All
waiting is bounded: what is unanswered for two seconds blocks nothing.

A plan is never kept. Each step is derived again from what was told and accepted, so a
snapshot that arrives midway only changes where the rest of the way leads.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from weft.translate.snapshot import Encoded, ResourceType
from weft.xds.cache import Change, Feed, Resources, Target, differing
from weft.xds.subscription import NO_NAMES, Answer, Subscription, Unanswered
from weft.xds.variants import DeltaSubscription, SotwSubscription
from weft.xds.wire import Request, Variant, mention, with_nonce

PATIENCE_SECONDS = 2.0
START_SECONDS = 15.0
"""
How long a cluster found by DNS is not replaced by one whose endpoints we tell, nor the other
way round, while a proxy starts, that is until it asks for listeners.

Envoy accepts its first clusters at once, and then resolves and health-checks them. If one
that it still waits for is replaced so meanwhile, it goes on waiting for the one that is
gone, and never ends its start.
"""

_CLUSTERS, _ENDPOINTS = ResourceType.CLUSTER, ResourceType.ENDPOINT
_LISTENERS, _ROUTES = ResourceType.LISTENER, ResourceType.ROUTE


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A response that is to be written now."""

    kind: ResourceType
    nonce: str
    data: bytes
    resources: int
    """How many resources it adds, updates or removes; 0 only says that nothing changed."""


class Stream:
    """The subscriptions of one proxy, and the order in which they are served."""

    __slots__ = (
        "_begun",
        "_next_nonce",
        "_patience",
        "_rested",
        "_said",
        "covers",
        "feed",
        "subscriptions",
        "variant",
    )

    def __init__(
        self, variant: Variant, feed: Feed, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self.variant = variant
        self.feed = feed
        self.subscriptions: dict[ResourceType, Subscription] = {}
        self._patience = patience_seconds
        self.covers = -1
        """The newest revision that the proxy has accepted in every part; -1 for none."""
        self._next_nonce = 1
        self._begun: float | None = None
        """When the first clusters were told."""
        self._rested: Target | None = None
        self._said: Target | None = None
        """The target of which nothing is left to say, if the proxy accepts all that is in flight."""

    def on_request(self, request: Request, at: datetime) -> Answer | None:
        """Take in what the proxy says; ``next`` tells what follows from it."""
        subscription = self.subscriptions.get(request.kind)
        if subscription is None:
            made = DeltaSubscription if self.variant is Variant.DELTA else SotwSubscription
            subscription = self.subscriptions[request.kind] = made(request.kind)
        asked, begun = subscription.asked, subscription.begun
        answer = subscription.on_request(request, at)
        if request.kind is ResourceType.SECRET and not begun and self._returning:
            subscription.doubt()
        if answer is not Answer.ACK or subscription.asked != asked:
            self._said = None
        return answer

    @property
    def _returning(self) -> bool:
        return any(subscription.returning for subscription in self.subscriptions.values())

    def look_again(self) -> bool:
        """Offer refused secrets once more; whether there are any that it may help."""
        secrets, target = self.subscriptions.get(ResourceType.SECRET), self.feed.target
        if secrets is None or target is None or not secrets.look_again(target):
            return False
        self._said = None
        return True

    def next(self, now: float) -> Outgoing | None:
        """The next response, at this moment; None when the proxy must speak or change first."""
        target = self.feed.target
        if target is None:
            return None
        unsaid: set[ResourceType] = set()
        if self._said is not target:
            if response := self._say(target, now, unsaid):
                return response
            self._said = None if unsaid else target
        self._rested = target
        covers = target.revision
        for kind, subscription in self.subscriptions.items():
            if subscription.unanswered:
                if subscription.waits(now, self._patience):
                    self._rested = None
            elif kind not in unsaid and not subscription.unsure:
                subscription.covers = target.revision
            covers = min(covers, subscription.covers)
        if _CLUSTERS in self.subscriptions and _LISTENERS in self.subscriptions:
            # Before that it has just connected: what it will ask for may still differ.
            self.covers = covers
        return None

    def _say(self, target: Target, now: float, unsaid: set[ResourceType]) -> Outgoing | None:
        """The first of what is due; ``unsaid`` takes the types in which something must wait."""
        new_clusters = False
        for kind in (_CLUSTERS, _ENDPOINTS, ResourceType.SECRET):
            if (subscription := self.subscriptions.get(kind)) is None:
                continue
            later = self._deserted(target, now) if kind is _ENDPOINTS else NO_NAMES
            if later:
                unsaid.add(kind)
            if change := subscription.update(target, later):
                if not self._waits(kind, now) and not self._too_early(kind, change, now):
                    return self._send(subscription, change, now)
                unsaid.add(kind)
                new_clusters |= kind is _CLUSTERS and subscription.lacks(target)
            new_clusters |= kind is _CLUSTERS and subscription.adding(now, self._patience)

        refused = self._refused_clusters()
        for kind in (_LISTENERS, _ROUTES):
            if (subscription := self.subscriptions.get(kind)) is None:
                continue
            withheld = NO_NAMES
            if refused:
                withheld = _depending(subscription, target, refused)
            if change := subscription.update(target, withheld):
                if not new_clusters and not self._waits(kind, now):
                    return self._send(subscription, change, now)
                unsaid.add(kind)
            if withheld:
                unsaid.add(kind)

        for subscription, change in self._removals(target):
            if self._may_remove(subscription.kind, unsaid, now):
                return self._send(subscription, change, now)
            unsaid.add(subscription.kind)
        return None

    @property
    def resting(self) -> bool:
        """Whether all that can be said of the newest snapshot was said and answered."""
        return self._rested is not None and self._rested is self.feed.target

    @property
    def patience(self) -> timedelta:
        """How long an answer may take before it blocks nothing any more."""
        return timedelta(seconds=self._patience)

    def suspects(self, now: float) -> Iterator[tuple[ResourceType, Unanswered]]:
        """Responses that have been unanswered for too long."""
        for kind, subscription in self.subscriptions.items():
            for response in subscription.unanswered:
                if now - response.since >= self._patience:
                    yield kind, response

    def _waits(self, kind: ResourceType, now: float) -> bool:
        subscription = self.subscriptions.get(kind)
        return subscription is not None and subscription.waits(now, self._patience)

    def _too_early(self, kind: ResourceType, change: Change, now: float) -> bool:
        """Whether a response would replace clusters that the proxy may still be waiting for."""
        if kind is not _CLUSTERS or _LISTENERS in self.subscriptions or self._begun is None:
            return False
        told = self.subscriptions[kind].told
        return now - self._begun < START_SECONDS and any(
            (before := told.get(after.name)) is not None
            and before.told_endpoints != after.told_endpoints
            for after in change.updates
        )

    def _removals(self, target: Target) -> Iterator[tuple[Subscription, Change]]:
        for kind in (_LISTENERS, _CLUSTERS):
            subscription = self.subscriptions.get(kind)
            if subscription is not None and (change := subscription.removal(target)):
                yield subscription, change

    def _may_remove(
        self, kind: ResourceType, unsaid: AbstractSet[ResourceType], now: float
    ) -> bool:
        if _LISTENERS not in self.subscriptions:
            # It has just come back: its listeners, which it will ask about next, may
            # still lead to what is to go.
            return False
        if self._waits(_LISTENERS, now) or self._waits(_ROUTES, now) or self._waits(kind, now):
            return False
        if not unsaid.isdisjoint((_LISTENERS, _ROUTES)):
            return False
        # A proxy that refused a listener or routes still uses the old ones, and these
        # may use any cluster. A listener may go: often it is what the refused one
        # collides with.
        return kind is _LISTENERS or not any(
            subscription.unsure
            for other in (_LISTENERS, _ROUTES)
            if (subscription := self.subscriptions.get(other))
        )

    def _deserted(self, target: Target, now: float) -> AbstractSet[str]:
        """Clusters whose last endpoint goes, while routes that may lead there are on their way."""
        endpoints = self.subscriptions[_ENDPOINTS]
        told, wanted = endpoints.told, endpoints.wanted(target)
        if told is wanted or self._refused_clusters():
            return NO_NAMES
        found = {r.name for r in differing(told, wanted) if r.deserted and r.name in told}
        if not found or not any(
            subscription.update(target) or self._waits(kind, now)
            for kind in (_LISTENERS, _ROUTES)
            if (subscription := self.subscriptions.get(kind)) and not subscription.unsure
        ):
            return NO_NAMES
        return found

    def _refused_clusters(self) -> list[bytes]:
        clusters = self.subscriptions.get(_CLUSTERS)
        if clusters is None or not clusters.held:
            return []
        return [mention(name) for name in clusters.held if name not in clusters.accepted]

    def _send(self, subscription: Subscription, change: Change, now: float) -> Outgoing:
        assert self.feed.target is not None
        nonce = format(self._next_nonce, "x")
        self._next_nonce += 1
        subscription.sent(change, nonce, self.feed.target.revision, now)
        if subscription.kind is _CLUSTERS:
            self._begun = now if self._begun is None else self._begun
            self._warm(change)
        if subscription.kind is _LISTENERS and change.removed:
            subscription.release()
        said = len(change.updates) + len(change.removed)
        return Outgoing(subscription.kind, nonce, with_nonce(change.body, nonce), said)

    def _warm(self, change: Change) -> None:
        """
        A cluster that changed warms anew, and needs its endpoints for that.

        Envoy does not ask again for what it is still subscribed to, so it would wait
        for the fetch timeout.
        """
        changed = {r.name for r in change.updates if r.name in change.before}
        if changed and (endpoints := self.subscriptions.get(_ENDPOINTS)):
            endpoints.again(changed)


def _depending(subscription: Subscription, target: Target, refused: list[bytes]) -> frozenset[str]:
    """
    What must not be told because it uses a cluster that the proxy refused and never had.

    Envoy would accept such routes and answer 503, where the last good ones still serve.
    """
    wanted: Resources = subscription.wanted(target)

    def uses(resource: Encoded) -> bool:
        return any(name in resource.delta for name in refused)

    return frozenset(r.name for r in differing(subscription.told, wanted) if uses(r))
