"""A real ``weft serve`` in a process of its own: started, asked, weighed, killed."""

from __future__ import annotations

import http.client
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench.mesh import Resource
from bench.processes import Died, end, spawned

_START_SECONDS = 60
_CHUNK_BYTES = 700_000
"""Of resources in one apply; the API takes bodies up to 1 MiB."""


class ControlPlane(AbstractContextManager["ControlPlane"]):
    """One data directory, and the process that serves it."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="weft-bench-")
        self._process: subprocess.Popen[bytes] | None = None
        self._http: http.client.HTTPConnection | None = None
        self.api = ""
        """Its URL, once it serves."""
        self.xds = "127.0.0.1:0"

    def start(self) -> float:
        """Start, on the xDS port of before if there was one; the seconds it took."""
        begin = time.monotonic()
        with (Path(self._directory.name) / "log").open("ab") as log:
            self._process = spawned(
                "weft",
                *("serve", "--log-level", "warning", "--data", self._directory.name),
                *("--api", "127.0.0.1:0", "--xds", self.xds),
                stderr=log,
            )
        assert self._process.stdout is not None
        # It says so in one line when it serves, and where in the data directory.
        ready, _, _ = select.select([self._process.stdout], [], [], _START_SECONDS)
        if not ready or not self._process.stdout.readline():
            self.kill()
            raise Died(f"weft serve did not start:\n{self.log()}")
        taken = time.monotonic() - begin
        where = json.loads((Path(self._directory.name) / "serve.json").read_text())
        self.api, self.xds = where["api"], where["xds"]
        host, _, port = self.api.removeprefix("http://").rpartition(":")
        self._http = http.client.HTTPConnection(host, int(port), timeout=600)
        self._http.connect()
        return taken

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._http is not None:
            self._http.close()
            self._http = None
        if self._process is not None:
            self._process.kill()
            end(self._process, grace_seconds=20)
            self._process = None

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            end(self._process, grace_seconds=20)
            self._process = None
        self.kill()
        self._directory.cleanup()

    # --- requests -------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request over the connection that is kept open; its JSON answer."""
        assert self._http is not None
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if content else {}
        try:
            self._http.request(method, path, content, headers)
            response = self._http.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Died(f"{method} {path}: {error}\n{self.log()}") from error
        if response.status >= 300:
            raise Died(f"{method} {path}: {response.status} {answer.decode()}\n{self.log()}")
        return json.loads(answer) if answer else None

    def apply(self, resources: Iterable[Resource]) -> None:
        """Put resources in, as many at a time as the API takes."""
        chunk: list[Resource] = []
        size = 0
        for each in resources:
            length = len(json.dumps(each))
            if size + length > _CHUNK_BYTES:
                self.ask("POST", "/weft/v1/apply", {"resources": chunk})
                chunk, size = [], 0
            chunk.append(each)
            size += length
        if chunk:
            self.ask("POST", "/weft/v1/apply", {"resources": chunk})

    # --- what it costs --------------------------------------------------------------------

    @property
    def directory(self) -> Path:
        """Where it keeps everything."""
        return Path(self._directory.name)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def cpu_seconds(self) -> float:
        """CPU time of the whole process so far, to the nanosecond (/proc has ticks of 10 ms)."""
        return cpu_seconds(self.pid)

    def rss_bytes(self) -> int:
        """Resident memory now."""
        return rss_bytes(self.pid)

    def log(self) -> str:
        """The last lines it logged."""
        return (Path(self._directory.name) / "log").read_text()[-4000:]


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, by the clock that Linux keeps for it."""
    return time.clock_gettime_ns(~pid << 3 | 2) / 1e9


def rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
