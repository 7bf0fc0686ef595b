"""
Many proxies in one process of their own: one raw socket and one delta stream each.

Run by ``bench.fleet`` as ``python -m bench.simulator``; commands come as JSON lines
on stdin and are answered on stdout:

    {"do": "connect", "target": "HOST:PORT" or "unix:PATH", "proxies": [[id, instance, weft], …]}
    {"do": "reconnect", "target": …}     every proxy anew, with the versions it holds
    {"do": "mark"}                       count from here
    {"do": "settle", "streams": N, "quiet": S, "timeout": S, "configured": bool}
        answered once N streams have acknowledged something since the mark (and, if so
        asked, every proxy is configured) and then nothing has come for S seconds: a report
    {"do": "close"}                      end every stream; end of input ends the process

Times are CLOCK_MONOTONIC, so they may be compared with those of the writer on the
same machine. Acknowledgements leave first and are accounted for when nothing else is due.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench import http2
from bench.processes import prepare
from bench.proxy import CLUSTER, LISTENER, SHORT, Change, Proxy, Response, ack, nack, node, response

PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_READ = 65536
_COMMANDS = 0


@dataclass(slots=True)
class Tally:
    """What one stream got since the mark."""

    messages: int = 0
    bytes: int = 0
    nacks: int = 0
    last_ack_ns: int = 0
    changes: dict[str, Change] = field(default_factory=dict)


class Stream:
    """One proxy's connection."""

    __slots__ = ("connection", "instance", "polled", "proxy", "socket")

    def __init__(self, instance: str, proxy: Proxy) -> None:
        self.instance = instance
        self.proxy = proxy
        self.socket: socket.socket | None = None
        self.connection = http2.Client("127.0.0.1", PATH)
        self.polled = 0


@dataclass(slots=True)
class Settle:
    """A report that was asked for and is not due yet."""

    streams: int
    quiet: float
    until: float
    configured: bool


class Simulator:
    """All proxies, and the loop that serves them."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._poll.register(_COMMANDS, select.EPOLLIN)
        self._streams: dict[str, Stream] = {}
        self._by_descriptor: dict[int, Stream] = {}
        self._tallies: dict[Stream, Tally] = {}
        self._unaccounted: deque[tuple[Stream, Tally, Response]] = deque()
        self._acknowledged = 0
        self._unconfigured: set[Stream] = set()
        self._settle: Settle | None = None
        self._last_message = 0.0
        self._control_bytes = 0
        self._sample = b""
        self._cpu = 0.0
        self._input = b""
        self._running = True

    def run(self) -> None:
        while self._running:
            for descriptor, events in self._poll.poll(self._patience()):
                if descriptor == _COMMANDS:
                    self._read_commands()
                elif stream := self._by_descriptor.get(descriptor):
                    self._on_events(stream, events)
            self._report_if_due()
        self._close()

    # --- commands -------------------------------------------------------------------------

    def _read_commands(self) -> None:
        data = os.read(_COMMANDS, 1 << 20)
        if not data:
            self._running = False
            return
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))

    def _obey(self, command: dict[str, Any]) -> None:
        match command["do"]:
            case "connect":
                self._connect(command["target"], self._added(command["proxies"]))
                _say({"connecting": len(self._streams)})
            case "reconnect":
                self._close()
                self._connect(command["target"], self._streams.values())
                _say({"connecting": len(self._streams)})
            case "mark":
                self._mark()
                _say({"at": time.monotonic_ns()})
            case "settle":
                until = time.monotonic() + command["timeout"]
                configured = command.get("configured", False)
                self._settle = Settle(command["streams"], command["quiet"], until, configured)
            case "close":
                self._close()
                self._streams.clear()
                _say({"closed": True})
            case unknown:
                _say({"error": f"unknown command {unknown!r}"})

    def _added(self, proxies: Iterable[tuple[str, str, dict[str, Any]]]) -> list[Stream]:
        added = []
        for proxy, instance, weft in proxies:
            stream = Stream(instance, Proxy(node(proxy, instance, weft)))
            self._streams[instance] = stream
            added.append(stream)
        return added

    def _mark(self) -> None:
        self._account_all()
        self._tallies.clear()
        self._acknowledged = 0
        self._control_bytes = self._all_control_bytes()
        self._last_message = time.monotonic()
        self._sample = b""
        self._cpu = time.process_time()

    # --- connections ----------------------------------------------------------------------

    def _connect(self, target: str, streams: Iterable[Stream]) -> None:
        for stream in streams:
            family, address = _address(target)
            stream.socket = socket.socket(family, socket.SOCK_STREAM)
            stream.socket.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            if family == socket.AF_INET:
                stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream.connection = http2.Client("127.0.0.1", PATH)
            for request in stream.proxy.opening():
                stream.connection.send(request)
            self._unconfigured.add(stream)
            stream.socket.connect_ex(address)
            descriptor = stream.socket.fileno()
            self._by_descriptor[descriptor] = stream
            stream.polled = select.EPOLLIN | select.EPOLLOUT
            self._poll.register(descriptor, stream.polled)

    def _close(self) -> None:
        for stream in self._streams.values():
            self._disconnect(stream)
        self._unconfigured.clear()
        self._control_bytes = 0

    def _disconnect(self, stream: Stream) -> None:
        if stream.socket is None:
            return
        descriptor = stream.socket.fileno()
        self._poll.unregister(descriptor)
        del self._by_descriptor[descriptor]
        stream.socket.close()
        stream.socket = None
        stream.connection.ended = stream.connection.ended or "the connection was closed"

    def _on_events(self, stream: Stream, events: int) -> None:
        assert stream.socket is not None
        if events & select.EPOLLIN:
            try:
                data = stream.socket.recv(_READ)
            except BlockingIOError:
                return
            except OSError as error:
                stream.connection.ended = str(error)
                data = b""
            if not data:
                self._disconnect(stream)
                return
            before = stream.connection.data_bytes
            messages = stream.connection.receive(data)
            if received := stream.connection.data_bytes - before:
                self._on_messages(stream, messages, received)
        elif events & (select.EPOLLERR | select.EPOLLHUP):
            stream.connection.ended = stream.connection.ended or "the connection was refused"
            self._disconnect(stream)
            return
        if stream.connection.out or stream.polled & select.EPOLLOUT:
            self._write(stream)

    def _write(self, stream: Stream) -> None:
        assert stream.socket is not None
        out = stream.connection.out
        try:
            sent = stream.socket.send(out) if out else 0
        except BlockingIOError:
            sent = 0
        except OSError as error:
            stream.connection.ended = str(error)
            self._disconnect(stream)
            return
        stream.connection.out = out[sent:]
        wanted = select.EPOLLIN | (select.EPOLLOUT if stream.connection.out else 0)
        if wanted != stream.polled:
            stream.polled = wanted
            self._poll.modify(stream.socket.fileno(), wanted)

    # --- messages -------------------------------------------------------------------------

    def _on_messages(self, stream: Stream, messages: list[bytes], received: int) -> None:
        tally = self._tallies.get(stream)
        if tally is None:
            tally = self._tallies[stream] = Tally()
        tally.bytes += received
        refused = tally.nacks
        for data in messages:
            tally.messages += 1
            got = response(data)
            if got is None or got.type_url not in SHORT:
                tally.nacks += 1
                if got is not None:
                    stream.connection.send(nack(got, f"unknown type {got.type_url!r}"))
                continue
            stream.connection.send(ack(got))
            if got.type_url in (CLUSTER, LISTENER):
                # What they name is asked for at once; what came before them counts before.
                self._account_all()
                self._account(stream, tally, got)
            else:
                self._unaccounted.append((stream, tally, got))
                self._sample = data
        if messages:
            self._write(stream)
        if len(messages) > tally.nacks - refused:
            if not tally.last_ack_ns:
                self._acknowledged += 1
            tally.last_ack_ns = time.monotonic_ns()
        self._last_message = time.monotonic()

    def _account_all(self) -> None:
        while self._unaccounted:
            self._account(*self._unaccounted.popleft())

    def _account(self, stream: Stream, tally: Tally, got: Response) -> None:
        change = tally.changes.get(got.type_url)
        if change is None:
            change = tally.changes[got.type_url] = Change()
        for request in stream.proxy.follow(got, change):
            stream.connection.send(request)
        if stream in self._unconfigured and stream.proxy.is_configured:
            self._unconfigured.discard(stream)

    # --- reports --------------------------------------------------------------------------

    def _patience(self) -> float:
        if self._unaccounted:
            return 0
        if self._settle is None:
            return -1
        now = time.monotonic()
        due = self._last_message + self._settle.quiet if self._is_settled() else now + 1
        return max(min(due, self._settle.until) - now, 0) + 0.0005

    def _is_settled(self) -> bool:
        return (
            self._settle is not None
            and self._acknowledged >= self._settle.streams
            and not (self._settle.configured and self._unconfigured)
        )

    def _report_if_due(self) -> None:
        # A little at a time: what arrives meanwhile is acknowledged first.
        for _ in range(min(len(self._unaccounted), 8)):
            self._account(*self._unaccounted.popleft())
        if self._settle is None or self._unaccounted:
            return
        now = time.monotonic()
        done = self._is_settled() and now >= self._last_message + self._settle.quiet
        if done or now >= self._settle.until:
            self._settle = None
            _say(self._report(timed_out=not done))

    def _report(self, *, timed_out: bool) -> dict[str, Any]:
        cpu = time.process_time() - self._cpu
        by_type: dict[str, dict[str, int]] = {}
        for tally in self._tallies.values():
            for type_url, change in tally.changes.items():
                sums = by_type.setdefault(
                    SHORT[type_url], {name: 0 for name in Change.__dataclass_fields__}
                )
                for name in sums:
                    sums[name] += getattr(change, name)
        ended = [s.connection.ended for s in self._streams.values() if s.connection.ended]
        return {
            "timed_out": timed_out,
            "streams": len(self._streams),
            "unconfigured": len(self._unconfigured),
            "ended": len(ended),
            "ended_words": ended[:1],
            "touched": [
                [s.instance, t.last_ack_ns, t.messages, t.bytes] for s, t in self._tallies.items()
            ],
            "nacks": sum(t.nacks for t in self._tallies.values()),
            "control_bytes": self._all_control_bytes() - self._control_bytes,
            "by_type": by_type,
            "cpu_seconds": cpu,
            "sample": base64.b64encode(self._sample).decode(),
        }

    def _all_control_bytes(self) -> int:
        return sum(s.connection.control_bytes for s in self._streams.values())


def _address(target: str) -> tuple[int, Any]:
    if target.startswith("unix:"):
        return socket.AF_UNIX, target.removeprefix("unix:")
    host, _, port = target.rpartition(":")
    return socket.AF_INET, (host, int(port))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    prepare()
    Simulator().run()
