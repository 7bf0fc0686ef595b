"""Two virtual nodes with a sidecar each, told by App Mesh's variables what to count and to trace."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.envoy.running import DEADLINE, Answer, ask, listening
from tests.envoy.sidecar_harness import Sidecar, free_port
from weft.names import Key
from weft.server import Running, serving
from weft.settings import Address, Settings
from weft.store.change import Author, Put

ME = Author("ana", "pytest")


@dataclass
class Datagrams:
    """A UDP receiver on a free port."""

    port: int = 0
    received: list[str] = field(default_factory=list)

    def datagram_received(self, data: bytes, _address: Any) -> None:
        self.received.append(data.decode())

    def connection_made(self, transport: Any) -> None:
        self.port = transport.get_extra_info("sockname")[1]

    def connection_lost(self, _error: Exception | None) -> None: ...

    def error_received(self, _error: OSError) -> None: ...

    def segments(self) -> list[dict[str, Any]]:
        """What an X-Ray daemon would take: a line that says the format, and a document."""
        return [json.loads(each.split("\n", 1)[1]) for each in self.received]

    def counted(self) -> Counter[str]:
        """What a DogStatsD server would have counted, by name and tags."""
        found: Counter[str] = Counter()
        for each in "\n".join(self.received).splitlines():
            name, _, rest = each.partition(":")
            value, kind, *tags = rest.split("|")
            if kind == "c" and value.isdigit():
                found[" ".join([name, *sorted("|".join(tags).lstrip("#").split(","))])] += int(
                    value
                )
        return found


@asynccontextmanager
async def datagrams() -> AsyncIterator[Datagrams]:
    made = Datagrams()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: made,  # type: ignore[arg-type,return-value]  # a protocol by its shape
        local_addr=("127.0.0.1", 0),
    )
    try:
        yield made
    finally:
        transport.close()


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers ``/404`` with 404, anything else with 200, and keeps the connection."""
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            last = head.split(" ", 2)[1].rpartition("/")[2]
            status = int(last) if last.isdigit() else 200
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok".encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@dataclass
class Mesh:
    """``web`` calls ``api.local`` and ``db.local``."""

    running: Running
    web: Sidecar
    api: Sidecar
    egress: int
    database: int
    """The port of ``web`` that leads to ``db.local``."""

    async def get(self, path: str = "/", headers: str = "") -> Answer:
        request = f"GET http://api.local:9080{path} HTTP/1.1\nHost: api.local:9080"
        return await ask(self.egress, request + (f"\n{headers}" if headers else ""))


def _node(*listeners: tuple[int, str], backends: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "listeners": [{"portMapping": {"port": p, "protocol": said}} for p, said in listeners],
        "serviceDiscovery": {"dns": {"hostname": "nowhere.invalid"}},
        "backends": [{"virtualService": {"virtualServiceName": name}} for name in backends],
    }


def _service(node: str) -> dict[str, Any]:
    return {"provider": {"virtualNode": {"virtualNodeName": node}}}


@asynccontextmanager
async def mesh(
    directory: Path, web: dict[str, str], api: dict[str, str] | None = None
) -> AsyncIterator[Mesh]:
    """Both sidecars ready, each with the variables it is to have."""
    zero = Address("127.0.0.1", 0)
    settings = Settings(api=zero, xds=zero, data=directory / "control")
    async with serving(settings) as running, listening(answering) as app:
        steps = {
            "mesh/shop": {"egressFilter": {"type": "ALLOW_ALL"}},
            "mesh/shop/virtualNode/api": _node((9080, "http")),
            "mesh/shop/virtualNode/db": _node((5432, "tcp")),
            "mesh/shop/virtualNode/web": _node(backends=("api.local", "db.local")),
            "mesh/shop/virtualService/api.local": _service("api"),
            "mesh/shop/virtualService/db.local": _service("db"),
        }
        await running.parts.store.apply([Put(Key.parse(k), v) for k, v in steps.items()], ME)
        egress, database = free_port(), free_port()
        register = ("--register", f"http://{running.settings.api}")
        xds = str(running.settings.xds)
        made: dict[str, Sidecar] = {}

        async def started(*several: str) -> None:
            for name in several:
                await made[name].start()
            for name in several:
                await made[name].ready()

        for name, arguments, variables in (
            ("api", ("--ingress", f"9080=0:{app}", *register), api or {}),
            ("db", ("--ingress", f"5432=0:{app}", *register), {}),
            ("web", ("--egress", str(egress), "--backend", f"db.local:5432={database}"), web),
        ):
            (directory / name).mkdir()
            sidecar = made[name] = Sidecar(directory / name, xds, *arguments)
            sidecar.add("--proxy", f"mesh/shop/virtualNode/{name}")
            sidecar.environment = variables
        try:
            await started("api", "db")
            await _registered(running)
            await started("web")
            yield Mesh(running, made["web"], made["api"], egress, database)
        finally:
            await asyncio.gather(*(sidecar.stop() for sidecar in made.values()))


async def _registered(running: Running) -> None:
    """Until both targets are in the registry: whoever calls them starts with their endpoints."""
    async with asyncio.timeout(DEADLINE):
        while True:
            state = running.parts.store.state
            nodes = [Key.parse(f"mesh/shop/virtualNode/{name}") for name in ("api", "db")]
            if all(state.instances(node) for node in nodes):
                break
            await asyncio.sleep(0.02)
