"""The processes of a runner: each in a group of its own, its output by the line, none left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from weft.local import watchdog

MAX_LINE = 64 * 1024

OnLine = Callable[[str], None]


class Lines:
    """Cuts a stream of bytes into lines; what is longer than a line may be is broken up."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > MAX_LINE:
            whole.append(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        return [_text(line) for line in whole]

    def end(self) -> list[str]:
        """The last line, if it was never ended."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "replace")


class Child(asyncio.SubprocessProtocol):
    """One process that was started, and the group it leads."""

    def __init__(self, on_line: OnLine, on_exit: Callable[[Child], None]) -> None:
        self.pid = 0
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._quiet: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_line = on_line
        self._on_exit = on_exit
        self._lines = Lines()
        self._transport: asyncio.SubprocessTransport | None = None

    # --- asyncio.SubprocessProtocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        assert isinstance(data, bytes)
        for line in self._lines.feed(data):
            self._on_line(line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        for line in self._lines.end():
            self._on_line(line)
        if not self._quiet.done():
            self._quiet.set_result(None)

    def process_exited(self) -> None:
        # Whatever it started goes with it; with them goes the last holder of its output.
        self._signal_group(signal.SIGKILL)
        assert self._transport is not None
        code = self._transport.get_returncode()
        if not self.exited.done():
            self.exited.set_result(-1 if code is None else code)
        self._on_exit(self)

    # --- for its owner ---

    @property
    def alive(self) -> bool:
        return not self.exited.done()

    async def ended_within(self, seconds: float | None) -> bool:
        """Whether it has ended, after waiting so long for it at most."""
        await asyncio.wait({self.exited}, timeout=seconds)
        return self.exited.done()

    async def code(self) -> int:
        """Its exit status, once it has one and its last line has been read."""
        await asyncio.wait({self.exited})
        await asyncio.wait({self._quiet}, timeout=0.5)
        if self._transport is not None:
            self._transport.close()
        return self.exited.result()

    def signal(self, number: int) -> bool:
        """Send the process alone a signal; False when it has ended."""
        if self.alive and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
                return True
        return False

    def terminate(self) -> None:
        """Ask the process to end; what it started is its own business."""
        self.signal(signal.SIGTERM)

    def terminate_group(self) -> None:
        """Ask the process and what it started to end, as Ctrl-C at a terminal would."""
        if self.alive:
            self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """End the process and what it started."""
        if self.alive:
            self._signal_group(signal.SIGKILL)

    async def end(self, grace_seconds: float, *, group: bool = False) -> int:
        """Ask, wait, and no longer ask."""
        (self.terminate_group if group else self.terminate)()
        if not await self.ended_within(grace_seconds):
            self.kill()
        return await self.code()

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.pid:
                os.killpg(self.pid, number)


class Processes:
    """All of them, and the watchdog that ends them should we be killed."""

    def __init__(self) -> None:
        self._children: set[Child] = set()
        self._watchdog: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Processes:
        self._start_watchdog()
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._children:
            for child in self._children:
                child.kill()
            await asyncio.wait({child.exited for child in self._children}, timeout=1)
        if self._watchdog is not None and self._watchdog.stdin is not None:
            with contextlib.suppress(OSError):
                self._watchdog.stdin.close()
            # With nothing left to end, it ends as soon as it has read that.
            self._watchdog.wait()

    async def start(
        self,
        arguments: Sequence[str],
        *,
        on_line: OnLine,
        environment: Mapping[str, str],
        directory: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Start one; OSError when it cannot be. ``pass_fds`` are the descriptors it inherits."""
        loop = asyncio.get_running_loop()
        _, child = await loop.subprocess_exec(
            lambda: Child(on_line, self._gone),
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=dict(environment),
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
        if child.alive:
            self._children.add(child)
            self._tell_watchdog(f"add {child.pid}")
        return child

    def hurry(self) -> None:
        """No more patience: ask all of them now, and end them a moment later."""
        for child in self._children:
            child.terminate()
        asyncio.get_running_loop().call_later(1.5, self.kill)

    def kill(self) -> None:
        for child in self._children:
            child.kill()

    def _gone(self, child: Child) -> None:
        if child in self._children:
            self._children.discard(child)
            self._tell_watchdog(f"remove {child.pid}")

    def _start_watchdog(self) -> None:
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _tell_watchdog(self, line: str) -> None:
        if self._watchdog is None or self._watchdog.stdin is None:
            return
        try:
            self._watchdog.stdin.write(line.encode() + b"\n")
            self._watchdog.stdin.flush()
        except OSError:
            # It was killed; a new one learns of everything that lives.
            self._watchdog.wait()
            self._start_watchdog()
            assert self._watchdog.stdin is not None
            with contextlib.suppress(OSError):
                for child in self._children:
                    self._watchdog.stdin.write(f"add {child.pid}\n".encode())
                self._watchdog.stdin.flush()
