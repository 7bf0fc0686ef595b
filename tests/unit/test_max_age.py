"""How old a proxy's stream may become, as it is set."""

from __future__ import annotations

from datetime import timedelta

import pytest

from weft.errors import CannotStart
from weft.settings import Settings


def read(text: str | None) -> timedelta | None:
    return Settings.read({"--xds-max-age": text}, {"HOME": "/home/op"}).xds_max_age


@pytest.mark.parametrize(
    ("text", "age"),
    [
        (None, None),
        ("never", None),
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
    ],
)
def test_an_age_is_a_time_or_never(text: str | None, age: timedelta | None) -> None:
    assert read(text) == age


@pytest.mark.parametrize("text", ["0s", "30", "-1m", "half an hour"])
def test_what_is_no_time_is_named(text: str) -> None:
    with pytest.raises(CannotStart, match="--xds-max-age is"):
        read(text)
