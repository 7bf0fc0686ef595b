"""Two proxies with TLS between them, load through both, and the ways in which files are replaced."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.certificates import Leaf
from tests.envoy.proxies import ControlPlane, Proxy, proxy
from tests.envoy.running import DEADLINE, ask, free_ports, upstream
from tests.envoy.test_tls_mutual import listener
from weft.names import IngressPort

API = "GET / HTTP/1.1\nHost: api.local"
PLAIN = "GET / HTTP/1.1\nHost: plain.local"


async def until(true: Callable[[], Awaitable[Any]]) -> Any:
    """The first true answer."""
    async with asyncio.timeout(DEADLINE):
        while not (found := await true()):
            await asyncio.sleep(0.02)
        return found


@dataclass
class Running:
    control_plane: ControlPlane
    server: Proxy
    client: Proxy
    egress: int
    socket: int

    async def status(self, request: str = API) -> int:
        return (await ask(self.egress, request)).status

    async def serves(self, request: str = API) -> None:
        async def answered() -> bool:
            return await self.status(request) == 200

        await until(answered)

    async def shows(self) -> int:
        """The serial number of the certificate that the server shows now."""
        return await shown(self.socket)


async def shown(port: int) -> int:
    import ssl

    from cryptography import x509

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with asyncio.timeout(DEADLINE):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
    return x509.load_der_x509_certificate(found).serial_number


def serial(leaf: Leaf) -> int:
    from cryptography import x509

    return x509.load_pem_x509_certificate(leaf.certificate.read_bytes()).serial_number


def mesh_with(
    tls: dict[str, Any], policy: dict[str, Any], socket: int, plain: int
) -> dict[str, Any]:
    """``web`` calls ``api`` under a policy, and ``plain``, another port of the same proxy, without."""
    return {
        "nodes": {
            "web": {
                "backends": [
                    {
                        "virtualService": {
                            "virtualServiceName": "api.local",
                            "clientPolicy": {"tls": policy},
                        }
                    },
                    {"virtualService": {"virtualServiceName": "plain.local"}},
                ]
            },
            "api": {
                "listeners": [listener(80, tls), listener(81, None)],
                "serviceDiscovery": {"dns": {"hostname": "api.test"}},
            },
            "plain": {"listen": "80/http"},
        },
        "services": {"api.local": "node api", "plain.local": "node plain"},
        "instances": {
            "api": {"one": {80: f"127.0.0.1:{socket}"}},
            "plain": {"one": {80: f"127.0.0.1:{plain}"}},
        },
    }


@asynccontextmanager
async def running(
    tls: dict[str, Any],
    policy: dict[str, Any],
    *,
    sds_socket: str | None = None,
    state_of_the_world: bool = False,
    **more: Any,
) -> AsyncIterator[Running]:
    async with upstream("app") as app:
        # After the others have theirs, or one of them might get one of these.
        egress, socket, plain = free_ports(3)
        control_plane = ControlPlane({**mesh_with(tls, policy, socket, plain), **more})
        await control_plane.start()
        try:
            ingress = (IngressPort(80, socket, app.port), IngressPort(81, plain, app.port))
            async with (
                proxy(
                    control_plane,
                    "api",
                    egress=0,
                    ingress=ingress,
                    sds_socket=sds_socket,
                    state_of_the_world=state_of_the_world,
                ) as api,
                proxy(
                    control_plane,
                    "web",
                    egress=egress,
                    sds_socket=sds_socket,
                    state_of_the_world=state_of_the_world,
                ) as web,
            ):
                await control_plane.settled()
                yield Running(control_plane, api, web, egress, socket)
        finally:
            await control_plane.server.stop()


@dataclass
class Load:
    """Requests through both proxies, and handshakes with the server, one after the other."""

    failures: list[str]
    count: int = 0

    async def more(self, count: int = 25) -> None:
        """Once so many more were answered."""
        enough = self.count + count

        async def reached() -> bool:
            return self.count >= enough

        await until(reached)


@asynccontextmanager
async def load(there: Running) -> AsyncIterator[Load]:
    made = Load([])
    stop = asyncio.Event()

    async def repeated(one: Callable[[], Awaitable[str]]) -> None:
        while not stop.is_set():
            try:
                if failure := await one():
                    made.failures.append(failure)
            except (OSError, asyncio.IncompleteReadError) as error:
                made.failures.append(repr(error))
            made.count += 1

    async def request() -> str:
        answer = await ask(there.egress, API)
        return "" if answer.status == 200 else f"{answer.status} {answer.body}"

    async def handshake() -> str:
        return "" if await there.shows() else "no certificate"

    async with asyncio.TaskGroup() as tasks:
        for one in (request, request, request, handshake):
            tasks.create_task(repeated(one))
        try:
            yield made
            await made.more()
        finally:
            stop.set()


def renamed(leaf: Leaf, into: Path) -> None:
    """As a careful program replaces files: each by renaming, one after the other."""
    for source, name in ((leaf.certificate, "server.pem"), (leaf.key, "server.key")):
        shutil.copy(source, into / ".new")
        os.rename(into / ".new", into / name)


def swapped(leaf: Leaf, into: Path) -> None:
    """As Kubernetes replaces a mounted secret: a new directory, and one link that is swapped."""
    made = into / f"..{serial(leaf)}"
    made.mkdir()
    shutil.copy(leaf.certificate, made / "server.pem")
    shutil.copy(leaf.key, made / "server.key")
    (into / "..data_tmp").symlink_to(made.name)
    os.rename(into / "..data_tmp", into / "..data")
    for name in ("server.pem", "server.key"):
        if not (into / name).is_symlink():
            (into / name).symlink_to(f"..data/{name}")


def in_place(leaf: Leaf, into: Path) -> None:
    """As an editor or ``openssl -out`` writes: over what is there."""
    (into / "server.pem").write_bytes(leaf.certificate.read_bytes())
    (into / "server.key").write_bytes(leaf.key.read_bytes())
