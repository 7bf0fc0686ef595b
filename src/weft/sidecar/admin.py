"""Envoy's admin interface, without an HTTP library: start-up and memory count."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

from weft.errors import Unreachable


@dataclass(frozen=True, slots=True)
class Admin:
    """One running Envoy, asked at its admin interface."""

    path: str
    """Of its Unix socket, or HOST:PORT where it was asked to be reached by others, too."""
    timeout_seconds: float = 2.0

    def get(self, target: str) -> bytes:
        """The body of the answer to a GET; an Unreachable when there is none or it is not 200."""
        return self._ask("GET", target)

    def post(self, target: str) -> bytes:
        return self._ask("POST", target)

    def json(self, target: str) -> Any:
        """The answer as JSON."""
        try:
            return json.loads(self.get(target))
        except ValueError as error:
            raise Unreachable(f"Envoy's answer to {target} cannot be read: {error}") from error

    def stats(self, pattern: str) -> dict[str, int | str]:
        """The statistics whose names match; gauges and counters as numbers, the rest as text."""
        found: dict[str, int | str] = {}
        for line in (
            self.get(f"/stats?filter={quoted(pattern)}").decode("utf-8", "replace").splitlines()
        ):
            name, colon, value = line.partition(": ")
            if colon:
                found[name] = int(value) if value.isdigit() else value.strip('"')
        return found

    def _connection(self) -> socket.socket:
        if "/" not in self.path:
            host, _, port = self.path.rpartition(":")
            return socket.create_connection((host, int(port)), self.timeout_seconds)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self.timeout_seconds)
        try:
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection

    def _ask(self, method: str, target: str) -> bytes:
        request = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        chunks = []
        try:
            with self._connection() as connection:
                connection.sendall(request.encode())
                while chunk := connection.recv(65536):
                    chunks.append(chunk)
        except OSError as error:
            raise Unreachable(f"Envoy's admin socket does not answer: {error}") from error
        status, body = parse_response(b"".join(chunks))
        if status != 200:
            words = body.decode("utf-8", "replace").strip()
            raise Unreachable(f"Envoy answers {status} to {target}: {words}")
        return body


def parse_response(raw: bytes) -> tuple[int, bytes]:
    """Status and body of one complete HTTP/1.1 response."""
    try:
        return _parsed(raw)
    except (IndexError, ValueError) as error:
        raise Unreachable(f"the answer is broken: {error}") from error


def _parsed(raw: bytes) -> tuple[int, bytes]:
    head, end, rest = raw.partition(b"\r\n\r\n")
    if not end:
        raise ValueError("it ends within the headers")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ", 2)[1])
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines[1:])
    }
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return status, _joined(rest)
    length = headers.get("content-length")
    if length is not None and len(rest) < int(length):
        raise ValueError(f"{len(rest)} of {length} bytes came")
    return status, rest


def _joined(rest: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while True:
        end = rest.find(b"\r\n", at)
        if end < 0:
            raise ValueError("it ends within the chunks")
        size = int(rest[at:end].split(b";", 1)[0], 16)
        at = end + 2
        if size == 0:
            return b"".join(parts)
        if len(rest) < at + size + 2:
            raise ValueError("it ends within a chunk")
        parts.append(rest[at : at + size])
        at += size + 2


def quoted(pattern: str) -> str:
    """Percent-encode; ``urllib.parse`` would cost more memory than this module."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
    return "".join(chr(c) if c in plain else f"%{c:02X}" for c in pattern.encode())
