"""``env``: settings that point AWS tools here, whatever was set before."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import ControlPlane
from weft.cli.env import keys_in, variables_for


@pytest.fixture
def up(plane: ControlPlane) -> ControlPlane:
    plane.tell("GET", "/weft/v1/status", {"version": "1", "region": "eu-north-1"})
    return plane


def evaluated(text: str, **environment: str) -> dict[str, str]:
    """What a shell has after it evaluated the text."""
    found = subprocess.run(
        ["/bin/sh", "-c", f"{text}\nenv -0"],
        capture_output=True,
        check=True,
        env={"PATH": os.environ["PATH"], **environment},
        timeout=60,
    )
    pairs = (each.split("=", 1) for each in found.stdout.decode().split("\0") if each)
    return {name: value for name, value in pairs}


def test_a_shell_that_evaluates_it_talks_to_this_control_plane(
    weft: Weft, up: ControlPlane, tmp_path: Path
) -> None:
    directory = tmp_path / "it's here"
    ran = weft("env", "--data", str(directory))
    assert (ran.code, ran.err) == (0, "")
    found = evaluated(ran.out, AWS_SESSION_TOKEN="old", AWS_PROFILE="default")
    assert found["AWS_ENDPOINT_URL"] == found["AWS_ENDPOINT_URL_APP_MESH"] == up.endpoint
    assert found["WEFT_ENDPOINT"] == up.endpoint
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "eu-north-1"
    assert found["AWS_DISABLE_HOST_PREFIX_INJECTION"] == "true"
    assert found["AWS_CONFIG_FILE"] == str(directory / "aws" / "config")


def test_a_strange_token_is_taken_back(
    weft: Weft, up: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "old")
    assert "AWS_SESSION_TOKEN" not in evaluated(weft("env").out, AWS_SESSION_TOKEN="old")


def test_the_profile_is_the_owners_alone_and_says_the_same(
    weft: Weft, up: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "team")
    weft("env", "--data", str(tmp_path / "data"))
    config, credentials = (tmp_path / "data" / "aws" / name for name in ("config", "credentials"))
    for path in (config, credentials):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = config.read_text()
    assert text.startswith(f"[default]\nregion = eu-north-1\nendpoint_url = {up.endpoint}\n")
    assert "[profile team]" in text
    assert "[team]" in credentials.read_text()


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("sh", "export AWS_REGION=eu-north-1"),
        ("fish", "set -gx AWS_REGION 'eu-north-1'"),
        ("powershell", "$Env:AWS_REGION = 'eu-north-1'"),
    ],
)
def test_every_shell_has_its_own_words(weft: Weft, up: ControlPlane, shell: str, line: str) -> None:
    assert line in weft("env", "--shell", shell).lines


def test_it_can_be_taken_back(weft: Weft, up: ControlPlane) -> None:
    text = weft("env").out + weft("env", "--unset").out
    assert not any(name.startswith(("AWS_", "WEFT_")) for name in evaluated(text))


def test_it_warns_when_nobody_answers_and_still_prints(weft: Weft) -> None:
    ran = weft("env", "--endpoint", "http://127.0.0.1:1")
    assert ran.code == 0
    assert ran.err.startswith("warning: no control plane at http://127.0.0.1:1; start one with")
    assert evaluated(ran.out)["AWS_REGION"] == "us-west-2"


def test_a_proxy_of_the_company_is_not_asked_for_this_machine(
    weft: Weft, up: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "intranet,localhost")
    assert evaluated(weft("env").out)["NO_PROXY"] == "intranet,localhost,127.0.0.1,::1"


def test_it_is_also_data(weft: Weft, up: ControlPlane) -> None:
    assert json.loads(weft("env", "-o", "json").out)["WEFT_ENDPOINT"] == up.endpoint


def test_a_directory_that_cannot_be_written_is_a_clear_error(
    weft: Weft, up: ControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ran = weft("env", "--data", str(tmp_path / "file"))
    assert ran.code == 1
    assert "cannot write the profile" in ran.err
    assert "--data" in ran.err


def test_an_access_key_of_ours_stays_and_of_anybody_else_s_none_is_taken_over() -> None:
    ours = {"AWS_ACCESS_KEY_ID": "WEFTABC", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert keys_in(ours) == ("WEFTABC", "secret")
    assert keys_in({**ours, "AWS_ACCESS_KEY_ID": "AKIAREAL"}) == ("weft", "weft")
    assert keys_in({}) == ("weft", "weft")


def test_the_authority_of_the_control_plane_is_told_to_the_aws_tools(tmp_path: Path) -> None:
    found = variables_for("https://localhost:7400", "us-west-2", tmp_path, {}, ca="/etc/ca.pem")
    assert found["AWS_CA_BUNDLE"] == found["WEFT_CA"] == "/etc/ca.pem"
