"""Cloud Map while it runs: instances with a lease leave when they fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from weft.clock import ManualClock
from weft.discovery import cloud_map
from weft.discovery.catalog import Catalog
from weft.discovery.cloud_map_errors import NamespaceAlreadyExists, OperationNotFound
from weft.discovery.operations import REMEMBERED, Operations, OperationType, Target
from weft.errors import InUse
from weft.model import cloud_map_requests as requests
from weft.store.change import Author
from weft.store.store import Store

ME = Author("ana", "pytest")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, clock) as store:
        yield store


async def _service(catalog: Catalog) -> str:
    namespace = await catalog.create_namespace(
        requests.parse(requests.CreateHttpNamespace, {"Name": "ns"}), ME
    )
    asked = {"Name": "s", "NamespaceId": namespace.value.id, "HealthCheckCustomConfig": {}}
    return (
        await catalog.create_service(requests.parse(requests.CreateService, asked), ME)
    ).value.id


def _registration(service: str, id: str = "i", **attributes: str) -> requests.RegisterInstance:
    asked = {"ServiceId": service, "InstanceId": id, "Attributes": attributes}
    return requests.parse(requests.RegisterInstance, asked)


def _ids(store: Store, service: str) -> list[str]:
    state = store.state
    return [each.id for each in cloud_map.instances(state, cloud_map.service(state, service))]


async def test_an_instance_with_a_lease_leaves_when_it_falls_silent(
    store: Store, clock: ManualClock
) -> None:
    catalog = Catalog(store, clock)
    service = await _service(catalog)
    await catalog.register(_registration(service, "leased", WEFT_LEASE_SECONDS="10"), ME)
    await catalog.register(_registration(service, "stays"), ME)

    clock.advance(timedelta(seconds=9))
    assert await catalog.expire() == []
    clock.advance(timedelta(seconds=2))
    assert await catalog.expire() == [(service, "leased")]

    assert _ids(store, service) == ["stays"]
    (newest,) = await store.changes(limit=1, registry=True)
    assert newest.registry_only


async def test_the_same_registration_again_renews_the_lease_and_makes_no_revision(
    store: Store, clock: ManualClock
) -> None:
    catalog = Catalog(store, clock)
    service = await _service(catalog)
    asked = _registration(service, WEFT_LEASE_SECONDS="10")
    before = (await catalog.register(asked, ME)).revision

    for _ in range(3):
        clock.advance(timedelta(seconds=9))
        assert (await catalog.register(asked, ME)).revision == before
        assert await catalog.expire() == []


async def test_news_of_its_health_renews_a_lease(store: Store, clock: ManualClock) -> None:
    catalog = Catalog(store, clock)
    service = await _service(catalog)
    await catalog.register(_registration(service, WEFT_LEASE_SECONDS="10"), ME)
    clock.advance(timedelta(seconds=9))
    told = {"ServiceId": service, "InstanceId": "i", "Status": "UNHEALTHY"}
    await catalog.tell_health(requests.parse(requests.UpdateInstanceCustomHealthStatus, told), ME)

    clock.advance(timedelta(seconds=9))

    assert await catalog.expire() == []


async def test_after_a_restart_a_lease_runs_for_its_full_length(
    store: Store, clock: ManualClock
) -> None:
    service = await _service(first := Catalog(store, clock))
    await first.register(_registration(service, WEFT_LEASE_SECONDS="10"), ME)
    clock.advance(timedelta(seconds=60))

    again = Catalog(store, clock)

    assert await again.expire() == []
    clock.advance(timedelta(seconds=10))
    assert await again.expire() == [(service, "i")]


async def test_of_two_who_ask_for_one_name_at_once_one_gets_it(
    store: Store, clock: ManualClock
) -> None:
    catalog = Catalog(store, clock)
    asked = requests.parse(requests.CreateHttpNamespace, {"Name": "ns"})

    done = await asyncio.gather(
        *(catalog.create_namespace(asked, ME) for _ in range(4)), return_exceptions=True
    )

    assert sum(isinstance(each, NamespaceAlreadyExists) for each in done) == 3
    assert len(cloud_map.namespaces(store.state)) == 1


async def test_a_change_of_cloud_map_can_be_reverted_unless_something_is_in_the_way(
    store: Store, clock: ManualClock
) -> None:
    catalog = Catalog(store, clock)
    service = await _service(catalog)
    made = store.state.revision
    await catalog.register(_registration(service), ME)
    with pytest.raises(InUse, match="1 instance"):
        await store.revert(made, ME)

    of = {"ServiceId": service, "InstanceId": "i"}
    await catalog.deregister(requests.parse(requests.OfInstance, of), ME)
    await store.revert(made, ME)
    assert cloud_map.services(store.state) == []
    await store.revert(store.state.revision, ME)
    assert [each.id for each in cloud_map.services(store.state)] == [service]
    assert cloud_map.service_named(store.state, "ns", "s").id == service


def test_only_the_newest_operations_are_remembered(clock: ManualClock) -> None:
    operations = Operations(clock)
    made = [
        operations.note(OperationType.REGISTER_INSTANCE, {Target.SERVICE: "srv-1"})
        for _ in range(REMEMBERED + 1)
    ]

    assert len(list(operations)) == REMEMBERED
    assert operations.get(made[-1].id) == made[-1]
    with pytest.raises(OperationNotFound):
        operations.get(made[0].id)
