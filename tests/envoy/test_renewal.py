"""Another Envoy takes over from the running one: under load, and when it cannot."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.envoy.mesh_in_a_file import one_service
from tests.envoy.sidecar_harness import (
    ControlPlane,
    Load,
    Sidecar,
    Upstream,
    eventually,
    http_get,
)
from weft.sidecar.envoy import binary

pytestmark = pytest.mark.envoy


def ready_file(sidecar: Sidecar) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sidecar.ready_file.read_text())
    return found


def renew(sidecar: Sidecar) -> None:
    assert sidecar.process is not None
    sidecar.process.send_signal(signal.SIGUSR1)


async def test_a_successor_takes_over_and_no_request_fails(
    sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    egress = int(sidecar.argument("--egress"))
    await ads.publish(one_service(egress, api.port))
    await sidecar.start()
    before = await sidecar.ready()

    async with Load(egress) as load:
        await eventually(lambda: load.answers["first"] > 50)
        renew(sidecar)
        await eventually(lambda: ready_file(sidecar)["renewals"]["done"] == 1)
        seen = load.answers["first"]
        await eventually(lambda: load.answers["first"] > seen + 50)
        await eventually(lambda: ready_file(sidecar)["retiring"] == 0)

    after = ready_file(sidecar)
    assert load.failures == []
    assert load.slowest_seconds < 2
    assert after["envoy"] != before["envoy"], "it is another process"
    assert after["pid"] == before["pid"], "with the same sidecar"
    assert not Path(f"/proc/{before['envoy']}").exists()
    assert (await sidecar.json("/status"))["envoy"]["epoch"] == 1


async def test_a_workload_that_moved_is_found_at_its_new_port(
    tmp_path: Path, sidecar: Sidecar
) -> None:
    apps = tmp_path / "apps.json"
    apps.write_text('{"9080": 4001}')
    sidecar.add("--ingress", "9080=0:4000", "--apps", str(apps))
    await sidecar.start()
    before = await sidecar.ready()
    apps.write_text('{"9080": 4002}')
    renew(sidecar)
    await eventually(lambda: ready_file(sidecar)["renewals"]["done"] == 1)

    [port] = before["ports"]["ingress"]
    assert port["app"] == 4001
    assert ready_file(sidecar)["ports"]["ingress"] == [port | {"app": 4002}]


async def test_a_file_that_makes_no_sense_changes_nothing_and_is_told(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    apps = tmp_path / "apps.json"
    apps.write_text('{"9080": 4001}')
    egress = int(sidecar.argument("--egress"))
    sidecar.add("--ingress", "9080=0:4000", "--apps", str(apps))
    await ads.publish(one_service(egress, api.port))
    await sidecar.start()
    before = await sidecar.ready()
    apps.write_text('{"9080": "x", "9081": 1}')
    renew(sidecar)
    await eventually(lambda: ready_file(sidecar)["renewals"]["failure"])

    after = ready_file(sidecar)
    assert "9080: 'x' is not a port" in after["renewals"]["failure"]
    assert "9081: there is no --ingress for it" in after["renewals"]["failure"]
    assert after["envoy"] == before["envoy"]
    apps.write_text('{"9080": 4003}')
    renew(sidecar)
    await eventually(lambda: ready_file(sidecar)["renewals"]["done"] == 2)


async def test_a_broken_envoy_never_gets_the_sockets(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    """As when the package was replaced by one that does not run here."""
    installed = tmp_path / "envoy"
    installed.symlink_to(binary(None))
    egress = int(sidecar.argument("--egress"))
    sidecar.add("--envoy", str(installed))
    await ads.publish(one_service(egress, api.port))
    await sidecar.start()
    before = await sidecar.ready()
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'no such instruction' >&2\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    os.replace(broken, installed)

    async with Load(egress) as load:
        renew(sidecar)
        await eventually(lambda: ready_file(sidecar)["renewals"]["failure"])
        seen = load.answers["first"]
        await eventually(lambda: load.answers["first"] > seen + 20)

    assert load.failures == []
    assert "no such instruction" in ready_file(sidecar)["renewals"]["failure"]
    assert ready_file(sidecar)["envoy"] == before["envoy"]
    assert (await http_get(before["status"], "/ready"))[0] == 200
