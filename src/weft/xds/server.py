"""
The ADS server: proxies connect here, snapshots arrive here, and the two meet.

Both variants of the aggregated service are answered by the same streams. Messages are
bytes on both sides of gRPC: what is sent was serialised long before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import unquote

import grpc
import structlog

from weft.clock import Clock
from weft.errors import BadRequest, MissingToken, NotFound, Unavailable, WeftError
from weft.identity.credentials import Credential, Credentials
from weft.names import ProxyId, View
from weft.quotas import Quotas
from weft.translate.snapshot import Snapshot
from weft.xds.ageing import Ageing
from weft.xds.attention import STEP_SECONDS
from weft.xds.cache import Feed
from weft.xds.delivery import Connection, Delivery, Peer
from weft.xds.gate import Gate
from weft.xds.introduction import view_of
from weft.xds.listening import cannot_listen, listenable
from weft.xds.seats import Seats
from weft.xds.session import Session, words_of
from weft.xds.stream import PATIENCE_SECONDS, Stream
from weft.xds.window import Window
from weft.xds.wire import Node, Variant

log = structlog.get_logger(__name__)

_LOOK_TOGETHER_SECONDS = 0.02
"""Answers that become overdue within this time are looked at in one go."""

LOOK_AGAIN_SECONDS = 5.0
"""How often a proxy is asked to look again at a file that it could not use."""

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_DELTA = "DeltaAggregatedResources"
_SOTW = "StreamAggregatedResources"

_STRANGER = "stream-"
"""How the instances of stock images are called, which do not say who they are."""

_OPTIONS = (
    # With the defaults a fifth of 5,000 proxies that reconnect at once are turned away
    # before any handler runs, and nothing says so.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
    # A port that is taken must be an error, not half of the proxies.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", -1),
    # Envoy pings every ten seconds, whether or not there is data.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
    # A proxy whose machine is gone says nothing; its stream ends after this.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


class Source(Protocol):
    """Where the snapshots of a view come from; the pipeline fulfils it."""

    def attach(self, view: View) -> None:
        """
        From now on publish this view, the first time at once or soon; NotFound if there is none.

        Called for the first stream of a view, not for each.
        """
        ...

    def detach(self, view: View) -> None:
        """The last stream of the view has ended; called once for each ``attach`` that succeeded."""
        ...


class AdsServer:
    """Answers proxies; the pipeline's ``Publisher``."""

    def __init__(
        self,
        source: Source,
        delivery: Delivery,
        clock: Clock,
        address: str,
        *,
        named: Callable[[str, str | None], ProxyId] = lambda id, _account: ProxyId.parse(id),
        quotas: Quotas = Quotas(),  # noqa: B008 - frozen
        patience_seconds: float = PATIENCE_SECONDS,
        gate: Gate | None = None,
        tls: grpc.ServerCredentials | None = None,
        socket: str = "",
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
        max_age: timedelta | None = None,
    ) -> None:
        """``socket``: the path of a Unix socket at which proxies are answered, too."""
        self.delivery = delivery
        self.clock = clock
        self.window = Window()
        self._source = source
        self._address = address
        self._named = named
        self._patience = patience_seconds
        self._seats = Seats(quotas)
        self._gate = gate or Gate(Credentials(), clock)
        self._gate.credentials.watch(self._revoked)
        self._tls = tls
        self._socket = socket
        self._ageing = Ageing(clock, max_age)
        self._feeds: dict[View, Feed] = {}
        self._sessions: set[Session] = set()
        self._server: grpc.aio.Server | None = None
        self._stopping = False
        self._strangers = 0
        # All answers are due after the same time, so the first sent is the first overdue.
        self._due: deque[tuple[float, Session, str]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._look_again_seconds = look_again_seconds
        self._refusing: set[Session] = set()
        self._next_look: asyncio.TimerHandle | None = None

    # --- life -----------------------------------------------------------------------------

    async def start(self) -> int:
        """Listen; the port bound, or 0 for a Unix socket."""
        address = await listenable(self._address)
        socket = await listenable(f"unix:{self._socket}") if self._socket else ""
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    _SERVICE,
                    {
                        _SOTW: grpc.stream_stream_rpc_method_handler(self._state_of_the_world),
                        _DELTA: grpc.stream_stream_rpc_method_handler(self._delta),
                    },
                ),
            )
        )
        try:
            if self._tls is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, self._tls)
        except RuntimeError as error:
            raise cannot_listen(self._address, str(error)) from error
        if socket:
            try:
                if self._tls is None:
                    server.add_insecure_port(socket)
                else:
                    server.add_secure_port(socket, self._tls)
            except RuntimeError as error:
                raise cannot_listen(socket, str(error)) from error
        await server.start()
        self._server = server
        self._gate.listens_at(port)
        return 0 if address.startswith("unix:") else port

    async def stop(self, grace_seconds: float = 1.0) -> None:
        """Close every stream at once, with a status that makes proxies come back, and the port."""
        self._stopping = True
        for session in list(self._sessions):
            session.end(grpc.StatusCode.UNAVAILABLE, "the control plane is stopping")
        if self._server is not None:
            await self._server.stop(grace_seconds)
            self._server = None
        self._ageing.close()
        self.window.close()
        self._due.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    # --- what the pipeline says (Publisher) -----------------------------------------------

    def publish(self, view: View, snapshot: Snapshot, revision: int) -> None:
        """A view's snapshot as of a revision."""
        if (feed := self._feeds.get(view)) is None:
            return  # Its last proxy has just left.
        feed.publish(snapshot, revision, self._since(revision))
        for session in feed.followers:
            self.window.push(session)

    def failed(self, view: View, reason: str, revision: int) -> None:
        """No snapshot could be made; the last good one stays, the reason is shown."""
        if (feed := self._feeds.get(view)) is None:
            return
        feed.fail(reason, revision, self._since(revision))
        for session in feed.followers:
            self._changed(session)

    def gone(self, view: View, reason: str, revision: int) -> None:
        """The resource was deleted: its streams end, with the status App Mesh gave."""
        if (feed := self._feeds.pop(view, None)) is None:
            return
        log.info("view is gone", proxy=str(view.proxy), revision=revision, reason=reason)
        for session in list(feed.followers):
            session.end(grpc.StatusCode.INVALID_ARGUMENT, reason)

    def processed(self, revision: int) -> None:
        """Everything up to this revision has been published."""
        self.delivery.processed(revision)

    # --- what sessions ask for (Host) -----------------------------------------------------

    def join(self, session: Session, variant: Variant, node: Node, peer: str) -> Connection:
        """Find out who connected, and let its stream follow its view."""
        # A certificate, and whoever comes through an open door, says nothing of accounts.
        caller = session.caller
        account = caller.account if caller.known and caller.credential else None
        view, metadata = self._view(node, account)
        if caller.proxies:
            proxies = frozenset(self._named(str(each), account) for each in caller.proxies)
            caller = replace(caller, proxies=proxies)
        self._gate.check(caller, view.proxy)
        instance = str(metadata.get("instance") or "")
        if not instance:
            instance = self._ageing.returning(view.proxy, _STRANGER) or self._stranger()
        self._seats.check(view.proxy, instance)
        feed = self._feeds.get(view) or self._attached(view)
        connection = Connection(
            Stream(variant, feed, self._patience),
            Peer(
                instance=instance,
                address=unquote(peer),
                envoy_version=_envoy_version(node),
                status_address=str(metadata.get("status") or ""),
            ),
            self.clock.now(),
        )
        feed.followers.add(session)
        self._seats.take(view.proxy, instance)
        self.delivery.connected(connection)
        self._ageing.back(connection.key)
        return connection

    def leave(self, session: Session, connection: Connection) -> None:
        """A stream has ended."""
        feed = connection.stream.feed
        feed.followers.discard(session)
        if session.aged and not self._stopping and self._feeds.get(feed.view) is feed:
            self._ageing.expect(connection, lambda: self._left(connection))
        else:
            self._left(connection)

    def _left(self, connection: Connection) -> None:
        feed = connection.stream.feed
        self._seats.leave(connection.proxy, connection.peer.instance)
        self.delivery.disconnected(connection)
        if not feed.followers and not self._ageing.awaits(feed):
            if self._feeds.get(feed.view) is feed:
                del self._feeds[feed.view]
            self._source.detach(feed.view)

    def watch(self, session: Session, nonce: str) -> None:
        """Look at this stream again if the response is still unanswered by then."""
        if self._alarm is None:
            # Nobody was waited for, so nobody looked.
            self.delivery.attention.look()
        self._due.append((self.delivery.attention.now() + self._patience, session, nonce))
        if self._alarm is None:
            self._set_alarm()

    def look_again_later(self, session: Session) -> None:
        """Offer this stream once more what it refused and may be able to use by then."""
        self._refusing.add(session)
        if self._next_look is None and not self._stopping:
            self._next_look = asyncio.get_running_loop().call_later(
                self._look_again_seconds, self._look_again
            )

    def _look_again(self) -> None:
        self._next_look = None
        refusing, self._refusing = self._refusing, set()
        for session in refusing & self._sessions:
            session.look_again()

    # --- inside ---------------------------------------------------------------------------

    def _view(self, node: Node, account: str | None) -> tuple[View, Mapping[str, Any]]:
        if not node.id:
            raise BadRequest(
                "the node has no id",
                fix="set it to mesh/M/virtualNode/N or mesh/M/virtualGateway/N",
            )
        return view_of(node, self._named(node.id, account))

    def _stranger(self) -> str:
        self._strangers += 1
        return f"{_STRANGER}{self._strangers}"

    def _since(self, revision: int) -> int:
        """The first revision that has not been processed yet, but for this one."""
        return min(self.delivery.processed_revision + 1, revision)

    async def _delta(self, requests: Any, context: Any) -> None:
        await self._run(Variant.DELTA, _DELTA, context)

    async def _state_of_the_world(self, requests: Any, context: Any) -> None:
        await self._run(Variant.SOTW, _SOTW, context)

    async def _run(self, variant: Variant, method: str, context: Any) -> None:
        try:
            caller = self._gate.caller(context, f"/{_SERVICE}/{method}")
        except WeftError as error:
            log.info("stream refused", peer=unquote(context.peer()), reason=error.message)
            context.set_code(grpc.StatusCode.UNAUTHENTICATED)
            context.set_details(_words_of_unauthenticated(error))
            return
        session = Session(self, variant, context, caller)
        self._sessions.add(session)
        if self._stopping:
            session.end(grpc.StatusCode.UNAVAILABLE, "the control plane is stopping")
        ends = [self._end_of(session), self._ageing.begin(session.grow_old)]
        try:
            await session.run()
        finally:
            for end in ends:
                if end is not None:
                    end.cancel()
            self._sessions.discard(session)

    def _end_of(self, session: Session) -> asyncio.TimerHandle | None:
        """A stream lasts no longer than the credential that opened it."""
        caller = session.caller
        if caller.expires_at is None:
            return None
        left = (caller.expires_at - self.clock.now()).total_seconds()
        words = f"the credential {caller.name} has expired"
        return asyncio.get_running_loop().call_later(
            left, session.end, grpc.StatusCode.UNAUTHENTICATED, words
        )

    def _revoked(self, credential: Credential) -> None:
        for session in self._sessions:
            if session.caller.known and session.caller.credential == credential.id:
                session.end(
                    grpc.StatusCode.UNAUTHENTICATED,
                    f"the credential {credential.name} has been revoked",
                )

    def _attached(self, view: View) -> Feed:
        feed = self._feeds[view] = Feed(view)
        try:
            self._source.attach(view)
        except NotFound as error:
            del self._feeds[view]
            # App Mesh ended such streams with code 3, not with NOT_FOUND.
            raise BadRequest(error.message, fix=error.fix) from error
        except WeftError:
            del self._feeds[view]
            raise
        except Exception as error:
            del self._feeds[view]
            log.exception("view could not be attached", proxy=str(view.proxy))
            raise Unavailable(f"no snapshot of {view.proxy} can be made now") from error
        return feed

    def _changed(self, session: Session) -> None:
        if session.connection is not None:
            self.delivery.changed(session.connection)

    def _set_alarm(self) -> None:
        wait = max(self._due[0][0] - self.delivery.attention.now(), 0) + _LOOK_TOGETHER_SECONDS
        wait = min(wait, STEP_SECONDS / 2)
        self._alarm = asyncio.get_running_loop().call_later(wait, self._overdue)

    def _overdue(self) -> None:
        self.delivery.attention.look()
        now = self.delivery.attention.now()
        while self._due and self._due[0][0] <= now:
            _, session, nonce = self._due.popleft()
            if (connection := session.connection) is None:
                continue
            for kind, response in connection.stream.suspects(now):
                if response.nonce == nonce:
                    self.delivery.counters.suspects[kind] += 1
                    log.warning(
                        "proxy does not answer",
                        proxy=str(connection.proxy),
                        instance=connection.peer.instance,
                        type=kind.short,
                        revision=response.revision,
                    )
                    session.wake()
        self._alarm = None
        if self._due:
            self._set_alarm()


MISSING_TOKEN = "Missing Authentication Token"  # noqa: S105 - what App Mesh said of a missing one


def _words_of_unauthenticated(error: WeftError) -> str:
    """What probes for App Mesh look for, and after it what to do."""
    words = words_of(error)
    return f"{MISSING_TOKEN}: {words}" if isinstance(error, MissingToken) else words


# --- who connects ----------------------------------------------------------------------------


def _envoy_version(node: Node) -> str:
    if node.HasField("user_agent_build_version"):
        version = node.user_agent_build_version.version
        return f"{version.major_number}.{version.minor_number}.{version.patch}"
    return str(node.user_agent_version)
