"""Workloads in network namespaces, as tests look at them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.demo import Demo, started
from weft.errors import CannotStart
from weft.local.isolation import possible

NOBODY = 65534
SRC = Path(__file__).parents[1] / "src"


def _missing() -> str:
    """Why nothing can be isolated here; empty where it can be."""
    if os.geteuid() != 0:
        return "only root can see into the namespaces of others"
    if shutil.which("setpriv") is None:
        return "there is no setpriv (apt-get install util-linux)"
    try:
        possible(os.environ)
    except CannotStart as error:
        return error.message
    return ""


needs_root = pytest.mark.skipif(bool(_missing()), reason=_missing() or "it can be done here")

FETCH = """
import http.client, sys
host, port, path, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
headers = {"Host": sys.argv[5]} if sys.argv[5:] else {}
for _ in range(count):
    try:
        connection = http.client.HTTPConnection(host, port, timeout=5)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        print(answer.status, answer.read().decode())
    except (OSError, http.client.HTTPException) as error:
        print("failed", type(error).__name__)
"""


def inside(running: Demo, workload: str, *command: str) -> str:
    """What a command says that runs beside a workload, in its namespaces."""
    (replica,) = running.replicas(workload)
    done = subprocess.run(
        [*running.prefix, *replica["enter"], *command],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        env=running.environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fetch(
    running: Demo,
    workload: str,
    host: str,
    port: int,
    *,
    path: str = "/",
    count: int = 1,
    named: str = "",
) -> list[str]:
    """Status and body of each request that is made beside a workload; ``named`` as the host."""
    asked = (host, str(port), path, str(count), *([named] if named else []))
    return inside(running, workload, running.python, "-c", FETCH, *asked).splitlines()


def nat_rules(said: str) -> list[str]:
    """Chains and rules of ours in what iptables-save says, without counters."""
    return [line.partition(" [")[0] for line in said.splitlines() if "APPMESH" in line]


@contextmanager
def of_nobody(*options: str) -> Iterator[Demo]:
    """A demo of a user without any rights; skips where no Python is readable for everybody."""
    prefix = (
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *("--bounding-set=-all", "--inh-caps=-all"),
    )
    python = everybodys_python(prefix)
    # A directory that pytest makes is closed to others, and stays so.
    with TemporaryDirectory(prefix="weft-nobody-") as directory:
        os.chown(directory, NOBODY, NOBODY)
        described = Demo(
            Path(directory),
            options,
            prefix=prefix,
            python=python,
            variables={
                "HOME": directory,
                "PYTHONPATH": f"{SRC}:{sysconfig.get_path('purelib')}",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )
        with started(described):
            yield described


def everybodys_python(prefix: tuple[str, ...]) -> str:
    """Ours, or else the system's of the same version, if another user may run it."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}"):
        check = [
            "sh",
            "-c",
            'exec "$0" -c "import sys; sys.path[:0] = sys.argv[1:]; import weft.names, click"',
        ]
        done = subprocess.run(
            [*prefix, *check, candidate],
            capture_output=True,
            cwd="/",
            env={
                "PYTHONPATH": f"{SRC}:{sysconfig.get_path('purelib')}",
                "PATH": os.environ["PATH"],
            },
        )
        if done.returncode == 0:
            return candidate
    pytest.skip("no Python and no checkout that every user may read")
