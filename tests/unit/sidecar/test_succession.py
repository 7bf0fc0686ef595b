"""Which Envoy should run, and when one is ready."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.sidecar.succession import (
    Facts,
    Life,
    Observation,
    Source,
    Step,
    backoff_seconds,
    decide,
    is_refusal,
)

ABSENT, WAITING, READY = Life


def test_with_a_control_plane_there_is_nothing_to_think_about() -> None:
    assert decide(Facts(reachable=True, kept=True)) is Step.START_FROM_ADS


def test_without_one_what_was_kept_is_served_at_once() -> None:
    assert decide(Facts(kept=True)) is Step.START_FROM_LAST_ACCEPTED


def test_without_either_envoy_waits_for_the_control_plane() -> None:
    assert decide(Facts()) is Step.START_FROM_ADS


def test_a_control_plane_that_says_nothing_is_given_three_seconds() -> None:
    assert decide(Facts(WAITING, kept=True, waited_seconds=2.9)) is Step.WAIT
    assert decide(Facts(WAITING, kept=True, waited_seconds=3.0)) is Step.FALL_BACK
    assert decide(Facts(WAITING, kept=False, waited_seconds=60)) is Step.WAIT


def test_one_that_was_ready_never_falls_back() -> None:
    assert decide(Facts(READY, kept=True, waited_seconds=60)) is Step.WAIT


def test_the_successor_starts_when_the_control_plane_answers() -> None:
    assert decide(Facts(last_accepted=READY, kept=True)) is Step.WAIT
    assert decide(Facts(last_accepted=READY, kept=True, reachable=True)) is Step.TAKE_OVER
    assert decide(Facts(last_accepted=WAITING, kept=True, reachable=True)) is Step.WAIT
    assert decide(Facts(WAITING, READY, kept=True, waited_seconds=60)) is Step.WAIT


def test_a_kept_configuration_that_does_not_come_up_is_left_for_the_control_plane() -> None:
    slow = Facts(last_accepted=WAITING, kept=True, reachable=True, waited_seconds=3.0)

    assert decide(slow) is Step.START_AFRESH
    assert decide(replace(slow, reachable=False)) is Step.WAIT


def test_an_envoy_that_was_killed_refused_nothing() -> None:
    assert is_refusal(1)
    assert is_refusal(-signal.SIGSEGV)
    assert not is_refusal(-signal.SIGKILL)
    assert not is_refusal(-signal.SIGTERM)
    assert not is_refusal(0)


@given(
    st.builds(
        Facts,
        ads=st.sampled_from(Life),
        last_accepted=st.sampled_from(Life),
        kept=st.booleans(),
        reachable=st.booleans(),
        waited_seconds=st.floats(0, 100),
    )
)
def test_no_envoy_is_started_twice(facts: Facts) -> None:
    step = decide(facts)

    if facts.ads is not ABSENT:
        assert step in (Step.WAIT, Step.FALL_BACK)
    if facts.last_accepted is not ABSENT:
        assert step in (Step.WAIT, Step.TAKE_OVER, Step.START_AFRESH)
    if not facts.kept:
        assert step not in (Step.START_FROM_LAST_ACCEPTED, Step.FALL_BACK)


LIVE = {"server.state": 0, "listener_manager.workers_started": 1}


@pytest.mark.parametrize(
    ("stats", "source", "ready"),
    [
        ({}, Source.ADS, False),
        (LIVE | {"listener_manager.lds.update_success": 1}, Source.ADS, True),
        (LIVE, Source.ADS, False),
        (LIVE, Source.LAST_ACCEPTED, True),
        (LIVE | {"listener_manager.workers_started": 0}, Source.LAST_ACCEPTED, False),
        (
            LIVE | {"server.state": 2, "listener_manager.lds.update_success": 1},
            Source.ADS,
            False,
        ),
        (
            LIVE
            | {
                "listener_manager.lds.update_success": 1,
                "listener_manager.total_listeners_warming": 1,
            },
            Source.ADS,
            False,
        ),
    ],
)
def test_ready_means_live_accepting_told_and_nothing_warming(
    stats: dict[str, int | str], source: Source, *, ready: bool
) -> None:
    assert Observation.of(stats).is_ready(source) is ready


def test_the_pause_doubles_up_to_ten_seconds() -> None:
    assert [backoff_seconds(n) for n in (1, 2, 3, 8, 50)] == [0.1, 0.2, 0.4, 10.0, 10.0]
