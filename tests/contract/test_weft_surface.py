"""Weft's own surface over HTTP: what docs/weft-api.md promises."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.contract import specs
from tests.contract.served import Reply, Served, served
from weft.api.weft.apply import MAX_BODY_BYTES
from weft.names import Mode, ProxyId
from weft.xds.status import ProxyStatus, Refusal, Settled, State, Waiting
from weft.xds.wire import Variant

DOCS = Path(__file__).parents[2] / "docs" / "weft-api.md"
APPLY = "/weft/v1/apply"


def refused(reply: Reply, status: int, code: str) -> str:
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (status, code), reply.body
    assert reply.body["code"] == code
    assert {"message", "problems", "fix"} <= set(reply.body)
    return str(reply.body["message"])


def problems(reply: Reply) -> dict[str, str]:
    refused(reply, 400, "BadRequestException")
    return {each["path"]: each["message"] for each in reply.body["problems"]}


def shop(mesh: str, **weights: int) -> list[dict[str, Any]]:
    """A small mesh, children before their parents."""
    place = {"meshName": mesh}
    return [
        {
            "kind": "route",
            **place,
            "virtualRouterName": "r",
            "routeName": "all",
            "spec": specs.http_route(weights or {"a": 1}),
        },
        {
            "kind": "virtualService",
            **place,
            "virtualServiceName": "shop.test",
            "spec": {"provider": {"virtualRouter": {"virtualRouterName": "r"}}},
        },
        {"kind": "virtualRouter", **place, "virtualRouterName": "r", "spec": {}},
        *(
            {"kind": "virtualNode", **place, "virtualNodeName": name, "spec": specs.node()}
            for name in weights or {"a": 1}
        ),
        {"kind": "mesh", **place},
    ]


def apply(weft: Served, resources: Any, **more: Any) -> Reply:
    return weft.request("POST", APPLY, {"resources": resources, **more})


def actions(reply: Reply) -> dict[str, str]:
    assert reply.status == 200, reply.body
    return {each["key"]: each["action"] for each in reply.body["outcomes"]}


# --- apply -------------------------------------------------------------------------------


def test_many_resources_are_one_revision_whatever_their_order(weft: Served) -> None:
    before = weft.revision
    reply = apply(weft, shop("applied"), note="first")
    assert actions(reply) == {
        "mesh/applied/virtualRouter/r/route/all": "created",
        "mesh/applied/virtualService/shop.test": "created",
        "mesh/applied/virtualRouter/r": "created",
        "mesh/applied/virtualNode/a": "created",
        "mesh/applied": "created",
    }
    assert reply.body["revision"] == weft.revision == before + 1
    assert reply.headers["x-weft-revision"] == str(before + 1)
    change = weft.get(f"/weft/v1/changes/{before + 1}").body
    assert (change["note"], len(change["entries"])) == ("first", 5)


def test_equal_resources_are_left_alone(weft: Served) -> None:
    apply(weft, shop("twice"))
    before = weft.revision
    reply = apply(weft, shop("twice"))
    assert set(actions(reply).values()) == {"unchanged"}
    assert reply.body["revision"] == weft.revision == before


def test_a_difference_is_told_with_its_place(weft: Served) -> None:
    apply(weft, shop("split", a=50, b=50))
    changed = shop("split", a=20, b=80)
    route = "mesh/split/virtualRouter/r/route/all"
    place = "spec.httpRoute.action.weightedTargets"
    expected = [
        {"path": f"{place}[0].weight", "before": 50, "after": 20},
        {"path": f"{place}[1].weight", "before": 50, "after": 80},
    ]
    before = weft.revision

    dry = apply(weft, changed, dryRun=True)
    assert (dry.body["dryRun"], dry.body["revision"], weft.revision) == (True, before, before)
    assert "x-weft-revision" not in dry.headers
    for reply in (dry, apply(weft, changed)):
        (outcome,) = [e for e in reply.body["outcomes"] if e["action"] != "unchanged"]
        assert outcome == {"key": route, "action": "updated", "differences": expected}


def test_differences_are_a_revisions_own_while_others_write(weft: Served) -> None:
    apply(weft, shop("busy", a=50, b=50))

    def write(weight: int) -> tuple[int, Any]:
        body = apply(weft, shop("busy", a=weight, b=50)).body
        return body["revision"], [e for e in body["outcomes"] if e["action"] != "unchanged"]

    with ThreadPoolExecutor(8) as threads:
        written = list(threads.map(write, range(1, 25)))
    for revision, outcomes in written:
        (outcome,) = outcomes
        (entry,) = weft.get(f"/weft/v1/changes/{revision}").body["entries"]
        assert outcome["differences"] == entry["differences"]


def test_what_was_read_can_be_applied_again(weft: Served) -> None:
    apply(weft, shop("echo"))
    read = weft.get("/weft/v1/resources?mesh=echo").body["resources"]
    assert set(actions(apply(weft, read)).values()) == {"unchanged"}


def test_every_problem_of_every_item_is_told_at_its_place(weft: Served) -> None:
    before = weft.revision
    resources = shop("broken", a=150)
    resources[1]["virtualServiceNam"] = resources[1].pop("virtualServiceName")
    resources[2]["kind"] = "virtualRoutr"
    resources[3]["spec"]["listeners"][0]["portMapping"]["port"] = 0
    reply = apply(weft, [*resources, 7, {"spec": {}}], dryrun=True)
    assert problems(reply) == {
        "dryrun": "unknown member (did you mean 'dryRun'?)",
        "resources[0].spec.httpRoute.action.weightedTargets[0].weight": (
            "must be at most 100, not 150"
        ),
        "resources[1].virtualServiceNam": ("unknown member (did you mean 'virtualServiceName'?)"),
        "resources[1].virtualServiceName": "is missing",
        "resources[2].kind": (
            "must be one of mesh, virtualNode, virtualService, virtualRouter, route, "
            "virtualGateway, gatewayRoute (did you mean 'virtualRouter'?)"
        ),
        "resources[3].spec.listeners[0].portMapping.port": "must be at least 1, not 0",
        "resources[5]": "must be an object",
        "resources[6].kind": "is missing",
    }
    assert weft.revision == before


def test_rules_between_resources_are_told_at_their_items(weft: Served) -> None:
    resources = shop("rules")
    resources[0]["spec"]["httpRoute"]["action"]["weightedTargets"][0]["port"] = 1
    resources[3]["spec"]["serviceDiscovery"] = {}
    assert set(problems(apply(weft, resources))) == {"resources[3].spec.serviceDiscovery"}
    resources[3]["spec"]["serviceDiscovery"] = {"dns": {"hostname": "a.test"}}
    resources[1]["spec"]["provider"]["virtualRouter"]["virtualRouterName"] = "nobody"
    found = problems(apply(weft, resources))
    assert set(found) == {
        "resources[0].spec.httpRoute.action.weightedTargets[0].port",
        "resources[1]",
    }
    assert "VirtualRouter with name nobody is not present" in found["resources[1]"]


def test_a_name_that_is_refused_is_told_at_its_item(weft: Served) -> None:
    names = ("m", "m x", "m/y")
    reply = apply(weft, [{"kind": "mesh", "meshName": name} for name in names])
    assert list(problems(reply)) == ["resources[1].meshName", "resources[2].meshName"]


def test_one_item_alone_is_told_its_place_too(weft: Served) -> None:
    item = {"kind": "mesh", "meshName": "one", "spec": {"egressFilter": {"type": "SOME"}}}
    assert set(problems(apply(weft, [item]))) == {"resources[0].spec.egressFilter.type"}


def test_the_same_resource_twice_is_refused(weft: Served) -> None:
    mesh = {"kind": "mesh", "meshName": "double"}
    reply = apply(weft, [mesh, mesh])
    assert problems(reply) == {"resources[1]": "is the same resource as resources[0], mesh/double"}


def test_tags_are_left_alone_unless_given(weft: Served) -> None:
    tags = [{"key": "a", "value": "b"}]
    apply(weft, [{"kind": "mesh", "meshName": "tags", "tags": tags}])
    assert set(actions(apply(weft, [{"kind": "Mesh", "meshName": "tags"}])).values()) == {
        "unchanged"
    }
    assert weft.get("/weft/v1/resources/mesh/tags").body["tags"] == tags
    apply(weft, [{"kind": "mesh", "meshName": "tags", "tags": None}])
    assert weft.get("/weft/v1/resources/mesh/tags").body["tags"] == tags
    apply(weft, [{"kind": "mesh", "meshName": "tags", "tags": []}])
    assert weft.get("/weft/v1/resources/mesh/tags").body["tags"] == []


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "resources"),
        ({"resources": {}}, "resources"),
        ({"resources": [], "dryRun": "yes"}, "dryRun"),
        ({"resources": [], "note": 1}, "note"),
        ({"resources": [{"kind": 1}]}, "resources[0].kind"),
        (
            {"resources": [{"kind": "mesh", "meshName": "m", "meshOwner": 1}]},
            "resources[0].meshOwner",
        ),
    ],
)
def test_an_apply_has_a_list_of_resources(weft: Served, body: Any, place: str) -> None:
    assert set(problems(weft.request("POST", APPLY, body))) == {place}


def test_nothing_to_apply_changes_nothing(weft: Served) -> None:
    reply = apply(weft, [])
    assert reply.body == {"revision": weft.revision, "dryRun": False, "outcomes": []}


def test_a_whole_large_mesh_can_be_applied_at_once(weft: Served) -> None:
    nodes = [
        {
            "kind": "virtualNode",
            "meshName": "large",
            "virtualNodeName": f"n{i}",
            "spec": specs.node(),
        }
        for i in range(300)
    ]
    padding = {"note": "x", "resources": [*nodes, {"kind": "mesh", "meshName": "large"}]}
    body = json.dumps(padding).encode().ljust(MAX_BODY_BYTES)
    assert len(actions(weft.request("POST", APPLY, body))) == 301
    assert len(weft.get("/weft/v1/resources?mesh=large").body["resources"]) == 301
    refusal = weft.request("POST", APPLY, body + b" ")
    assert "larger than 16777216 bytes" in refused(refusal, 400, "BadRequestException")


# --- resources ---------------------------------------------------------------------------


def test_resources_are_listed_by_kind_and_name(weft: Served) -> None:
    apply(weft, shop("listed", b=1, a=1))
    reply = weft.get("/weft/v1/resources?mesh=listed")
    assert reply.body["revision"] == weft.revision
    assert [each["key"] for each in reply.body["resources"]] == [
        "mesh/listed",
        "mesh/listed/virtualNode/a",
        "mesh/listed/virtualNode/b",
        "mesh/listed/virtualService/shop.test",
        "mesh/listed/virtualRouter/r",
        "mesh/listed/virtualRouter/r/route/all",
    ]
    some = weft.get("/weft/v1/resources?mesh=listed&kind=virtualNode").body["resources"]
    assert [each["virtualNodeName"] for each in some] == ["a", "b"]


def test_one_resource_tells_who_names_it_and_who_is_there(weft: Served) -> None:
    apply(weft, shop("one"))
    path = "/weft/v1/meshes/one/virtualNodes/a/instances/i-1"
    weft.put(path, {"addresses": {"9080": "127.0.0.1:41234"}, "leaseSeconds": 60})
    found = weft.get("/weft/v1/resources/mesh/one/virtualNode/a").body
    assert found["referrers"] == ["mesh/one/virtualRouter/r/route/all"]
    assert found["instances"] == [
        {"id": "i-1", "addresses": {"9080": "127.0.0.1:41234"}, "leaseSeconds": 60}
    ]
    assert found["kind"] == "virtualNode"
    assert found["spec"] == specs.node()
    assert found == weft.get("/weft/v1/resources/mesh%2Fone%2FvirtualNode%2Fa").body


def test_resources_can_be_read_as_they_were(weft: Served) -> None:
    then = apply(weft, shop("past", a=50, b=50)).body["revision"]
    apply(weft, shop("past", a=10, b=90))
    key = "/weft/v1/resources/mesh/past/virtualRouter/r/route/all"
    assert weft.get(f"{key}?revision={then}").body["spec"] == specs.http_route({"a": 50, "b": 50})
    assert weft.get(key).body["spec"] == specs.http_route({"a": 10, "b": 90})
    at_then = weft.get(f"/weft/v1/resources?mesh=past&revision={then}").body
    assert (at_then["revision"], len(at_then["resources"])) == (then, 6)
    late = weft.get(f"{key}?revision={weft.revision + 1}")
    assert "there is no revision" in refused(late, 404, "NotFoundException")
    early = weft.get("/weft/v1/resources?mesh=past&revision=0")
    refused(early, 404, "NotFoundException")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/weft/v1/resources?kind=node", "kind"),
        ("/weft/v1/resources?knd=mesh", "knd"),
        ("/weft/v1/resources?revision=new", "revision"),
        ("/weft/v1/changes?limit=0", "limit"),
        ("/weft/v1/changes?all=maybe", "all"),
        ("/weft/v1/changes/newest", "revision"),
        ("/weft/v1/wait?timeout=soon", "timeout"),
        ("/weft/v1/wait?timeout=-1", "timeout"),
        ("/weft/v1/wait?timeout=nan", "timeout"),
        ("/weft/v1/wait?revision=-1", "revision"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(weft: Served, path: str, place: str) -> None:
    assert set(problems(weft.get(path))) == {place}


def test_what_is_not_there_is_not_found(weft: Served) -> None:
    for path in (
        "/weft/v1/resources/mesh/nowhere",
        "/weft/v1/resources?mesh=nowhere",
        "/weft/v1/proxies?mesh=nowhere",
        "/weft/v1/proxies/nobody",
        "/weft/v1/changes/999999",
        "/weft/v1/wait?revision=999999",
        "/weft/v1/meshes/nowhere/virtualNodes/n/instances",
    ):
        refused(weft.get(path), 404, "NotFoundException")
    refused(weft.get("/weft/v1/resources/nonsense"), 400, "BadRequestException")
    refused(weft.get("/weft/v1/nothing"), 404, "UnknownOperationException")


# --- changes -----------------------------------------------------------------------------


def test_changes_come_newest_first_and_in_pages(weft: Served) -> None:
    for weight in (1, 2, 3):
        apply(weft, shop("log", a=weight), note=f"weight {weight}")
    first = weft.get("/weft/v1/changes?limit=2").body
    assert [each["note"] for each in first["changes"]] == ["weight 3", "weight 2"]
    assert first["next"] == first["changes"][-1]["revision"]
    second = weft.get(f"/weft/v1/changes?limit=1&before={first['next']}").body
    assert second["changes"][0]["note"] == "weight 1"
    (entry,) = first["changes"][0]["entries"]
    assert entry == {
        "id": "mesh/log/virtualRouter/r/route/all",
        "action": "updated",
        "differences": [
            {
                "path": "spec.httpRoute.action.weightedTargets[0].weight",
                "before": 2,
                "after": 3,
            }
        ],
    }
    at = datetime.fromisoformat(first["changes"][0]["at"])
    assert weft.parts.clock.now() - at < timedelta(minutes=5)
    one = weft.get(f"/weft/v1/changes/{weft.revision}").body["entries"][0]
    assert one["before"]["spec"] == specs.http_route({"a": 2})
    assert one["after"]["spec"] == specs.http_route({"a": 3})


def test_the_registrys_own_changes_are_shown_when_asked_for(weft: Served) -> None:
    apply(weft, shop("registry"))
    node = "/weft/v1/meshes/registry/virtualNodes/a/instances/i"
    weft.put(node, {"addresses": {"9080": "127.0.0.1:1"}})
    assert weft.get("/weft/v1/changes?limit=1&all=true").body["changes"][0]["revision"] == (
        weft.revision
    )
    assert weft.get("/weft/v1/changes?limit=1").body["changes"][0]["revision"] < weft.revision


def test_a_change_can_be_undone_unless_a_later_one_is_in_the_way(weft: Served) -> None:
    apply(weft, shop("undo", a=50, b=50))
    second = apply(weft, shop("undo", a=10, b=90)).body["revision"]
    reply = weft.request("POST", f"/weft/v1/changes/{second}/revert")
    route = "mesh/undo/virtualRouter/r/route/all"
    assert reply.body == {
        "revision": second + 1,
        "outcomes": [{"key": route, "action": "updated"}],
    }
    assert reply.headers["x-weft-revision"] == str(second + 1)
    spec = weft.get(f"/weft/v1/resources/{route}").body["spec"]
    assert spec == specs.http_route({"a": 50, "b": 50})
    again = weft.request("POST", f"/weft/v1/changes/{second}/revert")
    assert f"changed again in revision {second + 1}" in refused(again, 409, "ConflictException")


# --- instances ---------------------------------------------------------------------------


def test_an_instance_registers_lives_and_leaves(weft: Served) -> None:
    apply(weft, shop("life"))
    node = "/weft/v1/meshes/life/virtualNodes/a/instances"
    body = {"addresses": {"9080": "127.0.0.1:41234"}}
    made = weft.put(f"{node}/i-1", body)
    assert made.headers["x-weft-revision"] == str(made.body["revision"]) == str(weft.revision)
    before = weft.revision
    assert weft.put(f"{node}/i-1", body).body["revision"] == before
    beat = weft.request("POST", f"{node}/i-1/heartbeat")
    assert (beat.status, beat.body, weft.revision) == (204, None, before)
    assert weft.get(node).body["instances"] == [{"id": "i-1", **body, "leaseSeconds": 15}]

    assert weft.request("DELETE", f"{node}/i-1").body == {"revision": before + 1}
    refused(weft.request("POST", f"{node}/i-1/heartbeat"), 404, "NotFoundException")
    refused(weft.request("DELETE", f"{node}/i-1"), 404, "NotFoundException")
    assert weft.get(node).body["instances"] == []


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, {"addresses"}),
        ({"addresses": []}, {"addresses"}),
        ({"addresses": {"9081": "127.0.0.1:1"}}, {"addresses.9081"}),
        ({"addresses": {"http": "127.0.0.1:1", "0": "x:1"}}, {"addresses.http", "addresses.0"}),
        ({"addresses": {"9080": "127.0.0.1"}}, {"addresses.9080"}),
        ({"addresses": {"9080": 7}}, {"addresses.9080"}),
        ({"addresses": {}, "leaseSeconds": 0}, {"leaseSeconds"}),
        ({"addresses": {}, "leaseSeconds": True}, {"leaseSeconds"}),
        ({"addresses": {}, "lease": 5}, {"lease"}),
    ],
)
def test_an_instance_says_where_it_is_reached(weft: Served, body: Any, places: set[str]) -> None:
    apply(weft, shop("reach"))
    reply = weft.put("/weft/v1/meshes/reach/virtualNodes/a/instances/i", body)
    assert set(problems(reply)) == places


def test_only_virtual_nodes_have_instances(weft: Served) -> None:
    body = {"addresses": {"9080": "127.0.0.1:1"}}
    reply = weft.put("/weft/v1/meshes/nowhere/virtualNodes/a/instances/i", body)
    refused(reply, 404, "NotFoundException")


# --- proxies -----------------------------------------------------------------------------

WEB = ProxyId.parse("mesh/shop/virtualNode/web")
NACK = Refusal(WEB, "web-1", "CDS", "cluster x: bad", "raw", ("x",), 7)


def proxy(instance: str, state: State, failure: str | None = None) -> ProxyStatus:
    return ProxyStatus(
        proxy=WEB,
        instance=instance,
        mode=Mode.EXPLICIT,
        state=state,
        connected_since=datetime(2026, 1, 1, tzinfo=UTC),
        disconnected_at=None,
        peer="127.0.0.1:5",
        envoy_version="1.40.0",
        status_address="",
        protocol=Variant.DELTA,
        accepted_revision=7,
        failure=failure,
        failed_revision=8 if failure else None,
        types=(),
    )


@pytest.fixture
def proxies(weft: Served, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def connect(*found: ProxyStatus) -> None:
        monkeypatch.setattr(weft.parts.delivery, "proxies", lambda: found)

    return connect


def test_proxies_are_listed_and_found_by_instance(
    weft: Served, proxies: Callable[..., None]
) -> None:
    first, second = proxy("web-1", State.ACCEPTED), proxy("web-2", State.REJECTED)
    proxies(first, second)
    reply = weft.get("/weft/v1/proxies")
    assert reply.body == {
        "revision": weft.revision,
        "proxies": [first.to_json(), second.to_json()],
    }
    assert weft.get("/weft/v1/proxies/web-2").body == second.to_json()
    assert weft.get("/weft/v1/proxies?proxy=mesh/a/virtualNode/b").body["proxies"] == []
    proxies(first, first)
    refused(weft.get("/weft/v1/proxies/web-1"), 400, "BadRequestException")


def test_status_tells_where_everything_stands(weft: Served, proxies: Callable[..., None]) -> None:
    apply(weft, shop("counted", a=1, b=1))
    weft.put(
        "/weft/v1/meshes/counted/virtualNodes/a/instances/i", {"addresses": {"9080": "127.0.0.1:1"}}
    )
    proxies(
        proxy("1", State.ACCEPTED),
        proxy("2", State.REJECTED, failure="KeyError: x"),
        proxy("3", State.WAITING),
        proxy("4", State.DISCONNECTED),
    )
    status = weft.get("/weft/v1/status").body
    assert status["revision"] == weft.revision
    assert status["api"] == f"127.0.0.1:{weft.port}"
    (mesh,) = [each for each in status["meshes"] if each["name"] == "counted"]
    assert mesh == {
        "name": "counted",
        "virtualNodes": 2,
        "virtualServices": 1,
        "virtualRouters": 1,
        "routes": 1,
        "virtualGateways": 0,
        "gatewayRoutes": 0,
        "instances": 1,
        "policies": 0,
        "egress": {"type": "DROP_ALL", "amazonaws": True},
    }
    assert status["proxies"] == {"connected": 3, "settled": 1, "waiting": 1, "rejected": 1}
    (failure,) = status["failures"]
    assert failure == {
        "proxy": "mesh/shop/virtualNode/web",
        "instance": "2",
        "reason": "KeyError: x",
        "revision": 8,
    }


# --- waiting -----------------------------------------------------------------------------


def test_waiting_ends_once_the_revision_is_settled(weft: Served) -> None:
    before = weft.revision
    apply(weft, shop("settle"))
    assert weft.revision == before + 1
    waiting = threading.Thread(target=lambda: found.append(weft.get("/weft/v1/wait?timeout=60")))
    found: list[Reply] = []
    waiting.start()
    weft.loop.call_soon_threadsafe(weft.parts.delivery.processed, weft.revision)
    waiting.join(30)
    assert found[0].status == 200
    assert found[0].body["revision"] == weft.revision
    assert (found[0].body["total"], found[0].body["accepted"]) == (0, 0)


def test_waiting_too_long_says_for_whom(weft: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(weft, [{"kind": "mesh", "meshName": "slow"}])
    apply(weft, [{"kind": "mesh", "meshName": "slower"}])
    message = refused(weft.get("/weft/v1/wait?timeout=0"), 504, "TimedOut")
    assert "was not yet made into configurations after 0 s" in message

    late = Waiting(WEB, "web-1", 6, "has not answered CDS yet")
    _answers(weft, monkeypatch, Settled(7, True, 2, 1, (late,), ()))
    reply = weft.get("/weft/v1/wait?timeout=0.5")
    assert refused(reply, 504, "TimedOut") == (
        "revision 7 was accepted by 1 of 2 proxies after 0.5 s; waiting for "
        "mesh/shop/virtualNode/web (web-1) has not answered CDS yet"
    )
    assert reply.body["waiting"] == [late.to_json()]


def test_a_refusal_is_told_in_envoys_words(weft: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    _answers(weft, monkeypatch, Settled(7, True, 1, 0, (), (NACK,)))
    reply = weft.get("/weft/v1/wait")
    assert refused(reply, 409, "Rejected") == (
        "revision 7 was refused: mesh/shop/virtualNode/web (web-1) refused CDS: cluster x: bad"
    )
    assert reply.body["rejected"] == [NACK.to_json()]


def test_a_wait_ends_when_its_client_has_left(weft: Served) -> None:
    apply(weft, [{"kind": "mesh", "meshName": "left"}])
    apply(weft, [{"kind": "mesh", "meshName": "left-behind"}])
    waiters = weft.parts.delivery._waiters
    with socket.create_connection(("127.0.0.1", weft.port), 30) as connection:
        connection.sendall(b"GET /weft/v1/wait?timeout=600 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _until(lambda: len(waiters) == 1)
    _until(lambda: not waiters)


def test_a_wait_ends_when_the_server_stops(tmp_path: Path) -> None:
    with served(tmp_path) as weft:
        apply(weft, [{"kind": "mesh", "meshName": "m"}])
        connection = http.client.HTTPConnection("127.0.0.1", weft.port, timeout=30)
        connection.request("GET", "/weft/v1/wait?timeout=600")
        _until(lambda: len(weft.parts.delivery._waiters) == 1)
    response = connection.getresponse()
    assert (response.status, b"is stopping" in response.read()) == (503, True)
    connection.close()


def _answers(weft: Served, monkeypatch: pytest.MonkeyPatch, settled: Settled) -> None:
    async def wait_settled(*_: object) -> Settled:
        return settled

    monkeypatch.setattr(weft.parts.delivery, "wait_settled", wait_settled)


def _until(true: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if true():
            return
        pause.wait(0.01)
    raise AssertionError("did not come true within 30 s")


# --- why ---------------------------------------------------------------------------------


def test_why_tells_the_route_and_the_values_in_force(weft: Served) -> None:
    resources = shop("why", a=80, b=20)
    resources[2]["spec"] = {"listeners": [{"portMapping": {"port": 80, "protocol": "http"}}]}
    apply(weft, resources)
    found = weft.get("/weft/v1/why?mesh=why&service=shop.test&path=/cart&header=x-a:%201").body
    assert (found["revision"], found["mesh"]) == (weft.revision, "why")
    assert (found["service"], found["port"], found["route"]) == ("shop.test", 80, "all")
    assert [(each["virtualNode"], each["percent"]) for each in found["targets"]] == [
        ("a", 80.0),
        ("b", 20.0),
    ]
    assert found["requestTimeout"] == {"value": "15s", "default": True}
    assert found["notes"] == []
    by_node = weft.get("/weft/v1/why?mesh=why&service=shop.test&from=a").body
    assert "does not have shop.test among its backends" in by_node["notes"][0]
    by_id = weft.get("/weft/v1/why?mesh=why&service=shop.test&from=mesh/why/virtualNode/a").body
    assert by_id == by_node
    outside = weft.get("/weft/v1/why?mesh=why&host=example.com:443&from=a&mode=explicit").body
    assert outside["service"] is None
    assert outside["outside"].startswith("denied")
    assert outside["arrival"]["mode"] == "explicit"


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("", {"mesh", "service"}),
        ("mesh=m&service=s&path=x&header=x&scheme=ftp", {"path", "header[0]", "scheme"}),
        ("mesh=m&service=s&port=0", {"port"}),
        ("mesh=m&service=s&from=mesh/x/virtualNode/a", {"from"}),
        ("mesh=m&service=s&from=a/b", {"from"}),
        ("mesh=m&host=h", {"host"}),
        ("mesh=m&host=h&from=a&mode=x&via=y&address=z", {"mode", "via", "address"}),
    ],
)
def test_why_says_what_it_cannot_be_asked(weft: Served, query: str, places: set[str]) -> None:
    assert set(problems(weft.get(f"/weft/v1/why?{query}"))) == places


def test_why_knows_only_what_is_there(weft: Served) -> None:
    apply(weft, shop("why-not"))
    for query in ("mesh=nowhere&service=s", "mesh=why-not&service=s"):
        refused(weft.get(f"/weft/v1/why?{query}"), 404, "NotFoundException")
    query = "mesh=why-not&service=shop.test&from=nobody"
    refused(weft.get(f"/weft/v1/why?{query}"), 404, "NotFoundException")
