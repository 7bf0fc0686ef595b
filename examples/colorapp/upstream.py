"""
The service we call: one URL, asked over connections that are kept and reused.

``http_proxy`` and ``no_proxy`` are honoured as by any HTTP client, which is all
that a sidecar without interception needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import http1
from listener import MAX_HEAD_BYTES, Misconfigured

DEADLINE_S = 60.0
MAX_IDLE = 128


class Unreachable(Exception):
    """No complete answer came back."""


class Stale(Exception):
    """The connection was closed before the first byte of an answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service answered."""

    status: int
    body: bytes


@dataclass(slots=True, eq=False)
class Channel:
    """One connection to the service, or to the proxy in front of it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def usable(self) -> bool:
        """Whether nobody has closed it since it was last used, as far as we know."""
        return not self.reader.at_eof() and not self.writer.is_closing()


class Upstream:
    """A pool of connections to one URL."""

    def __init__(self, url: str) -> None:
        parts = _split(url, "the URL")
        self.url = f"http://{parts.netloc}{parts.path or '/'}"
        self.host = parts.netloc
        self.proxy: str | None = None
        self._address = (parts.hostname or "", parts.port or 80)
        self._target = parts.path or "/"
        self._idle: list[Channel] = []
        proxy = getproxies().get("http")
        if proxy and not proxy_bypass(self.host):
            via = _split(proxy if "://" in proxy else f"http://{proxy}", "http_proxy")
            self._address = (via.hostname or "", via.port or 80)
            self.proxy = "{}:{}".format(*self._address)
            self._target = self.url

    async def get(self, headers: Mapping[str, str]) -> Reply:
        """GET the URL; Unreachable unless a whole answer came back, whatever its status."""
        lines = [f"GET {self._target} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join(lines).encode("latin-1") + http1.HEAD_END
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._ask(request)
        except TimeoutError as problem:
            raise Unreachable(f"{self.url}: {str(problem) or 'no answer in time'}") from None
        except Stale:
            raise Unreachable(f"{self.url}: closed without an answer") from None
        except EOFError:
            raise Unreachable(f"{self.url}: closed in the middle of an answer") from None
        except (OSError, UnicodeError, http1.Malformed) as problem:
            raise Unreachable(f"{self.url}: {problem}") from None

    async def _ask(self, request: bytes) -> Reply:
        channel = self._reusable()
        if channel is not None:
            try:
                return await self._exchange(channel, request)
            except Stale:
                pass  # It was closed while it lay idle: ask again on one that was not.
        fresh = await asyncio.open_connection(*self._address, limit=MAX_HEAD_BYTES)
        return await self._exchange(Channel(*fresh), request)

    def _reusable(self) -> Channel | None:
        while self._idle:
            channel = self._idle.pop()
            if channel.usable:
                return channel
            channel.writer.close()
        return None

    async def _exchange(self, channel: Channel, request: bytes) -> Reply:
        try:
            channel.writer.write(request)
            reply, keep = await _reply(channel.reader)
        except BaseException:
            channel.writer.close()
            raise
        if keep and channel.usable:
            self._keep(channel)
        else:
            channel.writer.close()
        return reply

    def _keep(self, channel: Channel) -> None:
        # The last one in is the first one out, so the dead would lie at the bottom for ever.
        for other in [other for other in self._idle if not other.usable]:
            self._idle.remove(other)
            other.writer.close()
        if len(self._idle) < MAX_IDLE:
            self._idle.append(channel)
        else:
            channel.writer.close()


async def _reply(reader: asyncio.StreamReader) -> tuple[Reply, bool]:
    """The answer on this connection, and whether the connection can be used again."""
    status, version, headers = await _final_head(reader)
    if status in {204, 304}:
        return Reply(status, b""), http1.keeps_alive(version, headers)
    if not http1.is_chunked(headers) and http1.content_length(headers) is None:
        return Reply(status, await reader.read()), False
    async with aclosing(http1.body(reader, headers)) as pieces:
        body = b"".join([piece async for piece in pieces])
    return Reply(status, body), http1.keeps_alive(version, headers)


async def _final_head(reader: asyncio.StreamReader) -> tuple[int, str, dict[str, str]]:
    answered = False
    while True:
        try:
            data = await reader.readuntil(http1.HEAD_END)
        except asyncio.LimitOverrunError:
            raise http1.Malformed("the head of the answer is too long") from None
        except asyncio.IncompleteReadError as end:
            if end.partial or answered:
                raise
            raise Stale from None
        except ConnectionError:
            if answered:
                raise
            raise Stale from None
        answered = True
        line, headers = http1.head(data)
        version, _, rest = line.partition(" ")
        status = rest[:3]
        if version not in {"HTTP/1.1", "HTTP/1.0"} or not status.isdigit() or len(status) != 3:
            raise http1.Malformed(f"not an answer: {line!r}")
        if int(status) >= 200:
            return int(status), version, headers


def _split(url: str, what: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # Raises where the port is not a number.
    except ValueError as problem:
        raise Misconfigured(f"{what} {url!r}: {problem}") from None
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme != "http" or not parts.hostname or not plain:
        raise Misconfigured(f"{what} must be of the form http://host:port, not {url!r}")
    return parts
