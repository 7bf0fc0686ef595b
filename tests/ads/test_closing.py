"""How streams end, by the statuses that App Mesh's users know: 0, 3, 7, 8 and 16."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from tests.ads.conftest import eventually
from tests.ads.handmade import HandmadeSource, cluster, endpoints, listener, routes
from tests.ads.scripted_proxy import CLUSTERS, METHODS, PROXY, ScriptedProxy
from tests.certificates import Authority
from weft.clock import SystemClock
from weft.identity.caller import Role
from weft.identity.credentials import Credentials, Wanted
from weft.names import ProxyId
from weft.quotas import ENVOYS_PER_NODE, Quotas
from weft.settings import Tls
from weft.store.store import Store
from weft.xds.ageing import Ageing
from weft.xds.delivery import Delivery
from weft.xds.gate import Gate
from weft.xds.listening import server_credentials
from weft.xds.server import AdsServer
from weft.xds.status import State
from weft.xds.wire import Variant

AGE = timedelta(seconds=0.4)
PATH = METHODS[Variant.SOTW]


@dataclass
class Aged:
    """A server whose streams do not grow old."""

    source: HandmadeSource
    server: AdsServer
    port: int

    @property
    def states(self) -> list[State]:
        return [status.state for status in self.server.delivery.proxies()]


@pytest.fixture
async def aged() -> AsyncIterator[Aged]:
    source, delivery = HandmadeSource(), Delivery(SystemClock())
    server = AdsServer(source, delivery, SystemClock(), "127.0.0.1:0", max_age=AGE)
    source.server = server
    source.say(PROXY, cluster("a"), endpoints("a", 1), listener("l", 2, "r"), routes("r", "a"))
    yield Aged(source, server, await server.start())
    await server.stop()


@pytest.mark.parametrize("variant", list(Variant))
async def test_an_old_stream_is_closed_gracefully(aged: Aged, variant: Variant) -> None:
    begun = asyncio.get_running_loop().time()
    async with ScriptedProxy(aged.port, variant) as proxy:
        await proxy.start("r")
        ended = await proxy.ended()
    lasted = asyncio.get_running_loop().time() - begun
    assert ended.code is grpc.StatusCode.OK
    assert lasted > AGE.total_seconds() * 0.9


async def test_a_proxy_that_comes_back_was_never_away(aged: Aged) -> None:
    async with ScriptedProxy(aged.port) as proxy:
        await proxy.start("r")
        await proxy.ended()
        held = proxy.held
    assert aged.states == [State.ACCEPTED], "it is expected back"
    assert len(aged.source.attached) == 1

    async with ScriptedProxy(aged.port) as proxy:
        await proxy.ask(CLUSTERS, known=held[CLUSTERS])
        await eventually(lambda: aged.server.delivery.counters.streams_open[Variant.DELTA] == 1)
        assert len(aged.states) == 1
        assert State.DISCONNECTED not in aged.states
        assert len(aged.source.attached) == 1, "and its view was kept"


async def test_a_proxy_that_does_not_come_back_is_gone_after_a_while(
    aged: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weft.xds.ageing.GRACE_SECONDS", 0.05)
    async with ScriptedProxy(aged.port) as proxy:
        await proxy.start("r")
        await proxy.ended()
    await eventually(lambda: aged.states == [State.DISCONNECTED])
    assert aged.source.attached == []


async def test_streams_that_began_together_do_not_end_together() -> None:
    ends: list[float] = []
    loop = asyncio.get_running_loop()
    ageing = Ageing(SystemClock(), timedelta(hours=1))
    for _ in range(200):
        timer = ageing.begin(lambda: None)
        assert timer is not None
        ends.append(timer.when() - loop.time())
        timer.cancel()
    assert 3240 - 1 < min(ends) < 3330
    assert 3870 < max(ends) < 3960 + 1


async def test_a_server_may_leave_streams_open_for_ever() -> None:
    assert Ageing(SystemClock(), None).begin(lambda: None) is None


# --- 3, 7, 8, 16 ----------------------------------------------------------------------------


async def test_the_statuses_of_refusals_are_app_meshs(tmp_path: Path) -> None:
    async with Store.open(tmp_path, SystemClock()) as store:
        credentials = await Credentials.open(store, tmp_path)
        mine = frozenset({ProxyId.parse(PROXY)})
        wanted = Wanted("web", "0" * 12, Role.PROXY, mine, None)
        issued = await credentials.create(wanted, "test", SystemClock())
        gate = Gate(credentials, SystemClock(), required=True)
        source, delivery = HandmadeSource(), Delivery(SystemClock())
        server = AdsServer(
            source,
            delivery,
            SystemClock(),
            "127.0.0.1:0",
            gate=gate,
            quotas=Quotas({ENVOYS_PER_NODE: 1}),
        )
        source.server = server
        source.say(PROXY, cluster("a"))
        source.say("mesh/m/virtualNode/other", cluster("a"))
        port = await server.start()
        known = [("authorization", f"Bearer {issued.token}")]
        try:
            async with ScriptedProxy(port, Variant.SOTW, metadata=known) as first:
                await first.ask(CLUSTERS)
                await first.hear(CLUSTERS)
                found = {}
                for what, proxy, metadata in (
                    ("missing credentials", PROXY, []),
                    ("not its proxy", "mesh/m/virtualNode/other", known),
                    ("one too many", PROXY, known),
                ):
                    other = ScriptedProxy(
                        port, Variant.SOTW, proxy, instance="i2", metadata=metadata
                    )
                    async with other:
                        with suppress(grpc.RpcError, asyncio.InvalidStateError):
                            await other.ask(CLUSTERS)
                        found[what] = (await other.ended()).code.value[0]
        finally:
            await server.stop()
    assert found == {"missing credentials": 16, "not its proxy": 7, "one too many": 8}


async def test_an_unknown_resource_is_status_3(aged: Aged) -> None:
    async with ScriptedProxy(aged.port, Variant.SOTW, "mesh/m/virtualNode/none") as proxy:
        await proxy.ask(CLUSTERS)
        assert (await proxy.ended()).code.value[0] == 3


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("secure", [True, False])
async def test_app_meshs_probe_of_connectivity_gets_its_answer(
    tmp_path: Path, secure: bool
) -> None:
    """The user guide's: a POST without credentials says that there is a management service."""
    authority = Authority(tmp_path)
    leaf = authority.leaf("control plane", hosts=("localhost",))
    tls = server_credentials(Tls(leaf.certificate, leaf.key), None) if secure else None
    async with Store.open(tmp_path / "store", SystemClock()) as store:
        gate = Gate(await Credentials.open(store, tmp_path), SystemClock(), required=True)
        source, delivery = HandmadeSource(), Delivery(SystemClock())
        server = AdsServer(source, delivery, SystemClock(), "127.0.0.1:0", gate=gate, tls=tls)
        port = await server.start()
        scheme = ("https", "--http2") if secure else ("http", "--http2-prior-knowledge")
        try:
            process = await asyncio.create_subprocess_exec(
                *("curl", "-s", "-k", "-D", "-", "-X", "POST", scheme[1]),
                # gRPC answers nobody who does not take trailers.
                *("-H", "Content-Type: application/grpc", "-H", "TE: trailers"),
                f"{scheme[0]}://localhost:{port}{PATH}",
                stdout=asyncio.subprocess.PIPE,
            )
            said, _ = await asyncio.wait_for(process.communicate(), 15)
        finally:
            await server.stop()
    headers = said.decode().lower()
    assert "grpc-status: 16" in headers
    assert "grpc-message: missing authentication token" in headers
