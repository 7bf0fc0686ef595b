"""What a duration means: a time, off, or not given."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from weft.errors import Invalid
from weft.ir.route import After, Disabled, Timeout
from weft.model.codec import decode_as
from weft.model.listener import Duration
from weft.resolve.timeouts import PER_REQUEST, timeout


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ({"unit": "s", "value": 5}, After(timedelta(seconds=5))),
        ({"unit": "ms", "value": 5}, After(timedelta(milliseconds=5))),
        ({"unit": "s", "value": 0}, Disabled()),
        # Terraform's provider sends a value of 0 like this.
        ({"unit": "s"}, Disabled()),
        ({}, PER_REQUEST),
    ],
)
def test_a_duration_is_a_time_or_off_or_not_given(sent: Any, meant: Timeout) -> None:
    assert timeout(decode_as(Duration, sent), PER_REQUEST) == meant


def test_a_value_without_a_unit_is_no_duration() -> None:
    with pytest.raises(Invalid, match="unit: is missing"):
        decode_as(Duration, {"value": 5})
