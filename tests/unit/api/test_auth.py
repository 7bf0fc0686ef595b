"""Who may call and who calls: values only."""

from __future__ import annotations

from typing import Any

import pytest

from weft.api.auth import author, check_caller, is_loopback, refuse_to_bind
from weft.errors import CannotStart, Forbidden
from weft.settings import Address
from weft.store.change import Author


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
    with pytest.raises(Forbidden, match="only to this machine"):
        check_caller(scope(*headers))


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"127.0.0.1:7400")],
        [(b"host", b"localhost:7400"), (b"origin", b"http://localhost:7400")],
        [(b"host", b"localhost:7400"), (b"origin", b"https://127.0.0.1:5173")],
    ],
)
def test_this_machine_is_let_in(headers: list[tuple[bytes, bytes]]) -> None:
    check_caller(scope(*headers))


def test_a_unix_socket_needs_no_host() -> None:
    check_caller(scope((b"host", b"weft"), server=("/run/weft.sock", None)))


def test_the_author_is_the_key_that_signed() -> None:
    signature = (
        b"AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-west-2/appmesh/aws4_request, "
        b"SignedHeaders=host;x-amz-date, Signature=0"
    )
    asked = scope((b"authorization", signature), (b"user-agent", b"aws-cli/2"))
    assert author(asked) == Author("AKIAEXAMPLE", "aws-cli/2")


@pytest.mark.parametrize(
    "header", [b"Bearer x", b"AWS4-HMAC-SHA256 Credential=", b"AWS4-HMAC-SHA256 Credential=a b/c"]
)
def test_who_does_not_sign_is_anonymous(header: bytes) -> None:
    assert author(scope((b"authorization", header))) == Author("anonymous", "")


def test_a_user_agent_is_kept_short() -> None:
    assert len(author(scope((b"user-agent", b"x" * 5000))).client) == 256


def test_an_address_that_others_reach_is_refused() -> None:
    with pytest.raises(CannotStart, match=r"--api is 0\.0\.0\.0:7400, which other machines"):
        refuse_to_bind(Address("0.0.0.0", 7400))
    for address in (Address("127.0.0.1", 0), Address("::1", 1), Address("", 0, "/run/weft.sock")):
        refuse_to_bind(address)
