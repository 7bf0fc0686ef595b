"""What runs on this machine: the commands say what they were told to those who do the work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import ControlPlane
from weft.errors import NotFound, Unreachable

Stand = Callable[..., None]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Put a module with these members in the place of another."""

    def put(name: str, **members: Any) -> None:
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)

    return put


def test_serve_reads_flags_before_variables_before_defaults(
    weft: Weft, stand_in: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    stand_in("weft.server", run=lambda settings: seen.append(settings) or 0)
    monkeypatch.setenv("WEFT_API", "127.0.0.1:1")
    monkeypatch.setenv("WEFT_XDS", "127.0.0.1:2")
    assert weft("serve", "--api", "127.0.0.1:3").code == 0
    assert (str(seen[0].api), str(seen[0].xds)) == ("127.0.0.1:3", "127.0.0.1:2")
    assert seen[0].region == "us-west-2"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--api", "nonsense"),
        ("--account", "12"),
        ("--log-level", "loud"),
    ],
)
def test_a_setting_that_makes_no_sense_names_the_flag(
    weft: Weft, arguments: tuple[str, str]
) -> None:
    ran = weft("serve", *arguments)
    assert ran.code == 1
    assert f"error: {arguments[0]} is {arguments[1]!r}" in ran.err
    assert "fix:" in ran.err


def test_up_and_demo_pass_on_what_they_were_told(weft: Weft, stand_in: Stand) -> None:
    seen: list[Any] = []

    def run(options: Any) -> int:
        seen.append(options)
        return 130

    stand_in("weft.local.run", UpOptions=SimpleNamespace, up=run)
    stand_in("weft.local.demo", DemoOptions=SimpleNamespace, demo=run)
    assert weft("up", "-f", "a.yaml", "-f", "b.yaml", "--mesh", "shop").code == 130
    assert (seen[0].files, seen[0].mesh, seen[0].color) == (("a.yaml", "b.yaml"), "shop", "auto")
    weft("--color", "never", "demo", "--no-traffic", "--fresh", "--gateway-port", "7481")
    assert (seen[1].traffic, seen[1].mesh, seen[1].fresh) == (False, True, True)
    assert (seen[1].gateway_port, seen[1].color) == (7481, "never")
    assert weft("demo", "--fresh", "--no-mesh").code == 2


@pytest.fixture
def runner(stand_in: Stand) -> list[tuple[Path, dict[str, Any]]]:
    """A running weft up, and what it was asked."""
    asked: list[tuple[Path, dict[str, Any]]] = []

    def request(data: Path, message: dict[str, Any], *, seconds: float = 60) -> dict[str, Any]:
        assert seconds > 0
        asked.append((data, message))
        if message.get("workload") == "nobody":
            raise NotFound("there is no workload nobody", fix="did you mean web?")
        state = {"stop": "stopped", "start": "running"}.get(message["op"], "running")
        replica = {"name": "web/0", "state": state, "pid": 12, "virtualNode": "web-vn"}
        if message["op"] == "status":
            return {"workloads": [{"name": "web", "replicas": [replica]}]}
        if message["op"] == "restart":
            replica |= {"seconds": 6.5, "changed": True, "paused": None}
            return {"replicas": [replica, replica | {"name": "web/1", "paused": "it is alone"}]}
        return {"replicas": [replica], "unchanged": []}

    stand_in("weft.local.control", request=request)
    return asked


def test_a_workload_is_stopped_and_started_by_name(
    weft: Weft, runner: list[tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    assert "web/0  stopped" in weft("stop", "web", "--data", str(tmp_path)).out
    assert "web/0  running" in weft("start", "web", "--data", str(tmp_path)).out
    assert runner == [
        (tmp_path, {"op": "stop", "workload": "web"}),
        (tmp_path, {"op": "start", "workload": "web"}),
    ]
    ran = weft("stop", "nobody", "--data", str(tmp_path))
    assert ran.code == 3
    assert "did you mean web?" in ran.err


def test_a_restart_says_what_was_replaced_and_whether_there_was_a_pause(
    weft: Weft, runner: list[tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    out = weft("restart", "--all", "--data", str(tmp_path)).out

    assert "web/0  replaced from the changed files in 6.5 s, without a pause" in out
    assert "web/1  replaced from the changed files in 6.5 s, with a pause: it is alone" in out
    assert [message for _, message in runner] == [
        {"op": "status"},
        {"op": "restart", "workload": "web"},
    ]


def test_the_control_plane_knows_which_data_directory_is_meant(
    weft: Weft, plane: ControlPlane, runner: list[tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    plane.tell("GET", "/weft/v1/status", {"version": "1", "data": str(tmp_path / "there")})
    assert "web/0" in weft("get", "workloads").out
    assert runner[0][0] == tmp_path / "there"
    assert weft("get", "workloads", "-o", "name").lines == ["web"]
    ran = weft("get", "workloads", "wbe")
    assert ran.code == 3


def test_without_a_running_weft_up_it_says_so(weft: Weft, stand_in: Stand) -> None:
    def request(_: Path, __: dict[str, Any], *, seconds: float = 60) -> dict[str, Any]:
        raise Unreachable("no weft up runs on /x", fix="start it: weft up -f weft.yaml")

    stand_in("weft.local.control", request=request)
    ran = weft("stop", "web")
    assert ran.code == 8
    assert "fix:   start it: weft up -f weft.yaml" in ran.err


# --- why --------------------------------------------------------------------------------------


def test_why_says_which_route_its_targets_and_what_nobody_asked_for(
    weft: Weft, plane: ControlPlane
) -> None:
    setting = {"value": "15s", "default": True}
    answer = {
        "service": "teller.local",
        "port": 9080,
        "route": "teller-route",
        "summary": "route teller-route matches: teller-white-vn 100 %",
        "candidates": [
            {"route": "canary", "priority": 1, "matches": False, "because": "no header canary"},
            {"route": "teller-route", "priority": None, "matches": True, "because": "it matches"},
        ],
        "targets": [
            {
                "virtualNode": "teller-white-vn",
                "port": 9080,
                "weight": 1,
                "percent": 100.0,
                "foundBy": "registry",
                "endpoints": ["127.0.0.1:5"],
                "requestTimeout": setting,
                "breakers": {"value": "2147483647", "default": True},
            }
        ],
        "requestTimeout": {"value": "3s", "default": False},
        "idleTimeout": {"value": "300s", "default": True},
        "retries": {"limit": 2, "on": ["reset", "retriable-status-codes"], "statusCodes": [503], "perTry": "off", "default": True},
        "notes": ["gateway-vn does not have it among its backends"],
    }  # fmt: skip
    plane.tell("GET", "/weft/v1/why", answer)
    ran = weft(
        "why",
        "teller",
        "--from",
        "gateway",
        "--path",
        "v1",
        "-X",
        "post",
        "-H",
        "a: b",
        "-H",
        "c: d",
    )
    assert ran.code == 0
    query = plane.requests[-1].query
    assert (query["service"], query["from"]) == ("teller.local", "mesh/shop/virtualNode/gateway-vn")
    assert (query["method"], query["path"], query["header"]) == ("POST", "/v1", "c: d")
    assert "→  teller-route" in ran.out
    assert "no header canary" in ran.out
    assert "request timeout  3s\n" in ran.out
    assert "retries          2 on reset, 503; each try: off  (App Mesh's default)" in ran.out
    assert "breakers         2147483647  (App Mesh's default)" in ran.out
    assert "! gateway-vn does not have it among its backends" in ran.out
    assert weft("why", "teller", "-H", "nonsense").code == 2


def test_why_takes_a_url_and_a_grpc_method(weft: Weft, plane: ControlPlane) -> None:
    answer = {
        "service": None,
        "host": "example.com:8443",
        "port": 8443,
        "caller": "mesh/shop/virtualNode/gateway-vn",
        "summary": "no virtual host is for example.com:8443: the caller gets 404",
        "outside": "denied: example.com:8443 is no backend, and the egress filter is DROP_ALL",
        "arrival": {"listener": "l", "chain": "c", "routeConfiguration": "r", "because": "so"},
        "hosts": [{"name": "teller.local", "matches": False}],
        "route": "no-backend",
        "candidates": [
            {"route": "no-backend", "matches": False, "because": "it is for tunnels"},
            {"route": "no-backend", "matches": True, "because": "it matches"},
        ],
    }
    plane.tell("GET", "/weft/v1/why", answer)
    ran = weft("why", "https://example.com:8443/a?b=c", "--from", "gateway")
    assert ran.code == 0
    query = plane.requests[-1].query
    assert (query["host"], query["port"], query["scheme"]) == ("example.com", "8443", "https")
    assert query["path"] == "/a?b=c"
    assert ran.lines[0] == "gateway-vn to example.com:8443"
    assert "host example.com:8443 is of none of: teller.local" in ran.out
    assert "denied: example.com:8443" in ran.out
    assert ran.out.count("→") == 1, "of two rules of one name, the one that matches"

    weft("why", "teller", "--from", "gateway", "--grpc", "s.S/M", "--socket")
    query = plane.requests[-1].query
    assert (query["service"], query["method"], query["path"]) == ("teller.local", "POST", "/s.S/M")
    assert (query["header"], query["via"]) == ("content-type: application/grpc", "socket")
    assert weft("why", "ftp://x").code == 2
    assert weft("why", "x:port").code == 2
