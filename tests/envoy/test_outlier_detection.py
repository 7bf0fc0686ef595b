"""Callers leave a replica that fails too often in a row: the walkthrough's numbers, on a real Envoy."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.builders import state_from, view_of
from tests.envoy.running import DEADLINE, ask, envoy, free_ports, listening, stats
from tests.envoy.sidecar_harness import eventually
from weft.names import Mode, Ports
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy

CALLS = 200
REPLICAS = 4
INTERVAL_SECONDS = 3
EJECTION_SECONDS = 1
DETECTION = {
    "maxServerErrors": 5,
    "interval": {"unit": "s", "value": INTERVAL_SECONDS},
    "baseEjectionDuration": {"unit": "s", "value": EJECTION_SECONDS},
    "maxEjectionPercent": 100,
}


@dataclass
class Replica:
    """A workload that answers 200, or 500 while it is at fault."""

    name: str
    faulty: bool = False
    asked: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                status = b"500 Broken" if self.faulty else b"200 OK"
                writer.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n" % status)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@dataclass
class Caller:
    replicas: list[Replica]
    egress: int
    admin: int

    async def calls(self, count: int = CALLS) -> Counter[int]:
        found: Counter[int] = Counter()
        for _ in range(count):
            answer = await ask(self.egress, "GET / HTTP/1.1\nHost: color.local:9080")
            found[answer.status] += 1
        return found

    async def stats(self) -> dict[str, int]:
        return await stats(self.admin, "cds_egress_shop_color_http_9080")

    async def back(self) -> None:
        """Until nobody is ejected any more."""

        async def so() -> bool:
            return (await self.stats())["outlier_detection.ejections_active"] == 0

        await eventually(so)


@asynccontextmanager
async def caller(directory: Path, detection: dict[str, Any] | None) -> AsyncIterator[Caller]:
    """A caller of four replicas, which the registry has under one virtual node."""
    egress, admin = free_ports(2)
    replicas = [Replica(str(i)) for i in range(REPLICAS)]
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(listening(each.serve)) for each in replicas]
        listener: dict[str, Any] = {"portMapping": {"port": 9080, "protocol": "http"}}
        if detection:
            listener["outlierDetection"] = detection
        mesh = {
            "nodes": {"web": {"calls": ["color.local"]}, "color": {"listeners": [listener]}},
            "services": {"color.local": "node color"},
            "instances": {
                "color": {f"c-{port}": {9080: f"127.0.0.1:{port}"} for port in ports},
            },
        }
        view = view_of("web", Mode.EXPLICIT, Ports(egress=egress))
        snapshot = translate(resolve(state_from(mesh), view))
        await stack.enter_async_context(envoy(snapshot, egress, directory, admin=admin))
        await stack.enter_async_context(asyncio.timeout(DEADLINE))
        yield Caller(replicas, egress, admin)


async def test_without_detection_a_faulty_replica_of_four_fails_a_quarter(tmp_path: Path) -> None:
    async with caller(tmp_path, None) as web:
        assert await web.calls() == {200: CALLS}
        web.replicas[0].faulty = True

        assert await web.calls() == {200: 150, 500: 50}
        assert [each.asked for each in web.replicas] == [100] * REPLICAS


async def test_with_detection_five_calls_fail_and_then_none(tmp_path: Path) -> None:
    async with caller(tmp_path, DETECTION) as web:
        web.replicas[0].faulty = True

        began = time.monotonic()
        assert await web.calls() == {200: 195, 500: 5}
        assert await web.calls() == {200: CALLS}
        assert time.monotonic() - began < INTERVAL_SECONDS, "too slow a machine to tell"
        found = await web.stats()
        assert found["outlier_detection.ejections_active"] == 1
        assert found["outlier_detection.ejections_enforced_consecutive_5xx"] == 1
        assert web.replicas[0].asked == 5

        web.replicas[0].faulty = False
        await web.back()
        assert await web.calls(40) == {200: 40}
        assert web.replicas[0].asked == 15, "its share, again"


async def test_three_faulty_replicas_of_four_are_a_panic_and_all_get_their_share(
    tmp_path: Path,
) -> None:
    slow = DETECTION | {"interval": {"unit": "s", "value": 30}}
    async with caller(tmp_path, slow) as web:
        for each in web.replicas[:3]:
            each.faulty = True

        async def panic() -> bool:
            # Envoy tells its balancer of the second and third a second later, both at once.
            await web.calls(20)
            return (await web.stats())["lb_healthy_panic"] > 0

        await eventually(panic)
        before = await web.stats()
        assert before["outlier_detection.ejections_active"] == 3

        assert await web.calls() == {200: 50, 500: 150}
        assert (await web.stats())["lb_healthy_panic"] - before["lb_healthy_panic"] == CALLS


@pytest.mark.parametrize(("most_percent", "left_out"), [(0, 1), (50, 2)])
async def test_no_more_than_the_given_share_is_left_out_but_one_always(
    tmp_path: Path, most_percent: int, left_out: int
) -> None:
    async with caller(tmp_path, DETECTION | {"maxEjectionPercent": most_percent}) as web:
        for each in web.replicas[:3]:
            each.faulty = True
        await web.calls(40)

        assert (await web.stats())["outlier_detection.ejections_active"] == left_out


async def test_an_ejection_lasts_its_time_and_longer_the_second_time(tmp_path: Path) -> None:
    quick = DETECTION | {"interval": {"unit": "ms", "value": 100}}
    async with caller(tmp_path, quick) as web:
        web.replicas[0].faulty = True
        lasted = []
        for _ in range(2):
            await web.calls(20)
            began = time.monotonic()
            await web.back()
            lasted.append(time.monotonic() - began)

        first, second = lasted
        assert EJECTION_SECONDS * 0.7 < first < EJECTION_SECONDS + 0.8
        assert 2 * EJECTION_SECONDS * 0.8 < second < 2 * EJECTION_SECONDS + 0.8
