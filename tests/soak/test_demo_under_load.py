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

import pytest

from tests.demo import COLORTELLER, MESH, Demo, aside, demo, wait_for
from tests.load import load

pytestmark = pytest.mark.envoy

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
