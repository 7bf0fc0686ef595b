"""A golden file that Envoy refuses, or takes with a frown, is not golden."""

from __future__ import annotations

from pathlib import Path

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2

from tests.envoy.accepted import complaints, untyped
from tests.envoy.envoy_binary import with_real_secrets
from tests.golden_files import CASES, mesh_of, resolved
from weft.translate.proxy import translate
from weft.translate.snapshot import Encoded, ResourceType, Snapshot


@pytest.mark.envoy
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_envoy_accepts_every_golden_snapshot_without_a_warning(case: Path, tmp_path: Path) -> None:
    snapshot = translate(with_real_secrets(resolved(mesh_of(case))))
    assert complaints(snapshot, tmp_path) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_extension_in_a_golden_snapshot_has_a_typed_configuration(case: Path) -> None:
    assert untyped(translate(resolved(mesh_of(case)))) == []


@pytest.mark.envoy
def test_a_deprecated_field_and_a_name_alone_would_be_seen(tmp_path: Path) -> None:
    old = cluster_pb2.Cluster(name="old", http2_protocol_options={})
    old.connect_timeout.FromSeconds(1)
    unnamed = listener_pb2.Listener(name="l")
    unnamed.address.socket_address.address = "127.0.0.1"
    unnamed.address.socket_address.port_value = 1
    unnamed.listener_filters.add(name="envoy.filters.listener.original_dst")
    snapshot = Snapshot(
        {
            ResourceType.CLUSTER: {"old": Encoded.of("old", old)},
            ResourceType.LISTENER: {"l": Encoded.of("l", unnamed)},
        }
    )
    assert untyped(snapshot) == [
        "envoy.config.listener.v3.ListenerFilter envoy.filters.listener.original_dst"
    ]
    (line,) = complaints(
        Snapshot({ResourceType.CLUSTER: snapshot.of(ResourceType.CLUSTER)}), tmp_path
    )
    assert "http2_protocol_options" in line
