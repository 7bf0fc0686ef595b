"""A sidecar with a scripted control plane and an upstream, for the tests of sidecars."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.envoy.sidecar_harness import ControlPlane, Sidecar, Upstream, free_port, left_behind


@pytest.fixture
async def ads(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    made = ControlPlane(tmp_path, f"127.0.0.1:{free_port()}")
    await made.start()
    yield made
    await made.kill()


@pytest.fixture
async def api() -> AsyncIterator[Upstream]:
    made = await Upstream("first").start()
    yield made
    await made.stop()


@pytest.fixture
async def sidecar(tmp_path: Path, ads: ControlPlane) -> AsyncIterator[Sidecar]:
    made = Sidecar(tmp_path, ads.address, "--egress", str(free_port()))
    yield made
    await made.stop()
    left_behind(tmp_path)
