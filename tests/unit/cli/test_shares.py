"""New weights out of old ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.cli.exits import Usage
from weft.cli.shares import difference, observed, rescaled

THIRDS = {"white": 1, "blue": 1, "red": 1}


@pytest.mark.parametrize(
    ("present", "given_weights", "after"),
    [
        (THIRDS, {"white": 0}, {"white": 0, "blue": 50, "red": 50}),
        (THIRDS, {"red": 10}, {"white": 45, "blue": 45, "red": 10}),
        (THIRDS, {"red": 100}, {"white": 0, "blue": 0, "red": 100}),
        ({"blue": 90, "red": 10}, {"red": 25}, {"blue": 75, "red": 25}),
        ({"blue": 100}, {"red": 10}, {"blue": 90, "red": 10}),
        (THIRDS, {"white": 8, "blue": 2, "red": 0}, {"white": 8, "blue": 2, "red": 0}),
        (THIRDS, {"white": 1, "blue": 0, "red": 0}, {"white": 1, "blue": 0, "red": 0}),
        ({"a": 1, "b": 0, "c": 2}, {"a": 10}, {"a": 10, "b": 0, "c": 90}),
        (THIRDS, {"black": 1}, {"white": 33, "blue": 33, "red": 33, "black": 1}),
        (THIRDS, {"black": 0}, {"white": 34, "blue": 33, "red": 33, "black": 0}),
        ({"a": 99, "b": 1, "c": 1}, {"c": 50}, {"a": 49, "b": 1, "c": 50}),
        ({"a": 99, "b": 1, "c": 0}, {"c": 98}, {"a": 1, "b": 1, "c": 98}),
    ],
)
def test_unnamed_targets_share_the_rest_in_their_proportion(
    present: dict[str, int], given_weights: dict[str, int], after: dict[str, int]
) -> None:
    assert rescaled(present, given_weights) == after


@pytest.mark.parametrize(
    ("present", "given_weights", "says"),
    [
        (THIRDS, {"white": 60, "red": 50}, "adds up to 110"),
        (THIRDS, {"white": 0, "blue": 0, "red": 0}, "leaves no target with a weight above 0"),
        ({"blue": 100, "red": 0}, {"blue": 90}, "leaves 10 % for red, which is at 0 now"),
    ],
)
def test_what_cannot_be_shared_is_refused_with_a_way_out(
    present: dict[str, int], given_weights: dict[str, int], says: str
) -> None:
    with pytest.raises(Usage, match=says) as refused:
        rescaled(present, given_weights)
    assert refused.value.fix


weights = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 100), min_size=1)


@given(weights, weights)
def test_weights_are_always_ones_that_app_mesh_takes(
    present: dict[str, int], given_weights: dict[str, int]
) -> None:
    try:
        after = rescaled(present, given_weights)
    except Usage:
        return
    assert set(after) == {*present, *given_weights}
    assert all(0 <= weight <= 100 for weight in after.values())
    assert 0 < sum(after.values()) <= 100
    assert all(after[name] == weight for name, weight in given_weights.items())
    if set(present) - set(given_weights):
        assert sum(after.values()) == 100
        off = {name for name, weight in present.items() if not weight} - set(given_weights)
        assert all(after[name] == 0 for name in off)


@given(weights)
def test_the_same_weights_in_the_same_proportion_stay_what_they_are(
    present: dict[str, int],
) -> None:
    if sum(present.values()) == 100 and len(present) > 1:
        name = next(iter(present))
        assert rescaled(present, {name: present[name]}) == present


def test_a_share_comes_with_its_margin() -> None:
    shares = observed({"white": 0, "blue": 100, "red": 100})
    assert shares["blue"].percent == 50
    assert 6 < shares["blue"].margin < 8
    assert shares["white"].percent == 0
    assert 0 < shares["white"].margin < 2


def test_nothing_observed_is_no_share_of_anything() -> None:
    assert observed({"a": 0})["a"].requests == 0


def test_a_counter_that_went_back_started_anew() -> None:
    assert difference({"a": 10, "b": 50}, {"a": 15, "b": 4, "c": 3}) == {"a": 5, "b": 4, "c": 3}
