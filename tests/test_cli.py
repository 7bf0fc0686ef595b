"""The whole command line against a real control plane in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
COLOR_APP = ROOT / "examples" / "colorapp" / "weft.yaml"
MESH = "my-first-appmesh"
DEADLINE_SECONDS = 60

Run = subprocess.CompletedProcess[str]
Weft = Callable[..., Run]


def environment(**more: str) -> dict[str, str]:
    """As a new terminal has it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    own = (str(ROOT / "src"), os.environ.get("PYTHONPATH", ""))
    kept["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, own)), **more}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A control plane with Color App, at ports of the system's choice."""
    data = tmp_path_factory.mktemp("data")
    flags = ["--api", "127.0.0.1:0", "--xds", "127.0.0.1:0", "--data", str(data)]
    with subprocess.Popen(
        [sys.executable, "-m", "weft", "serve", *flags],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as server:
        assert server.stdout is not None
        try:
            said = server.stdout.readline()
            found = re.search(r"http://[0-9.:]+", said)
            assert found, said
            yield found[0]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(DEADLINE_SECONDS)
    assert server.returncode == 0


@pytest.fixture
def weft(endpoint: str, tmp_path: Path) -> Weft:
    def run(*arguments: str, stdin: str | None = None) -> Run:
        return subprocess.run(
            [sys.executable, "-m", "weft", *arguments],
            capture_output=True,
            text=True,
            input=stdin,
            env=environment(WEFT_ENDPOINT=endpoint, XDG_STATE_HOME=str(tmp_path)),
            timeout=DEADLINE_SECONDS,
        )

    return run


@pytest.fixture
def color_app(weft: Weft) -> None:
    """Color App as its file says."""
    assert weft("apply", "-f", str(COLOR_APP)).returncode == 0


def weights(weft: Weft) -> dict[str, int]:
    route = json.loads(weft("get", "route", "colorteller-route", "-o", "json").stdout)
    targets = route["spec"]["httpRoute"]["action"]["weightedTargets"]
    return {target["virtualNode"]: target["weight"] for target in targets}


def revision(weft: Weft) -> int:
    return int(json.loads(weft("status", "-o", "json").stdout)["revision"])


def test_a_mesh_is_applied_looked_at_split_and_reverted(weft: Weft, color_app: None) -> None:
    assert "11 unchanged" in weft("apply", "-f", str(COLOR_APP)).stdout
    assert weft("diff", "-f", str(COLOR_APP)).returncode == 0
    before = weights(weft)

    ran = weft("split", "color", "white=0")
    assert (ran.returncode, ran.stderr.splitlines()[-1:]) == (
        0,
        ["observed: no connected proxy sends to these targets yet"],
    )
    assert list(weights(weft).values()) == [0, 50, 50]
    at = revision(weft)
    assert f"saved as revision {at}; undo: weft revert {at}" in ran.stdout

    changed = weft("change", str(at)).stdout
    assert "note      weft split colorteller.myapp.local white=0" in changed
    assert "weightedTargets[0].weight  1 → 0" in changed

    ran = weft("diff", "-f", str(COLOR_APP))
    assert ran.returncode == 1
    assert "route/colorteller-vr/colorteller-route  changed" in ran.stdout

    assert weft("revert", str(at), "--wait").returncode == 0
    assert weights(weft) == before
    assert weft("wait", str(at + 1)).returncode == 0


@pytest.mark.parametrize("form", ["weft", "cli", "k8s"])
def test_a_mesh_that_was_exported_changes_nothing_when_it_is_applied(
    weft: Weft, color_app: None, tmp_path: Path, form: str
) -> None:
    for place in (f"{tmp_path}/one.{'json' if form == 'cli' else 'yaml'}", f"{tmp_path}/many/"):
        ran = weft("export", "--format", form, "-o", place)
        assert ran.returncode == 0, ran.stderr
        ran = weft("apply", "-f", place)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "11 unchanged" in ran.stdout


def test_prune_takes_what_left_the_file_and_an_export_brings_it_back(
    weft: Weft, color_app: None, tmp_path: Path
) -> None:
    lone = {"meshName": MESH, "virtualNodeName": "lone-vn", "spec": {}}
    label = ("--label", "owner=this-test")
    assert weft("apply", "-f", "-", *label, stdin=json.dumps(lone)).returncode == 0
    at = revision(weft)
    other = json.dumps({**lone, "virtualNodeName": "next-vn"})

    ran = weft("apply", "-f", "-", *label, "--prune", "--dry-run", stdin=other)
    assert "- virtualNode/lone-vn  deleted" in ran.stdout
    assert revision(weft) == at
    assert weft("apply", "-f", "-", *label, "--prune", stdin=other).returncode == 0
    assert "lone-vn" not in weft("get", "vn").stdout
    past = weft("export", "--revision", str(at)).stdout
    assert weft("apply", "-f", "-", stdin=past).returncode == 0
    assert "lone-vn" in weft("get", "vn").stdout
    weft("delete", "vn", "lone-vn", "next-vn", "--yes")


def test_what_later_changes_build_on_is_not_reverted(weft: Weft, color_app: None) -> None:
    weft("split", "color", "white=10", "--no-wait")
    at = revision(weft)
    weft("split", "color", "white=20", "--no-wait")
    ran = weft("revert", str(at))
    assert ran.returncode == 5
    assert str(at + 1) in ran.stderr


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("mesh", MESH),
        ("vn", "tcpecho-vn"),
        ("vs", "colorteller.myapp.local"),
        ("vr", "colorteller-vr"),
        ("route", "colorteller-route"),
    ],
)
def test_every_kind_is_listed_described_and_found_by_its_key(
    weft: Weft, color_app: None, kind: str, name: str
) -> None:
    assert name in weft("get", kind).stdout
    keys = weft("get", kind, "-o", "name").stdout.split()
    (key,) = [key for key in keys if key.endswith(f"/{name}")]
    described = weft("describe", key, "-o", "json")
    assert json.loads(described.stdout)["key"] == key
    assert f"key      {key}" in weft("describe", kind, name).stdout


@pytest.mark.parametrize("kind", ["vg", "gwr", "proxies", "instances"])
def test_what_there_is_none_of_is_an_empty_list(weft: Weft, color_app: None, kind: str) -> None:
    ran = weft("get", kind)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_what_was_read_can_be_applied_again(weft: Weft, color_app: None) -> None:
    listed = yaml.safe_load(weft("get", "routes", "-o", "yaml").stdout)["resources"]
    kept = ("kind", "meshName", "virtualRouterName", "routeName", "spec")
    resources = [{name: each[name] for name in kept} for each in listed]
    ran = weft("apply", "-f", "-", stdin=yaml.safe_dump({"resources": resources}))
    assert (ran.returncode, "1 unchanged" in ran.stdout) == (0, True), ran.stderr


def test_every_mistake_of_a_file_is_named_with_its_line_and_nothing_is_written(
    weft: Weft, color_app: None, tmp_path: Path
) -> None:
    route = {
        "meshName": MESH,
        "virtualRouterName": "colorteller-vr",
        "routeName": "colorteller-route",
        "spec": {
            "httpRoute": {
                "match": {"prefix": "no-slash"},
                "action": {"weightedTargets": [{"virtualNode": "nobody-vn", "weight": 200}]},
            }
        },
    }
    file = tmp_path / "route.json"
    file.write_text(json.dumps(route, indent=2))
    at = revision(weft)
    ran = weft("apply", "-f", str(file))
    assert ran.returncode == 6
    assert f"{file}:" in ran.stderr
    assert "prefix" in ran.stderr
    assert "weight" in ran.stderr
    assert revision(weft) == at


def test_what_is_in_use_stays_and_what_is_not_goes(weft: Weft, color_app: None) -> None:
    ran = weft("delete", "vn", "colorteller-white-vn", "--yes")
    assert ran.returncode == 5
    ran = weft("delete", "vn", "colorteller-black-vn", "--yes", "--wait")
    assert ran.returncode == 0, ran.stderr
    assert weft("get", "vn", "colorteller-black-vn").returncode == 3
    assert weft("revert", str(revision(weft))).returncode == 0
    assert weft("get", "vn", "colorteller-black-vn").returncode == 0


def test_why_names_the_route_and_the_hidden_defaults(weft: Weft, color_app: None) -> None:
    ran = weft("why", "color", "--from", "gateway", "--path", "/x", "-H", "a: b")
    assert ran.returncode == 0, ran.stderr
    assert "colorteller-route" in ran.stdout
    assert "15s  (App Mesh's default)" in ran.stdout


def test_waiting_for_a_revision_that_is_not_there_is_3(weft: Weft) -> None:
    ran = weft("wait", "999999")
    assert ran.returncode == 3
    assert "there is no revision 999999" in ran.stderr


def test_a_shell_that_evaluates_env_has_an_aws_cli_that_works(
    endpoint: str, color_app: None, tmp_path: Path
) -> None:
    route = (
        f"--mesh-name {MESH} --virtual-router-name colorteller-vr --route-name colorteller-route"
    )
    script = f"""
        weft() {{ "{sys.executable}" -m weft "$@"; }}
        eval "$(weft env --data '{tmp_path}/data')"
        aws appmesh list-meshes --query 'meshes[].meshName' --output text
        aws --profile default appmesh describe-route {route} --query route.routeName --output text
        weft get meshes -o name
    """
    ran = subprocess.run(
        ["/bin/sh", "-e", "-c", script],
        capture_output=True,
        text=True,
        env=environment(WEFT_ENDPOINT=endpoint, AWS_PROFILE="default", HOME=str(tmp_path)),
        timeout=DEADLINE_SECONDS,
    )
    assert (ran.stderr, ran.returncode) == ("", 0)
    assert ran.stdout.split() == [MESH, "colorteller-route", f"mesh/{MESH}"]


def test_a_taken_port_is_a_clear_error(endpoint: str, tmp_path: Path) -> None:
    taken = endpoint.removeprefix("http://")
    ran = subprocess.run(
        [sys.executable, "-m", "weft", "serve", "--api", taken, "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=DEADLINE_SECONDS,
    )
    assert ran.returncode == 1
    assert taken.rpartition(":")[2] in ran.stderr
    assert "--api" in ran.stderr
    assert "Traceback" not in ran.stderr
