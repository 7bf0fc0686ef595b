"""A control plane that answers as docs/weft-api.md says, as far as a test has told it to."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

MESH = "shop"


@dataclass
class Request:
    """What a command asked."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    agent: str
    connection: int
    authorization: str | None = None


Answer = Any | Callable[[Request], Any]


@dataclass
class ControlPlane:
    """Answers by method and path; whatever is not told is 404."""

    resources: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    endpoint: str = ""

    def tell(self, method: str, path: str, answer: Answer) -> None:
        self.answers[method, path] = answer

    def refuse(
        self, method: str, path: str, status: int, code: str, message: str, **more: Any
    ) -> None:
        body = {"code": code, "message": message, "problems": [], "fix": None, **more}
        self.answers[method, path] = (status, body)

    def asked(self, method: str, path: str) -> list[Request]:
        return [r for r in self.requests if (r.method, r.path) == (method, path)]

    def applied(self) -> list[dict[str, Any]]:
        """The bodies of all applies."""
        return [request.body for request in self.asked("POST", "/weft/v1/apply")]

    def answer(self, request: Request) -> tuple[int, Any]:
        self.requests.append(request)
        found = self.answers.get((request.method, request.path))
        if callable(found):
            found = found(request)
        if isinstance(found, tuple):
            return found
        if found is not None:
            return 200, found
        if (request.method, request.path) == ("GET", "/weft/v1/resources"):
            return 200, self._listed(request.query)
        if request.path.startswith("/weft/v1/resources/"):
            key = request.path.removeprefix("/weft/v1/resources/")
            for each in self.resources:
                if each["key"] == key:
                    return 200, {"revision": 7, **each, "referrers": []}
        body = {"code": "NotFoundException", "message": f"nothing at {request.path}"}
        return 404, {**body, "problems": [], "fix": None}

    def _listed(self, query: dict[str, str]) -> dict[str, Any]:
        chosen = [
            each
            for each in self.resources
            if query.get("kind") in (None, each["kind"])
            and query.get("mesh") in (None, each["meshName"])
        ]
        return {"revision": 7, "resources": chosen}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # A client may leave.
            super().handle_error(request, client_address)


@contextmanager
def serving(plane: ControlPlane) -> Iterator[ControlPlane]:
    """At a free port, for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # One packet for head and body, or every answer waits for an ACK.

        def setup(self) -> None:
            super().setup()
            plane.connections += 1
            self.number = plane.connections

        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            parts = urlsplit(self.path)
            request = Request(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query)),
                json.loads(content) if content else None,
                self.headers.get("User-Agent", ""),
                self.number,
                self.headers.get("Authorization"),
            )
            status, body = plane.answer(request)
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if raw is body else "application/json")
            self.send_header("Content-Length", str(len(raw)))
            if isinstance(body, dict) and request.method != "GET" and "revision" in body:
                self.send_header("x-weft-revision", str(body["revision"]))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    plane.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield plane
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- a small mesh ---------------------------------------------------------------------


def resource(kind: str, name: str, spec: Any, parent: str = "", mesh: str = MESH) -> dict[str, Any]:
    key = f"mesh/{mesh}" if kind == "mesh" else f"mesh/{mesh}/{kind}/{name}"
    named = {"meshName": mesh, f"{kind}Name": name}
    if kind == "route":
        key = f"mesh/{mesh}/virtualRouter/{parent}/route/{name}"
        named["virtualRouterName"] = parent
    if kind == "gatewayRoute":
        key = f"mesh/{mesh}/virtualGateway/{parent}/gatewayRoute/{name}"
        named["virtualGatewayName"] = parent
    return {
        "kind": kind,
        "key": key,
        "arn": f"arn:aws:appmesh:us-west-2:000000000000:{key}",
        **named,
        "spec": spec,
        "metadata": {"version": 1, "createdAt": 1767225600.0, "lastUpdatedAt": 1767225600.0},
        "tags": [],
    }


def node(name: str, port: int = 9080, protocol: str = "http", **spec: Any) -> dict[str, Any]:
    listener = {"portMapping": {"port": port, "protocol": protocol}}
    dns = {"dns": {"hostname": f"{name}.local"}}
    return resource("virtualNode", name, {"listeners": [listener], "serviceDiscovery": dns, **spec})


def service(name: str, router: str = "", by_node: str = "") -> dict[str, Any]:
    provider: dict[str, Any] = {"virtualRouter": {"virtualRouterName": router}}
    if by_node:
        provider = {"virtualNode": {"virtualNodeName": by_node}}
    return resource("virtualService", name, {"provider": provider})


def route(name: str, router: str, prefix: str = "/", **weights: int) -> dict[str, Any]:
    targets = [
        {"virtualNode": target.replace("_", "-"), "weight": weight}
        for target, weight in weights.items()
    ]
    body = {"match": {"prefix": prefix}, "action": {"weightedTargets": targets}}
    return resource("route", name, {"priority": 3, "httpRoute": body}, router)


def color_app() -> list[dict[str, Any]]:
    """Color App in small: one service over three nodes, one more node, one caller, one TCP node."""
    calls = [{"virtualService": {"virtualServiceName": "teller.local"}}]
    return [
        resource("mesh", MESH, {}),
        node("teller-white-vn"),
        node("teller-blue-vn"),
        node("teller-red-vn"),
        node("teller-black-vn"),
        node("gateway-vn", backends=calls),
        node("echo-vn", 2701, "tcp"),
        resource("virtualRouter", "teller-vr", {"listeners": []}),
        route("teller-route", "teller-vr", teller_white_vn=1, teller_blue_vn=1, teller_red_vn=1),
        service("teller.local", "teller-vr"),
        service("echo.local", by_node="echo-vn"),
    ]


def proxy(instance: str, node_name: str = "gateway-vn", **more: Any) -> dict[str, Any]:
    def of(kind: str) -> dict[str, Any]:
        return {
            "type": kind,
            "resources": 2,
            "sent": {"version": "a", "revision": 7},
            "accepted": {"version": "a", "revision": 7},
            "rejected": [],
            "suspectSince": None,
        }

    return {
        "proxy": f"mesh/{MESH}/virtualNode/{node_name}",
        "instance": instance,
        "mode": "explicit",
        "state": "accepted",
        "connectedSince": "2026-01-01T00:00:00Z",
        "disconnectedAt": None,
        "peer": "ipv4:127.0.0.1:5",
        "envoyVersion": "1.40.0",
        "statusAddress": "",
        "protocol": "delta",
        "acceptedRevision": 7,
        "failure": None,
        "failedRevision": None,
        "types": [of("CDS"), of("EDS"), of("LDS"), of("RDS")],
        **more,
    }
