"""Every golden case: mesh.yaml resolves to ir.yaml and translates to xds.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden_files import CASES, ir_text, mesh_of, resolved, xds_text
from weft.translate.proxy import translate


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Path, pytestconfig: pytest.Config) -> None:
    mesh = mesh_of(case)
    proxy = resolved(mesh)
    produced = {"ir.yaml": ir_text(mesh, proxy), "xds.yaml": xds_text(mesh, translate(proxy))}

    if pytestconfig.getoption("--golden") == "write":
        for name, text in produced.items():
            (case / name).write_text(text)
    assert produced == {name: (case / name).read_text() for name in produced}
    assert {path.name for path in case.iterdir()} == {"mesh.yaml", *produced}, "a stale file"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_says_what_it_proves(case: Path) -> None:
    first = (case / "mesh.yaml").read_text().splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith(".")
