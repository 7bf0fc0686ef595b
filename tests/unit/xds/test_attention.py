"""Time in which nobody listened does not count against a proxy."""

from datetime import timedelta

from weft.clock import ManualClock
from weft.xds.attention import STEP_SECONDS, Attention


def test_time_counts_while_somebody_looks() -> None:
    clock = ManualClock()
    attention = Attention(clock)
    for _ in range(20):
        clock.advance(timedelta(seconds=0.1))
        attention.look()

    assert round(attention.now(), 6) == 2.0


def test_a_pause_counts_for_one_step_only() -> None:
    clock = ManualClock()
    attention = Attention(clock)
    clock.advance(timedelta(seconds=60))

    assert attention.now() == STEP_SECONDS
    attention.look()
    assert attention.now() == STEP_SECONDS
    clock.advance(timedelta(seconds=0.1))
    assert round(attention.now() - STEP_SECONDS, 6) == 0.1
