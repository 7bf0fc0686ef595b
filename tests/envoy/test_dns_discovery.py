"""Virtual nodes found by DNS: which addresses of a name are used, and which family, on a real Envoy."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.builders import state_from, view_of
from tests.envoy import running
from tests.envoy.name_server import NameServer, name_server
from tests.envoy.running import DEADLINE, ask, free_ports, upstream
from tests.envoy.sidecar_harness import eventually
from weft.names import Mode, Ports
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy

HOST = "shop.dns.test"
FOURS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
SIX = "::1"
LONGEST_SECONDS = 15.0


@dataclass
class Caller:
    egress: int
    port: int
    names: NameServer

    async def replies(self, count: int = 12) -> Counter[str]:
        found: Counter[str] = Counter()
        for _ in range(count):
            host = f"shop.local:{self.port}"
            answer = await ask(self.egress, f"GET / HTTP/1.1\nHost: {host}")
            found[answer.body if answer.status == 200 else str(answer.status)] += 1
        return found

    async def reaches(self, *addresses: str) -> Counter[str]:
        """Once it is these, and no others."""

        async def so() -> Counter[str] | None:
            found = await self.replies()
            return found if set(found) == set(addresses) else None

        found: Counter[str] = await eventually(so, seconds=LONGEST_SECONDS)
        return found


@asynccontextmanager
async def caller(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    records: dict[str, list[str]],
    dns: dict[str, Any] | None = None,
    mesh: dict[str, Any] | None = None,
) -> AsyncIterator[Caller]:
    """An Envoy that asks our name server; a replica stands at every address there might be."""
    egress, port = free_ports(2)
    async with AsyncExitStack() as stack:
        for address in (*FOURS, SIX):
            await stack.enter_async_context(upstream(address, address, port))
        names = stack.enter_context(name_server())
        names.records = {(HOST, kind): found for kind, found in records.items()}
        said = {
            "mesh": mesh or {},
            "nodes": {
                "web": {"calls": ["shop.local"]},
                "shop": {
                    "listen": f"{port}/http",
                    "serviceDiscovery": {"dns": {"hostname": HOST, **(dns or {})}},
                },
            },
            "services": {"shop.local": "node shop"},
        }
        view = view_of("web", Mode.EXPLICIT, Ports(egress=egress))
        snapshot = translate(resolve(state_from(said), view))
        _ask_ours(monkeypatch, names)
        await stack.enter_async_context(running.envoy(snapshot, egress, directory))
        await stack.enter_async_context(asyncio.timeout(DEADLINE))
        yield Caller(egress, port, names)


def _ask_ours(monkeypatch: pytest.MonkeyPatch, names: NameServer) -> None:
    """Have the bootstrap name our server, where the machine's own would be asked."""
    written = running.write_bootstrap
    host, port = names.address

    def with_resolver(path: Path, *arguments: Any) -> Path:
        written(path, *arguments)
        bootstrap = json.loads(path.read_text())
        cares = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3"
        bootstrap["typed_dns_resolver_config"] = {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": f"{cares}.CaresDnsResolverConfig",
                "resolvers": [{"socket_address": {"address": host, "port_value": port}}],
            },
        }
        path.write_text(json.dumps(bootstrap))
        return path

    monkeypatch.setattr(running, "write_bootstrap", with_resolver)


async def test_a_load_balancers_name_is_one_address_and_endpoints_are_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = {"A": list(FOURS)}
    async with caller(tmp_path, monkeypatch, records) as web:
        found = await web.replies(12)
        assert len(found) == 1, found
        assert set(found) <= set(FOURS)
    endpoints = {"responseType": "ENDPOINTS"}
    async with caller(tmp_path, monkeypatch, records, endpoints) as web:
        assert await web.reaches(*FOURS) == dict.fromkeys(FOURS, 4)


async def test_addresses_that_come_and_go_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = FOURS
    endpoints = {"responseType": "ENDPOINTS"}
    async with caller(tmp_path, monkeypatch, {"A": [first, second]}, endpoints) as web:
        await web.reaches(first, second)
        web.names.records[(HOST, "A")] = [third]
        await web.reaches(third)


BOTH = {"A": [FOURS[0]], "AAAA": [SIX]}
ONLY_4 = {"A": [FOURS[0]]}
ONLY_6 = {"AAAA": [SIX]}
NOBODY = "503"


@pytest.mark.parametrize(
    ("preference", "records", "reached"),
    [
        (None, BOTH, SIX),
        (None, ONLY_4, FOURS[0]),
        ("IPv6_PREFERRED", BOTH, SIX),
        ("IPv6_PREFERRED", ONLY_4, FOURS[0]),
        ("IPv4_PREFERRED", BOTH, FOURS[0]),
        ("IPv4_PREFERRED", ONLY_6, SIX),
        ("IPv4_ONLY", BOTH, FOURS[0]),
        ("IPv4_ONLY", ONLY_6, NOBODY),
        ("IPv6_ONLY", BOTH, SIX),
        ("IPv6_ONLY", ONLY_4, NOBODY),
    ],
)
async def test_the_preference_of_the_node_picks_the_family(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    preference: str | None,
    records: dict[str, list[str]],
    reached: str,
) -> None:
    dns = {"ipPreference": preference} if preference else {}
    async with caller(tmp_path, monkeypatch, records, dns) as web:
        await web.reaches(reached)


async def test_the_mesh_s_preference_holds_for_nodes_without_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = {"serviceDiscovery": {"ipPreference": "IPv4_ONLY"}}
    async with caller(tmp_path, monkeypatch, BOTH, mesh=mesh) as web:
        await web.reaches(FOURS[0])
    own = {"ipPreference": "IPv6_ONLY"}
    async with caller(tmp_path, monkeypatch, BOTH, own, mesh) as web:
        await web.reaches(SIX)
