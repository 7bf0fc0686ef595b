"""The simulator's process, as the benchmark sees it: commands out, reports in."""

from __future__ import annotations

import base64
import json
import select
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from bench.processes import Died, end, spawned
from weft.names import View


@dataclass(frozen=True, slots=True)
class Simulated:
    """One proxy to simulate."""

    view: View
    instance: str


@dataclass(frozen=True, slots=True)
class Got:
    """What one proxy got since the mark."""

    last_ack_ns: int
    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """What all proxies got since the mark."""

    timed_out: bool
    streams: int
    unconfigured: int
    ended: int
    ended_words: str
    """Why the first of the ended streams ended."""
    touched: dict[str, Got]
    """By instance; a proxy that is not here got not one byte of a message."""
    nacks: int
    control_bytes: int
    """Of frames that carry no message: pings, windows, settings."""
    by_type: dict[str, dict[str, int]]
    cpu_seconds: float
    """Of the simulator itself."""
    sample: bytes
    """One of the responses."""

    @property
    def messages(self) -> int:
        return sum(got.messages for got in self.touched.values())

    @property
    def bytes(self) -> int:
        return sum(got.bytes for got in self.touched.values())

    def total(self, name: str) -> int:
        return sum(sums[name] for sums in self.by_type.values())

    @property
    def acks_ns(self) -> list[int]:
        """When each proxy that got something answered its last response, in order."""
        return sorted(got.last_ack_ns for got in self.touched.values() if got.last_ack_ns)


class Fleet(AbstractContextManager["Fleet"]):
    """Simulated proxies in a process of their own."""

    def __init__(self) -> None:
        self._process = spawned("bench.simulator")
        self.size = 0
        self.pid = self._process.pid

    def connect(self, target: str, proxies: Iterable[Simulated]) -> None:
        """Connect more proxies, all at once."""
        given = [[str(p.view.proxy), p.instance, p.view.to_metadata()] for p in proxies]
        self.size = int(self._ask(do="connect", target=target, proxies=given)["connecting"])

    def reconnect(self, target: str) -> None:
        """Connect every proxy anew, with what it holds."""
        self._ask(do="reconnect", target=target)

    def mark(self) -> int:
        """Count from here; the time of it."""
        return int(self._ask(do="mark")["at"])

    def settle(
        self, streams: int, *, quiet: float, timeout: float, configured: bool = False
    ) -> Report:
        """Wait for so many proxies to acknowledge something, and then for quiet."""
        answer = self._ask(
            timeout + 60,
            do="settle",
            streams=streams,
            quiet=quiet,
            timeout=timeout,
            configured=configured,
        )
        touched = {
            instance: Got(ack, messages, size)
            for instance, ack, messages, size in answer["touched"]
        }
        return Report(
            timed_out=answer["timed_out"],
            streams=answer["streams"],
            unconfigured=answer["unconfigured"],
            ended=answer["ended"],
            ended_words="".join(answer["ended_words"]),
            touched=touched,
            nacks=answer["nacks"],
            control_bytes=answer["control_bytes"],
            by_type=answer["by_type"],
            cpu_seconds=answer["cpu_seconds"],
            sample=base64.b64decode(answer["sample"]),
        )

    def disconnect(self) -> None:
        """End every stream and forget the proxies."""
        self._ask(do="close")
        self.size = 0

    def close(self) -> None:
        """End the process, and every stream with it."""
        end(self._process, grace_seconds=10)

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, timeout: float = 60, /, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise Died("the simulator has ended") from error
        # One answer to one command, so nothing can be left in the reader's buffer.
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        if not ready:
            raise Died(f"the simulator does not answer {command['do']!r}")
        line = self._process.stdout.readline()
        if not line:
            raise Died("the simulator has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Died(f"the simulator says: {answer['error']}")
        return answer
