"""
The color gateway: asks the color teller for a color, and counts the answers.

    COLOR_TELLER_ENDPOINT=colorteller.myapp.local:9080 SERVER_PORT=9080 python gateway.py
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import Counter, deque

import httpd
import listener
import xray
from httpd import Request, Response
from upstream import Unreachable, Upstream

log = logging.getLogger("colorapp")

REMEMBERED = 1000
GREETING = b"Hello from gateway"
MAX_LINE_BYTES = 1024 * 1024


class Colors:
    """The last thousand colors, and how they were shared out."""

    def __init__(self) -> None:
        self._last: deque[bytes] = deque()
        self._counts: Counter[bytes] = Counter()

    def add(self, color: bytes) -> None:
        """Remember one more; the oldest is forgotten when there are too many."""
        if len(self._last) == REMEMBERED:
            oldest = self._last.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        self._last.append(color)
        self._counts[color] += 1

    def clear(self) -> None:
        """Forget them all."""
        self._last.clear()
        self._counts.clear()

    def stats(self) -> str:
        """The share of each color as a JSON object, in hundredths, keys in order."""
        total = len(self._last)
        shares = (
            # In whole numbers, so that a half is exactly a half and is rounded up.
            f"{_json_string(color)}:{(200 * count + total) // (2 * total) / 100:g}"
            for color, count in sorted(self._counts.items())
        )
        return "{" + ",".join(shares) + "}"


def _json_string(text: bytes) -> str:
    quoted = json.dumps(text.decode(errors="replace"), ensure_ascii=False)
    for unsafe in "<>&\u2028\u2029":  # An error page of a proxy can come by as a color.
        quoted = quoted.replace(unsafe, f"\\u{ord(unsafe):04x}")
    return quoted


class TcpEcho:
    """The TCP service, dialled afresh for every question."""

    def __init__(self, endpoint: str, timeout_s: float) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s

    async def ask(self) -> Response:
        """Say hello and pass on the first line that comes back."""
        if not self._endpoint:
            return _failure("tcpecho endpoint is not set")
        host, _, port = self._endpoint.rpartition(":")
        if not (host and port.isascii() and port.isdigit()):
            return _failure(f"Dial failed, err:{self._endpoint!r} is not host:port")
        log.info("dialing tcp endpoint %s", self._endpoint)
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await asyncio.open_connection(
                    host.strip("[]"), int(port), limit=MAX_LINE_BYTES
                )
        except (OSError, OverflowError, UnicodeError) as problem:
            return _failure(f"Dial failed, err:{str(problem) or 'timed out'}")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._talk(reader, writer)
        except TimeoutError as problem:
            return _failure(f"Read from server failed, err:{str(problem) or 'timed out'}")
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Response:
        try:
            writer.write(GREETING)
            await writer.drain()
        except ConnectionError as problem:
            return _failure(f"Write to server failed, err:{problem}")
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return _failure("Read from server failed, err:EOF")
        except asyncio.LimitOverrunError:
            return _failure("Read from server failed, err:the line has no end")
        except ConnectionError as problem:
            return _failure(f"Read from server failed, err:{problem}")
        return Response(b"Response from tcpecho server: " + line)


class Gateway:
    """What the gateway answers; every path is exact and takes any method."""

    def __init__(self, teller: Upstream, echo: TcpEcho) -> None:
        self._teller = teller
        self._echo = echo
        self._colors = Colors()

    async def answer(self, request: Request, segment: xray.Segment) -> Response:
        """Answer one request."""
        match request.path:
            case "/color":
                return await self._color(segment)
            case "/color/clear":
                self._colors.clear()
                return Response(b"cleared")
            case "/tcpecho":
                return await self._echo.ask()
            case "/ping":
                return Response()
            case _:
                return httpd.not_found()

    async def _color(self, segment: xray.Segment) -> Response:
        call = segment.call(self._teller.host, self._teller.url)
        try:
            reply = await self._teller.get({xray.HEADER: segment.header_for(call)})
        except Unreachable as problem:
            call.failed(str(problem))
            log.warning("no color: %s", problem)
            return _failure("500 - Unexpected Error")
        call.answered(reply.status, len(reply.body))
        # The status is not looked at: an error page of a proxy counts as a color.
        color = reply.body.strip()
        if not color:
            log.warning("no color: an empty answer with status %d", reply.status)
            return _failure("500 - Unexpected Error")
        self._colors.add(color)
        stats = self._colors.stats().encode()
        return Response(b'{"color":"' + color + b'", "stats": ' + stats + b"}")


def _failure(text: str) -> Response:
    return Response(text.encode(errors="replace"), 500)


def serve() -> listener.Serve:
    """The gateway that the environment asks for."""
    teller_endpoint = os.environ.get("COLOR_TELLER_ENDPOINT")
    if not teller_endpoint:
        raise listener.Misconfigured("COLOR_TELLER_ENDPOINT is not set")
    echo_endpoint = os.environ.get("TCP_ECHO_ENDPOINT", "")
    stage = os.environ.get("STAGE") or "default"
    teller = Upstream(f"http://{teller_endpoint}")
    recorder = xray.Recorder(f"{stage}-gateway", os.environ)
    via = f" through the proxy at {teller.proxy}" if teller.proxy else ""
    log.info("using the color teller at %s%s", teller_endpoint, via)
    log.info("using tcpecho at %s", echo_endpoint or "(TCP_ECHO_ENDPOINT is not set)")
    gateway = Gateway(teller, TcpEcho(echo_endpoint, _seconds("TCP_ECHO_TIMEOUT", 10.0)))
    return httpd.serve(xray.traced(recorder, gateway.answer))


def _seconds(variable: str, default: float) -> float:
    text = os.environ.get(variable) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86400:
        raise listener.Misconfigured(f"{variable} must be a number of seconds, not {text!r}")
    return seconds


if __name__ == "__main__":
    listener.run("gateway", serve, "SERVER_PORT", 8080)
