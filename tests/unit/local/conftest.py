"""Starts runners for tests, and sees that they end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.local.runner import Up


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(text: str = "", **flags: Any) -> Up:
        files = []
        if text:
            file = tmp_path / "weft.yaml"
            file.write_text(text)
            files = [str(file)]
        started.append(Up(flags.pop("data", tmp_path / "data"), files, **flags))
        return started[-1]

    yield start
    for each in started:
        each.close()
