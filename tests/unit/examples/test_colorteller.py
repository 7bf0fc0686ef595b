"""The color teller's answers, to the letter."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.examples.conftest import Service

Start = Callable[..., "Service"]


@pytest.fixture
def white(start: Start) -> Service:
    return start("colorteller.py", COLOR="white")


def test_every_path_but_ping_answers_the_color(white: Service) -> None:
    for path in ("/", "/anything", "/ping/", "/pingpong", "/?ping", "/a/ping"):
        answer = white.get(path)
        assert (answer.status, answer.body) == (200, b"white"), path
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_ping_answers_an_empty_200(white: Service) -> None:
    answer = white.get("/ping?now")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == "0"
    assert answer.headers["Content-Type"] is None


def test_any_method_is_answered(white: Service) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PURGE"):
        assert white.get("/", method).body == b"white"


def test_a_head_request_gets_the_length_and_no_body(white: Service) -> None:
    answer = white.get("/", "HEAD")
    assert (answer.headers["Content-Length"], answer.body) == ("5", b"")


def test_it_logs_what_it_was_asked(white: Service) -> None:
    white.get("/")
    white.get("/ping")
    assert white.logged("color requested") == "color requested, responding with white"
    assert white.logged("ping requested") == "ping requested, reponding with HTTP 200"


def test_the_color_is_black_unless_it_is_set(start: Start) -> None:
    assert start("colorteller.py").get("/").body == b"black"
    assert start("colorteller.py", COLOR="").get("/").body == b"black"


def test_a_color_may_be_any_text(start: Start) -> None:
    assert start("colorteller.py", COLOR="grün").get("/").body == "grün".encode()
