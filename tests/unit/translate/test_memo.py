"""Translated once, shared by all who have an equal value, forgotten with the last of them."""

from __future__ import annotations

import gc

from weft.ir import cluster as ir
from weft.translate import endpoint
from weft.translate.memo import memoised


def assignment(port: int) -> ir.Assignment:
    return ir.Assignment("c", (ir.SocketAddress("127.0.0.1", port),))


def test_equal_values_share_their_bytes() -> None:
    one, other = assignment(1), assignment(1)
    assert one is not other
    assert endpoint.encoded(one) is endpoint.encoded(other)
    assert endpoint.encoded(one) is not endpoint.encoded(assignment(2))


def test_what_nobody_holds_is_forgotten() -> None:
    made: list[int] = []

    @memoised
    def translated(value: ir.Assignment) -> str:
        made.append(value.endpoints[0].port)
        return value.cluster

    held = assignment(1)
    translated(held)
    translated(assignment(2))
    gc.collect()
    translated(assignment(1))
    translated(assignment(2))
    assert made == [1, 2, 2]


def test_a_value_that_equals_another_has_its_hash() -> None:
    one, other = assignment(1), assignment(1)
    assert one == other
    assert hash(one) == hash(other) == hash(one)
    assert one != assignment(2)


def test_the_last_of_equal_values_still_has_what_the_first_had() -> None:
    first, second = assignment(1), assignment(1)
    told = endpoint.encoded(first)
    assert endpoint.encoded(second) is told
    del first
    gc.collect()

    assert endpoint.encoded(assignment(1)) is told
