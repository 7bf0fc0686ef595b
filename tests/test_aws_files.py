"""
AWS's own example files: read, or refused for the right reason; applied twice, unchanged.

They are not part of this project. ``$AWS_EXAMPLES`` says where they are; without
it they are looked for beside the project.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from weft.clock import ManualClock
from weft.errors import Invalid
from weft.manifests import specs
from weft.manifests.definition import NAMES, Definition
from weft.manifests.files import Loaded, load
from weft.names import Kind
from weft.store.admission import admit
from weft.store.change import Action, Put
from weft.store.state import MeshState

ROOT = Path(__file__).parents[1]
EXAMPLES = Path(os.environ.get("AWS_EXAMPLES") or ROOT.parent / "shared" / "aws-examples")
ENVIRONMENT = {
    "APP_NAMESPACE": "ns",
    "MESH_NAME": "mesh",
    "CLOUDMAP_NAMESPACE": "cm.local",
    "SVID_CA_TRUST_DOMAIN": "spiffe://td",
}
TOOL = re.compile(r"\$([A-Z][A-Z_0-9]*)")


def having(pattern: str, *suffixes: str) -> list[Path]:
    return [
        path
        for path in sorted(EXAMPLES.rglob("*"))
        if path.name.endswith(suffixes) and re.search(pattern, path.read_text(encoding="utf-8"))
    ]


MANIFESTS = having(r"appmesh\.k8s\.aws/", ".yaml", ".yml", ".template")
INPUTS = [path for path in having(r"", ".json") if "Resources" not in path.read_text()]


def named(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


def test_there_are_files_to_read() -> None:
    if not (MANIFESTS and INPUTS):
        pytest.skip(f"no example files of AWS at {EXAMPLES}; set AWS_EXAMPLES")


def applied(state: MeshState, definitions: tuple[Definition, ...]) -> MeshState:
    steps = [Put(each.key, each.body.get("spec") or {}) for each in definitions]
    once = admit(state, steps, ManualClock(), "000000000000").draft.freeze(state.revision + 1)
    twice = admit(once, steps, ManualClock(), "000000000000")
    assert {each.action for each in twice.outcomes} == {Action.UNCHANGED}
    return once


def read(path: Path, mesh: str | None = None) -> Loaded:
    found = load([str(path)], ENVIRONMENT, mesh=mesh)
    specs.check(found.definitions)
    return found


@pytest.mark.parametrize("path", MANIFESTS, ids=named)
def test_a_manifest_is_applied_or_refused_for_its_version(path: Path) -> None:
    if "v1beta1" in path.read_text():
        with pytest.raises(Invalid) as caught:
            read(path)
        ours = [each for each in caught.value.problems if "v1beta1" in each.message]
        assert len(ours) == len(caught.value.problems)
        return
    state = MeshState()
    # The canary builds on what the example has applied before.
    before = path.parents[1] / "2_meshed_application" / "meshed_app.yaml"
    if path.name == "v2_app.yaml":
        state = applied(state, read(before).definitions)
    found = read(path, mesh="dj-app" if path.name == "v2_app.yaml" else None)
    assert found.definitions
    applied(state, found.definitions)
    expected = ("podSelector", "is not in these files", "clientPolicy.tls.mode")
    assert [w for w in found.warnings if not any(each in w.message for each in expected)] == []


@pytest.mark.parametrize("path", INPUTS, ids=named)
def test_an_input_is_read_once_it_is_filled_in_and_named(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    try:
        json.loads(text)
    except ValueError:
        variables = dict.fromkeys(TOOL.findall(text))
        with pytest.raises(Invalid) as caught:
            load([str(path)], {}, mesh="mesh")
        [problem] = caught.value.problems
        assert "a template for jq with the variables " + ", ".join(variables) in problem.message
        text = TOOL.sub('"x.test"', text)
        value = json.loads(text)
    else:
        value = json.loads(text)
    file = tmp_path / "input.json"
    if _is_task_definition(value):
        file.write_text(json.dumps(value))
        with pytest.raises(Invalid, match="this is no App Mesh resource"):
            load([str(file)], {}, mesh="mesh")
        return
    file.write_text(json.dumps({**value, **_names(value, file)}))
    [definition] = read(file, mesh="mesh").definitions
    assert definition.key.mesh == "mesh" or "meshName" in value


def _is_task_definition(value: Any) -> bool:
    return not isinstance(value, dict) or not set(value) <= {
        "spec",
        "tags",
        *(name for names in NAMES.values() for name in names),
    }


def _names(value: dict[str, Any], file: Path) -> dict[str, str]:
    """The names that AWS's scripts give on the command line, where the reading says which."""
    file.write_text(json.dumps(value))
    try:
        load([str(file)], {}, mesh="mesh")
    except Invalid as error:
        [problem] = error.problems
        found = re.search(r"this is the spec of a (\w+)|: (\w+) needs", f": {problem.message}")
        assert found, problem
        kind = Kind(found[1] or found[2])
        return {name: "x" for name in NAMES[kind] if name != "meshName"}
    return {}
