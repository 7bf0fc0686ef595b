"""A runner as a process of its own, with a scripted control plane and scripted sidecars."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from weft.local import control

HERE = Path(__file__).parent
SRC = HERE.parents[2] / "src"
SECONDS = 60

LAUNCH = """
import json, os, sys
from pathlib import Path
from weft.errors import WeftError
from weft.local.applying import Applying
from weft.local.run import UpOptions, up
from weft.settings import Settings
flags = json.loads(sys.argv[1])
files = tuple(flags.pop("files", ()))
applying = Applying(flags.pop("applying", "everything"))
options = dict(settings=Settings.read(flags), files=files, applying=applying)
try:
    sys.exit(up(UpOptions(weft=(sys.executable, sys.argv[2]), **options)))
except WeftError as error:
    sys.exit(f"error: {error.message} / fix: {error.fix}")
"""


def until(holds: Callable[[], Any], what: str = "it") -> Any:
    """Wait for a condition; what it answers once it is true."""
    deadline = time.monotonic() + SECONDS
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what} never came true"
        time.sleep(0.02)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Up:
    """One ``weft up`` that runs."""

    def __init__(self, data: Path, files: list[str], **flags: Any) -> None:
        self.data = data
        environment = {**os.environ, **flags.pop("environment", {}), "PYTHONPATH": str(SRC)}
        given = {"--data": str(data), "--api": "127.0.0.1:0", "--xds": "127.0.0.1:0"}
        given |= {"files": files, **flags}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, json.dumps(given), str(HERE / "stub_weft.py")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.pids: set[int] = set()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def says(self, pattern: str) -> re.Match[str]:
        """Wait for a line."""
        found: re.Match[str] = until(
            lambda: re.search(pattern, self.output) or self.process.poll() is not None,
            f"{pattern!r} in:\n{self.output}",
        )
        assert isinstance(found, re.Match), f"it ended without {pattern!r}:\n{self.output}"
        return found

    def ready(self) -> "Up":
        self.says(r"Ready in")
        self.status()
        return self

    def status(self) -> dict[str, Any]:
        found = control.request(self.data, {"op": "status"})
        for replica in self._replicas(found):
            self.pids |= {pid for pid in (replica["pid"], replica["sidecarPid"]) if pid}
        self.pids |= {pid for pid in (found["controlPlane"]["pid"],) if pid}
        return found

    def replica(self, name: str) -> dict[str, Any]:
        found = {each["name"]: each for each in self._replicas(self.status())}
        return found[name]

    def in_state(self, name: str, state: str) -> dict[str, Any]:
        found: dict[str, Any] = until(
            lambda: (r := self.replica(name))["state"] == state and r, f"{name} {state}"
        )
        return found

    @staticmethod
    def _replicas(status: dict[str, Any]) -> list[dict[str, Any]]:
        return [replica for each in status["workloads"] for replica in each["replicas"]]

    def ask(self, name: str, path: str = "/") -> dict[str, str]:
        """Ask a workload through its sidecar."""
        [address] = self.replica(name)["addresses"].values()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{address}{path}", timeout=10) as answer:
            found: dict[str, str] = json.load(answer)
        return found

    def requests(self) -> list[str]:
        file = self.data / "requests"
        return file.read_text().splitlines() if file.exists() else []

    def instances(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "stub.json").read_text())["instances"]
        return found

    def end(self, number: int = signal.SIGINT) -> int:
        """Tell it to stop; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGTERM)
        self._reader.join(SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
