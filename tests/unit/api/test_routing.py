"""Paths to handlers: decoded once, found by depth."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.api.errors import MethodNotAllowed, UnknownOperation
from weft.api.exchange import Answer, Call
from weft.api.routing import Route, Router
from weft.errors import BadRequest


async def handler(_call: Call) -> Answer:
    return Answer()


ROUTER = Router(
    Route(method, path, handler)
    for method, path in (
        ("GET", "/meshes"),
        ("PUT", "/meshes"),
        ("GET", "/meshes/{mesh}"),
        ("GET", "/meshes/{mesh}/nodes/{node}"),
        ("GET", "/keys/{key*}"),
    )
)


def labels(path: str) -> dict[str, str]:
    return ROUTER.find("GET", path.encode()).labels


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_text_can_be_a_label(mesh: str, node: str) -> None:
    path = f"/meshes/{quote(mesh, safe='')}/nodes/{quote(node, safe='')}"
    assert labels(path) == {"mesh": mesh, "node": node}


def test_a_label_is_decoded_once() -> None:
    assert labels("/meshes/a%252Fb") == {"mesh": "a%2Fb"}
    assert labels("/meshes/a%2Fnodes%2Fb") == {"mesh": "a/nodes/b"}
    assert labels("/meshes/a+b") == {"mesh": "a+b"}


def test_the_rest_of_a_path_can_be_one_label() -> None:
    assert labels("/keys/mesh/m/virtualNode/n") == {"key": "mesh/m/virtualNode/n"}
    assert labels("/keys/mesh%2Fm") == {"key": "mesh/m"}


@pytest.mark.parametrize(
    "path",
    ["/", "", "/meshes/", "/meshes//nodes/x", "/meshes/m/nodes", "/other", "/keys", "/keys/"],
)
def test_what_no_route_has_is_unknown(path: str) -> None:
    with pytest.raises(UnknownOperation):
        labels(path)


def test_a_method_that_a_path_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        ROUTER.find("DELETE", b"/meshes")
    assert caught.value.allowed == ("GET", "HEAD", "OPTIONS", "PUT")


def test_head_is_answered_as_get() -> None:
    assert ROUTER.find("HEAD", b"/meshes") == ROUTER.find("GET", b"/meshes")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(BadRequest, match="not UTF-8"):
        labels("/meshes/%ff")


def test_two_handlers_for_one_request_are_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="two handlers"):
        Router([Route("GET", "/a/{b}", handler), Route("GET", "/a/{c}", handler)])
