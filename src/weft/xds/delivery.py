"""
What is really in force: every proxy, what it was told, what it accepted, what it refused.

A proxy has *accepted* revision N when nothing at or below N is unsaid, unanswered or
refused; a proxy that a change does not concern accepts it because the pipeline has
processed it. *Settled* is a question about a revision, asked of all connected proxies.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from weft.clock import Clock
from weft.names import ProxyId, View
from weft.translate.snapshot import ResourceType
from weft.xds.attention import Attention
from weft.xds.cache import content_version
from weft.xds.status import ProxyStatus, Refusal, Settled, State, TypeStatus, Waiting, plain_words
from weft.xds.stream import Stream
from weft.xds.subscription import Answer, Rejection, Subscription
from weft.xds.wire import Variant

_DEPARTED_KEPT = 1000
_COMES_BACK = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a stream, in its own words."""

    instance: str
    address: str
    envoy_version: str = ""
    status_address: str = ""


@dataclass(slots=True)
class Counters:
    """What happened since the start; never reset."""

    pushes: dict[ResourceType, int] = field(default_factory=lambda: dict.fromkeys(ResourceType, 0))
    resources: dict[ResourceType, int] = field(
        default_factory=lambda: dict.fromkeys(ResourceType, 0)
    )
    acks: dict[ResourceType, int] = field(default_factory=lambda: dict.fromkeys(ResourceType, 0))
    nacks: dict[ResourceType, int] = field(default_factory=lambda: dict.fromkeys(ResourceType, 0))
    suspects: dict[ResourceType, int] = field(
        default_factory=lambda: dict.fromkeys(ResourceType, 0)
    )
    stale: int = 0
    bytes_sent: int = 0
    streams_opened: dict[Variant, int] = field(default_factory=lambda: dict.fromkeys(Variant, 0))
    streams_open: dict[Variant, int] = field(default_factory=lambda: dict.fromkeys(Variant, 0))


@dataclass(slots=True, eq=False)
class Connection:
    """One open stream, as delivery sees it."""

    stream: Stream
    peer: Peer
    since: datetime

    @property
    def proxy(self) -> ProxyId:
        return self.stream.feed.view.proxy

    @property
    def key(self) -> tuple[ProxyId, str]:
        return self.proxy, self.peer.instance

    def accepted(self, processed: int) -> int:
        """The highest revision at or below which nothing is open; 0 for a newcomer."""
        covers = self.stream.covers
        if covers < 0:
            return 0
        later = self.stream.feed.first_after(covers)
        return max(processed, covers) if later is None else later - 1

    def refuses(self) -> bool:
        """Whether something is refused, by the proxy or by ourselves."""
        return self.stream.feed.failure is not None or any(
            subscription.rejections for subscription in self.stream.subscriptions.values()
        )

    def is_stuck(self) -> bool:
        """Whether something is refused, and nothing is under way that may mend it."""
        return self.refuses() and (self.stream.feed.failure is not None or self.stream.resting)


@dataclass(slots=True, eq=False)
class _Waiter:
    revision: int
    mesh: str | None
    done: asyncio.Future[None]
    open: set[Connection] | None = None
    """The proxies still waited for; None until the pipeline has processed the revision."""


class Delivery:
    """The table of proxies: those connected, and those that were."""

    def __init__(self, clock: Clock) -> None:
        self.processed_revision = 0
        self.counters = Counters()
        self.attention = Attention(clock)
        self._clock = clock
        self._connections: dict[tuple[ProxyId, str], Connection] = {}
        self._departed: OrderedDict[tuple[ProxyId, str], ProxyStatus] = OrderedDict()
        self._waiters: set[_Waiter] = set()

    # --- events, from the streams and the pipeline ----------------------------------------

    def connected(self, connection: Connection) -> None:
        """A proxy opened a stream. A second one of the same instance takes the first's place."""
        key = connection.key
        before = self._connections.get(key)
        self._connections[key] = connection
        self._departed.pop(key, None)
        variant = connection.stream.variant
        self.counters.streams_opened[variant] += 1
        self.counters.streams_open[variant] += 1
        if before is not None:
            self._no_longer_waited_for(before)
        self.changed(connection)

    def disconnected(self, connection: Connection) -> None:
        self.counters.streams_open[connection.stream.variant] -= 1
        if self._connections.get(connection.key) is not connection:
            return  # Replaced by a newer stream of the same instance.
        status = self._status(connection, disconnected=self._clock.now())
        del self._connections[connection.key]
        self._departed[connection.key] = status
        if len(self._departed) > _DEPARTED_KEPT:
            self._departed.popitem(last=False)
        self._no_longer_waited_for(connection)

    def answered(self, connection: Connection, kind: ResourceType, answer: Answer) -> None:
        match answer:
            case Answer.ACK:
                self.counters.acks[kind] += 1
            case Answer.NACK:
                self.counters.nacks[kind] += 1
            case Answer.STALE:
                self.counters.stale += 1

    def changed(self, connection: Connection) -> None:
        """Something about a proxy may have changed: whoever waits for it looks again."""
        for waiter in self._waiters:
            if waiter.open is None or self._connections.get(connection.key) is not connection:
                continue
            if self._is_open(waiter, connection):
                waiter.open.add(connection)
            else:
                waiter.open.discard(connection)
                _finish(waiter)

    def processed(self, revision: int) -> None:
        """The pipeline has published everything up to this revision."""
        self.processed_revision = max(self.processed_revision, revision)
        for waiter in [w for w in self._waiters if w.open is None]:
            self._arm(waiter)

    # --- questions ------------------------------------------------------------------------

    def proxies(self) -> tuple[ProxyStatus, ...]:
        """All proxies that are or were connected, by name."""
        found = [self._status(connection) for connection in self._connections.values()]
        return tuple(
            sorted([*found, *self._departed.values()], key=lambda s: (s.proxy, s.instance))
        )

    def proxy(self, proxy: ProxyId) -> tuple[ProxyStatus, ...]:
        """The replicas of one proxy id."""
        return tuple(status for status in self.proxies() if status.proxy == proxy)

    def views(self, proxy: ProxyId) -> tuple[View, ...]:
        """How the connected replicas of one proxy id see the mesh, each way once."""
        found = [c.stream.feed.view for c in self._connections.values() if c.proxy == proxy]
        return tuple(dict.fromkeys(found))

    def settled(self, revision: int, mesh: str | None = None) -> Settled:
        """How far a revision has come, in one mesh or in all."""
        waiting: list[Waiting] = []
        rejected: list[Refusal] = []
        connections = [c for c in self._connections.values() if mesh in (None, c.proxy.mesh)]
        for connection in sorted(connections, key=lambda c: c.key):
            accepted = connection.accepted(self.processed_revision)
            if accepted >= revision:
                continue
            if connection.is_stuck():
                rejected.extend(_refusals(connection))
            else:
                waiting.append(self._waiting(connection, accepted))
        refusing = {(refusal.proxy, refusal.instance) for refusal in rejected}
        return Settled(
            revision=revision,
            processed=self.processed_revision >= revision,
            total=len(connections),
            accepted=len(connections) - len(waiting) - len(refusing),
            waiting=tuple(waiting),
            rejected=tuple(rejected),
        )

    def accepted(self, revision: int) -> bool:
        """Whether every proxy has accepted a revision; one that left just now may come back."""
        now = self._clock.now()
        for each in self._departed.values():
            if each.disconnected_at is not None and now - each.disconnected_at < _COMES_BACK:
                return False
        found = self.settled(revision)
        return found.processed and found.accepted == found.total

    async def wait_settled(
        self, revision: int, timeout: timedelta, mesh: str | None = None
    ) -> Settled:
        """
        Return once no proxy is waited for any more, or the time is over.

        A refusal ends the waiting for that proxy: it will not accept by itself.
        """
        waiter = _Waiter(revision, mesh, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        try:
            self._arm(waiter)
            async with asyncio.timeout(timeout.total_seconds()):
                await waiter.done
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)
        return self.settled(revision, mesh)

    # --- waiting --------------------------------------------------------------------------

    def _arm(self, waiter: _Waiter) -> None:
        if self.processed_revision < waiter.revision:
            return
        waiter.open = {c for c in self._connections.values() if self._is_open(waiter, c)}
        _finish(waiter)

    def _is_open(self, waiter: _Waiter, connection: Connection) -> bool:
        return (
            waiter.mesh in (None, connection.proxy.mesh)
            and connection.accepted(self.processed_revision) < waiter.revision
            and not connection.is_stuck()
        )

    def _no_longer_waited_for(self, connection: Connection) -> None:
        for waiter in list(self._waiters):
            if waiter.open is not None:
                waiter.open.discard(connection)
                _finish(waiter)

    # --- what operators see ---------------------------------------------------------------

    def _status(self, connection: Connection, disconnected: datetime | None = None) -> ProxyStatus:
        stream, feed = connection.stream, connection.stream.feed
        accepted = connection.accepted(self.processed_revision)
        if disconnected is not None:
            state = State.DISCONNECTED
        elif connection.refuses():
            state = State.REJECTED
        elif feed.target is None or accepted < max(self.processed_revision, feed.target.revision):
            state = State.WAITING
        else:
            state = State.ACCEPTED
        return ProxyStatus(
            proxy=connection.proxy,
            instance=connection.peer.instance,
            mode=feed.view.mode,
            state=state,
            connected_since=connection.since,
            disconnected_at=disconnected,
            peer=connection.peer.address,
            envoy_version=connection.peer.envoy_version,
            status_address=connection.peer.status_address,
            protocol=stream.variant,
            accepted_revision=accepted,
            failure=feed.failure.reason if feed.failure else None,
            failed_revision=feed.failure.revision if feed.failure else None,
            types=tuple(self._types(connection)),
        )

    def _types(self, connection: Connection) -> Iterable[TypeStatus]:
        stream = connection.stream
        suspect = self._suspect_since(stream)
        for kind in ResourceType:
            if (subscription := stream.subscriptions.get(kind)) is not None:
                yield TypeStatus(
                    type=kind.short,
                    resources=len(subscription.accepted),
                    sent_version=content_version(subscription.told),
                    sent_revision=subscription.sent_revision,
                    accepted_version=_accepted_version(subscription),
                    accepted_revision=subscription.accepted_revision,
                    rejected=tuple(
                        _refusal(connection, kind, rejection)
                        for rejection in subscription.rejections
                    ),
                    suspect_since=suspect.get(kind),
                )

    def _suspect_since(self, stream: Stream) -> dict[ResourceType, datetime]:
        now, listened = self._clock.now(), self.attention.now()
        found: dict[ResourceType, datetime] = {}
        for kind, response in stream.suspects(listened):
            since = now - timedelta(seconds=listened - response.since) + stream.patience
            found[kind] = min(found.get(kind, since), since)
        return found

    def _waiting(self, connection: Connection, accepted: int) -> Waiting:
        suspects = sorted({kind.short for kind in self._suspect_since(connection.stream)})
        unanswered = [
            kind.short
            for kind, subscription in connection.stream.subscriptions.items()
            if subscription.unanswered
        ]
        if suspects:
            reason = f"no answer to {', '.join(suspects)} for more than {connection.stream.patience.total_seconds():g} s"
        elif unanswered:
            reason = f"has not answered {', '.join(unanswered)} yet"
        elif connection.stream.feed.target is None:
            reason = "its first snapshot is being made"
        else:
            reason = "has not been told yet"
        return Waiting(connection.proxy, connection.peer.instance, accepted, reason)


def _refusal(connection: Connection, kind: ResourceType, rejection: Rejection) -> Refusal:
    return Refusal(
        proxy=connection.proxy,
        instance=connection.peer.instance,
        type=kind.short,
        words=plain_words(rejection.words, rejection.names),
        raw=rejection.words,
        resources=rejection.names,
        revision=rejection.revision,
        nonce=rejection.nonce,
        at=rejection.at,
    )


def _refusals(connection: Connection) -> Iterable[Refusal]:
    if (failure := connection.stream.feed.failure) is not None:
        yield Refusal(
            connection.proxy,
            connection.peer.instance,
            None,
            failure.reason,
            failure.reason,
            (),
            failure.revision,
        )
    for kind, subscription in connection.stream.subscriptions.items():
        for rejection in subscription.rejections:
            yield _refusal(connection, kind, rejection)


def _finish(waiter: _Waiter) -> None:
    if not waiter.open and not waiter.done.done():
        waiter.done.set_result(None)


def _accepted_version(subscription: Subscription) -> str | None:
    if subscription.accepted_revision is None and not subscription.accepted:
        return None
    return content_version(subscription.accepted)
