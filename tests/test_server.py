"""``weft serve`` as a process: what it says when it cannot start, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo import DEADLINE_SECONDS, get, wait_for


def serve(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "weft", "serve", "--data", str(directory), *arguments]
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


ANY = ("--api", "127.0.0.1:0", "--xds", "127.0.0.1:0")


def refused(directory: Path, *arguments: str) -> str:
    process = serve(directory, *arguments)
    _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode != 0
    assert "Traceback" not in errors
    return errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_when_told(tmp_path: Path, number: int) -> None:
    process = serve(tmp_path, *ANY)
    found = wait_for(lambda: (tmp_path / "serve.json").exists(), "the control plane is up")
    addresses = json.loads((tmp_path / "serve.json").read_text())
    port = int(addresses["api"].rpartition(":")[2])
    assert found
    assert get(port, "/weft/v1/status")[0] == 200

    process.send_signal(number)
    said, _ = process.communicate(timeout=DEADLINE_SECONDS)

    assert process.returncode == 0
    assert addresses["api"] in said
    assert not (tmp_path / "serve.json").exists()


@pytest.mark.parametrize("flag", ["--api", "--xds"])
def test_a_taken_port_is_named_with_its_flag(tmp_path: Path, flag: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        errors = refused(tmp_path, *ANY, flag, address)

    assert address.rpartition(":")[2] in errors
    assert flag in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--api", "nowhere"), "--api is 'nowhere', which is not an address"),
        (("--api", "unix:/tmp/x"), "not served on a Unix socket"),
        (("--account", "12"), "12 digits"),
        (("--xds", "127.0.0.1:99999"), "--xds"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(
    tmp_path: Path, arguments: tuple[str, str], words: str
) -> None:
    assert words in refused(tmp_path, *ANY, *arguments)


def test_a_data_directory_in_use_is_named_with_the_process(tmp_path: Path) -> None:
    process = serve(tmp_path, *ANY)
    try:
        wait_for(lambda: (tmp_path / "serve.json").exists(), "the control plane is up")
        assert f"in use by process {process.pid}" in refused(tmp_path, *ANY)
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_SECONDS)


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert "cannot be written" in refused(tmp_path / "file", *ANY)
