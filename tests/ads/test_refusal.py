"""NACK: the last good configuration stays, the culprit is found, and everybody can read why."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.ads.conftest import Ads, eventually
from tests.ads.handmade import cluster, endpoints, listener, routes
from tests.ads.scripted_proxy import (
    CLUSTERS,
    DEADLINE_SECONDS,
    LISTENERS,
    PROXY,
    ROUTES,
    Response,
    ScriptedProxy,
)
from weft.xds.status import State
from weft.xds.wire import Variant

A_WHILE = timedelta(seconds=DEADLINE_SECONDS)
BAD_MS = 13


async def refuse_the_bad(proxy: ScriptedProxy, response: Response) -> list[str]:
    """What Envoy does with a semantic mistake; says which clusters were offered."""
    bad = [
        name
        for name, made in response.resources.items()
        if made.connect_timeout.ToMilliseconds() == BAD_MS
    ]
    if bad:
        await proxy.nack(response, f"Error adding/updating cluster(s) {bad[0]}: no")
    else:
        await proxy.ack(response)
    return response.names


async def test_resources_of_a_nack_are_sent_again_one_by_one(ads: Ads) -> None:
    ads.source.say(PROXY)
    async with ads.proxy() as proxy:
        await proxy.start()
        revision = ads.source.say(
            PROXY, cluster("a"), cluster("b", connect_timeout_ms=BAD_MS), cluster("c")
        )
        offered = [await refuse_the_bad(proxy, await proxy.hear(CLUSTERS)) for _ in range(4)]
        assert offered == [["a", "b", "c"], ["a"], ["b"], ["c"]]

        settled = await ads.delivery.wait_settled(revision, A_WHILE)
        (refusal,) = settled.rejected
        assert refusal.resources == ("b",)
        assert refusal.words == "Error adding/updating cluster(s) b: no"
        assert refusal.type == "CDS"
        assert refusal.revision == revision
        assert refusal.at is not None
        assert (settled.accepted, settled.total) == (0, 1)
        status = ads.status()
        assert status.state is State.REJECTED
        assert status.accepted_revision == revision - 1
        assert status.types[0].resources == 2


async def test_what_was_refused_alone_is_held_back_and_the_rest_goes_on(ads: Ads) -> None:
    ads.source.say(PROXY)
    async with ads.proxy() as proxy:
        await proxy.start()
        ads.source.say(PROXY, cluster("b", connect_timeout_ms=BAD_MS))
        await refuse_the_bad(proxy, await proxy.hear(CLUSTERS))
        ads.source.say(PROXY, cluster("a"), cluster("b", connect_timeout_ms=BAD_MS))
        assert (await proxy.accept(CLUSTERS)).names == ["a"]

        mended = ads.source.say(PROXY, cluster("a"), cluster("b"))
        assert (await proxy.accept(CLUSTERS)).names == ["b"]
        assert (await ads.delivery.wait_settled(mended, A_WHILE)).done
        status = ads.status()
        assert status.state is State.ACCEPTED
        assert status.types[0].rejected == ()


async def test_taking_a_refused_change_back_sends_the_good_version_again(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"))
    async with ads.proxy() as proxy:
        await proxy.start()
        ads.source.say(PROXY, cluster("a", connect_timeout_ms=BAD_MS))
        await refuse_the_bad(proxy, await proxy.hear(CLUSTERS))
        await eventually(lambda: ads.status().state is State.REJECTED)
        reverted = ads.source.say(PROXY, cluster("a"))
        # Whether the proxy has applied a part of what it refused is not known.
        assert (await proxy.accept(CLUSTERS)).names == ["a"]
        assert (await ads.delivery.wait_settled(reverted, A_WHILE)).done


async def test_sotw_keeps_the_last_good_version_of_what_was_refused(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"), cluster("b"))
    async with ads.proxy(Variant.SOTW) as proxy:
        await proxy.ask(CLUSTERS)
        good = await proxy.accept(CLUSTERS)
        ads.source.say(
            PROXY,
            cluster("a", connect_timeout_ms=5),
            cluster("b", connect_timeout_ms=BAD_MS),
            cluster("c"),
        )
        offers = []
        for _ in range(4):
            response = await proxy.hear(CLUSTERS)
            offers.append(
                {n: made.connect_timeout.ToMilliseconds() for n, made in response.resources.items()}
            )
            if offers[-1]["b"] == BAD_MS:
                await proxy.nack(response, "cluster b: no", version=good.version)
            else:
                await proxy.ack(response)
        assert offers == [
            {"a": 5, "b": BAD_MS, "c": 1000},
            {"a": 5, "b": 1000},
            {"a": 5, "b": BAD_MS},
            {"a": 5, "b": 1000, "c": 1000},
        ]
        await eventually(lambda: ads.status().types[0].resources == 3)
        (refusal,) = ads.status().types[0].rejected
        assert refusal.resources == ("b",)


async def test_routes_to_a_refused_cluster_are_held_back_with_it(ads: Ads) -> None:
    ads.say_routes_to("a")
    async with ads.proxy() as proxy:
        await proxy.start("r")
        ads.source.say(
            PROXY,
            cluster("a"),
            cluster("new", connect_timeout_ms=BAD_MS),
            endpoints("a", 1),
            listener("l", 2, "r"),
            routes("r", "new"),
        )
        await refuse_the_bad(proxy, await proxy.hear(CLUSTERS))
        await eventually(lambda: ads.status().state is State.REJECTED)
        assert ads.delivery.counters.pushes[ROUTES] == 1

        mended = ads.say_routes_to("new")
        assert (await proxy.accept(CLUSTERS)).names == ["new"]
        moved = await proxy.accept(ROUTES)
        assert moved.resources["r"].virtual_hosts[0].routes[0].route.cluster == "new"
        assert (await proxy.accept(CLUSTERS)).removed == ("a",)
        assert (await ads.delivery.wait_settled(mended, A_WHILE)).done


async def test_clusters_of_the_last_good_routes_stay(ads: Ads) -> None:
    ads.say_routes_to("a")
    async with ads.proxy() as proxy:
        await proxy.start("r")
        ads.say_routes_to("b")
        assert (await proxy.accept(CLUSTERS)).names == ["b"]
        await proxy.nack(await proxy.hear(ROUTES), "no such thing")
        await eventually(lambda: ads.status().state is State.REJECTED)
        assert ads.status().types[0].resources == 2
        assert ads.delivery.counters.pushes[CLUSTERS] == 2


async def test_a_listener_that_collides_with_one_that_goes_is_tried_again(ads: Ads) -> None:
    ads.source.say(PROXY, listener("old", 2, "r"))
    async with ads.proxy() as proxy:
        await proxy.start()
        revision = ads.source.say(PROXY, listener("new", 2, "r"))
        await proxy.nack(await proxy.hear(LISTENERS), "'new' has duplicate address")
        assert (await proxy.accept(LISTENERS)).removed == ("old",)
        assert (await proxy.accept(LISTENERS)).names == ["new"]
        assert (await ads.delivery.wait_settled(revision, A_WHILE)).done


async def test_waiting_for_the_cure_is_not_ended_by_the_disease(ads: Ads) -> None:
    ads.source.say(PROXY)
    async with ads.proxy() as proxy:
        await proxy.start()
        bad = ads.source.say(PROXY, cluster("a", connect_timeout_ms=BAD_MS))
        await refuse_the_bad(proxy, await proxy.hear(CLUSTERS))
        assert (await ads.delivery.wait_settled(bad, A_WHILE)).rejected
        cure = ads.source.say(PROXY, cluster("a"))
        assert ads.delivery.settled(cure).rejected == ()
        await proxy.accept(CLUSTERS)
        assert (await ads.delivery.wait_settled(cure, A_WHILE)).done


@pytest.mark.parametrize("variant", list(Variant))
async def test_a_failure_of_ours_is_shown_and_the_last_good_snapshot_stays(
    ads: Ads, variant: Variant
) -> None:
    ads.source.say(PROXY, cluster("a"), endpoints("a", 1))
    async with ads.proxy(variant) as proxy:
        await proxy.start()
        await eventually(lambda: ads.delivery.settled(1).done)
        (view,) = ads.source.attached
        ads.server.failed(view, "KeyError: 'b'", 2)
        ads.server.processed(2)
        settled = await ads.delivery.wait_settled(2, A_WHILE)
        assert [(r.words, r.type) for r in settled.rejected] == [("KeyError: 'b'", None)]
        assert ads.status().failure == "KeyError: 'b'"
        assert ads.status().accepted_revision == 1
        ads.source.revision = 2
        mended = ads.source.say(PROXY, cluster("a"), endpoints("a", 1))
        assert (await ads.delivery.wait_settled(mended, A_WHILE)).done


async def test_what_was_refused_and_is_no_longer_wanted_is_forgotten(ads: Ads) -> None:
    ads.source.say(PROXY)
    async with ads.proxy() as proxy:
        await proxy.start()
        ads.source.say(PROXY, cluster("a", connect_timeout_ms=BAD_MS))
        await refuse_the_bad(proxy, await proxy.hear(CLUSTERS))
        await eventually(lambda: ads.status().state is State.REJECTED)
        taken_back = ads.source.say(PROXY)
        # What the proxy has made of it is not known.
        assert (await proxy.accept(CLUSTERS)).removed == ("a",)
        assert (await ads.delivery.wait_settled(taken_back, A_WHILE)).done
        assert ads.status().state is State.ACCEPTED
