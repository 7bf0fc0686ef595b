"""The status page: what an operator, a probe or the command line asks one sidecar."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from weft.errors import BadRequest, CannotStart, Unreachable, WeftError
from weft.names import Ports
from weft.sidecar import prometheus
from weft.sidecar.access import without_tokens
from weft.sidecar.admin import Admin

Json = dict[str, Any]

CLUSTERS_PATTERN = (
    r"^cluster\.cds_.*\.(upstream_rq_total|upstream_cx_total|upstream_rq_5xx"
    r"|upstream_cx_connect_fail|membership_healthy|membership_total)$"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the sidecar stands; the agent replaces it as a whole, so a page never sees a half."""

    proxy: str
    instance: str
    mode: str
    ports: Json
    ready: bool = False
    why: str = "Envoy has not started yet"
    """One sentence: why it is ready, or is not."""
    envoy: Json = field(default_factory=dict)
    xds: Json = field(default_factory=dict)
    source: str = "ads"
    rejected: tuple[Json, ...] = ()
    left_out: tuple[str, ...] = ()
    started: float = 0.0
    renewals: Json = field(default_factory=dict)

    def to_json(self, now: float) -> Json:
        return {
            "proxy": self.proxy,
            "instance": self.instance,
            "mode": self.mode,
            "ports": self.ports,
            "ready": self.ready,
            "why": self.why,
            "envoy": self.envoy,
            "xds": self.xds,
            "source": self.source,
            "rejected": list(self.rejected),
            "left_out": list(self.left_out),
            "renewals": self.renewals,
            "uptime_seconds": round(now - self.started, 3),
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response."""

    status: int
    body: bytes
    content_type: str = "application/json"

    @classmethod
    def of(cls, value: Any, status: int = 200) -> Answer:
        return cls(status, json.dumps(value, indent=2).encode() + b"\n")


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages by path; what they show is read afresh at each request."""

    standing: Callable[[], Standing]
    admin: Callable[[], Admin | None]
    clock: Callable[[], float]
    metrics: prometheus.Page | None = None

    def answer(self, path: str, query: str = "") -> Answer:
        try:
            match path:
                case "/":
                    return Answer(200, self._front().encode(), "text/html; charset=utf-8")
                case "/ready":
                    standing = self.standing()
                    return Answer.of(
                        {"ready": standing.ready, "why": standing.why},
                        200 if standing.ready else 503,
                    )
                case "/status":
                    return Answer.of(self.standing().to_json(self.clock()))
                case "/clusters":
                    return Answer.of(clusters(self._admin().stats(CLUSTERS_PATTERN)))
                case "/listeners":
                    return Answer.of(listeners(self._admin().json("/listeners?format=json")))
                case "/config":
                    dump = self._admin().get("/config_dump?include_eds")
                    return Answer(200, without_tokens(dump))
                case "/stats/prometheus" if self.metrics is not None:
                    page = self.metrics.text(self._admin(), query)
                    return Answer(200, page.encode(), prometheus.CONTENT_TYPE)
                case _:
                    return Answer.of(
                        {"error": f"there is no page {path}", "pages": list(PAGES)}, 404
                    )
        except BadRequest as error:
            return Answer.of({"error": error.message}, 400)
        except WeftError as error:
            return Answer.of({"error": error.message}, 503)

    def _admin(self) -> Admin:
        admin = self.admin()
        if admin is None:
            raise Unreachable("Envoy is not running")
        return admin

    def _front(self) -> str:
        import html  # Here alone: it holds every character entity there is.

        standing = self.standing()
        rows = [
            ("proxy", standing.proxy),
            ("instance", standing.instance),
            ("ready", f"{'yes' if standing.ready else 'no'}: {standing.why}"),
            ("mode", standing.mode),
            ("configuration from", standing.source),
            ("control plane", "connected" if standing.xds.get("connected") else "not connected"),
            *((f"envoy {name}", str(value)) for name, value in standing.envoy.items()),
            *(("rejected", str(item["words"])) for item in standing.rejected),
            *(("left out", item) for item in standing.left_out),
        ]
        table = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>\n"
            for name, value in rows
        )
        links = " · ".join(f'<a href="{page}">{page}</a>' for page in PAGES if page != "/")
        return _FRONT.format(title=html.escape(standing.proxy), table=table, links=links)


PAGES = ("/", "/ready", "/status", "/clusters", "/listeners", "/config", "/stats/prometheus")

_FRONT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem;color-scheme:light dark}}
th{{text-align:left;padding-right:1.5rem;font-weight:600;vertical-align:top}}</style></head>
<body><h1>{title}</h1>
<table>
{table}</table>
<p>{links}</p></body></html>
"""


def clusters(stats: dict[str, int | str]) -> dict[str, dict[str, int]]:
    """
    Per cluster of the mesh: requests (connections where it is TCP), failures, members.

    The cluster's name says its protocol: ``cds_egress_M_N_tcp_3306``.
    """
    found: dict[str, dict[str, int]] = {}
    for name, value in stats.items():
        cluster, _, counter = name.removeprefix("cluster.").rpartition(".")
        if not isinstance(value, int):
            continue
        counts = found.setdefault(
            cluster, {"requests": 0, "5xx": 0, "connect_failures": 0, "healthy": 0, "members": 0}
        )
        requests = (
            "upstream_cx_total" if re.search(r"_tcp_[0-9]+$", cluster) else "upstream_rq_total"
        )
        members = {
            requests: "requests",
            "upstream_rq_5xx": "5xx",
            "upstream_cx_connect_fail": "connect_failures",
            "membership_healthy": "healthy",
            "membership_total": "members",
        }
        if counter in members:
            counts[members[counter]] = value
    return dict(sorted(found.items()))


def listeners(document: Any) -> dict[str, str]:
    """Where each listener accepts: ``127.0.0.1:PORT``, a path, or ``internal``."""
    return {
        listener["name"]: _address(listener.get("local_address", {}))
        for listener in document.get("listener_statuses", ())
    }


def _address(address: Json) -> str:
    if found := address.get("socket_address"):
        return f"{found['address']}:{found.get('port_value', 0)}"
    if found := address.get("pipe"):
        return str(found.get("path", ""))
    return "internal"


def ports(value: Ports) -> Json:
    """A proxy's ports by name, for people and scripts."""
    return {
        "ingress": [
            {"listener": p.listener, "socket": p.socket, "app": p.app} for p in value.ingress
        ],
        "egress": value.egress,
        "backends": [
            {"service": p.service, "listener": p.listener, "socket": p.socket}
            for p in value.backends
        ],
        **({"dns": value.dns} if value.dns else {}),
    }


# --- the server ----------------------------------------------------------------------------
# http.server would cost twice the memory of the rest of the sidecar.

_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}
_LOCAL_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?", re.IGNORECASE)
_MAX_LINE_BYTES = 8192
_MAX_HEADERS = 100


class _Handler(socketserver.StreamRequestHandler):
    timeout = 10  # A client that says nothing does not keep a thread.
    server: StatusServer

    def handle(self) -> None:
        try:
            self._handle()
        except OSError:
            return  # The client is gone; there is nobody to tell.

    def _handle(self) -> None:
        line = self.rfile.readline(_MAX_LINE_BYTES)
        if not line.strip():
            return
        host = ""
        for _ in range(_MAX_HEADERS):
            header = self.rfile.readline(_MAX_LINE_BYTES)
            if header in (b"\r\n", b"\n", b""):
                break
            name, _, value = header.decode("latin-1").partition(":")
            if name.lower() == "host":
                host = value.strip()
        words = line.decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1"):
            self._send(Answer.of({"error": "this is not an HTTP/1.1 request"}, 400))
        elif words[0] not in ("GET", "HEAD"):
            self._send(Answer.of({"error": f"{words[0]} is not served here"}, 405))
        elif not _LOCAL_HOST.fullmatch(host):
            # A page in a browser may reach 127.0.0.1 under a name of its own.
            self._send(Answer.of({"error": f"the Host header {host!r} is not a local one"}, 403))
        else:
            path, _, query = words[1].partition("?")
            self._send(self.server.pages.answer(path, query), with_body=words[0] == "GET")

    def _send(self, answer: Answer, *, with_body: bool = True) -> None:
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\n"
            f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )
        self.wfile.write(head.encode() + (answer.body if with_body else b""))


class StatusServer(socketserver.ThreadingTCPServer):
    """Serves the pages on 127.0.0.1, one short-lived thread per request."""

    allow_reuse_address = True
    # Left running, a thread of a slow client could hold up the end of the sidecar.
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, port: int, pages: Pages, report: Callable[[str], None], inherited: int | None = None
    ) -> None:
        """``inherited``: the descriptor of a socket that listens already, in place of the port."""
        self.pages = pages
        self._report = report
        try:
            super().__init__(("127.0.0.1", port), _Handler, bind_and_activate=False)
            if inherited is None:
                self.server_bind()
                self.server_activate()
            else:
                self.socket.close()
                self.socket = socket.socket(fileno=inherited)
                self.server_address = self.socket.getsockname()
        except OSError as error:
            self.socket.close()
            raise CannotStart(
                f"port {port} cannot be used for the status page: {error.strerror}"
                if inherited is None
                else f"file descriptor {inherited} is no listening socket: {error.strerror}",
                fix="give another port with --status-port, or 0 for a free one",
            ) from error
        self._thread = threading.Thread(target=self.serve_forever, args=(0.25,), name="status")

    @property
    def address(self) -> str:
        host, port = self.server_address[:2]
        return f"{host!s}:{port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        self._report(f"a page of the status server failed: {sys.exc_info()[1]!r}")
