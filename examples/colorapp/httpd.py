"""A lean HTTP/1.1 server: one coroutine per connection, keep-alive, any method."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import http1
from listener import Connection, Serve

log = logging.getLogger("colorapp")

TEXT = "text/plain; charset=utf-8"
REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """What a handler needs to know; the body of a request is read and dropped."""

    method: str
    path: str
    version: str
    headers: dict[str, str]
    peer: str


@dataclass(slots=True)
class Response:
    """What a handler answers; an empty body carries no content type."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


def not_found() -> Response:
    """The answer to a path that nobody serves."""
    return Response(b"404 page not found\n", 404, {"X-Content-Type-Options": "nosniff"})


def serve(handler: Handler) -> Serve:
    """How a connection is served with this handler."""

    async def serve_connection(connection: Connection) -> None:
        # No idle timeout: a proxy that reuses a connection just as we close it sees a reset.
        while await _exchange(connection, handler):
            pass

    return serve_connection


async def _exchange(connection: Connection, handler: Handler) -> bool:
    """Answer one request; False when it was the last on this connection."""
    reader, writer = connection.reader, connection.writer
    try:
        data = await reader.readuntil(http1.HEAD_END)
    except asyncio.IncompleteReadError:
        return False
    except asyncio.LimitOverrunError:
        writer.write(_encoded(Response(b"431 Request Header Fields Too Large", 431), keep=False))
        return False
    connection.busy = True
    try:
        request = _request(data, connection.peer)
        if request.headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for _ in http1.body(reader, request.headers):
            pass
    except http1.Malformed as problem:
        writer.write(_encoded(Response(f"400 Bad Request: {problem}".encode(), 400), keep=False))
        return False
    except asyncio.IncompleteReadError:
        return False
    response = await _answer(handler, request)
    keep = http1.keeps_alive(request.version, request.headers) and not connection.last
    writer.write(_encoded(response, request.method, request.version, keep=keep))
    await writer.drain()
    connection.busy = False
    return keep


async def _answer(handler: Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return Response(b"500 Internal Server Error", 500)


def _request(data: bytes, peer: str) -> Request:
    line, headers = http1.head(data)
    match line.split(" "):
        case [method, target, "HTTP/1.1" | "HTTP/1.0" as version] if method and target:
            return Request(method, _path(target), version, headers, peer)
        case _:
            raise http1.Malformed(f"not a request: {line!r}")


def _path(target: str) -> str:
    if target.startswith("/"):
        path = target.partition("?")[0]
    else:
        try:
            path = urlsplit(target).path or "/"  # Absolute form, as a client of a proxy sends it.
        except ValueError:
            raise http1.Malformed(f"not a request target: {target!r}") from None
    return unquote(path) if "%" in path else path


def _encoded(
    response: Response, method: str = "GET", version: str = "HTTP/1.1", *, keep: bool
) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status} {REASONS[response.status]}",
        f"Date: {_date(int(time.time()))}",
        f"Content-Length: {len(response.body)}",
    ]
    if response.body and "Content-Type" not in response.headers:
        lines.append(f"Content-Type: {TEXT}")
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if not keep:
        lines.append("Connection: close")
    elif version == "HTTP/1.0":
        lines.append("Connection: keep-alive")
    head = "\r\n".join(lines).encode("latin-1") + http1.HEAD_END
    return head if method == "HEAD" else head + response.body


_dated = (0, "")


def _date(second: int) -> str:
    """The Date header, written once a second rather than once a request."""
    global _dated
    if _dated[0] != second:
        _dated = (second, formatdate(second, usegmt=True))
    return _dated[1]
