"""Virtual nodes found by DNS: which addresses of a name are used, and which family, on a real Envoy."""

from __future__ import annotations

import asyncio
import json
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.builders import state_from, view_of
from tests.envoy import running
from tests.envoy.running import DEADLINE, ask, free_ports, listening
from weft.names import Mode, Ports
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy

A, AAAA = 1, 28


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """Answers for a few names over UDP, in the order they are given (RFC 1035, and 3596 for AAAA)."""

    names: Mapping[str, tuple[str, ...]]
    asked: Counter[tuple[str, int]] = field(default_factory=Counter)
    transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        labels, at = [], 12
        while length := data[at]:
            labels.append(data[at + 1 : at + 1 + length].decode().lower())
            at += 1 + length
        name = ".".join(labels)
        (kind,) = struct.unpack_from(">H", data, at + 1)
        self.asked[name, kind] += 1
        known = [ip_address(each) for each in self.names.get(name, ())]
        found = [each.packed for each in known if each.version == {A: 4, AAAA: 6}.get(kind)]
        rcode = 0 if name in self.names else 3
        head = data[:2] + struct.pack(">HHHHH", 0x8580 | rcode, 1, len(found), 0, 0)
        answers = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 1, len(packed)) + packed for packed in found
        )
        assert self.transport is not None
        self.transport.sendto(head + data[12 : at + 5] + answers, addr)


@asynccontextmanager
async def name_server(names: Mapping[str, tuple[str, ...]]) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: NameServer(names), local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def _serve(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode())
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


HOST = "shop.dns.test"
FOURS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
SIX = "::1"


@asynccontextmanager
async def caller(
    directory: Path,
    dns: dict[str, Any],
    addresses: tuple[str, ...],
    mesh_spec: dict[str, Any] | None = None,
    monkeypatch: pytest.MonkeyPatch | None = None,
) -> AsyncIterator[int]:
    """The egress port of an Envoy that asks our name server, with a replica at each address."""
    egress, port = free_ports(2)
    async with AsyncExitStack() as stack:
        for address in (*FOURS, SIX):
            # The same port at every address: DNS says nothing of ports.
            made = lambda r, w, address=address: _serve(address, r, w)  # noqa: E731 - one line says it
            await stack.enter_async_context(listening(made, address, port))
        resolver = await stack.enter_async_context(name_server({HOST: addresses}))
        mesh = {
            "mesh": mesh_spec or {},
            "nodes": {
                "web": {"calls": ["shop.local"]},
                "shop": {
                    "listen": f"{port}/http",
                    "serviceDiscovery": {"dns": {"hostname": HOST, **dns}},
                },
            },
            "services": {"shop.local": "node shop"},
        }
        view = view_of("web", Mode.EXPLICIT, Ports(egress=egress))
        snapshot = translate(resolve(state_from(mesh), view))
        assert monkeypatch is not None
        _ask_ours(monkeypatch, resolver)
        await stack.enter_async_context(running.envoy(snapshot, egress, directory))
        await stack.enter_async_context(asyncio.timeout(DEADLINE))
        yield egress


def _ask_ours(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Have the bootstrap name our server, where the machine's own would be asked."""
    written = running.write_bootstrap

    def with_resolver(path: Path, *arguments: Any) -> Path:
        written(path, *arguments)
        bootstrap = json.loads(path.read_text())
        cares = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3"
        address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        bootstrap["typed_dns_resolver_config"] = {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": f"{cares}.CaresDnsResolverConfig",
                "resolvers": [address],
                "use_resolvers_as_fallback": False,
            },
        }
        path.write_text(json.dumps(bootstrap))
        return path

    monkeypatch.setattr(running, "write_bootstrap", with_resolver)


async def reached(egress: int, count: int = 12) -> Counter[str]:
    port_of = "GET / HTTP/1.1\nHost: shop.local:{}"
    raise NotImplementedError(port_of)
