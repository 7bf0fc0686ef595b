"""
The HTTP interface of AWS's agent, for scripts and probes that know it (app-mesh.md, 4.7).

It is served only where it is asked for, by ``APPNET_AGENT_ADMIN_MODE``, and takes ten
requests a second, twenty at once; what is more gets 429.
"""

from __future__ import annotations

import os
import socket
import socketserver
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from weft.errors import BadRequest, CannotStart, Unreachable, WeftError
from weft.sidecar import prometheus
from weft.sidecar.admin import Admin
from weft.sidecar.app_mesh import AgentApi
from weft.sidecar.status import Answer, Standing
from weft.sidecar.variables import LEVELS

Json = dict[str, Any]

RATE_PER_SECOND, BURST = 10.0, 20.0
_MAX_LINE_BYTES = 8192
_MAX_HEADERS = 100


@dataclass(slots=True)
class Bucket:
    """How many requests may come: so many a second, and some more at once."""

    now: Callable[[], float]
    left: float = BURST
    at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        with self._lock:
            now = self.now()
            passed = 0.0 if self.at is None else now - self.at
            self.at, self.left = now, min(BURST, self.left + passed * RATE_PER_SECOND)
            if self.left < 1:
                return False
            self.left -= 1
            return True


class LogLevel:
    """Changes Envoy's log level, and takes the change back after a time."""

    def __init__(
        self, admin: Callable[[], Admin], usual: str, seconds: float, say: Callable[[str], None]
    ) -> None:
        self._admin = admin
        self._usual = usual
        self._seconds = seconds
        self._say = say
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def set(self, level: str, *, permanent: bool) -> bytes:
        """Envoy's answer; the level holds for good, or for the time that was set."""
        answer = self._admin().post(f"/logging?level={level}")
        with self._lock:
            self._cancel()
            if permanent:
                self._usual = level
            else:
                self._timer = threading.Timer(self._seconds, self._back)
                self._timer.daemon = True
                self._timer.start()
        return answer

    def stop(self) -> None:
        with self._lock:
            self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _back(self) -> None:
        try:
            self._admin().post(f"/logging?level={self._usual}")
        except WeftError as error:
            self._say(f"Envoy's log level could not be set back: {error.message}")


@dataclass(frozen=True, slots=True)
class Interface:
    """What is answered, from how things stand when it is asked."""

    standing: Callable[[], Standing]
    admin: Callable[[], Admin | None]
    page: prometheus.Page
    level: LogLevel
    disconnected_seconds: float
    clock: Callable[[], float] = time.time

    def answer(self, method: str, target: str, body_bytes: int) -> Answer:
        path, _, query = target.partition("?")
        try:
            match method, path:
                case "GET", "/status":
                    return Answer.of(
                        status(self.standing(), self.clock(), self.disconnected_seconds)
                    )
                case "GET", "/stats/prometheus":
                    page = self.page.text(self._admin(), query)
                    return Answer(200, page.encode(), prometheus.CONTENT_TYPE)
                case "POST", "/drain_listeners":
                    said = self._admin().post(f"/drain_listeners?{_inbound(query, body_bytes)}")
                    return Answer(200, said, "text/plain; charset=utf-8")
                case "POST", "/enableLogging":
                    level, permanent = _logging(query)
                    said = self.level.set(level, permanent=permanent)
                    return Answer(200, said, "text/plain; charset=utf-8")
                case _, "/status" | "/stats/prometheus" | "/drain_listeners" | "/enableLogging":
                    return Answer.of({"error": f"{method} is not served at {path}"}, 405)
                case _:
                    return Answer.of({"error": f"there is no {path}"}, 404)
        except BadRequest as error:
            return Answer.of({"error": error.message, "fix": error.fix}, 400)
        except WeftError as error:
            return Answer.of({"error": error.message}, 503)

    def _admin(self) -> Admin:
        admin = self.admin()
        if admin is None:
            raise Unreachable("Envoy is not running")
        return admin


def _inbound(query: str, body_bytes: int) -> str:
    if query != "inboundonly" or body_bytes:
        raise BadRequest("write /drain_listeners?inboundonly, without a body")
    return query


def _logging(query: str) -> tuple[str, bool]:
    given = dict(part.partition("=")[::2] for part in query.split("&"))
    level, permanent = given.pop("level", ""), given.pop("permanent", "false")
    if level not in LEVELS or permanent not in ("true", "false") or given:
        raise BadRequest(
            "write /enableLogging?level=LEVEL, and &permanent=true to keep it",
            fix=f"LEVEL is one of {', '.join(LEVELS)}",
        )
    return level, permanent == "true"


def status(standing: Standing, now: float, disconnected_seconds: float) -> Json:
    """The document of the agent's ``/status``; its numbers are text."""
    connected = bool(standing.xds.get("connected"))
    since = float(standing.xds.get("since") or standing.started)
    state = str(standing.envoy.get("state", "UNREACHABLE"))
    if state in ("UNKNOWN", "NOT_RUNNING"):
        state = "UNREACHABLE"
    healthy = state == "LIVE" and (connected or now - since <= disconnected_seconds)
    made: Json = {
        "healthStatus": "HEALTHY" if healthy else "UNHEALTHY",
        "agentUptime": f"{int(now - standing.started)}s",
        "envoyPid": str(standing.envoy.get("pid") or 0),
        "envoyState": state,
        "envoyRestartCount": str(standing.envoy.get("restarts", 0)),
        "managementServerConnectionStatus": "CONNECTED" if connected else "NOT_CONNECTED",
        "envoyReadinessState": "INITIALIZED" if standing.ready else "NOT_INITIALIZED",
    }
    if not connected:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
        made["managementServerDisconnectedTimestamp"] = stamp
    if standing.ready:
        made["initialConfigUpdateStatus"] = "UPDATE_SUCCESSFUL"
    return made


# --- the server -------------------------------------------------------------------------------

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    503: "Service Unavailable",
}


class _Handler(socketserver.StreamRequestHandler):
    timeout = 10  # A client that says nothing does not keep a thread.
    server: _Server

    def handle(self) -> None:
        with suppress(OSError):
            self._handle()

    def _handle(self) -> None:
        words = self.rfile.readline(_MAX_LINE_BYTES).decode("latin-1").split()
        length = 0
        for _ in range(_MAX_HEADERS):
            header = self.rfile.readline(_MAX_LINE_BYTES)
            if header in (b"\r\n", b"\n", b""):
                break
            name, _, value = header.decode("latin-1").partition(":")
            if name.lower() == "content-length" and value.strip().isdigit():
                length = int(value)
        if len(words) != 3 or not words[2].startswith("HTTP/1"):
            self._send(Answer.of({"error": "this is not an HTTP/1.1 request"}, 400))
        elif not self.server.bucket.take():
            self._send(Answer.of({"error": "ten requests a second are answered, not more"}, 429))
        else:
            self._send(self.server.interface.answer(words[0], words[1], length))

    def _send(self, answer: Answer) -> None:
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\n"
            f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        self.wfile.write(head.encode() + answer.body)


class _Serving(socketserver.ThreadingMixIn):
    """One short-lived thread per request, as at the status page."""

    daemon_threads = True
    block_on_close = False
    interface: Interface
    bucket: Bucket
    report: Callable[[str], None]

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.report(f"the agent's interface failed: {sys.exc_info()[1]!r}")


class _OverTcp(_Serving, socketserver.TCPServer):
    allow_reuse_address = True


class _OverTcp6(_OverTcp):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        # As the image's agent, [::] takes version 4 as well.
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _OverPipe(_Serving, socketserver.UnixStreamServer):
    pass


_Server: TypeAlias = _OverTcp | _OverPipe


class AgentServer:
    """Serves the interface, at a port or at a Unix socket."""

    def __init__(
        self, asked: AgentApi, interface: Interface, report: Callable[[str], None]
    ) -> None:
        self._asked = asked
        self._level = interface.level
        try:
            self._server = _server(asked)
        except OSError as error:
            where = asked.path or f"{asked.host}:{asked.port}"
            raise CannotStart(
                f"{where} cannot be used for the agent's interface: {error.strerror}",
                fix="give another place with APPNET_AGENT_ADMIN_UDS_PATH, APPNET_AGENT_HTTP_PORT "
                "or APPNET_AGENT_HTTP_BIND_ADDRESS",
            ) from error
        self._server.interface = interface
        self._server.bucket = Bucket(time.monotonic)
        self._server.report = report
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.25,), name="agent-api"
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._level.stop()
        if self._asked.path:
            with suppress(OSError):
                os.unlink(self._asked.path)


def _server(asked: AgentApi) -> _Server:
    if asked.path:
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.stat(asked.path).st_mode):
                os.unlink(asked.path)  # Of a sidecar that was killed.
        made = _OverPipe(asked.path, _Handler)
        os.chmod(asked.path, 0o600)
        return made
    if ":" in asked.host and socket.has_ipv6:
        with suppress(OSError):
            return _OverTcp6((asked.host, asked.port), _Handler)
        if asked.host != "::":
            return _OverTcp6((asked.host, asked.port), _Handler)
    host = "0.0.0.0" if asked.host == "::" else asked.host
    return _OverTcp((host, asked.port), _Handler)
