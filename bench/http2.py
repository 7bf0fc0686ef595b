"""
Just enough HTTP/2 for one gRPC stream on one connection, framed by hand.

A general library costs more per message than the server that is measured. One
stream, literal headers, a window that is never the limit: what is left of RFC 9113
is a nine-byte header and a handful of frames. Headers are never decoded; what a
response is can be told by its frames alone.

No I/O happens here: bytes come in, messages and bytes to be sent come out.
"""

from __future__ import annotations

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS = 0x0, 0x1, 0x3, 0x4
PING, GOAWAY, WINDOW_UPDATE = 0x6, 0x7, 0x8

END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8

_INITIAL_WINDOW_SIZE = 0x4
_MAX_FRAME = 16384
_DEFAULT_WINDOW = 65535
_WINDOW = 1 << 30
"""What the other end may send before it is told more; topped up at half."""

_STREAM = 1
_HEAD = struct.Struct(">HBBBI")
_SETTING = struct.Struct(">HI")
_GRPC = struct.Struct(">BI")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def data_frames(message: bytes) -> bytes:
    """One gRPC message, uncompressed, in DATA frames of the default size at most."""
    framed = _GRPC.pack(0, len(message)) + message
    return b"".join(
        frame(DATA, 0, _STREAM, framed[at : at + _MAX_FRAME])
        for at in range(0, len(framed), _MAX_FRAME)
    )


def header_block(headers: list[tuple[str, str]]) -> bytes:
    """Header fields as literals without indexing and without Huffman (RFC 7541, 6.2.2)."""
    block = b""
    for name, value in headers:
        block += b"\0" + _literal(name) + _literal(value)
    return block


def _literal(text: str) -> bytes:
    encoded = text.encode()
    assert len(encoded) < 127, "longer literals need a second length byte"
    return bytes((len(encoded),)) + encoded


def _opening() -> bytes:
    return frame(SETTINGS, 0, 0, _SETTING.pack(_INITIAL_WINDOW_SIZE, _WINDOW)) + frame(
        WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW - _DEFAULT_WINDOW)
    )


class Connection:
    """One end of a connection that carries one gRPC stream."""

    __slots__ = (
        "_connection_window",
        "_held",
        "_initial_window",
        "_message",
        "_rest",
        "_stream_window",
        "_taken",
        "control_bytes",
        "data_bytes",
        "ended",
        "out",
    )

    def __init__(self, out: bytes) -> None:
        self.out = out
        """What must be written to the socket next."""
        self.ended = ""
        """Why the stream is over; empty while it is not."""
        self.data_bytes = 0
        """Bytes of DATA frames received, frame headers included."""
        self.control_bytes = 0
        """Bytes of all other frames received."""
        self._rest = b""
        self._message = b""
        self._taken = 0
        self._held = b""
        self._initial_window = _DEFAULT_WINDOW
        self._stream_window = _DEFAULT_WINDOW
        self._connection_window = _DEFAULT_WINDOW

    def send(self, message: bytes) -> None:
        """Put a message behind ``out``; the other end's windows may hold a part of it back."""
        framed = _GRPC.pack(0, len(message)) + message
        size = len(framed)
        if (
            self._held
            or size > _MAX_FRAME
            or size > self._stream_window
            or size > self._connection_window
        ):
            self._held += framed
            self._send_held()
            return
        self._stream_window -= size
        self._connection_window -= size
        self.out += frame(DATA, 0, _STREAM, framed)

    def receive(self, data: bytes) -> list[bytes]:
        """Take in what the socket gave; the messages that are complete now."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        messages: list[bytes] = []
        while end - at >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            stop = at + 9 + (high << 8 | low)
            if stop > end:
                break
            if kind == DATA:
                self.data_bytes += stop - at
                self._on_data(flags, data[at + 9 : stop], messages)
            else:
                self.control_bytes += stop - at
                self._on_control(kind, flags, stream, data[at + 9 : stop])
            at = stop
        self._rest = data[at:]
        return messages

    def on_headers(self, flags: int, block: bytes) -> None:
        """The other end's headers or trailers."""
        if flags & END_STREAM:
            self.ended = f"trailers: {readable(block)}"

    def _on_data(self, flags: int, payload: bytes, messages: list[bytes]) -> None:
        self._taken += len(payload)
        if self._taken > _WINDOW // 2:
            more = struct.pack(">I", self._taken)
            self.out += frame(WINDOW_UPDATE, 0, 0, more) + frame(WINDOW_UPDATE, 0, _STREAM, more)
            self._taken = 0
        if flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        if flags & END_STREAM:
            self.ended = "the stream was closed"
        message = self._message + payload if self._message else payload
        while len(message) >= 5:
            stop = 5 + int.from_bytes(message[1:5], "big")
            if len(message) < stop:
                break
            messages.append(message[5:stop])
            message = message[stop:]
        self._message = message

    def _on_control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == HEADERS:
            self.on_headers(flags, payload)
        elif kind == RST_STREAM:
            self.ended = f"RST_STREAM, error {int.from_bytes(payload, 'big')}"
        elif kind == SETTINGS and not flags & ACK:
            self._on_settings(payload)
            self.out += frame(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            self.out += frame(PING, ACK, 0, payload)
        elif kind == GOAWAY:
            self.ended = f"GOAWAY, error {int.from_bytes(payload[4:8], 'big')}"
        elif kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big") & 0x7FFFFFFF
            if stream:
                self._stream_window += more
            else:
                self._connection_window += more
            self._send_held()

    def _on_settings(self, payload: bytes) -> None:
        for name, value in _SETTING.iter_unpack(payload):
            if name == _INITIAL_WINDOW_SIZE:
                self._stream_window += value - self._initial_window
                self._initial_window = value
        self._send_held()

    def _send_held(self) -> None:
        while self._held:
            size = min(len(self._held), _MAX_FRAME, self._stream_window, self._connection_window)
            if size <= 0:
                return
            self.out += frame(DATA, 0, _STREAM, self._held[:size])
            self._held = self._held[size:]
            self._stream_window -= size
            self._connection_window -= size


class Client(Connection):
    """The end that asks: the stream is open with the first bytes."""

    __slots__ = ()

    def __init__(self, authority: str, path: str) -> None:
        block = header_block(
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", path),
                (":authority", authority),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
            ]
        )
        super().__init__(PREFACE + _opening() + frame(HEADERS, END_HEADERS, _STREAM, block))


class Server(Connection):
    """The end that answers one client, whatever it asks for."""

    __slots__ = ("_awaited", "asked")

    def __init__(self) -> None:
        super().__init__(_opening())
        self.asked = False
        """Whether the client has opened its stream."""
        self._awaited = PREFACE

    def receive(self, data: bytes) -> list[bytes]:
        if self._awaited:
            part = min(len(self._awaited), len(data))
            if data[:part] != self._awaited[:part]:
                self.ended = "not HTTP/2"
                return []
            self._awaited, data = self._awaited[part:], data[part:]
        return super().receive(data)

    def on_headers(self, flags: int, block: bytes) -> None:
        self.asked = True
        answer = header_block([(":status", "200"), ("content-type", "application/grpc")])
        self.out += frame(HEADERS, END_HEADERS, _STREAM, answer)


def readable(block: bytes) -> str:
    """What a person can make out in a header block."""
    text = "".join(chr(byte) if 32 <= byte < 127 else " " for byte in block)
    return " ".join(text.split())
