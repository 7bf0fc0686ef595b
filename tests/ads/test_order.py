"""Make before break: in which order a change reaches a proxy, and what it waits for."""

from __future__ import annotations

import pytest

from tests.ads.conftest import Ads, eventually
from tests.ads.handmade import cluster, endpoints, listener, routes
from tests.ads.scripted_proxy import CLUSTERS, ENDPOINTS, LISTENERS, PROXY, ROUTES
from weft.xds.status import State
from weft.xds.wire import Variant


async def test_a_route_moves_to_a_new_cluster_without_a_gap(ads: Ads) -> None:
    ads.say_routes_to("old")
    async with ads.proxy() as proxy:
        await proxy.start("r")
        revision = ads.say_routes_to("new")

        clusters = await proxy.hear(CLUSTERS)
        assert (clusters.names, clusters.removed) == (["new"], ())
        await proxy.ask(ENDPOINTS, "new")
        assert (await proxy.accept(ENDPOINTS)).names == ["new"]
        await proxy.ack(clusters)

        moved = await proxy.hear(ROUTES)
        assert moved.resources["r"].virtual_hosts[0].routes[0].route.cluster == "new"
        assert not ads.delivery.settled(revision).done
        await proxy.ack(moved)

        removal = await proxy.hear(CLUSTERS)
        assert (removal.names, removal.removed) == ([], ("old",))
        await proxy.ack(removal)
        await eventually(lambda: ads.delivery.settled(revision).done)


async def test_sotw_a_route_moves_by_way_of_both_clusters(ads: Ads) -> None:
    ads.say_routes_to("old")
    async with ads.proxy(Variant.SOTW) as proxy:
        await proxy.start("r")
        revision = ads.say_routes_to("new")

        clusters = await proxy.hear(CLUSTERS)
        assert clusters.names == ["new", "old"]
        await proxy.ask(ENDPOINTS, "new", "old", nonce="2")
        assert (await proxy.accept(ENDPOINTS, "new", "old")).names == ["new"]
        await proxy.ack(clusters)
        await proxy.accept(ROUTES, "r")
        assert (await proxy.accept(CLUSTERS)).names == ["new"]
        await eventually(lambda: ads.delivery.settled(revision).done)


async def test_routes_wait_for_new_clusters_but_not_for_ever(hasty: Ads) -> None:
    hasty.say_routes_to("old")
    async with hasty.proxy() as proxy:
        await proxy.start("r")
        revision = hasty.say_routes_to("new")
        withheld = await proxy.hear(CLUSTERS)
        # Nothing is answered, and yet the routes arrive.
        await proxy.accept(ROUTES)
        status = hasty.status()
        suspect = {t.type: t.suspect_since for t in status.types}
        assert suspect["CDS"] is not None
        assert suspect["CDS"] > status.connected_since
        assert suspect["RDS"] is None
        assert status.state is State.WAITING
        (waiting,) = hasty.delivery.settled(revision).waiting
        assert waiting.reason == "no answer to CDS for more than 0.2 s"
        assert hasty.delivery.counters.suspects[CLUSTERS] == 1

        await proxy.accept(CLUSTERS)
        await proxy.ack(withheld)
        await eventually(lambda: hasty.delivery.settled(revision).done)


async def test_a_suspect_does_not_hold_up_its_own_type(hasty: Ads) -> None:
    hasty.source.say(PROXY, cluster("a"))
    async with hasty.proxy() as proxy:
        await proxy.ask(CLUSTERS)
        stuck = await proxy.hear(CLUSTERS)
        hasty.source.say(PROXY, cluster("a"), cluster("b"))
        assert (await proxy.accept(CLUSTERS)).names == ["b"]
        await proxy.ack(stuck)
        await eventually(lambda: hasty.status().types[0].resources == 2)


async def test_endpoints_never_wait_for_clusters(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"), endpoints("a", 1))
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS)
        await proxy.hear(CLUSTERS)
        await proxy.ask(ENDPOINTS, "a")
        assert (await proxy.hear(ENDPOINTS)).names == ["a"]


@pytest.mark.parametrize("variant", list(Variant))
async def test_a_cluster_that_changes_gets_its_endpoints_again(ads: Ads, variant: Variant) -> None:
    ads.source.say(PROXY, cluster("a"), cluster("b"), endpoints("a", 1), endpoints("b", 1))
    async with ads.proxy(variant) as proxy:
        await proxy.start()
        ads.source.say(
            PROXY,
            cluster("a", connect_timeout_ms=5),
            cluster("b"),
            endpoints("a", 1),
            endpoints("b", 1),
        )
        await proxy.hear(CLUSTERS)
        assert (await proxy.hear(ENDPOINTS)).names == ["a"]


@pytest.mark.parametrize("variant", list(Variant))
async def test_the_last_endpoint_stays_until_the_routes_lead_elsewhere(
    ads: Ads, variant: Variant
) -> None:
    rest = (cluster("a"), cluster("b"), listener("l", 2, "r"), endpoints("b", 1))
    ads.source.say(PROXY, *rest, endpoints("a", 1), routes("r", "a"))
    async with ads.proxy(variant) as proxy:
        await proxy.start("r")
        revision = ads.source.say(PROXY, *rest, endpoints("a"), routes("r", "b"))
        moved = await proxy.hear()
        assert moved.kind is ROUTES
        await proxy.ack(moved)
        left = await proxy.hear()
        assert (left.kind, left.names) == (ENDPOINTS, ["a"])
        assert not ads.delivery.settled(revision).done
        await proxy.ack(left)
        await eventually(lambda: ads.delivery.settled(revision).done)


async def test_the_last_endpoint_goes_at_once_where_no_route_changes(ads: Ads) -> None:
    ads.say_routes_to("a")
    async with ads.proxy() as proxy:
        await proxy.start("r")
        ads.source.say(PROXY, cluster("a"), endpoints("a"), listener("l", 2, "r"), routes("r", "a"))
        assert (await proxy.accept(ENDPOINTS)).names == ["a"]


async def test_the_last_endpoint_does_not_wait_for_a_silent_proxy_for_ever(hasty: Ads) -> None:
    rest = (cluster("a"), cluster("b"), listener("l", 2, "r"), endpoints("b", 1))
    hasty.source.say(PROXY, *rest, endpoints("a", 1), routes("r", "a"))
    async with hasty.proxy() as proxy:
        await proxy.start("r")
        hasty.source.say(PROXY, *rest, endpoints("a"), routes("r", "b"))
        assert (await proxy.hear()).kind is ROUTES
        assert (await proxy.hear(ENDPOINTS)).names == ["a"]


async def test_a_listener_goes_before_the_cluster_it_used(ads: Ads) -> None:
    ads.say_routes_to("a")
    async with ads.proxy() as proxy:
        await proxy.start("r")
        revision = ads.source.say(PROXY)
        assert (await proxy.accept(LISTENERS)).removed == ("l",)
        assert (await proxy.accept(CLUSTERS)).removed == ("a",)
        await eventually(lambda: ads.delivery.settled(revision).done)


async def test_a_snapshot_that_arrives_midway_changes_the_rest_of_the_way(ads: Ads) -> None:
    ads.say_routes_to("a")
    async with ads.proxy() as proxy:
        await proxy.start("r")
        ads.say_routes_to("b")
        to_b = await proxy.hear(CLUSTERS)
        revision = ads.say_routes_to("c")
        await proxy.ack(to_b)
        assert (await proxy.accept(CLUSTERS)).names == ["c"]
        moved = await proxy.accept(ROUTES)
        assert moved.resources["r"].virtual_hosts[0].routes[0].route.cluster == "c"
        assert (await proxy.accept(CLUSTERS)).removed == ("a", "b")
        await eventually(lambda: ads.delivery.settled(revision).done)
        assert ads.delivery.counters.pushes[ROUTES] == 2


async def test_a_change_taken_back_midway_leaves_the_routes_alone(ads: Ads) -> None:
    ads.say_routes_to("a")
    async with ads.proxy() as proxy:
        await proxy.start("r")
        ads.say_routes_to("b")
        to_b = await proxy.hear(CLUSTERS)
        revision = ads.say_routes_to("a")
        await proxy.ack(to_b)
        assert (await proxy.accept(CLUSTERS)).removed == ("b",)
        await eventually(lambda: ads.delivery.settled(revision).done)
        assert ads.delivery.counters.pushes[ROUTES] == 1


async def test_a_proxy_that_comes_back_keeps_its_clusters_until_its_routes_have_moved(
    ads: Ads,
) -> None:
    ads.say_routes_to("old")
    async with ads.proxy() as proxy:
        await proxy.start("r")
        held = proxy.held
    revision = ads.say_routes_to("new")
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS, known=held[CLUSTERS])
        await proxy.ask(LISTENERS, known=held[LISTENERS])
        await proxy.ask(ROUTES, "r", known=held[ROUTES])
        assert (await proxy.accept(CLUSTERS)).names == ["new"]
        first, second = await proxy.hear(), await proxy.hear()
        assert [first.kind, second.kind] == [LISTENERS, ROUTES]
        await proxy.ack(first)
        await proxy.ack(second)
        assert (await proxy.accept(CLUSTERS)).removed == ("old",)
        await eventually(lambda: ads.delivery.settled(revision).done)
