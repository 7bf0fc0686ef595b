"""Web pages stay out: by the names they call."""

from __future__ import annotations

from typing import Any

import pytest

from weft.api.visitors import Visitors, is_loopback
from weft.errors import Forbidden

LOCAL = Visitors()


def scope(*headers: tuple[bytes, bytes], server: Any = ("127.0.0.1", 7400)) -> dict[str, Any]:
    return {"server": server, "headers": list(headers)}


@pytest.mark.parametrize(
    "authority",
    [
        b"localhost",
        b"LocalHost:7400",
        b"demo.localhost:80",
        b"127.0.0.1",
        b"127.9.9.9:1",
        b"[::1]",
        b"[::1]:7400",
        b"[::ffff:127.0.0.1]:7400",
    ],
)
def test_loopback_is_known_by_any_of_its_names(authority: bytes) -> None:
    assert is_loopback(authority)


@pytest.mark.parametrize(
    "authority",
    [
        b"",
        b"evil.test",
        b"localhost.evil.test",
        b"evil-localhost",
        b"127.0.0.1.evil.test",
        b"127.evil.test",
        b"evil.test:127",
        b"10.0.0.1",
        b"0.0.0.0",
        b"[::]",
        b"[::1",
        b"::1",
        b"localhost@evil.test",
        b"localhost/evil.test",
        b"localhost:port",
        b"localhost:1:2",
        "löcalhost".encode(),
    ],
)
def test_nothing_else_passes_for_loopback(authority: bytes) -> None:
    assert not is_loopback(authority)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"evil.test")],
        [(b"host", b"localhost"), (b"host", b"evil.test")],
        [(b"host", b"localhost"), (b"origin", b"http://evil.test")],
        [(b"host", b"localhost"), (b"origin", b"null")],
        [(b"host", b"localhost"), (b"origin", b"file://localhost")],
        [(b"host", b"localhost"), (b"origin", b"http://localhost, http://evil.test")],
    ],
)
def test_a_stranger_is_turned_away(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Forbidden, match="another site"):
        LOCAL.check(scope(*headers))


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"127.0.0.1:7400")],
        [(b"host", b"localhost:7400"), (b"origin", b"http://localhost:7400")],
        [(b"host", b"localhost:7400"), (b"origin", b"https://127.0.0.1:5173")],
    ],
)
def test_this_machine_is_let_in(headers: list[tuple[bytes, bytes]]) -> None:
    LOCAL.check(scope(*headers))


def test_a_unix_socket_needs_no_host() -> None:
    LOCAL.check(scope((b"host", b"weft"), server=("/run/weft.sock", None)))


@pytest.mark.parametrize(
    "host",
    [
        b"appmesh.us-west-2.amazonaws.com",
        b"data-servicediscovery.us-west-2.amazonaws.com:7400",
        b"servicediscovery.us-west-2.api.aws",
        b"data-localhost:7400",
    ],
)
def test_names_of_the_services_pass_where_dns_leads_them_here(host: bytes) -> None:
    LOCAL.check(scope((b"host", host)))


@pytest.mark.parametrize(
    "host",
    [b"amazonaws.com.evil.test", b"evilamazonaws.com", b"data-evil.test", b"data-data-evil.test"],
)
def test_names_that_only_look_like_it_do_not(host: bytes) -> None:
    with pytest.raises(Forbidden):
        LOCAL.check(scope((b"host", host)))


def test_a_page_in_somebody_s_bucket_is_still_another_site() -> None:
    with pytest.raises(Forbidden, match="Origin"):
        LOCAL.check(scope((b"host", b"localhost"), (b"origin", b"https://bucket.s3.amazonaws.com")))


def test_configured_names_pass_with_any_port() -> None:
    named = Visitors(["Mesh.example"])
    named.check(scope((b"host", b"mesh.example:443"), (b"origin", b"https://mesh.example")))
    named.check(scope((b"host", b"data-mesh.example")))
    with pytest.raises(Forbidden):
        named.check(scope((b"host", b"other.example")))


def test_where_others_reach_us_an_address_in_digits_passes_and_a_name_does_not() -> None:
    exposed = Visitors(any_address=True)
    exposed.check(scope((b"host", b"10.1.2.3:7400")))
    with pytest.raises(Forbidden):
        exposed.check(scope((b"host", b"rebound.evil.test")))


def test_where_credentials_are_asked_for_any_host_passes_but_no_foreign_origin() -> None:
    closed = Visitors(any_host=True)
    closed.check(scope((b"host", b"lb.example:443"), (b"origin", b"https://lb.example:443")))
    with pytest.raises(Forbidden):
        closed.check(scope((b"host", b"lb.example"), (b"origin", b"https://evil.test")))
