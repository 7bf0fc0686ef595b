"""HTTP/1.1 as the services speak it: connections, bodies, mistakes, and the end."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.examples.conftest import Answer, FakeServer, Seen, Service

Start = Callable[..., "Service"]
Fake = Callable[[Callable[["Seen"], bytes | None]], "FakeServer"]


@pytest.fixture
def teller(start: Start) -> Service:
    return start("colorteller.py", COLOR="red")


def say(service: Service, data: bytes) -> bytes:
    """Everything that comes back until the service closes."""
    with service.dial() as connection:
        connection.sendall(data)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return received


def test_a_connection_is_kept_open(teller: Service, again: Callable[..., Answer]) -> None:
    connection = teller.connection()
    again(connection, "/")
    kept = connection.sock
    assert kept is not None
    again(connection, "/")
    assert connection.sock is kept
    connection.close()


def test_bodies_of_requests_do_not_disturb_the_next_request(teller: Service) -> None:
    said = say(
        teller,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nGET /x\n"
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\nTrailer: t\r\n\r\n"
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    assert said.count(b"HTTP/1.1 200 OK") == 3
    assert said.count(b"\r\n\r\nred") == 3
    assert said.count(b"Connection: close") == 1


def test_a_caller_that_asks_first_is_told_to_continue(teller: Service) -> None:
    with teller.dial() as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_http_1_0_ends_the_connection_unless_asked_not_to(teller: Service) -> None:
    said = say(
        teller,
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    )
    assert said.count(b"\r\n\r\nred") == 2
    assert said.count(b"Connection: keep-alive") == 1


def test_the_absolute_form_is_understood(start: Start) -> None:
    gateway = start("gateway.py", COLOR_TELLER_ENDPOINT="x:1")
    request = b"GET http://colorgateway.myapp.local:9080/%s?q HTTP/1.0\r\n\r\n"
    assert say(gateway, request % b"ping").startswith(b"HTTP/1.1 200 OK")
    assert say(gateway, request % b"x").startswith(b"HTTP/1.1 404 Not Found")


@pytest.mark.parametrize(
    "request_head",
    [
        b"hello",
        b"GET / HTTP/2.0",
        b"GET / HTTP/1.1\r\nno colon",
        b"GET / HTTP/1.1\r\nName : x",
        b"GET / HTTP/1.1\r\nName: x\ny: z",
        b"GET http://[ HTTP/1.1",
        b"POST / HTTP/1.1\r\nContent-Length: -1",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    ],
)
def test_what_is_not_http_gets_a_400_and_no_second_chance(
    start: Start, request_head: bytes
) -> None:
    teller = start("colorteller.py")
    said = say(teller, request_head + b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"Connection: close" in said
    assert not any("Traceback" in line for line in teller.log)


def test_a_head_without_an_end_is_refused(teller: Service) -> None:
    # Exactly as much as it takes to be too much, so that nothing is left unread at the close.
    said = say(teller, b"GET / HTTP/1.1\r\nX: " + b"x" * 65536)
    assert said.startswith(b"HTTP/1.1 431 ")


def test_a_caller_that_leaves_in_the_middle_does_no_harm(teller: Service) -> None:
    for data in (b"", b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"):
        with teller.dial() as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
    assert teller.get("/").body == b"red"
    assert not any("Traceback" in line for line in teller.log)


def test_it_listens_on_loopback_unless_told_otherwise(start: Start) -> None:
    assert "listening on 127.0.0.1:" in start("colorteller.py").logged("listening")
    everywhere = start("colorteller.py", BIND_ADDRESS="0.0.0.0")
    assert "listening on 0.0.0.0:" in everywhere.logged("listening")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_though_connections_are_idle(
    teller: Service, again: Callable[..., Answer], signum: int
) -> None:
    connection = teller.connection()
    again(connection, "/")
    teller.process.send_signal(signum)
    assert teller.wait() == 0
    connection.close()
    assert not any("Traceback" in line for line in teller.log)
    assert teller.log[-1] == "colorteller has stopped"


def test_a_request_in_flight_is_answered_after_sigterm(
    start: Start, fake: Fake, reply: Callable[..., bytes]
) -> None:
    arrived, answer_now = Event(), Event()

    def slow(_: Seen) -> bytes:
        arrived.set()
        answer_now.wait(30)
        return reply(b"red")

    gateway = start("gateway.py", COLOR_TELLER_ENDPOINT=fake(slow).address)
    answers: list[Answer] = []
    asking = Thread(target=lambda: answers.append(gateway.get("/color")))
    asking.start()
    assert arrived.wait(30)
    gateway.process.send_signal(signal.SIGTERM)
    while accepts(gateway):
        pass
    answer_now.set()
    asking.join(30)
    assert gateway.wait() == 0
    assert answers[0].body == b'{"color":"red", "stats": {"red":1}}'
    assert answers[0].headers["Connection"] == "close"


def accepts(service: Service) -> bool:
    try:
        service.dial().close()
    except ConnectionError:
        return False
    return True
