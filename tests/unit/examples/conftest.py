"""Color App's services as processes of their own, and what stands around them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

COLORAPP = Path(__file__).parents[3] / "examples" / "colorapp"
DEADLINE_S = 30.0
DATAGRAM_HEAD = b'{"format": "json", "version": 1}\n'


@dataclass
class Answer:
    """What a client got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Service:
    """One running script."""

    def __init__(self, script: str, environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(COLORAPP / script)],
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environ},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.log: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self._reading = threading.Thread(target=self._read)
        self._reading.start()
        self.port = int(self.logged("is listening on").rpartition(":")[2])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.log.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def logged(self, text: str) -> str:
        """Wait for a line of the log with this text in it."""

        def found() -> bool:
            return self._ended or any(text in line for line in self.log)

        with self._more:
            assert self._more.wait_for(found, DEADLINE_S), self.log
            lines = [line for line in self.log if text in line]
        assert lines, self.log
        return lines[0]

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask once, on a connection of its own."""
        connection = self.connection()
        try:
            return ask(connection, path, method, **headers)
        finally:
            connection.close()

    def connection(self) -> http.client.HTTPConnection:
        """A connection that can be asked more than once."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)

    def dial(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(DEADLINE_S)
        self._reading.join(DEADLINE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()


def ask(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str
) -> Answer:
    """One question on a connection; underscores in header names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=named)
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def http_reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """The bytes of an HTTP/1.1 answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Seen:
    """One request as the fake server saw it."""

    connection: int
    head: str
    number: int

    @property
    def line(self) -> str:
        return self.head.partition("\r\n")[0]

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


Script = Callable[[Seen], bytes | None]


@dataclass
class FakeServer:
    """A server that reads heads and answers as scripted; None closes the connection."""

    script: Script
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(accepted)
            thread = threading.Thread(target=self._serve, args=(accepted, len(self._open)))
            self._threads.append(thread)
            thread.start()

    def _serve(self, accepted: socket.socket, number: int) -> None:
        with suppress(OSError), accepted:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    piece = accepted.recv(65536)
                    if not piece:
                        return
                    data += piece
                head, _, data = data.partition(b"\r\n\r\n")
                request = Seen(number, head.decode(), len(self.seen) + 1)
                self.seen.append(request)
                answer = self.script(request)
                if answer is None:
                    return
                accepted.sendall(answer)
                if b"Content-Length" not in answer and b"chunked" not in answer:
                    return

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for accepted in self._open:
            with suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE_S)


class Daemon:
    """The X-Ray daemon's UDP port."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(DEADLINE_S)
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"

    def segment(self) -> dict[str, Any]:
        """The next segment that arrives."""
        datagram = self.socket.recv(65536)
        assert datagram.startswith(DATAGRAM_HEAD)
        document: dict[str, Any] = json.loads(datagram.removeprefix(DATAGRAM_HEAD))
        return document


@pytest.fixture
def start() -> Iterator[Callable[..., Service]]:
    """Starts a script on a free port; its environment is given by name."""
    running: list[Service] = []

    def start_one(script: str, **environ: str) -> Service:
        variable = "TCP_PORT" if script == "tcpecho.py" else "SERVER_PORT"
        service = Service(script, {variable: "0", **environ})
        running.append(service)
        return service

    yield start_one
    for service in running:
        service.end()


@pytest.fixture
def fake() -> Iterator[Callable[[Script], FakeServer]]:
    """Starts a scripted server."""
    servers: list[FakeServer] = []

    def fake_one(script: Script) -> FakeServer:
        servers.append(FakeServer(script))
        return servers[-1]

    yield fake_one
    for server in servers:
        server.close()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """An X-Ray daemon that listens."""
    daemon = Daemon()
    yield daemon
    daemon.socket.close()


@pytest.fixture
def reply() -> Callable[..., bytes]:
    """Makes the bytes of an HTTP answer."""
    return http_reply


@pytest.fixture
def again() -> Callable[..., Answer]:
    """Asks on a connection that stays open."""
    return ask


@pytest.fixture
def fails() -> Callable[..., str]:
    """Runs a script that cannot start; what it says about that."""

    def fails_with(script: str, **environ: str) -> str:
        done = subprocess.run(
            [sys.executable, str(COLORAPP / script)],
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environ},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr

    return fails_with
