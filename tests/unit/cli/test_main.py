"""The command line itself: quick, complete, and the same in every shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import ControlPlane, proxy
from weft.cli.commands import ENTRIES
from weft.cli.exits import Exit
from weft.cli.main import weft as group
from weft.cli.render import Cell, Column, Paint, Role, Table

HEAVY = ("http.client", "yaml", "rich", "pydantic", "grpc", "sqlalchemy", "starlette", "asyncio")


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        timeout=60,
    )


def test_help_imports_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys; from weft.cli.main import main; code = main(['--help']); "
        f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    ran = python(code)
    assert (ran.returncode, ran.stderr.strip()) == (0, "[]")
    assert all(f"  {name} " in ran.stdout for name in ENTRIES)


@pytest.mark.parametrize("name", list(ENTRIES))
def test_the_list_says_what_the_command_says_of_itself(name: str) -> None:
    context = click.Context(group, info_name="weft")
    command = group.get_command(context, name)
    assert command is not None
    assert command.name == name
    assert command.help is not None
    first = " ".join(command.help.strip().split("\n\n")[0].split())
    assert first == ENTRIES[name].help


@pytest.mark.parametrize("name", list(ENTRIES))
def test_every_command_and_option_has_help(name: str) -> None:
    command = group.get_command(click.Context(group, info_name="weft"), name)
    assert command is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.opts


def test_help_of_topics(weft: Weft) -> None:
    codes = weft("help", "exit-codes").out
    assert all(f"{code.value:>3}  " in codes for code in Exit)
    variables = weft("help", "environment").out
    assert "WEFT_ENDPOINT" in variables
    assert "WEFT_MESH" in variables
    assert weft("help", "split").out.startswith("Usage: weft split")
    assert "weft sidecar --help" in weft("help", "sidecar").out
    ran = weft("help", "exit-code")
    assert (ran.code, "weft help exit-codes" in ran.err) == (2, True)


def test_without_a_command_it_helps(weft: Weft) -> None:
    ran = weft()
    assert ran.code == 0
    assert ran.out.startswith("Usage: weft")


def test_version_knows_both_ends_and_warns_when_they_differ(
    weft: Weft, plane: ControlPlane
) -> None:
    plane.tell("GET", "/weft/v1/status", {"version": "99.0"})
    ran = weft("version")
    assert "control plane 99.0" in ran.out
    assert "warning: this client is" in ran.err
    assert json.loads(weft("version", "-o", "json").out)["control_plane"] == "99.0"
    ran = weft("version", "--endpoint", "http://127.0.0.1:1")
    assert (ran.code, "control plane none" in ran.out) == (0, True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(weft: Weft, shell: str) -> None:
    assert "_WEFT_COMPLETE" in weft("completion", shell).out


def test_a_shell_is_given_completions() -> None:
    ran = python(
        "import sys; from weft.cli.main import main; sys.exit(main())",
        _WEFT_COMPLETE="bash_complete",
        COMP_WORDS="weft get virtual-r",
        COMP_CWORD="2",
    )
    assert (ran.stdout, ran.stderr) == ("plain,virtual-routers\n", "")


def test_completion_knows_live_names(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.cli.completing._PATIENCE", 30.0)
    monkeypatch.setenv("WEFT_ENDPOINT", plane.endpoint)
    plane.tell("GET", "/weft/v1/proxies", {"revision": 7, "proxies": [proxy("g-1")]})

    def completed(*words: str) -> list[str]:
        *before, incomplete = words
        found = ShellComplete(group, {}, "weft", "_WEFT_COMPLETE")
        return [item.value for item in found.get_completions(before, incomplete)]

    assert completed("spl") == ["split"]
    assert completed("describe", "vn", "teller-b") == ["teller-black-vn", "teller-blue-vn"]
    assert completed("get", "proxies", "") == ["g-1"]
    assert completed("split", "te") == ["teller.local"]
    assert completed("get", "nonsense", "x") == []
    monkeypatch.setenv("WEFT_ENDPOINT", "http://127.0.0.1:1")
    assert completed("split", "te") == []


@pytest.mark.parametrize(
    ("environment", "arguments", "coloured"),
    [
        ({}, (), False),
        ({}, ("--color", "always"), True),
        ({"FORCE_COLOR": "1"}, (), True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, (), False),
        ({"FORCE_COLOR": "1"}, ("--color", "never"), False),
    ],
)
def test_colours_are_for_terminals_unless_asked_for(
    weft: Weft,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    arguments: tuple[str, ...],
    coloured: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in weft("get", "vn", *arguments).out) is coloured


def test_numbers_stand_right_and_free_text_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    paint = Paint(sys.stdout, "never", {"COLUMNS": "40"})
    table = Table((Column("NAME"), Column("N", right=True), Column("TEXT", free=True)))
    table.rows = [
        ("a-name-that-stays", 7, "words that may well be cut off"),
        (Cell(("b",), Role.OK), 123, None),
    ]
    lines = table.lines(paint)
    assert lines[0] == "NAME                 N  TEXT"
    assert lines[1].startswith("a-name-that-stays    7  words")
    assert max(map(len, lines)) <= 40
    assert lines[2] == "b                  123"
