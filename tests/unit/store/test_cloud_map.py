"""Replicas of virtual nodes that Cloud Map discovers stand in it, in the same revision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from weft.clock import ManualClock
from weft.errors import InUse
from weft.model import cloud_map
from weft.model.cloud_map import Health, Instance, Namespace, NamespaceType, Service
from weft.model.instance import Instance as Replica
from weft.names import DEFAULT_ACCOUNT, Key
from weft.store import document
from weft.store.admission import Admitted, admit
from weft.store.change import Create, Delete, Deregister, Keep, Register, Step, Update
from weft.store.cloud_map import keep_instance, keep_namespace, keep_service, revision_of
from weft.store.state import MeshState

NODE = Key.parse("mesh/m/virtualNode/red")
REPLICA = Replica(NODE, "i", ((80, "127.0.0.1:4001"), (81, "[::1]:4002")))
CLOCK = ManualClock()


def _spec(service: str = "colour", **attributes: str) -> dict[str, Any]:
    asked: dict[str, Any] = {"namespaceName": "ns", "serviceName": service}
    if attributes:
        asked["attributes"] = [{"key": key, "value": value} for key, value in attributes.items()]
    return {
        "listeners": [{"portMapping": {"port": port, "protocol": "http"}} for port in (80, 81)],
        "serviceDiscovery": {"awsCloudMap": asked},
    }


def _changed(state: MeshState, *steps: Step) -> Admitted:
    return admit(state, steps, CLOCK, DEFAULT_ACCOUNT)


def _after(state: MeshState, *steps: Step) -> MeshState:
    return _changed(state, *steps).draft.freeze(state.revision + 1)


def _mesh(**attributes: str) -> MeshState:
    return _after(MeshState(), Create(Key.parse("mesh/m"), {}), Create(NODE, _spec(**attributes)))


def _in(state: MeshState, service: str = "colour") -> Mapping[str, Instance]:
    id = cloud_map.id_behind(state, "ns", service)
    if id is None:
        return {}
    found = state.collection(cloud_map.instances_of(id))
    return {name: Instance.of(name, each) for name, each in found.items()}


def test_a_replica_stands_in_cloud_map_with_its_nodes_attributes_and_all_addresses() -> None:
    state = _after(_mesh(colour="red"), Register(REPLICA))

    assert _in(state)["m/red/i"].attributes == {
        "colour": "red",
        "AWS_INSTANCE_IPV4": "127.0.0.1",
        "AWS_INSTANCE_PORT": "4001",
        "WEFT_ADDRESS_80": "127.0.0.1:4001",
        "WEFT_ADDRESS_81": "[::1]:4002",
        "WEFT_MESH": "m",
        "WEFT_VIRTUAL_NODE": "red",
    }


def test_a_missing_service_and_namespace_are_made_once() -> None:
    state = _after(_mesh(), Register(REPLICA))
    other = Replica(NODE, "j", ((80, "127.0.0.1:4003"),))
    state = _after(state, Register(other))

    assert len(state.collection(cloud_map.NAMESPACES)) == 1
    assert len(state.collection(cloud_map.SERVICES)) == 1
    assert set(_in(state)) == {"m/red/i", "m/red/j"}


def test_a_replica_leaves_with_its_registration_and_with_its_node() -> None:
    state = _after(_mesh(), Register(REPLICA))
    assert _in(_after(state, Deregister(NODE, "i"))) == {}
    assert _in(_after(state, Delete(NODE))) == {}


def test_a_node_that_moves_takes_its_replicas_along() -> None:
    state = _after(_mesh(colour="red"), Register(REPLICA))

    painted = _after(state, Update(NODE, _spec(colour="blue")))
    assert _in(painted)["m/red/i"].attributes["colour"] == "blue"
    moved = _after(state, Update(NODE, _spec("other")))
    assert (set(_in(moved)), set(_in(moved, "other"))) == (set(), {"m/red/i"})
    dns = {**_spec(), "serviceDiscovery": {"dns": {"hostname": "a.local"}}}
    assert _in(_after(state, Update(NODE, dns))) == {}


def test_what_was_said_of_a_replicas_health_outlives_an_update_of_its_node() -> None:
    state = _after(
        _mesh(),
        *keep_namespace(Namespace("ns-1", "ns", NamespaceType.HTTP, 0)),
        *keep_service(
            Service("srv-1", "colour", "ns-1", "HTTP", 0, health_check_custom_config={}), "ns"
        ),
        Register(REPLICA),
    )
    assert _in(state)["m/red/i"].health is Health.HEALTHY
    ill = Instance("m/red/i", _in(state)["m/red/i"].attributes, Health.UNHEALTHY)
    state = _after(state, *keep_instance(state, "srv-1", ill))

    state = _after(state, Update(NODE, _spec(colour="blue")))

    assert _in(state)["m/red/i"].health is Health.UNHEALTHY


def test_names_that_are_too_long_for_cloud_map_are_shortened_and_stay_apart() -> None:
    replicas = [Replica(NODE, "x" * 80 + end, ((80, "127.0.0.1:1"),)) for end in "ab"]
    state = _after(_mesh(), *map(Register, replicas))
    assert {len(id) for id in _in(state)} == {64}
    assert len(_in(state)) == 2


def test_instances_and_what_counts_them_are_the_registrys_and_services_are_not() -> None:
    first = _changed(_mesh(), Register(REPLICA))
    second = _changed(first.draft.freeze(2), Register(Replica(NODE, "j", ((80, "127.0.0.1:2"),))))

    assert not all(document.is_registry(each.id) for each in first.records)
    assert all(document.is_registry(each.id) for each in second.records)


def test_the_count_goes_up_with_who_comes_and_not_with_health() -> None:
    instance = Instance("i", {"a": "b"}, Health.HEALTHY)
    state = _after(MeshState(), *keep_instance(MeshState(), "srv-1", instance))
    counted = revision_of(state, "srv-1")

    ill = Instance("i", {"a": "b"}, Health.UNHEALTHY)
    assert revision_of(_after(state, *keep_instance(state, "srv-1", ill)), "srv-1") == counted
    assert counted > revision_of(MeshState(), "srv-1")


def test_no_change_leaves_instances_without_their_service_or_services_without_a_namespace() -> None:
    state = _after(_mesh(), Register(REPLICA))
    (service,) = state.collection(cloud_map.SERVICES)
    (namespace,) = state.collection(cloud_map.NAMESPACES)

    with pytest.raises(InUse, match="1 instance"):
        _after(state, Keep(cloud_map.SERVICES, service, None))
    with pytest.raises(InUse, match="has services: colour"):
        _after(state, Keep(cloud_map.NAMESPACES, namespace, None))
    orphan = Service("srv-1", "s", "ns-none", "HTTP", 0)
    with pytest.raises(InUse, match="which is not there"):
        _after(state, Keep(cloud_map.SERVICES, "srv-1", orphan.document()))


def test_a_collection_without_documents_is_none() -> None:
    state = _after(MeshState(), Keep("c", "n", {}))
    assert "c" not in _after(state, Keep("c", "n", None)).documents
