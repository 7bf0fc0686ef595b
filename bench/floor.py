"""
The floor: how fast the same bytes reach the same proxies when nothing else is done.

A hand-framed pusher in a process of its own. It knows no mesh, no store and no
subscriptions: at a command it writes one finished response to every connection,
each with its own nonce. What ``weft serve`` needs beyond that is the price of being a
control plane (performance.md, G1).

Commands are JSON lines on stdin: ``{"push": base64}`` sends a response that lacks only its
nonce and answers with the time just before the first byte, ``{}`` with the number of streams
that are open; end of input ends the process.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import sys
import time
from contextlib import AbstractContextManager
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from bench import http2
from bench.processes import Died, end, prepare, spawned


class Pusher:
    """Every connection, and the loop that serves them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._poll.register(0, select.EPOLLIN)
        self._connections: dict[int, tuple[socket.socket, http2.Server]] = {}
        self._pushed = 0
        self._input = b""
        self._running = True

    def run(self) -> None:
        _say({"port": self._listener.getsockname()[1]})
        while self._running:
            for descriptor, _ in self._poll.poll():
                if descriptor == 0:
                    self._read_commands()
                elif descriptor == self._listener.fileno():
                    self._accept()
                elif found := self._connections.get(descriptor):
                    self._read(*found)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[connection.fileno()] = (connection, http2.Server())
        self._poll.register(connection, select.EPOLLIN)

    def _read(self, connection: socket.socket, stream: http2.Server) -> None:
        try:
            data = connection.recv(65536)
            stream.receive(data)
            # Never enough to fill a socket's buffer: settings, acknowledgements, pings.
            if stream.out:
                connection.sendall(stream.out)
                stream.out = b""
        except OSError:
            data = b""
        if not data:
            del self._connections[connection.fileno()]
            connection.close()

    def _read_commands(self) -> None:
        data = os.read(0, 1 << 20)
        if not data:
            self._running = False
            return
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            if "push" in command:
                self._push(base64.b64decode(command["push"]))
            else:
                _say({"streams": sum(stream.asked for _, stream in self._connections.values())})

    def _push(self, body: bytes) -> None:
        # Protobuf allows fields in any order: with the nonce first, all else is one tail.
        framed = http2.data_frames(_nonce(0) + body)
        at = framed.index(_nonce(0))
        head, tail = framed[:at], framed[at + len(_nonce(0)) :]
        full: list[tuple[socket.socket, bytes]] = []
        start = time.monotonic_ns()
        for connection, _ in self._connections.values():
            self._pushed += 1
            data = head + _nonce(self._pushed) + tail
            try:
                sent = connection.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                full.append((connection, data[sent:]))
        for connection, data in full:
            connection.sendall(data)
        _say({"at": start, "streams": len(self._connections)})


def _nonce(number: int) -> bytes:
    """The nonce field of a response, always of one length."""
    return b"\x2a\x08%08x" % number


def without_nonce(sample: bytes) -> bytes:
    """A response as it was received, ready to be pushed to others."""
    message = discovery_pb2.DeltaDiscoveryResponse.FromString(sample)
    message.nonce = ""
    return bytes(message.SerializeToString())


class Floor(AbstractContextManager["Floor"]):
    """The pusher's process, as the benchmark sees it."""

    def __init__(self) -> None:
        self._process = spawned("bench.floor")
        self.target = f"127.0.0.1:{self._answer()['port']}"
        self.pid = self._process.pid

    def push(self, sample: bytes) -> int:
        """Send a response to every connection; the time just before the first byte."""
        body = base64.b64encode(without_nonce(sample)).decode()
        return int(self._ask({"push": body})["at"])

    def streams(self) -> int:
        """How many proxies have opened their stream."""
        return int(self._ask({})["streams"])

    def _ask(self, command: dict[str, str]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Died("the pusher has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __exit__(self, *_: object) -> None:
        end(self._process, grace_seconds=10)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    prepare()
    Pusher().run()
