"""The xDS protocols on a real socket: what is asked, what is answered, what is left unsaid."""

from __future__ import annotations

import pytest

from tests.ads.conftest import Ads, eventually
from tests.ads.handmade import cluster, endpoints, listener, routes
from tests.ads.scripted_proxy import CLUSTERS, ENDPOINTS, LISTENERS, PROXY, ROUTES
from weft.translate.snapshot import ResourceType
from weft.xds.status import State
from weft.xds.wire import Variant

both = pytest.mark.parametrize("variant", list(Variant))


@both
async def test_a_proxy_fetches_everything_and_has_accepted_it(ads: Ads, variant: Variant) -> None:
    revision = ads.say_routes_to("a")
    async with ads.proxy(variant) as proxy:
        await proxy.start("r")
        await eventually(lambda: ads.delivery.settled(revision).done)
        status = ads.status()
    assert status.state is State.ACCEPTED
    assert status.accepted_revision == revision
    assert status.protocol is variant
    assert status.envoy_version == "1.40.0"
    assert status.status_address == "127.0.0.1:19000"
    assert [(t.type, t.resources) for t in status.types] == [
        ("CDS", 1),
        ("EDS", 1),
        ("LDS", 1),
        ("RDS", 1),
    ]
    assert all(t.sent_version == t.accepted_version for t in status.types)


@both
async def test_an_empty_mesh_is_an_answer_too(ads: Ads, variant: Variant) -> None:
    revision = ads.source.say(PROXY)
    async with ads.proxy(variant) as proxy:
        await proxy.start()
        await eventually(lambda: ads.delivery.settled(revision).done)


@both
async def test_a_change_reaches_only_the_type_it_is_about(ads: Ads, variant: Variant) -> None:
    ads.source.say(PROXY, cluster("a"), cluster("b"), endpoints("a", 1), endpoints("b", 1))
    async with ads.proxy(variant) as proxy:
        await proxy.start()
        revision = ads.source.say(
            PROXY, cluster("a"), cluster("b"), endpoints("a", 1), endpoints("b", 2)
        )
        changed = await proxy.accept(ENDPOINTS, "a", "b")
        assert changed.names == ["b"]
        await eventually(lambda: ads.delivery.settled(revision).done)
        assert ads.delivery.counters.pushes[CLUSTERS] == 1


@both
async def test_a_revision_that_changes_nothing_sends_nothing(ads: Ads, variant: Variant) -> None:
    ads.say_routes_to("a")
    async with ads.proxy(variant) as proxy:
        await proxy.start("r")
        await eventually(lambda: ads.delivery.settled(1).done)
        before = ads.pushes
        revision = ads.say_routes_to("a")
        await eventually(lambda: ads.delivery.settled(revision).done)
        assert ads.pushes == before


@both
async def test_only_the_proxies_concerned_are_told(ads: Ads, variant: Variant) -> None:
    other = "mesh/m/virtualNode/other"
    ads.say_routes_to("a")
    ads.say_routes_to("a", proxy=other)
    async with ads.proxy(variant) as proxy, ads.proxy(variant, proxy=other) as bystander:
        await proxy.start("r")
        await bystander.start("r")
        await eventually(lambda: ads.delivery.settled(2).done)
        before = ads.pushes
        revision = ads.source.say(
            PROXY, cluster("a"), endpoints("a", 9), listener("l", 2, "r"), routes("r", "a")
        )
        await proxy.accept(ENDPOINTS, "a")
        await eventually(lambda: ads.delivery.settled(revision).done)
        assert ads.pushes == before + 1


@pytest.mark.parametrize("names", [(), ("*",)])
async def test_delta_everything_is_asked_for_with_a_star_or_with_nothing(
    ads: Ads, names: tuple[str, ...]
) -> None:
    ads.source.say(PROXY, cluster("a"), cluster("b"))
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS, *names)
        assert (await proxy.hear(CLUSTERS)).names == ["a", "b"]


@both
async def test_named_clusters_are_all_that_is_told(ads: Ads, variant: Variant) -> None:
    ads.source.say(PROXY, cluster("a"), cluster("b"))
    async with ads.proxy(variant) as proxy:
        await proxy.ask(CLUSTERS, "b")
        assert (await proxy.hear(CLUSTERS)).names == ["b"]


async def test_sotw_naming_something_ends_everything(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"), cluster("b"))
    async with ads.proxy(Variant.SOTW) as proxy:
        await proxy.ask(CLUSTERS)
        first = await proxy.accept(CLUSTERS, "a")
        assert first.names == ["a", "b"]
        ads.source.say(PROXY, cluster("a", connect_timeout_ms=5), cluster("b"))
        assert (await proxy.hear(CLUSTERS)).names == ["a"]


async def test_a_name_subscribed_later_is_answered(ads: Ads) -> None:
    ads.source.say(PROXY, endpoints("a", 1), endpoints("b", 1))
    async with ads.proxy() as proxy:
        await proxy.ask(ENDPOINTS, "a")
        await proxy.accept(ENDPOINTS)
        await proxy.ask(ENDPOINTS, "b")
        assert (await proxy.accept(ENDPOINTS)).names == ["b"]
        ads.source.say(PROXY, endpoints("a", 2), endpoints("b", 2))
        assert (await proxy.accept(ENDPOINTS)).names == ["a", "b"]
        await proxy.ask(ENDPOINTS, "heard", unsubscribe=["a"])
        assert (await proxy.accept(ENDPOINTS)).removed == ("heard",)
        ads.source.say(PROXY, endpoints("a", 3), endpoints("b", 3))
        assert (await proxy.accept(ENDPOINTS)).names == ["b"]


async def test_sotw_a_name_subscribed_later_is_answered_alone(ads: Ads) -> None:
    ads.source.say(PROXY, endpoints("a", 1), endpoints("b", 1))
    async with ads.proxy(Variant.SOTW) as proxy:
        await proxy.ask(ENDPOINTS, "a")
        first = await proxy.accept(ENDPOINTS, "a")
        await proxy.ask(ENDPOINTS, "a", "b", nonce=first.nonce, version=first.version)
        assert (await proxy.hear(ENDPOINTS)).names == ["b"]


async def test_delta_a_name_that_means_nothing_is_answered(ads: Ads) -> None:
    ads.source.say(PROXY)
    async with ads.proxy() as proxy:
        await proxy.ask(ENDPOINTS, "missing")
        answer = await proxy.accept(ENDPOINTS)
        assert (answer.names, answer.removed) == ([], ("missing",))
        ads.source.say(PROXY, endpoints("missing", 1))
        assert (await proxy.hear(ENDPOINTS)).names == ["missing"]


async def test_delta_subscribing_again_sends_again(ads: Ads) -> None:
    ads.source.say(PROXY, endpoints("a", 1))
    async with ads.proxy() as proxy:
        await proxy.ask(ENDPOINTS, "a")
        await proxy.accept(ENDPOINTS)
        await proxy.ask(ENDPOINTS, "a")
        assert (await proxy.hear(ENDPOINTS)).names == ["a"]


async def test_a_stale_nonce_changes_nothing(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"))
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS)
        first = await proxy.accept(CLUSTERS)
        ads.source.say(PROXY, cluster("a", connect_timeout_ms=5))
        second = await proxy.hear(CLUSTERS)
        await proxy.nack(first, "too late")
        await eventually(lambda: ads.delivery.counters.stale == 1)
        assert ads.status().types[0].rejected == ()
        await proxy.ack(second)
        await eventually(lambda: ads.status().types[0].accepted_revision == 2)


async def test_sotw_names_with_a_stale_nonce_are_not_taken(ads: Ads) -> None:
    ads.source.say(PROXY, endpoints("a", 1), endpoints("b", 1))
    async with ads.proxy(Variant.SOTW) as proxy:
        await proxy.ask(ENDPOINTS, "a")
        first = await proxy.accept(ENDPOINTS, "a")
        ads.source.say(PROXY, endpoints("a", 2), endpoints("b", 1))
        second = await proxy.hear(ENDPOINTS)
        await proxy.ask(ENDPOINTS, "a", "b", nonce=first.nonce)
        await eventually(lambda: ads.delivery.counters.stale == 1)
        assert ads.pushes == 2
        await proxy.ack(second, "a", "b")
        assert (await proxy.hear(ENDPOINTS)).names == ["b"]


async def test_sotw_a_name_that_was_gone_for_a_moment_is_answered_again(ads: Ads) -> None:
    ads.source.say(PROXY, endpoints("a", 1), endpoints("b", 1))
    async with ads.proxy(Variant.SOTW) as proxy:
        await proxy.ask(ENDPOINTS, "a", "b")
        first = await proxy.accept(ENDPOINTS, "a", "b")
        ads.source.say(PROXY, endpoints("a", 2), endpoints("b", 1))
        second = await proxy.hear(ENDPOINTS)
        await proxy.ask(ENDPOINTS, "a", nonce=first.nonce)
        await proxy.ack(second, "a", "b")
        assert (await proxy.hear(ENDPOINTS)).names == ["b"]


async def test_nonces_are_never_used_twice_on_a_stream(ads: Ads) -> None:
    nonces = []
    ads.source.say(PROXY, cluster("a"))
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS)
        for timeout in (5, 1000, 5, 1000):
            nonces.append((await proxy.accept(CLUSTERS)).nonce)
            ads.source.say(PROXY, cluster("a", connect_timeout_ms=timeout))
    assert len(set(nonces)) == len(nonces)


async def test_there_and_back_again_before_the_first_ack_sends_both(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"))
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS)
        first = await proxy.accept(CLUSTERS)
        ads.source.say(PROXY, cluster("a", connect_timeout_ms=5))
        there = await proxy.hear(CLUSTERS)
        ads.source.say(PROXY, cluster("a"))
        await proxy.ack(there)
        back = await proxy.accept(CLUSTERS)
        assert back.versions == first.versions != there.versions


async def test_what_comes_while_an_answer_is_due_is_merged(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"))
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS)
        first = await proxy.hear(CLUSTERS)
        for timeout in range(1, 20):
            ads.source.say(PROXY, cluster("a", connect_timeout_ms=timeout))
        await proxy.ack(first)
        merged = await proxy.accept(CLUSTERS)
        assert merged.resources["a"].connect_timeout.ToMilliseconds() == 19
        await eventually(lambda: ads.status().types[0].accepted_revision == 20)
        assert ads.pushes == 2


async def test_two_types_do_not_wait_for_each_other(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"), endpoints("a", 1))
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS)
        clusters = await proxy.hear(CLUSTERS)
        await proxy.ask(ENDPOINTS, "a")
        first = await proxy.accept(ENDPOINTS)
        ads.source.say(PROXY, cluster("a"), endpoints("a", 2))
        second = await proxy.accept(ENDPOINTS)
        await proxy.ack(clusters)
        await eventually(lambda: ads.delivery.counters.acks[CLUSTERS] == 1)
        assert first.versions != second.versions


async def test_delta_a_proxy_that_comes_back_is_told_only_what_differs(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"), cluster("b"), listener("l", 2, "r"), routes("r", "a"))
    async with ads.proxy() as proxy:
        await proxy.start("r")
        held = proxy.held
    revision = ads.source.say(
        PROXY, cluster("a"), cluster("c"), listener("l", 2, "r"), routes("r", "a")
    )
    async with ads.proxy() as proxy:
        await proxy.ask(CLUSTERS, known=held[CLUSTERS])
        assert (await proxy.accept(CLUSTERS)).names == ["c"]
        await proxy.ask(LISTENERS, known=held[LISTENERS])
        assert (await proxy.accept(LISTENERS)).names == []
        await proxy.ask(ROUTES, "r", known=held[ROUTES])
        removal = await proxy.accept(CLUSTERS)
        assert (removal.names, removal.removed) == ([], ("b",))
        await eventually(lambda: ads.delivery.settled(revision).done)
        assert ads.delivery.counters.pushes[ROUTES] == 1


async def test_sotw_a_proxy_that_comes_back_with_the_same_is_told_nothing(ads: Ads) -> None:
    revision = ads.say_routes_to("a")
    versions = {}
    async with ads.proxy(Variant.SOTW) as proxy:
        for kind, names in ((CLUSTERS, ()), (ENDPOINTS, ("a",)), (LISTENERS, ()), (ROUTES, ("r",))):
            await proxy.ask(kind, *names)
            versions[kind] = (await proxy.accept(kind, *names)).version
    before = ads.pushes
    async with ads.proxy(Variant.SOTW, instance="again") as proxy:
        for kind, names in ((CLUSTERS, ()), (ENDPOINTS, ("a",)), (LISTENERS, ()), (ROUTES, ("r",))):
            await proxy.ask(kind, *names, version=versions[kind])
        await eventually(lambda: ads.delivery.settled(revision).accepted == 1)
        assert ads.pushes == before


async def test_a_type_that_we_do_not_serve_is_passed_over(ads: Ads) -> None:
    ads.source.say(PROXY, cluster("a"))
    async with ads.proxy() as proxy:
        from envoy.service.discovery.v3 import discovery_pb2

        await proxy.send(discovery_pb2.DeltaDiscoveryRequest(type_url="type.googleapis.com/x.Y"))
        await proxy.ask(CLUSTERS)
        assert (await proxy.hear()).kind is ResourceType.CLUSTER
