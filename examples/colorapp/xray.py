"""
X-Ray traces: ids, the X-Amzn-Trace-Id header, and segments to the daemon over UDP.

A request joins the trace named by its header, or starts one. Nothing here waits
and nothing here fails: without a daemon the segments are lost, the replies are not.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from httpd import Handler, Request, Response
from listener import Misconfigured

log = logging.getLogger("colorapp")

HEADER = "X-Amzn-Trace-Id"
DAEMON = "127.0.0.1:2000"
DATAGRAM_HEAD = b'{"format": "json", "version": 1}\n'

_ROOT = re.compile(r"1-[0-9a-fA-F]{8}-[0-9a-fA-F]{24}")
_ID = re.compile(r"[0-9a-fA-F]{16}")
_NOT_IN_NAMES = re.compile(r"[^\w\s.:/%&#=+\\\-@]")


def new_root() -> str:
    """A trace id: a format number, the second it began, 96 random bits."""
    return f"1-{int(time.time()):08x}-{os.urandom(12).hex()}"


def new_id() -> str:
    """The id of a segment or subsegment."""
    return os.urandom(8).hex()


@dataclass(frozen=True, slots=True)
class Trace:
    """The X-Amzn-Trace-Id header as it was received; what is missing is None."""

    root: str | None = None
    parent: str | None = None
    sampled: bool | None = None
    more: tuple[str, ...] = ()
    """Fields of others, which travel on untouched."""

    @classmethod
    def parse(cls, header: str) -> Trace:
        """Read a header; what cannot be understood counts as missing."""
        root = parent = None
        sampled: bool | None = None
        more: list[str] = []
        for part in header.split(";"):
            name, equals, value = (text.strip() for text in part.partition("="))
            match name.lower():
                case "root":
                    root = value if _ROOT.fullmatch(value) else None
                case "parent":
                    parent = value if _ID.fullmatch(value) else None
                case "sampled":
                    sampled = {"0": False, "1": True}.get(value)
                case "self":
                    pass  # A load balancer's note to itself.
                case _ if name and equals:
                    more.append(f"{name}={value}")
        # A parent belongs to its trace; without that it points at nothing.
        return cls(root, parent if root else None, sampled, tuple(more))


@dataclass(slots=True)
class Subsegment:
    """A call that we make while we answer."""

    name: str
    url: str
    id: str = field(default_factory=new_id)
    start: float = field(default_factory=time.time)
    end: float | None = None
    status: int | None = None
    content_length: int | None = None
    problem: str | None = None

    def answered(self, status: int, content_length: int) -> None:
        """The call came back."""
        self.end, self.status, self.content_length = time.time(), status, content_length

    def failed(self, problem: str) -> None:
        """The call did not come back."""
        self.end, self.problem = time.time(), problem

    def document(self) -> dict[str, Any]:
        """As the X-Ray daemon wants it."""
        http: dict[str, Any] = {"request": {"method": "GET", "url": self.url}}
        if self.status is not None:
            http["response"] = {"status": self.status, "content_length": self.content_length}
        document = {
            "id": self.id,
            "name": _name(self.name),
            "namespace": "remote",
            "start_time": self.start,
            "end_time": time.time() if self.end is None else self.end,
            "http": http,
            **_outcome(self.status),
        }
        if self.problem is not None:
            document["fault"] = True
            document["cause"] = {
                "exceptions": [{"id": new_id(), "message": self.problem, "remote": True}],
            }
        return document


@dataclass(slots=True)
class Segment:
    """Our part of one trace: one request that we answer."""

    name: str
    root: str
    parent: str | None
    sampled: bool
    more: tuple[str, ...] = ()
    id: str = field(default_factory=new_id)
    start: float = field(default_factory=time.time)
    calls: list[Subsegment] = field(default_factory=list)

    def call(self, name: str, url: str) -> Subsegment:
        """Begin a call to another service."""
        call = Subsegment(name, url)
        self.calls.append(call)
        return call

    def header_for(self, call: Subsegment) -> str:
        """What the called service is told; an unsampled parent will never be recorded."""
        parent = [f"Parent={call.id}"] if self.sampled else []
        return ";".join(
            [f"Root={self.root}", *parent, f"Sampled={int(self.sampled)}", *self.more],
        )

    def reply_header(self) -> str:
        """What our caller is told."""
        return f"Root={self.root};Sampled={int(self.sampled)}"

    def document(self, request: Request, response: Response) -> dict[str, Any]:
        """As the X-Ray daemon wants it."""
        host = request.headers.get("host", "")
        asked: dict[str, Any] = {
            "method": request.method,
            "url": f"http://{host}{request.path}",
            "client_ip": request.peer,
        }
        if forwarded := request.headers.get("x-forwarded-for"):
            asked |= {"client_ip": forwarded.split(",")[0].strip(), "x_forwarded_for": True}
        if agent := request.headers.get("user-agent"):
            asked["user_agent"] = agent
        document: dict[str, Any] = {
            "name": _name(self.name),
            "id": self.id,
            "trace_id": self.root,
            "start_time": self.start,
            "end_time": time.time(),
            "http": {
                "request": asked,
                "response": {
                    "status": response.status,
                    "content_length": len(response.body),
                },
            },
            **_outcome(response.status),
        }
        if self.parent:
            document["parent_id"] = self.parent
        if self.calls:
            document["subsegments"] = [call.document() for call in self.calls]
        return document


class Recorder:
    """Begins the segments of one service and sends the sampled ones to the daemon."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self._name = name
        self._rate = _rate(environ.get("XRAY_SAMPLING_RATE") or "1")
        self._socket = _connected(environ.get("AWS_XRAY_DAEMON_ADDRESS") or DAEMON)

    def segment(self, header: str | None) -> Segment:
        """Begin a segment in the trace that the request belongs to, or in a new one."""
        trace = Trace.parse(header or "")
        sampled = trace.sampled
        if sampled is None:
            sampled = random.random() < self._rate  # noqa: S311 - a sample is no secret
        return Segment(self._name, trace.root or new_root(), trace.parent, sampled, trace.more)

    def send(self, document: Mapping[str, Any]) -> None:
        """Hand a finished segment to the daemon, if there is one."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send(DATAGRAM_HEAD + json.dumps(document).encode())


def traced(
    recorder: Recorder, handler: Callable[[Request, Segment], Awaitable[Response]]
) -> Handler:
    """The handler with a segment around every request."""

    async def traced_handler(request: Request) -> Response:
        segment = recorder.segment(request.headers.get(HEADER.lower()))
        response = await handler(request, segment)
        response.headers[HEADER] = segment.reply_header()
        if segment.sampled:
            recorder.send(segment.document(request, response))
        return response

    return traced_handler


def _outcome(status: int | None) -> dict[str, bool]:
    if status is None or status < 400:
        return {}
    if status >= 500:
        return {"fault": True}
    return {"error": True, "throttle": True} if status == 429 else {"error": True}


def _name(text: str) -> str:
    return _NOT_IN_NAMES.sub("", text)[:200]


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise Misconfigured(f"XRAY_SAMPLING_RATE must be a number from 0 to 1, not {text!r}")
    return rate


def _connected(address: str) -> socket.socket | None:
    """A socket to the daemon; the address may be ``host:port`` or ``tcp:… udp:host:port``."""
    for part in address.split():
        if part.startswith("udp:"):
            address = part.removeprefix("udp:")
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise Misconfigured(f"AWS_XRAY_DAEMON_ADDRESS must be host:port, not {address!r}")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_DGRAM
        )[0]
        daemon = socket.socket(family, kind, protocol)
        daemon.setblocking(False)  # noqa: FBT003
        daemon.connect(where)
    except OSError as problem:
        log.warning("no X-Ray daemon at %s (%s): traces are not recorded", address, problem)
        return None
    return daemon
