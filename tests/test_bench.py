"""The promises about propagation, held at small numbers here and at large ones by ``make soak``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import propagation, sizes, writes
from bench.figures import Results, goals, tables
from bench.propagation import Plan

pytestmark = pytest.mark.alone

SMALL = Plan(
    services=(50, 500),
    proxies=(10,),
    repeats=8,
    names=frozenset({"route-one", "route-all", "endpoint-one", "no-op", "storm"}),
)


def test_a_change_costs_the_same_in_a_larger_mesh_and_wakes_nobody_else() -> None:
    results = Results()
    propagation.run(SMALL, results)

    found = goals(results)
    assert {"G2", "G3"} <= {goal.name for goal in found if goal.reached}
    assert [str(goal) for goal in found if goal.missed] == [], "\n".join(tables(results))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_goals_are_reached_at_the_sizes_we_promise(tmp_path: Path) -> None:
    assert propagation.main(["--json", str(tmp_path / "propagation.json")]) == 0

    samples = json.loads((tmp_path / "propagation.json").read_text())["samples"]
    assert {50, 500, 5000} == {sample["services"] for sample in samples}
    assert {10, 100, 1000, 5000} <= {sample["proxies"] for sample in samples}


def test_every_way_to_write_a_mesh_is_measured() -> None:
    results = writes.Results(services=10)
    writes.run(10, 2, results)

    assert [(each.threads, each.writes) for each in results.filled] == [(1, 41), (2, 41)]
    assert len(results.empty_ms) == len(results.large_ms) > 0
    assert [goal.name for goal in writes.goals(results)] == ["W1", "W1", "W2", "W3"]
    assert results.applied == 41


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_mesh_is_written_as_fast_as_we_promise() -> None:
    assert writes.main([]) == 0


def test_a_proxy_is_told_what_its_backends_need_and_nothing_of_the_rest() -> None:
    assert [str(goal) for goal in sizes.goals((50, 200)) if not goal.reached] == []


def test_replicas_listeners_and_backends_each_add_to_their_own_part() -> None:
    plain, _ = sizes.measured(50)
    replicas, _ = sizes.measured(50, replicas=10)
    listeners, _ = sizes.measured(50, listeners=5)
    backends, _ = sizes.measured(50, backends=20)

    def grown(size: sizes.Size) -> set[str]:
        return {kind for kind, size_bytes in size.sizes.items() if size_bytes > plain.sizes[kind]}

    assert grown(replicas) == {"EDS"}
    assert grown(listeners) == {"CDS", "LDS", "RDS"}
    assert grown(backends) == {"CDS", "EDS", "RDS"}
    assert backends.total_bytes < 2.2 * plain.total_bytes


def test_the_sizes_are_stated_for_the_mesh_we_promise(capsys: pytest.CaptureFixture[str]) -> None:
    assert sizes.main([]) == 0
    assert "  200 services, 50 proxies a node" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "route-one,weather"], "weather: not one of"),
        (["--services", "5"], "5 is too few"),
        (["--proxies", "many"], "'many' is not a number"),
        (["--repeats", "0"], "'0' is not a number above 0"),
    ],
)
def test_a_wrong_argument_is_a_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        propagation.main(arguments)

    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_a_control_plane_that_does_not_start_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEFT_ACCOUNT", "not an account")

    assert propagation.main(["--quick", "--only", "no-op"]) == 1
    error = capsys.readouterr().err
    assert "weft serve did not start" in error
    assert "not an AWS account" in error
