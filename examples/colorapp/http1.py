"""HTTP/1.1 as both sides read it: heads, headers and bodies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

HEAD_END = b"\r\n\r\n"
PIECE_BYTES = 64 * 1024


class Malformed(Exception):
    """What came over the connection is not HTTP/1.1."""


def head(data: bytes) -> tuple[str, dict[str, str]]:
    """The first line, and the headers by lower-case name; a repeated one is joined by commas."""
    first, *lines = data.decode("latin-1").strip("\r\n").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        if "\n" in line or "\r" in line or "\0" in line:
            raise Malformed("a control character in a header")  # It would end it when passed on.
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise Malformed(f"not a header: {line!r}")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return first, headers


def is_chunked(headers: dict[str, str]) -> bool:
    """Whether the body comes in chunks; two lengths at once are refused."""
    encoding = headers.get("transfer-encoding")
    if encoding is None:
        return False
    if encoding.lower() != "chunked":
        raise Malformed(f"transfer encoding {encoding!r} is not supported")
    if "content-length" in headers:
        raise Malformed("both Content-Length and Transfer-Encoding are given")
    return True


def content_length(headers: dict[str, str]) -> int | None:
    """The announced length of the body, if there is one."""
    text = headers.get("content-length")
    if text is None:
        return None
    return _number(text, base=10)


def keeps_alive(version: str, headers: dict[str, str]) -> bool:
    """Whether the sender of this head will use the connection again."""
    options = {option.strip() for option in headers.get("connection", "").lower().split(",")}
    return "close" not in options and (version != "HTTP/1.0" or "keep-alive" in options)


async def body(
    reader: asyncio.StreamReader, headers: dict[str, str]
) -> AsyncGenerator[bytes, None]:
    """The pieces of a body whose end can be told without the end of the connection."""
    if is_chunked(headers):
        while size := _number((await _line(reader)).partition(b";")[0].decode("latin-1"), base=16):
            async for piece in _exactly(reader, size):
                yield piece
            if await reader.readexactly(2) != b"\r\n":
                raise Malformed("a chunk is longer than it said")
        while await _line(reader):
            pass  # Trailers: we have no use for them.
    elif size := content_length(headers) or 0:
        async for piece in _exactly(reader, size):
            yield piece


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncGenerator[bytes, None]:
    while size:
        piece = await reader.readexactly(min(size, PIECE_BYTES))
        size -= len(piece)
        yield piece


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n"))[:-2]
    except asyncio.LimitOverrunError:
        raise Malformed("a line without an end") from None


def _number(text: str, *, base: int) -> int:
    digits = "0123456789abcdef"[:base]
    text = text.strip().lower()
    if not text or len(text) > 16 or any(c not in digits for c in text):
        raise Malformed(f"not a length: {text!r}")
    return int(text, base)
