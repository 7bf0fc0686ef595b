"""``get``, ``describe``, ``delete`` and ``status``: what is there, in words and in data."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import MESH, ControlPlane, proxy, resource, route

REFUSAL = {
    "type": "RDS",
    "words": "unknown cluster 'x'",
    "raw": "…",
    "resources": ["rds_egress_http_9080"],
    "revision": 7,
}


@pytest.mark.parametrize(
    "kind",
    ["vn", "VN", "vns", "virtual-node", "virtual-nodes", "virtualNode", "virtualnodes"],
)
def test_a_kind_may_be_spelt_as_people_do(weft: Weft, kind: str) -> None:
    assert "teller-red-vn" in weft("get", kind).out


def test_an_unknown_kind_names_the_nearest_and_all(weft: Weft) -> None:
    ran = weft("get", "rotes")
    assert ran.code == 2
    assert "did you mean routes?" in ran.err
    assert "virtual-gateways (vg)" in ran.err


def test_routes_show_their_match_in_words_and_their_targets_with_shares(weft: Weft) -> None:
    header, row = weft("get", "routes").lines
    assert header.split() == ["ROUTE", "ROUTER", "PROTOCOL", "MATCH", "TARGETS"]
    assert "prefix /" in row
    assert "teller-white-vn 1 (33.3 %), teller-blue-vn 1 (33.3 %)" in row


def test_a_narrow_terminal_stacks_targets_and_cuts_no_name(
    weft: Weft, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "a-virtual-node-with-a-name-that-is-longer-than-the-terminal-is-wide"
    plane.resources.append(route("r", "teller-vr", "/", **{long: 100}))
    monkeypatch.setenv("COLUMNS", "60")
    out = weft("get", "routes").out
    assert f"{long} 100 %" in out
    assert "teller-white-vn 1 (33.3 %)\n" in out


def test_every_format_holds_the_same_routes(weft: Weft) -> None:
    key = "mesh/shop/virtualRouter/teller-vr/route/teller-route"
    assert [r["key"] for r in json.loads(weft("get", "routes", "-o", "json").out)["resources"]] == [
        key
    ]
    assert [json.loads(line)["key"] for line in weft("get", "routes", "-o", "jsonl").lines] == [key]
    assert yaml.safe_load(weft("get", "routes", "-o", "yaml").out)["resources"][0]["key"] == key
    assert weft("get", "routes", "-o", "name").lines == [key]
    assert weft("get", "routes", "--no-headers").lines[0].startswith("teller-route")
    assert "VERSION" in weft("get", "routes", "-o", "wide").lines[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("route", "teller-route"),
        ("route", "teller-vr/teller-route"),
        ("route/teller-route",),
        ("route/teller-vr/teller-route",),
        ("mesh/shop/virtualRouter/teller-vr/route/teller-route",),
        (
            "arn:aws:appmesh:us-west-2:000000000000:"
            "mesh/shop/virtualRouter/teller-vr/route/teller-route",
        ),
    ],
)
def test_one_route_may_be_named_in_many_ways(weft: Weft, arguments: tuple[str, ...]) -> None:
    assert json.loads(weft("get", *arguments, "-o", "json").out)["routeName"] == "teller-route"
    assert "matches  prefix /" in weft("describe", *arguments).out


def test_a_name_that_two_routers_have_is_unclear(weft: Weft, plane: ControlPlane) -> None:
    plane.resources.append(route("teller-route", "other-vr", teller_red_vn=1))
    ran = weft("describe", "route", "teller-route")
    assert ran.code == 2
    assert "route/other-vr/teller-route" in ran.err


def test_a_name_that_is_not_there_is_3_with_the_nearest(weft: Weft) -> None:
    for verb in ("get", "describe"):
        ran = weft(verb, "vn", "teller-rde-vn")
        assert ran.code == 3
        assert "there is no virtual node 'teller-rde-vn' in mesh shop" in ran.err
        assert "did you mean teller-red-vn?" in ran.err


def test_an_empty_list_is_success_with_nothing_on_stdout(weft: Weft) -> None:
    ran = weft("get", "vg")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "no virtual gateways in mesh shop\n"


def test_describe_tells_who_uses_it_and_its_instances(weft: Weft, plane: ControlPlane) -> None:
    found = {
        **plane.resources[3],
        "referrers": ["mesh/shop/virtualRouter/teller-vr/route/teller-route"],
        "instances": [{"id": "red-1", "addresses": {"9080": "127.0.0.1:41234"}}],
    }
    plane.tell("GET", "/weft/v1/resources/mesh/shop/virtualNode/teller-red-vn", found)
    out = weft("describe", "vn/teller-red-vn").out
    assert "used by  route/teller-vr/teller-route" in out
    assert "red-1     9080 at 127.0.0.1:41234" in out


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"httpRoute": {"match": {"prefix": "/", "method": "GET"}}}, "GET prefix /"),
        ({"httpRoute": {"match": {"path": {"exact": "/a"}, "scheme": "https"}}}, "https path /a"),
        ({"httpRoute": {"match": {"path": {"regex": "/.*"}}}}, "path ~ /.*"),
        (
            {"http2Route": {"match": {"prefix": "/", "headers": [
                {"name": "canary", "match": {"exact": "1"}},
                {"name": "v", "invert": True, "match": {"prefix": "2"}},
                {"name": "n", "match": {"range": {"start": 1, "end": 5}}},
                {"name": "debug"},
                {"name": "bot", "invert": True},
            ]}}},
            "prefix / header canary = 1 header v not starts with 2 header n in 1..5 "
            "header debug present header bot absent",
        ),
        (
            {"httpRoute": {"match": {"prefix": "/", "queryParameters": [
                {"name": "q", "match": {"exact": "x"}}]}}},
            "prefix / query q = x",
        ),
        (
            {"grpcRoute": {"match": {"serviceName": "pkg.S", "methodName": "M"}}},
            "service pkg.S method M",
        ),
        ({"tcpRoute": {"match": {"port": 2701}}}, "port 2701"),
        ({"tcpRoute": {}}, "everything"),
    ],
)  # fmt: skip
def test_a_match_reads_as_words(
    weft: Weft, plane: ControlPlane, spec: dict[str, object], words: str
) -> None:
    plane.resources[:] = [plane.resources[0], resource("route", "r", spec, "vr")]
    assert words in weft("get", "routes").out


# --- proxies --------------------------------------------------------------------------------


def test_proxies_show_the_revision_of_each_type_and_who_is_late(
    weft: Weft, plane: ControlPlane
) -> None:
    late = proxy("g-2", state="waiting", acceptedRevision=6)
    late["types"][3]["accepted"]["revision"] = 6
    bad = proxy("g-3", state="rejected")
    bad["types"][3]["rejected"] = [REFUSAL]
    gone = proxy("g-4", state="disconnected", disconnectedAt="2026-01-01T00:00:00Z")
    proxies = [proxy("g-1"), late, bad, gone]
    plane.tell("GET", "/weft/v1/proxies", {"revision": 7, "proxies": proxies})
    lines = weft("get", "proxies").lines
    assert lines[0].split()[:4] == ["PROXY", "INSTANCE", "STATE", "REVISION"]
    assert "✓ accepted" in lines[1]
    assert lines[1].count("✓ 7") == 4
    assert "… waiting" in lines[2]
    assert "… 7" in lines[2]
    assert "✗ rejected" in lines[3]
    assert "left" in lines[4]
    assert lines[5] == "✗ gateway-vn g-3 RDS: unknown cluster 'x' (rds_egress_http_9080)"
    assert "1.40.0" in weft("get", "proxies", "-o", "wide").out
    assert weft("get", "proxies", "-o", "name").lines == ["g-1", "g-2", "g-3", "g-4"]


def test_glyphs_are_ascii_where_the_terminal_is(
    weft: Weft, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.tell("GET", "/weft/v1/proxies", {"revision": 7, "proxies": [proxy("g-1")]})
    monkeypatch.setattr("weft.cli.render._can_encode", lambda _: False)
    out = weft("get", "proxies").out
    assert "ok accepted" in out
    assert out.isascii()


def test_a_proxy_is_found_by_its_instance_or_its_node(weft: Weft, plane: ControlPlane) -> None:
    proxies = [proxy("g-1"), proxy("t-1", "teller-red-vn")]
    plane.tell("GET", "/weft/v1/proxies", {"revision": 7, "proxies": proxies})
    for name in ("t-1", "teller-red-vn", "mesh/shop/virtualNode/teller-red-vn"):
        (row,) = weft("get", "proxies", name, "--no-headers").lines
        assert row.startswith("teller-red-vn")
    ran = weft("describe", "proxy", "t-2")
    assert ran.code == 3
    assert "did you mean t-1?" in ran.err


def test_instances_of_every_virtual_node_are_listed(weft: Weft, plane: ControlPlane) -> None:
    for each in plane.resources:
        if each["kind"] == "virtualNode":
            name = each["virtualNodeName"]
            found = [{"id": f"{name}-1", "addresses": {"9080": "127.0.0.1:5"}, "leaseSeconds": 15}]
            plane.tell(
                "GET",
                f"/weft/v1/meshes/{MESH}/virtualNodes/{name}/instances",
                {"instances": found if "red" in name else []},
            )
    assert weft("get", "instances").lines[1].split() == [
        "teller-red-vn", "teller-red-vn-1", "9080", "at", "127.0.0.1:5", "15", "s",
    ]  # fmt: skip
    assert weft("get", "instances", "gateway-vn").code == 0
    assert weft("get", "instances", "gatway-vn").code == 3


# --- status ---------------------------------------------------------------------------------

STATUS = {
    "version": "1.0.0",
    "revision": 7,
    "processed": 7,
    "startedAt": "2026-01-01T00:00:00.000Z",
    "data": "/var/weft",
    "api": "127.0.0.1:7400",
    "xds": "127.0.0.1:7401",
    "account": "000000000000",
    "region": "us-west-2",
    "meshes": [{"name": "shop", "virtualNodes": 6, "virtualServices": 2, "routes": 1}],
    "proxies": {"connected": 2, "settled": 2, "waiting": 0, "rejected": 0},
    "failures": [],
}


def test_status_fits_on_one_screen(weft: Weft, plane: ControlPlane) -> None:
    plane.tell("GET", "/weft/v1/status", STATUS)
    out = weft("status").out
    assert "✓ 2/2 settled" in out
    assert "shop  2 services, 6 virtual nodes, 1 route" in out
    assert len(out.splitlines()) < 20
    assert json.loads(weft("status", "-o", "json").out) == STATUS


def test_status_says_what_was_rejected_and_what_failed(weft: Weft, plane: ControlPlane) -> None:
    bad = proxy("g-3", state="rejected")
    bad["types"][3]["rejected"] = [REFUSAL]
    plane.tell("GET", "/weft/v1/proxies", {"revision": 7, "proxies": [bad]})
    proxies = {"connected": 2, "settled": 1, "rejected": 1}
    failures = [{"proxy": "mesh/shop/virtualNode/a", "instance": "a-1", "reason": "no luck"}]
    plane.tell("GET", "/weft/v1/status", {**STATUS, "proxies": proxies, "failures": failures})
    ran = weft("status")
    assert "✗ 1/2 settled, 1 rejected" in ran.out
    assert "rejected by gateway-vn g-3 RDS: unknown cluster 'x'" in ran.out
    assert "mesh/shop/virtualNode/a: no luck" in ran.out


# --- delete -----------------------------------------------------------------------------------


def test_deleting_needs_yes_where_nobody_can_be_asked(weft: Weft, plane: ControlPlane) -> None:
    ran = weft("delete", "vn", "teller-black-vn")
    assert ran.code == 2
    assert "--yes" in ran.err
    assert all(request.method == "GET" for request in plane.requests)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("vn", "teller-black-vn"), "virtualNodes/teller-black-vn"),
        (("vs/echo.local",), "virtualServices/echo.local"),
        (("route", "teller-route"), "virtualRouter/teller-vr/routes/teller-route"),
        (("vr", "teller-vr"), "virtualRouters/teller-vr"),
        (("gwr", "vg/r"), "virtualGateway/vg/gatewayRoutes/r"),
    ],
)
def test_deleting_says_the_revision_and_how_to_undo_it(
    weft: Weft, plane: ControlPlane, arguments: tuple[str, ...], path: str
) -> None:
    plane.tell("DELETE", f"/v20190125/meshes/shop/{path}", {"revision": 9})
    ran = weft("delete", "-y", *arguments)
    assert ran.code == 0
    assert "undo: weft revert 9" in ran.out


def test_what_is_in_use_is_not_deleted(weft: Weft, plane: ControlPlane) -> None:
    path = "/v20190125/meshes/shop/virtualNodes/teller-red-vn"
    plane.refuse("DELETE", path, 409, "ResourceInUseException", "it is a target of a route")
    ran = weft("delete", "-y", "vn", "teller-red-vn")
    assert ran.code == 5
    assert "weft describe mesh/shop/virtualNode/teller-red-vn" in ran.err


def test_a_proxy_or_a_change_cannot_be_deleted(weft: Weft) -> None:
    ran = weft("delete", "-y", "changes", "3")
    assert ran.code == 2
    assert "weft revert REVISION" in ran.err
