"""The sidecar with a real Envoy: it starts, serves, survives its control plane, and leaves nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.envoy.mesh_in_a_file import (
    assignment,
    eds_cluster,
    http_listener,
    one_service,
    resources,
    route_configuration,
    tcp_listener,
)
from tests.envoy.sidecar_harness import (
    ControlPlane,
    Load,
    Sidecar,
    Upstream,
    eventually,
    free_port,
    http_get,
)

pytestmark = pytest.mark.envoy


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


def left_behind(directory: Path) -> None:
    """Nothing: no process, no socket, no shared memory."""
    assert not [p for p in processes() if str(directory) in p]
    assert not [path for path in directory.rglob("*") if path.is_socket()]


def processes() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in found if "envoy" in line.split(" ")[0]]


def egress_of(sidecar: Sidecar) -> int:
    return int(sidecar.argument("--egress"))


async def test_it_serves_what_the_control_plane_says_and_tells_where(
    sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    await ads.publish(one_service(egress_of(sidecar), api.port))
    await sidecar.start()
    ready = await sidecar.ready()

    assert await http_get(f"127.0.0.1:{ready['ports']['egress']}", "/") == (200, "first")
    status = await sidecar.json("/status")
    assert (status["ready"], status["source"], status["xds"]["connected"]) == (True, "ads", True)
    assert status["envoy"]["version"].startswith("1.40")
    assert status["envoy"]["pid"] == ready["envoy"]
    assert await sidecar.json("/listeners") == {
        "lds_egress_0.0.0.0_15001": f"127.0.0.1:{egress_of(sidecar)}"
    }
    assert await sidecar.json("/clusters") == {
        "cds_egress_shop_api_http_8080": {
            "requests": 1,
            "5xx": 0,
            "connect_failures": 0,
            "healthy": 1,
            "members": 1,
        }
    }
    [node, *_] = ads.events("node")
    assert node["node"]["mode"] == "explicit"
    assert node["node"]["ports"]["egress"] == egress_of(sidecar)
    assert (node["node"]["instance"], node["node"]["status"]) == (
        ready["instance"],
        ready["status"],
    )
