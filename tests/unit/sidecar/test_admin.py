"""Reading Envoy's admin answers."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from weft.errors import Unreachable
from weft.sidecar.admin import Admin, parse_response


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[list[bytes]]:
    asked: list[bytes] = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            asked.append(connection.recv(65536))
            connection.sendall(answer)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        thread.join()


@pytest.fixture
def path() -> Iterator[Path]:
    # Short: the paths that tests are given may be longer than a Unix socket's.

    with tempfile.TemporaryDirectory(prefix="weft-") as directory:
        yield Path(directory) / "a.sock"


def test_statistics_are_numbers_where_they_can_be(path: Path) -> None:
    body = b'server.state: 0\nversion_text: "7"\nh: P0(1,1)\nnonsense\n'
    with answering(
        path, b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    ) as asked:
        found = Admin(str(path)).stats(r"^a\.(b|c)$")

    assert found == {"server.state": 0, "version_text": "7", "h": "P0(1,1)"}
    assert asked[0].startswith(b"GET /stats?filter=%5Ea%5C.%28b%7Cc%29%24 HTTP/1.1\r\n")


def test_chunks_are_joined() -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    )

    assert parse_response(raw) == (200, b"abcde")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_half_an_answer_is_none(raw: bytes) -> None:
    with pytest.raises(Unreachable):
        parse_response(raw)


def test_an_envoy_that_is_gone_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        Admin(str(tmp_path / "a.sock")).get("/ready")


def test_any_other_status_is_unreachable_with_envoys_words(path: Path) -> None:
    answer = b"HTTP/1.1 503 Service Unavailable\r\n\r\nPRE_INITIALIZING"
    with (
        answering(path, answer),
        pytest.raises(Unreachable, match="503 to /ready: PRE_INITIALIZING"),
    ):
        Admin(str(path)).get("/ready")
