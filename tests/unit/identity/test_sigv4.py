"""Signatures: botocore's own signer makes them, ours verifies; one byte of difference and it fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from weft.errors import ExpiredToken, IncompleteSignature, InvalidSignature
from weft.identity import sigv4

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = Credentials("WEFTEXAMPLE", SECRET)
HOST = "127.0.0.1:7400"

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
SEGMENT = TEXT.map(lambda text: quote(text, safe="")) | st.sampled_from(
    ["", ".", "..", "~a", "a+b", "a%2Fb", "%25", "a:b", "a=b", "@", "(a)", "a,b", "*"]
)
PATH = st.lists(SEGMENT, max_size=5).map(lambda parts: "/" + "/".join(parts))
QUERY = st.lists(st.tuples(TEXT, TEXT), max_size=5).map(
    lambda pairs: "&".join(
        f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in pairs if k
    )
)
BLANKS = st.text(" \ta-z0-9;=/äé", max_size=20)


def signed(
    path: str = "/",
    query: str = "",
    *,
    method: str = "POST",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    service: str = "appmesh",
    signer: type[SigV4Auth] = SigV4Auth,
    keys: Credentials = KEYS,
) -> sigv4.Request:
    """A request as botocore would put it on the wire."""
    request = AWSRequest(
        method=method,
        url=f"http://{HOST}{path}" + (f"?{query}" if query else ""),
        data=body,
        headers=headers or {},
    )
    signer(keys, service, "us-west-2").add_auth(request)
    parts = urlsplit(request.url)
    sent = [("host", HOST)]
    sent += [(name.lower(), value) for name, value in request.headers.items()]
    return sigv4.Request(method, parts.path, parts.query, sent)


def verify(request: sigv4.Request, body: bytes = b"", secret: str = SECRET) -> sigv4.Claim:
    claim = sigv4.claim(request)
    assert claim is not None
    sigv4.verify(request, claim, secret, sigv4.payload_hash(request, claim, body))
    return claim


@given(PATH, QUERY, st.binary(max_size=40), st.sampled_from(["GET", "PUT", "POST", "DELETE"]))
def test_whatever_botocore_signs_is_verified(
    path: str, query: str, body: bytes, method: str
) -> None:
    claim = verify(signed(path, query, method=method, body=body), body)
    assert (claim.access_key, claim.service, claim.region) == (
        "WEFTEXAMPLE",
        "appmesh",
        "us-west-2",
    )


@given(PATH, QUERY)
def test_a_presigned_request_is_verified(path: str, query: str) -> None:
    claim = verify(signed(path, query, method="GET", signer=SigV4QueryAuth))
    assert claim.expires_seconds == 3600


@given(BLANKS)
def test_blanks_in_headers_are_of_no_account(value: str) -> None:
    verify(signed(headers={"x-odd": value, "content-type": "a;  b"}))


def test_a_header_that_comes_twice_is_signed_as_one() -> None:
    request = AWSRequest("GET", f"http://{HOST}/")
    request.headers["x-a"] = "1"
    request.headers.add_header("x-a", " 2  3 ")
    SigV4Auth(KEYS, "appmesh", "us-west-2").add_auth(request)
    sent = [("host", HOST), *((n.lower(), v) for n, v in request.headers.items())]
    verify(sigv4.Request("GET", "/", "", sent))


def test_a_session_token_is_signed_along_and_means_nothing() -> None:
    verify(signed(keys=Credentials("WEFTEXAMPLE", SECRET, "session")))


def test_a_query_that_was_signed_decoded_is_verified_as_it_stands_on_the_wire() -> None:
    request = signed(query="a=x%20y&b=%2A")
    verify(replace(request, query="b=*&a=x+y"))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "DELETE"},
        {"path": "/other"},
        {"query": "a=2"},
        {"query": "a=1&b=1"},
        {"headers": [("host", "evil.test")]},
        {"headers": [("x-amz-target", "Other.Operation")]},
    ],
)
def test_a_request_that_was_changed_on_the_way_is_refused(change: dict[str, Any]) -> None:
    request = signed("/meshes", "a=1", headers={"x-amz-target": "Some.Operation"})
    if "headers" in change:
        ((name, value),) = change["headers"]
        kept = [each for each in request.headers if each[0] != name]
        change = {"headers": [*kept, (name, value)]}
    with pytest.raises(InvalidSignature, match="does not match"):
        verify(replace(request, **change))


def test_another_body_is_refused() -> None:
    with pytest.raises(InvalidSignature):
        verify(signed(body=b"{}"), b"[]")
    said = signed(body=b"{}", headers={"x-amz-content-sha256": sigv4.NOTHING})
    with pytest.raises(InvalidSignature, match="payload"):
        verify(said, b"{}")


def test_another_secret_is_refused() -> None:
    with pytest.raises(InvalidSignature):
        verify(signed(), secret=SECRET + "x")


def test_an_unsigned_payload_may_be_anything_and_one_in_pieces_nothing() -> None:
    verify(signed(headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}), b"anything")
    streamed = signed(headers={"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"})
    with pytest.raises(InvalidSignature, match="only S3"):
        verify(streamed)


def test_the_host_has_to_be_signed() -> None:
    request = signed()
    claim = sigv4.claim(request)
    assert claim is not None
    with pytest.raises(InvalidSignature, match="'host' must be"):
        sigv4.verify(request, replace(claim, signed_headers=("x-amz-date",)), SECRET, sigv4.NOTHING)


def test_where_the_transport_hides_the_host_one_of_our_names_has_to_be_the_signed_one() -> None:
    request = signed()
    bare = replace(request, headers=[each for each in request.headers if each[0] != "host"])
    claim = sigv4.claim(bare)
    assert claim is not None
    sigv4.verify(bare, claim, SECRET, sigv4.NOTHING, ["localhost:7400", HOST])
    with pytest.raises(InvalidSignature):
        sigv4.verify(bare, claim, SECRET, sigv4.NOTHING, ["localhost:7400"])


def test_a_clock_may_be_five_minutes_off() -> None:
    claim = verify(signed())
    for minutes in (-5, 0, 5):
        sigv4.check_time(claim, claim.at + timedelta(minutes=minutes))
    with pytest.raises(InvalidSignature, match="Signature expired"):
        sigv4.check_time(claim, claim.at + timedelta(minutes=5, seconds=1))
    with pytest.raises(InvalidSignature, match="not yet current"):
        sigv4.check_time(claim, claim.at - timedelta(minutes=5, seconds=1))


def test_a_presigned_request_lasts_as_long_as_it_says() -> None:
    claim = verify(signed(signer=SigV4QueryAuth))
    sigv4.check_time(claim, claim.at + timedelta(seconds=3600))
    with pytest.raises(ExpiredToken, match="3600 seconds"):
        sigv4.check_time(claim, claim.at + timedelta(seconds=3601))


def test_the_day_of_the_scope_is_that_of_the_date() -> None:
    claim = verify(signed())
    with pytest.raises(InvalidSignature, match="Date in Credential scope"):
        sigv4.check_time(replace(claim, date="20010101"), claim.at)


def test_a_signature_is_for_one_service() -> None:
    claim = verify(signed(service="sts"))
    sigv4.check_service(claim, "sts")
    sigv4.check_service(claim, "")
    with pytest.raises(InvalidSignature, match="correct service: 'appmesh'"):
        sigv4.check_service(claim, "appmesh")


def header(text: str, date: str | None = "20260101T000000Z") -> sigv4.Request:
    sent = [("authorization", text)]
    return sigv4.Request("GET", "/", "", sent + ([("x-amz-date", date)] if date else []))


GOOD = (
    "AWS4-HMAC-SHA256 Credential=A/20260101/r/s/aws4_request,SignedHeaders=host,Signature="
    + "0" * 64
)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (header("AWS4-HMAC-SHA512 x"), "only AWS4-HMAC-SHA256"),
        (header("AWS4-HMAC-SHA256"), "no Credential"),
        (header(GOOD.replace("SignedHeaders=host,", "")), "no SignedHeaders"),
        (header(GOOD.replace("0" * 64, "")), "no Signature"),
        (header(GOOD.replace("0" * 64, "xyz")), "64 digits"),
        (header(GOOD.replace("/aws4_request", "")), "must be KEY/"),
        (header(GOOD.replace("=A/", "=/")), "must be KEY/"),
        (header(GOOD.replace("host", "host;host")), "twice"),
        (header(GOOD, date=None), "has a date"),
        (header(GOOD, date="yesterday"), "not 'yesterday'"),
        (sigv4.Request("GET", "/", "X-Amz-Algorithm=other", []), "X-Amz-Algorithm"),
        (sigv4.Request("GET", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256", []), "no X-Amz-Credential"),
    ],
)
def test_what_lacks_a_part_says_which(request_: sigv4.Request, words: str) -> None:
    with pytest.raises(IncompleteSignature, match=words):
        sigv4.claim(request_)


@pytest.mark.parametrize("seconds", ["0", "604801", "-1", "1e3", "99999999999"])
def test_a_presigned_request_lasts_a_week_at_most(seconds: str) -> None:
    request = signed(signer=SigV4QueryAuth)
    altered = request.query.replace("X-Amz-Expires=3600", f"X-Amz-Expires={seconds}")
    with pytest.raises(IncompleteSignature, match="from 1 to 604800"):
        sigv4.claim(replace(request, query=altered))


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str, query: str) -> None:
    for request in (
        header(f"AWS4-HMAC-SHA256 {text}"),
        sigv4.Request("GET", "/", f"X-Amz-Algorithm=AWS4-HMAC-SHA256&{query}", []),
    ):
        with pytest.raises(IncompleteSignature):
            sigv4.claim(request)


def test_what_is_not_signed_claims_nothing() -> None:
    assert sigv4.claim(header("Bearer x")) is None
    assert sigv4.claim(sigv4.Request("GET", "/", "", [])) is None
