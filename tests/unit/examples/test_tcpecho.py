"""The TCP echo: banner first, then everything it is told."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.examples.conftest import Service

Start = Callable[..., "Service"]


def exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        assert piece, f"closed after {data!r}"
        data += piece
    return data


def test_it_speaks_first_with_a_line_for_everything_that_is_set(start: Start) -> None:
    echo = start(
        "tcpecho.py",
        NODE_NAME="n",
        POD_NAME="p",
        POD_NAMESPACE="ns",
        POD_IP="10.0.0.1",
        SERVICE_ACCOUNT="sa",
    )
    banner = (
        b"Welcome, you are connected to node n.\n"
        b"Running on Pod p.\n"
        b"In namespace ns.\n"
        b"With IP address 10.0.0.1.\n"
        b"Service sa.\n"
    )
    with echo.dial() as connection:
        assert exactly(connection, len(banner)) == banner
        connection.sendall(b"hello")
        assert exactly(connection, 5) == b"hello"


def test_only_what_is_set_is_said(start: Start) -> None:
    echo = start("tcpecho.py", POD_IP="10.0.0.1", NODE_NAME="")
    with echo.dial() as connection:
        assert exactly(connection, 26) == b"With IP address 10.0.0.1.\n"


def test_everything_is_echoed_unchanged_until_the_caller_has_done(start: Start) -> None:
    echo = start("tcpecho.py")
    data = bytes(range(256)) * 100
    with echo.dial() as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert exactly(connection, len(data)) == data
        assert connection.recv(1) == b""


def test_two_callers_are_served_at_once(start: Start) -> None:
    echo = start("tcpecho.py")
    with echo.dial() as first, echo.dial() as second:
        second.sendall(b"2")
        assert exactly(second, 1) == b"2"
        first.sendall(b"1")
        assert exactly(first, 1) == b"1"


def test_sigterm_ends_it_though_a_caller_is_connected(start: Start) -> None:
    echo = start("tcpecho.py", NODE_NAME="n")
    with echo.dial() as connection:
        exactly(connection, 38)
        assert echo.terminate() == 0
        assert connection.recv(1) == b""


def test_a_port_that_is_taken_is_named(fails: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = fails("tcpecho.py", TCP_PORT=port)
    assert f"127.0.0.1:{port}" in said
    assert "TCP_PORT" in said


def test_a_port_that_is_no_number_is_named(fails: Callable[..., str]) -> None:
    assert fails("tcpecho.py", TCP_PORT="x") == (
        "tcpecho: TCP_PORT must be a port number, not 'x'\n"
    )
