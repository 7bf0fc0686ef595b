"""A secret that is a file on the proxy's machine is offered again after it was refused."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from weft.ir import tls as ir
from weft.names import ProxyId, View
from weft.translate import secret
from weft.translate.snapshot import Encoded, ResourceType, Snapshot
from weft.xds.cache import Feed
from weft.xds.stream import Outgoing, Stream
from weft.xds.wire import DeltaRequest, SotwRequest, Variant

AT = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = ResourceType.SECRET
FILE = secret.encoded(ir.Secret("trust:/ca.pem", ir.TrustFile("/ca.pem")))
TEXT = secret.encoded(ir.Secret("trust:arn", ir.TrustText("PEM")))


def stream_of(variant: Variant, *secrets: Encoded) -> Stream:
    feed = Feed(View(ProxyId.parse("mesh/m/virtualNode/n")))
    named = MappingProxyType({each.name: each for each in secrets})
    feed.publish(Snapshot(MappingProxyType({SECRET: named})), 1, 1)
    return Stream(variant, feed)


class Conversation:
    """A proxy that wants some secrets, and says what it is told to say."""

    def __init__(self, variant: Variant, *secrets: Encoded) -> None:
        self.variant = variant
        self.names = frozenset(each.name for each in secrets)
        self.stream = stream_of(variant, *secrets)
        self.now = 0.0

    def ask(self, **known: str) -> None:
        if self.variant is Variant.DELTA:
            self.stream.on_request(DeltaRequest(SECRET, self.names, known=known), AT)
        else:
            self.stream.on_request(SotwRequest(SECRET, self.names), AT)

    def told(self) -> Outgoing | None:
        return self.stream.next(self.now)

    def says(self, told: Outgoing, error: str | None = None) -> None:
        if self.variant is Variant.DELTA:
            self.stream.on_request(DeltaRequest(SECRET, nonce=told.nonce, error=error), AT)
        else:
            request = SotwRequest(SECRET, self.names, "v", told.nonce, error)
            self.stream.on_request(request, AT)

    @property
    def words(self) -> list[str]:
        return [each.words for each in self.stream.subscriptions[SECRET].rejections]


def paths(told: Outgoing | None, variant: Variant) -> list[str]:
    """The files that a response names."""
    assert told is not None
    response: Any
    if variant is Variant.DELTA:
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(told.data)
        packed = [each.resource for each in response.resources]
    else:
        response = discovery_pb2.DiscoveryResponse.FromString(told.data)
        packed = list(response.resources)
    from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

    found = []
    for each in packed:
        message: Any = secret_pb2.Secret()
        assert each.Unpack(message)
        found.append(message.validation_context.trusted_ca.filename)
    return found


@pytest.mark.parametrize("variant", Variant)
def test_it_is_offered_by_another_path_then_by_its_own_until_it_is_accepted(
    variant: Variant,
) -> None:
    proxy = Conversation(variant, FILE)
    proxy.ask()
    told = proxy.told()
    assert paths(told, variant) == ["/ca.pem"]
    assert told is not None
    proxy.says(told, "Invalid path: /ca.pem")
    assert proxy.told() is None

    for _ in range(2):
        assert proxy.stream.look_again()
        for path in ("/./ca.pem", "/ca.pem"):
            told = proxy.told()
            assert paths(told, variant) == [path]
            assert told is not None
            # What it said stands for as long as it has said nothing else.
            assert proxy.words == ["Invalid path: /ca.pem"]
            proxy.says(told, "Invalid path: /ca.pem")
        assert proxy.told() is None
        assert proxy.words == ["Invalid path: /ca.pem"]

    assert proxy.stream.look_again()
    for path in ("/./ca.pem", "/ca.pem"):
        told = proxy.told()
        assert paths(told, variant) == [path]
        assert told is not None
        proxy.says(told)
    assert proxy.told() is None
    assert proxy.words == []
    assert not proxy.stream.look_again()


@pytest.mark.parametrize("variant", Variant)
def test_what_is_no_file_is_not_offered_again(variant: Variant) -> None:
    proxy = Conversation(variant, TEXT)
    proxy.ask()
    told = proxy.told()
    assert told is not None
    proxy.says(told, "Failed to load trusted CA certificates")
    assert not proxy.stream.look_again()
    assert proxy.told() is None


def test_a_proxy_that_comes_back_is_told_in_both_ways_what_it_does_not_hold() -> None:
    proxy = Conversation(Variant.DELTA, FILE)
    clusters = DeltaRequest(ResourceType.CLUSTER, known={"c": "1"})
    proxy.stream.on_request(clusters, AT)
    while (told := proxy.told()) is not None:
        proxy.stream.on_request(DeltaRequest(told.kind, nonce=told.nonce), AT)
    proxy.ask()
    for path in ("/./ca.pem", "/ca.pem"):
        told = proxy.told()
        assert paths(told, Variant.DELTA) == [path]
        assert told is not None
        proxy.says(told)
    assert proxy.told() is None


def test_a_proxy_that_comes_back_and_holds_it_is_told_nothing() -> None:
    proxy = Conversation(Variant.DELTA, FILE)
    proxy.ask(**{FILE.name: FILE.version})
    assert proxy.told() is None
