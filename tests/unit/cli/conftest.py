"""A scripted control plane, and the command line run against it in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.cli.control_plane import ControlPlane, color_app, serving
from weft.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def words(self) -> str:
        """Everything it said, without line breaks."""
        return " ".join((self.out + self.err).split())


Weft = Callable[..., Ran]


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    with serving(ControlPlane(color_app())) as found:
        found.tell("GET", "/weft/v1/proxies", {"revision": 7, "proxies": []})
        found.tell("GET", "/weft/v1/policies", {"revision": 7, "policies": []})
        yield found


@pytest.fixture
def weft(
    plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Weft:
    for name in ("WEFT_MESH", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEFT_ENDPOINT", plane.endpoint)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run
