"""What holds for every mesh."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2  # noqa: F401  # for Any
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import MessageToDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import strategies
from tests.builders import METADATA, resource, resources, state_from
from weft.checks.catalogue import check
from weft.clock import ManualClock
from weft.model.meta import Resource
from weft.names import DEFAULT_ACCOUNT, Key, View
from weft.resolve.proxy import proxy, resolve
from weft.resolve.reading import (
    Fact,
    Parts,
    Reading,
    children_of,
    document_of,
    documents_of,
    instances_of,
)
from weft.store.admission import admit
from weft.store.change import Create, Register
from weft.store.state import Draft, MeshState
from weft.translate.proxy import translate
from weft.translate.snapshot import ResourceType, Snapshot

every_mesh = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@every_mesh
@given(strategies.meshes())
def test_the_strategy_makes_meshes_that_are_admitted(said: strategies.Said) -> None:
    state = state_from(said)
    steps: list[Any] = [Create(each.key, dict(each.sent)) for each in resources(said)]
    steps += [Register(each) for node in state.workloads for each in state.instances(node)]
    admit(MeshState(), steps, ManualClock(), DEFAULT_ACCOUNT)


@every_mesh
@given(strategies.meshes(), strategies.views)
def test_every_reference_leads_somewhere(said: strategies.Said, view: View) -> None:
    snapshot = translate(resolve(state_from(said), view))
    clusters = {m.name: m for m in messages(snapshot, ResourceType.CLUSTER)}
    endpoints = set(snapshot.of(ResourceType.ENDPOINT))

    named = set(named_clusters(snapshot))
    assert named <= set(clusters), "a route names a cluster that is not there"
    eds = {name for name, m in clusters.items() if m.type == cluster_pb2.Cluster.EDS}
    assert eds == endpoints, "an EDS cluster without an assignment, or the reverse"
    asked = set(values(listeners(snapshot), "route_config_name"))
    assert asked == set(snapshot.of(ResourceType.ROUTE))
    assert told_secrets(snapshot) == set(snapshot.of(ResourceType.SECRET)), (
        "a secret that nothing uses, or the reverse"
    )


@every_mesh
@given(strategies.meshes(), strategies.views)
def test_no_socket_and_no_domain_is_taken_twice(said: strategies.Said, view: View) -> None:
    """What Envoy refuses, with everything else in the same response."""
    snapshot = translate(resolve(state_from(said), view))
    addresses = [
        (
            each["address"]["socket_address"]["address"],
            each["address"]["socket_address"]["port_value"],
        )
        for listener in listeners(snapshot)
        for each in (listener, *listener.get("additional_addresses", ()))
    ]
    assert len(addresses) == len(set(addresses))
    for listener in listeners(snapshot):
        chains = listener.get("filter_chains", ())
        matches = [str(chain.get("filter_chain_match")) for chain in chains]
        assert len(matches) == len(set(matches))
    for configuration in messages(snapshot, ResourceType.ROUTE):
        hosts = configuration.virtual_hosts
        domains = [domain.lower() for host in hosts for domain in host.domains]
        assert len(domains) == len(set(domains))
        assert len({host.name for host in hosts}) == len(hosts)


@every_mesh
@given(strategies.meshes(), strategies.views, st.randoms(use_true_random=False))
def test_the_order_in_which_resources_came_changes_nothing(
    said: strategies.Said, view: View, chance: random.Random
) -> None:
    assert resolve(shuffled(said, chance), view) == resolve(state_from(said), view)


@every_mesh
@given(strategies.meshes(), strategies.meshes(), strategies.views)
def test_a_version_changes_if_and_only_if_the_content_does(
    one: strategies.Said, other: strategies.Said, view: View
) -> None:
    first, second = (translate(resolve(state_from(said), view)) for said in (one, other))
    for kind in ResourceType:
        for name in first.of(kind).keys() & second.of(kind).keys():
            a, b = first.of(kind)[name], second.of(kind)[name]
            assert (a.version == b.version) == (a.delta == b.delta) == (a.sotw == b.sotw)


@every_mesh
@given(
    strategies.meshes(),
    strategies.meshes(),
    st.lists(strategies.views, min_size=1, max_size=3),
    st.randoms(use_true_random=False),
)
def test_parts_that_still_hold_give_what_a_resolution_from_scratch_gives(
    before: strategies.Said, after: strategies.Said, views: list[View], chance: random.Random
) -> None:
    state, parts = state_from(before), Parts()
    for _ in range(4):
        for view in views:
            assert Reading(state, parts).part(proxy, view) == resolve(state, view)
        state, touched = edited(state, state_from(after), chance)
        parts.drop(touched)
    for view in views:
        parts.forget((proxy, (view,)))
        parts.forget((proxy, (view,)))


def edited(
    state: MeshState, other: MeshState, chance: random.Random
) -> tuple[MeshState, set[Fact]]:
    """
    Some resources of one state as they are in another, and the facts that touches.

    The result need not be admitted, and resolution must bear it all the same.
    """
    draft = Draft(state)
    touched: set[Fact] = set()
    keys = {each.key for each in (*state.resources(), *other.resources())}
    for key in chance.sample(sorted(keys), k=min(3, len(keys))):
        mine, theirs = draft.state.resource(key), other.resource(key)
        if str(key) in ("mesh/shop", "mesh/shop/virtualNode/web", "mesh/shop/virtualGateway/front"):
            theirs = theirs or mine
        if theirs is not None:
            draft.put(Resource(key, theirs.spec, theirs.sent, METADATA))
        elif mine is not None:
            draft.remove(key)
        touched |= {key, instances_of(key)}
        if key.parent:
            touched.add(children_of(key.parent, key.kind))
    kept = [(c, n) for one in (state, other) for c in one.documents for n in one.collection(c)]
    for collection, name in chance.sample(sorted(set(kept)), k=min(2, len(set(kept)))):
        draft.keep(collection, name, other.document(collection, name))
        touched |= {document_of(collection, name), documents_of(collection)}
    return draft.freeze(state.revision + 1), touched


def shuffled(said: strategies.Said, chance: random.Random) -> MeshState:
    state = state_from(said)
    found = list(resources(said))
    chance.shuffle(found)
    draft = Draft(MeshState())
    for each in found:
        draft.put(resource(each.key, each.sent))
    for node in said["forgotten"]:
        draft.know_instances(Key.parse(f"mesh/shop/virtualNode/{node}"))
    instances = [each for node in state.workloads for each in state.instances(node)]
    chance.shuffle(instances)
    for instance in instances:
        draft.put_instance(instance)
    for collection, documents in state.documents.items():
        for name in documents:
            draft.keep(collection, name, documents[name])
    return draft.freeze(1)


_MESSAGES = {
    ResourceType.CLUSTER: cluster_pb2.Cluster,
    ResourceType.LISTENER: listener_pb2.Listener,
    ResourceType.ROUTE: route_pb2.RouteConfiguration,
}


def messages(snapshot: Snapshot, kind: ResourceType) -> Iterator[Any]:
    for each in snapshot.of(kind).values():
        entry = discovery_pb2.DeltaDiscoveryResponse.FromString(each.delta).resources[0]
        message = _MESSAGES[kind]()
        entry.resource.Unpack(message)
        yield message


def listeners(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [
        MessageToDict(message, preserving_proto_field_name=True)
        for message in messages(snapshot, ResourceType.LISTENER)
    ]


def told_secrets(snapshot: Snapshot) -> set[str]:
    """Names of secrets that listeners and clusters expect from us."""
    said = [
        MessageToDict(message, preserving_proto_field_name=True)
        for kind in (ResourceType.LISTENER, ResourceType.CLUSTER)
        for message in messages(snapshot, kind)
    ]
    several = [each for found in values(said, SECRETS[0]) for each in found]
    one = [each for member in SECRETS[1:] for each in values(said, member)]
    return {each["name"] for each in (*several, *one) if "ads" in each["sds_config"]}


SECRETS = ("tls_certificate_sds_secret_configs", "validation_context_sds_secret_config")


def named_clusters(snapshot: Snapshot) -> Iterator[str]:
    routes = [
        MessageToDict(message, preserving_proto_field_name=True)
        for message in messages(snapshot, ResourceType.ROUTE)
    ]
    for weighted in values(routes, "clusters"):
        yield from (each["name"] for each in weighted)
    yield from (name for name in values(listeners(snapshot), "cluster") if isinstance(name, str))
    for weighted in values(listeners(snapshot), "clusters"):
        yield from (each["name"] for each in weighted)


def values(within: object, member: str) -> Iterator[Any]:
    match within:
        case dict():
            for name, each in within.items():
                if name == member:
                    yield each
                yield from values(each, member)
        case list():
            for each in within:
                yield from values(each, member)
        case _:
            pass


@every_mesh
@given(strategies.meshes(), st.randoms(use_true_random=False))
def test_any_mesh_can_be_checked_in_any_order(said: strategies.Said, chance: random.Random) -> None:
    assert check(shuffled(said, chance)) == check(state_from(said))
