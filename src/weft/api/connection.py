"""
HTTP/1.1 with limits: nobody holds a connection by sending little, or memory by sending much.

uvicorn bounds neither how long a request may take to come nor how large its head may be.
What is refused here has no route yet, so it is said as App Mesh says it, and the
connection ends.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from weft.api import errors
from weft.errors import BadRequest, WeftError

MAX_HEAD_BYTES = 64 * 1024
"""Of a request line and its headers, and of its trailers."""
HEAD_SECONDS = 10.0
"""From the first byte of a request to the end of its headers."""
BODY_SECONDS = 60.0
"""From the end of the headers to the end of the body."""
_LOOK_SECONDS = 2.0
_LINGER_SECONDS = 1.0
"""How long what still comes is thrown away, or the client would see a reset and no answer."""


class TooSlow(WeftError):
    """A request that does not come to its end."""

    code = "RequestTimeoutException"
    status = 408


class HeadTooLarge(WeftError):
    """A request line or headers beyond the limit."""

    code = "BadRequestException"
    status = 431

    def __init__(self) -> None:
        super().__init__(f"the head of the request is larger than {MAX_HEAD_BYTES} bytes")


class Connection(HttpToolsProtocol):
    """One client: uvicorn's connection, cut off where it goes beyond the limits."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._opened: float | None = self.loop.time()
        """Until something comes."""
        self._in_head = True
        self._since: float | None = None
        """When the message that is under way began, or its body; None between messages."""
        self._head_bytes = 0
        self._unread_bytes = 0
        """Since the parser last made something of what came."""
        self._refusal: WeftError | None = None
        self._refused = False
        self._look = self.loop.call_later(_LOOK_SECONDS, self._look_at_the_time)

    def connection_lost(self, exc: Exception | None) -> None:
        self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._unread_bytes += len(data)
        if self._since is None:  # Blank lines before a request count as its head.
            self._opened, self._in_head, self._since = None, True, self.loop.time()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # There is nothing to change to; the request is answered as it is.
        except httptools.HttpParserError as error:
            self._refuse(self._refusal or BadRequest(f"this is not HTTP/1.1: {error}"))
            return
        if self._unread_bytes > MAX_HEAD_BYTES:
            self._refuse(HeadTooLarge())

    # --- what the parser finds ---------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_head, self._since, self._head_bytes = True, self.loop.time(), 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if self._in_head:  # Trailers come too late to say anything about the request.
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._since = False, self.loop.time()
        try:
            super().on_headers_complete()
        except (httptools.HttpParserError, AttributeError) as error:
            # Of a target that is no path, such as an authority or an asterisk.
            self._refusal = BadRequest("the target of the request is not a path")
            raise self._refusal from error

    def on_body(self, body: bytes) -> None:
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._since, self._unread_bytes = None, 0
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._unread_bytes = 0
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refusal = HeadTooLarge()
            raise self._refusal

    # --- cutting off -------------------------------------------------------------------------

    def _look_at_the_time(self) -> None:
        now = self.loop.time()
        limit = HEAD_SECONDS if self._in_head else BODY_SECONDS
        if self._since is not None and now - self._since > limit:
            what = "headers" if self._in_head else "body"
            self._refuse(TooSlow(f"the {what} did not come to an end within {limit:g} seconds"))
        elif self._opened is not None and now - self._opened > self.timeout_keep_alive:
            self.transport.close()
        else:
            self._look = self.loop.call_later(_LOOK_SECONDS, self._look_at_the_time)

    def _refuse(self, error: WeftError) -> None:
        self._refused = True
        if self._may_answer():
            given = errors.answer_to(error, b"")
            head = [
                f"HTTP/1.1 {given.status} {HTTPStatus(given.status).phrase}",
                *(f"{name}: {value}" for name, value in given.headers.items()),
                "content-type: application/json",
                f"content-length: {len(given.body)}",
                "connection: close",
            ]
            self.transport.write("\r\n".join([*head, "", ""]).encode("ascii") + given.body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._look.cancel()
        self._look = self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _may_answer(self) -> bool:
        """Whether nothing that was asked before is still to be answered, or half answered."""
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        return not self._in_head and not self.pipeline and not cycle.response_started
