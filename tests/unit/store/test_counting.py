"""Quotas, counted on what a change leads to."""

from __future__ import annotations

from typing import Any

import pytest

from weft.clock import ManualClock
from weft.errors import Invalid, LimitExceeded
from weft.names import DEFAULT_ACCOUNT, Key
from weft.quotas import Quotas
from weft.store.admission import admit
from weft.store.change import Create, Delete, Step, Update
from weft.store.state import MeshState

MESH = Key.parse("mesh/m")
LISTENING = {
    "listeners": [{"portMapping": {"port": 80, "protocol": "http"}}],
    "serviceDiscovery": {"dns": {"hostname": "a.test"}},
}


def router(name: str) -> Key:
    return Key.parse(f"mesh/m/virtualRouter/{name}")


def node(name: str) -> Key:
    return Key.parse(f"mesh/m/virtualNode/{name}")


def route(name: str) -> Key:
    return Key.parse(f"mesh/m/virtualRouter/r/route/{name}")


def to(*nodes: str) -> dict[str, Any]:
    targets = [{"virtualNode": name, "weight": 1} for name in nodes]
    return {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}}


def calling(*services: str) -> dict[str, Any]:
    return {"backends": [{"virtualService": {"virtualServiceName": name}} for name in services]}


def after(state: MeshState, *steps: Step, **quotas: int) -> MeshState:
    named = {name.replace("_", "-"): limit for name, limit in quotas.items()}
    admitted = admit(state, steps, ManualClock(), DEFAULT_ACCOUNT, quotas=Quotas(named))
    return admitted.draft.freeze(state.revision + 1)


def refused(state: MeshState, *steps: Step, **quotas: int) -> str:
    with pytest.raises(LimitExceeded) as caught:
        after(state, *steps, **quotas)
    assert "--quota" in (caught.value.fix or "")
    return caught.value.message


BASE = after(
    MeshState(),
    Create(MESH, {}),
    Create(node("a"), LISTENING),
    Create(node("b"), LISTENING),
    Create(router("r"), {}),
    Create(route("x"), to("a")),
)


@pytest.mark.parametrize(
    ("step", "quota", "words"),
    [
        (
            Create(Key.parse("mesh/n"), {}),
            {"meshes": 1},
            "account 000000000000 would have 2 meshes",
        ),
        (Create(node("c"), {}), {"virtual_nodes": 2}, "mesh m would have 3 virtual nodes"),
        (Create(router("q"), {}), {"virtual_routers": 1}, "mesh m would have 2 virtual routers"),
        (Create(route("y"), to("a")), {"routes": 1}, "virtualRouter r would have 2 routes"),
        (
            Update(node("b"), calling("x", "y")),
            {"backends": 1},
            "virtualNode b would have 2 backends",
        ),
        (
            Update(route("x"), to("a", "b")),
            {"weighted_targets": 1},
            "route x would have 2 weighted targets",
        ),
    ],
)
def test_one_more_than_the_quota_is_refused(step: Step, quota: dict[str, int], words: str) -> None:
    (limit,) = quota.values()
    message = refused(BASE, step, **quota)
    assert words in message
    assert message.endswith(f"the quota is {limit}")
    after(BASE, step, **dict.fromkeys(quota, limit + 1))


def test_a_change_of_many_names_those_there_is_no_room_for() -> None:
    steps = [Create(node(f"n{i}"), {}) for i in range(4)]

    message = refused(BASE, *steps, virtual_nodes=4)

    assert "virtualNode n2" in message
    assert "virtualNode n3" in message
    assert "virtualNode n1" not in message


def test_what_goes_in_the_same_change_makes_room() -> None:
    state = after(BASE, Create(node("c"), {}), Delete(node("b")), virtual_nodes=2)
    assert state.count(MESH, node("a").kind) == 2


def test_what_was_there_before_the_quota_can_be_changed_and_deleted() -> None:
    assert after(BASE, Delete(node("b")), virtual_nodes=0).resource(node("b")) is None
    after(BASE, Update(node("a"), LISTENING), virtual_nodes=0)
    over = after(BASE, Create(node("c"), calling("x", "y", "z")))
    after(over, Update(node("c"), calling("x", "y")), backends=1)
    refused(over, Update(node("c"), calling("w", "x", "y", "z")), backends=1)


def test_what_is_wrong_in_itself_is_said_before_a_quota() -> None:
    with pytest.raises(Invalid, match="unknown member"):
        after(BASE, Create(node("c"), {"x": 1}), virtual_nodes=2)


def test_another_accounts_meshes_are_counted_apart() -> None:
    after(BASE, Create(Key.of_mesh("m@123456789012"), {}), meshes=1)
