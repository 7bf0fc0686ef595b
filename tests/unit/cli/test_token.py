"""``token``: over the API, and on a data directory while nobody serves it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import ControlPlane

TOLD = {
    "accessKeyId": "WEFTX",
    "name": "ci",
    "account": "123456789012",
    "role": "viewer",
    "proxies": [],
    "createdAt": "2026-01-01T00:00:00.000Z",
    "createdBy": "ana",
    "expiresAt": None,
    "expired": False,
    "yours": False,
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of a control plane that does not run."""
    monkeypatch.delenv("WEFT_ENDPOINT")
    return tmp_path / "data"


def test_the_control_plane_is_asked_and_its_answer_shown_once(
    weft: Weft, plane: ControlPlane
) -> None:
    plane.tell("POST", "/weft/v1/tokens", {**TOLD, "secretAccessKey": "s3", "token": "weft_t"})
    done = weft("token", "create", "--name", "ci", "--role", "viewer", "--expires", "90d")
    assert done.code == 0
    for proof in ("WEFTX", "s3", "weft_t"):
        assert proof in done.out
    assert "Shown this once" in done.err
    (asked,) = [each for each in plane.requests if each.method == "POST"]
    assert asked.body == {"name": "ci", "role": "viewer", "expiresInSeconds": 90 * 86400}


def test_every_credential_but_our_own_is_revoked_before_it(weft: Weft, plane: ControlPlane) -> None:
    tokens = [{**TOLD, "name": "a", "yours": True}, {**TOLD, "name": "b"}]
    plane.tell("GET", "/weft/v1/tokens", {"tokens": tokens})
    for each in tokens:
        plane.tell("DELETE", f"/weft/v1/tokens/{each['name']}", each)
    assert weft("token", "revoke", "--all").code == 0
    asked = [each.path for each in plane.requests if each.method == "DELETE"]
    assert asked == ["/weft/v1/tokens/b", "/weft/v1/tokens/a"]


def test_the_first_credential_is_made_before_anything_runs(weft: Weft, data: Path) -> None:
    made = weft(
        "token", "create", "--name", "me", "--role", "admin", "--data", str(data), "-o", "json"
    )
    assert made.code == 0
    issued = json.loads(made.out)
    assert issued["token"].startswith("weft_")
    listed = weft("token", "list", "--data", str(data))
    assert issued["accessKeyId"] in listed.out
    assert issued["token"] not in listed.out
    assert issued["secretAccessKey"] not in listed.out
    again = weft("token", "create", "--name", "me", "--role", "admin", "--data", str(data))
    assert (again.code, "named me already" in again.err) == (5, True)


def test_what_is_lost_can_be_revoked_without_its_key(weft: Weft, data: Path) -> None:
    for name in ("one", "two"):
        weft("token", "create", "--name", name, "--role", "admin", "--data", str(data))
    (data / "credentials.key").unlink()
    refused = weft("token", "create", "--name", "3", "--role", "admin", "--data", str(data))
    assert "weft token revoke --all" in refused.err
    assert weft("token", "revoke", "--all", "--data", str(data)).code == 0
    assert weft("token", "list", "--data", str(data)).out == ""
    made = weft("token", "create", "--name", "3", "--role", "admin", "--data", str(data))
    assert made.code == 0


def test_every_mistake_is_told_before_anything_is_kept(weft: Weft, data: Path) -> None:
    done = weft(
        *("token", "create", "--name", "a b", "--role", "proxy", "--proxy", "x"),
        *("--account", "1", "--data", str(data)),
    )
    assert done.code == 6
    for place in ("name:", "account:", "proxies[0]:"):
        assert place in done.err


def test_an_endpoint_that_was_given_and_does_not_answer_is_not_passed_over(weft: Weft) -> None:
    done = weft("token", "list", "--endpoint", "http://127.0.0.1:9")
    assert done.code == 8


def test_one_credential_or_all_of_them(weft: Weft) -> None:
    assert weft("token", "revoke").code == 2
    assert weft("token", "revoke", "x", "--all").code == 2


def test_a_token_comes_from_a_flag_a_variable_or_a_file(
    weft: Weft, plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.tell("GET", "/weft/v1/tokens", {"tokens": []})
    file = tmp_path / "token"
    file.write_text("weft_file\n")

    def sent(*arguments: str) -> str | None:
        assert weft("token", "list", *arguments).code == 0
        return plane.requests[-1].authorization

    assert sent() is None
    assert sent("--token", "weft_flag") == "Bearer weft_flag"
    assert sent("--token-file", str(file)) == "Bearer weft_file"
    monkeypatch.setenv("WEFT_TOKEN_FILE", str(file))
    assert sent() == "Bearer weft_file"
    monkeypatch.setenv("WEFT_TOKEN", "weft_variable")
    assert sent() == "Bearer weft_variable"
    assert sent("--token-file", str(file)) == "Bearer weft_file"
    file.write_text("")
    assert weft("token", "list", "--token-file", str(file)).code == 2


def test_a_token_that_can_be_read_on_the_way_is_warned_of(weft: Weft) -> None:
    done = weft("token", "list", "--endpoint", "http://mesh.invalid:1", "--token", "t")
    assert "without TLS" in done.err
