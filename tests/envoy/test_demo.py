"""The demo, from one command: what the article's operator does, on real Envoys."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo import DEADLINE_SECONDS, MESH, Demo, demo, descendants, get, wait_for
from tests.shares import assert_shares

pytestmark = pytest.mark.envoy

EXAMPLES = Path(os.environ.get("AWS_EXAMPLES", Path(__file__).parents[3] / "shared/aws-examples"))
UPDATES = EXAMPLES / "examples/apps/colorapp/servicemesh/config/update_routes"
EXPECTED = {
    "colorteller-route-black-100.json": {"black": 1.0},
    "colorteller-route-black-80-blue-20.json": {"black": 0.8, "blue": 0.2},
    "colorteller-route-blue-100.json": {"blue": 1.0},
    "colorteller-route-blue-80-red-20.json": {"blue": 0.8, "red": 0.2},
    "colorteller-route-red-100.json": {"red": 1.0},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo")) as started:
        yield started


def route(**weights: int) -> str:
    targets = [
        {"virtualNode": f"colorteller-{color}-vn", "weight": weight}
        for color, weight in weights.items()
    ]
    return json.dumps(
        {"httpRoute": {"action": {"weightedTargets": targets}, "match": {"prefix": "/"}}}
    )


def update_route(running: Demo, **weights: int) -> None:
    running.aws(
        "appmesh",
        "update-route",
        *("--mesh-name", MESH, "--virtual-router-name", "colorteller-vr"),
        *("--route-name", "colorteller-route", "--spec", route(**weights)),
    )
    running.run("wait")


def test_each_of_three_colours_gets_a_third_and_black_nothing(running: Demo) -> None:
    update_route(running, white=1, blue=1, red=1)

    assert_shares(running.colors(600), {"white": 1 / 3, "blue": 1 / 3, "red": 1 / 3})


def test_the_tcp_echo_answers_its_exact_line(running: Demo) -> None:
    assert get(running.gateway, "/tcpecho") == (
        200,
        "Response from tcpecho server: Welcome, you are connected to node "
        f"mesh/{MESH}/virtualNode/tcpecho-vn.\n",
    )


def test_the_statistics_can_be_cleared(running: Demo) -> None:
    running.colors(10)
    assert get(running.gateway, "/color/clear") == (200, "cleared")

    (share,) = json.loads(running.color_body())["stats"].values()
    assert share == 1


def test_white_at_zero_is_never_seen_once_wait_has_returned(running: Demo) -> None:
    update_route(running, white=1, blue=1, red=1)
    update_route(running, white=0, blue=1, red=1)

    assert_shares(running.colors(400), {"white": 0.0, "blue": 0.5, "red": 0.5})


@pytest.mark.skipif(not UPDATES.is_dir(), reason=f"AWS's example files are not at {UPDATES}")
@pytest.mark.parametrize("file", EXPECTED)
def test_the_update_files_of_the_example_behave_as_it_says(running: Demo, file: str) -> None:
    running.aws(
        *("appmesh", "update-route", "--mesh-name", MESH),
        *("--cli-input-json", f"file://{UPDATES / file}"),
    )
    running.run("wait")

    assert_shares(running.colors(300), EXPECTED[file])


def test_split_shifts_the_weights_and_says_what_was_observed(running: Demo) -> None:
    update_route(running, white=1, blue=1, red=1)
    done = running.run("split", "colorteller", "white=0")

    assert "delivered" in done.stdout + done.stderr
    assert_shares(running.colors(200), {"white": 0.0, "blue": 0.5, "red": 0.5})


def test_a_revert_brings_the_split_before_back(running: Demo) -> None:
    update_route(running, white=1)
    update_route(running, blue=1)
    newest = running.api_get("/weft/v1/changes?limit=1")["changes"][0]["revision"]

    running.run("revert", str(newest))
    running.run("wait")

    assert_shares(running.colors(20), {"white": 1.0})


def test_a_stopped_workload_stays_down_until_it_is_started(running: Demo) -> None:
    update_route(running, white=1)
    running.run("stop", "colorteller-white")
    assert "white" not in running.colors(3)

    running.run("start", "colorteller-white")
    wait_for(lambda: set(running.colors(5)) == {"white"}, "white answers again")


def test_with_reroute_a_colour_that_is_killed_or_stopped_costs_no_request(
    running: Demo,
) -> None:
    update_route(running, white=1, blue=1, red=1)
    running.run("policy", "set", f"mesh/{MESH}", "reroute=on", "--wait")
    (red,) = running.replicas("colorteller-red")
    os.kill(red["pid"], signal.SIGKILL)
    assert set(running.colors(150)) <= {"white", "blue", "red"}, "what died is left at once"

    running.run("stop", "colorteller-red")
    assert_shares(running.colors(150), {"white": 0.5, "blue": 0.5})
    told = running.run("why", "colorteller", "--from", "colorgateway").stdout
    assert "rerouted: 2 of 3 targets, colorteller-red-vn has no live instance" in told
    assert "colorteller-red-vn has no live instance" in running.run("status").stdout

    running.run("start", "colorteller-red")
    running.run("wait")
    assert_shares(running.colors(150), {"white": 1 / 3, "blue": 1 / 3, "red": 1 / 3})
    running.run("policy", "delete", f"mesh/{MESH}", "--wait")


def test_a_proxy_that_says_no_is_a_failure_that_wait_names(running: Demo) -> None:
    update_route(running, white=1, blue=1, red=1)
    node = ("--mesh-name", MESH, "--virtual-node-name", "colorgateway-vn")
    spec = running.aws("appmesh", "describe-virtual-node", *node)["virtualNode"]["spec"]
    # An operator that App Mesh's API takes and Envoy does not know.
    wrong = {"accessLog": {"file": {"path": "/dev/stdout", "format": {"text": "%NO_SUCH%"}}}}
    running.aws(
        *("appmesh", "update-virtual-node", *node),
        *("--spec", json.dumps({**spec, "logging": wrong})),
    )
    done = running.run("wait", check=False)

    assert done.returncode == 1
    assert "colorgateway-vn" in done.stderr
    assert "NO_SUCH" in done.stderr
    assert set(running.colors(20)) <= {"white", "blue", "red"}, "the last good one still serves"
    running.aws("appmesh", "update-virtual-node", *node, "--spec", json.dumps(spec))
    running.run("wait")


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_no_process_and_no_port(tmp_path: Path, number: int) -> None:
    with demo(tmp_path) as started:
        children = descendants(started.process.pid)
        assert len(children) >= 12, "control plane, six workloads, five sidecars and their Envoys"

        assert started.stop(number) == 0

        left = [pid for pid in children if _alive(pid)]
        assert not left, subprocess.run(["ps", "-fp", ",".join(map(str, left))], check=False)
        for port in (started.api, started.xds, started.gateway):
            with pytest.raises(OSError, match="refused"):
                get(port, "/")


def test_the_runner_killed_takes_everything_with_it(tmp_path: Path) -> None:
    with demo(tmp_path) as started:
        children = descendants(started.process.pid)
        started.process.kill()

        wait_for(lambda: not [p for p in children if _alive(p)], "all children are gone")


def test_a_demo_started_again_finds_what_was_left(tmp_path: Path) -> None:
    with demo(tmp_path) as first:
        update_route(first, blue=1)
    with demo(tmp_path) as second:
        assert set(second.colors(20)) == {"blue"}


def test_a_taken_port_is_named_with_its_flag(tmp_path: Path, running: Demo) -> None:
    other = Demo(tmp_path, api=running.api, xds=1, gateway=1)
    other.start()

    assert other.process.wait(DEADLINE_SECONDS) != 0
    assert f"{running.api}" in other.log()
    assert "--api" in other.log()
    assert "Traceback" not in other.log()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
