"""
The socket's side of one stream: it reads, asks the stream what follows, and writes.

Two coroutines per proxy and none per message: one waits for the proxy, one for us.
Whoever finds something to say writes it; never both at once, since gRPC takes one
message at a time.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import grpc
import structlog

from weft.clock import Clock
from weft.errors import BadRequest, Forbidden, LimitExceeded, WeftError
from weft.identity.caller import Caller
from weft.translate.snapshot import ResourceType
from weft.xds import wire
from weft.xds.delivery import Connection, Delivery
from weft.xds.subscription import Answer
from weft.xds.window import Window
from weft.xds.wire import Node, Variant

log = structlog.get_logger(__name__)


class Context(Protocol):
    """What we use of gRPC's context of a call whose messages are bytes."""

    async def read(self) -> Any: ...

    async def write(self, message: bytes) -> None: ...

    def peer(self) -> str: ...

    def set_code(self, code: grpc.StatusCode) -> None: ...

    def set_details(self, details: str) -> None: ...


class Host(Protocol):
    """What a session needs of the server."""

    clock: Clock
    delivery: Delivery
    window: Window

    def join(self, session: Session, variant: Variant, node: Node, peer: str) -> Connection: ...

    def leave(self, session: Session, connection: Connection) -> None: ...

    def watch(self, session: Session, nonce: str) -> None: ...

    def look_again_later(self, session: Session) -> None: ...


class Session:
    """One open stream."""

    __slots__ = (
        "__weakref__",
        "_complaints",
        "_context",
        "_ended",
        "_host",
        "_variant",
        "_woken",
        "_writing",
        "aged",
        "caller",
        "connection",
    )

    def __init__(
        self, host: Host, variant: Variant, context: Context, caller: Caller | None = None
    ) -> None:
        self.connection: Connection | None = None
        self.caller = caller or Caller()
        """Who opened the stream."""
        self._complaints: dict[ResourceType, str | None] = {}
        self._host = host
        self._variant = variant
        self._context = context
        self._woken = asyncio.Event()
        self._writing = False
        self.aged = False
        """It was closed because it had been open for long, and will be taken up again."""
        self._ended: tuple[grpc.StatusCode, str] | None = None

    async def run(self) -> None:
        """Serve the stream until the proxy leaves or it is ended."""
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read())
                while self._ended is None:
                    await self._woken.wait()
                    self._woken.clear()
                    await self._write()
                reader.cancel()
        finally:
            self._host.window.done(self)
            if self.connection is not None:
                self._host.leave(self, self.connection)
        if self._ended is not None:
            code, words = self._ended
            self._context.set_code(code)
            self._context.set_details(words)

    def wake(self) -> None:
        """There may be something to say."""
        self._woken.set()

    def look_again(self) -> None:
        """What the proxy refused may have been mended on its machine."""
        if self.connection is not None and self.connection.stream.look_again():
            self.wake()

    def end(self, code: grpc.StatusCode, words: str = "") -> None:
        """Close the stream with a status; the first reason given is the one sent."""
        if self._ended is None:
            self._ended = (code, words)
            self._woken.set()

    def grow_old(self) -> None:
        """Close the stream as App Mesh closed old ones: gracefully, and the proxy comes back."""
        if self._ended is None:
            self.aged = self.connection is not None
            self.end(grpc.StatusCode.OK)

    async def _read(self) -> None:
        while self._ended is None:
            data = await self._context.read()
            if data is grpc.aio.EOF:
                self.end(grpc.StatusCode.OK)
                return
            try:
                self._take(data)
            except BadRequest as error:
                self._refuse(grpc.StatusCode.INVALID_ARGUMENT, error)
                return
            except LimitExceeded as error:
                self._refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, error)
                return
            except Forbidden as error:
                self._refuse(grpc.StatusCode.PERMISSION_DENIED, error)
                return
            except WeftError as error:
                self._refuse(grpc.StatusCode.UNAVAILABLE, error)
                return
            await self._write()

    def _take(self, data: bytes) -> None:
        message = wire.parse(self._variant, data)
        if self.connection is None:
            if message.node is None:
                raise BadRequest("the first request of the stream names no node")
            self.connection = self._host.join(
                self, self._variant, message.node, self._context.peer()
            )
        if message.request is None:
            log.info("request for an unknown type", type=message.type_url)
            return
        request = message.request
        answer = self.connection.stream.on_request(request, self._host.clock.now())
        if answer is not None:
            self._host.delivery.answered(self.connection, request.kind, answer)
            if answer is Answer.NACK and request.kind is ResourceType.SECRET:
                self._host.look_again_later(self)
            if answer is Answer.NACK and self._complaints.get(request.kind) != request.error:
                self._complaints[request.kind] = request.error
                log.warning(
                    "proxy refused its configuration",
                    proxy=str(self.connection.proxy),
                    instance=self.connection.peer.instance,
                    type=request.kind.short,
                    words=request.error,
                )
        self._host.window.done(self)

    def _refuse(self, code: grpc.StatusCode, error: WeftError) -> None:
        log.info("stream refused", peer=self._context.peer(), reason=error.message)
        self.end(code, words_of(error))

    async def _write(self) -> None:
        if self._writing or self.connection is None:
            return
        self._writing = True
        counters = self._host.delivery.counters
        try:
            while self._ended is None and (
                response := self.connection.stream.next(self._host.delivery.attention.now())
            ):
                self._host.watch(self, response.nonce)
                counters.pushes[response.kind] += 1
                counters.resources[response.kind] += response.resources
                counters.bytes_sent += len(response.data)
                try:
                    await self._context.write(response.data)
                except (grpc.aio.BaseError, asyncio.InvalidStateError):
                    # The call has ended under our hands.
                    self.end(grpc.StatusCode.OK)
        finally:
            self._writing = False
        # Also when another coroutine wrote: what it was told meanwhile counts from now on.
        self._host.delivery.changed(self.connection)
        if self.connection.stream.resting:
            self._host.window.done(self)


def words_of(error: WeftError) -> str:
    """An error as the details of a status: what is wrong and how to mend it."""
    return f"{error.message} ({error.fix})" if error.fix else error.message
