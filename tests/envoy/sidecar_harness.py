"""A sidecar, its control plane, an upstream and load: each a thing that a test can start and end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("scripted_ads.py")
SRC = Path(__file__).parents[2] / "src"
PROXY = "mesh/shop/virtualNode/web"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def eventually(check: Callable[[], Any], *, seconds: float = 30) -> Any:
    """The first true answer; the last untrue one is in the failure."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"it never came true: {answer!r}"
        await asyncio.sleep(0.02)


class ControlPlane:
    """The scripted control plane as a process."""

    def __init__(self, directory: Path, address: str) -> None:
        self.address = address
        self._resources = directory / "resources.json"
        self._journal = directory / "journal.jsonl"
        self._process: asyncio.subprocess.Process | None = None
        self._resources.write_text("{}")
        self._journal.touch()

    async def start(self) -> None:
        before = len(self.events("serving"))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), self.address, str(self._resources), str(self._journal)
        )
        await eventually(lambda: len(self.events("serving")) > before)

    async def publish(self, resources: dict[str, Any]) -> None:
        beside = self._resources.with_suffix(".new")
        beside.write_text(json.dumps(resources))
        beside.rename(self._resources)
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = self._journal.read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]


class Sidecar:
    """``weft sidecar`` as a process, and its status page."""

    def __init__(self, directory: Path, xds: str, *arguments: str) -> None:
        self.directory = directory
        self.ready_file = directory / "ready.json"
        self._log = directory / "sidecar.log"
        self.output = directory / "stdout"
        self._arguments = [
            "--proxy", PROXY, "--xds", xds, "--data", str(directory / "data"),
            "--ready-file", str(self.ready_file), "--drain-time", "2s", *arguments,
        ]  # fmt: skip
        self.process: asyncio.subprocess.Process | None = None
        self.environment: dict[str, str] = {}
        """What it is told besides."""

    async def start(self) -> Sidecar:
        with self._log.open("ab") as log, self.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "weft", "sidecar", *self._arguments,
                stdout=output, stderr=log,
                env={**os.environ, "PYTHONPATH": str(SRC), **self.environment},
            )  # fmt: skip
        return self

    def add(self, *arguments: str) -> None:
        """The last one given counts."""
        self._arguments += arguments

    def argument(self, flag: str) -> str:
        return self._arguments[self._arguments.index(flag) + 1]

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def ready(self) -> dict[str, Any]:
        """The ready file, once it is there."""

        def there() -> bool:
            assert self.process is not None
            assert self.process.returncode is None, self.log
            return self.ready_file.exists()

        await eventually(there)
        found: dict[str, Any] = json.loads(self.ready_file.read_text())
        return found

    async def get(self, path: str, host: str = "localhost") -> tuple[int, str]:
        """One page of the status server, found through the log until the ready file exists."""
        found = json.loads(self.ready_file.read_text())
        return await http_get(found["status"], path, host)

    async def json(self, path: str) -> Any:
        return json.loads((await self.get(path))[1])

    async def stop(self, *, with_signal: int = signal.SIGTERM) -> int:
        """The exit status once it has ended."""
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(with_signal)
        return await asyncio.wait_for(self.process.wait(), 60)


async def http_get(address: str, path: str, host: str = "localhost") -> tuple[int, str]:
    name, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    raw = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = raw.partition("\r\n\r\n")
    return int(head.split()[1]), body


class Upstream:
    """An HTTP server that answers each request with one word, after a pause if it is told to."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.waiting += 1
                await self.gate.wait()
                self.waiting -= 1
                body = self.word.encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
                if b"connection: close" in head.lower():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._connections.discard(task)
            writer.close()


class Load:
    """Requests over kept-alive connections, one after the other on each, until it is stopped."""

    def __init__(self, port: int, *, connections: int = 4, pause_seconds: float = 0.01) -> None:
        self._port = port
        self._connections = connections
        self._pause = pause_seconds
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest_seconds = 0.0

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self._connections)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def _run(self) -> None:
        reader = writer = None
        while not self._stopping:
            begun = time.monotonic()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                assert reader is not None
                writer.write(b"GET / HTTP/1.1\r\nHost: api.local:8080\r\n\r\n")
                head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode().lower()
                length = int(head.partition("content-length:")[2].split("\r\n")[0])
                body = (await reader.readexactly(length)).decode()
                if " 200 " in head.split("\r\n")[0]:
                    self.answers[body] += 1
                else:
                    self.failures.append(head.split("\r\n")[0] + " " + body)
                if "connection: close" in head:
                    writer.close()
                    writer = None
            except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.failures.append(repr(error))
                if writer is not None:
                    writer.close()
                writer = None
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begun)
            await asyncio.sleep(self._pause)
        if writer is not None:
            writer.close()


def left_behind(directory: Path) -> None:
    """Nothing: no process, no socket, no shared memory."""
    assert not [p for p in processes() if str(directory) in p]
    assert not [*directory.glob("data/sidecar/*/*/run")]
    assert not [path for path in (directory / "data").rglob("*") if path.is_socket()]


def processes() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in found if "envoy" in line.split(" ")[0]]
