"""Responses joined from bytes are what protobuf would have made."""

from __future__ import annotations

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import given
from hypothesis import strategies as st

from tests.ads.handmade import cluster
from weft.errors import BadRequest
from weft.translate.snapshot import Encoded, ResourceType
from weft.xds import wire
from weft.xds.wire import DeltaRequest, SotwRequest, Variant

CDS = ResourceType.CLUSTER
names = st.text(max_size=300)


@given(removed=st.lists(names), version=names, nonce=names)
def test_a_delta_response_reads_as_it_was_meant(
    removed: list[str], version: str, nonce: str
) -> None:
    made = Encoded.of("a", cluster("a"))
    data = wire.with_nonce(wire.delta_body(CDS, [made], removed, version), nonce)
    response = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
    assert [(r.name, r.version) for r in response.resources] == [("a", made.version)]
    assert list(response.removed_resources) == removed
    assert (response.type_url, response.system_version_info, response.nonce) == (
        CDS.value,
        version,
        nonce,
    )


@given(version=names, nonce=names)
def test_a_response_of_the_whole_world_reads_as_it_was_meant(version: str, nonce: str) -> None:
    resources = [Encoded.of(name, cluster(name)) for name in "ab"]
    data = wire.with_nonce(wire.sotw_body(CDS, resources, version), nonce)
    response = discovery_pb2.DiscoveryResponse.FromString(data)
    assert [r.type_url for r in response.resources] == [CDS.value] * 2
    assert (response.type_url, response.version_info, response.nonce) == (CDS.value, version, nonce)


def test_requests_are_read_in_both_protocols() -> None:
    delta = discovery_pb2.DeltaDiscoveryRequest(
        type_url=CDS.value,
        resource_names_subscribe=["a"],
        resource_names_unsubscribe=["b"],
        initial_resource_versions={"c": "1"},
        response_nonce="n",
    )
    delta.error_detail.message = "no"
    read = wire.parse(Variant.DELTA, delta.SerializeToString())
    assert read.request == DeltaRequest(
        CDS, frozenset("a"), frozenset("b"), {"c": "1"}, nonce="n", error="no"
    )
    assert read.node is None
    sotw = discovery_pb2.DiscoveryRequest(
        type_url=CDS.value, resource_names=["a"], version_info="v", response_nonce="n"
    )
    sotw.node.id = "x"
    read = wire.parse(Variant.SOTW, sotw.SerializeToString())
    assert read.request == SotwRequest(CDS, frozenset("a"), "v", "n")
    assert read.node is not None
    assert read.node.id == "x"


def test_an_error_without_words_is_an_error_all_the_same() -> None:
    message = discovery_pb2.DiscoveryRequest(type_url=CDS.value, response_nonce="n")
    message.error_detail.code = 13
    read = wire.parse(Variant.SOTW, message.SerializeToString())
    assert read.request is not None
    assert read.request.error == "error 13 without words"


@pytest.mark.parametrize("variant", list(Variant))
def test_other_bytes_are_refused(variant: Variant) -> None:
    with pytest.raises(BadRequest, match="not a discovery request"):
        wire.parse(variant, b"\xff\xff\xff")


def test_a_name_is_found_as_a_whole_only() -> None:
    longer = Encoded.of("cluster_8080", cluster("cluster_8080"))
    assert wire.mention("cluster_8080") in longer.delta
    assert wire.mention("cluster_80") not in longer.delta
