"""When a goal is reached, and when it is missed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.figures import Goal, Memory, Pushed, Results, Storm, goals, tables
from bench.scenarios import Sample, quantile

GOOD = Sample(
    services=50,
    proxies=10,
    replicas=1,
    scenario="route-one",
    affected=1,
    answer_ms=2,
    p50_ms=3,
    p99_ms=3,
    last_ms=4,
    messages=1,
    wire_bytes=1050,
    changed_bytes=1000,
    stray_proxies=0,
    stray_bytes=0,
    missing=0,
    nacks=0,
    unwanted=0,
    server_cpu_ms=3,
    simulator_us=30,
)


def missed(*samples: Sample) -> list[str]:
    return [str(goal) for goal in goals(Results(list(samples))) if goal.missed]


def test_a_flawless_run_misses_nothing() -> None:
    assert missed(GOOD, replace(GOOD, services=5000, last_ms=5.9)) == []


@pytest.mark.parametrize(
    ("flaw", "what"),
    [
        ({"last_ms": 6.1, "services": 5000}, "5,000 services against 50"),
        ({"stray_bytes": 1, "stray_proxies": 1}, "does not concern"),
        ({"wire_bytes": 2100}, "for each changed one"),
        ({"missing": 1}, "missed a change"),
        ({"nacks": 1}, "NACKs"),
        ({"unwanted": 1}, "nobody asked for"),
    ],
)
def test_each_flaw_is_a_goal_missed(flaw: dict[str, int], what: str) -> None:
    (line,) = missed(GOOD, replace(GOOD, **flaw))

    assert what in line


def test_memory_is_judged_where_there_are_enough_proxies() -> None:
    def of(proxies: int) -> Goal:
        memory = Memory(500, proxies, 1, 0, proxies * 151 * 1024, proxies)
        return next(goal for goal in goals(Results(memory=[memory])) if goal.name == "G6")

    assert of(1000).missed
    assert not of(100).missed


@pytest.mark.parametrize("flaw", [{"resources": 1}, {"lost": 1}])
def test_a_restart_that_sends_or_loses_anything_is_a_goal_missed(flaw: dict[str, int]) -> None:
    storm = Storm(50, 10, 1, True, 1.0, 0.1, 0, 20, 100, 0, 0.1, 0.1)

    assert not any(goal.missed for goal in goals(Results(storms=[storm])))
    assert any(goal.missed for goal in goals(Results(storms=[replace(storm, **flaw)])))


def test_what_was_measured_is_in_the_tables() -> None:
    everything = replace(GOOD, scenario="route-all", last_ms=1234.5)
    results = Results(
        [replace(everything, proxies=100), replace(everything, proxies=1000)],
        [Pushed(100, 5000, 77.7)],
        [Memory(50, 10, 1, 0, 10 * 1024 * 55, 10)],
        [Storm(50, 10, 1, True, 1.0, 9.876, 0, 20, 100, 0, 0.1, 0.1)],
    )
    text = "\n".join([*tables(results), *map(str, goals(results))])

    for figure in ("1234.5", "77.7", " 55", "9.876", "G1", "G4", "G6", "G7"):
        assert figure in text


def test_a_quantile_is_one_of_the_values() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0.5, 0.99, 1)] == [2, 4, 4]
    assert quantile([], 1) == 0
