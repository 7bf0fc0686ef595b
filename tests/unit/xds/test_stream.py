"""Whatever is published and however a proxy answers, it ends where it should, by safe steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ads.handmade import (
    cluster,
    cluster_by_dns,
    endpoints,
    listener,
    routes,
    snapshot,
)
from tests.ads.scripted_proxy import CLUSTERS, ENDPOINTS, LISTENERS, ROUTES
from weft.names import ProxyId, View
from weft.translate.snapshot import ResourceType, Snapshot
from weft.xds.cache import Feed
from weft.xds.stream import Outgoing, Stream
from weft.xds.wire import DeltaRequest, Request, SotwRequest, Variant

AT = datetime(2026, 1, 1, tzinfo=UTC)
VIEW = View(ProxyId.parse("mesh/m/virtualNode/n"))
KINDS = (CLUSTERS, ENDPOINTS, LISTENERS, ROUTES)

Mesh = tuple[tuple[str, int], ...]
"""For each route configuration: the cluster it leads to, and a number that makes it differ."""

meshes = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([1, 2])), max_size=3).map(
    tuple
)


def made(mesh: Mesh, salt: int = 0) -> Snapshot:
    """A snapshot; another salt makes every resource of it differ."""
    clusters = {name: number + salt for name, number in mesh}
    return snapshot(
        *[cluster(name, connect_timeout_ms=number) for name, number in clusters.items()],
        *[endpoints(name, number) for name, number in clusters.items()],
        *[listener(f"l{i}", 1000 + i + salt, f"r{i}") for i in range(len(mesh))],
        *[routes(f"r{i}", name, domains=("*", f"salt-{salt}")) for i, (name, _) in enumerate(mesh)],
    )


def versions(kind: ResourceType, snapshot: Snapshot) -> dict[str, bytes]:
    return {name: resource.sotw for name, resource in snapshot.of(kind).items()}


class Refusal(Enum):
    """How a proxy refuses: a broken constraint spoils all, another mistake only its resource."""

    OF_ALL = auto()
    OF_THE_FIRST = auto()


@dataclass
class Model:
    """A proxy in memory: it applies what it is told, and answers when the test says so."""

    stream: Stream
    held: dict[ResourceType, dict[str, bytes]] = field(
        default_factory=lambda: {kind: {} for kind in KINDS}
    )
    unread: list[Outgoing] = field(default_factory=list)
    asked: dict[ResourceType, frozenset[str]] = field(default_factory=dict)
    nonces: dict[ResourceType, str] = field(default_factory=dict)

    @property
    def delta(self) -> bool:
        return self.stream.variant is Variant.DELTA

    def send(self, request: Request) -> None:
        self.stream.on_request(request, AT)
        self.listen()

    def listen(self) -> None:
        while response := self.stream.next(0.0):
            self.unread.append(response)
            waiting = [r.kind for r in self.unread]
            assert len(waiting) == len(set(waiting)), "two unanswered responses of one type"

    def start(self) -> None:
        for kind in (CLUSTERS, LISTENERS):
            self.send(DeltaRequest(kind) if self.delta else SotwRequest(kind))
        self.subscribe()

    def answer(self, at: int, refusal: Refusal | None = None) -> None:
        """Read one of the responses, apply it as far as it is not refused, and answer it."""
        response = self.unread.pop(at % len(self.unread))
        kind, held = response.kind, self.held[response.kind]
        self.nonces[kind] = response.nonce
        told, removed = self._read(response)
        if not kind.wildcard:
            # What nobody asks for any more is passed over.
            told = {n: packed for n, packed in told.items() if n in self.asked.get(kind, ())}
        changed = sorted(name for name in told if held.get(name) != told[name])
        error = None
        if refusal is not None and changed:
            error = "no"
            applied = changed[1:] if refusal is Refusal.OF_THE_FIRST else []
            removed = removed if applied else set()
        else:
            applied = changed
        for name in applied:
            held[name] = told[name]
        for name in removed:
            held.pop(name, None)
        self.check()
        self.subscribe()
        if self.delta:
            self.send(DeltaRequest(kind, nonce=response.nonce, error=error))
        else:
            names = self.asked.get(kind, frozenset())
            self.send(SotwRequest(kind, names, "v", response.nonce, error))

    def _read(self, response: Outgoing) -> tuple[dict[str, bytes], set[str]]:
        """What a response adds or changes, and what it removes."""
        if self.delta:
            message = discovery_pb2.DeltaDiscoveryResponse.FromString(response.data)
            told = {entry.name: _packed(entry.resource) for entry in message.resources}
            return told, set(message.removed_resources)
        world = discovery_pb2.DiscoveryResponse.FromString(response.data)
        told = {_name(resource): _packed(resource) for resource in world.resources}
        gone = self.held[response.kind].keys() - told.keys() if response.kind.wildcard else set()
        return told, set(gone)

    def subscribe(self) -> None:
        """As Envoy does: endpoints by cluster, routes by listener; nobody asks for less to come."""
        wanted = {
            ENDPOINTS: frozenset(self.held[CLUSTERS]),
            ROUTES: frozenset(name.replace("l", "r") for name in self.held[LISTENERS]),
        }
        for kind, names in wanted.items():
            before = self.asked.get(kind, frozenset())
            if names == before:
                continue
            self.asked[kind] = names
            for name in before - names:
                self.held[kind].pop(name, None)
            if self.delta:
                self.send(DeltaRequest(kind, names - before, before - names))
            else:
                self.send(SotwRequest(kind, names, "v", self.nonces.get(kind, "")))

    def check(self) -> None:
        """No route of a listener leads to a cluster that is not there."""
        for name, packed in self.held[ROUTES].items():
            leads_to = _cluster_of(packed)
            assert leads_to in self.held[CLUSTERS], f"{name} leads to {leads_to}, which is gone"


def _unpacked(packed: object) -> object:
    from tests.ads.scripted_proxy import _unpacked as unpacked

    return unpacked(packed)


def _packed(resource: object) -> bytes:
    return bytes(discovery_pb2.DiscoveryResponse(resources=[resource]).SerializeToString())


def _name(packed: object) -> str:
    from tests.ads.handmade import name_of

    return name_of(_unpacked(packed))  # type: ignore[arg-type]


def _cluster_of(packed: bytes) -> str:
    (resource,) = discovery_pb2.DiscoveryResponse.FromString(packed).resources
    return str(_unpacked(resource).virtual_hosts[0].routes[0].route.cluster)  # type: ignore[attr-defined]


steps = st.lists(
    st.one_of(meshes, st.integers(min_value=0, max_value=5)),
    max_size=20,
)


@settings(max_examples=150, deadline=None)
@given(first=meshes, then=steps, variant=st.sampled_from(Variant))
def test_any_walk_is_safe_and_ends_at_the_last_snapshot(
    first: Mesh, then: list[Mesh | int], variant: Variant
) -> None:
    feed = Feed(VIEW)
    feed.publish(made(first), 1, 1)
    proxy = Model(Stream(variant, feed))
    proxy.start()
    revision, last = 1, first
    for step in then:
        if isinstance(step, int):
            if proxy.unread:
                proxy.answer(step)
        else:
            revision, last = revision + 1, step
            feed.publish(made(step), revision, revision)
            proxy.listen()
    for _ in range(200):
        if not proxy.unread:
            break
        proxy.answer(0)
    assert not proxy.unread
    wanted = made(last)
    assert {k: proxy.held[k] for k in KINDS} == {k: versions(k, wanted) for k in KINDS}
    assert proxy.stream.covers == revision
    assert proxy.stream.resting


@settings(max_examples=150, deadline=None)
@given(
    first=meshes,
    then=st.lists(
        st.one_of(
            meshes,
            st.tuples(
                st.integers(min_value=0, max_value=5),
                st.one_of(st.none(), st.sampled_from(Refusal)),
            ),
        ),
        max_size=25,
    ),
    last=meshes,
    variant=st.sampled_from(Variant),
)
def test_refusals_on_the_way_are_safe_and_leave_nothing_behind(
    first: Mesh, then: list[Any], last: Mesh, variant: Variant
) -> None:
    feed = Feed(VIEW)
    feed.publish(made(first), 1, 1)
    proxy = Model(Stream(variant, feed))
    proxy.start()
    revision = 1
    for step in then:
        match step:
            case (int(at), (None | Refusal()) as refusal):
                if proxy.unread:
                    proxy.answer(at, refusal)
            case _:
                revision += 1
                feed.publish(made(step), revision, revision)
                proxy.listen()
    revision += 1
    wanted = made(last, salt=10)
    feed.publish(wanted, revision, revision)
    proxy.listen()
    for _ in range(500):
        if not proxy.unread:
            break
        proxy.answer(0)
    assert not proxy.unread
    assert {k: proxy.held[k] for k in KINDS} == {k: versions(k, wanted) for k in KINDS}
    assert proxy.stream.covers == revision
    assert not any(s.rejections for s in proxy.stream.subscriptions.values())


def test_a_route_to_a_warming_cluster_waits_two_seconds_and_no_more() -> None:
    feed = Feed(VIEW)
    feed.publish(made((("a", 1),)), 1, 1)
    proxy = Model(Stream(Variant.DELTA, feed))
    proxy.start()
    while proxy.unread:
        proxy.answer(0)
    feed.publish(made((("b", 1),)), 2, 2)
    clusters = proxy.stream.next(10.0)
    assert clusters is not None
    assert clusters.kind is CLUSTERS
    assert proxy.stream.next(11.9) is None
    assert not proxy.stream.resting
    moved = proxy.stream.next(12.0)
    assert moved is not None
    assert moved.kind is ROUTES
    assert [kind for kind, _ in proxy.stream.suspects(12.0)] == [CLUSTERS]


def test_streams_in_the_same_state_share_the_bytes() -> None:
    feed = Feed(VIEW)
    feed.publish(made((("a", 1),)), 1, 1)
    proxies = [Model(Stream(Variant.DELTA, feed)) for _ in range(2)]
    for proxy in proxies:
        proxy.start()
        while proxy.unread:
            proxy.answer(0)
    feed.publish(made((("a", 2),)), 2, 2)
    for proxy in proxies:
        proxy.listen()
    one, other = (proxy.stream.subscriptions[CLUSTERS].unanswered[0] for proxy in proxies)
    assert one.change is other.change


@pytest.mark.parametrize("starts", [True, False])
def test_while_a_proxy_starts_no_cluster_changes_how_its_endpoints_are_found(
    *, starts: bool
) -> None:
    feed = Feed(VIEW)
    feed.publish(snapshot(cluster_by_dns("a")), 1, 1)
    stream = Stream(Variant.DELTA, feed)
    stream.on_request(DeltaRequest(CLUSTERS), AT)
    first = stream.next(1.0)
    assert first is not None
    stream.on_request(DeltaRequest(CLUSTERS, nonce=first.nonce), AT)
    if not starts:
        stream.on_request(DeltaRequest(LISTENERS), AT)
        assert stream.next(1.0) is not None, "of listeners there are none, and that is an answer"

    feed.publish(snapshot(cluster("a"), endpoints("a", 1)), 2, 2)

    soon, late = stream.next(15.9), stream.next(16.0)
    kinds = [response and response.kind for response in (soon, late)]
    assert kinds == ([None, CLUSTERS] if starts else [CLUSTERS, None])
