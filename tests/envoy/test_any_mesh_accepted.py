"""No mesh that admission lets through makes a configuration that Envoy refuses, or warns of."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests import strategies
from tests.builders import state_from
from tests.envoy.accepted import complaints, untyped
from tests.envoy.envoy_binary import with_real_secrets
from weft.names import View
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate


@pytest.mark.envoy
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.meshes(), strategies.views)
def test_envoy_accepts_whatever_was_admitted(said: strategies.Said, view: View) -> None:
    snapshot = translate(with_real_secrets(resolve(state_from(said), view)))
    assert untyped(snapshot) == []
    with tempfile.TemporaryDirectory() as directory:
        assert complaints(snapshot, Path(directory)) == []
