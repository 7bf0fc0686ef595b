"""Certificates come, change and go wrong while requests go on."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Leaf
from tests.envoy.proxies import ControlPlane, Proxy, directory_of_certificates, proxy
from tests.envoy.running import DEADLINE, ask, free_ports, upstream
from tests.envoy.secret_server import secret_server
from tests.envoy.test_tls_mutual import file, listener, trust
from weft.names import IngressPort
from weft.sidecar.secrets import Watched

pytestmark = pytest.mark.envoy

CERTIFICATE_ARN = "arn:aws:acm:us-west-2:000000000000:certificate/server"
AUTHORITY_ARN = "arn:aws:acm-pca:us-west-2:000000000000:certificate-authority/root"
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
    egress, socket, plain = free_ports(3)
    async with upstream("app") as app:
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


@pytest.mark.parametrize("replace", [renamed, swapped, in_place], ids=lambda f: f.__name__)
async def test_a_file_that_is_replaced_under_load_costs_no_request(
    replace: Callable[[Leaf, Path], None],
) -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        leaves = [authority.leaf(f"leaf-{i}", hosts=("api.test",)) for i in range(4)]
        keys = directory / "keys"
        keys.mkdir()
        replace(leaves[0], keys)
        tls = {
            "mode": "STRICT",
            "certificate": {
                "file": {
                    "certificateChain": str(keys / "server.pem"),
                    "privateKey": str(keys / "server.key"),
                }
            },
        }
        # What the sidecar does beside its Envoy.
        watched = Watched(pytest.fail)
        now = iter(range(10_000))

        paths = [str(keys / "server.pem"), str(keys / "server.key")]
        watched.look(paths, next(now))

        async def shows(leaf: Leaf) -> bool:
            watched.look(paths, next(now))
            return await there.shows() == serial(leaf)

        async with running(tls, {"validation": trust(authority)}) as there:
            await there.serves()
            async with load(there) as going:
                for leaf in leaves[1:]:
                    await going.more()
                    replace(leaf, keys)
                    await until(lambda leaf=leaf: shows(leaf))  # type: ignore[misc]
            assert going.failures == []


@pytest.mark.parametrize("state_of_the_world", [False, True], ids=["delta", "sotw"])
async def test_a_missing_file_costs_only_what_uses_it_and_heals_when_it_comes(
    state_of_the_world: bool,
) -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        leaf = authority.leaf("server", hosts=("api.test",))
        late, bundle = directory / "late", directory / "bundle.pem"
        late.mkdir()
        tls = {
            "mode": "STRICT",
            "certificate": {
                "file": {
                    "certificateChain": str(late / "server.pem"),
                    "privateKey": str(late / "server.key"),
                }
            },
        }
        policy = {"validation": {"trust": {"file": {"certificateChain": str(bundle)}}}}
        async with running(tls, policy, state_of_the_world=state_of_the_world) as there:
            told = await there.control_plane.settled()
            assert sorted(refusal.words for refusal in told.rejected) == [
                f"Invalid path: {bundle}",
                f"Invalid path: {late / 'server.pem'}",
            ]
            assert await there.status() == 503
            assert await there.status(PLAIN) == 200

            # Half of a pair, and then one that does not fit: still closed, still said.
            (late / "server.pem").write_bytes(leaf.certificate.read_bytes())
            (late / "server.key").write_bytes(authority.leaf("other").key.read_bytes())
            shutil.copy(authority.certificate, bundle)

            async def misfit() -> bool:
                words = [each.words for each in (await there.control_plane.settled()).rejected]
                return any("KEY_VALUES_MISMATCH" in each for each in words)

            await until(misfit)
            assert await there.status() == 503
            assert await there.status(PLAIN) == 200

            shutil.copy(leaf.key, late / "server.key")
            await there.serves()

            async def well() -> bool:
                return not (await there.control_plane.settled()).rejected

            await until(well)
            # From then on it is watched as any other.
            renewed = authority.leaf("renewed", hosts=("api.test",))
            renamed(renewed, late)

            async def shows_renewed() -> bool:
                return await there.shows() == serial(renewed)

            await until(shows_renewed)


async def test_a_proxy_that_comes_back_still_says_which_file_is_missing() -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        leaf = authority.leaf("server", hosts=("api.test",))
        tls = {
            "mode": "STRICT",
            "certificate": {
                "file": {
                    "certificateChain": str(directory / "missing.pem"),
                    "privateKey": str(leaf.key),
                }
            },
        }
        async with running(tls, {"validation": trust(authority)}) as there:
            assert len((await there.control_plane.settled()).rejected) == 1

            # Another control plane at the same address: nothing is remembered.
            before = there.control_plane
            await before.server.stop()
            after = ControlPlane(before.said)
            after.server._address = f"127.0.0.1:{before.port}"
            await after.start()
            try:

                async def said_again() -> bool:
                    told = await after.settled()
                    words = [refusal.words for refusal in told.rejected]
                    return told.total == 2 and words == [f"Invalid path: {directory}/missing.pem"]

                await until(said_again)
                shutil.copy(leaf.certificate, directory / "missing.pem")
                await there.serves()
            finally:
                await after.server.stop()


async def test_a_secret_server_may_come_late_rotate_and_go() -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        first, second = (authority.leaf(n, uri="spiffe://shop/api") for n in ("first", "second"))
        tls = {"mode": "STRICT", "certificate": {"sds": {"secretName": "spiffe://shop/api"}}}
        policy = {
            "validation": {
                "trust": {"sds": {"secretName": "spiffe://shop"}},
                "subjectAlternativeNames": {"match": {"exact": ["spiffe://shop/api"]}},
            }
        }
        socket = directory / "sds.sock"
        async with running(tls, policy, sds_socket=str(socket)) as there:
            # Nobody serves secrets yet: closed, and nothing else is.
            assert await there.status() == 503
            assert await there.status(PLAIN) == 200
            async with secret_server(socket) as sds:
                sds.trust("spiffe://shop", authority.certificate)
                sds.certificate("spiffe://shop/api", first)
                await there.serves()
                async with load(there) as going:
                    sds.certificate("spiffe://shop/api", second)

                    async def shows_second() -> bool:
                        return await there.shows() == serial(second)

                    await until(shows_second)
                assert going.failures == []
            # Its end is no matter: what was served is held.
            assert await there.status() == 200


async def test_a_certificate_by_arn_opens_what_was_closed_and_rotates_under_load() -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        first, second = (authority.leaf(n, hosts=("api.test",)) for n in ("first", "second"))
        tls = {"mode": "STRICT", "certificate": {"acm": {"certificateArn": CERTIFICATE_ARN}}}
        policy = {"validation": {"trust": {"acm": {"certificateAuthorityArns": [AUTHORITY_ARN]}}}}

        def issued(leaf: Leaf) -> dict[str, Any]:
            return {
                CERTIFICATE_ARN: {
                    "certificateChain": leaf.certificate.read_text(),
                    "privateKey": leaf.key.read_text(),
                }
            }

        root = {AUTHORITY_ARN: {"certificateChain": authority.certificate.read_text()}}
        async with running(tls, policy) as there:
            said = dict(there.control_plane.said)
            assert not (await there.control_plane.settled()).rejected
            answer = await ask(there.egress, API)
            assert (answer.status, answer.body) == (503, "no healthy upstream")
            assert await there.status(PLAIN) == 200

            await there.control_plane.changed({**said, "authorities": root})
            assert await there.status() == 503
            await there.control_plane.changed(
                {**said, "authorities": root, "certificates": issued(first)}
            )
            await there.serves()
            async with load(there) as going:
                await there.control_plane.changed(
                    {**said, "authorities": root, "certificates": issued(second)}
                )

                async def shows_second() -> bool:
                    return await there.shows() == serial(second)

                await until(shows_second)
            assert going.failures == []
            for each in (there.server, there.client):
                assert "PRIVATE KEY" not in await each.config_dump()


async def test_health_is_checked_over_tls() -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        leaf = authority.leaf("server", hosts=("api.test",))
        tls = {"mode": "STRICT", "certificate": file(leaf)}
        async with running(tls, {"validation": trust(authority)}) as there:
            said: dict[str, Any] = dict(there.control_plane.said)
            checked = {
                "protocol": "http",
                "path": "/ping",
                "healthyThreshold": 2,
                "unhealthyThreshold": 2,
                "intervalMillis": 5000,
                "timeoutMillis": 2000,
            }
            api = dict(said["nodes"]["api"])
            api["listeners"] = [
                {**api["listeners"][0], "healthCheck": checked},
                api["listeners"][1],
            ]
            await there.control_plane.changed({**said, "nodes": {**said["nodes"], "api": api}})
            name = "cluster.cds_egress_shop_api_http_80.health_check.success"

            async def healthy() -> bool:
                return await there.client.stat(name) >= 1

            await until(healthy)
            assert await there.status() == 200
