"""How the gateway reaches its color teller: kept connections, and a proxy."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.examples.conftest import FakeServer, Seen, Service

Start = Callable[..., "Service"]
Fake = Callable[[Callable[["Seen"], bytes | None]], "FakeServer"]
Reply = Callable[..., bytes]

TELLER = "colorteller.myapp.local:9080"


def test_it_asks_for_the_root_with_the_endpoint_as_host(
    start: Start, fake: Fake, reply: Reply
) -> None:
    teller = fake(lambda _: reply(b"red"))
    start("gateway.py", COLOR_TELLER_ENDPOINT=teller.address).get("/color?x=1", "POST")
    (seen,) = teller.seen
    assert seen.line == "GET / HTTP/1.1"
    assert seen.header("Host") == teller.address


def test_one_connection_is_used_again_and_again(start: Start, fake: Fake, reply: Reply) -> None:
    teller = fake(lambda _: reply(b"red"))
    service = start("gateway.py", COLOR_TELLER_ENDPOINT=teller.address)
    for _ in range(5):
        service.get("/color")
    assert [seen.connection for seen in teller.seen] == [1] * 5


def test_requests_at_the_same_time_do_not_wait_for_each_other(
    start: Start, fake: Fake, reply: Reply
) -> None:
    together = Barrier(8)

    def meet(_: Seen) -> bytes:
        together.wait(30)
        return reply(b"red")

    teller = fake(meet)
    service = start("gateway.py", COLOR_TELLER_ENDPOINT=teller.address)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(service.get, ["/color"] * 8))
        answers += list(pool.map(service.get, ["/color"] * 8))
    assert {answer.status for answer in answers} == {200}
    assert {seen.connection for seen in teller.seen} == set(range(1, 9))


def test_a_connection_that_went_stale_is_replaced(start: Start, fake: Fake, reply: Reply) -> None:
    teller = fake(lambda seen: None if seen.number == 2 else reply(b"red"))
    service = start("gateway.py", COLOR_TELLER_ENDPOINT=teller.address)
    assert [service.get("/color").status for _ in range(2)] == [200, 200]
    assert [seen.connection for seen in teller.seen] == [1, 1, 2]


def test_a_new_connection_that_fails_is_not_tried_twice(start: Start, fake: Fake) -> None:
    teller = fake(lambda _: None)
    service = start("gateway.py", COLOR_TELLER_ENDPOINT=teller.address)
    assert service.get("/color").status == 500
    assert len(teller.seen) == 1


def test_half_an_answer_is_an_error_and_is_not_asked_for_again(
    start: Start, fake: Fake, reply: Reply
) -> None:
    broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"
    teller = fake(lambda seen: broken if seen.number == 2 else reply(b"red"))
    service = start("gateway.py", COLOR_TELLER_ENDPOINT=teller.address)
    assert [service.get("/color").status for _ in range(3)] == [200, 500, 200]
    assert len(teller.seen) == 3


def test_answers_of_every_framing_are_understood(start: Start, fake: Fake, reply: Reply) -> None:
    answers = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nre\r\n1;x=y\r\nd\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"green"),
        reply(b"white", "200 OK", "Connection: close"),
        b"HTTP/1.0 200 OK\r\n\r\nblue",
    ]
    teller = fake(lambda seen: answers[seen.number - 1])
    service = start("gateway.py", COLOR_TELLER_ENDPOINT=teller.address)
    bodies = [service.get("/color").body.partition(b",")[0] for _ in answers]
    assert bodies == [
        b'{"color":"red"',
        b'{"color":"green"',
        b'{"color":"white"',
        b'{"color":"blue"',
    ]
    assert [seen.connection for seen in teller.seen] == [1, 1, 1, 2]


def test_through_a_proxy_the_whole_url_is_asked_for(start: Start, fake: Fake, reply: Reply) -> None:
    proxy = fake(lambda _: reply(b"red"))
    service = start(
        "gateway.py",
        COLOR_TELLER_ENDPOINT=TELLER,
        http_proxy=f"http://{proxy.address}",
        no_proxy="127.0.0.1,localhost",
    )
    assert [service.get("/color").status for _ in range(3)] == [200] * 3
    assert {seen.line for seen in proxy.seen} == {f"GET http://{TELLER}/ HTTP/1.1"}
    assert {seen.header("Host") for seen in proxy.seen} == {TELLER}
    assert {seen.connection for seen in proxy.seen} == {1}
    assert proxy.address in service.logged("using the color teller")


def test_a_proxy_may_be_named_in_capitals_and_without_a_scheme(
    start: Start, fake: Fake, reply: Reply
) -> None:
    proxy = fake(lambda _: reply(b"red"))
    service = start("gateway.py", COLOR_TELLER_ENDPOINT=TELLER, HTTP_PROXY=proxy.address)
    assert service.get("/color").status == 200


def test_no_proxy_is_honoured(start: Start, fake: Fake, reply: Reply) -> None:
    teller, proxy = fake(lambda _: reply(b"red")), fake(lambda _: reply(b"wrong"))
    service = start(
        "gateway.py",
        COLOR_TELLER_ENDPOINT=teller.address,
        http_proxy=f"http://{proxy.address}",
        no_proxy="127.0.0.1,localhost",
    )
    assert service.get("/color").body == b'{"color":"red", "stats": {"red":1}}'
    assert teller.seen[0].line == "GET / HTTP/1.1"
    assert proxy.seen == []


def test_a_proxy_that_is_restarted_loses_no_request(start: Start, fake: Fake, reply: Reply) -> None:
    proxy = fake(lambda seen: reply(b"red") if seen.connection != 1 or seen.number < 3 else None)
    service = start("gateway.py", COLOR_TELLER_ENDPOINT=TELLER, http_proxy=proxy.address)
    assert [service.get("/color").status for _ in range(5)] == [200] * 5
