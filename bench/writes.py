"""
How fast a mesh can be written: by an SDK one resource at a time, and whole in one revision.

boto3 creates a mesh of so many virtual nodes, services and routers with a route each against a
real ``weft serve``, sequentially and by several threads; every answer means that the write is
on the disk. Then single writes take turns between the largest mesh and an empty one, and
``weft apply`` writes the same mesh in one revision. The rate includes boto3's own time, which
is stated, too: it signs and parses in Python on the same cores.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import boto3
from botocore.config import Config

from bench import mesh
from bench.controlplane import ControlPlane
from bench.figures import Goal
from bench.processes import ROOT, Died

SERVICES = 1000
THREADS = 4
TURNS = 150
RATE = 300
"""Writes a second that one client reaches, at least."""
RATIO = 2.0
"""A write in the largest mesh against one in an empty mesh, at most."""
APPLY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Filled:
    """A mesh that boto3 has written."""

    threads: int
    writes: int
    seconds: float
    server_cpu_seconds: float
    slowest_ms: float

    @property
    def rate(self) -> float:
        return self.writes / self.seconds


@dataclass(slots=True)
class Results:
    """One run."""

    services: int
    filled: list[Filled] = field(default_factory=list)
    empty_ms: list[float] = field(default_factory=list)
    """Single writes in an empty mesh, …"""
    large_ms: list[float] = field(default_factory=list)
    """… and in the largest, by turns."""
    apply_seconds: float = 0.0
    """``weft apply`` from start to end, its own start included."""
    applied: int = 0


def run(services: int, threads: int, results: Results) -> None:
    """Measure all of it; results grow as they come."""
    with ControlPlane() as empty:
        empty.start()
        empty.apply(mesh.Mesh("bench", 0).definitions())
        for workers in (1, threads):
            with ControlPlane() as large:
                large.start()
                _say(f"{services:,} services by boto3, {workers} thread(s)")
                results.filled.append(_fill(large, mesh.Mesh("bench", services), workers))
                if workers == threads:
                    _say("single writes, by turns")
                    for turn in range(-10, TURNS):  # The first few only warm up.
                        for plane, samples in (
                            (empty, results.empty_ms),
                            (large, results.large_ms),
                        ):
                            taken = _single(plane, turn)
                            if turn >= 0:
                                samples.append(taken)
    with ControlPlane() as plane:
        plane.start()
        _say("the same by one weft apply")
        results.applied, results.apply_seconds = _apply(plane, mesh.Mesh("bench", services))


def _fill(plane: ControlPlane, whole: mesh.Mesh, workers: int) -> Filled:
    client = boto3.client(
        "appmesh",
        endpoint_url=plane.api,
        region_name="us-west-2",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=workers),
    )

    def create(resource: mesh.Resource) -> float:
        members = {name: value for name, value in resource.items() if name != "kind"}
        operation = re.sub("([A-Z])", r"_\1", resource["kind"]).lower()
        begin = time.monotonic()
        getattr(client, f"create_{operation}")(**members)
        return (time.monotonic() - begin) * 1000

    taken: list[float] = []
    cpu, begin = plane.cpu_seconds(), time.monotonic()
    with ThreadPoolExecutor(workers) as pool:
        # Kinds one after the other: what is named is there before it is named.
        for _, resources in groupby(whole.definitions(), key=lambda each: str(each["kind"])):
            taken += pool.map(create, resources)
    seconds = time.monotonic() - begin
    return Filled(workers, len(taken), seconds, plane.cpu_seconds() - cpu, max(taken))


def _single(plane: ControlPlane, turn: int) -> float:
    """A virtual node made, changed and taken away; milliseconds for each of the three."""
    path = "/v20190125/meshes/bench/virtualNodes"
    listener = {"portMapping": {"port": mesh.PORT, "protocol": "http"}}
    spec: dict[str, Any] = {
        "listeners": [listener],
        "serviceDiscovery": {"dns": {"hostname": f"single-{turn}.bench.local"}},
    }
    begin = time.monotonic()
    plane.ask("PUT", path, {"virtualNodeName": "single", "spec": spec})
    backends = [{"virtualService": {"virtualServiceName": mesh.service(0)}}]
    plane.ask("PUT", f"{path}/single", {"spec": {**spec, "backends": backends}})
    plane.ask("DELETE", f"{path}/single")
    return (time.monotonic() - begin) * 1000 / 3


def _apply(plane: ControlPlane, whole: mesh.Mesh) -> tuple[int, float]:
    resources = list(whole.definitions())
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as directory:
        file = Path(directory) / "mesh.json"
        file.write_text(json.dumps(resources))
        before = plane.ask("GET", "/weft/v1/status")["revision"]
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "weft", "apply", "--endpoint", plane.api, "-f", str(file)],
            cwd=ROOT / "src",
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - begin
    after = plane.ask("GET", "/weft/v1/status")["revision"]
    if done.returncode or after != before + 1:
        raise Died(f"weft apply made {after - before} revisions\n{done.stderr}\n{plane.log()}")
    return len(resources), seconds


def goals(results: Results) -> list[Goal]:
    """What was promised, and what came of it."""
    found = []
    for each in results.filled:
        figure = (
            f"{each.rate:,.0f} writes/s ({each.writes:,} in {each.seconds:.1f} s, server CPU "
            f"{each.server_cpu_seconds / each.writes * 1000:.2f} ms each, "
            f"slowest {each.slowest_ms:.0f} ms)"
        )
        what = f"boto3, {each.threads} thread(s), each write durable"
        found.append(Goal("W1", what, figure, each.rate > RATE))
    empty, large = median(results.empty_ms), median(results.large_ms)
    figure = f"{large / empty:.2f} ({large:.2f} ms against {empty:.2f} ms)"
    what = f"a write among {results.services:,} services against an empty mesh"
    found.append(Goal("W2", what, figure, large / empty <= RATIO))
    what = f"weft apply of {results.applied:,} resources in one revision"
    figure = f"{results.apply_seconds:.1f} s"
    found.append(Goal("W3", what, figure, results.apply_seconds < APPLY_SECONDS))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.writes", description=__doc__)
    parser.add_argument("--services", type=int, default=SERVICES, metavar="N")
    parser.add_argument("--threads", type=int, default=THREADS, metavar="T")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    given = parser.parse_args(arguments)
    results = Results(given.services)
    try:
        run(given.services, given.threads, results)
    except Died as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if given.json:
        given.json.write_text(json.dumps(asdict(results), indent=1) + "\n")
    found = goals(results)
    for goal in found:
        print(goal)
    return 1 if any(goal.missed for goal in found) else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
