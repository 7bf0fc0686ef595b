"""Clients that say too much, or too slowly, are cut off; the others notice nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.contract.served import Served, served
from weft.api.http import MAX_HEAD_BYTES, PatientProtocol

HEAD = b"GET /weft/v1/status HTTP/1.1\r\nHost: localhost\r\n"
PUT = b"PUT /v20190125/meshes HTTP/1.1\r\nHost: localhost\r\n"


class HastyProtocol(PatientProtocol):
    head_seconds = 0.3
    body_seconds = 0.3


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("hasty"), protocol=HastyProtocol) as found:
        yield found


@pytest.fixture
def connection(hasty: Served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as made:
        yield made


def said(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    found = b""
    try:
        while chunk := connection.recv(65536):
            found += chunk
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /weft",
        HEAD + b"X-Slow: ",
        PUT + b"Content-Length: 100\r\n\r\n{",
        PUT + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
)
def test_a_request_that_does_not_end_ends_the_connection(
    connection: socket.socket, start: bytes
) -> None:
    connection.sendall(start)
    assert b" 200 " not in said(connection)


def test_a_second_request_has_as_little_time_as_the_first(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n")
    assert b" 200 " in connection.recv(65536)
    connection.sendall(b"GET /")
    assert said(connection) == b""


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"a" * 4 * MAX_HEAD_BYTES,
        HEAD + b"X-Long: " + b"a" * 4 * MAX_HEAD_BYTES,
        HEAD + b"X-Many: 1\r\n" * MAX_HEAD_BYTES,
        PUT + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: " + b"a" * 4 * MAX_HEAD_BYTES,
        PUT + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 4 * MAX_HEAD_BYTES,
    ],
)
def test_a_head_is_no_larger_than_its_limit(connection: socket.socket, endless: bytes) -> None:
    try:
        connection.sendall(endless)
    except (BrokenPipeError, ConnectionResetError):
        return  # Cut off while it was still talking.
    assert b" 200 " not in said(connection)


def test_a_body_in_the_smallest_chunks_is_taken(connection: socket.socket) -> None:
    body = b'{"meshName": "in-chunks"}' + b" " * 20_000
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    connection.sendall(PUT + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert b" 200 " in connection.recv(65536)


def test_what_is_too_large_is_answered_and_not_read(connection: socket.socket) -> None:
    connection.sendall(PUT + b"Content-Length: 99999999999\r\n\r\n{")
    answer = said(connection)
    assert b"BadRequestException" in answer
    assert b"connection: close" in answer


def test_a_long_answer_is_waited_for(hasty: Served) -> None:
    # A wait of a second is longer than a request may take to arrive.
    assert hasty.get("/weft/v1/wait?timeout=1&revision=0").status == 200
