"""
From an API write to the last proxy's ACK: how long, how much, and whom it woke.

A real ``weft serve`` for each size of mesh, a simulator of its own for its proxies,
and the writer here; all on one machine, so all times are of one clock. Changes take
turns between the meshes, so that what disturbs the machine disturbs them all alike.
Only ratios within one run are claims (performance.md, section 5).
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import mesh
from bench.controlplane import ControlPlane
from bench.figures import Memory, Pushed, Results, Storm, goals, tables
from bench.fleet import Fleet
from bench.floor import Floor
from bench.processes import Died
from bench.scenarios import SCENARIOS, Cell, Scenario, instance, measured

NAMES = (*(each.name for each in SCENARIOS), "floor", "storm")
_STORM_SECONDS = 180
_SETTLE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    services: tuple[int, ...]
    proxies: tuple[int, ...]
    repeats: int
    replicas: int = 1
    """Proxies that stand for one virtual node, and so have one view."""
    names: frozenset[str] = field(default_factory=lambda: frozenset(NAMES))

    @property
    def scenarios(self) -> list[Scenario]:
        return [each for each in SCENARIOS if each.name in self.names]


FULL = (
    Plan((50, 500, 5000), (10, 100, 1000), repeats=7),
    Plan((500,), (1000, 5000), repeats=5, replicas=10),
)
QUICK = (Plan((50, 500), (10, 50), repeats=7),)


def run(plan: Plan, results: Results) -> None:
    """Measure all of it; results grow as they come."""
    with ExitStack() as stack:
        cells = []
        for services in plan.services:
            plane = stack.enter_context(ControlPlane())
            fleet = stack.enter_context(Fleet())
            plane.start()
            cell = Cell(mesh.Mesh("bench", services), plane, fleet, plan.replicas)
            _fill(cell)
            cells.append(cell)
        for proxies in plan.proxies:
            before = [_grow(cell, proxies) for cell in cells]
            _rounds(plan, cells, results)
            for cell, (rss, size) in zip(cells, before, strict=True):
                results.memory.append(
                    Memory(
                        services=cell.mesh.services,
                        proxies=proxies,
                        replicas=cell.replicas,
                        before_bytes=rss,
                        after_bytes=cell.plane.rss_bytes(),
                        connected=proxies - size,
                    )
                )
        if "storm" in plan.names:
            # The largest mesh is the slowest to come back.
            results.storms += _storms(cells[-1])


def _fill(cell: Cell) -> None:
    _say(f"a mesh of {cell.mesh.services:,} services")
    cell.plane.apply(cell.mesh.definitions())
    # Its node is found by registration from now on, and stays so without an instance.
    for i in (mesh.EVERYBODYS, mesh.LONE):
        path = f"/weft/v1/meshes/{cell.mesh.name}/virtualNodes/{mesh.node(i)}/instances/first"
        cell.plane.ask("PUT", path, instance(41001))


def _grow(cell: Cell, proxies: int) -> tuple[int, int]:
    """Connect more proxies, up to so many; the memory and the number of proxies before."""
    had = cell.fleet.size
    _say(f"{proxies:,} proxies, {cell.mesh.services:,} services")
    new = range(had, proxies)
    cell.plane.apply(cell.mesh.callers(new, cell.replicas))
    before = cell.plane.rss_bytes()
    cell.fleet.mark()
    cell.fleet.connect(cell.plane.xds, cell.mesh.proxies(new, cell.replicas))
    report = cell.fleet.settle(
        len(new), quiet=_SETTLE_SECONDS, timeout=_STORM_SECONDS, configured=True
    )
    if report.timed_out or report.ended:
        raise Died(
            f"{report.unconfigured} proxies were not configured, {report.ended} were turned away "
            f"({report.ended_words})\n{cell.plane.log()}"
        )
    return before, had


def _rounds(plan: Plan, cells: list[Cell], results: Results) -> None:
    pushed: bytes = b""
    with ExitStack() as stack:
        floor = fleet = None
        if "floor" in plan.names and "route-all" in plan.names:
            floor = stack.enter_context(Floor())
            fleet = stack.enter_context(Fleet())
            proxies = cells[0].fleet.size
            fleet.connect(floor.target, cells[0].mesh.proxies(range(proxies), 1))
            until = time.monotonic() + _STORM_SECONDS
            while floor.streams() < proxies:
                if time.monotonic() > until:
                    raise Died("not every proxy could connect to the floor")
                fleet.settle(0, quiet=0.05, timeout=1)
        # The first round only warms up: what runs for the first time is slower.
        for turn in range(plan.repeats + 1):
            for scenario in plan.scenarios:
                for cell in cells:
                    sample, response = measured(cell, scenario, turn)
                    if turn:
                        results.samples.append(sample)
                    if scenario.name == "route-all":
                        pushed = response
            if floor is not None and fleet is not None:
                fleet.mark()
                begin = floor.push(pushed)
                report = fleet.settle(fleet.size, quiet=0.06, timeout=60)
                if turn:
                    last_ms = (report.acks_ns[-1] - begin) / 1e6
                    results.floor.append(Pushed(fleet.size, len(pushed), last_ms))


def _storms(cell: Cell) -> Iterator[Storm]:
    """The control plane dies and comes back; then the same with proxies that know nothing."""
    for known in (True, False):
        cell.plane.kill()
        start = cell.plane.start()
        cell.fleet.mark()
        cpu = cell.plane.cpu_seconds()
        begin = time.monotonic_ns()
        size = cell.fleet.size
        if known:
            cell.fleet.reconnect(cell.plane.xds)
        else:
            cell.fleet.disconnect()
            begin = time.monotonic_ns()
            cell.fleet.connect(cell.plane.xds, cell.mesh.proxies(range(size), cell.replicas))
        report = cell.fleet.settle(
            size, quiet=_SETTLE_SECONDS, timeout=_STORM_SECONDS, configured=True
        )
        yield Storm(
            services=cell.mesh.services,
            proxies=size,
            replicas=cell.replicas,
            known=known,
            start_seconds=start,
            seconds=(report.acks_ns[-1] - begin) / 1e9 if report.acks_ns else 0.0,
            resources=report.total("resources"),
            messages=report.messages,
            wire_bytes=report.bytes,
            lost=report.ended + report.unconfigured,
            server_cpu_seconds=cell.plane.cpu_seconds() - cpu,
            simulator_cpu_seconds=report.cpu_seconds,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.propagation",
        description="From an API write to the last proxy's ACK. Exits with 1 when a goal is missed.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small meshes and few proxies, under a minute"
    )
    parser.add_argument(
        "--only",
        type=_names,
        metavar="NAME,…",
        default=frozenset(NAMES),
        help=f"leave out all but these: {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--services", type=_sizes(20), metavar="M,…", help="sizes of the mesh, in services"
    )
    parser.add_argument("--proxies", type=_sizes(2), metavar="N,…", help="numbers of proxies")
    parser.add_argument(
        "--replicas", type=_number, metavar="R", help="proxies for each virtual node (1)"
    )
    parser.add_argument("--repeats", type=_number, metavar="K", help="times each change is made")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    given = parser.parse_args(arguments)
    results = Results()
    _raise_limit()
    try:
        for plan in _plans(given):
            run(plan, results)
    except Died as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        if given.json:
            given.json.write_text(json.dumps(asdict(results), indent=1) + "\n")
    for line in tables(results):
        print(line)
    found = goals(results)
    for goal in found:
        print(goal)
    return 1 if any(goal.missed for goal in found) else 0


def _plans(given: argparse.Namespace) -> Iterator[Plan]:
    plans = QUICK if given.quick else FULL
    if given.services or given.proxies or given.replicas:
        plans = plans[:1]
    for plan in plans:
        yield Plan(
            services=given.services or plan.services,
            proxies=given.proxies or plan.proxies,
            repeats=given.repeats or plan.repeats,
            replicas=given.replicas or plan.replicas,
            names=given.only,
        )


def _names(text: str) -> frozenset[str]:
    names = frozenset(text.split(","))
    if unknown := names - set(NAMES):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: not one of {', '.join(NAMES)}"
        )
    return names


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _sizes(least: int) -> Callable[[str], tuple[int, ...]]:
    def sizes(text: str) -> tuple[int, ...]:
        found = tuple(sorted({_number(each) for each in text.split(",")}))
        if found[0] < least:
            raise argparse.ArgumentTypeError(f"{found[0]} is too few: give {least} or more")
        return found

    return sizes


def _raise_limit() -> None:
    """Allow as many open connections as the system lets us; the processes inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    # As Ctrl-C does: what was started is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
