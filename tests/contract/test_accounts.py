"""Several accounts on one control plane: meshes of one name, shared ones, and whose is what."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract import specs
from tests.contract.served import Served
from weft.api.appmesh import accounts
from weft.api.exchange import Call

HOME, OWNER, GUEST, STRANGER = "0" * 12, "1" * 12, "2" * 12, "3" * 12


@pytest.fixture(autouse=True)
def caller_in_the_access_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every account has one key, which is called after it."""

    def account(call: Call) -> str:
        found = re.search(r"Credential=AKIA([0-9]{12})/", call.header(b"authorization") or "")
        return found[1] if found else call.caller.account

    monkeypatch.setattr(accounts, "caller_account", account)


def client_of(weft: Served, account: str) -> Any:
    return weft.client(aws_access_key_id=f"AKIA{account}")


@pytest.fixture
def owner(weft: Served) -> Any:
    return client_of(weft, OWNER)


@pytest.fixture
def guest(weft: Served) -> Any:
    return client_of(weft, GUEST)


@pytest.fixture
def shared(weft: Served, owner: Any, mesh: str) -> dict[str, str]:
    """A mesh of OWNER's that GUEST shares, as GUEST names it; another account has one of its name."""
    owner.create_mesh(meshName=mesh)
    owner.create_virtual_node(meshName=mesh, virtualNodeName="owners", spec=specs.node())
    owner.create_virtual_router(meshName=mesh, virtualRouterName="owners", spec={})
    owner.create_virtual_gateway(meshName=mesh, virtualGatewayName="owners", spec=specs.GATEWAYS[0])
    share(weft, mesh, GUEST)
    return {"meshName": mesh, "meshOwner": OWNER}


def as_account(weft: Served, account: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential=AKIA{account}/x"}
    return weft.request(method, path, body, headers)


def share(weft: Served, mesh: str, account: str, *, by: str = OWNER) -> Any:
    return as_account(weft, by, "POST", f"/weft/v1/meshes/{mesh}/shares", {"account": account})


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_two_accounts_have_meshes_of_one_name(
    appmesh: Any, owner: Any, guest: Any, mesh: str
) -> None:
    made = owner.create_mesh(meshName=mesh, spec=specs.MESHES[0])["mesh"]
    assert made["meshName"] == mesh
    assert made["metadata"]["arn"] == f"arn:aws:appmesh:us-west-2:{OWNER}:mesh/{mesh}"
    assert made["metadata"]["meshOwner"] == made["metadata"]["resourceOwner"] == OWNER
    assert appmesh.describe_mesh(meshName=mesh)["mesh"]["spec"] == {}
    assert owner.describe_mesh(meshName=mesh)["mesh"]["spec"] == specs.MESHES[0]
    with pytest.raises(guest.exceptions.NotFoundException, match=f"for account {GUEST}"):
        guest.describe_mesh(meshName=mesh)
    owner.delete_mesh(meshName=mesh)
    assert appmesh.describe_mesh(meshName=mesh)["mesh"]["meshName"] == mesh


def test_a_guest_sees_everything_in_a_shared_mesh(
    guest: Any, weft: Served, shared: dict[str, str]
) -> None:
    assert guest.describe_mesh(**shared)["mesh"]["metadata"]["meshOwner"] == OWNER
    nodes = guest.list_virtual_nodes(**shared)["virtualNodes"]
    assert [each["virtualNodeName"] for each in nodes] == ["owners"]
    assert guest.describe_virtual_gateway(**shared, virtualGatewayName="owners")
    listed = [(each["meshName"], each["meshOwner"]) for each in guest.list_meshes()["meshes"]]
    assert (shared["meshName"], OWNER) in listed
    assert (shared["meshName"], HOME) not in listed


def test_what_a_guest_creates_is_the_guests(guest: Any, owner: Any, shared: dict[str, str]) -> None:
    node = guest.create_virtual_node(**shared, virtualNodeName="mine", spec=specs.node())
    metadata = node["virtualNode"]["metadata"]
    assert (metadata["meshOwner"], metadata["resourceOwner"]) == (OWNER, GUEST)
    mesh = shared["meshName"]
    assert metadata["arn"] == f"arn:aws:appmesh:us-west-2:{GUEST}:mesh/{mesh}/virtualNode/mine"
    guest.create_virtual_router(**shared, virtualRouterName="mine", spec={})
    guest.create_route(
        **shared,
        virtualRouterName="mine",
        routeName="x",
        spec=specs.http_route({"owners": 1, "mine": 1}),
    )
    guest.update_virtual_node(**shared, virtualNodeName="mine", spec=specs.node())
    with pytest.raises(owner.exceptions.ForbiddenException, match=f"belongs to account {GUEST}"):
        owner.update_virtual_node(meshName=mesh, virtualNodeName="mine", spec={})
    owner.delete_route(meshName=mesh, virtualRouterName="mine", routeName="x")
    guest.delete_virtual_node(**shared, virtualNodeName="mine")


def test_a_guest_does_not_touch_what_is_the_owners(guest: Any, shared: dict[str, str]) -> None:
    node = {**shared, "virtualNodeName": "owners"}
    for refused in (
        lambda: guest.update_virtual_node(**node, spec=specs.node()),
        lambda: guest.delete_virtual_node(**node),
        lambda: guest.create_route(
            **shared,
            virtualRouterName="owners",
            routeName="x",
            spec=specs.http_route({"owners": 1}),
        ),
        lambda: guest.create_virtual_gateway(
            **shared, virtualGatewayName="mine", spec=specs.GATEWAYS[0]
        ),
        lambda: guest.delete_virtual_gateway(**shared, virtualGatewayName="owners"),
    ):
        with pytest.raises(ClientError) as error:
            refused()
        assert code(error) == "ForbiddenException"


def test_whom_a_mesh_is_not_shared_with_cannot_tell_whether_it_is_there(
    weft: Served, shared: dict[str, str]
) -> None:
    stranger = client_of(weft, STRANGER)
    words = set()
    for name in (shared["meshName"], "nowhere"):
        with pytest.raises(stranger.exceptions.ForbiddenException) as error:
            stranger.list_virtual_nodes(meshName=name, meshOwner=OWNER)
        words.add(str(error.value).replace(name, "M"))
    assert len(words) == 1


def test_tags_are_their_resources_owners(guest: Any, owner: Any, shared: dict[str, str]) -> None:
    tags = [{"key": "a", "value": "b"}]
    made = guest.create_virtual_node(**shared, virtualNodeName="mine", spec={}, tags=tags)
    arn = made["virtualNode"]["metadata"]["arn"]
    assert guest.list_tags_for_resource(resourceArn=arn)["tags"] == tags
    guest.tag_resource(resourceArn=arn, tags=[{"key": "c", "value": "d"}])
    guest.untag_resource(resourceArn=arn, tagKeys=["a", "c"])
    assert guest.list_tags_for_resource(resourceArn=arn)["tags"] == []
    with pytest.raises(owner.exceptions.ForbiddenException):
        owner.list_tags_for_resource(resourceArn=arn)
    root = f"arn:aws:appmesh:us-west-2:{OWNER}:mesh/{shared['meshName']}"
    for other in (root, f"{root}/virtualNode/owners"):
        with pytest.raises(guest.exceptions.ForbiddenException):
            guest.tag_resource(resourceArn=other, tags=tags)
    with pytest.raises(owner.exceptions.NotFoundException):
        owner.list_tags_for_resource(resourceArn=f"{root}/virtualNode/mine")


def test_once_no_longer_shared_only_the_owner_has_it(
    weft: Served, guest: Any, owner: Any, shared: dict[str, str]
) -> None:
    guest.create_virtual_node(**shared, virtualNodeName="mine", spec={})
    path = f"/weft/v1/meshes/{shared['meshName']}/shares"
    reply = as_account(weft, OWNER, "DELETE", f"{path}/{GUEST}")
    assert reply.status == 200
    for refused in (
        lambda: guest.describe_virtual_node(**shared, virtualNodeName="mine"),
        lambda: guest.delete_virtual_node(**shared, virtualNodeName="mine"),
        lambda: guest.describe_mesh(**shared),
    ):
        with pytest.raises(guest.exceptions.ForbiddenException):
            refused()
    listed = [(each["meshName"], each["meshOwner"]) for each in guest.list_meshes()["meshes"]]
    assert (shared["meshName"], OWNER) not in listed
    owner.delete_virtual_node(meshName=shared["meshName"], virtualNodeName="mine")


def test_pages_go_through_own_and_shared_meshes_of_one_name(
    guest: Any, shared: dict[str, str]
) -> None:
    guest.create_mesh(meshName=shared["meshName"])
    pages = guest.get_paginator("list_meshes").paginate(PaginationConfig={"PageSize": 1})
    found = [(each["meshName"], each["meshOwner"]) for page in pages for each in page["meshes"]]
    assert found == sorted(found)
    assert len(set(found)) == len(found)
    assert {(shared["meshName"], OWNER), (shared["meshName"], GUEST)} <= set(found)
    guest.delete_mesh(meshName=shared["meshName"])


def test_shares_are_listed_and_kept_in_the_log(weft: Served, shared: dict[str, str]) -> None:
    path = f"/weft/v1/meshes/{shared['meshName']}/shares"
    before = weft.revision
    again = share(weft, shared["meshName"], GUEST)
    assert (again.status, weft.revision) == (200, before)
    listed = as_account(weft, OWNER, "GET", path)
    assert [each["account"] for each in listed.body["shares"]] == [GUEST]
    as_guest = as_account(weft, GUEST, "GET", path.replace("/shares", f"@{OWNER}/shares"))
    assert as_guest.body["shares"] == listed.body["shares"]
    change = weft.get(f"/weft/v1/changes/{before}").body
    assert change["entries"][0]["id"] == f"appmesh/shares//{shared['meshName']}@{OWNER}/{GUEST}"


def test_a_mesh_is_shared_by_its_owner_with_somebody_else(
    weft: Served, shared: dict[str, str]
) -> None:
    mesh = shared["meshName"]
    assert share(weft, f"{mesh}@{OWNER}", STRANGER, by=GUEST).status == 403
    assert share(weft, f"{mesh}@{OWNER}", STRANGER, by=STRANGER).status == 403
    assert share(weft, "nowhere", GUEST).status == 404
    for account in (OWNER, "x", 7, None):
        assert share(weft, mesh, account).body["problems"][0]["path"] == "account"  # type: ignore[arg-type]
    path = f"/weft/v1/meshes/{mesh}/shares/{STRANGER}"
    assert as_account(weft, OWNER, "DELETE", path).status == 404


def test_many_resources_can_be_applied_to_a_shared_mesh(
    weft: Served, guest: Any, shared: dict[str, str]
) -> None:
    node = {"kind": "virtualNode", "virtualNodeName": "applied", "spec": specs.node(), **shared}
    reply = as_account(weft, GUEST, "POST", "/weft/v1/apply", {"resources": [node]})
    assert reply.body["outcomes"][0]["action"] == "created"
    found = weft.get(f"/weft/v1/resources/{reply.body['outcomes'][0]['key']}").body
    assert (found["meshName"], found["meshOwner"]) == (shared["meshName"], OWNER)
    assert found["metadata"]["resourceOwner"] == GUEST
    again = as_account(weft, GUEST, "POST", "/weft/v1/apply", {"resources": [without(found)]})
    assert again.body["outcomes"][0]["action"] == "unchanged"
    mesh = {"kind": "mesh", **shared, "spec": {"egressFilter": {"type": "ALLOW_ALL"}}}
    refused = as_account(weft, GUEST, "POST", "/weft/v1/apply", {"resources": [mesh]})
    assert refused.status == 403


def without(found: dict[str, Any]) -> dict[str, Any]:
    """What only the answer about one resource has, taken out."""
    return {k: v for k, v in found.items() if k not in ("revision", "referrers", "instances")}
