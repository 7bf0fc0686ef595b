"""
New versions of all workloads under load: ``weft restart --all``, and not one failed request.

The load goes in by the demo's own entrance, so it passes the colorgateway's ingress,
the app, its egress, and a colorteller's ingress and app: all of them are replaced.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.demo import Demo, aside, demo, free_ports
from tests.isolated import needs_root
from tests.load import load
from tests.soak.two_replicas import two_replicas

pytestmark = pytest.mark.envoy

COLORS = {"white", "blue", "red"}


class ColorAnswers:
    """Bodies of ``/color`` whose colour may be answered."""

    def __contains__(self, body: object) -> bool:
        assert isinstance(body, str)
        try:
            return json.loads(body)["color"] in COLORS
        except (ValueError, KeyError):
            return False


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Demo]:
    with demo(tmp_path, file=two_replicas(tmp_path)) as started:
        yield started


@pytest.mark.parametrize(
    "per_second", [150, pytest.param(300, marks=pytest.mark.soak)], ids=["small", "large"]
)
async def test_all_workloads_are_replaced_and_no_request_fails(
    running: Demo, per_second: int
) -> None:
    url = f"http://127.0.0.1:{running.gateway}/color"
    async with load(running.gateway, url, per_second=per_second, allowed=ColorAnswers()) as result:
        await asyncio.sleep(1)
        done = await aside(running.run, "restart", "--all", "-o", "json")
        await asyncio.sleep(1)
    print(f"\nall workloads replaced: {result.summary()}")

    replaced = json.loads(done.stdout)["replicas"]
    assert len(replaced) == 7
    assert [each for each in replaced if each["paused"]] == []
    assert {each["state"] for each in replaced} == {"running"}
    assert result.failures == []


@needs_root
async def test_in_namespaces_of_their_own_another_takes_the_place_of_each(tmp_path: Path) -> None:
    """Unchanged ports leave no room for two in one namespace, so each gets a new one."""
    with demo(tmp_path, "--no-traffic", "--isolate=require") as running:
        url = f"http://127.0.0.1:{running.gateway}/color"
        async with load(running.gateway, url, per_second=100, allowed=ColorAnswers()) as result:
            await asyncio.sleep(1)
            done = await aside(running.run, "restart", "--all", "-o", "json")
            again = await aside(running.run, "restart", "colorgateway", "-o", "json")
            await asyncio.sleep(1)
        print(f"\nall workloads replaced in namespaces: {result.summary()}")
        log = running.log()

    replaced = json.loads(done.stdout)["replicas"] + json.loads(again.stdout)["replicas"]
    assert len(replaced) == 7
    assert [each for each in replaced if each["paused"]] == []
    assert {each["state"] for each in replaced} == {"running"}
    assert result.failures == [], log


def colors(running: Demo) -> set[str]:
    return set(running.colors(60))


def changed(file: Path, **workload: object) -> None:
    text = yaml.safe_load(file.read_text())
    text["workloads"]["colorteller-white"] |= workload
    file.write_text(yaml.safe_dump(text))


def test_a_changed_file_is_a_new_version_and_a_broken_one_changes_nothing(
    running: Demo, tmp_path: Path
) -> None:
    file = tmp_path / "weft.yaml"
    changed(file, env={"COLOR": "purple", "SERVER_PORT": "${port.9080}"})
    said = running.run("restart", "colorteller-white").stdout
    assert "replaced from the changed files" in said
    assert "without a pause" in said
    assert colors(running) == {"purple", "blue", "red"}

    changed(file, command=["${python}", "-c", "raise SystemExit('no such module')"])
    failed = running.run("restart", "colorteller-white", check=False)
    assert failed.returncode == 1
    assert "the new one ended at once; the old one goes on" in failed.stderr
    assert colors(running) == {"purple", "blue", "red"}

    good = file.read_text()
    file.write_text("workloads: [")
    failed = running.run("restart", "colorteller-blue", check=False)
    assert failed.returncode == 6
    assert "weft.yaml:2: not YAML" in failed.stderr
    file.write_text(good)
    assert colors(running) == {"purple", "blue", "red"}
    assert [each["state"] for each in running.replicas("colorteller-blue")] == ["running"] * 2


def test_an_app_with_a_fixed_port_is_replaced_with_a_pause_that_is_told(
    running: Demo, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    changed(
        tmp_path / "weft.yaml",
        ports={9080: port},
        env={"COLOR": "white", "SERVER_PORT": str(port)},
    )

    said = running.run("restart", "colorteller-white").stdout

    assert "with a pause: its app insists on a port, which two cannot have" in said
    assert colors(running) == {"white", "blue", "red"}


def test_what_to_restart_must_be_said_and_must_exist(running: Demo) -> None:
    nothing = running.run("restart", check=False)
    assert nothing.returncode == 2
    assert "name the workloads, or give --all" in nothing.stderr
    unknown = running.run("restart", "colorteler-white", check=False)
    assert unknown.returncode == 3
    assert "did you mean 'colorteller-white'?" in unknown.stderr
