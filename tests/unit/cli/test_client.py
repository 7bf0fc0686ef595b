"""The client keeps its connection, and trusts it no further than it should."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.unit.cli.control_plane import ControlPlane
from weft.cli.client import Client, Endpoint, path_of
from weft.clock import ManualClock
from weft.errors import Unreachable


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def client(plane: ControlPlane, clock: ManualClock) -> Iterator[Client]:
    found = Client(plane.endpoint, agent="weft test", clock=clock)
    yield found
    found.close()


def test_requests_share_one_connection(plane: ControlPlane, client: Client) -> None:
    plane.tell("POST", "/x", {"revision": 9})
    client.get("/weft/v1/resources")
    answer = client.post("/x", {"a": 1})
    assert plane.connections == 1
    assert answer.revision == 9
    assert plane.asked("POST", "/x")[0].body == {"a": 1}
    assert plane.requests[0].agent == "weft test"


def test_a_write_does_not_use_a_connection_that_stood_idle(
    plane: ControlPlane, client: Client, clock: ManualClock
) -> None:
    plane.tell("POST", "/x", {"revision": 9})
    client.get("/weft/v1/resources")
    clock.advance(timedelta(seconds=5))
    client.post("/x", {})
    assert plane.connections == 2


def test_a_read_over_a_connection_that_was_closed_meanwhile_is_asked_again() -> None:
    served: list[str] = []

    class OneEach(BaseHTTPRequestHandler):
        """Says that the connection stays, and closes it."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.append(self.path)
            body = json.dumps({"n": len(served)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), OneEach) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        client = Client(f"127.0.0.1:{server.server_address[1]}")
        try:
            assert [client.get("/a")["n"], client.get("/b")["n"]] == [1, 2]
        finally:
            client.close()
            server.shutdown()
            thread.join()


def test_a_control_plane_that_says_nothing_in_time_is_unreachable(
    plane: ControlPlane, client: Client
) -> None:
    held = threading.Event()
    plane.tell("GET", "/slow", lambda _: held.wait(30) or {})
    try:
        with pytest.raises(Unreachable, match="does not answer"):
            client.get("/slow", timeout=0.05)
    finally:
        held.set()


def test_a_unix_socket_is_an_endpoint(tmp_path: Path) -> None:
    class Hello(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: object) -> None:
            pass

    path = tmp_path / "api"
    with socketserver.ThreadingUnixStreamServer(str(path), Hello) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        client = Client(f"unix:{path}")
        try:
            assert client.get("/") == {}
        finally:
            client.close()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:7400", "http://127.0.0.1:7400"),
        ("http://127.0.0.1:7400/", "http://127.0.0.1:7400"),
        ("https://mesh.example", "https://mesh.example"),
        ("http://[::1]:7400", "http://[::1]:7400"),
    ],
)
def test_an_endpoint_may_be_written_short(text: str, url: str) -> None:
    assert Endpoint.parse(text).text == url


def test_names_in_paths_are_escaped() -> None:
    assert (
        path_of("meshes", "a/b", "virtualNodes", "ü") == "/weft/v1/meshes/a%2Fb/virtualNodes/%C3%BC"
    )
