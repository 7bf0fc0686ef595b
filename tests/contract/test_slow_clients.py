"""Clients that take their time, leave halfway, or push all at once, at a real ``weft serve``."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.contract.raw import GROWTH_BYTES, MESHES, MIB, Plane, replies, started, unharmed
from weft.api import connection
from weft.api.exchange import MAX_BODY_BYTES


@pytest.fixture(scope="module")
def plane() -> Iterator[Plane]:
    with started() as found:
        yield found


@pytest.fixture(autouse=True)
def serves_on(plane: Plane) -> Iterator[None]:
    with unharmed(plane):
        yield


def drip(sock: socket.socket, piece: Callable[[int], bytes]) -> float:
    """Send a piece now and then until the other side has had enough; the seconds it took."""
    begin = time.monotonic()
    sock.settimeout(0.5)
    for i in range(400):
        try:
            sock.sendall(piece(i))
            if sock.recv(1, socket.MSG_PEEK) is not None:
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - begin


def test_a_head_that_drips_is_cut_off(plane: Plane) -> None:
    with ExitStack() as stack:
        socks = [stack.enter_context(plane.connect()) for _ in range(200)]
        for sock in socks[1:]:
            sock.sendall(b"GET / HTTP/1.1\r\n")
        socks[0].sendall(b"GET / HTTP/1.1\r\n")
        taken = drip(socks[0], lambda i: b"x-%d: y\r\n" % i)
        assert taken < connection.HEAD_SECONDS + 5
        for sock in socks:
            sock.settimeout(10)
            (reply,) = replies(sock)
            assert (reply.status, reply.code) == (408, "RequestTimeoutException")


def test_a_connection_opened_ahead_of_its_request_is_kept(plane: Plane) -> None:
    with plane.connect() as sock, plane.connect() as silent:
        # As long as a head may take, after which a head that has begun would be cut off.
        silent.settimeout(connection.HEAD_SECONDS + 3)
        with pytest.raises(TimeoutError):
            silent.recv(1)
        sock.sendall(plane.head("GET", f"{MESHES}/hostile"))
        assert [each.status for each in replies(sock)] == [200]


@pytest.mark.soak
def test_a_connection_that_says_nothing_is_closed_without_a_word(plane: Plane) -> None:
    with plane.connect() as sock, plane.connect() as blank:
        sock.settimeout(120)
        assert replies(sock) == []
        taken = drip(blank, lambda _: b"\r\n")
        assert taken < connection.HEAD_SECONDS + 5


@pytest.mark.soak
def test_a_body_that_drips_is_cut_off(plane: Plane) -> None:
    with plane.connect() as sock:
        sock.sendall(plane.head(content_length="1000"))
        taken = drip(sock, lambda _: b" ")
        assert taken < connection.BODY_SECONDS + 5
        sock.settimeout(10)
        (reply,) = replies(sock)
        assert (reply.status, reply.code) == (408, "RequestTimeoutException")


def test_a_client_that_leaves_halfway_has_changed_nothing(plane: Plane) -> None:
    before = plane.revision()
    body = json.dumps({"meshName": "never"}).encode()
    for end in (0, 1, len(body) - 1):
        with plane.connect() as sock:
            sock.sendall(plane.head(content_length=str(len(body))) + body[:end])
            sock.shutdown(socket.SHUT_WR)
    with plane.connect() as sock:
        sock.sendall(plane.head()[:-2])
    assert plane.revision() == before


def test_memory_stays_within_its_bounds_while_all_push_at_once(plane: Plane) -> None:
    before = plane.rss()
    with ExitStack() as stack:
        socks = [stack.enter_context(plane.connect()) for _ in range(100)]
        body = b'{"spec": [' + b"1," * 200_000
        for sock in socks:
            sock.settimeout(5)
            sock.sendall(plane.head(content_length=str(MAX_BODY_BYTES)) + body)
        grown = plane.rss() - before
        # 40 MB were sent; what is not read yet waits in the kernel, not with us.
        assert grown < GROWTH_BYTES
        print(
            f"\n100 clients, 40 MB unfinished: the control plane holds {grown / MIB:.0f} MiB more"
        )
