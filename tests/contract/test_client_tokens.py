"""A request that is sent again with its client token is answered as it was the first time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract import specs
from tests.contract.served import Served

MESHES = "/v20190125/meshes"
CONFLICT = (
    "The request contains a client token that was used for a previous update resource call "
    "with different specifications. Try the request again with a new client token."
)


def test_a_repeated_creation_gets_the_first_answer(weft: Served, mesh: str) -> None:
    path = f"{MESHES}/{mesh}/virtualNodes"
    body = {"virtualNodeName": "n", "spec": specs.node(), "clientToken": "t"}
    first = weft.put(path, body)
    weft.put(f"{path}/n", {"spec": specs.node(port=1)})
    before = weft.revision

    again = weft.put(path, body)

    assert again.status == 200
    assert again.body == first.body
    assert again.headers["x-weft-revision"] == first.headers["x-weft-revision"]
    assert weft.revision == before


def test_a_repeated_update_counts_once(weft: Served, mesh: str) -> None:
    body = {"spec": specs.MESHES[0], "clientToken": "t"}
    replies = [weft.put(f"{MESHES}/{mesh}", body) for _ in range(3)]
    assert [each.body["metadata"]["version"] for each in replies] == [2, 2, 2]
    assert {str(each.body) for each in replies} == {str(replies[0].body)}


def test_boto3_repeats_with_a_token_of_ones_own(appmesh: Any, mesh: str) -> None:
    named = {"meshName": mesh, "virtualRouterName": "r", "spec": {}, "clientToken": "mine"}
    first = appmesh.create_virtual_router(**named)["virtualRouter"]
    assert appmesh.create_virtual_router(**named)["virtualRouter"] == first
    with pytest.raises(appmesh.exceptions.ConflictException, match="already exists"):
        appmesh.create_virtual_router(**{**named, "clientToken": "another"})


@pytest.mark.parametrize(
    "change",
    [
        {"spec": specs.node(port=1)},
        {"tags": [{"key": "a", "value": "b"}]},
    ],
)
def test_another_request_with_the_same_token_conflicts(
    weft: Served, mesh: str, change: dict[str, Any]
) -> None:
    path = f"{MESHES}/{mesh}/virtualNodes"
    body = {"virtualNodeName": "n", "spec": specs.node(), "clientToken": "t"}
    weft.put(path, body)
    reply = weft.put(path, {**body, **change})
    assert (reply.status, reply.body["__type"]) == (409, "ConflictException")
    assert reply.body["message"] == CONFLICT


def test_members_that_are_null_are_not_given(weft: Served, mesh: str) -> None:
    path = f"{MESHES}/{mesh}/virtualNodes"
    body = {"virtualNodeName": "n", "spec": specs.node(), "clientToken": "t"}
    assert weft.put(path, body).body == weft.put(path, {**body, "tags": None}).body


def test_a_token_may_serve_for_several_resources(weft: Served, mesh: str) -> None:
    for name in ("a", "b"):
        body = {"virtualRouterName": name, "spec": {}, "clientToken": "t"}
        reply = weft.put(f"{MESHES}/{mesh}/virtualRouters", body)
        assert reply.body["virtualRouterName"] == name
        updated = weft.put(
            f"{MESHES}/{mesh}/virtualRouters/{name}", {"spec": {}, "clientToken": "t"}
        )
        assert updated.body["metadata"]["version"] == 2


def test_what_is_deleted_can_be_created_again_with_the_same_token(weft: Served, mesh: str) -> None:
    path = f"{MESHES}/{mesh}/virtualRouters"
    body = {"virtualRouterName": "r", "spec": {}, "clientToken": "t"}
    first = weft.put(path, body)
    weft.request("DELETE", f"{path}/r")
    again = weft.put(path, body)
    assert again.body["metadata"]["uid"] != first.body["metadata"]["uid"]
    assert weft.get(f"{path}/r").body == again.body
