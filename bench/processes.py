"""Python processes of the benchmark: started so that they find this source tree, and ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

_ROOT = Path(__file__).parent.parent


class Died(Exception):
    """A process that the benchmark needs has ended, or does not answer."""


def spawned(
    module: str, *arguments: str, stderr: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """``python -m module`` with pipes to talk by."""
    paths = [str(_ROOT), str(_ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )


def end(process: subprocess.Popen[bytes], *, grace_seconds: float) -> None:
    """Close its input, wait so long, then kill it; nothing of it is left."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
