"""``check``, ``explain`` and ``apply --check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import ControlPlane
from weft.checks.catalogue import CATALOGUE
from weft.cli.about import own_version

CHECKS = "/weft/v1/checks"
FILE = """\
mesh: shop
resources:
  - kind: virtualNode
    virtualNodeName: web
    spec:
      backends:
        - virtualService: {virtualServiceName: nowhere.local}
"""


def finding(severity: str = "error", **more: Any) -> dict[str, Any]:
    return {
        "code": {"error": "WEFT-101", "warning": "WEFT-204", "info": "WEFT-105"}[severity],
        "title": f"An {severity}",
        "severity": severity,
        "area": "configuration",
        "key": "mesh/shop/virtualNode/web",
        "path": "spec.backends[0]",
        "message": "it is so",
        "cause": "Because.",
        "fix": "Mend it.",
        **more,
    }


def report(*found: dict[str, Any], **more: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("error", "warning", "info"), 0)
    for each in found:
        counts[each["severity"]] += 1
    return {
        "revision": 7,
        "mesh": None,
        "counts": counts,
        "clean": {"control plane": 1, "data plane": 8, "configuration": 40},
        "findings": list(found),
        "more": 0,
        "proxies": {"accepted": 2},
        **more,
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mesh.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture(autouse=True)
def status(plane: ControlPlane) -> None:
    plane.tell("GET", "/weft/v1/status", {"version": own_version(), "data": "/var/weft"})


def test_a_mesh_that_is_well_is_said_to_be(weft: Weft, plane: ControlPlane) -> None:
    plane.tell("GET", CHECKS, report())
    ran = weft("check")
    assert ran.code == 0
    assert ran.lines == [
        "control plane",
        f"  ✓ {plane.endpoint} answers, version {own_version()} like this client",
        "  ✓ revision 7 is kept in /var/weft",
        "data plane",
        "  ✓ 2 of 2 proxies have accepted everything",
        "configuration",
        "  ✓ 40 checks found nothing",
        "49 ok",
    ]


def test_a_finding_is_told_with_cause_fix_and_where_to_read_on(
    weft: Weft, plane: ControlPlane
) -> None:
    plane.tell("GET", CHECKS, report(finding(), finding("warning")))
    ran = weft("check")
    assert ran.code == 1
    assert ran.lines[-11:] == [
        "  ✗ An error  [WEFT-101]",
        "      virtualNode/web spec.backends[0]: it is so",
        "      cause  Because.",
        "      fix    Mend it.",
        "      docs   weft explain WEFT-101",
        "  ‼ An warning  [WEFT-204]",
        "      virtualNode/web spec.backends[0]: it is so",
        "      cause  Because.",
        "      fix    Mend it.",
        "      docs   weft explain WEFT-204",
        "49 ok, 1 warning, 1 failed",
    ]


def test_warnings_are_no_failure(weft: Weft, plane: ControlPlane) -> None:
    plane.tell("GET", CHECKS, report(finding("warning")))
    assert weft("check").code == 0


def test_what_is_milder_is_asked_for(weft: Weft, plane: ControlPlane) -> None:
    plane.tell("GET", CHECKS, report(counts={"error": 0, "warning": 0, "info": 3}))
    assert "3 not shown" in weft("check").err
    assert plane.asked("GET", CHECKS)[0].query == {"severity": "warning"}
    weft("check", "--severity", "info", "--mesh", "shop")
    assert plane.asked("GET", CHECKS)[1].query == {"severity": "info", "mesh": "shop"}


def test_many_places_of_one_code_are_counted(weft: Weft, plane: ControlPlane) -> None:
    plane.tell("GET", CHECKS, report(*(finding(path=f"spec.backends[{i}]") for i in range(12))))
    ran = weft("check")
    assert ran.out.count("it is so") == 10
    assert "and 2 more" in ran.out
    assert ran.out.count("Because.") == 1


def test_different_fixes_of_one_code_are_told_with_their_places(
    weft: Weft, plane: ControlPlane
) -> None:
    plane.tell("GET", CHECKS, report(finding(fix="One."), finding(fix="Two.", path="x")))
    ran = weft("check")
    assert ran.out.index("One.") < ran.out.index("Two.")


def test_a_proxy_s_finding_stands_with_the_data_plane(weft: Weft, plane: ControlPlane) -> None:
    said = finding(area="data plane", code="WEFT-901")
    plane.tell("GET", CHECKS, report(said, proxies={"rejected": 1, "disconnected": 3}))
    lines = weft("check").lines
    assert lines.index("data plane") < lines.index("  ✗ An error  [WEFT-901]")
    assert lines.index("  ✗ An error  [WEFT-901]") < lines.index("configuration")
    assert "  ! 0 of 1 proxies have accepted everything" in lines


def test_json_is_the_answer_alone(weft: Weft, plane: ControlPlane) -> None:
    plane.tell("GET", CHECKS, report(finding()))
    ran = weft("check", "-o", "json")
    assert ran.code == 1
    assert json.loads(ran.out)["findings"][0]["code"] == "WEFT-101"


def test_files_are_judged_with_file_and_line(weft: Weft, plane: ControlPlane, file: Path) -> None:
    plane.tell("POST", CHECKS, report(finding()))
    ran = weft("check", str(file))
    assert ran.code == 1
    assert f"virtualNode/web spec.backends[0]: it is so  ({file}:7)" in ran.out
    (sent,) = plane.asked("POST", CHECKS)
    assert [each["virtualNodeName"] for each in sent.body["resources"]] == ["web"]
    as_json = json.loads(weft("check", str(file), "-o", "json").out)
    assert as_json["findings"][0]["source"] == f"{file}:7"


def test_files_can_be_judged_without_a_control_plane(
    weft: Weft, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFT_ENDPOINT", "http://127.0.0.1:1")
    ran = weft("check", "--alone", str(file))
    assert ran.code == 1
    assert f"({file}:7)" in ran.out
    assert "WEFT-101" in ran.out


def test_alone_needs_files(weft: Weft) -> None:
    assert weft("check", "--alone").code == 2


def test_without_a_control_plane_there_is_nothing_to_check(
    weft: Weft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFT_ENDPOINT", "http://127.0.0.1:1")
    assert weft("check").code == 8


def test_a_file_that_cannot_be_read_is_invalid(weft: Weft) -> None:
    assert weft("check", "nowhere.yaml").code == 6


def test_apply_with_check_writes_nothing_where_something_is_an_error(
    weft: Weft, plane: ControlPlane, file: Path
) -> None:
    plane.tell("POST", CHECKS, report(finding(), finding("warning")))
    ran = weft("apply", "-f", str(file), "--check")
    assert ran.code == 6
    assert "the checks found 1 error; nothing is written" in ran.err
    assert f"({file}:7) [WEFT-101]" in ran.err
    assert plane.applied() == []


def test_apply_with_check_goes_on_past_warnings(
    weft: Weft, plane: ControlPlane, file: Path
) -> None:
    plane.tell("POST", CHECKS, report(finding("warning")))
    plane.tell("POST", "/weft/v1/apply", {"revision": 8, "outcomes": []})
    ran = weft("apply", "-f", str(file), "--check")
    assert ran.code == 0
    assert "[WEFT-204]" in ran.err
    assert len(plane.applied()) == 1


def test_a_template_is_not_said_to_be_well_unseen(weft: Weft, tmp_path: Path) -> None:
    template = tmp_path / "stack.yaml"
    template.write_text("Resources:\n  Mesh:\n    Type: AWS::AppMesh::Mesh\n")
    for command in (["check", str(template)], ["apply", "--check", "-f", str(template)]):
        ran = weft(*command)
        assert ran.code == 2
        assert "cannot be checked before it is applied" in ran.err


# --- explain ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["WEFT-101", "weft-101", "101"])
def test_a_code_is_explained(weft: Weft, code: str) -> None:
    ran = weft("explain", code)
    assert ran.code == 0
    assert ran.lines[0] == "WEFT-101  A backend does not exist"
    assert [line.split()[0] for line in ran.lines[1:]] == ["severity", "cause", "fix"]


def test_every_code_is_listed(weft: Weft) -> None:
    lines = weft("explain").lines
    assert [line.split()[0] for line in lines[1:]] == [each.code for each in CATALOGUE]


def test_an_unknown_code_is_not_found(weft: Weft) -> None:
    ran = weft("explain", "WEFT-999")
    assert ran.code == 3
    assert "weft explain lists all codes" in ran.err


def test_a_field_is_explained_with_its_members_and_limits(weft: Weft) -> None:
    ran = weft("explain", "route.httpRoute.action.weightedTargets")
    assert ran.lines[0].endswith("list of object, 1 to 10, needed")
    assert "weight*" in ran.out
    assert "whole number 0 to 100" in ran.out


@pytest.mark.parametrize("field", ["vn.serviceDiscovery", "virtual-node.spec.serviceDiscovery"])
def test_a_union_says_that_one_is_to_be_chosen(weft: Weft, field: str) -> None:
    ran = weft("explain", field)
    assert "Exactly one of awsCloudMap, dns." in ran.out


def test_a_member_of_a_list_may_be_written_with_its_index(weft: Weft) -> None:
    ran = weft("explain", "virtualNode.spec.listeners[0].portMapping.protocol")
    assert "http | tcp | http2 | grpc, needed" in ran.out


def test_a_member_that_is_not_there_is_told_with_the_nearest(weft: Weft) -> None:
    ran = weft("explain", "route.httpRoute.retryPolicies")
    assert ran.code == 3
    assert "did you mean 'retryPolicy'?" in ran.err


def test_an_unknown_kind_is_told_with_the_nearest(weft: Weft) -> None:
    assert weft("explain", "virtualnod.spec").code == 2


def test_the_schema_of_a_field_can_be_had(weft: Weft) -> None:
    found = json.loads(weft("explain", "mesh.egressFilter", "-o", "json").out)
    assert found["schema"]["properties"]["type"]["enum"] == ["ALLOW_ALL", "DROP_ALL"]
