"""Who may connect, how streams end, and what is remembered of proxies that left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest

from tests.ads.conftest import Ads, eventually
from tests.ads.handmade import HandmadeSource, cluster, endpoints, listener, routes
from tests.ads.scripted_proxy import (
    CLUSTERS,
    DEADLINE_SECONDS,
    ENDPOINTS,
    PROXY,
    ScriptedProxy,
    StreamEnded,
)
from weft.clock import SystemClock
from weft.errors import CannotStart, NotFound
from weft.names import ProxyId, View
from weft.quotas import Quotas
from weft.xds.delivery import Delivery
from weft.xds.server import AdsServer
from weft.xds.status import State
from weft.xds.wire import Variant

A_WHILE = timedelta(seconds=DEADLINE_SECONDS)
ARN = "arn:aws:appmesh:us-west-2:123456789012:mesh/m/virtualNode/n"


async def refused(ads: Ads, proxy: ScriptedProxy) -> StreamEnded:
    async with proxy:
        await proxy.ask(CLUSTERS)
        ended = await proxy.ended()
    await eventually(lambda: not ads.delivery.counters.streams_open[Variant.DELTA])
    return ended


SHARED = "mesh/m@123456789012/virtualNode/n"


@pytest.mark.parametrize(("name", "found"), [(PROXY, PROXY), (ARN, PROXY), (SHARED, SHARED)])
async def test_every_form_of_a_proxy_id_is_understood(ads: Ads, name: str, found: str) -> None:
    ads.source.say(found, cluster("a"))
    proxy = ads.proxy(proxy=name, instance=None)
    async with proxy:
        await proxy.ask(CLUSTERS)
        await proxy.hear(CLUSTERS)
        assert str(ads.status().proxy) == found


async def test_whose_mesh_is_meant_is_for_the_source_to_say() -> None:
    source, here = HandmadeSource(), ProxyId.parse(PROXY)
    server = AdsServer(
        source,
        Delivery(SystemClock()),
        SystemClock(),
        "127.0.0.1:0",
        named=lambda _id, _account: here,
    )
    source.server = server
    source.say(PROXY, cluster("a"))
    ads = Ads(source, server.delivery, server, await server.start())
    try:
        async with ads.proxy(proxy=SHARED) as proxy:
            await proxy.ask(CLUSTERS)
            await proxy.hear(CLUSTERS)
            assert str(ads.status().proxy) == PROXY
    finally:
        await server.stop()


async def test_one_envoy_more_than_the_quota_is_refused_with_status_8() -> None:
    source, quotas = HandmadeSource(), Quotas({"envoys-per-virtual-node": 2})
    server = AdsServer(source, Delivery(SystemClock()), SystemClock(), "127.0.0.1:0", quotas=quotas)
    source.server = server
    source.say(PROXY, cluster("a"))
    ads = Ads(source, server.delivery, server, await server.start())
    try:
        async with ads.proxy(instance="a") as a, ads.proxy(instance="b") as b:
            for proxy in (a, b):
                await proxy.ask(CLUSTERS)
                await proxy.hear(CLUSTERS)
            async with ads.proxy(instance="c") as third:
                await third.ask(CLUSTERS)
                ended = await third.ended()
            assert ended.code.value[0] == 8
            assert f"{PROXY} has 2 Envoys connected; the quota is 2" in ended.words
            # One that comes back while its old stream lingers has its seat already.
            async with ads.proxy(instance="a") as again:
                await again.ask(CLUSTERS)
                await again.hear(CLUSTERS)
        await eventually(lambda: not server.delivery.counters.streams_open[Variant.DELTA])
        async with ads.proxy(instance="c") as third:
            await third.ask(CLUSTERS)
            await third.hear(CLUSTERS)
    finally:
        await server.stop()


async def test_stock_images_are_told_apart_by_their_streams(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"))
    async with ads.proxy(instance=None) as one, ads.proxy(instance=None) as other:
        for proxy in (one, other):
            await proxy.ask(CLUSTERS)
            await proxy.hear(CLUSTERS)
        instances = {status.instance for status in ads.delivery.proxies()}
        assert instances == {"stream-1", "stream-2"}
        assert {status.mode for status in ads.delivery.proxies()} == {"transparent"}


async def test_a_name_that_is_no_proxy_id_is_refused_in_words(ads: Ads) -> None:
    ended = await refused(ads, ads.proxy(proxy="front-proxy", instance=None))
    assert ended.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "not a proxy id: 'front-proxy'" in ended.words
    assert "mesh/M/virtualNode/N" in ended.words


async def test_an_unknown_resource_is_refused_with_what_there_is(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"))
    ended = await refused(ads, ads.proxy(proxy="mesh/m/virtualNode/typo"))
    assert ended.code is grpc.StatusCode.INVALID_ARGUMENT
    assert ended.words == f"there is no mesh/m/virtualNode/typo; there is {PROXY}"
    assert ads.source.attached == []


async def test_bytes_that_are_no_request_end_the_stream(ads: Ads) -> None:
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{ads.port}")
    call = channel.stream_stream(
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
    )()
    await call.write(b"\xff\xff\xff")
    assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not a discovery request" in (await call.details() or "")
    await channel.close()


async def test_a_fault_of_ours_lets_the_proxy_come_back(
    ads: Ads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(view: View) -> None:
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(ads.source, "attach", broken)
    ended = await refused(ads, ads.proxy())
    assert ended.code is grpc.StatusCode.UNAVAILABLE
    assert "disk on fire" not in ended.words


async def test_a_deleted_resource_ends_its_streams(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"))
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS)
        await proxy.accept(CLUSTERS)
        revision = ads.source.delete(PROXY, "virtual node n was deleted")
        ended = await proxy.ended()
    assert (ended.code, ended.words) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "virtual node n was deleted",
    )
    assert (await ads.delivery.wait_settled(revision, A_WHILE)).total == 0
    await eventually(lambda: ads.source.attached == [])

    ads.source.say(PROXY, cluster("b"))
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS)
        assert (await proxy.hear(CLUSTERS)).names == ["b"]


async def test_a_view_is_attached_once_and_detached_after_its_last_stream(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"))
    async with ads.proxy(instance="1") as one:
        await one.ask(CLUSTERS)
        await one.hear(CLUSTERS)
        async with ads.proxy(instance="2") as two:
            await two.ask(CLUSTERS)
            await two.hear(CLUSTERS)
            assert len(ads.source.attached) == 1
        await eventually(lambda: len(ads.delivery.settled(0).waiting) == 0)
        assert len(ads.source.attached) == 1
    await eventually(lambda: ads.source.attached == [])


async def test_a_proxy_that_left_is_remembered_until_it_is_back(ads: Ads) -> None:
    revision = ads.source.say(PROXY)
    async with ads.proxy() as proxy:
        await proxy.start()
        await eventually(lambda: ads.delivery.settled(revision).done)
    await eventually(lambda: ads.status().state is State.DISCONNECTED)
    left = ads.status()
    assert left.disconnected_at is not None
    assert left.accepted_revision == revision
    assert ads.delivery.settled(revision).total == 0
    # Who left just now may be back in a moment, with what it had.
    assert not ads.delivery.accepted(revision)
    async with ads.proxy() as proxy:
        await proxy.start()
        await eventually(lambda: ads.status().state is State.ACCEPTED)


async def test_a_second_stream_of_an_instance_takes_the_firsts_place(ads: Ads) -> None:
    revision = ads.source.say(PROXY)
    async with ads.proxy() as first:
        await first.start()
        async with ads.proxy() as second:
            await second.start()
            await first.leave()
            await eventually(lambda: ads.delivery.counters.streams_open[Variant.DELTA] == 1)
            assert ads.delivery.settled(revision).done
            assert ads.status().state is State.ACCEPTED


async def test_waiting_ends_when_the_last_proxy_has_answered(ads: Ads) -> None:
    ads.source.say(PROXY)
    async with ads.proxy(instance="1") as one, ads.proxy(instance="2") as two:
        await one.start()
        await two.start()
        revision = ads.source.say(PROXY, cluster("a"))
        first, second = await one.hear(CLUSTERS), await two.hear(CLUSTERS)
        waiting = asyncio.ensure_future(ads.delivery.wait_settled(revision, A_WHILE))
        await one.ack(first)
        await eventually(lambda: ads.delivery.settled(revision).accepted == 1)
        assert not waiting.done()
        (late,) = ads.delivery.settled(revision).waiting
        assert (late.instance, late.reason) == ("2", "has not answered CDS yet")
        await two.ack(second)
        assert (await waiting).done


async def test_waiting_ends_in_time_and_says_who_is_missing(ads: Ads) -> None:
    ads.source.say(PROXY)
    async with ads.proxy() as proxy:
        await proxy.start()
        revision = ads.source.say(PROXY, cluster("a"))
        settled = await ads.delivery.wait_settled(revision, timedelta(seconds=0.05))
        assert (settled.done, [w.instance for w in settled.waiting]) == (False, ["i1"])


async def test_waiting_for_one_mesh_does_not_wait_for_another(ads: Ads) -> None:
    other = "mesh/other/virtualNode/n"
    ads.source.say(other)
    async with ads.proxy(proxy=other) as proxy:
        await proxy.start()
        revision = ads.source.say(other, cluster("a"))
        await proxy.hear(CLUSTERS)
        assert (await ads.delivery.wait_settled(revision, A_WHILE, mesh="m")).done
        assert not ads.delivery.settled(revision).done


async def test_waiting_for_a_revision_that_nobody_has_made_yet_goes_on(ads: Ads) -> None:
    settled = await ads.delivery.wait_settled(1, timedelta(seconds=0.05))
    assert (settled.total, settled.processed, settled.done) == (0, False, False)
    waiting = asyncio.ensure_future(ads.delivery.wait_settled(1, A_WHILE))
    ads.source.say(PROXY)
    assert (await waiting).done


@pytest.mark.parametrize("variant", list(Variant))
async def test_a_storm_of_proxies_is_served_to_the_last(ads: Ads, variant: Variant) -> None:
    proxies = 200
    ads.source.say(PROXY, cluster("a"), endpoints("a", 1), listener("l", 2, "r"), routes("r", "a"))

    async def come() -> ScriptedProxy:
        proxy = ads.proxy(variant, instance=None)
        await proxy.__aenter__()
        await proxy.start("r")
        return proxy

    async with asyncio.TaskGroup() as tasks:
        coming = [tasks.create_task(come()) for _ in range(proxies)]
    there = [task.result() for task in coming]
    try:
        await eventually(lambda: ads.delivery.settled(1).accepted == proxies)
        pushes = ads.pushes
        revision = ads.source.say(
            PROXY, cluster("a"), endpoints("a", 2), listener("l", 2, "r"), routes("r", "a")
        )
        async with asyncio.TaskGroup() as tasks:
            for proxy in there:
                tasks.create_task(proxy.accept(ENDPOINTS, "a"))
        settled = await ads.delivery.wait_settled(revision, A_WHILE)
        assert (settled.done, settled.accepted) == (True, proxies)
        assert ads.pushes == pushes + proxies
    finally:
        for proxy in there:
            await proxy.leave()


async def test_a_proxy_that_does_not_answer_does_not_hold_up_a_wave(ads: Ads) -> None:
    proxies = 80  # More than are served at the same time.
    ads.source.say(PROXY)
    there = [ads.proxy(instance=None) for _ in range(proxies)]
    for proxy in there:
        await proxy.__aenter__()
        await proxy.start()
    ads.source.say(PROXY, cluster("a"))
    for proxy in there:
        assert (await proxy.hear(CLUSTERS)).names == ["a"]
    for proxy in there:
        await proxy.leave()


async def test_stopping_ends_every_stream_and_frees_the_port() -> None:
    source = HandmadeSource()
    server = AdsServer(source, Delivery(SystemClock()), SystemClock(), "127.0.0.1:0")
    source.server = server
    source.say(PROXY, cluster("a"))
    port = await server.start()
    async with ScriptedProxy(port) as proxy:
        await proxy.ask(CLUSTERS)
        await proxy.hear(CLUSTERS)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await server.stop()
        ended = await proxy.ended()
    assert (ended.code, ended.words) == (
        grpc.StatusCode.UNAVAILABLE,
        "the control plane is stopping",
    )
    assert source.attached == []
    again = AdsServer(source, server.delivery, SystemClock(), f"127.0.0.1:{port}")
    assert await again.start() == port
    await again.stop()


async def test_a_taken_port_is_named(ads: Ads) -> None:
    address = f"127.0.0.1:{ads.port}"
    server = AdsServer(ads.source, ads.delivery, SystemClock(), address)
    with pytest.raises(CannotStart, match=f"port {ads.port} is taken") as caught:
        await server.start()
    assert "--xds" in (caught.value.fix or "")


@pytest.mark.parametrize("address", ["7401", "127.0.0.1:", "127.0.0.1:http", "h:70000", ""])
async def test_an_address_that_is_none_is_refused(ads: Ads, address: str) -> None:
    with pytest.raises(CannotStart, match="not an xDS address"):
        await AdsServer(ads.source, ads.delivery, SystemClock(), address).start()


async def test_an_address_of_another_machine_is_refused(ads: Ads) -> None:
    server = AdsServer(ads.source, ads.delivery, SystemClock(), "203.0.113.9:7401")
    with pytest.raises(CannotStart, match="cannot listen on 203"):
        await server.start()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory whose name is short enough for a socket."""
    with TemporaryDirectory(prefix="xds") as name:
        yield Path(name)


async def test_a_unix_socket_serves_too(directory: Path) -> None:
    source = HandmadeSource()
    address = f"unix:{directory}/xds.sock"
    server = AdsServer(source, Delivery(SystemClock()), SystemClock(), address)
    source.server = server
    source.say(PROXY, cluster("a"))
    assert await server.start() == 0
    async with ScriptedProxy(address) as proxy:
        await proxy.ask(CLUSTERS)
        assert (await proxy.hear(CLUSTERS)).names == ["a"]
        with pytest.raises(CannotStart, match="another process serves xDS"):
            await AdsServer(source, server.delivery, SystemClock(), address).start()
    await server.stop()
    assert os.listdir(directory) == []


async def test_a_socket_path_that_is_too_long_is_refused(ads: Ads) -> None:
    address = f"unix:/tmp/{'x' * 120}"
    with pytest.raises(CannotStart, match="longer than"):
        await AdsServer(ads.source, ads.delivery, SystemClock(), address).start()


def test_the_handmade_source_refuses_as_the_pipeline_does() -> None:
    from weft.names import ProxyId

    with pytest.raises(NotFound):
        HandmadeSource().attach(View(ProxyId.parse(PROXY)))
