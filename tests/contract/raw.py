"""A real ``weft serve`` and bare sockets to it, for requests that no client library sends."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.controlplane import ControlPlane
from weft.api import connection

MIB = 1024 * 1024
GROWTH_BYTES = 128 * MIB
"""What any one case may leave behind, or hold at any one time."""
MESHES = "/v20190125/meshes"
MODELLED = {400, 403, 404, 405, 408, 431}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["__type"])

    @property
    def message(self) -> str:
        return str(json.loads(self.body)["message"])


class Plane:
    """The control plane, and sockets to it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        host, _, port = plane.api.removeprefix("http://").rpartition(":")
        self.host = f"{host}:{port}"
        self._address = (host, int(port))

    def connect(self) -> socket.socket:
        return socket.create_connection(self._address, timeout=connection.BODY_SECONDS + 30)

    def send(self, *pieces: bytes) -> list[Reply]:
        """All pieces over one connection, and everything that was answered before it closed."""
        with self.connect() as sock:
            for piece in pieces:
                try:
                    sock.sendall(piece)
                except OSError:  # It has refused already; what it said can still be read.
                    break
            return replies(sock)

    def one(self, *pieces: bytes) -> Reply:
        (reply,) = self.send(*pieces)
        return reply

    def head(self, method: str = "PUT", target: str = MESHES, **headers: str) -> bytes:
        """A request up to its body; the connection is to close after the answer."""
        lines = {"host": self.host, "connection": "close", **headers}
        text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
        return f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode("latin-1")

    def put(self, body: bytes, target: str = "") -> Reply:
        return self.one(self.head(target=target or MESHES, content_length=str(len(body))), body)

    def revision(self) -> int:
        return int(json.loads(self.one(self.head("GET", "/weft/v1/status")).body)["revision"])

    def rss(self) -> int:
        return self.plane.rss_bytes()


def replies(sock: socket.socket) -> list[Reply]:
    """What comes until the other side closes."""
    content = b""
    try:
        while piece := sock.recv(65536):
            content += piece
    except ConnectionResetError:
        pass
    found = []
    while content:
        head, _, content = content.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        status = int(first.split()[1])
        length = int(headers.get("content-length", 0))
        found.append(Reply(status, headers, content[:length]))
        content = content[length:]
    return found


@contextmanager
def started() -> Iterator[Plane]:
    """A control plane with one mesh, called hostile."""
    with ControlPlane() as process:
        process.start()
        found = Plane(process)
        found.put(json.dumps({"meshName": "hostile"}).encode())
        yield found


@contextmanager
def unharmed(plane: Plane) -> Iterator[None]:
    """After the block the control plane answers as before and has not grown."""
    before = plane.rss()
    yield
    reply = plane.one(plane.head("GET", f"{MESHES}/hostile"))
    assert reply.status == 200
    assert json.loads(reply.body)["metadata"]["version"] == 1
    assert plane.rss() - before < GROWTH_BYTES
