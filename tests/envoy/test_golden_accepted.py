"""A golden file that Envoy refuses is not golden."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.envoy.envoy_binary import envoy_binary, with_real_secrets, write_bootstrap
from tests.golden_files import CASES, mesh_of, resolved
from weft.translate.proxy import translate


@pytest.mark.envoy
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_envoy_accepts_every_golden_snapshot(case: Path, tmp_path: Path) -> None:
    bootstrap = write_bootstrap(
        tmp_path / "envoy.json", translate(with_real_secrets(resolved(mesh_of(case))))
    )

    said = subprocess.run(
        [envoy_binary(), "--mode", "validate", "-c", bootstrap, "-l", "warn"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr or said.stdout
    warnings = [line for line in said.stderr.splitlines() if "deprecated" in line]
    assert warnings == []
