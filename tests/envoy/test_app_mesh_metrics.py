"""App Mesh's metrics with real traffic: what is counted is what was sent, by Prometheus and by DogStatsD."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from pathlib import Path

import pytest

from tests.envoy.observed_mesh import datagrams, mesh
from tests.envoy.sidecar_harness import eventually, free_port, http_get

pytestmark = pytest.mark.envoy

API = 'Mesh="shop",VirtualNode="api"'
TO_API = 'Mesh="shop",VirtualNode="web",TargetVirtualService="api.local",TargetVirtualNode="api"'
TO_DB = 'Mesh="shop",VirtualNode="web",TargetVirtualService="db.local",TargetVirtualNode="db"'


def metrics(page: str) -> dict[str, float]:
    """Name and labels of each series, with its value."""
    found = re.findall(r"^([A-Za-z_][^ {]*\{[^}]*\}) (\S+)$", page, re.MULTILINE)
    return {series: float(value) for series, value in found}


async def _is(asked: Awaitable[float], wanted: float) -> bool:
    return await asked == wanted


async def test_every_request_is_counted_under_app_meshs_names(tmp_path: Path) -> None:
    async with datagrams() as statsd, datagrams() as other:
        variables = {
            "APPMESH_METRIC_EXTENSION_VERSION": "1",
            "ENABLE_ENVOY_DOG_STATSD": "1",
            "ENVOY_STATS_FLUSH_INTERVAL": "200ms",
        }
        api_port = free_port()
        web = {**variables, "STATSD_PORT": str(statsd.port)}
        api = {
            **variables,
            "STATSD_PORT": str(other.port),
            "APPNET_AGENT_ADMIN_MODE": "tcp",
            "APPNET_AGENT_HTTP_PORT": str(api_port),
        }
        async with mesh(tmp_path, web, api) as running:
            for _ in range(5):
                assert (await running.get()).status == 200
            for path, status in (("/404", 404), ("/302", 302), ("/500", 500)):
                assert (await running.get(path)).status == status
            await running.get(headers="Content-Type: application/grpc")
            # A node-provider service retries 503 twice: three attempts, one request.
            assert (await running.get("/503")).status == 503
            reader, writer = await asyncio.open_connection("127.0.0.1", running.database)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await reader.readuntil(b"ok")
            writer.close()
            await writer.wait_closed()

            page = "/stats/prometheus"

            async def of_web(name: str, labels: str = TO_API) -> float:
                found = metrics((await running.web.get(page))[1])
                return found.get(f"envoy_appmesh_{name}{{{labels}}}", 0)

            # Envoy merges its histograms when it flushes.
            await eventually(lambda: _is(of_web("TargetResponseTime_count"), 12))
            sent = metrics((await running.web.get(page))[1])
            assert sent[f"envoy_appmesh_RequestCountPerTarget{{{TO_API}}}"] == 12
            codes = {
                k: sent[f"envoy_appmesh_HTTPCode_Target_{k}XX_Count{{{TO_API}}}"]
                for k in (2, 3, 4, 5)
            }
            assert codes == {2: 6, 3: 1, 4: 1, 5: 4}
            assert sent[f"envoy_appmesh_TargetProcessedBytes{{{TO_API}}}"] > 12 * 100

            # Eighteen bytes there and the answer back, counted when the connection has ended.
            both = 18 + len(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok")
            await eventually(lambda: _is(of_web("TargetProcessedBytes", TO_DB), both))

            body = (await http_get(f"127.0.0.1:{api_port}", f"{page}?filter=metrics_extension"))[1]
            came = metrics(body)
            assert came[f"RequestCount{{{API}}}"] == 12
            assert came[f"GrpcRequestCount{{{API}}}"] == 1
            assert came[f"ProcessedBytes{{{API}}}"] > 12 * 100
            ever, now = (came[f"{n}ConnectionCount{{{API}}}"] for n in ("New", "Active"))
            assert ever >= now >= 1, "a caller's proxy keeps its connection"
            assert not [series for series in came if "TargetVirtual" in series]
            assert all("appmesh" not in line for line in body.splitlines())

            tags = "Mesh:shop VirtualNode:web"
            targets = "TargetVirtualNode:api TargetVirtualService:api.local VirtualNode:web"
            name = f"envoy.appmesh.RequestCountPerTarget Mesh:shop {targets}"
            await eventually(lambda: statsd.counted()[name] == 12)
            assert (
                f"envoy.appmesh.ActiveConnectionCount:0|g|#{tags.replace(' ', ',')}"
                in statsd.received
            )
            connections = "envoy.appmesh.NewConnectionCount Mesh:shop VirtualNode:api"
            await eventually(lambda: other.counted()[connections] == ever)
            assert any(
                each.startswith("envoy.appmesh.TargetResponseTime") for each in statsd.received
            )


async def test_nothing_is_counted_where_nobody_asked_for_it(tmp_path: Path) -> None:
    async with mesh(tmp_path, {"ENABLE_ENVOY_STATS_TAGS": "1"}) as running:
        assert (await running.get()).status == 200
        page = (await running.web.get("/stats/prometheus"))[1]
        assert "envoy_appmesh_" not in page
        assert 'appmesh_mesh="shop"' in page
        assert 'appmesh_virtual_node="web"' in page
