"""The registry: instances come with a lease, stay by heartbeats, leave when they fall silent."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from weft.clock import ManualClock
from weft.discovery.registry import Registry
from weft.errors import NotFound
from weft.model.instance import Instance
from weft.names import Key
from weft.store.change import Author, Create
from weft.store.store import Store

ME = Author("ana", "pytest")
NODE = Key.parse("mesh/m/virtualNode/a")
REPLICA = Instance(NODE, "i", ((80, "127.0.0.1:1"),), lease_seconds=10)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, clock) as store:
        spec = {
            "listeners": [{"portMapping": {"port": 80, "protocol": "http"}}],
            "serviceDiscovery": {"dns": {"hostname": "a.local"}},
        }
        await store.apply([Create(Key.parse("mesh/m"), {}), Create(NODE, spec)], ME)
        yield store


async def test_a_silent_instance_leaves_when_its_lease_ends(
    store: Store, clock: ManualClock
) -> None:
    registry = Registry(store, clock)
    await registry.register(REPLICA, ME)

    clock.advance(timedelta(seconds=9))
    assert await registry.expire() == []
    clock.advance(timedelta(seconds=1))
    assert await registry.expire() == [(NODE, "i")]

    assert store.state.instances(NODE) == ()
    assert store.state.instances_known(NODE)


async def test_a_heartbeat_renews_the_lease_and_makes_no_revision(
    store: Store, clock: ManualClock
) -> None:
    registry = Registry(store, clock)
    before = (await registry.register(REPLICA, ME)).revision

    for _ in range(5):
        clock.advance(timedelta(seconds=9))
        assert registry.heartbeat(NODE, "i")
        await registry.expire()

    assert store.state.revision == before
    assert store.state.instances(NODE) == (REPLICA,)


async def test_after_a_start_no_lease_ends_before_its_full_length(
    store: Store, clock: ManualClock
) -> None:
    await Registry(store, clock).register(REPLICA, ME)
    clock.advance(timedelta(hours=1))

    restarted = Registry(store, clock)
    clock.advance(timedelta(seconds=9))
    assert await restarted.expire() == []
    clock.advance(timedelta(seconds=2))
    assert await restarted.expire() == [(NODE, "i")]


async def test_a_heartbeat_of_a_stranger_says_so(store: Store, clock: ManualClock) -> None:
    assert not Registry(store, clock).heartbeat(NODE, "ghost")


async def test_an_instance_of_a_missing_node_or_port_is_refused(
    store: Store, clock: ManualClock
) -> None:
    registry = Registry(store, clock)

    with pytest.raises(NotFound):
        await registry.register(Instance(Key.parse("mesh/m/virtualNode/z"), "i", ()), ME)
    with pytest.raises(Exception, match="no listener at port 81"):
        await registry.register(Instance(NODE, "i", ((81, "127.0.0.1:1"),)), ME)
