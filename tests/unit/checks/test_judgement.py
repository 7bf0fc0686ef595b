"""Definitions before they are in force: why they would be refused, and what they bring."""

from __future__ import annotations

from typing import Any

from tests.builders import http_route, listener, state_from
from weft.checks.catalogue import CATALOGUE, check
from weft.checks.finding import Finding
from weft.checks.judgement import judged
from weft.checks.report import report
from weft.clock import SystemClock
from weft.names import DEFAULT_ACCOUNT, Key, Kind
from weft.store.change import Put
from weft.store.state import MeshState

STANDING = state_from(
    {
        "mesh": {"egressFilter": {"type": "DROP_ALL"}},
        "nodes": {"web": {"calls": ["lost.local"]}},
        "services": {"shop.local": {}},
    }
)


def put(kind: Kind, name: str, spec: Any, parent: str = "") -> Put:
    return Put(Key("shop", kind, name, parent), spec)


def node(name: str, **spec: Any) -> Put:
    found = {"dns": {"hostname": f"{name}.test"}}
    return put(
        Kind.VIRTUAL_NODE,
        name,
        {"listeners": [listener("80/http")], "serviceDiscovery": found, **spec},
    )


def brought(*steps: Put, on: MeshState | None = STANDING) -> list[Finding]:
    base = None if on is None else (on, check(on))
    return list(judged(steps, SystemClock(), DEFAULT_ACCOUNT, on=base))


def test_a_broken_definition_is_found_with_its_place() -> None:
    found = brought(node("shop", listeners=[{"portMapping": {"port": 0, "protocol": "http"}}]))
    (refusal,) = [each for each in found if each.code == "WEFT-001"]
    assert refusal.key == "mesh/shop/virtualNode/shop"
    assert refusal.path == "spec.listeners[0].portMapping.port"


def test_every_problem_of_every_definition_is_found() -> None:
    found = brought(node("a", listeners=[{}]), node("b", backends="none"))
    keys = {each.key.rpartition("/")[2] for each in found if each.code == "WEFT-001"}
    assert keys == {"a", "b"}


def test_what_a_definition_needs_and_nobody_defines_is_found() -> None:
    router = put(Kind.VIRTUAL_ROUTER, "r", {"listeners": [listener("80/http")]})
    route = put(Kind.ROUTE, "all", http_route("nobody:1"), "r")
    found = brought(router, route)
    (missing,) = [each for each in found if each.code == "WEFT-002"]
    assert "nobody" in missing.message
    fine = brought(router, route, node("nobody"))
    assert not {"WEFT-001", "WEFT-002"} & {each.code for each in fine}


def test_what_stands_already_is_not_said_again() -> None:
    codes = {each.code for each in brought(node("shop"))}
    assert "WEFT-101" not in codes, "web's lost backend has nothing to do with it"
    assert codes == {"WEFT-105"}


def test_what_a_definition_does_to_others_is_said() -> None:
    on = state_from(
        {
            "mesh": {"egressFilter": {"type": "DROP_ALL"}},
            "nodes": {"web": {"calls": ["shop.local"]}, "shop": {"listen": "80/http"}},
            "services": {"shop.local": "node shop"},
        }
    )
    found = brought(put(Kind.VIRTUAL_SERVICE, "shop.local", {}), on=on)
    assert {each.code for each in found} >= {"WEFT-102", "WEFT-105"}
    assert brought(put(Kind.VIRTUAL_NODE, "idle", {}), on=on) == []


def test_alone_means_that_what_stands_does_not_count() -> None:
    service = put(
        Kind.VIRTUAL_SERVICE, "s.local", {"provider": {"virtualNode": {"virtualNodeName": "web"}}}
    )
    assert "WEFT-002" not in {each.code for each in brought(service)}
    assert "WEFT-002" in {each.code for each in brought(service, on=None)}


def test_alone_needs_no_mesh_to_be_defined() -> None:
    found = brought(put(Kind.VIRTUAL_NODE, "web", {}), on=None)
    assert {each.code for each in found} == {"WEFT-701"}


def test_nothing_is_written() -> None:
    before = check(STANDING)
    brought(node("shop"))
    assert check(STANDING) == before


def test_a_report_counts_what_it_leaves_out() -> None:
    found = brought(node("shop"), put(Kind.VIRTUAL_NODE, "web", {"backends": []}))
    said = report(found, revision=1)
    assert said["counts"] == {"error": 0, "warning": 0, "info": 1}
    assert sum(said["clean"].values()) == len(CATALOGUE) - 1


def test_codes_are_unique_and_in_order() -> None:
    codes = [each.code for each in CATALOGUE]
    assert codes == sorted(set(codes))
    assert len(codes) > 50
    for each in CATALOGUE:
        assert each.title[-1] not in ".!"
        assert each.cause.endswith(".")
        assert each.fix.endswith(".")
