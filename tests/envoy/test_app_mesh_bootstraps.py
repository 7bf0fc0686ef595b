"""Every bootstrap that App Mesh's variables make is one that Envoy takes, and says nothing against."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.envoy.envoy_binary import envoy_binary
from tests.envoy.observed_mesh import mesh
from tests.envoy.sidecar_harness import SRC, Sidecar, eventually, free_port, http_get
from tests.unit.sidecar.image import GATEWAY, WEB, made

pytestmark = pytest.mark.envoy

XRAY = {"ENABLE_ENVOY_XRAY_TRACING": "1"}


@pytest.mark.parametrize(
    ("proxy", "variables"),
    [
        (WEB, {}),
        (WEB, XRAY | {"XRAY_SAMPLING_RATE": "0.5", "XRAY_SEGMENT_NAME": "front"}),
        (WEB, {"ENABLE_ENVOY_DATADOG_TRACING": "1", "DATADOG_TRACER_ADDRESS": "localhost"}),
        (WEB, {"ENABLE_ENVOY_JAEGER_TRACING": "1"}),
        (WEB, {"ENABLE_ENVOY_JAEGER_TRACING": "1", "JAEGER_TRACER_VERSION": "JSON"}),
        (WEB, {"ENABLE_ENVOY_DOG_STATSD": "1"}),
        (WEB, {"ENABLE_ENVOY_DOG_STATSD": "1", "STATSD_SOCKET_PATH": "/tmp/none.sock"}),
        (WEB, {"ENABLE_ENVOY_STATS_TAGS": "1", "APPMESH_METRIC_EXTENSION_VERSION": "1"}),
        (GATEWAY, {"ENABLE_ENVOY_STATS_TAGS": "1", "APPMESH_METRIC_EXTENSION_VERSION": "1"}),
        (
            WEB,
            {
                "ENVOY_ADMIN_ACCESS_PORT": "19901",
                "ENVOY_ADMIN_ACCESS_LOG_FILE": "/dev/null",
                "ENVOY_INITIAL_FETCH_TIMEOUT": "30",
                "ENVOY_STATS_FLUSH_INTERVAL": "500ms",
                "ENVOY_OUTLIER_DETECTION_EVENT_LOG_PATH": "/dev/stdout",
                "MAX_REQUESTS_PER_IO_CYCLE": "1",
                "AWS_REGION": "us-west-2",
                "APPMESH_RESOURCE_CLUSTER": "blue",
            },
        ),
        (
            "",
            {
                "APPMESH_RESOURCE_ARN": WEB,
                "APPMESH_PLATFORM_K8S_VERSION": "v1.30",
                "APPMESH_PLATFORM_K8S_POD_UID": "123",
                "APPMESH_PLATFORM_APP_MESH_CONTROLLER_VERSION": "v1.12.7",
            },
        ),
    ],
)
def test_envoy_takes_it(proxy: str, variables: dict[str, str], tmp_path: Path) -> None:
    written = tmp_path / "bootstrap.json"
    written.write_text(json.dumps(made(proxy, **variables)))

    said = subprocess.run(
        [envoy_binary(), "--mode", "validate", "-c", str(written), "-l", "warning"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    unexpected = [
        line
        for line in said.stderr.splitlines()
        # The tracer in the bootstrap, as App Mesh had it, is deprecated in favour of one per
        # connection manager, which only the control plane could name.
        if "tracing" not in line or "deprecated" not in line
    ]
    assert unexpected == []


async def test_probes_and_tools_of_app_mesh_work_as_they_did(tmp_path: Path) -> None:
    admin, agent = free_port(), str(tmp_path / "agent.sock")
    variables = {
        "ENVOY_ADMIN_ACCESS_PORT": str(admin),
        "ENVOY_ADMIN_ACCESS_LOG_FILE": "/dev/null",
        "APPNET_AGENT_ADMIN_MODE": "uds",
        "APPNET_AGENT_ADMIN_UDS_PATH": agent,
        "APPMESH_PREVIEW": "0",
    }
    async with mesh(tmp_path, variables) as running:
        assert (await running.get()).status == 200
        # The health check of every task definition and pod.
        probe = f"curl -s http://localhost:{admin}/server_info | grep state | grep -q LIVE"
        assert await shell(probe) == 0
        assert await ready(variables | {"HOME": str(tmp_path)}) == 0

        curl = f"curl -s --unix-socket {agent} http://localhost"
        status = json.loads(await output(f"{curl}/status"))
        assert status["healthStatus"] == "HEALTHY"
        assert status["envoyState"] == "LIVE"
        assert status["managementServerConnectionStatus"] == "CONNECTED"
        assert status["envoyReadinessState"] == "INITIALIZED"
        assert status["initialConfigUpdateStatus"] == "UPDATE_SUCCESSFUL"
        assert int(status["envoyPid"]) > 0
        assert status["envoyRestartCount"] == "0"
        assert status["agentUptime"].endswith("s")

        assert "http: debug" in await output(f"{curl}/enableLogging?level=debug -X POST")
        assert "envoy_server_live{" in await output(f"{curl}/stats/prometheus?usedonly")
        counter = "envoy_cluster_manager_cds_update_success{"
        assert counter in await output(
            f"{curl}/stats/prometheus?usedonly&delta".replace("&", "\\&")
        )
        again = await output(f"{curl}/stats/prometheus?usedonly&delta".replace("&", "\\&"))
        (line,) = (line for line in again.splitlines() if line.startswith(counter))
        assert line.endswith(" 0")
        assert await output(f"{curl}/drain_listeners?inboundonly -X POST") == "OK\n"
        assert "APPMESH_PREVIEW has no effect: no host of AWS is asked" in running.web.log

        # More than ten a second, beyond the first twenty, are turned away.
        many = f"for i in $(seq 40); do {curl}/nothing -o /dev/null -w '%{{http_code}} '; done"
        codes = (await output(many)).split()
        assert set(codes) == {"404", "429"}


async def test_a_wait_for_readiness_ends_in_time_and_says_so(tmp_path: Path) -> None:
    variables = {
        "HOME": str(tmp_path),
        "APPNET_AGENT_ADMIN_MODE": "tcp",
        "APPNET_AGENT_HTTP_PORT": str(free_port()),
        "APPNET_AGENT_POLL_ENVOY_READINESS_INTERVAL_S": "1",
        "APPNET_AGENT_POLL_ENVOY_READINESS_TIMEOUT_S": "1",
    }
    assert await ready(variables) == 1
    assert await ready({"HOME": str(tmp_path)}) == 2


async def test_a_whole_bootstrap_of_the_operators_serves(tmp_path: Path) -> None:
    port, admin = free_port(), free_port()
    file = tmp_path / "envoy.yaml"
    file.write_text(_WHOLE.format(port=port, admin=admin))
    sidecar = Sidecar(tmp_path, "127.0.0.1:1")
    sidecar.environment = {"ENVOY_CONFIG_FILE": str(file)}
    await sidecar.start()
    try:
        await sidecar.ready()
        assert (await http_get(f"127.0.0.1:{port}", "/")) == (200, "whole")
        assert "LIVE" in (await http_get(f"127.0.0.1:{admin}", "/ready"))[1]
        await eventually(lambda: (sidecar.directory / "data").exists())
    finally:
        assert await sidecar.stop() == 0
    assert not list((tmp_path / "data").rglob("snap.json"))


async def ready(environment: dict[str, str]) -> int:
    """``weft sidecar ready``."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "weft", "sidecar", "ready"),
        env={"PYTHONPATH": str(SRC), "PATH": "/usr/bin:/bin", **environment},
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await asyncio.wait_for(process.wait(), 30)


async def shell(command: str) -> int:
    process = await asyncio.create_subprocess_shell(command)
    return await asyncio.wait_for(process.wait(), 30)


async def output(command: str) -> str:
    process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    return said.decode()


_WHOLE = """
admin: {{address: {{socket_address: {{address: 0.0.0.0, port_value: {admin}}}}}}}
static_resources:
  listeners:
  - name: mine
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: mine
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {{prefix: /}}
                direct_response: {{status: 200, body: {{inline_string: whole}}}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"""
