"""The frames of the simulator: what one end sends is what the other end gets."""

from __future__ import annotations

import struct

import pytest

from bench import http2


def connected() -> tuple[http2.Client, http2.Server]:
    client, server = http2.Client("127.0.0.1", "/a/b"), http2.Server()
    exchange(client, server)
    return client, server


def exchange(client: http2.Client, server: http2.Server) -> tuple[list[bytes], list[bytes]]:
    """Carry bytes to and fro until nobody has any left; what client and server received."""
    at_client: list[bytes] = []
    at_server: list[bytes] = []
    while client.out or server.out:
        out, client.out = client.out, b""
        at_server += server.receive(out)
        out, server.out = server.out, b""
        at_client += client.receive(out)
    return at_client, at_server


def test_a_stream_is_open_with_the_first_bytes() -> None:
    _, server = connected()

    assert server.asked
    assert not server.ended


@pytest.mark.parametrize("size", [0, 1, 16379, 16380, 100_000])
def test_a_message_arrives_whole_whatever_its_size(size: int) -> None:
    client, server = connected()
    client.send(b"x" * size)
    server.send(b"y" * size)

    assert exchange(client, server) == ([b"y" * size], [b"x" * size])


def test_bytes_may_arrive_one_by_one() -> None:
    client, server = connected()
    server.send(b"first")
    server.send(b"second")

    received = [message for byte in server.out for message in client.receive(bytes([byte]))]

    assert received == [b"first", b"second"]


def test_a_sender_waits_for_the_other_ends_window() -> None:
    client, server = http2.Client("127.0.0.1", "/a/b"), http2.Server()
    client.send(b"x" * 100_000)
    sent = len(client.out)

    assert 65_535 < sent < 70_000  # What every end may send before it is told of more.
    assert exchange(client, server)[1] == [b"x" * 100_000]


def test_a_smaller_window_holds_back_what_is_sent_later() -> None:
    client, _ = connected()
    client.receive(http2.frame(http2.SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
    client.out = b""
    client.send(b"later")

    assert client.out == b""
    client.receive(http2.frame(http2.WINDOW_UPDATE, 0, 1, struct.pack(">I", 1000)))
    assert client.out.endswith(b"later")


def test_a_ping_is_answered_and_an_answer_is_not() -> None:
    client, _ = connected()
    client.receive(http2.frame(http2.PING, 0, 0, b"12345678"))
    client.receive(http2.frame(http2.PING, http2.ACK, 0, b"abcdefgh"))

    assert client.out == http2.frame(http2.PING, http2.ACK, 0, b"12345678")


def test_bytes_of_messages_are_told_from_all_others() -> None:
    client, server = connected()
    before = client.control_bytes
    client.receive(http2.frame(http2.PING, 0, 0, b"12345678"))
    server.send(b"12345")
    client.receive(server.out)

    assert client.control_bytes - before == 9 + 8
    assert client.data_bytes == 9 + 5 + 5


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (http2.frame(http2.RST_STREAM, 0, 1, struct.pack(">I", 8)), "RST_STREAM, error 8"),
        (http2.frame(http2.GOAWAY, 0, 0, struct.pack(">II", 1, 2)), "GOAWAY, error 2"),
        (
            http2.frame(
                http2.HEADERS,
                http2.END_HEADERS | http2.END_STREAM,
                1,
                http2.header_block([("grpc-status", "3"), ("grpc-message", "no such node")]),
            ),
            "trailers: grpc-status 3 grpc-message no such node",
        ),
    ],
)
def test_why_a_stream_ended_is_said(frame: bytes, words: str) -> None:
    client, _ = connected()
    client.receive(frame)

    assert client.ended == words


def test_whoever_does_not_speak_http2_is_turned_away() -> None:
    server = http2.Server()
    server.receive(b"GET / HTTP/1.1\r\n\r\n")

    assert server.ended == "not HTTP/2"
