"""One running Envoy whose snapshots are swapped over ADS, for tests of many meshes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tests.envoy.envoy_binary import envoy_binary
from tests.envoy.running import DEADLINE
from tests.envoy.test_ads import bootstrap
from weft.clock import SystemClock
from weft.names import View
from weft.translate.snapshot import Snapshot
from weft.xds.delivery import Delivery
from weft.xds.server import AdsServer
from weft.xds.wire import Variant

LOG_INTERVAL_MS = 10


class _Source:
    """Publishes what it is given, to whoever is there."""

    def __init__(self) -> None:
        self.server: AdsServer | None = None
        self.revision = 0
        self._views: list[View] = []
        self._snapshot = Snapshot({})

    def say(self, snapshot: Snapshot) -> int:
        self.revision += 1
        self._snapshot = snapshot
        assert self.server is not None
        for view in self._views:
            self.server.publish(view, snapshot, self.revision)
        self.server.processed(self.revision)
        return self.revision

    def attach(self, view: View) -> None:
        self._views.append(view)
        assert self.server is not None
        self.server.publish(view, self._snapshot, self.revision)

    def detach(self, view: View) -> None:
        self._views.remove(view)


@dataclass
class Swapped:
    """The Envoy, and what it is told."""

    source: _Source
    delivery: Delivery
    process: asyncio.subprocess.Process
    log: Path

    async def say(self, snapshot: Snapshot) -> None:
        """Returns when it is in force; a refusal is a failure."""
        revision = self.source.say(snapshot)
        settled = await self.delivery.wait_settled(revision, timedelta(seconds=DEADLINE))
        assert settled.done, (settled, self.log.read_text()[-2000:])


@asynccontextmanager
async def swapped(directory: Path, *arguments: str) -> AsyncIterator[Swapped]:
    source, delivery = _Source(), Delivery(SystemClock())
    server = AdsServer(source, delivery, SystemClock(), "127.0.0.1:0")
    source.server = server
    written, log = directory / "bootstrap.json", directory / "envoy.log"
    written.write_text(json.dumps(bootstrap(Variant.DELTA, await server.start())))
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(envoy_binary(), "-c", str(written), "--use-dynamic-base-id", "-l", "warning"),
            *("--concurrency", "1", "--drain-time-s", "1"),
            *("--file-flush-interval-msec", str(LOG_INTERVAL_MS), *arguments),
            stdout=out,
            stderr=out,
        )
    found = Swapped(source, delivery, process, log)
    try:
        async with asyncio.timeout(DEADLINE):
            while not delivery.proxies():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.01)
        yield found
    finally:
        await server.stop()
        if process.returncode is None:
            process.kill()
        await process.wait()
