"""A request's body and query: bounded, parsed, and refused with the place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from weft.api.exchange import MAX_BODY_BYTES, Call, answer, flag, parse, whole_number
from weft.errors import BadRequest, Invalid
from weft.store.change import Author

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def call(*chunks: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> Call:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": i + 1 < len(chunks)}
        for i, chunk in enumerate(chunks)
    ]
    messages.append({"type": "http.disconnect"})
    waiting = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    return Call("id", Author(), {"headers": list(headers), "query_string": b""}, receive)


@given(JSON)
def test_json_survives_the_round_trip(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value


@given(st.binary())
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    with suppress(BadRequest):
        parse(body)


async def test_a_body_may_come_in_pieces() -> None:
    assert await call(b'{"a"', b": 1", b"}").json_object() == {"a": 1}


async def test_no_body_is_an_empty_object() -> None:
    assert await call(b"").json_object() == {}
    assert await call(b" \n").json_object() == {}


async def test_a_body_ends_at_the_limit() -> None:
    piece = b" " * (MAX_BODY_BYTES // 2)
    assert len(await call(piece, piece).body()) == MAX_BODY_BYTES
    with pytest.raises(BadRequest, match="larger than 1048576 bytes"):
        await call(piece, piece, b" ").body()


@pytest.mark.parametrize("length", [b"1048577", b"-1", b"many", b"9" * 99])
async def test_a_length_beyond_the_limit_is_refused_unread(length: bytes) -> None:
    with pytest.raises(BadRequest, match="larger than"):
        await call(headers=[(b"content-length", length)]).body()


async def test_a_client_that_leaves_halfway_asked_nothing() -> None:
    half = call(b"{")
    await half.receive()
    with pytest.raises(BadRequest, match="left before"):
        await half.body()


async def test_gone_is_when_the_client_has_left() -> None:
    await call(b"").gone()


def test_an_answer_is_compact_json_with_its_revision() -> None:
    given_back = answer({"a": [1]}, revision=7)
    assert given_back.body == b'{"a":[1]}'
    assert given_back.headers == {"x-weft-revision": "7"}


@pytest.mark.parametrize(("text", "value"), [("", True), ("true", True), ("0", False)])
def test_a_switch_is_on_when_it_is_there(text: str, value: bool) -> None:
    assert flag(QueryParams({"all": text}), "all") is value
    assert flag(QueryParams(""), "all") is False


def test_a_number_keeps_to_its_limits() -> None:
    query = QueryParams({"n": "7"})
    assert whole_number(query, "n", default=1, least=1, most=7) == 7
    assert whole_number(query, "m", default=1, least=1) == 1
    with pytest.raises(Invalid, match="must be a whole number from 1 to 6, not '7'"):
        whole_number(query, "n", default=1, least=1, most=6)
    with pytest.raises(Invalid, match="must be a whole number 8 or more"):
        whole_number(query, "n", default=1, least=8)
