"""``changes``, ``change``, ``revert`` and ``wait``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import ControlPlane, Request


def change(revision: int, **more: Any) -> dict[str, Any]:
    path = "spec.httpRoute.action.weightedTargets[0].weight"
    entry = {
        "id": "mesh/shop/virtualRouter/vr/route/r",
        "action": "updated",
        "differences": [{"path": path, "before": 1, "after": 0}],
    }
    return {
        "revision": revision,
        "at": "2026-01-01T00:00:00.000Z",
        "author": "ana",
        "client": "aws-cli/2.1 Python/3 Linux",
        "note": "",
        "entries": [entry],
        **more,
    }


@pytest.fixture
def log(plane: ControlPlane) -> ControlPlane:
    """Three hundred changes, a page at a time."""

    def page(request: Request) -> dict[str, Any]:
        newest = int(request.query.get("before", 301)) - 1
        count = min(int(request.query["limit"]), newest)
        shown = [change(newest - i) for i in range(count)]
        following = newest - count + 1
        return {"changes": shown, "next": following if following > 1 else None}

    plane.tell("GET", "/weft/v1/changes", page)
    return plane


def test_changes_say_who_changed_what_newest_first(weft: Weft, log: ControlPlane) -> None:
    header, first, *_ = weft("changes").lines
    assert header.split() == ["REVISION", "AT", "AUTHOR", "CLIENT", "CHANGE"]
    assert first.split()[0] == "300"
    assert "ana     aws-cli/2.1  updated route/vr/r (weightedTargets[0].weight 1 to 0)" in first


@pytest.mark.parametrize(("count", "shown"), [("1", 1), ("150", 150), ("900", 300)])
def test_as_many_changes_as_asked_for_are_shown(
    weft: Weft, log: ControlPlane, count: str, shown: int
) -> None:
    revisions = [int(line) for line in weft("changes", "-n", count, "-o", "name").lines]
    assert revisions == list(range(300, 300 - shown, -1))


def test_instances_that_came_and_went_are_shown_on_request(weft: Weft, log: ControlPlane) -> None:
    weft("changes")
    weft("changes", "--all")
    assert [request.query.get("all") for request in log.requests] == [None, "true"]


def test_a_change_with_a_note_shows_it(weft: Weft, plane: ControlPlane) -> None:
    found = {"changes": [change(2, note="weft split teller white=0")], "next": None}
    plane.tell("GET", "/weft/v1/changes", found)
    assert weft("changes").lines[1].endswith("weft split teller white=0")
    assert "updated route/vr/r" in weft("changes", "-o", "wide").out
    assert "weft split teller white=0" in weft("get", "changes").out


def test_one_change_is_shown_place_by_place(weft: Weft, plane: ControlPlane) -> None:
    plane.tell("GET", "/weft/v1/changes/12", change(12))
    for arguments in (("change", "12"), ("describe", "change", "12"), ("change", "#12")):
        ran = weft(*arguments)
        assert "author    ana" in ran.out
        assert "~ route/vr/r  updated" in ran.out
        assert "spec.httpRoute.action.weightedTargets[0].weight  1 → 0" in ran.out
        assert "undo: weft revert 12" in ran.err
    assert json.loads(weft("change", "12", "-o", "json").out)["revision"] == 12


@pytest.mark.parametrize("verb", ["change", "revert", "wait"])
def test_what_is_no_revision_is_a_usage_error(weft: Weft, verb: str) -> None:
    ran = weft(verb, "yesterday")
    assert ran.code == 2
    assert "'yesterday' is no revision" in ran.err


def test_reverting_makes_a_new_revision(weft: Weft, plane: ControlPlane) -> None:
    outcomes = [{"key": "mesh/shop/virtualRouter/vr/route/r", "action": "updated"}]
    plane.tell("POST", "/weft/v1/changes/12/revert", {"revision": 13, "outcomes": outcomes})
    plane.tell("GET", "/weft/v1/wait", {"revision": 13, "total": 1, "accepted": 1})
    ran = weft("revert", "12", "--wait")
    assert ran.code == 0
    assert "reverted 12 as revision 13; undo: weft revert 13" in ran.out
    assert "delivered to 1/1 proxy in" in ran.out


def test_a_later_change_in_the_way_is_a_conflict(weft: Weft, plane: ControlPlane) -> None:
    path = "/weft/v1/changes/12/revert"
    plane.refuse("POST", path, 409, "ConflictException", "r was changed again in revision 14")
    ran = weft("revert", "12")
    assert ran.code == 5
    assert "changed again in revision 14" in ran.err
    assert "fix:" in ran.err


# --- wait -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("500ms", "0.5"), ("30s", "30"), ("2m", "120"), ("1h", "3600"), ("1m30s", "90"), ("5", "5")],
)
def test_wait_takes_lengths_of_time_as_people_type_them(
    weft: Weft, plane: ControlPlane, typed: str, seconds: str
) -> None:
    plane.tell("GET", "/weft/v1/wait", {"revision": 7, "total": 2, "accepted": 2})
    ran = weft("wait", "7", "--timeout", typed)
    assert ran.code == 0
    assert "revision 7 delivered to 2/2 proxies in" in ran.out
    assert plane.requests[-1].query == {"revision": "7", "timeout": seconds}


@pytest.mark.parametrize("typed", ["soon", "10 parsecs", "-1s", "", "1m30"])
def test_what_is_no_length_of_time_is_a_usage_error(weft: Weft, typed: str) -> None:
    ran = weft("wait", "--timeout", typed)
    assert ran.code == 2
    assert "no length of time" in ran.err


def test_waiting_without_a_revision_leaves_the_choice_to_the_control_plane(
    weft: Weft, plane: ControlPlane
) -> None:
    plane.tell("GET", "/weft/v1/wait", {"revision": 9, "total": 0, "accepted": 0})
    ran = weft("wait")
    assert ran.code == 0
    assert "no proxy is connected" in ran.out
    assert "revision" not in plane.requests[-1].query


def test_a_rejection_is_1_and_a_timeout_is_7(weft: Weft, plane: ControlPlane) -> None:
    words = "mesh/shop/virtualNode/a (a-1) refused RDS: unknown cluster 'x'"
    plane.refuse("GET", "/weft/v1/wait", 409, "Rejected", words)
    ran = weft("wait", "9")
    assert (ran.code, ran.err.splitlines()[0]) == (1, f"error: {words}")
    assert "weft revert 9" in ran.err
    plane.refuse("GET", "/weft/v1/wait", 504, "TimedOut", "a-1 has not answered RDS yet")
    ran = weft("wait", "9")
    assert ran.code == 7
    assert "a-1 has not answered RDS yet" in ran.err
