"""
AWS's own image against us: a real Envoy with the bootstrap that the image's agent wrote.

The bootstrap is app-mesh.md 4.4 word for word: Google's gRPC client, the state of the
world, no metadata of ours. With TLS it signs by a plugin that only AWS's builds of Envoy
have; what that sends is proven in tests/ads/test_credentials.py, and left out here.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.envoy.envoy_binary import envoy_binary
from tests.envoy.running import DEADLINE
from tests.envoy.sidecar_harness import eventually
from weft.names import Key
from weft.server import Running, serving
from weft.settings import Address, Settings, Tls
from weft.store.change import Author, Put
from weft.xds.status import State
from weft.xds.wire import Variant

pytestmark = pytest.mark.envoy

ME = Author("ana", "pytest")


def of_the_agent(
    node: str, admin: int, target: str, authority: Path | None, metadata: dict[str, Any]
) -> dict[str, Any]:
    """
    What the agent generates for ``APPMESH_XDS_ENDPOINT``, less the plugin that signs.

    With an authority it is that of ``host:port``, else of ``unix://…``.
    """
    credentials: dict[str, Any] = {}
    if authority is not None:
        roots = {"root_certs": {"filename": str(authority)}}
        credentials = {"channel_credentials": {"ssl_credentials": roots}}
    fetched = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    runtime = {
        "envoy.features.enable_all_deprecated_features": True,
        "re2.max_program_size.error_level": 1000,
        "envoy.reloadable_features.http_set_tracing_decision_in_request_id": True,
        "envoy.reloadable_features.no_extension_lookup_by_name": True,
        "envoy.reloadable_features.use_http_client_to_fetch_aws_credentials": False,
    }
    arguments = {
        "grpc.http2.max_pings_without_data": 0,
        "grpc.keepalive_time_ms": 10000,
        "grpc.keepalive_timeout_ms": 20000,
        "grpc.initial_reconnect_backoff_ms": 10000,
        "grpc.max_connection_age_ms": 2400000,
        "grpc.max_connection_age_grace_ms": 5000,
    }
    return {
        "node": {
            "id": node,
            "cluster": node,
            "metadata": {"aws.appmesh.static_runtime": runtime, **metadata},
        },
        "admin": {
            "access_log": [
                {
                    "name": "envoy.access_loggers.file",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                        "path": "/dev/null",
                    },
                }
            ],
            "address": {"socket_address": {"address": "0.0.0.0", "port_value": admin}},
        },
        "layered_runtime": {
            "layers": [
                {"name": "static_layer_0", "static_layer": runtime},
                {"name": "admin_layer", "admin_layer": {}},
            ]
        },
        "cluster_manager": {
            "outlier_detection": {"event_log_path": "/dev/stdout"},
            "local_cluster_name": "local_cluster",
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "local_cluster",
                    "type": "EDS",
                    "connect_timeout": "1s",
                    "eds_cluster_config": {
                        "eds_config": {
                            "ads": {},
                            "resource_api_version": "V3",
                            "initial_fetch_timeout": "0.001s",
                        }
                    },
                }
            ]
        },
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [
                    {
                        "google_grpc": {
                            "target_uri": target,
                            "stat_prefix": "ads",
                            **credentials,
                            "channel_args": {
                                "args": {
                                    name: {"int_value": value} for name, value in arguments.items()
                                }
                            },
                        }
                    }
                ],
            },
            "lds_config": fetched,
            "cds_config": fetched,
        },
    }


INSIDE = ("nsenter", "-U", "-n", "--preserve-credentials", "-t")


@dataclass
class Image:
    running: Running
    namespace: int
    """The process whose network the image has: its ports are fixed, and may be taken here."""

    async def page(self, path: str) -> str:
        return await self.output("curl", "-s", f"http://localhost:9901{path}")

    async def output(self, *command: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *INSIDE, str(self.namespace), *command, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
        return said.decode()

    async def answers(self, number: int) -> list[str]:
        """The statuses of so many requests to ``api.local``, one after the other."""
        request = "curl -s -o /dev/null -w '%{http_code} ' http://api.local:15001/"
        resolved = "--resolve api.local:15001:127.0.0.1"
        loop = f"for i in $(seq {number}); do {request} {resolved}; done"
        return (await self.output("sh", "-c", loop)).split()

    @property
    def states(self) -> list[State]:
        return [status.state for status in self.running.parts.delivery.proxies()]


@asynccontextmanager
async def image(
    directory: Path, *, max_age: timedelta | None = None, secure: bool = False, **metadata: Any
) -> AsyncIterator[Image]:
    """A control plane at a Unix socket, a workload, and the image's Envoy for ``web``."""
    xds = directory / "xds.sock"
    authority = Authority(directory)
    leaf = authority.leaf("control plane", hosts=("localhost",))
    settings = Settings(
        api=Address("127.0.0.1", 0),
        tls=Tls(leaf.certificate, leaf.key) if secure else None,
        xds=Address("", 0, str(xds)),
        data=directory / "control",
        xds_max_age=max_age,
    )
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(serving(settings))
        namespace = await stack.enter_async_context(_namespace())
        await stack.enter_async_context(_inside(namespace, *_WORKLOAD))
        await eventually(lambda: _listens(namespace, 9080))
        dns = {"dns": {"hostname": "127.0.0.1"}}
        steps: dict[str, Any] = {
            "mesh/shop": {},
            "mesh/shop/virtualNode/api": {
                "listeners": [{"portMapping": {"port": 9080, "protocol": "http"}}],
                "serviceDiscovery": dns,
            },
            "mesh/shop/virtualNode/web": {
                "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}],
                "serviceDiscovery": dns,
                "backends": [{"virtualService": {"virtualServiceName": "api.local"}}],
            },
            "mesh/shop/virtualService/api.local": {
                "provider": {"virtualRouter": {"virtualRouterName": "api"}}
            },
            # Nothing redirects here, so requests go to the egress port as the service's own.
            "mesh/shop/virtualRouter/api": {
                "listeners": [{"portMapping": {"port": 15001, "protocol": "http"}}]
            },
            "mesh/shop/virtualRouter/api/route/all": {
                "httpRoute": {
                    "match": {"prefix": "/"},
                    "action": {"weightedTargets": [{"virtualNode": "api", "weight": 1}]},
                }
            },
        }
        await running.parts.store.apply([Put(Key.parse(k), v) for k, v in steps.items()], ME)
        written = directory / "bootstrap.json"
        node = "arn:aws:appmesh:us-west-2:000000000000:mesh/shop/virtualNode/web"
        target, roots = f"unix://{xds}", None
        if secure:
            # The network inside leads nowhere, but a path is reached from any.
            await stack.enter_async_context(_inside(namespace, *_RELAY, str(xds)))
            # The image's client waits ten seconds after a connection that failed.
            await eventually(lambda: _listens(namespace, 7401))
            target, roots = "localhost:7401", authority.certificate
        written.write_text(json.dumps(of_the_agent(node, 9901, target, roots, metadata)))
        await stack.enter_async_context(
            _inside(
                namespace,
                *(envoy_binary(), "-c", str(written), "--use-dynamic-base-id", "-l", "warning"),
                *("--concurrency", "1", "--drain-time-s", "1", "--skip-deprecated-logs"),
            )
        )
        found = Image(running, namespace)
        await eventually(lambda: found.states == [State.ACCEPTED])
        yield found


_WORKLOAD = (sys.executable, "-m", "http.server", "9080", "--bind", "127.0.0.1")


_RELAY = (
    sys.executable,
    "-c",
    """
import asyncio, sys

async def pipe(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def joined(reader, writer):
    inner_reader, inner_writer = await asyncio.open_unix_connection(sys.argv[1])
    await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

async def main():
    server = await asyncio.start_server(joined, "localhost", 7401)
    await server.serve_forever()

asyncio.run(main())
""",
)


@asynccontextmanager
async def _namespace() -> AsyncIterator[int]:
    """A network of its own; the process that holds it."""
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-Urn", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        if await process.stdout.readline() != b"up\n":
            pytest.skip(f"no network namespace here: {(await process.stderr.read()).decode()}")
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def _inside(namespace: int, *command: str) -> AsyncIterator[None]:
    """A process in that network for the length of a block."""
    process = await asyncio.create_subprocess_exec(
        *INSIDE,
        str(namespace),
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_images_bootstrap_gets_its_whole_configuration(tmp_path: Path) -> None:
    async with image(tmp_path) as found:
        await eventually(lambda: _contains(found.page("/server_info"), '"LIVE"'))
        dump = await found.page("/config_dump")
        for name in (
            "lds_ingress_0.0.0.0_15000",
            "lds_egress_0.0.0.0_15001",
            "rds_ingress_http_8080",
            "cds_ingress_shop_web_http_8080",
            "cds_egress_shop_api_http_",
            "cds_egress_shop_amazonaws",
        ):
            assert name in dump
        stats = await found.page("/stats?filter=update_rejected|connected_state")
        assert "control_plane.connected_state: 1" in stats
        assert all(line.endswith(": 0") for line in stats.splitlines() if "rejected" in line)
        # Whether it traces is in its own bootstrap alone, so it is always told to.
        assert '"tracing"' in dump
        assert "appmesh.RequestCount" not in dump


async def test_requests_through_the_image_are_answered(tmp_path: Path) -> None:
    async with image(tmp_path) as found:
        assert await found.answers(3) == ["200"] * 3


async def test_the_image_may_ask_by_tls(tmp_path: Path) -> None:
    async with image(tmp_path, secure=True) as found:
        assert await found.answers(2) == ["200"] * 2


async def test_a_stream_that_is_closed_for_its_age_harms_nobody(tmp_path: Path) -> None:
    async with image(tmp_path, max_age=timedelta(seconds=1)) as found:
        counters = found.running.parts.delivery.counters
        seen: set[tuple[State, ...]] = set()
        answers: list[str] = []
        while counters.streams_opened[Variant.SOTW] < 4:
            answers += await found.answers(5)
            seen.add(tuple(found.states))
        assert set(answers) == {"200"}
        # One proxy, and never away: now and then it is being told again what it has.
        assert seen <= {(State.ACCEPTED,), (State.WAITING,)}
        revision = found.running.parts.store.state.revision
        told = await found.running.parts.delivery.wait_settled(
            revision, timedelta(seconds=DEADLINE)
        )
        assert told.done
        assert told.total == 1


async def test_the_image_asks_for_metrics_in_metadata_of_its_own(tmp_path: Path) -> None:
    async with image(tmp_path, **{"aws.appmesh.metric_filter": {"level": "1"}}) as found:
        dump = await found.page("/config_dump")
        assert "RequestCountPerTarget" in dump
        assert r'"config": "{\"tags\":[{\"key\":\"TargetVirtualNode\",\"value\":\"api\"}]}"' in dump


async def _listens(namespace: int, port: int) -> bool:
    """Whether somebody takes connections at a port of that network."""
    process = await asyncio.create_subprocess_exec(
        *(*INSIDE, str(namespace), "curl", "-sk", "-o", "/dev/null", f"https://localhost:{port}/"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    # curl's code for a connection that could not be made.
    return await asyncio.wait_for(process.wait(), DEADLINE) != 7


async def _contains(page: Any, words: str) -> bool:
    return words in await page
