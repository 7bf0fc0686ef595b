"""``export``: which mesh, in which format, and where it is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import ControlPlane

FORMATS = ("weft", "cli", "cfn", "k8s")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_goes_to_stdout_and_nothing_else_does(
    weft: Weft, plane: ControlPlane, form: str
) -> None:
    ran = weft("export", "--format", form)
    assert (ran.code, ran.err) == (0, "")
    read = json.loads(ran.out) if form == "cli" else list(yaml.safe_load_all(ran.out))
    assert "teller-route" in json.dumps(read)


def test_the_format_is_a_page_of_weft_unless_said_otherwise(
    weft: Weft, plane: ControlPlane
) -> None:
    page = yaml.safe_load(weft("export").out)
    assert page["mesh"] == "shop"
    assert {each["kind"] for each in page["resources"]} >= {"mesh", "virtualNode", "route"}
    assert all("meshName" not in each for each in page["resources"])


def test_a_past_state_can_be_written(weft: Weft, plane: ControlPlane) -> None:
    assert weft("export", "--revision", "3").code == 0
    asked = plane.asked("GET", "/weft/v1/resources")[-1]
    assert asked.query == {"mesh": "shop", "revision": "3"}


def test_a_file_is_written_whole_and_its_directory_made(
    weft: Weft, plane: ControlPlane, tmp_path: Path
) -> None:
    ran = weft("export", "-o", "new/mesh.yaml")
    assert (ran.code, ran.out) == (0, "")
    assert "in 1 file: new/mesh.yaml" in ran.err
    assert yaml.safe_load((tmp_path / "new" / "mesh.yaml").read_text())["mesh"] == "shop"
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["mesh.yaml"]


def test_a_directory_gets_a_file_for_each_input_of_the_aws_cli(
    weft: Weft, plane: ControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.yaml").write_text("")
    ran = weft("export", "--format", "cli", "-o", "out")
    names = sorted(each.name for each in (tmp_path / "out").glob("*.json"))
    assert len(names) == len(plane.resources)
    assert "out also holds old.yaml; weft apply -f out reads them too" in ran.err
    for name in names:
        assert json.loads((tmp_path / "out" / name).read_text())["meshName"] == "shop"


def test_tags_that_a_format_has_no_place_for_are_told(weft: Weft, plane: ControlPlane) -> None:
    plane.resources[0]["tags"] = [{"key": "a", "value": "b"}]
    assert "the tags of 1 resource are left out" in weft("export", "--format", "k8s").err
    assert weft("export").err == ""


def test_a_mesh_that_is_not_there_and_a_place_that_cannot_be_written_are_errors(
    weft: Weft, plane: ControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert weft("export", "-o", "file/x.yaml").code == 2
    plane.refuse("GET", "/weft/v1/resources", 404, "NotFoundException", "no mesh")
    ran = weft("export", "--mesh", "gone")
    assert ran.code == 3
    assert "weft get meshes" in ran.err


def test_policies_go_with_the_page_and_are_told_where_a_format_has_none(
    weft: Weft, plane: ControlPlane
) -> None:
    policies = [{"for": "mesh/shop", "reroute": True}]
    plane.tell("GET", "/weft/v1/policies", {"revision": 7, "policies": policies})
    assert yaml.safe_load(weft("export").out)["policies"] == [{"for": "mesh", "reroute": True}]
    assert "1 policy of Weft's own left out" in weft("export", "--format", "cfn").err
