"""App Mesh's tracing switches with real requests: what an X-Ray daemon and a Zipkin collector receive."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.envoy.observed_mesh import datagrams, mesh
from tests.envoy.running import listening
from tests.envoy.sidecar_harness import eventually

pytestmark = pytest.mark.envoy

REQUESTS = 6


async def test_xray_gets_a_segment_of_every_proxy_for_every_request(tmp_path: Path) -> None:
    async with datagrams() as daemon:
        variables = {
            "ENABLE_ENVOY_XRAY_TRACING": "1",
            "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.port}",
            "XRAY_SAMPLING_RATE": "1",
        }
        async with mesh(tmp_path, variables, variables) as running:
            for _ in range(REQUESTS):
                assert (await running.get("/tell")).status == 200
            await eventually(lambda: len(daemon.received) >= 2 * REQUESTS)
            segments = daemon.segments()
            assert len(segments) == 2 * REQUESTS
            by_name: dict[str, list[dict[str, Any]]] = {}
            for each in segments:
                by_name.setdefault(each["name"], []).append(each)
            assert {name: len(each) for name, each in by_name.items()} == {
                "shop/web": REQUESTS,
                "shop/api": REQUESTS,
            }
            # Both proxies of one request speak of one trace.
            traces = {each["trace_id"] for each in by_name["shop/web"]}
            assert len(traces) == REQUESTS
            assert {each["trace_id"] for each in by_name["shop/api"]} == traces
            assert {each["origin"] for each in segments} == {"AWS::AppMesh::Proxy"}
            assert {
                each["aws"]["app_mesh"]["virtual_node_name"] for each in by_name["shop/web"]
            } == {"web"}
            (url,) = {each["http"]["request"]["url"] for each in by_name["shop/web"]}
            assert url.endswith("/tell")


async def test_jaegers_collector_gets_a_span_of_every_request(tmp_path: Path) -> None:
    posted: list[tuple[str, list[dict[str, Any]]]] = []

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                body = b""
                while length := int(await reader.readline(), 16):  # Envoy sends chunks.
                    body += await reader.readexactly(length)
                    await reader.readline()
                await reader.readline()
                posted.append((head.split(" ")[1], json.loads(body)))
                writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with listening(collect) as port:
        variables = {
            "ENABLE_ENVOY_JAEGER_TRACING": "true",
            "JAEGER_TRACER_PORT": str(port),
            "JAEGER_TRACER_VERSION": "JSON",
            # Nobody else marks the request; each proxy decides for itself, and all are traced.
            "APPMESH_SET_TRACING_DECISION": "false",
        }
        async with mesh(tmp_path, variables) as running:
            for _ in range(REQUESTS):
                assert (await running.get("/tell")).status == 200
            spans = lambda: [span for _, body in posted for span in body]  # noqa: E731
            await eventually(lambda: len(spans()) >= REQUESTS)
            assert {path for path, _ in posted} == {"/api/v2/spans"}
            assert len({span["traceId"] for span in spans()}) == REQUESTS
            assert {span["localEndpoint"]["serviceName"] for span in spans()} == {
                "mesh/shop/virtualNode/web"
            }
            assert {span["tags"]["http.status_code"] for span in spans()} == {"200"}
