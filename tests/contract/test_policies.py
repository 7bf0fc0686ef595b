"""Weft's own policies over HTTP: set, merged, listed, applied with a mesh, gone with what they are about."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract import specs
from tests.contract.served import Reply, Served

RETRY = {
    "maxRetries": 3,
    "perRetryTimeout": {"unit": "s", "value": 1},
    "httpRetryEvents": ["server-error"],
}


def policy(weft: Served, method: str, key: str, body: Any = None) -> Reply:
    return weft.request(method, f"/weft/v1/policies/{key}", body)


def listed(weft: Served, mesh: str, **query: Any) -> list[dict[str, Any]]:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    found: list[dict[str, Any]] = weft.get(f"/weft/v1/policies?mesh={mesh}{more}").body["policies"]
    return found


def problems(reply: Reply) -> dict[str, str]:
    assert (reply.status, reply.body["code"]) == (400, "BadRequestException"), reply.body
    return {each["path"]: each["message"] for each in reply.body["problems"]}


def apply(weft: Served, mesh: str, policies: Any, **more: Any) -> Reply:
    """A virtual node and a mesh, labelled where it is said, and policies."""
    resources = [
        {"kind": "mesh", "meshName": mesh},
        {"kind": "virtualNode", "meshName": mesh, "virtualNodeName": "a", "spec": specs.node()},
    ]
    return weft.request(
        "POST", "/weft/v1/apply", {"resources": resources, "policies": policies, **more}
    )


def test_a_policy_is_one_revision_that_changes_show_and_a_revert_takes_back(
    weft: Served, mesh: str
) -> None:
    before = weft.revision
    reply = policy(weft, "PUT", f"mesh/{mesh}", {"reroute": "on"})
    assert reply.status == 200
    assert reply.headers["x-weft-revision"] == str(before + 1)
    assert reply.body == {
        "revision": before + 1,
        "action": "created",
        "for": f"mesh/{mesh}",
        "policy": {"reroute": True},
        "warnings": [],
    }

    change = weft.get(f"/weft/v1/changes/{before + 1}").body
    (entry,) = change["entries"]
    assert entry["id"] == f"policies//mesh/{mesh}"
    assert entry["differences"] == [{"path": "reroute", "before": None, "after": True}]

    assert weft.request("POST", f"/weft/v1/changes/{before + 1}/revert").status == 200
    assert listed(weft, mesh) == []
    assert listed(weft, mesh, revision=before + 1) == [{"for": f"mesh/{mesh}", "reroute": True}]


def test_the_same_again_makes_no_revision(weft: Served, mesh: str) -> None:
    policy(weft, "PUT", f"mesh/{mesh}", {"reroute": True})
    before = weft.revision
    assert policy(weft, "PUT", f"mesh/{mesh}", {"reroute": "on"}).body["action"] == "unchanged"
    assert policy(weft, "PATCH", f"mesh/{mesh}", {}).body["action"] == "unchanged"
    assert weft.revision == before


def test_a_patch_leaves_what_it_does_not_name_and_null_takes_back(weft: Served, mesh: str) -> None:
    policy(weft, "PUT", f"mesh/{mesh}", {"reroute": True})
    merged = policy(weft, "PATCH", f"mesh/{mesh}", {"amazonaws": False})
    assert merged.body["policy"] == {"amazonaws": False, "reroute": True}
    assert policy(weft, "PATCH", f"mesh/{mesh}", {"reroute": None}).body["policy"] == {
        "amazonaws": False
    }
    assert policy(weft, "PATCH", f"mesh/{mesh}", {"amazonaws": None}).body["action"] == "deleted"
    assert policy(weft, "GET", f"mesh/{mesh}").status == 404


def test_every_mistake_of_a_policy_is_told_at_once_with_its_place(weft: Served, mesh: str) -> None:
    found = problems(
        policy(
            weft,
            "PUT",
            f"mesh/{mesh}/virtualService/db",
            {
                "retryPolicy": {"maxRetries": -1, "perRetryTimeout": {"value": 1}},
                "timeouts": {},
                "timeout": {"idle": {"unit": "h", "value": 1}},
            },
        )
    )
    assert {
        "retryPolicy",
        "retryPolicy.maxRetries",
        "retryPolicy.perRetryTimeout.unit",
        "timeouts",
        "timeout.idle.unit",
    } <= set(found)
    assert "did you mean 'timeout'" in found["timeouts"]
    kinds = problems(policy(weft, "PUT", f"mesh/{mesh}/virtualGateway/g", {"reroute": True}))
    assert "a virtualGateway has no policy" in kinds["for"]
    assert policy(weft, "PUT", "nonsense", {}).status == 400
    assert policy(weft, "DELETE", f"mesh/{mesh}").status == 404


def test_a_policy_for_what_is_not_there_yet_is_kept_with_a_warning(weft: Served, mesh: str) -> None:
    reply = policy(weft, "PUT", f"mesh/{mesh}/virtualRouter/r/route/x", {"reroute": True})
    assert [each["code"] for each in reply.body["warnings"]] == ["WEFT-711"]
    findings = weft.get(f"/weft/v1/checks?mesh={mesh}").body["findings"]
    assert "WEFT-711" in {each["code"] for each in findings}


def test_a_policy_goes_with_what_it_is_about_and_comes_back_with_it(
    weft: Served, mesh: str, appmesh: Any
) -> None:
    appmesh.create_virtual_node(meshName=mesh, virtualNodeName="n", spec=specs.node())
    key = f"mesh/{mesh}/virtualNode/n"
    policy(weft, "PUT", key, {"egressFilter": {"type": "ALLOW_ALL"}})
    appmesh.delete_virtual_node(meshName=mesh, virtualNodeName="n")
    gone = weft.revision
    assert listed(weft, mesh) == []

    weft.request("POST", f"/weft/v1/changes/{gone}/revert")
    assert [each["for"] for each in listed(weft, mesh)] == [key]

    policy(weft, "PUT", f"mesh/{mesh}/virtualNode/later", {"egressFilter": {"type": "ALLOW_ALL"}})
    appmesh.delete_virtual_node(meshName=mesh, virtualNodeName="n")
    appmesh.delete_mesh(meshName=mesh)
    kept = weft.get("/weft/v1/policies").body["policies"]
    assert [each for each in kept if each["for"].startswith(f"mesh/{mesh}/")] == []


def test_policies_are_applied_with_the_mesh_in_one_revision(weft: Served) -> None:
    mesh = "policies-applied"
    before = weft.revision
    said = [
        {"for": f"mesh/{mesh}", "reroute": True},
        {"for": f"mesh/{mesh}/virtualService/db", "retryPolicy": RETRY},
    ]
    reply = apply(weft, mesh, said)
    assert reply.status == 200, reply.body
    assert weft.revision == before + 1
    found = {each["key"]: each["action"] for each in reply.body["outcomes"]}
    assert found[f"policies//mesh/{mesh}"] == "created"
    assert listed(weft, mesh) == said

    again = apply(weft, mesh, said)
    assert {each["action"] for each in again.body["outcomes"]} == {"unchanged"}
    assert weft.revision == before + 1
    only = weft.request("POST", "/weft/v1/apply", {"policies": said[:1], "dryRun": True})
    assert [each["action"] for each in only.body["outcomes"]] == ["unchanged"]


def test_mistakes_in_policies_are_told_with_those_of_the_resources(weft: Served) -> None:
    wrong = [
        {"for": "mesh/m", "reroute": "maybe"},
        {"for": "m"},
        {"reroute": True},
        {"for": "mesh/m", "reroute": True},
        {"for": "mesh/m", "amazonaws": True},
        7,
    ]
    found = problems(apply(weft, "m", wrong, prune=3))
    assert {
        "prune",
        "policies[0].reroute",
        "policies[1].for",
        "policies[2].for",
        "policies[4].for",
        "policies[5]",
    } == set(found)


def test_prune_takes_policies_of_labelled_resources_that_are_in_no_file(weft: Served) -> None:
    mesh = "policies-pruned"
    labels = {"app": "shop"}
    node = {
        "for": f"mesh/{mesh}/virtualNode/a",
        "egressFilter": {"type": "ALLOW_ALL"},
    }
    apply(weft, mesh, [{"for": f"mesh/{mesh}", "reroute": True}, node], labels=labels)
    other = {"for": f"mesh/{mesh}/virtualService/other", "retryPolicy": RETRY}
    policy(weft, "PUT", other["for"], {"retryPolicy": RETRY})

    reply = apply(weft, mesh, [node], labels=labels, prune=True)
    found = {each["key"]: each["action"] for each in reply.body["outcomes"]}
    assert found[f"policies//mesh/{mesh}"] == "deleted"
    assert listed(weft, mesh) == [node, other], "what carries no label is somebody else's"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_nobody_sets_policies_in_a_mesh_of_another_account(weft: Served, method: str) -> None:
    body = None if method == "DELETE" else {"reroute": True}
    reply = policy(weft, method, "mesh/m@111122223333", body)
    assert reply.status in (403, 404)


def test_policies_are_judged_with_the_definitions_they_come_with(weft: Served) -> None:
    resources = [
        {
            "kind": "mesh",
            "meshName": "judged",
            "spec": {"egressFilter": {"type": "DROP_ALL"}},
        }
    ]

    def codes(policies: Any) -> set[str]:
        body = {"resources": resources, "policies": policies, "alone": True}
        reply = weft.request("POST", "/weft/v1/checks", body)
        assert reply.status == 200, reply.body
        return {each["code"] for each in reply.body["findings"]}

    assert "WEFT-716" in codes([])
    found = codes(
        [
            {"for": "mesh/judged", "amazonaws": True},
            {"for": "mesh/judged/virtualService/s", "retryPolicy": RETRY},
        ]
    )
    assert "WEFT-716" not in found
    assert "WEFT-711" in found
