"""
What no client sends by accident, byte by byte, at a real ``weft serve``.

Every case ends in a modelled answer or a closed connection, in bounded time and memory,
and the control plane serves on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.contract import specs
from tests.contract.raw import MESHES, MIB, MODELLED, Plane, started, unharmed
from weft.api.exchange import MAX_BODY_BYTES, MAX_DEPTH
from weft.model.schema import MAX_PROBLEMS


@pytest.fixture(scope="module")
def plane() -> Iterator[Plane]:
    with started() as found:
        yield found


@pytest.fixture(autouse=True)
def serves_on(plane: Plane) -> Iterator[None]:
    with unharmed(plane):
        yield


# --- bodies --------------------------------------------------------------------------------

_NODE = f"{MESHES}/hostile/virtualNodes"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"meshName": "a\xff"}', "not UTF-8: byte 15"),
        (b'{"meshName": "\\ud800"}', "half of a surrogate pair"),
        (b'{"meshName": "a", "meshName": "b"}', "a member twice in one object: 'meshName'"),
        (b'{"meshName": NaN}', "NaN is not a JSON value"),
        (b'{"meshName": -Infinity}', "-Infinity is not a JSON value"),
        (b'{"meshName": 1e999}', "1e999 is too large a number"),
        (b'{"meshName": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"meshName": "a"', "not JSON"),
        (b'{"meshName": "a"} {}', "not JSON"),
        (b"\x00", "not JSON"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "not JSON"),
        (b'["meshName"]', "must be a JSON object, not a list"),
        (b'"' + b"a" * 1000 + b'"', "must be a JSON object, not a string"),
        (b"{" + b'"a": {' * 10_000 + b"}" * 10_001, "nested too deeply"),
        (b"[" * 10_000 + b"]" * 10_000, "nested too deeply"),
        (b"[" * 900_000, "nested too deeply"),
        (
            b'{"meshName": "a", "spec": ' + b'{"a": ' * MAX_DEPTH + b"1" + b"}" * (MAX_DEPTH + 1),
            "nested too deeply",
        ),
        (b'{"meshName": "a", "spec": ' + b"[" * 60 + b"]" * 60 + b"}", "spec: must be an object"),
        (b'{"meshName": "a\\u0000b"}', "meshName: must have 1 to 255 letters"),
        (b'{"meshName": "' + b"a" * 500_000 + b'"}', "meshName: must have 1 to 255 letters"),
        (b'{"spec": [' + b"1," * 500_000 + b"1]}", "spec: must be an object"),
        (
            b"{" + b",".join(b'"m%d": 1' % i for i in range(60_000)) + b"}",
            "m0: unknown member",
        ),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else "",
)
def test_a_body_that_is_no_request_is_refused_with_its_reason(
    plane: Plane, body: bytes, words: str
) -> None:
    begin = time.monotonic()
    reply = plane.put(body)
    assert (reply.status, reply.code) == (400, "BadRequestException")
    assert words in reply.message
    assert time.monotonic() - begin < 10


def test_a_thousand_listeners_with_wrong_members_are_refused_in_a_moment(plane: Plane) -> None:
    listener = {"portMapping": {"port": "x", "protocol": "gopher"}, "tls": [], "healthCheck": 1}
    spec = {**specs.node(), "listeners": [listener] * 5000}
    body = json.dumps({"virtualNodeName": "n", "spec": spec}).encode()
    for _ in range(3):  # The second time takes no more memory than the first.
        begin = time.monotonic()
        reply = plane.put(body, _NODE)
        assert (reply.status, reply.code) == (400, "BadRequestException")
        assert time.monotonic() - begin < 10


def test_fifteen_thousand_listeners_are_compared_in_a_moment(plane: Plane) -> None:
    listeners = [{"portMapping": {"port": 10**9 + i, "protocol": "http"}} for i in range(15_000)]
    body = json.dumps({"virtualNodeName": "n", "spec": {**specs.node(), "listeners": listeners}})
    begin = time.monotonic()
    reply = plane.put(body.encode(), _NODE)
    assert (reply.status, reply.code) == (400, "BadRequestException")
    assert time.monotonic() - begin < 10
    assert len(json.loads(reply.body)["problems"]) == MAX_PROBLEMS


def test_a_body_beyond_the_limit_is_refused_unread(plane: Plane) -> None:
    reply = plane.one(plane.head(content_length=str(10**15)))
    assert (reply.status, reply.code) == (400, "BadRequestException")
    assert f"larger than {MAX_BODY_BYTES} bytes" in reply.message


def test_a_chunked_body_without_end_is_refused_at_the_limit(plane: Plane) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    reply = plane.one(plane.head(transfer_encoding="chunked"), *[chunk] * 200)
    assert (reply.status, "larger than" in reply.message) == (400, True)


def test_many_small_chunks_are_as_good_as_one(plane: Plane) -> None:
    body = json.dumps({"meshName": "hostile"}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    reply = plane.one(plane.head(transfer_encoding="chunked"), chunks + b"0\r\n\r\n")
    assert (reply.status, reply.code) == (409, "ConflictException")


@pytest.mark.parametrize(
    "rest",
    [b"zz\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"1\r\nab\r\n", b"1\nx\n0\n\n"],
    ids=repr,
)
def test_chunks_that_are_none_end_the_connection(plane: Plane, rest: bytes) -> None:
    reply = plane.one(plane.head(transfer_encoding="chunked"), rest)
    assert (reply.status, reply.code) == (400, "BadRequestException")


@pytest.mark.parametrize("shape", ["extension", "trailer", "trailers"])
def test_what_surrounds_chunks_has_an_end(plane: Plane, shape: str) -> None:
    start, piece = {
        "extension": (b"1;", b"a" * 65536),
        "trailer": (b"0\r\na: ", b"a" * 65536),
        "trailers": (b"0\r\n", b"a: b\r\n" * 10_000),
    }[shape]
    found = plane.send(plane.head(transfer_encoding="chunked"), start, *[piece] * 400)
    assert [(each.status, each.code) for each in found] == [(431, "BadRequestException")]


# --- heads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET /" + b"a" * MIB, *[b"a" * MIB] * 30],
        [b"GET / HTTP/1.1\r\nx: " + b"a" * MIB, *[b"a" * MIB] * 30],
        [b"GET / HTTP/1.1\r\n" + b"a" * MIB, *[b"a" * MIB] * 30],
        [b"GET / HTTP/1.1\r\n", *[b"a: b\r\n" * 20_000] * 30],
        [b"G" * MIB, *[b"G" * MIB] * 30],
    ],
    ids=["target", "value", "name", "count", "method"],
)
def test_a_head_without_end_is_refused_at_its_limit(plane: Plane, pieces: list[bytes]) -> None:
    found = plane.send(*pieces)
    assert [each.status for each in found] in ([431], [400])
    assert found[0].code == "BadRequestException"


def test_a_long_head_within_the_limit_is_read(plane: Plane) -> None:
    reply = plane.one(plane.head("GET", f"{MESHES}/hostile", x_long="a" * 60_000))
    assert reply.status == 200
    assert plane.one(plane.head("GET", MESHES, x_long="a" * 70_000)).status == 431


@pytest.mark.parametrize(
    "head",
    [
        # Two lengths, two framings: where the body ends must not be a matter of opinion.
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5, 6\r\n\r\n",
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: +5\r\n\r\n",
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5\r\n"
        "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n"
        "content-length: 5\r\n\r\n0\r\n\r\n",
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length : 5\r\n\r\n{{}}",
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\n x: folded\r\n\r\n",
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\nx\0y: a\r\n\r\n",
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\nx: a\0b\r\n\r\n",
        "put {path} HTTP/1.1\r\nhost: {host}\r\n\r\n",
        "PUT {path}\r\nhost: {host}\r\n\r\n",
        "PUT {path} HTTP/9.9\r\nhost: {host}\r\n\r\n",
        "PUT a b c\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: {host}\r\n\r\n",
        "CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\n",
        "GET http://{host} HTTP/1.1\r\nhost: {host}\r\n\r\n",
        "GET nowhere HTTP/1.1\r\nhost: {host}\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "\0\0\0\0",
    ],
    ids=lambda head: repr(head[:70]),
)
def test_a_head_that_two_readers_could_read_differently_is_refused(plane: Plane, head: str) -> None:
    sent = head.format(host=plane.host, path=MESHES).encode("latin-1")
    hidden = f"GET {MESHES} HTTP/1.1\r\nconnection: close\r\n\r\n".encode()
    found = plane.send(sent, hidden)
    # Whatever is made of it, nothing of it is done, and nothing is let through behind it.
    assert found
    assert {each.status for each in found} <= MODELLED
    assert all(each.code for each in found)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v20190125/meshes/%ff", 400),
        ("/v20190125/meshes/%", 404),
        ("/v20190125/meshes/%zz", 404),
        ("/v20190125/meshes/%00", 404),
        ("/v20190125/meshes/%2e%2e%2f", 400),
        ("/v20190125/meshes/../../etc/passwd", 404),
        ("/v20190125/meshes//", 404),
        ("/v20190125//meshes", 404),
        ("//v20190125/meshes", 404),
        ("/v20190125/meshes?limit=%ff", 400),
        ("/v20190125/meshes?limit=1&limit=x", 400),
        ("/v20190125/meshes?nextToken=%00", 400),
        ("/v20190125/meshes?nextToken=" + "A" * 30_000, 400),
        ("/v20190125/meshes?" + "a=b&" * 10_000, 200),
        ("/v20190125/meshes/" + "/".join("a" * 9000), 404),
        ("/v20190125/meshes/" + "%41" * 9000, 400),
        ("/\xff", 400),
    ],
    ids=lambda value: value[:44] if isinstance(value, str) else "",
)
def test_a_strange_path_has_an_answer(plane: Plane, target: str, status: int) -> None:
    reply = plane.one(plane.head("GET", target))
    assert reply.status == status
    assert status == 200 or reply.code


@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", 200), ("OPTIONS", 204), ("TRACE", 405), ("POST", 405), ("PROPFIND", 405)],
)
def test_every_method_has_an_answer(plane: Plane, method: str, status: int) -> None:
    reply = plane.one(plane.head(method, f"{MESHES}/hostile"))
    assert reply.status == status
    if method == "HEAD":
        assert reply.body == b""
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.test"},
        {"host": "127.0.0.1.evil.test"},
        {"host": "127.0.0.1@evil.test"},
        {"host": ""},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"origin": "file://"},
    ],
    ids=str,
)
def test_a_web_page_of_somebody_else_is_refused(plane: Plane, headers: dict[str, str]) -> None:
    reply = plane.one(plane.head("GET", f"{MESHES}/hostile", **headers))
    assert (reply.status, reply.code) == (403, "ForbiddenException")


def test_two_hosts_or_none_are_refused(plane: Plane) -> None:
    host = f"host: {plane.host}\r\n"
    for lines in (f"{host}host: evil.test\r\n", f"host: evil.test\r\n{host}", ""):
        sent = f"GET {MESHES} HTTP/1.1\r\n{lines}connection: close\r\n\r\n".encode()
        assert plane.one(sent).status == 403
    assert plane.one(f"GET {MESHES} HTTP/1.0\r\n\r\n".encode()).status == 403
    old = plane.one(f"GET {MESHES} HTTP/1.0\r\n{host}\r\n".encode())
    assert (old.status, old.headers.get("connection")) == (200, "close")


def test_an_absolute_target_is_read_as_its_path(plane: Plane) -> None:
    assert plane.one(plane.head("GET", f"http://{plane.host}{MESHES}/hostile")).status == 200


def test_an_upgrade_is_passed_over(plane: Plane) -> None:
    for upgrade in ("websocket", "h2c"):
        head = plane.head("GET", f"{MESHES}/hostile", connection="upgrade, close", upgrade=upgrade)
        assert [each.status for each in plane.send(head)] == [200]


def test_a_thousand_requests_in_one_breath_are_answered_in_order(plane: Plane) -> None:
    asked = [plane.head("GET", f"{MESHES}/hostile", connection="keep-alive")] * 999
    found = plane.send(b"".join(asked) + plane.head("GET", f"{MESHES}/nowhere"))
    assert [each.status for each in found] == [200] * 999 + [404]
