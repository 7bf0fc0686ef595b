"""Parts: computed once, dropped with the facts they rest on, forgotten with their last user."""

from __future__ import annotations

import pytest

from tests.builders import state_from
from weft.names import Key, Kind
from weft.resolve.reading import Parts, Reading, children_of, instances_of

STATE = state_from({"nodes": {"a": {}, "b": {}}})
WITHOUT_A = state_from({"nodes": {"b": {}}})
A, B = (Key("shop", Kind.VIRTUAL_NODE, name) for name in "ab")


class Computed:
    """Parts that count how often they are computed."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}

    def inner(self, reading: Reading, key: Key) -> str:
        self._count(f"inner {key.name}")
        return key.name if reading.resource(key) else "nobody"

    def outer(self, reading: Reading, key: Key) -> str:
        self._count(f"outer {key.name}")
        return "of " + reading.part(self.inner, key)

    def other(self, reading: Reading, key: Key) -> str:
        return reading.part(self.inner, key) + "'s"

    def fickle(self, reading: Reading, key: Key) -> str:
        return reading.part(self.outer, key) if reading.resource(key) else "nobody"

    def failing(self, reading: Reading) -> str:
        self._count("failing")
        reading.resource(A)
        raise ValueError("no")

    def _count(self, what: str) -> None:
        self.times[what] = self.times.get(what, 0) + 1


def test_a_part_is_computed_once_and_shared() -> None:
    computed, parts = Computed(), Parts()
    assert Reading(STATE, parts).part(computed.inner, A) == "a"
    assert Reading(STATE, parts).part(computed.outer, A) == "of a"
    assert computed.times == {"inner a": 1, "outer a": 1}


def test_a_touched_fact_drops_what_rests_on_it_through_other_parts_and_nothing_else() -> None:
    computed, parts = Computed(), Parts()
    for key in (A, B):
        Reading(STATE, parts).part(computed.outer, key)

    assert set(parts.drop([A])) == {(computed.inner, (A,)), (computed.outer, (A,))}
    for key in (A, B):
        Reading(WITHOUT_A, parts).part(computed.outer, key)
    assert computed.times == {"inner a": 2, "outer a": 2, "inner b": 1, "outer b": 1}


def test_a_doubt_ends_at_a_part_that_turns_out_the_same() -> None:
    computed, parts = Computed(), Parts()
    Reading(STATE, parts).part(computed.outer, A)
    parts.drop([A])

    assert Reading(STATE, parts).part(computed.outer, A) == "of a"
    assert computed.times == {"inner a": 2, "outer a": 1}
    assert set(parts.drop([A])) == {(computed.inner, (A,)), (computed.outer, (A,))}


def test_a_part_that_became_another_is_news_to_all_who_use_it() -> None:
    computed, parts = Computed(), Parts()
    for function in (computed.outer, computed.other):
        Reading(STATE, parts).part(function, A)
    parts.drop([A])

    after = [Reading(WITHOUT_A, parts).part(f, A) for f in (computed.outer, computed.other)]
    assert after == ["of nobody", "nobody's"]


def test_what_a_part_no_longer_uses_is_forgotten() -> None:
    computed, parts = Computed(), Parts()
    assert Reading(STATE, parts).part(computed.fickle, A) == "of a"
    assert len(parts) == 3
    parts.drop([A])

    assert Reading(WITHOUT_A, parts).part(computed.fickle, A) == "nobody"
    assert len(parts) == 1
    assert parts.drop([A]) == [(computed.fickle, (A,))]


def test_a_fact_nobody_read_drops_nothing() -> None:
    computed, parts = Computed(), Parts()
    Reading(STATE, parts).part(computed.outer, A)
    assert parts.drop([B, instances_of(A), children_of(A, Kind.ROUTE)]) == []


def test_a_failure_stands_until_a_fact_that_led_to_it_changes() -> None:
    computed, parts = Computed(), Parts()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            Reading(STATE, parts).part(computed.failing)
    assert computed.times == {"failing": 1}
    assert parts.drop([A]) == [(computed.failing, ())]


def test_a_forgotten_part_takes_with_it_what_only_it_used() -> None:
    computed, parts = Computed(), Parts()
    for key in (A, B):
        Reading(STATE, parts).part(computed.outer, key)
    parts.forget((computed.outer, (A,)))
    assert len(parts) == 2
    parts.forget((computed.outer, (A,)))
    parts.forget((computed.outer, (B,)))
    assert len(parts) == 0
    assert parts.drop([A, B]) == []


def test_instances_and_children_are_facts_of_their_own() -> None:
    reading = Reading(STATE)
    reading.instances_known(A)
    reading.children(Key.of_mesh("shop"), Kind.VIRTUAL_NODE)
    assert reading.reads == {
        instances_of(A),
        children_of(Key.of_mesh("shop"), Kind.VIRTUAL_NODE),
        A,
        B,
    }
