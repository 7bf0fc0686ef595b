"""The file that says that a proxy is ready."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from weft.errors import CannotStart
from weft.sidecar.ready_file import ReadyFile
from weft.sidecar.status import Standing

STANDING = Standing("mesh/m/virtualNode/n", "one", "explicit", {"egress": 1}, envoy={"pid": 7})


def test_it_says_who_and_where(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    path.write_text("left by another run")
    file = ReadyFile(str(path))
    assert not path.exists()
    file.tell(STANDING, "127.0.0.1:9")
    found = json.loads(path.read_text())

    assert (found["instance"], found["envoy"], found["status"]) == ("one", 7, "127.0.0.1:9")
    file.tell(replace(STANDING, envoy={"pid": 8}), "127.0.0.1:9")
    assert json.loads(path.read_text())["envoy"] == 8
    file.remove()
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_an_error_at_first_and_no_harm_later(
    tmp_path: Path,
) -> None:
    path = tmp_path / "there" / "ready.json"
    with pytest.raises(CannotStart, match="cannot be written"):
        ReadyFile(str(path)).tell(STANDING, "127.0.0.1:9")

    path.parent.mkdir()
    file = ReadyFile(str(path))
    file.tell(STANDING, "127.0.0.1:9")
    path.unlink()
    path.parent.rmdir()
    file.tell(replace(STANDING, envoy={"pid": 8}), "127.0.0.1:9")


def test_without_a_path_there_is_none() -> None:
    file = ReadyFile(None)
    file.tell(STANDING, "127.0.0.1:9")
    file.remove()
