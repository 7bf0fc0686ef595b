"""
HTTP as we take it: a client has so long to say what it wants, and so much to say it with.

uvicorn bounds neither the size of a head nor the time a request may take to arrive.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; trailers and the sizes of chunks count, too."""
_WORST_CHUNKS = 16
"""How many bytes of framing one byte of a body may cost: a body in chunks of one has six."""


class PatientProtocol(HttpToolsProtocol):
    """One connection."""

    head_seconds: ClassVar[float] = 20
    """From the first byte of a request, or from the connection, to the end of its head."""
    body_seconds: ClassVar[float] = 120
    """From there to the end of its body."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._received = 0
        self._body = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._within(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        if self._received > MAX_HEAD_BYTES + _WORST_CHUNKS * self._body and (
            not self.transport.is_closing()
        ):
            self._in_time()
            self.send_400_response("The request has too large a head.")

    def on_message_begin(self) -> None:
        self._body = 0
        if self._deadline is None:
            self._within(self.head_seconds)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._within(self.body_seconds)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_time()
        self._received = 0
        super().on_message_complete()

    def _within(self, seconds: float) -> None:
        self._in_time()
        self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _in_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        # Not close: what is still to be written must not keep the connection either.
        self.transport.abort()
