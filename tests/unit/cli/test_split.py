"""``split``: from names as people shorten them to what the proxies really do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import MESH, ControlPlane, node, proxy, route, serving
from weft.cli.observing import observe
from weft.clock import ManualClock


def outcome(action: str = "updated", **more: Any) -> dict[str, Any]:
    return {"key": "k", "action": action, "differences": [], **more}


@pytest.fixture
def saved(plane: ControlPlane) -> ControlPlane:
    """A control plane that saves as revision 8 and has two proxies that accept it."""
    plane.tell("POST", "/weft/v1/apply", {"revision": 8, "outcomes": [outcome()]})
    plane.tell("GET", "/weft/v1/wait", {"revision": 8, "total": 2, "accepted": 2})
    return plane


def weights(plane: ControlPlane) -> dict[str, int]:
    (applied,) = plane.applied()
    (sent,) = applied["resources"]
    targets = sent["spec"]["httpRoute"]["action"]["weightedTargets"]
    return {target["virtualNode"]: target["weight"] for target in targets}


def test_a_target_is_switched_off_and_the_others_share_the_rest(
    weft: Weft, saved: ControlPlane
) -> None:
    ran = weft("split", "teller", "white=0")
    assert ran.code == 0
    assert weights(saved) == {"teller-white-vn": 0, "teller-blue-vn": 50, "teller-red-vn": 50}
    assert "saved as revision 8; undo: weft revert 8" in ran.out
    assert "delivered to 2/2 proxies in" in ran.out


def test_everything_else_of_the_route_stays_as_it_was(weft: Weft, saved: ControlPlane) -> None:
    weft("split", "teller.local", "white=8", "blue=2", "red=0")
    (applied,) = saved.applied()
    assert applied["note"] == "weft split teller.local white=8 blue=2 red=0"
    assert applied["resources"] == [
        {
            "kind": "route",
            "meshName": MESH,
            "virtualRouterName": "teller-vr",
            "routeName": "teller-route",
            "spec": {
                "priority": 3,
                "httpRoute": {
                    "match": {"prefix": "/"},
                    "action": {
                        "weightedTargets": [
                            {"virtualNode": "teller-white-vn", "weight": 8},
                            {"virtualNode": "teller-blue-vn", "weight": 2},
                            {"virtualNode": "teller-red-vn", "weight": 0},
                        ]
                    },
                },
            },
        }
    ]


def test_it_waits_for_the_revision_it_wrote_in_its_own_mesh(
    weft: Weft, saved: ControlPlane
) -> None:
    weft("split", "teller", "red=10", "--timeout", "1m")
    (waited,) = saved.asked("GET", "/weft/v1/wait")
    assert waited.query == {"revision": "8", "timeout": "60", "mesh": MESH}


def test_no_wait_returns_once_it_is_saved(weft: Weft, saved: ControlPlane) -> None:
    assert weft("split", "teller", "red=10", "--no-wait").code == 0
    assert not saved.asked("GET", "/weft/v1/wait")


def test_a_virtual_node_that_is_no_target_yet_joins(weft: Weft, saved: ControlPlane) -> None:
    weft("split", "teller", "black=10", "--no-wait")
    assert weights(saved) == {
        "teller-white-vn": 30,
        "teller-blue-vn": 30,
        "teller-red-vn": 30,
        "teller-black-vn": 10,
    }


def test_a_new_target_with_several_listeners_gets_the_port_the_others_have(
    weft: Weft, saved: ControlPlane
) -> None:
    two = node("teller-two-vn")
    admin = {"portMapping": {"port": 9000, "protocol": "http"}}
    two["spec"]["listeners"].append(admin)
    saved.resources.append(two)
    ran = weft("split", "teller", "two=10")
    assert ran.code == 2
    assert "at several ports: 9080, 9000" in ran.err
    for target in saved.resources[8]["spec"]["httpRoute"]["action"]["weightedTargets"]:
        target["port"] = 9080
    assert weft("split", "teller", "two=10", "--no-wait").code == 0
    (applied,) = saved.applied()
    joined = applied["resources"][0]["spec"]["httpRoute"]["action"]["weightedTargets"][-1]
    assert joined == {"virtualNode": "teller-two-vn", "port": 9080, "weight": 10}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("tellr", "red=1"), 3, "did you mean teller.local?"),
        (("local", "red=1"), 2, "'local' may be echo.local or teller.local"),
        (("teller", "rde=10"), 3, "did you mean teller-red-vn?"),
        (("teller", "blak=10"), 3, "did you mean teller-black-vn?"),
        (("teller", "teller=10"), 2, "may be teller-blue-vn or teller-red-vn or teller-white-vn"),
        (("teller", "echo=10"), 2, "echo-vn cannot be a target of teller-route: it has no"),
        (("teller", "gateway=1"), 2, "it calls teller.local itself"),
        (("teller", "red"), 2, "'red' sets no weight"),
        (("teller", "red=1.5"), 2, "'red=1.5' sets no weight"),
        (("teller", "red=101"), 2, "above 100"),
        (("teller", "red=10", "teller-red=20"), 2, "teller-red-vn is given twice"),
        (("teller", "red=60", "blue=50"), 2, "adds up to 110"),
        (("echo", "red=1"), 3, "all of it goes to virtual node echo-vn"),
    ],
)
def test_what_is_unclear_is_refused_before_anything_is_written(
    weft: Weft, saved: ControlPlane, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ran = weft("split", *arguments)
    assert ran.code == code
    assert says in ran.err
    assert "fix:" in ran.err
    assert not saved.applied()


def test_of_several_routes_one_must_be_named(weft: Weft, saved: ControlPlane) -> None:
    saved.resources.append(route("teller-canary", "teller-vr", "/canary", teller_blue_vn=1))
    ran = weft("split", "teller", "red=10")
    assert ran.code == 2
    assert "has 2 routes: teller-route, teller-canary" in ran.err
    assert weft("split", "teller", "red=10", "--route", "canary", "--no-wait").code == 0
    assert weights(saved) == {"teller-blue-vn": 90, "teller-red-vn": 10}


def test_a_proxy_that_rejects_it_is_a_failure_with_envoys_words(
    weft: Weft, saved: ControlPlane
) -> None:
    words = "revision 8 was refused: mesh/shop/virtualNode/gateway-vn (g-1) refused RDS: no good"
    saved.refuse("GET", "/weft/v1/wait", 409, "Rejected", words)
    ran = weft("split", "teller", "red=10")
    assert ran.code == 1
    assert "saved as revision 8" in ran.out
    assert f"error: {words}" in ran.err
    assert "weft revert 8" in ran.err


def test_proxies_that_are_late_end_it_with_7(weft: Weft, saved: ControlPlane) -> None:
    saved.refuse("GET", "/weft/v1/wait", 504, "TimedOut", "accepted by 1 of 2 proxies")
    ran = weft("split", "teller", "red=10")
    assert ran.code == 7
    assert "weft wait 8" in ran.err


def test_a_change_of_someone_else_that_it_wrote_over_is_said(
    weft: Weft, saved: ControlPlane
) -> None:
    differences = [
        {"path": "spec.httpRoute.action.weightedTargets[0].weight", "before": 1, "after": 0},
        {"path": "spec.httpRoute.match.prefix", "before": "/v2", "after": "/"},
    ]
    changed = outcome(differences=differences)
    saved.tell("POST", "/weft/v1/apply", {"revision": 8, "outcomes": [changed]})
    ran = weft("split", "teller", "white=0", "--no-wait")
    assert "warning: the route was changed by someone else meanwhile" in ran.err
    assert "spec.httpRoute.match.prefix" in ran.err


def test_the_same_weights_again_change_nothing(weft: Weft, saved: ControlPlane) -> None:
    unchanged = {"revision": 7, "outcomes": [outcome("unchanged")]}
    saved.tell("POST", "/weft/v1/apply", unchanged)
    assert "unchanged since revision 7" in weft("split", "teller", "red=10", "--no-wait").out


# --- observed -----------------------------------------------------------------------------


@pytest.fixture
def status_page() -> Iterator[ControlPlane]:
    """The status page of a sidecar, whose counters rise with every reading."""
    with serving(ControlPlane()) as page:
        readings = Counter[str]()

        def clusters(_: object) -> dict[str, Any]:
            for name, step in (("blue", 75), ("red", 25), ("white", 0)):
                readings[name] += step
            found = {
                f"cds_egress_{MESH}_teller-{name}-vn_http_9080": {"requests": count, "5xx": 0}
                for name, count in readings.items()
            }
            return {**found, "cds_egress_other_teller-blue-vn_http_9080": {"requests": 10**6}}

        page.tell("GET", "/clusters", clusters)
        yield page


def test_observed_shares_come_with_margin_and_basis(
    weft: Weft, saved: ControlPlane, status_page: ControlPlane
) -> None:
    address = status_page.endpoint.removeprefix("http://")
    proxies = [proxy("g-1", statusAddress=address), proxy("t-1", "teller-red-vn")]
    saved.tell("GET", "/weft/v1/proxies", {"revision": 8, "proxies": proxies})
    document = json.loads(weft("split", "teller", "white=0", "blue=75", "-o", "json").out)
    seen = {t["virtualNode"]: t["observed"] for t in document["routes"][0]["targets"]}
    assert [seen[f"teller-{name}-vn"]["percent"] for name in ("white", "blue", "red")] == [
        0,
        75,
        25,
    ]
    assert seen["teller-blue-vn"]["requests"] == 150
    assert 5 < seen["teller-blue-vn"]["margin"] < 7
    assert document["routes"][0]["observed"]["requests"] == 200
    assert document["delivered"] == {"accepted": 2, "total": 2}

    ran = weft("split", "teller")
    assert "75.0 % ±6.0" in ran.out
    assert "observed: 200 requests in" in ran.err
    assert "at 1 sending proxy" in ran.err


def test_without_traffic_it_says_so(
    weft: Weft, saved: ControlPlane, status_page: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weft.cli.observing.WINDOW", 0.01)
    still = {f"cds_egress_{MESH}_teller-red-vn_http_9080": {"requests": 5}}
    status_page.tell("GET", "/clusters", still)
    address = status_page.endpoint.removeprefix("http://")
    proxies = [proxy("g-1", statusAddress=address)]
    saved.tell("GET", "/weft/v1/proxies", {"revision": 8, "proxies": proxies})
    ran = weft("split", "teller")
    assert ran.code == 0
    assert "observed: no requests to these targets within" in ran.err


Reader = Callable[[str], dict[str, int] | None]


def test_only_connected_proxies_of_the_mesh_that_send_there_are_counted() -> None:
    clock = ManualClock()
    asked: Counter[str] = Counter()

    def read(address: str) -> dict[str, int] | None:
        asked[address] += 1
        if address == "silent":
            return None
        target = "echo-vn_tcp_2701" if address == "elsewhere" else "red-vn_http_9080"
        return {f"cds_egress_{MESH}_{target}": 1000 * asked[address]}

    seen = observe(
        [
            proxy("a", statusAddress="sends"),
            proxy("b", statusAddress="silent"),
            proxy("c", statusAddress="elsewhere"),
            proxy("d", statusAddress="left", state="disconnected"),
            proxy("e", statusAddress="foreign", proxy="mesh/other/virtualNode/x"),
            proxy("f"),
        ],
        MESH,
        ["red-vn"],
        clock,
        read=read,
        pause=lambda _: None,
    )
    assert asked == {"sends": 2, "silent": 1, "elsewhere": 1}
    assert (seen.requests, seen.proxies, seen.silent) == (1000, 1, ("silent",))
