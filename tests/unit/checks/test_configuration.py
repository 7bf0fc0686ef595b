"""Each check of a mesh finds what it is for, and nothing in a mesh that is mended."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.builders import http_route, resources, state_from, to
from tests.unit.checks.cases import (
    CASES,
    HEALTH,
    TRUST,
    TWO_MESHES,
    by_cloud_map,
    served,
    shop,
    with_tls,
)
from weft.checks.catalogue import OF_MESHES, check
from weft.checks.finding import Severity
from weft.store.state import Draft, MeshState


def codes(state: MeshState) -> set[str]:
    return {each.code for each in check(state)}


def test_every_check_is_tried() -> None:
    assert {*CASES, *TWO_MESHES} == {each.code for each in OF_MESHES}


@pytest.mark.parametrize("code", CASES)
def test_a_check_finds_what_it_is_for(code: str) -> None:
    found = [each for each in check(state_from(CASES[code][0])) if each.code == code]
    assert found
    assert all(each.key.startswith("mesh/shop") for each in found)
    assert all(each.message and each.cause and each.fix for each in found)


@pytest.mark.parametrize("code", CASES)
def test_a_check_finds_nothing_where_nothing_is(code: str) -> None:
    assert code not in codes(state_from(CASES[code][1]))


def test_a_plain_mesh_has_no_findings() -> None:
    assert check(state_from(shop())) == ()


def test_two_meshes_with_one_cluster_name_are_told_apart_by_hyphens() -> None:
    def both(one: str, other: str) -> set[str]:
        draft = Draft(MeshState())
        for mesh, node in ((one, "c"), (other, "b_c")):
            for each in resources({"nodes": {node: {"listen": "80/http"}}}, mesh):
                draft.put(each)
        return codes(draft.freeze(1))

    assert "WEFT-610" in both("a_b", "a")
    assert "WEFT-610" not in both("a-b", "a")


def test_findings_are_the_worst_first_and_say_where() -> None:
    said = shop(services={}, node=served({"healthCheck": HEALTH}))
    found = check(state_from(said))
    ranks = [list(Severity).index(each.severity) for each in found]
    assert ranks == sorted(ranks)
    assert (found[0].code, found[0].key, found[0].path) == (
        "WEFT-101",
        "mesh/shop/virtualNode/web",
        "spec.backends[0].virtualService",
    )


def test_one_mesh_can_be_checked_alone() -> None:
    state = state_from(shop(services={}))
    assert check(state, mesh="shop") == check(state)
    assert check(state, mesh="other") == ()


def test_a_client_policy_for_other_ports_does_not_enforce_tls() -> None:
    elsewhere = with_tls(None, {"validation": TRUST, "ports": [1]})
    assert "WEFT-501" not in codes(state_from(elsewhere))


def test_the_policy_of_a_backend_goes_before_the_defaults() -> None:
    said = with_tls(None, {"validation": TRUST})
    lenient = {"tls": {"enforce": False, "validation": TRUST}}
    del said["nodes"]["web"]["calls"]
    said["nodes"]["web"]["backends"] = [
        {"virtualService": {"virtualServiceName": "shop.local", "clientPolicy": lenient}}
    ]
    assert "WEFT-501" not in codes(state_from(said))


def test_a_known_namespace_of_cloud_map_is_no_finding() -> None:
    draft = Draft(state_from(shop(node=by_cloud_map("apps"))))
    draft.keep("cloudmap/namespaces", "ns-1", {"name": "apps"})
    assert "WEFT-609" not in codes(draft.freeze(2))


@contextmanager
def collecting_as_the_server_does() -> Iterator[None]:
    """What other tests left behind is not looked through on the way."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def test_a_mesh_of_5000_services_is_checked_in_two_seconds() -> None:
    count = 5000
    state = state_from(
        {
            "nodes": {
                f"n{i}": {
                    "listen": "9080/http",
                    "calls": [f"s{(i + j) % count}.local" for j in range(1, 6)],
                }
                for i in range(count)
            },
            "routers": {
                f"r{i}": {"listen": "80/http", "routes": {"all": http_route(f"n{i}:100")}}
                for i in range(count)
            },
            "services": {f"s{i}.local": f"router r{i}" for i in range(count)},
        }
    )
    with collecting_as_the_server_does():
        began = time.process_time()
        found = check(state)
        assert time.process_time() - began < 2
    assert {each.code for each in found} == {"WEFT-701"}


def test_a_router_of_many_routes_costs_no_square() -> None:
    routes = {
        f"r{i}": {
            "httpRoute": {
                "match": {"prefix": "/", "headers": [{"name": "x", "match": {"exact": str(i)}}]},
                "action": to("shop:1"),
            }
        }
        for i in range(3000)
    }
    state = state_from(shop(routes=routes))
    with collecting_as_the_server_does():
        began = time.process_time()
        check(state)
        assert time.process_time() - began < 2
