"""An ADS server on a real socket, with a source that the test speaks through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from tests.ads.handmade import HandmadeSource, cluster, endpoints, listener, routes
from tests.ads.scripted_proxy import DEADLINE_SECONDS, PROXY, ScriptedProxy
from weft.clock import SystemClock
from weft.xds.delivery import Delivery
from weft.xds.server import AdsServer
from weft.xds.status import ProxyStatus
from weft.xds.wire import Variant


@dataclass
class Ads:
    source: HandmadeSource
    delivery: Delivery
    server: AdsServer
    port: int

    def proxy(self, variant: Variant = Variant.DELTA, **options: object) -> ScriptedProxy:
        return ScriptedProxy(self.port, variant, **options)  # type: ignore[arg-type]

    def say_routes_to(self, name: str, proxy: str = PROXY) -> int:
        """A mesh whose only listener sends everything to one cluster."""
        return self.source.say(
            proxy, cluster(name), endpoints(name, 1), listener("l", 2, "r"), routes("r", name)
        )

    def status(self) -> ProxyStatus:
        (status,) = self.delivery.proxies()
        return status

    @property
    def pushes(self) -> int:
        return sum(self.delivery.counters.pushes.values())


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.002)


async def serve(source: HandmadeSource, patience_seconds: float) -> Ads:
    delivery = Delivery(SystemClock())
    server = AdsServer(
        source, delivery, SystemClock(), "127.0.0.1:0", patience_seconds=patience_seconds
    )
    source.server = server
    return Ads(source, delivery, server, await server.start())


@pytest.fixture
async def ads() -> AsyncIterator[Ads]:
    """A server that is as patient as a slow machine asks for."""
    made = await serve(HandmadeSource(), patience_seconds=60)
    yield made
    await made.server.stop()


@pytest.fixture
async def hasty() -> AsyncIterator[Ads]:
    """A server that does not wait long for an answer."""
    made = await serve(HandmadeSource(), patience_seconds=0.2)
    yield made
    await made.server.stop()
