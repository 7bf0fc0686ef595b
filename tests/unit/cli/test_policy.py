"""``policy``: settings as people type them, and what is asked of the control plane for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import ControlPlane, Request
from weft.cli.policy_settings import patch_of, said

SERVICE = "mesh/shop/virtualService/db"
EVENTS = {"httpRetryEvents": ["server-error"], "tcpRetryEvents": None, "grpcRetryEvents": None}


def answer(request: Request) -> Any:
    policy = {name: value for name, value in request.body.items() if name != "note"}
    key = request.path.removeprefix("/weft/v1/policies/")
    return {"revision": 8, "action": "created", "for": key, "policy": policy, "warnings": []}


def sent(plane: ControlPlane, key: str) -> dict[str, Any]:
    (request,) = plane.asked("PATCH", f"/weft/v1/policies/{key}")
    body: dict[str, Any] = request.body
    return body


def test_reroute_is_set_for_a_mesh(weft: Weft, plane: ControlPlane) -> None:
    plane.tell("PATCH", "/weft/v1/policies/mesh/shop", answer)
    ran = weft("policy", "set", "mesh/shop", "reroute=on")
    assert ran.code == 0
    assert sent(plane, "mesh/shop") == {
        "reroute": True,
        "note": "weft policy set mesh/shop reroute=on",
    }
    assert "saved as revision 8; undo: weft revert 8" in ran.words


def test_the_mesh_may_be_left_out_where_there_is_one(weft: Weft, plane: ControlPlane) -> None:
    route = "mesh/shop/virtualRouter/r/route/x"
    plane.tell("PATCH", f"/weft/v1/policies/{route}", answer)
    assert weft("policy", "set", "virtualRouter/r/route/x", "reroute=off").code == 0
    assert sent(plane, route)["reroute"] is False


def test_warnings_are_shown_with_their_code(weft: Weft, plane: ControlPlane) -> None:
    warning = {"code": "WEFT-711", "message": "route x does not exist (yet)"}
    plane.tell(
        "PATCH",
        "/weft/v1/policies/mesh/shop/virtualRouter/r/route/x",
        lambda request: {**answer(request), "warnings": [warning]},
    )
    ran = weft("policy", "set", "virtualRouter/r/route/x", "reroute=on")
    assert "WEFT-711 route x does not exist (yet)" in ran.words


def test_timeouts_and_retries_are_said_in_one_line(weft: Weft, plane: ControlPlane) -> None:
    plane.tell("PATCH", f"/weft/v1/policies/{SERVICE}", answer)
    line = ("timeout=5s", "idle=1m", "retries=3", "retry-on=server-error")
    assert weft("policy", "set", SERVICE, *line).code == 0
    found = sent(plane, SERVICE)
    assert found["timeout"] == {
        "perRequest": {"unit": "s", "value": 5},
        "idle": {"unit": "s", "value": 60},
    }
    assert found["retryPolicy"] == {
        **EVENTS,
        "maxRetries": 3,
        "perRetryTimeout": {"unit": "s", "value": 0},
    }


def test_a_number_of_retries_alone_keeps_the_events_that_are_set() -> None:
    present = {
        "retryPolicy": {
            "maxRetries": 1,
            "perRetryTimeout": {"unit": "ms", "value": 500},
            "httpRetryEvents": ["server-error"],
        }
    }
    assert patch_of(["retries=5"], present) == {
        "retryPolicy": {"maxRetries": 5, "perRetryTimeout": {"unit": "ms", "value": 500}}
    }
    assert patch_of(["retries=default"], present) == {"retryPolicy": None}
    assert patch_of(["timeout=default", "reroute=default"], {}) == {
        "timeout": {"perRequest": None},
        "reroute": None,
    }


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("rerout=on", "did you mean reroute?"),
        ("reroute", "is no setting"),
        ("reroute=maybe", "reroute is on, off or default"),
        ("timeout=soon", "no length of time"),
        ("retries=3", "retries of what?"),
        ("retries=x", "retries is a whole number or default"),
        ("retry-on=server-eror", "did you mean server-error?"),
        ("egress=NONE", "egress is ALLOW_ALL, DROP_ALL or default"),
    ],
)
def test_what_is_no_setting_is_told_with_what_is(
    weft: Weft, plane: ControlPlane, setting: str, words: str
) -> None:
    ran = weft("policy", "set", SERVICE, setting)
    assert ran.code == 2
    assert words in ran.words
    assert plane.asked("PATCH", f"/weft/v1/policies/{SERVICE}") == []


def test_what_names_no_resource_is_told_how_to_name_one(weft: Weft) -> None:
    ran = weft("policy", "set", "db", "timeout=5s")
    assert ran.code == 2
    assert "virtualService/S" in ran.words


def test_the_list_says_policies_as_they_are_set(weft: Weft, plane: ControlPlane) -> None:
    policies = [
        {"for": "mesh/shop", "reroute": True, "amazonaws": False},
        {"for": SERVICE, "timeout": {"idle": {"unit": "s", "value": 0}}},
    ]
    plane.tell("GET", "/weft/v1/policies", {"revision": 8, "policies": policies})
    ran = weft("policy", "list")
    assert "reroute=on amazonaws=off" in ran.words
    assert "idle=off" in ran.words
    assert json.loads(weft("policy", "list", "-o", "json").out)["policies"] == policies
    assert weft("policy", "list", "-o", "name").lines == ["mesh/shop", SERVICE]


def test_a_policy_is_shown_and_taken_back(weft: Weft, plane: ControlPlane) -> None:
    found = {"revision": 8, "for": "mesh/shop", "policy": {"reroute": True}, "warnings": []}
    plane.tell("GET", "/weft/v1/policies/mesh/shop", found)
    plane.tell("DELETE", "/weft/v1/policies/mesh/shop", {"revision": 9})
    assert "reroute=on" in weft("policy", "get", "mesh").words
    assert "no policy since revision 9" in weft("policy", "delete", "mesh/shop").words


def test_what_is_said_sets_the_same_again() -> None:
    policy = {
        "egressFilter": {"type": "ALLOW_ALL"},
        "timeout": {"perRequest": {"unit": "ms", "value": 250}},
        "retryPolicy": {
            "maxRetries": 2,
            "perRetryTimeout": {"unit": "s", "value": 1},
            "tcpRetryEvents": ["connection-error"],
        },
    }
    patch = patch_of(said(policy), {})
    retry = {name: value for name, value in patch["retryPolicy"].items() if value is not None}
    assert {**patch, "retryPolicy": retry} == policy
