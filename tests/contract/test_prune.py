"""Labels and prune over HTTP: what goes is what carries the label, and nothing else."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.contract import specs
from tests.contract.served import Reply, Served

_names = itertools.count(1)
TEAM = {"app": "shop"}


@pytest.fixture
def mesh() -> str:
    return f"prune-{next(_names)}"


def node(mesh: str, name: str, **more: Any) -> dict[str, Any]:
    kind = {"kind": "virtualNode", "meshName": mesh, "virtualNodeName": name}
    return {**kind, "spec": specs.node(), **more}


def router(mesh: str, *targets: str) -> list[dict[str, Any]]:
    named = {"meshName": mesh, "virtualRouterName": "r"}
    spec = specs.http_route(dict.fromkeys(targets, 1))
    return [
        {"kind": "virtualRouter", **named, "spec": {}},
        {"kind": "route", **named, "routeName": "all", "spec": spec},
    ]


def apply(weft: Served, *resources: dict[str, Any], **more: Any) -> Reply:
    return weft.request("POST", "/weft/v1/apply", {"resources": list(resources), **more})


def actions(reply: Reply) -> dict[str, str]:
    assert reply.status == 200, reply.body
    return {each["key"].rpartition("/")[2]: each["action"] for each in reply.body["outcomes"]}


def names(weft: Served, mesh: str) -> set[str]:
    found = weft.get(f"/weft/v1/resources?mesh={mesh}").body["resources"]
    return {each["key"].rpartition("/")[2] for each in found}


def tags(weft: Served, mesh: str, name: str) -> dict[str, str]:
    answer = weft.get(f"/weft/v1/resources/mesh/{mesh}/virtualNode/{name}").body
    return {each["key"]: each["value"] for each in answer["tags"]}


def test_labels_become_tags_beside_those_that_are_there(weft: Served, mesh: str) -> None:
    own = [{"key": "own", "value": "1"}]
    apply(weft, {"kind": "mesh", "meshName": mesh}, node(mesh, "a", tags=own), node(mesh, "b"))

    changed = apply(weft, node(mesh, "a"), node(mesh, "b"), labels=TEAM)
    assert actions(changed) == {"a": "updated", "b": "updated"}
    assert tags(weft, mesh, "a") == {"own": "1", "app": "shop"}
    assert tags(weft, mesh, "b") == TEAM
    again = apply(weft, node(mesh, "a"), node(mesh, "b"), labels=TEAM)
    assert actions(again) == {"a": "unchanged", "b": "unchanged"}


def test_the_order_of_tags_is_no_difference(weft: Served, mesh: str) -> None:
    both = [{"key": "x", "value": "1"}, {"key": "y", "value": "2"}]
    apply(weft, {"kind": "mesh", "meshName": mesh}, node(mesh, "a", tags=both))
    assert actions(apply(weft, node(mesh, "a", tags=both[::-1]))) == {"a": "unchanged"}


def test_what_left_the_files_goes_and_only_within_the_label(weft: Served, mesh: str) -> None:
    meshes = {"kind": "mesh", "meshName": mesh}
    apply(weft, meshes, node(mesh, "a"), node(mesh, "b"), *router(mesh, "a", "b"), labels=TEAM)
    apply(weft, node(mesh, "other"), labels={"app": "bank"})
    apply(weft, node(mesh, "bare"))
    before = weft.revision

    kept = [meshes, node(mesh, "a")]
    dry = apply(weft, *kept, labels=TEAM, prune=True, dryRun=True)
    wanted = {mesh: "unchanged", "a": "unchanged", "b": "deleted", "r": "deleted", "all": "deleted"}
    assert (actions(dry), weft.revision) == (wanted, before)
    assert actions(apply(weft, *kept, labels=TEAM, prune=True)) == wanted
    assert weft.revision == before + 1
    assert names(weft, mesh) == {mesh, "a", "other", "bare"}


def test_only_meshes_of_the_request_are_looked_at_and_a_mesh_stays(weft: Served, mesh: str) -> None:
    other = f"{mesh}-other"
    for name in (mesh, other):
        apply(weft, {"kind": "mesh", "meshName": name}, node(name, "a"), labels=TEAM)
    apply(weft, node(mesh, "b"), labels=TEAM, prune=True)
    assert names(weft, mesh) == {mesh, "b"}
    assert names(weft, other) == {other, "a"}


def test_every_label_must_be_carried(weft: Served, mesh: str) -> None:
    apply(weft, {"kind": "mesh", "meshName": mesh}, node(mesh, "a"), labels=TEAM)
    more = {**TEAM, "stage": "test"}
    apply(weft, node(mesh, "b"), labels=more)
    apply(weft, node(mesh, "c"), labels=more, prune=True)
    assert names(weft, mesh) == {mesh, "a", "c"}


def test_what_others_still_need_is_not_pruned_and_nothing_is_written(
    weft: Served, mesh: str
) -> None:
    apply(weft, {"kind": "mesh", "meshName": mesh}, node(mesh, "a"), labels=TEAM)
    apply(weft, *router(mesh, "a"))
    before = weft.revision
    refused = apply(weft, node(mesh, "new"), labels=TEAM, prune=True)
    assert (refused.status, refused.body["code"]) == (409, "ResourceInUseException")
    assert "a" in refused.body["message"]
    assert weft.revision == before
    assert "new" not in names(weft, mesh)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"prune": True}, "prune"),
        ({"prune": True, "labels": {}}, "prune"),
        ({"prune": "yes", "labels": TEAM}, "prune"),
        ({"labels": ["a"]}, "labels"),
        ({"labels": {"a": 1}}, "labels"),
        ({"labels": {"aws:x": "1"}}, "tags[0].key"),
        ({"prun": True}, "prun"),
    ],
)
def test_labels_that_are_none_are_refused(
    weft: Served, mesh: str, more: dict[str, Any], path: str
) -> None:
    reply = apply(weft, {"kind": "mesh", "meshName": mesh}, **more)
    assert reply.status == 400
    assert any(each["path"].endswith(path) for each in reply.body["problems"]), reply.body
