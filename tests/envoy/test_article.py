"""The article's flow as a script: AWS's own templates, the AWS CLI as it comes, real traffic."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo import demo

ROOT = Path(__file__).parents[2]
EXAMPLES = Path(os.environ.get("AWS_EXAMPLES", ROOT.parent / "shared" / "aws-examples"))
pytestmark = [
    pytest.mark.envoy,
    pytest.mark.skipif(
        not (EXAMPLES / "examples").is_dir(),
        reason=f"no clone of aws-app-mesh-examples at {EXAMPLES}; set $AWS_EXAMPLES",
    ),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


def test_the_article_s_script_runs_as_written(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    weft = tools / "weft"
    weft.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m weft "$@"\n')
    weft.chmod(0o755)
    with demo(tmp_path, "--no-traffic", "--no-mesh") as running:
        done = subprocess.run(
            ["sh", str(ROOT / "examples" / "article.sh")],
            env={
                **running.environment,
                "AWS_EXAMPLES": str(EXAMPLES),
                "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"ColorAppEndpoint is http://127.0.0.1:{running.gateway}" in done.stdout
        assert '{"color":"red", "stats": {"red":1}}' in done.stdout.splitlines()[-1]
        assert set(running.colors(20)) == {"red"}
        # Run again, only the canary moves.
        (stack,) = running.aws(
            "cloudformation", "describe-stacks", "--stack-name", "DEMO-appmesh-colorapp"
        )["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
