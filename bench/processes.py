"""Python processes of the benchmark: started so that they find this source tree, and ended."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent


class Died(Exception):
    """A process that the benchmark needs has ended, or does not answer."""


def spawned(
    module: str, *arguments: str, stderr: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """``python -m module`` with pipes to talk by."""
    paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )


def prepare() -> None:
    """
    What each process of ours does first: as many connections as the system allows.

    Ctrl-C reaches all processes of a terminal; they end with their input, in order.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
