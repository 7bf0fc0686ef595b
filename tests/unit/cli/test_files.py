"""``apply`` and ``diff``: what is written, what would be, and where a mistake stands."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import ControlPlane

MESH_FILE = """\
mesh: shop
resources:
  - kind: virtualNode
    virtualNodeName: green-vn
    spec: {}
  - kind: virtualRouter
    virtualRouterName: teller-vr
    spec: {listeners: []}
"""
ROUTE = {
    "routeName": "teller-route",
    "virtualRouterName": "teller-vr",
    "spec": {"httpRoute": {}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mesh.yaml"
    path.write_text(MESH_FILE)
    return path


def answers(plane: ControlPlane, **actions: str) -> None:
    outcomes = []
    for name, action in actions.items():
        kind = "virtualRouter" if name.endswith("vr") else "virtualNode"
        key = f"mesh/shop/{kind}/{name.replace('_', '-')}"
        path = "spec.listeners[0].portMapping.port"
        differences = [{"path": path, "before": 80, "after": 8080}] if action == "updated" else []
        outcomes.append({"key": key, "action": action, "differences": differences})
    plane.tell("POST", "/weft/v1/apply", {"revision": 8, "dryRun": False, "outcomes": outcomes})


def test_apply_says_what_was_created_changed_and_left_alone(
    weft: Weft, plane: ControlPlane, file: Path
) -> None:
    answers(plane, green_vn="created", teller_vr="updated", blue_vn="unchanged")
    ran = weft("apply", "-f", str(file), "--note", "because")
    assert ran.code == 0
    assert ran.lines == [
        f"+ virtualNode/green-vn  created  {file}:3",
        f"~ virtualRouter/teller-vr  changed  {file}:6",
        "    spec.listeners[0].portMapping.port  80 → 8080",
        "= 1 unchanged",
        "  ✓ saved as revision 8; undo: weft revert 8",
    ]
    (sent,) = plane.applied()
    assert sent["note"] == "because"
    assert sent["dryRun"] is False
    assert [each["meshName"] for each in sent["resources"]] == ["shop", "shop"]


def test_apply_can_wait(weft: Weft, plane: ControlPlane, file: Path) -> None:
    answers(plane, green_vn="created")
    plane.tell("GET", "/weft/v1/wait", {"revision": 8, "total": 4, "accepted": 4})
    assert "delivered to 4/4 proxies" in weft("apply", "-f", str(file), "--wait").out
    assert plane.asked("GET", "/weft/v1/wait")[0].query["revision"] == "8"


def test_a_dry_run_writes_nothing(weft: Weft, plane: ControlPlane, file: Path) -> None:
    answers(plane, green_vn="created")
    ran = weft("apply", "-f", str(file), "--dry-run")
    assert ran.code == 0
    assert plane.applied()[0]["dryRun"] is True
    assert "nothing is written" in ran.out


def test_diff_tells_by_its_exit_code_whether_something_differs(
    weft: Weft, plane: ControlPlane, file: Path
) -> None:
    answers(plane, green_vn="created", teller_vr="updated")
    ran = weft("diff", "-f", str(file))
    assert ran.code == 1
    assert f"+ virtualNode/green-vn  created  {file}:3" in ran.lines
    answers(plane, green_vn="unchanged", teller_vr="unchanged")
    assert weft("diff", "-f", str(file)).code == 0
    assert all(body["dryRun"] for body in plane.applied())


def test_a_refusal_names_file_and_line(weft: Weft, plane: ControlPlane, file: Path) -> None:
    problems = [
        {"path": "resources[0].spec.listeners", "message": "is missing"},
        {"path": "resources[1].spec.listeners", "message": "is empty"},
    ]
    plane.refuse("POST", "/weft/v1/apply", 400, "BadRequestException", "no", problems=problems)
    for verb in ("apply", "diff"):
        ran = weft(verb, "-f", str(file))
        assert ran.code == 6
        assert "nothing is written (2 problems)" in ran.err
        assert f"{file}:5: mesh/shop/virtualNode/green-vn: spec.listeners: is missing" in ran.err
        assert f"{file}:8: mesh/shop/virtualRouter/teller-vr: spec.listeners: is empty" in ran.err


def test_a_file_that_is_not_there_is_invalid_without_a_traceback(weft: Weft) -> None:
    ran = weft("apply", "-f", "nowhere.yaml")
    assert ran.code == 6
    assert "nowhere.yaml" in ran.err
    assert "Traceback" not in ran.err


def test_a_definition_of_the_aws_cli_belongs_to_the_only_mesh(
    weft: Weft, plane: ControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "route.json").write_text(json.dumps(ROUTE))
    plane.tell("POST", "/weft/v1/apply", {"revision": 8, "outcomes": []})
    assert weft("apply", "-f", "route.json").code == 0
    assert plane.applied()[0]["resources"] == [{"kind": "route", "meshName": "shop", **ROUTE}]


def test_standard_input_is_a_file(
    weft: Weft, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    text: Any = io.TextIOWrapper(io.BytesIO(json.dumps(ROUTE).encode()), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", text)
    plane.tell("POST", "/weft/v1/apply", {"revision": 8, "outcomes": []})
    assert weft("apply", "-f", "-").code == 0
    assert plane.applied()[0]["resources"][0]["routeName"] == "teller-route"


def test_which_of_several_meshes_is_meant_must_be_said(
    weft: Weft, plane: ControlPlane, tmp_path: Path
) -> None:
    plane.resources.append({**plane.resources[0], "meshName": "other", "key": "mesh/other"})
    (tmp_path / "route.json").write_text(json.dumps(ROUTE))
    plane.tell("POST", "/weft/v1/apply", {"revision": 8, "outcomes": []})
    ran = weft("apply", "-f", "route.json")
    assert ran.code == 6
    assert "--mesh" in ran.err
    assert weft("apply", "-f", "route.json", "--mesh", "other").code == 0


def test_workloads_are_left_to_weft_up(weft: Weft, plane: ControlPlane, file: Path) -> None:
    file.write_text(MESH_FILE + "workloads:\n  green: {command: [run], virtualNode: green-vn}\n")
    answers(plane, green_vn="created")
    assert "1 workload left alone: weft up starts them" in weft("apply", "-f", str(file)).err


def test_json_of_apply_is_the_answer_alone(weft: Weft, plane: ControlPlane, file: Path) -> None:
    answers(plane, green_vn="created")
    ran = weft("apply", "-f", str(file), "-o", "json")
    assert json.loads(ran.out)["outcomes"][0]["action"] == "created"
    assert "saved as revision 8" in ran.err


def test_labels_and_prune_are_asked_of_the_control_plane(
    weft: Weft, plane: ControlPlane, file: Path
) -> None:
    answers(plane, green_vn="unchanged", old_vn="deleted")
    ran = weft("apply", "-f", str(file), "--prune", "--label", "app=shop", "--label", "empty=")
    assert ran.code == 0
    assert "- virtualNode/old-vn  deleted" in ran.lines
    (sent,) = plane.applied()
    assert (sent["labels"], sent["prune"]) == ({"app": "shop", "empty": ""}, True)
    assert not {"labels", "prune"} & set(_plain(weft, plane, file))


def _plain(weft: Weft, plane: ControlPlane, file: Path) -> dict[str, Any]:
    weft("apply", "-f", str(file))
    body: dict[str, Any] = plane.applied()[-1]
    return body


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--prune",), "--prune needs to know what may go"),
        (("--label", "app"), "'app' is no label"),
        (("--label", "=x"), "'=x' is no label"),
        (("--label", "a=1", "--label", "a=2"), "label a is given two values"),
    ],
)
def test_a_label_that_is_none_is_refused_before_anything_is_sent(
    weft: Weft, plane: ControlPlane, file: Path, options: tuple[str, ...], said: str
) -> None:
    ran = weft("apply", "-f", str(file), *options)
    assert (ran.code, plane.applied()) == (2, [])
    assert said in ran.err


def test_what_is_left_out_of_other_formats_is_said(
    weft: Weft, plane: ControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "k8s.yaml").write_text(
        "apiVersion: appmesh.k8s.aws/v1beta2\nkind: VirtualNode\nmetadata: {name: green}\n"
        "spec: {podSelector: {}, colour: red}\n---\napiVersion: apps/v1\nkind: Deployment\n"
    )
    answers(plane, green_default="created")
    ran = weft("apply", "-f", "k8s.yaml")
    assert ran.code == 0
    assert "warning: k8s.yaml:4: VirtualNode green: spec.colour is not known" in ran.err
    assert "podSelector (of 1 objects) is passed over" in ran.err
    assert "passed over, being no kinds of App Mesh: 1 Deployment" in ran.err
    # Of the only mesh, since the manifest selects none.
    assert plane.applied()[0]["resources"][0]["meshName"] == "shop"


def test_policies_are_applied_with_the_resources_and_their_mistakes_placed(
    weft: Weft, plane: ControlPlane, tmp_path: Path
) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text("mesh: shop\npolicies:\n  - for: mesh\n    reroute: on\n")
    outcome = {"key": "policies//mesh/shop", "action": "created", "differences": []}
    plane.tell("POST", "/weft/v1/apply", {"revision": 8, "dryRun": False, "outcomes": [outcome]})
    ran = weft("apply", "-f", str(path))
    assert ran.code == 0
    assert plane.applied()[-1]["policies"] == [{"for": "mesh/shop", "reroute": True}]
    assert "policy of mesh/shop created" in ran.words

    problem = {"path": "policies[0].reroute", "message": "no"}
    plane.refuse("POST", "/weft/v1/apply", 400, "BadRequestException", "no", problems=[problem])
    ran = weft("apply", "-f", str(path))
    assert ran.code != 0
    assert "policies.yaml:4" in ran.words
