"""Pages of a list that others write to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from weft.api.appmesh.pages import page
from weft.errors import Invalid

NAMES = st.lists(st.text(min_size=1), unique=True).map(sorted)


def read(names: list[str], limit: int, token: str | None = None) -> tuple[list[str], str | None]:
    query = {"limit": str(limit)} | ({"nextToken": token} if token else {})
    found, following = page(names, str, of="a list", query=QueryParams(query))
    return list(found), following


@given(NAMES, st.integers(1, 100))
def test_the_pages_together_are_the_list(names: list[str], limit: int) -> None:
    found: list[str] = []
    token: str | None = None
    while True:
        part, token = read(names, limit, token)
        assert len(part) <= limit
        found += part
        if token is None:
            break
    assert found == names


@given(NAMES.filter(bool), st.data())
def test_a_page_goes_on_where_the_last_ended_whatever_came_or_went(
    names: list[str], data: st.DataObject
) -> None:
    part, token = read(names, data.draw(st.integers(1, len(names))))
    if token is None:
        return
    later = data.draw(NAMES)
    assert read(later, 100, token)[0] == [name for name in later if name > part[-1]][:100]


def test_an_empty_token_is_none() -> None:
    assert page(["a"], str, of="a list", query=QueryParams({"nextToken": ""})) == (["a"], None)


@pytest.mark.parametrize("token", ["é", "A", "AAAA", "WzFd", "bnVsbA", "W1tbW1s=", "WyJhIiwgMV0"])
def test_a_token_nobody_gave_is_refused(token: str) -> None:
    with pytest.raises(Invalid, match="nextToken"):
        read(["a"], 1, token)
