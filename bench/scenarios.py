"""One change at a time: what is written, whom it concerns, and what came of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import mesh
from bench.controlplane import ControlPlane
from bench.fleet import Fleet, Report

FIRST = "proxy-0"
"""The only proxy that calls ``mesh.LONE``."""

_QUIET_SECONDS = 0.06
"""How long after the last message nothing more may come for a change to be over."""
_LONG_QUIET_SECONDS = 0.2
"""The same for a change that should wake nobody."""
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of change."""

    name: str
    write: Callable[[ControlPlane, str, int], None]
    """Control plane, mesh, and which time it is: every write differs from the one before."""
    concerns: str
    """``one`` proxy, ``all`` of them or ``none``."""

    def affected(self, proxies: int) -> int:
        return {"one": 1, "all": proxies, "none": 0}[self.concerns]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one change cost, and whom."""

    services: int
    proxies: int
    replicas: int
    scenario: str
    affected: int
    answer_ms: float
    """From before the first byte of the request to the end of its answer."""
    p50_ms: float
    """From the same moment to the proxies' last ACKs: half of them, …"""
    p99_ms: float
    last_ms: float
    messages: int
    wire_bytes: int
    """To affected proxies: DATA frames, whole."""
    changed_bytes: int
    """Of these, the resources that differ from what the proxy held."""
    stray_proxies: int
    """Proxies that got something though it does not concern them, …"""
    stray_bytes: int
    missing: int
    """Proxies that should have got something and did not."""
    nacks: int
    unwanted: int
    """Resources that nobody had asked for."""
    server_cpu_ms: float
    simulator_us: float
    """CPU time of the simulator for each message."""


def _route(i: int) -> Callable[[ControlPlane, str, int], None]:
    def write(plane: ControlPlane, name: str, turn: int) -> None:
        _update_route(plane, name, i, weight=10 + turn % 80)

    return write


def _endpoint(i: int) -> Callable[[ControlPlane, str, int], None]:
    def write(plane: ControlPlane, name: str, turn: int) -> None:
        path = f"/weft/v1/meshes/{name}/virtualNodes/{mesh.node(i)}/instances/second"
        if turn % 2:
            plane.ask("DELETE", path)
        else:
            plane.ask("PUT", path, instance(41002))

    return write


def _nothing(plane: ControlPlane, name: str, turn: int) -> None:
    _update_route(plane, name, mesh.EVERYBODYS + 1, weight=50)


def _update_route(plane: ControlPlane, name: str, i: int, *, weight: int) -> None:
    path = f"/v20190125/meshes/{name}/virtualRouter/{mesh.router(i)}/routes/{mesh.ROUTE}"
    plane.ask("PUT", path, {"spec": mesh.route(i, weight=weight)})


def instance(port: int) -> dict[str, object]:
    """A replica that outlives every run."""
    return {"addresses": {str(mesh.PORT): f"127.0.0.1:{port}"}, "leaseSeconds": 3600}


SCENARIOS = (
    Scenario("route-one", _route(mesh.LONE), "one"),
    Scenario("route-all", _route(mesh.EVERYBODYS), "all"),
    Scenario("endpoint-one", _endpoint(mesh.LONE), "one"),
    Scenario("endpoint-all", _endpoint(mesh.EVERYBODYS), "all"),
    Scenario("no-op", _nothing, "none"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A control plane with a mesh in it, and the proxies that are connected to it."""

    mesh: mesh.Mesh
    plane: ControlPlane
    fleet: Fleet
    replicas: int


def measured(cell: Cell, scenario: Scenario, turn: int) -> tuple[Sample, bytes]:
    """Make one change and wait until it is over; also one of the responses it led to."""
    plane, fleet = cell.plane, cell.fleet
    affected = scenario.affected(fleet.size)
    fleet.mark()
    cpu = plane.cpu_seconds()
    begin = time.monotonic_ns()
    scenario.write(plane, cell.mesh.name, turn)
    answered = time.monotonic_ns()
    quiet = _QUIET_SECONDS if affected else _LONG_QUIET_SECONDS
    report = fleet.settle(affected, quiet=quiet, timeout=_TIMEOUT_SECONDS)
    cpu = plane.cpu_seconds() - cpu
    mine, others = _shared_out(report, scenario)
    acks = [(at - begin) / 1e6 for at in report.acks_ns]
    sample = Sample(
        services=cell.mesh.services,
        proxies=fleet.size,
        replicas=cell.replicas,
        scenario=scenario.name,
        affected=affected,
        answer_ms=(answered - begin) / 1e6,
        p50_ms=quantile(acks, 0.5),
        p99_ms=quantile(acks, 0.99),
        last_ms=quantile(acks, 1),
        messages=report.messages,
        wire_bytes=mine,
        changed_bytes=report.total("changed_bytes"),
        stray_proxies=max(len(report.touched) - affected, 0),
        stray_bytes=others,
        missing=max(affected - len(acks), 0) + report.ended,
        nacks=report.nacks,
        unwanted=report.total("unwanted"),
        server_cpu_ms=cpu * 1e3,
        simulator_us=report.cpu_seconds / report.messages * 1e6 if report.messages else 0,
    )
    return sample, report.sample


def _shared_out(report: Report, scenario: Scenario) -> tuple[int, int]:
    """Bytes to those whom it concerns, and to all others."""
    match scenario.concerns:
        case "all":
            return report.bytes, 0
        case "one":
            mine = report.touched[FIRST].bytes if FIRST in report.touched else 0
            return mine, report.bytes - mine
        case _:
            return 0, report.bytes


def quantile(ordered: list[float], share: float) -> float:
    """Of values in order, the first that is not below this share of them; 0 of none."""
    if not ordered:
        return 0.0
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)]
