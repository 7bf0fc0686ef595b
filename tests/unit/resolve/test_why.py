"""Why a request goes where it goes, and which values nobody asked for."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from tests.builders import http_route, state_from, view_of
from weft.errors import BadRequest, NotFound
from weft.resolve.explained import Explanation, Setting
from weft.resolve.matching import Request, normalised
from weft.resolve.why import why


def mesh(**routes: Any) -> dict[str, Any]:
    return {
        "nodes": {
            "web": {"calls": ["shop.local"]},
            "white": {"listen": "9080/http"},
            "blue": {
                "listeners": [
                    {
                        "portMapping": {"port": 9080, "protocol": "http"},
                        "timeout": {"http": {"perRequest": {"unit": "s", "value": 30}}},
                    }
                ]
            },
            "db": {"listen": "5432/tcp"},
        },
        "services": {
            "shop.local": "router shop",
            "db.local": "node db",
            "none.local": None,
            "white.local": "node white",
        },
        "routers": {"shop": {"listen": "80/http", "routes": routes}},
        "instances": {"white": {"w": {9080: "127.0.0.1:1"}}},
        "gateways": {"front": {"listen": "8080/http"}},
    }


def asked(said: dict[str, Any], service: str = "shop.local", **more: Any) -> Explanation:
    request = Request(
        more.pop("method", "GET"), more.pop("path", "/"), tuple(more.pop("headers", ()))
    )
    found = why(state_from(said), "shop", service, request, **more)
    json.dumps(asdict(found))
    return found


def test_the_first_matching_route_is_named_and_the_others_say_why_not() -> None:
    found = asked(
        mesh(
            cart=http_route("blue:1", prefix="/cart", priority=1),
            root=http_route("white:3", "blue:1"),
            zero=http_route("blue:1"),
        ),
        path="/items",
    )
    assert found.route == "root"
    assert found.summary == "route root matches: white 75 %, blue 25 %"
    assert [(each.route, each.priority, each.because) for each in found.candidates] == [
        ("cart", 1, "the path /items does not start with /cart"),
        ("root", None, "it matches, and is the first that does"),
        ("zero", None, "it matches too, but root comes first"),
    ]


def test_hidden_defaults_are_told_from_what_was_asked_for() -> None:
    found = asked(
        mesh(
            root=http_route("white:1", "blue:1"),
            slow=http_route(
                "white:1",
                prefix="/slow",
                timeout={"perRequest": {"unit": "s", "value": 0}},
                retryPolicy={
                    "maxRetries": 4,
                    "perRetryTimeout": {"unit": "ms", "value": 500},
                    "httpRetryEvents": ["gateway-error"],
                },
            ),
        )
    )
    assert found.request_timeout == Setting("15s", default=True)
    assert found.idle_timeout == Setting("300s", default=True)
    assert found.retries is not None
    assert (found.retries.limit, found.retries.default) == (2, True)
    assert [each.request_timeout for each in found.targets] == [
        Setting("15s", default=True),
        Setting("30s", default=False),
    ]

    slow = asked(
        mesh(
            slow=http_route(
                "white:1",
                prefix="/slow",
                timeout={"perRequest": {"unit": "s", "value": 0}},
                retryPolicy={
                    "maxRetries": 4,
                    "perRetryTimeout": {"unit": "ms", "value": 500},
                    "httpRetryEvents": ["gateway-error"],
                },
            )
        ),
        path="/slow",
    )
    assert slow.request_timeout == Setting("off", default=False)
    assert slow.retries is not None
    assert (slow.retries.limit, slow.retries.per_try, slow.retries.default) == (4, "0.5s", False)


def test_targets_say_how_their_endpoints_are_found() -> None:
    found = asked(mesh(root=http_route("white:1", "blue:1")))
    assert [(each.found_by, each.endpoints) for each in found.targets] == [
        ("registry", ("127.0.0.1:1",)),
        ("dns blue.test", ()),
    ]


def test_a_request_that_nothing_matches_gets_404() -> None:
    found = asked(mesh(cart=http_route("white:1", prefix="/cart")), path="/x")
    assert (found.route, found.summary) == (None, "no route matches: the caller gets 404")
    assert asked(mesh()).summary == "it has no routes: callers get 404"


def test_a_service_that_is_a_node_or_nobody_says_so() -> None:
    assert asked(mesh(), "white.local").summary == "virtual node white answers for all of it"
    assert "has no provider" in asked(mesh(), "none.local").summary
    assert asked(mesh(), "db.local").summary == "all connections: db 100 %"


def test_a_caller_that_does_not_have_the_service_as_a_backend_is_told() -> None:
    (note,) = asked(mesh(), "white.local", view=view_of("web")).notes
    assert "does not have white.local among its backends" in note


def test_what_does_not_exist_is_an_error_with_a_fix() -> None:
    with pytest.raises(NotFound) as missing:
        asked(mesh(), "nobody.local")
    assert missing.value.fix
    with pytest.raises(BadRequest, match="not called at port 81") as port:
        asked(mesh(), port=81)
    assert port.value.fix == "its ports: 80"


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("/", "/"),
        ("//a///b?x=//", "/a/b"),
        ("/a/../b/./c", "/b/c"),
        ("/a/b/..", "/a/"),
        ("/a/", "/a/"),
        ("/../..", "/"),
    ],
)
def test_paths_are_compared_as_envoy_sees_them(sent: str, seen: str) -> None:
    assert normalised(sent) == seen


def test_how_a_virtual_node_is_found_in_cloud_map_is_told() -> None:
    said = mesh(root=http_route("red:1"))
    said["nodes"]["red"] = {"listen": "9080/http", "found": "test/red"}
    assert found_by(said) == "cloud map test/red, which is not there"

    said["cloudmap"] = {"test/red": {"i": {"AWS_INSTANCE_IPV4": "10.0.0.1"}}}
    assert found_by(said) == "cloud map test/red"


def found_by(said: dict[str, Any]) -> str:
    (share,) = asked(said).targets
    return share.found_by


@pytest.mark.parametrize(
    ("protocol", "pool", "said"),
    [
        ("http", {"maxConnections": 10, "maxPendingRequests": 5}, "10 connections, 5 pending"),
        ("http", {"maxConnections": 10}, "10 connections"),
        ("grpc", {"maxRequests": 7}, "7 requests"),
    ],
)
def test_the_breakers_are_those_of_the_targets_connection_pool(
    protocol: str, pool: dict[str, int], said: str
) -> None:
    listener = {
        "portMapping": {"port": 9, "protocol": protocol},
        "connectionPool": {protocol: pool},
    }
    shop = {"nodes": {"a": {"listeners": [listener]}}, "services": {"a.local": "node a"}}

    (target,) = asked(shop, "a.local").targets
    assert target.breakers == Setting(said, default=False)
