"""What a resolution is given and what it reads."""

from __future__ import annotations

import pytest

from tests.builders import http_route, resource, state_from, view_of
from weft.errors import NotFound
from weft.names import Key, Kind, Mode, Ports
from weft.resolve.proxy import proxy, resolve
from weft.resolve.reading import Parts, Reading, instances_of
from weft.store.state import Draft

MESH = {
    "nodes": {
        "web": {"calls": ["a.local"]},
        "a": {"listen": "80/http"},
        "b": {"listen": "80/http"},
    },
    "services": {"a.local": "router a", "b.local": "node b"},
    "routers": {"a": {"listen": "80/http", "routes": {"root": http_route("a:1")}}},
}
ROUTE = Key("shop", Kind.ROUTE, "root", "a")


def test_a_proxy_that_stands_for_nothing_is_not_found() -> None:
    with pytest.raises(NotFound, match="mesh/shop/virtualNode/nobody does not exist"):
        resolve(state_from(MESH), view_of("nobody"))


def test_a_change_elsewhere_concerns_no_view() -> None:
    parts = Parts()
    Reading(state_from(MESH), parts).part(proxy, view_of("web"))
    elsewhere = {
        Key("shop", Kind.VIRTUAL_NODE, "b"),
        Key("shop", Kind.VIRTUAL_SERVICE, "b.local"),
        instances_of(Key("shop", Kind.VIRTUAL_NODE, "b")),
        instances_of(Key("shop", Kind.VIRTUAL_NODE, "web")),
    }
    assert parts.drop(elsewhere) == []


def test_a_changed_route_leaves_listeners_as_they_were() -> None:
    before, parts = state_from(MESH), Parts()
    view = view_of("web")
    first = Reading(before, parts).part(proxy, view)

    draft = Draft(before)
    draft.put(resource(ROUTE, http_route("a:1", "b:1")))
    assert (proxy, (view,)) in parts.drop([ROUTE])
    second = Reading(draft.freeze(2), parts).part(proxy, view)

    assert second.route_configurations != first.route_configurations
    assert all(a is b for a, b in zip(first.listeners, second.listeners, strict=True))


def test_views_share_all_but_their_sockets() -> None:
    state, parts = state_from(MESH), Parts()
    one, other = (
        Reading(state, parts).part(proxy, view_of("web", Mode.EXPLICIT, Ports(egress=port)))
        for port in (20001, 20002)
    )
    assert one.listeners != other.listeners
    assert one.route_configurations[0] is other.route_configurations[0]
    shared = [a.name for a in one.clusters if any(a is b for b in other.clusters)]
    assert shared == ["cds_egress_shop_a_http_80", "cds_egress_shop_amazonaws"]
