"""A proxy that starts is left alone until it has its first clusters."""

from __future__ import annotations

import asyncio

from envoy.config.cluster.v3 import cluster_pb2

from tests.ads.conftest import Ads
from tests.ads.handmade import HandmadeSource, cluster, endpoints, listener, routes
from tests.ads.scripted_proxy import CLUSTERS, ENDPOINTS, LISTENERS, PROXY, ScriptedProxy
from weft.clock import SystemClock
from weft.xds.delivery import Delivery
from weft.xds.server import AdsServer
from weft.xds.stream import LOOKS_AT_A_START


def by_name(name: str) -> cluster_pb2.Cluster:
    """A cluster whose endpoint is looked up."""
    made = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.LOGICAL_DNS)
    made.load_assignment.cluster_name = name
    return made


def say(source: HandmadeSource, *clusters: cluster_pb2.Cluster) -> None:
    rest = (endpoints("a", 1), listener("l", 2, "r"), routes("r", "a"))
    source.say(PROXY, *clusters, *rest)


async def test_a_cluster_is_changed_once_listeners_are_asked_for(ads: Ads) -> None:
    say(ads.source, by_name("a"))
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS)
        await proxy.accept(CLUSTERS)
        say(ads.source, cluster("a"))
        await proxy.ask(ENDPOINTS, "a")
        await proxy.accept(ENDPOINTS)  # And no clusters before it.
        await proxy.ask(LISTENERS)
        changed = await proxy.hear(CLUSTERS)
        assert changed.resources["a"].type == cluster_pb2.Cluster.EDS


async def test_a_new_cluster_is_told_at_once(ads: Ads) -> None:
    say(ads.source, by_name("a"))
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS)
        await proxy.accept(CLUSTERS)
        say(ads.source, by_name("a"), cluster("b"))
        assert (await proxy.hear(CLUSTERS)).names == ["b"]


async def test_a_proxy_that_never_asks_for_listeners_is_not_held_back_for_ever() -> None:
    source = HandmadeSource()
    server = AdsServer(
        source, Delivery(SystemClock()), SystemClock(), "127.0.0.1:0", look_again_seconds=0.01
    )
    source.server = server
    port = await server.start()
    say(source, by_name("a"))
    try:
        async with ScriptedProxy(port) as proxy:
            await proxy.ask(CLUSTERS)
            await proxy.accept(CLUSTERS)
            begun = asyncio.get_running_loop().time()
            say(source, cluster("a"))
            assert (await proxy.hear(CLUSTERS)).names == ["a"]
            assert asyncio.get_running_loop().time() - begun > 0.009 * LOOKS_AT_A_START
    finally:
        await server.stop()
