"""One Envoy takes every golden snapshot over our own ADS server, one after the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import view_of
from tests.envoy.envoy_binary import envoy_binary, sds_cluster, with_real_secrets
from tests.envoy.running import DEADLINE, free_ports
from tests.golden_files import CASES, mesh_of, resolved
from weft.clock import SystemClock
from weft.ir import proxy as ir
from weft.ir.cluster import SocketAddress
from weft.names import Mode, View
from weft.translate.proxy import translate
from weft.translate.snapshot import Snapshot
from weft.xds.delivery import Delivery
from weft.xds.server import AdsServer

VIEW = view_of("web", Mode.EXPLICIT)


class Cases:
    """The source of one view's snapshots: case after case."""

    def __init__(self) -> None:
        self.delivery = Delivery(SystemClock())
        self.server = AdsServer(
            self, self.delivery, SystemClock(), "127.0.0.1:0", patience_seconds=DEADLINE
        )
        self._attached = asyncio.Event()

    def attach(self, view: View) -> None:
        self._attached.set()

    def detach(self, view: View) -> None:
        self._attached.clear()

    async def accepted(self, snapshot: Snapshot, revision: int) -> list[str]:
        """Publish, and wait until Envoy has taken all of it; else its own words."""
        async with asyncio.timeout(DEADLINE):
            await self._attached.wait()
        self.server.publish(VIEW, snapshot, revision)
        self.server.processed(revision)
        told = await self.delivery.wait_settled(revision, timedelta(seconds=DEADLINE))
        assert told.total == 1
        return [f"{each}" for each in (*told.rejected, *told.waiting)]


def on_free_ports(proxy: ir.Proxy) -> ir.Proxy:
    """The same on sockets that are free here: 15000 and 15001 may be another's."""
    ports = free_ports(sum(len(each.addresses) for each in proxy.listeners))
    return replace(
        proxy,
        listeners=tuple(
            replace(
                each,
                addresses=tuple(SocketAddress("127.0.0.1", ports.pop()) for _ in each.addresses),
                both_families=False,
            )
            for each in proxy.listeners
        ),
    )


@asynccontextmanager
async def connected_envoy(port: int, directory: Path) -> AsyncIterator[None]:
    bootstrap = {
        "node": {
            "id": str(VIEW.proxy),
            "cluster": "golden",
            "metadata": {"weft": {**VIEW.to_metadata(), "instance": "one"}},
        },
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {
            "clusters": [
                sds_cluster(),
                {
                    "name": "xds",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "xds",
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {
                                        "endpoint": {
                                            "address": {
                                                "socket_address": {
                                                    "address": "127.0.0.1",
                                                    "port_value": port,
                                                }
                                            }
                                        }
                                    }
                                ]
                            }
                        ],
                    },
                },
            ]
        },
    }
    path = directory / "envoy.json"
    path.write_text(json.dumps(bootstrap))
    with (directory / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            envoy_binary(),
            *("-c", str(path), "--use-dynamic-base-id", "--concurrency", "1"),
            *("-l", "warn", "--drain-time-s", "1"),
            stderr=log,
        )
        try:
            yield
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.mark.envoy
async def test_one_envoy_takes_every_golden_snapshot_in_a_row(tmp_path: Path) -> None:
    cases = Cases()
    port = await cases.server.start()
    refused: dict[str, list[str]] = {}
    try:
        async with connected_envoy(port, tmp_path):
            for revision, case in enumerate(CASES, start=1):
                snapshot = translate(on_free_ports(with_real_secrets(resolved(mesh_of(case)))))
                if words := await cases.accepted(snapshot, revision):
                    refused[case.name] = words
    finally:
        await cases.server.stop()
    assert refused == {}, (tmp_path / "envoy.log").read_text()
