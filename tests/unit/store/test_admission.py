"""What may be written and what may not: the rules between resources, and what blocks a deletion."""

from typing import Any

import pytest

from weft.clock import ManualClock
from weft.errors import Conflict, InUse, Invalid, NotFound, TooManyTags, WeftError
from weft.names import DEFAULT_ACCOUNT, Key
from weft.store.admission import admit
from weft.store.change import Create, Delete, Step, Tag, Untag, Update
from weft.store.state import MeshState

MESH = Key.parse("mesh/m")


def vn(name: str) -> Key:
    return Key.parse(f"mesh/m/virtualNode/{name}")


def vs(name: str) -> Key:
    return Key.parse(f"mesh/m/virtualService/{name}")


def vr(name: str = "r") -> Key:
    return Key.parse(f"mesh/m/virtualRouter/{name}")


def route(name: str = "x") -> Key:
    return Key.parse(f"mesh/m/virtualRouter/r/route/{name}")


def listening(*ports: int, protocol: str = "http") -> dict[str, Any]:
    return {
        "listeners": [{"portMapping": {"port": port, "protocol": protocol}} for port in ports],
        "serviceDiscovery": {"dns": {"hostname": "a.local"}},
    }


def router(*ports: int, protocol: str = "http") -> dict[str, Any]:
    return {"listeners": [{"portMapping": {"port": port, "protocol": protocol}} for port in ports]}


def to(*targets: str, port: int | None = None, kind: str = "httpRoute") -> dict[str, Any]:
    match: dict[str, Any] = {"prefix": "/"} if kind != "tcpRoute" else {}
    if port:
        match["port"] = port
    weighted = [{"virtualNode": target, "weight": 1} for target in targets]
    return {kind: {"action": {"weightedTargets": weighted}, "match": match}}


BASE: list[Step] = [
    Create(MESH, {}),
    Create(vn("a"), listening(80)),
    Create(vn("b"), listening(80, 81)),
    Create(vn("t"), listening(90, protocol="tcp")),
    Create(vr(), router(80)),
    Create(route(), to("a")),
    Create(vs("a.local"), {"provider": {"virtualRouter": {"virtualRouterName": "r"}}}),
]


def after(*steps: Step, state: MeshState | None = None) -> MeshState:
    before = state or MeshState()
    return admit(before, steps, ManualClock(), DEFAULT_ACCOUNT).draft.freeze(before.revision + 1)


@pytest.fixture
def state() -> MeshState:
    return after(*BASE)


def refused(state: MeshState, *steps: Step) -> WeftError:
    with pytest.raises(WeftError) as caught:
        after(*steps, state=state)
    return caught.value


def places(error: WeftError) -> list[str]:
    assert isinstance(error, Invalid), error
    return [problem.path for problem in error.problems]


def test_the_order_of_the_steps_of_one_change_does_not_matter() -> None:
    assert {r.key for r in after(*reversed(BASE)).resources()} == {
        r.key for r in after(*BASE).resources()
    }


def test_a_taken_name_is_a_conflict(state: MeshState) -> None:
    assert isinstance(refused(state, Create(vn("a"), {})), Conflict)


def test_a_missing_mesh_is_named_even_for_a_route() -> None:
    error = refused(MeshState(), Create(route(), to("a")))

    assert isinstance(error, NotFound)
    assert error.message == "Mesh with name m is not present for account 000000000000"


def test_a_missing_virtual_node_is_not_found_in_app_meshs_words(state: MeshState) -> None:
    error = refused(state, Create(route("y"), to("ghost")))

    assert isinstance(error, NotFound)
    assert error.message == (
        "VirtualNode with name ghost is not present under mesh m for account 000000000000"
    )


def test_every_missing_thing_is_named_at_once(state: MeshState) -> None:
    error = refused(state, Create(route("y"), to("ghost", "spook")))

    assert "ghost" in error.message
    assert "spook" in error.message


def test_two_mistakes_are_reported_together(state: MeshState) -> None:
    spec = to("a")
    spec["httpRoute"]["action"]["weightedTargets"][0]["weight"] = 200
    spec["httpRoute"]["match"]["prefix"] = "x"

    assert places(refused(state, Create(route("y"), spec))) == [
        "spec.httpRoute.action.weightedTargets[0].weight",
        "spec.httpRoute.match.prefix",
    ]


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        (to("t"), "spec.httpRoute.action.weightedTargets[0].virtualNode"),
        (to("b"), "spec.httpRoute.action.weightedTargets[0].port"),
        (to("a", port=99), "spec.httpRoute.match.port"),
        (to("t", kind="tcpRoute"), "spec.tcpRoute"),
    ],
)
def test_a_route_must_fit_its_router_and_its_targets(
    state: MeshState, spec: dict[str, Any], place: str
) -> None:
    assert places(refused(state, Create(route("y"), spec))) == [place]


def test_a_router_with_two_listeners_needs_a_port_in_its_routes(state: MeshState) -> None:
    state = after(Create(vr("two"), router(80, 81)), state=state)
    error = refused(state, Create(Key.parse("mesh/m/virtualRouter/two/route/y"), to("a")))

    assert "Route must define a port match criteria" in error.message


def test_a_listener_stays_while_a_route_needs_it(state: MeshState) -> None:
    assert places(refused(state, Update(vr(), router(80, protocol="grpc")))) == ["spec.listeners"]
    assert places(refused(state, Update(vn("a"), listening(80, protocol="grpc")))) == [
        "spec.listeners"
    ]


def test_a_router_and_its_routes_may_change_their_protocol_together(state: MeshState) -> None:
    after(
        Update(vr(), router(80, protocol="http2")),
        Update(route(), to("a", kind="http2Route")),
        Update(vn("a"), listening(80, protocol="http2")),
        state=state,
    )


def test_a_backend_may_be_missing_but_a_provider_may_not(state: MeshState) -> None:
    backends = {"backends": [{"virtualService": {"virtualServiceName": "later.local"}}]}
    after(Create(vn("client"), backends), state=state)

    provider = {"provider": {"virtualNode": {"virtualNodeName": "ghost"}}}
    assert isinstance(refused(state, Create(vs("b.local"), provider)), NotFound)


def test_versions_count_up_and_a_deletion_counts_but_for_a_mesh(state: MeshState) -> None:
    state = after(Update(route(), to("a")), state=state)
    deleted = admit(state, [Delete(route())], ManualClock(), DEFAULT_ACCOUNT).outcomes[0].resource
    emptied = after(Create(Key.parse("mesh/e"), {}))
    mesh = admit(emptied, [Delete(Key.parse("mesh/e"))], ManualClock(), DEFAULT_ACCOUNT)

    assert deleted is not None
    assert deleted.metadata.version == 3
    assert mesh.outcomes[0].resource is not None
    assert mesh.outcomes[0].resource.metadata.version == 1


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (MESH, "it still has"),
        (vn("a"), "because it is the target of one or more routes."),
        (vr(), "it still has route x"),
    ],
)
def test_what_is_in_use_cannot_be_deleted(state: MeshState, key: Key, words: str) -> None:
    error = refused(state, Delete(key))

    assert isinstance(error, InUse)
    assert words in error.message


def test_a_provider_cannot_be_deleted(state: MeshState) -> None:
    state = after(Delete(route()), state=state)

    assert "because it is a VirtualService provider" in refused(state, Delete(vr())).message


def test_a_virtual_service_that_is_a_backend_may_go(state: MeshState) -> None:
    backends = {"backends": [{"virtualService": {"virtualServiceName": "a.local"}}]}
    state = after(Create(vn("client"), backends), state=state)

    after(Delete(vs("a.local")), state=state)


def test_a_whole_mesh_can_be_torn_down_in_one_change(state: MeshState) -> None:
    keys = [each.key for each in state.resources()]

    assert list(after(*(Delete(key) for key in keys), state=state).resources()) == []


def test_deleting_what_is_not_there_is_not_found(state: MeshState) -> None:
    assert isinstance(refused(state, Delete(vn("ghost"))), NotFound)


def test_tags_are_merged_removed_and_limited(state: MeshState) -> None:
    state = after(Tag(MESH, (("a", "1"), ("b", "2"))), state=state)
    state = after(Tag(MESH, (("a", "3"),)), Untag(MESH, ("b",)), state=state)
    mesh = state.resource(MESH)

    assert mesh is not None
    assert mesh.tags == (("a", "3"),)
    assert mesh.metadata.version == 1
    many = tuple((f"k{i}", "") for i in range(50))
    assert isinstance(refused(state, Tag(MESH, many)), TooManyTags)


def test_a_null_member_is_a_member_not_given(state: MeshState) -> None:
    state = after(Create(vn("n"), {"listeners": None, "backends": []}), state=state)
    node = state.resource(vn("n"))

    assert node is not None
    assert node.sent == {"backends": []}


@pytest.mark.parametrize("name", ["a/b", "", "a b", "x" * 256, "ä"])
def test_a_name_that_is_none_is_refused(state: MeshState, name: str) -> None:
    key = Key("m", vn("x").kind, name)

    assert places(refused(state, Create(key, {}))) == ["virtualNodeName"]
