"""Every error says what is wrong, why, and what to do; and ends with its number."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import ControlPlane
from weft import errors
from weft.cli.exits import MEANINGS, Exit, exit_of, lines_of


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_without_a_control_plane_it_says_so_and_how_to_get_one(weft: Weft) -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"
    ran = weft("status", "--endpoint", endpoint)
    assert ran.code == 8
    assert ran.out == ""
    assert ran.err.splitlines() == [
        f"error: no control plane at {endpoint}",
        "cause: connection refused",
        "fix:   weft up, or --endpoint",
    ]


def test_something_else_at_the_port_is_no_control_plane(weft: Weft, plane: ControlPlane) -> None:
    plane.tell("GET", "/weft/v1/status", (200, b"<html>hello</html>"))
    ran = weft("status")
    assert ran.code == 8
    assert "is no control plane" in ran.err
    assert "cause: it answered 200 with text/html" in ran.err


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (404, "NotFoundException", 3),
        (403, "ForbiddenException", 4),
        (409, "ConflictException", 5),
        (409, "ResourceInUseException", 5),
        (400, "BadRequestException", 6),
        (400, "LimitExceededException", 6),
        (400, "TooManyTagsException", 6),
        (504, "TimedOut", 7),
        (503, "ServiceUnavailableException", 8),
        (409, "Rejected", 1),
        (500, "InternalServerErrorException", 1),
        (404, "SomethingNew", 3),
    ],
)
def test_what_the_control_plane_refuses_decides_the_exit_code(
    weft: Weft, plane: ControlPlane, status: int, code: str, exit_code: int
) -> None:
    plane.refuse("GET", "/weft/v1/status", status, code, "no, and here is why", fix="do that")
    ran = weft("status")
    assert ran.code == exit_code
    assert ran.err.splitlines() == ["error: no, and here is why", "fix:   do that"]


def test_a_control_plane_of_another_version_is_said_to_be_one(
    weft: Weft, plane: ControlPlane
) -> None:
    message = "no operation has the path /weft/v1/status"
    plane.refuse("GET", "/weft/v1/status", 404, "UnknownOperationException", message, fix="x")
    ran = weft("status")
    assert ran.code == 1
    assert ran.err.splitlines() == [
        f"error: this control plane cannot do that: {message}",
        "fix:   weft version",
    ]


def test_every_problem_of_a_request_is_shown(weft: Weft, plane: ControlPlane) -> None:
    problems = [{"path": "spec.a", "message": "is wrong"}, {"path": "spec.b", "message": "too"}]
    plane.refuse("GET", "/weft/v1/status", 400, "BadRequestException", "", problems=problems)
    ran = weft("status")
    assert ran.code == 6
    assert ran.err.splitlines() == [
        "error: 2 problems; nothing is written",
        "cause: spec.a: is wrong",
        "       spec.b: too",
    ]


def test_every_error_has_an_exit_code_that_is_explained() -> None:
    def below(kind: type[errors.WeftError]) -> set[type[errors.WeftError]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    for kind in below(errors.WeftError):
        # The API's edge has errors of its own, which no client ever raises.
        if kind.__module__ == errors.__name__ and not issubclass(kind, errors.Invalid):
            assert exit_of(kind("x")) in MEANINGS
    assert set(MEANINGS) == set(Exit)


def test_the_cause_is_the_systems_own_words() -> None:
    error = errors.Unreachable("nobody there")
    error.__cause__ = ConnectionResetError(104, "Connection reset by peer")
    assert ("cause:", "connection reset by peer") in lines_of(error)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("gett", "get"), ("spilt", "split"), ("aply", "apply"), ("chnages", "changes")],
)
def test_an_unknown_command_names_the_one_that_was_meant(
    weft: Weft, typed: str, meant: str
) -> None:
    ran = weft(typed)
    assert ran.code == 2
    assert f"did you mean '{meant}'?" in ran.err


def test_an_unknown_option_is_a_usage_error_without_a_traceback(weft: Weft) -> None:
    ran = weft("get", "routes", "--colour")
    assert ran.code == 2
    assert ran.err.startswith("error: No such option")
    assert "fix:   weft get --help" in ran.err


def test_an_endpoint_that_is_none_is_a_usage_error(weft: Weft) -> None:
    ran = weft("status", "--endpoint", "ftp://x")
    assert ran.code == 2
    assert "is not an address of a control plane" in ran.err


def test_several_meshes_are_listed_when_none_is_named(weft: Weft, plane: ControlPlane) -> None:
    plane.resources.append({**plane.resources[0], "meshName": "other", "key": "mesh/other"})
    ran = weft("get", "routes")
    assert ran.code == 2
    assert ran.err.splitlines()[0] == "error: there are 2 meshes: shop, other"
    assert "--mesh" in ran.err
    assert weft("get", "routes", "--mesh", "shop").code == 0


def test_the_variable_names_the_mesh_and_the_flag_wins(
    weft: Weft, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFT_MESH", "elsewhere")
    assert weft("get", "routes").out == ""
    assert "teller-route" in weft("get", "routes", "--mesh", "shop").out
    assert "teller-route" in weft("--mesh", "shop", "get", "routes").out


def test_a_reader_that_leaves_is_no_error(weft: Weft, plane: ControlPlane) -> None:
    read, write = os.pipe()
    os.close(read)
    code = "import sys; from weft.cli.main import main; sys.exit(main())"
    with os.fdopen(write, "w") as gone:
        ended = subprocess.run(
            [sys.executable, "-c", code, "get", "routes"],
            stdout=gone,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            timeout=60,
        )
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_ctrl_c_ends_with_130_and_says_what_stays(weft: Weft, plane: ControlPlane) -> None:
    # Whoever starts the tests in the background has them ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    plane.tell("GET", "/weft/v1/wait", interrupt)
    try:
        ran = weft("wait")
    finally:
        signal.signal(signal.SIGINT, before)
    assert ran.code == 130
    assert "interrupted; what was saved before stays" in ran.err
