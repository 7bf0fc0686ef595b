"""Whose is what: the rules of a shared mesh, and which mesh an Envoy means."""

from __future__ import annotations

from typing import Any

import pytest

from weft.clock import ManualClock
from weft.errors import Forbidden, Invalid, NotFound
from weft.model.policy import POLICIES
from weft.names import Key, View
from weft.pipeline import snapshot_for, unserved
from weft.store.admission import admit
from weft.store.change import Create, Delete, Keep, Put, Step, Tag, Update
from weft.store.ownership import (
    SHARES,
    proxy_named,
    resource_owner,
    share_name,
    shares,
    visible_meshes,
)
from weft.store.state import MeshState

HOME, OWNER, GUEST, STRANGER = "000000000000", "1" * 12, "2" * 12, "3" * 12
MESH = Key.of_mesh(f"m@{OWNER}")
LISTENING = {
    "listeners": [{"portMapping": {"port": 80, "protocol": "http"}}],
    "serviceDiscovery": {"dns": {"hostname": "a.test"}},
}
TO_OWNERS: dict[str, Any] = {
    "httpRoute": {
        "match": {"prefix": "/"},
        "action": {"weightedTargets": [{"virtualNode": "owners", "weight": 1}]},
    }
}
GATEWAY = {"listeners": [{"portMapping": {"port": 80, "protocol": "http"}}]}


def key(text: str) -> Key:
    return Key.parse(f"mesh/m@{OWNER}/{text}")


def after(state: MeshState, caller: str | None, *steps: Step) -> MeshState:
    admitted = admit(state, steps, ManualClock(), HOME, caller=caller)
    return admitted.draft.freeze(state.revision + 1)


def forbidden(state: MeshState, caller: str, *steps: Step) -> str:
    with pytest.raises(Forbidden) as caught:
        after(state, caller, *steps)
    return caught.value.message


@pytest.fixture
def state() -> MeshState:
    """A mesh of OWNER's that GUEST shares, with something of each in it."""
    state = after(
        MeshState(),
        OWNER,
        Create(MESH, {}),
        Create(key("virtualNode/owners"), LISTENING),
        Create(key("virtualRouter/owners"), {}),
        Keep(SHARES, share_name(MESH.mesh, GUEST), {"at": 0}),
    )
    return after(
        state,
        GUEST,
        Create(key("virtualNode/guests"), LISTENING),
        Create(key("virtualRouter/guests"), {}),
        Create(key("virtualRouter/guests/route/x"), TO_OWNERS),
    )


def test_a_resource_belongs_to_whom_created_it(state: MeshState) -> None:
    owners = {
        resource.key.name: resource_owner(resource, HOME)
        for resource in state.resources()
        if resource.key.parent is not None
    }
    assert owners == {"owners": OWNER, "guests": GUEST, "x": GUEST}


def test_a_guest_changes_and_deletes_only_what_it_created(state: MeshState) -> None:
    after(state, GUEST, Update(key("virtualNode/guests"), {}), Tag(key("virtualRouter/guests"), ()))
    after(state, GUEST, Delete(key("virtualRouter/guests/route/x")))
    for step in (
        Update(key("virtualNode/owners"), {}),
        Delete(key("virtualRouter/owners")),
        Tag(key("virtualNode/owners"), (("a", "b"),)),
        Update(MESH, {}),
        Delete(MESH),
        Put(key("virtualNode/owners"), {}),
    ):
        assert f"belongs to account {OWNER}" in forbidden(state, GUEST, step)


def test_the_owner_deletes_anything_and_changes_only_its_own(state: MeshState) -> None:
    after(state, OWNER, Delete(key("virtualNode/guests")))
    message = forbidden(state, OWNER, Update(key("virtualNode/guests"), {}))
    assert message == (
        f"VirtualNode with name guests belongs to account {GUEST}; account {OWNER} cannot change it"
    )


def test_a_route_is_created_by_the_owner_of_its_router(state: MeshState) -> None:
    for caller, router in ((GUEST, "owners"), (OWNER, "guests")):
        step = Create(key(f"virtualRouter/{router}/route/y"), TO_OWNERS)
        assert "belongs to account" in forbidden(state, caller, step)


def test_gateways_are_the_owners_alone(state: MeshState) -> None:
    gateway, step = key("virtualGateway/g"), Create(key("virtualGateway/g"), GATEWAY)
    assert f"only account {OWNER}" in forbidden(state, GUEST, step)
    state = after(state, OWNER, step)
    forbidden(state, GUEST, Delete(gateway))


def test_who_does_not_share_a_mesh_learns_nothing_of_it(state: MeshState) -> None:
    said = {
        forbidden(state, STRANGER, step).replace("nowhere", "m")
        for step in (
            Create(key("virtualNode/owners"), {}),
            Create(key("virtualNode/new"), {}),
            Update(key("virtualNode/none"), {}),
            Put(key("virtualNode/owners"), LISTENING),
            Delete(Key.of_mesh(f"nowhere@{OWNER}")),
        )
    }
    assert said == {f"account {STRANGER} has no access to mesh m of account {OWNER}"}


def test_only_the_owner_shares_a_mesh_and_only_one_that_is_there(state: MeshState) -> None:
    forbidden(state, GUEST, Keep(SHARES, share_name(MESH.mesh, STRANGER), {"at": 0}))
    with pytest.raises(NotFound):
        after(state, OWNER, Keep(SHARES, share_name(f"n@{OWNER}", GUEST), {"at": 0}))


def test_a_mesh_of_the_same_name_made_anew_is_shared_with_nobody(state: MeshState) -> None:
    everything = [each.key for each in state.resources()]
    state = after(state, None, *(Delete(each) for each in everything))
    state = after(state, OWNER, Create(MESH, {}))
    assert list(shares(state, MESH.mesh)) == []


def test_two_accounts_have_meshes_of_one_name(state: MeshState) -> None:
    state = after(state, GUEST, Create(Key.of_mesh(f"m@{GUEST}"), {}))
    state = after(state, HOME, Create(Key.of_mesh("m"), {}))
    assert visible_meshes(state, GUEST, HOME) == [MESH.mesh, f"m@{GUEST}"]
    assert visible_meshes(state, HOME, HOME) == ["m"]
    assert visible_meshes(state, STRANGER, HOME) == []


def test_once_no_longer_shared_a_guests_proxies_get_nothing_more(state: MeshState) -> None:
    view = View(proxy_named(state, f"mesh/m@{OWNER}/virtualNode/guests", HOME))
    assert unserved(state, view) is None
    assert snapshot_for(state, view)

    state = after(state, OWNER, Keep(SHARES, share_name(MESH.mesh, GUEST), None))
    assert f"not shared any more with account {GUEST}" in (unserved(state, view) or "")
    with pytest.raises(NotFound, match="not shared any more"):
        snapshot_for(state, view)
    forbidden(state, GUEST, Delete(key("virtualNode/guests")))
    after(state, OWNER, Delete(key("virtualRouter/guests/route/x")))


def test_an_envoy_says_whose_mesh_it_means(state: MeshState) -> None:
    state = after(
        state, HOME, Create(Key.of_mesh("m"), {}), Create(Key.parse("mesh/m/virtualNode/n"), {})
    )

    def named(text: str) -> str:
        return str(proxy_named(state, text, HOME))

    shared = f"mesh/m@{OWNER}/virtualNode/guests"
    assert named("mesh/m/virtualNode/n") == "mesh/m/virtualNode/n"
    assert named(f"mesh/m@{HOME}/virtualNode/n") == "mesh/m/virtualNode/n"
    assert named(shared) == shared
    # An ARN has the account of the resource, which need not own the mesh.
    assert named(f"arn:aws:appmesh:r:{GUEST}:mesh/m/virtualNode/guests") == shared
    assert named(f"arn:aws:appmesh:r:{HOME}:mesh/m/virtualNode/n") == "mesh/m/virtualNode/n"
    # Where none is said, it is the account of whoever opens the stream.
    theirs = proxy_named(state, "mesh/m/virtualNode/guests", HOME, OWNER)
    assert str(theirs) == shared
    assert named(f"mesh/m@{STRANGER}/virtualNode/n") == f"mesh/m@{STRANGER}/virtualNode/n"


def test_while_all_meshes_are_of_one_account_the_account_does_not_matter() -> None:
    state = after(MeshState(), HOME, Create(Key.of_mesh("m"), {}))
    for text in (
        f"mesh/m@{OWNER}/virtualNode/n",
        f"arn:aws:appmesh:us-west-2:{OWNER}:mesh/m/virtualNode/n",
    ):
        assert str(proxy_named(state, text, HOME)) == "mesh/m/virtualNode/n"


def test_a_reverted_deletion_gives_a_resource_back_to_whom_it_belonged(state: MeshState) -> None:
    name = key("virtualNode/guests")
    state = after(state, GUEST, Delete(name))
    state = after(state, None, Put(name, LISTENING, (), owner=GUEST))
    found = state.resource(name)
    assert found is not None
    assert resource_owner(found, HOME) == GUEST


# --- policies ---------------------------------------------------------------------------------

OPEN = {"egressFilter": {"type": "ALLOW_ALL"}}


def policy(about: Key, document: dict[str, Any] | None = OPEN) -> Keep:
    return Keep(POLICIES, str(about), document)


def test_a_guest_sets_policies_of_its_own_resources_alone(state: MeshState) -> None:
    set_ = after(state, GUEST, policy(key("virtualNode/guests")))
    assert set_.document(POLICIES, str(key("virtualNode/guests"))) == OPEN
    assert "belongs to account" in forbidden(state, GUEST, policy(key("virtualNode/owners")))
    assert "belongs to account" in forbidden(state, GUEST, policy(MESH, {"reroute": True}))
    assert "belongs to account" in forbidden(state, GUEST, policy(key("virtualNode/later")))
    assert "has no access" in forbidden(state, STRANGER, policy(key("virtualNode/guests")))


def test_the_owner_of_a_mesh_sets_policies_of_everything_in_it(state: MeshState) -> None:
    for about in (key("virtualNode/guests"), key("virtualNode/later")):
        assert after(state, OWNER, policy(about)).document(POLICIES, str(about)) == OPEN
    assert after(state, OWNER, policy(MESH, {"reroute": True}))


def test_what_is_no_policy_is_not_kept_whoever_writes_it(state: MeshState) -> None:
    with pytest.raises(Invalid, match="unknown member"):
        after(state, None, policy(MESH, {"rerouting": True}))
    with pytest.raises(Invalid, match="has no policy"):
        after(state, None, policy(key("virtualGateway/g"), {"reroute": True}))
