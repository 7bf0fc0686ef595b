"""What was measured, in tables, and what it says about the goals of performance.md, section 7."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

from bench.scenarios import Sample

_KIB = 1024


@dataclass(frozen=True, slots=True)
class Pushed:
    """The same bytes to the same number of proxies, with nothing else done."""

    proxies: int
    response_bytes: int
    last_ms: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Of the control plane, before proxies connected and after all rounds with them."""

    services: int
    proxies: int
    replicas: int
    before_bytes: int
    after_bytes: int
    connected: int
    """How many connected in between."""

    @property
    def per_proxy_kib(self) -> float:
        return (self.after_bytes - self.before_bytes) / self.connected / _KIB


@dataclass(frozen=True, slots=True)
class Storm:
    """All proxies at once at a control plane that has just started."""

    services: int
    proxies: int
    replicas: int
    known: bool
    """Whether they came back with what they had, or with nothing."""
    start_seconds: float
    seconds: float
    """From the first connection to the last ACK."""
    resources: int
    messages: int
    wire_bytes: int
    lost: int
    server_cpu_seconds: float
    simulator_cpu_seconds: float


@dataclass(slots=True)
class Results:
    samples: list[Sample] = field(default_factory=list)
    floor: list[Pushed] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    storms: list[Storm] = field(default_factory=list)

    def of(self, scenario: str, **members: int) -> list[Sample]:
        return [
            sample
            for sample in self.samples
            if sample.scenario == scenario
            and all(getattr(sample, name) == value for name, value in members.items())
        ]


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal, and whether this run reached it."""

    name: str
    what: str
    figure: str
    reached: bool | None
    """None for what is only stated."""

    @property
    def missed(self) -> bool:
        return self.reached is False

    def __str__(self) -> str:
        verdict = {True: "ok    ", False: "MISSED", None: "      "}[self.reached]
        return f"{self.name:<4} {verdict} {self.what}: {self.figure}"


# --- goals ----------------------------------------------------------------------------------


def goals(results: Results) -> list[Goal]:
    return [
        *_against_the_floor(results),
        *_flat(results),
        *_nobody_else(results),
        *_slope(results),
        *_memory(results),
        *_storms(results),
        *_clean(results),
    ]


def _against_the_floor(results: Results) -> Iterator[Goal]:
    for replicas, proxies in _distinct(results, "replicas", "proxies"):
        floor = [each.last_ms for each in results.floor if each.proxies == proxies]
        mine = results.of("route-all", replicas=replicas, proxies=proxies)
        if not floor or not mine:
            continue
        ratio = _last(mine) / median(floor)
        yield Goal(
            "G1",
            f"route weight, all of {proxies:,} proxies{_views(replicas)}, against bare pushing",
            f"{ratio:.1f} times {median(floor):.1f} ms (aim 8)",
            None,
        )


def _flat(results: Results) -> Iterator[Goal]:
    """One goal for all numbers of proxies: the smallest are the most exposed to chance."""
    ratios: list[float] = []
    parts: list[str] = []
    what = ""
    for replicas, proxies in _distinct(results, "replicas", "proxies"):
        samples = results.of("route-one", replicas=replicas, proxies=proxies)
        sizes = sorted({sample.services for sample in samples})
        if len(sizes) < 2:
            continue
        small, large = (
            _last([sample for sample in samples if sample.services == size])
            for size in (sizes[0], sizes[-1])
        )
        ratios.append(large / small)
        parts.append(f"{large / small:.2f} at {proxies:,} proxies ({small:.1f} → {large:.1f} ms)")
        what = f"one proxy's change, {sizes[-1]:,} services against {sizes[0]:,}"
    if ratios:
        figure = f"{median(ratios):.2f}, aim 1.5: {', '.join(parts)}"
        yield Goal("G2", what, figure, median(ratios) <= 1.5)


def _nobody_else(results: Results) -> Iterator[Goal]:
    if not results.samples:
        return
    stray = sum(sample.stray_bytes for sample in results.samples)
    woken = sum(sample.stray_proxies for sample in results.samples)
    yield Goal(
        "G3",
        "bytes to proxies that a change does not concern",
        f"{stray:,} to {woken} proxies in {len(results.samples)} changes",
        stray == 0 and woken == 0,
    )
    routes = [s for s in results.samples if s.scenario in ("route-one", "route-all")]
    changed = sum(sample.changed_bytes for sample in routes)
    if changed:
        ratio = sum(sample.wire_bytes for sample in routes) / changed
        yield Goal(
            "G3", "bytes on the wire for each changed one (routes)", f"{ratio:.2f}", ratio <= 1.5
        )


def _slope(results: Results) -> Iterator[Goal]:
    for replicas, services in _distinct(results, "replicas", "services"):
        samples = results.of("route-all", replicas=replicas, services=services)
        sizes = [size for size in sorted({s.proxies for s in samples}) if size >= 50]
        if len(sizes) < 2:
            continue
        small, large = (
            _last([sample for sample in samples if sample.proxies == size])
            for size in (sizes[0], sizes[-1])
        )
        slope = math.log(large / small) / math.log(sizes[-1] / sizes[0])
        yield Goal(
            "G4",
            f"growth from {sizes[0]:,} to {sizes[-1]:,} proxies{_views(replicas)}, "
            f"{services:,} services",
            f"slope {slope:.2f} (aim 1.1)",
            None,
        )


def _memory(results: Results) -> Iterator[Goal]:
    """
    Of the largest number of proxies: a start's own growth is not theirs.

    The goal is set for 500 services. In much larger meshes hardly two proxies call the
    same service, and each brings its own ten along.
    """
    for replicas in sorted({each.replicas for each in results.memory}):
        of_these = [each for each in results.memory if each.replicas == replicas]
        most = max(each.proxies for each in of_these)
        for each in of_these:
            if each.proxies == most:
                judged = most >= 1000 and each.services <= 500
                yield Goal(
                    "G6",
                    f"memory for each of {most:,} proxies{_views(replicas)}, "
                    f"{each.services:,} services",
                    f"{each.per_proxy_kib:.0f} KiB (aim 75, limit 150)",
                    each.per_proxy_kib <= 150 if judged else None,
                )


def _storms(results: Results) -> Iterator[Goal]:
    for known in (True, False):
        storms = [each for each in results.storms if each.known is known]
        if not storms:
            continue
        largest = max(storms, key=lambda each: (each.proxies, each.services))
        told = "that know their configuration" if known else "that know nothing"
        yield Goal(
            "G7",
            f"{largest.proxies:,} proxies {told} at once{_views(largest.replicas)}",
            f"{largest.seconds:.2f} s at {largest.services:,} services",
            None,
        )
    if back := [each for each in results.storms if each.known]:
        sent = sum(each.resources for each in back)
        yield Goal("", "resources sent again after a restart", str(sent), sent == 0)
    if results.storms:
        lost = sum(each.lost for each in results.storms)
        yield Goal("", "proxies lost in a restart", str(lost), lost == 0)


def _clean(results: Results) -> Iterator[Goal]:
    for what, count in (
        ("proxies that missed a change", sum(sample.missing for sample in results.samples)),
        ("NACKs", sum(sample.nacks for sample in results.samples)),
        ("resources nobody asked for", sum(sample.unwanted for sample in results.samples)),
    ):
        yield Goal("", what, str(count), count == 0)


def _last(samples: Iterable[Sample]) -> float:
    return median(sample.last_ms for sample in samples)


def _views(replicas: int) -> str:
    return "" if replicas == 1 else f" ({replicas} to a view)"


def _distinct(results: Results, *names: str) -> list[tuple[int, ...]]:
    return sorted({tuple(getattr(s, name) for name in names) for s in results.samples})


# --- tables ---------------------------------------------------------------------------------


def tables(results: Results) -> Iterator[str]:
    yield from _sample_table(results)
    if results.floor:
        yield ""
        yield "floor: the same response pushed by hand-framed HTTP/2"
        yield from _columns(
            ["proxies", "bytes", "last ms"],
            [
                [
                    f"{proxies:,}",
                    f"{max(each.response_bytes for each in results.floor if each.proxies == proxies):,}",
                    _range([e.last_ms for e in results.floor if e.proxies == proxies]),
                ]
                for proxies in sorted({each.proxies for each in results.floor})
            ],
        )
    if results.memory:
        yield ""
        yield "memory of the control plane"
        yield from _columns(
            ["services", "proxies", "replicas", "before MiB", "after MiB", "KiB/proxy"],
            [
                [
                    f"{each.services:,}",
                    f"{each.proxies:,}",
                    f"{each.replicas}",
                    f"{each.before_bytes / _KIB**2:.0f}",
                    f"{each.after_bytes / _KIB**2:.0f}",
                    f"{each.per_proxy_kib:.0f}",
                ]
                for each in results.memory
            ],
        )
    if results.storms:
        yield ""
        yield "storm: kill -9, start, all proxies at once"
        yield from _columns(
            [
                *("services", "proxies", "replicas", "know", "start s", "storm s", "resources"),
                *("messages", "KiB", "server CPU s", "simulator CPU s"),
            ],
            [
                [
                    f"{each.services:,}",
                    f"{each.proxies:,}",
                    f"{each.replicas}",
                    "all" if each.known else "nothing",
                    f"{each.start_seconds:.2f}",
                    f"{each.seconds:.3f}",
                    f"{each.resources:,}",
                    f"{each.messages:,}",
                    f"{each.wire_bytes / _KIB:,.0f}",
                    f"{each.server_cpu_seconds:.2f}",
                    f"{each.simulator_cpu_seconds:.2f}",
                ]
                for each in results.storms
            ],
        )
    yield ""


def _sample_table(results: Results) -> Iterator[str]:
    rows = []
    order = {sample.scenario: i for i, sample in enumerate(results.samples)}
    groups: dict[tuple[int, int, str, int], list[Sample]] = {}
    for sample in results.samples:
        key = (sample.replicas, sample.proxies, sample.scenario, sample.services)
        groups.setdefault(key, []).append(sample)
    for key in sorted(groups, key=lambda k: (k[0], k[1], order[k[2]], k[3])):
        found = groups[key]
        replicas, proxies, scenario, services = key
        rows.append(
            [
                f"{proxies:,}" + ("" if replicas == 1 else f"/{replicas}"),
                scenario,
                f"{services:,}",
                f"{found[0].affected:,}",
                _range([s.answer_ms for s in found]),
                f"{median(s.p50_ms for s in found):.1f}",
                f"{median(s.p99_ms for s in found):.1f}",
                _range([s.last_ms for s in found]),
                f"{median(s.wire_bytes for s in found) / _KIB:,.1f}",
                f"{sum(s.stray_bytes for s in found)}",
                _range([s.server_cpu_ms for s in found]),
                f"{median(s.simulator_us for s in found):.0f}",
            ]
        )
    if rows:
        yield "one change: medians, in brackets least and most; times from the first byte written"
        yield from _columns(
            [
                *("proxies", "change", "services", "f", "answer ms", "p50 ms", "p99 ms"),
                *("last ms", "KiB to f", "B to others", "server CPU ms", "simulator µs/message"),
            ],
            rows,
        )


def _range(values: list[float]) -> str:
    return f"{median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


def _columns(titles: list[str], rows: list[list[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in [titles, *rows]) for i in range(len(titles))]
    for row in [titles, *rows]:
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
