"""Why a request from outside goes where it goes: the gateway route, the rewrite, then the service's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import http_route, state_from, to, view_of
from weft.errors import BadRequest
from weft.names import IngressPort, Mode, Ports
from weft.resolve.explained import Explanation, Passage, Setting
from weft.resolve.matching import Request
from weft.resolve.why import why

FRONT = "mesh/shop/virtualGateway/front"
KEPT = {"hostname": {"defaultTargetHostname": "DISABLED"}}


def leads(service: str, prefix: str | None = None, **more: Any) -> dict[str, Any]:
    name, _, port = service.partition("@")
    target: dict[str, Any] = {"virtualService": {"virtualServiceName": name}}
    if port:
        target["port"] = int(port)
    priority = {"priority": more.pop("priority")} if "priority" in more else {}
    rewrite = {"rewrite": more.pop("rewrite")} if "rewrite" in more else {}
    match = {**({"prefix": prefix} if prefix else {}), **more}
    return {"httpRoute": {"match": match, "action": {"target": target, **rewrite}}, **priority}


MESH: dict[str, Any] = {
    "gateways": {
        "front": {
            "listen": ["8080/http", "8081/http"],
            "routes": {
                "color": leads("color.local", "/color", port=8080),
                "kept": leads("color.local", "/kept", port=8080, rewrite=KEPT),
                "admin": leads("color.local", "/admin/", port=8080, rewrite={"prefix": {"value": "/a/"}}),
                "host": leads("two.local@81", hostname={"exact": "two.example"}, port=8080),
                "nobody": leads("nobody.local", "/nobody", port=8080, priority=3),
            },
        }
    },
    "nodes": {"white": {"listen": "9080/http"}, "blue": {"listen": "9080/http"}},
    "services": {"color.local": "router color", "two.local": "router two", "nobody.local": {}},
    "routers": {
        "color": {
            "listen": "9080/http",
            "routes": {
                "tell": http_route("white:3", "blue:1", prefix="/tell"),
                "a": http_route("blue:1", prefix="/a", timeout={"perRequest": {"unit": "s", "value": 20}}),
            },
        },
        "two": {
            "listen": ["80/http", "81/http"],
            "routes": {"r": {"httpRoute": {"match": {"port": 81}, "action": to("white:1")}}},
        },
    },
}  # fmt: skip


def asked(path: str, host: str = "front.example", port: int = 8080) -> Explanation:
    state = state_from(MESH)
    return why(state, "shop", host, Request(path=path), port=port, view=view_of(FRONT))


def passage(found: Explanation) -> Passage:
    assert found.passage is not None
    return found.passage


def test_the_gateway_route_its_rewrite_and_the_services_route_are_named() -> None:
    found = asked("/color/tell?x=1")
    assert found.summary == (
        "gateway route color leads to color.local: route tell matches: white 75 %, blue 25 %"
    )
    assert (found.service, found.route, found.port) == ("color.local", "tell", 9080)
    assert [each.virtual_node for each in found.targets] == ["white", "blue"]
    through = passage(found)
    assert (through.route, through.host, through.path) == ("color", "color.local", "/tell?x=1")
    assert through.request_timeout == Setting("20s", default=False)
    assert found.arrival is not None
    assert found.arrival.listener == "lds_ingress_0.0.0.0_8080"


def test_every_gateway_route_says_why_it_is_not_taken() -> None:
    reasons = {each.route: each.because for each in passage(asked("/color/tell")).candidates}
    assert reasons == {
        "nobody": "the path /color/tell does not start with /nobody",
        "host": "authority 'front.example' does not match (?i)two\\.example(:[0-9]+)?",
        "admin": "the path /color/tell does not start with /admin/",
        "color": "it matches, and is the first that does",
        "kept": "the path /color/tell does not start with /kept",
    }


def test_what_no_route_takes_ends_at_either_hop() -> None:
    found = asked("/other")
    assert (found.status, found.route, found.service) == (404, None, None)
    assert found.summary == "no gateway route matches: the caller gets 404"
    found = asked("/color")
    assert (found.status, passage(found).path) == (404, "/")
    assert found.summary == (
        "gateway route color leads to color.local: no route matches: the caller gets 404"
    )
    found = asked("/nobody")
    assert found.status == 404
    assert "virtual service 'nobody.local' has no provider" in found.summary


def test_a_kept_host_and_a_services_port_are_told() -> None:
    found = asked("/kept/tell", "color.local")
    assert (found.route, passage(found).host_kept, passage(found).host) == ("tell", True, "color.local")  # fmt: skip
    assert [each.route for each in found.candidates] == ["tell", "a", "no-route"]
    found = asked("/any", "TWO.example:8080")
    assert (found.service, found.port, found.route) == ("two.local", 81, "r")
    assert passage(found).host == "two.local:81"
    assert passage(asked("/admin/x")).path == "/a/x"


def test_of_several_listeners_one_must_be_named() -> None:
    with pytest.raises(BadRequest, match="several ports") as refused:
        why(state_from(MESH), "shop", "front", view=view_of(FRONT))
    assert "8080, 8081" in (refused.value.fix or "")
    with pytest.raises(BadRequest, match="does not listen at port 80"):
        asked("/", port=80)
    assert asked("/color", port=8081).status == 404


def test_the_sockets_of_explicit_mode_make_no_difference() -> None:
    ports = Ports((IngressPort(8080, 20001, 0), IngressPort(8081, 20002, 0)), 20003)
    view = view_of(FRONT, Mode.EXPLICIT, ports)
    found = why(state_from(MESH), "shop", "x", Request(path="/color/tell"), port=8080, view=view)
    assert (passage(found).route, found.route) == ("color", "tell")


def test_whether_a_client_speaks_tls_is_part_of_the_way() -> None:
    def at(mode: str | None, scheme: str) -> Explanation:
        file = {"certificateChain": "/c.pem", "privateKey": "/k.pem"}
        tls = {"tls": {"mode": mode, "certificate": {"file": file}}} if mode else {}
        listener = {"portMapping": {"port": 8080, "protocol": "http"}, **tls}
        front = {"listeners": [listener], "routes": {"all": leads("white.local", "/")}}
        mesh = {**MESH, "gateways": {"front": front}, "services": {**MESH["services"], "white.local": "node white"}}  # fmt: skip
        return why(state_from(mesh), "shop", "x", Request(scheme=scheme), view=view_of(FRONT))

    assert "port 8080 takes TLS alone" in at("STRICT", "http").summary
    assert "port 8080 takes no TLS" in at(None, "https").summary
    for mode, scheme in (("STRICT", "https"), ("PERMISSIVE", "https"), ("PERMISSIVE", "http"), (None, "http")):  # fmt: skip
        assert at(mode, scheme).route == "white"
