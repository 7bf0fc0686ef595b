"""
What must not be lost while things change, die and come back, at 300 requests a second.

The small profile runs with every test; ``make soak`` runs the large one and prints
its figures. A request has failed when its status is not 200 or its colour is not one
that may answer.
"""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.demo import COLORTELLER, MESH, Demo, aside, demo, get, wait_for
from tests.load import load
from tests.soak.two_replicas import two_replicas

pytestmark = [pytest.mark.envoy, pytest.mark.alone]

COLORS = {"white", "blue", "red"}
PROFILES = [
    pytest.param((150, 15), id="small"),
    pytest.param((320, 50), id="large", marks=pytest.mark.soak),
]
"""Requests a second, weight changes."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Demo]:
    with demo(tmp_path) as started:
        yield started


def egress(running: Demo) -> int:
    """The port through which the gateway's workload calls others."""
    port: int = running.sidecar("colorgateway-vn")["ports"]["egress"]
    return port


class Operator:
    """Changes weights over one connection and measures until the last proxy has accepted."""

    def __init__(self, running: Demo) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", running.api, timeout=30)

    def close(self) -> None:
        self._connection.close()

    def shift(self, weights: dict[str, int]) -> tuple[int, float]:
        """Revision and seconds from the API's answer until all have accepted it."""
        targets = [{"virtualNode": f"colorteller-{c}-vn", "weight": w} for c, w in weights.items()]
        spec = {"httpRoute": {"action": {"weightedTargets": targets}, "match": {"prefix": "/"}}}
        path = f"/v20190125/meshes/{MESH}/virtualRouter/colorteller-vr/routes/colorteller-route"
        self._connection.request("PUT", path, json.dumps({"spec": spec}))
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        revision = int(answer.headers["x-weft-revision"])
        answered = time.monotonic()
        self._connection.request("GET", f"/weft/v1/wait?revision={revision}&timeout=20")
        settled = self._connection.getresponse()
        body = settled.read()
        assert settled.status == 200, body
        return revision, time.monotonic() - answered


@pytest.fixture
def operator(running: Demo) -> Iterator[Operator]:
    with contextlib.closing(Operator(running)) as found:
        yield found


@pytest.mark.parametrize("profile", PROFILES)
async def test_weight_changes_fail_no_request(
    running: Demo, operator: Operator, profile: tuple[int, int]
) -> None:
    per_second, changes = profile
    took = []
    async with load(egress(running), COLORTELLER, per_second=per_second, allowed=COLORS) as result:
        for i in range(changes):
            weights = {"white": i % 3, "blue": 1 + i % 5, "red": 1 + i % 2}
            _, seconds = await aside(operator.shift, weights)
            took.append(seconds)
            await asyncio.sleep(0.1)

    took.sort()
    print(
        f"\n{changes} weight changes: {result.summary()}; API answer to last ACK: "
        f"median {statistics.median(took) * 1000:.1f} ms, "
        f"p99 {took[min(int(len(took) * 0.99), len(took) - 1)] * 1000:.1f} ms"
    )
    assert result.failures == []
    assert result.total > changes * per_second * 0.1 * 0.5, "the load was really there"


async def test_targets_that_come_and_go_fail_no_request(running: Demo, operator: Operator) -> None:
    allowed = {*COLORS, "black"}
    only = [
        {"black": 1},
        {"white": 1},
        {"blue": 1, "black": 1},
        {"red": 1},
        {"white": 1, "blue": 1},
    ]
    async with load(egress(running), COLORTELLER, per_second=150, allowed=allowed) as result:
        for weights in only * 2:
            await aside(operator.shift, weights)
            await asyncio.sleep(0.2)

    print(f"\n10 changes of targets: {result.summary()}")
    assert result.failures == []


@pytest.mark.parametrize("profile", PROFILES)
async def test_the_control_plane_killed_fails_no_request_and_loses_no_write(
    running: Demo, operator: Operator, profile: tuple[int, int]
) -> None:
    per_second, _ = profile
    async with load(egress(running), COLORTELLER, per_second=per_second, allowed=COLORS) as result:
        acknowledged, _ = await aside(operator.shift, {"white": 0, "blue": 1, "red": 1})
        versions = await aside(_accepted_versions, running)
        killed = await aside(running.control_plane_pid)
        os.kill(killed, signal.SIGKILL)
        await asyncio.sleep(1)
        await aside(wait_for, lambda: _back(running, killed), "the control plane is back")
        await aside(wait_for, lambda: len(running.proxies()) == 5, "every proxy reconnects")
        await asyncio.sleep(1)

    status = running.api_get("/weft/v1/status")
    print(f"\ncontrol plane killed: {result.summary()}")
    assert result.failures == []
    assert status["revision"] >= acknowledged
    change = running.api_get(f"/weft/v1/changes/{acknowledged}")
    assert "colorteller-route" in json.dumps(change)
    assert _accepted_versions(running) == versions
    assert _resources_sent(running) == 0, "nothing is pushed that did not change"


@pytest.mark.parametrize("victim", ["pid", "envoy", "sidecarPid"])
async def test_one_of_two_replicas_killed_fails_no_request_and_comes_back(
    tmp_path: Path, victim: str
) -> None:
    """The workload, its Envoy, or the sidecar that keeps it: killed without warning."""
    with demo(tmp_path, file=two_replicas(tmp_path)) as running:
        with contextlib.closing(Operator(running)) as operator:
            operator.shift({"blue": 1})
        replica = running.replicas("colorteller-blue")[0]
        pid = _envoy_of(running, replica) if victim == "envoy" else replica[victim]
        port = egress(running)
        async with load(port, COLORTELLER, per_second=300, allowed={"blue"}) as result:
            await asyncio.sleep(1)
            os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(1)
            await aside(wait_for, lambda: _serves_again(running, replica), "it is back")
            before = await aside(_requests_by_endpoint, running)
            await asyncio.sleep(1.5)

        print(f"\n{victim} of one of two replicas killed: {result.summary()}")
        assert result.failures == []
        gained = _requests_by_endpoint(running)
        assert len(gained) == 2
        assert all(count > before.get(endpoint, 0) for endpoint, count in gained.items())


async def test_a_sidecar_restarted_without_a_control_plane_serves_what_it_accepted_last(
    tmp_path: Path,
) -> None:
    with demo(tmp_path) as running:
        with contextlib.closing(Operator(running)) as operator:
            operator.shift({"red": 1})
        wait_for(lambda: _kept(running), "the accepted configuration is kept")
        (gateway,) = running.replicas("colorgateway")
        silent = running.control_plane_pid()
        # Stopped, not ended: nobody restarts it, and nobody gets an answer from it.
        os.kill(silent, signal.SIGSTOP)
        try:
            os.kill(gateway["sidecarPid"], signal.SIGKILL)
            wait_for(
                lambda: _answers_again(running, "red"), "the last accepted configuration serves"
            )
        finally:
            os.kill(silent, signal.SIGCONT)
        wait_for(lambda: len(running.proxies()) == 5, "every proxy is back")
        assert set(running.colors(20)) == {"red"}


def _kept(running: Demo) -> bool:
    """Whether the gateway's sidecar has kept the configuration in which only red is a target."""
    (file,) = (running.directory / "data" / "sidecar").glob("*colorgateway-vn/*/snap.json")
    text = file.read_text()
    return "colorteller-red-vn" in text and "colorteller-white-vn" not in text


def _answers_again(running: Demo, color: str) -> bool:
    try:
        return set(running.colors(5)) == {color}
    except (OSError, http.client.HTTPException):
        return False


def _envoy_of(running: Demo, replica: dict[str, Any]) -> int:
    for proxy in running.proxies()[replica["virtualNode"]]:
        if proxy["instance"] == replica["instance"]:
            port = int(proxy["statusAddress"].rpartition(":")[2])
            pid: int = json.loads(get(port, "/status")[1])["envoy"]["pid"]
            return pid
    raise AssertionError(f"{replica['name']} has no proxy")


def _serves_again(running: Demo, replica: dict[str, Any]) -> bool:
    now = running.replicas("colorteller-blue")
    return all(each["state"] == "running" for each in now) and (
        len(
            running.api_get(f"/weft/v1/meshes/{MESH}/virtualNodes/colorteller-blue-vn/instances")[
                "instances"
            ]
        )
        == 2
    )


def _requests_by_endpoint(running: Demo) -> dict[str, int]:
    """How many requests each blue replica's proxy has had."""
    found = {}
    for proxy in running.proxies()["colorteller-blue-vn"]:
        port = int(proxy["statusAddress"].rpartition(":")[2])
        clusters = json.loads(get(port, "/clusters")[1])
        found[proxy["instance"]] = sum(
            each["requests"] for name, each in clusters.items() if name.startswith("cds_ingress_")
        )
    return found


def _accepted_versions(running: Demo) -> dict[str, dict[str, str | None]]:
    return {
        node: {kind["type"]: (kind["accepted"] or {}).get("version") for kind in proxy["types"]}
        for node, (proxy,) in running.proxies().items()
    }


def _resources_sent(running: Demo) -> int:
    """Resources pushed to any proxy since the control plane started."""
    counted: dict[str, int] = running.api_get("/weft/v1/status")["delivery"]["resources"]
    return sum(counted.values())


def _back(running: Demo, killed: int) -> bool:
    try:
        return running.control_plane_pid() != killed and bool(running.api_get("/weft/v1/status"))
    except (OSError, ValueError):
        return False
