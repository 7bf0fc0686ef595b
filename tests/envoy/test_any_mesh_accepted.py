"""No mesh that admission lets through makes a configuration that Envoy refuses."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests import strategies
from tests.builders import state_from
from tests.envoy.envoy_binary import envoy_binary, with_real_secrets, write_bootstrap
from weft.names import View
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate


@pytest.mark.envoy
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.meshes(), strategies.views)
def test_envoy_accepts_whatever_was_admitted(said: strategies.Said, view: View) -> None:
    snapshot = translate(with_real_secrets(resolve(state_from(said), view)))
    with tempfile.TemporaryDirectory() as directory:
        bootstrap = write_bootstrap(Path(directory) / "envoy.json", snapshot)
        told = subprocess.run(
            [envoy_binary(), "--mode", "validate", "-c", bootstrap, "-l", "critical"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert told.returncode == 0, told.stderr or told.stdout
