"""The entry point: a sidecar is started before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"

IMPORTED = """
import sys
sys.argv = ["weft", "sidecar", "--proxy", "mesh/m/virtualNode/n", "--envoy", "/nowhere"]
before = set(sys.modules)
from weft.__main__ import main
assert main() == 1
print(*sorted(set(sys.modules) - before))
"""


def test_a_sidecar_imports_the_standard_library_names_and_errors_alone(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        env={"PYTHONPATH": str(SRC), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    tops = {name.partition(".")[0] for name in ran.stdout.split()}

    assert {name for name in tops if name not in sys.stdlib_module_names} == {"weft"}
    ours = {name for name in ran.stdout.split() if name.startswith("weft.")}
    assert {n for n in ours if not n.startswith("weft.sidecar")} == {
        "weft.__main__",
        "weft.names",
        "weft.errors",
    }
    # Each of them costs a small process more than it gives.
    assert not tops & {"asyncio", "ssl", "http", "urllib", "email", "logging", "shutil", "tempfile"}
