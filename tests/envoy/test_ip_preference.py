"""
Which addresses are used, for what the mesh and its virtual nodes prefer, and how soon they change.

In a namespace with both families: names looked up at a name server of the test, instances of
Cloud Map, the workload's own address, and who can call it.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.builders import cloud_map_steps
from tests.envoy import namespaces
from tests.envoy.namespaces import V4, V6, Namespace, namespace, neighbour
from tests.envoy.sidecar_harness import eventually
from tests.envoy.workload import ME, Workload, begin, node, page, service, start
from weft.store.change import Keep
from weft.store.state import Draft, MeshState

pytestmark = [
    pytest.mark.envoy,
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
    pytest.mark.asyncio(loop_scope="module"),
]

A, AAAA = "127.0.0.21", "fd00:77::21"
HAS = {"v4": {"A": A}, "v6": {"AAAA": AAAA}, "dual": {"A": A, "AAAA": AAAA}}
"""What a name, or an instance, has."""


def discovery(kind: str, has: str, **more: str) -> dict[str, Any]:
    if kind == "dns":
        return {"dns": {"hostname": f"{has}.test", **more}}
    return {"awsCloudMap": {"namespaceName": "test", "serviceName": has, **more}}


def target(kind: str, has: str, **more: str) -> dict[str, Any]:
    return {**node("8080/http"), "serviceDiscovery": discovery(kind, has, **more)}


TARGETS = [(kind, has) for kind in ("dns", "map") for has in HAS]
WEB = node("9080/http", calls=(*(f"{k}-{h}.local" for k, h in TARGETS), "many.local"))


def mesh() -> dict[str, Any]:
    made: dict[str, Any] = {"mesh/shop": {}}
    for kind, has in TARGETS:
        made[f"mesh/shop/virtualNode/{kind}-{has}"] = target(kind, has)
        made[f"mesh/shop/virtualService/{kind}-{has}.local"] = service(f"{kind}-{has}")
    made["mesh/shop/virtualNode/many"] = {
        **node("8080/http"),
        "serviceDiscovery": {"dns": {"hostname": "many.test"}},
    }
    made["mesh/shop/virtualService/many.local"] = service("many")
    made["mesh/shop/virtualNode/web"] = WEB
    return made


class Here(Workload):
    """The workload, and a machine beside it that calls it."""

    beside: Namespace

    async def caller(self, host: str) -> str:
        """What the machine beside is answered by the workload's own listener."""

        def ask() -> str:
            try:
                with socket.create_connection((host, 9080), 5) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
                    found = b""
                    while more := connection.recv(4096):
                        found += more
            except OSError as error:
                return type(error).__name__
            return found.decode().partition("\r\n\r\n")[2]

        return await asyncio.to_thread(self.beside.inside, ask)

    async def prefer(self, preference: str | None) -> None:
        """Of the whole mesh."""
        found = {"serviceDiscovery": {"ipPreference": preference}} if preference else {}
        await self.apply({"mesh/shop": found})

    async def reached(self, name: str) -> str:
        """The family over which a service is reached; empty where it is not."""
        found = await self.get(f"{name}.local", 8080)
        return found.removeprefix("200 ") if found.startswith("200 ") else ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    directory = tmp_path_factory.mktemp("ip")
    async with AsyncExitStack() as stack:
        inside = stack.enter_context(namespace(directory, "ip", AAAA))
        made = await begin(stack, inside, directory, mesh())
        here = Here(**vars(made))
        here.beside = stack.enter_context(neighbour(inside))
        for has, addresses in HAS.items():
            for type, address in addresses.items():
                here.outside.records[(f"{has}.test", type)] = [address]
        here.outside.records[("many.test", "A")] = ["127.0.0.31"]
        await here.running.parts.store.apply(cloud_map(), ME)
        for host, port, body in (
            (A, 8080, "4"),
            (AAAA, 8080, "6"),
            ("127.0.0.31", 8080, "31"),
            ("127.0.0.32", 8080, "32"),
            ("127.0.0.33", 8080, "33"),
            ("127.0.0.1", 9080, "app 4"),
            ("::1", 9080, "app 6"),
        ):
            here.servers.add(host, port, page(body))
        await start(stack, here)
        yield here


def cloud_map() -> list[Keep]:
    """A service for each kind of instance."""
    instances = {
        has: {"i": {f"AWS_INSTANCE_IPV{6 if t == 'AAAA' else 4}": a for t, a in found.items()}}
        for has, found in HAS.items()
    }
    draft, steps = Draft(MeshState()), []
    said = {"cloudmap": {f"test/{has}": found for has, found in instances.items()}}
    for step in cloud_map_steps(said, draft):
        draft.keep(step.collection, step.name, step.document)
        steps.append(step)
    return steps


# --- what the mesh prefers -------------------------------------------------------------------

BY_NAME = ("dns-v4", "dns-v6", "dns-dual")
BY_CLOUD_MAP = ("map-v4", "map-v6", "map-dual")


@pytest.mark.parametrize(
    ("preference", "by_name", "by_cloud_map"),
    [
        # Without any, names lead to version 6 where they can, and instances to version 4.
        (None, "466", "464"),
        ("IPv6_PREFERRED", "466", "466"),
        ("IPv4_PREFERRED", "464", "464"),
        ("IPv6_ONLY", "-66", "-66"),
        ("IPv4_ONLY", "4-4", "4-4"),
    ],
)
async def test_what_the_mesh_prefers_decides_between_the_addresses_of_each_target(
    web: Here, preference: str | None, by_name: str, by_cloud_map: str
) -> None:
    await web.prefer(preference)

    async def families(names: tuple[str, ...]) -> str:
        return "".join([await web.reached(name) or "-" for name in names])

    async def as_preferred() -> bool:
        return (await families(BY_NAME), await families(BY_CLOUD_MAP)) == (by_name, by_cloud_map)

    await eventually(as_preferred, seconds=15)


@pytest.mark.parametrize(
    ("preference", "by_v4", "by_v6"),
    [
        (None, "app 4", "ConnectionRefusedError"),
        ("IPv4_PREFERRED", "app 4", "app 4"),
        ("IPv4_ONLY", "app 4", "app 4"),
        ("IPv6_PREFERRED", "app 6", "app 6"),
        ("IPv6_ONLY", "app 6", "app 6"),
    ],
)
async def test_with_any_preference_callers_of_both_families_reach_the_workload_at_its_own(
    web: Here, preference: str | None, by_v4: str, by_v6: str
) -> None:
    await web.prefer(preference)

    async def found() -> bool:
        return (await web.caller(V4), await web.caller(V6)) == (by_v4, by_v6)

    await eventually(found, seconds=15)


@pytest.mark.parametrize(
    ("mesh", "node", "family"),
    [
        ("IPv4_ONLY", "IPv6_ONLY", "6"),
        ("IPv6_ONLY", "IPv4_PREFERRED", "4"),
        ("IPv4_PREFERRED", "IPv6_PREFERRED", "6"),
        (None, "IPv4_ONLY", "4"),
    ],
)
async def test_what_a_virtual_node_prefers_goes_before_what_its_mesh_does(
    web: Here, mesh: str | None, node: str, family: str
) -> None:
    await web.prefer(mesh)
    changed = {
        f"mesh/shop/virtualNode/{kind}-dual": target(kind, "dual", ipPreference=node)
        for kind in ("dns", "map")
    }
    await web.apply(changed)

    async def reached() -> bool:
        return await web.reached("dns-dual") == await web.reached("map-dual") == family

    await eventually(reached, seconds=15)
    await web.apply({key: target(key.rsplit("/", 1)[1][:3], "dual") for key in changed})


# --- how names are looked up -----------------------------------------------------------------


async def replies(web: Here, count: int) -> Counter[str]:
    return Counter([await web.reached("many") for _ in range(count)])


async def only(web: Here, *bodies: str) -> float:
    """Seconds until requests are answered by exactly these."""
    begun = time.monotonic()

    async def answered() -> bool:
        return set(await replies(web, 3 * len(bodies))) == set(bodies)

    await eventually(answered, seconds=15)
    return time.monotonic() - begun


def looked_up(how: str) -> dict[str, Any]:
    found = {"dns": {"hostname": "many.test", "responseType": how}}
    return {"mesh/shop/virtualNode/many": {**node("8080/http"), "serviceDiscovery": found}}


async def test_a_load_balancers_name_is_one_address_at_a_time_and_a_new_one_is_used_soon(
    web: Here,
) -> None:
    await web.prefer(None)
    web.outside.records[("many.test", "A")] = ["127.0.0.31", "127.0.0.32"]
    await web.apply(looked_up("LOADBALANCER"))
    await only(web, "31")
    assert await replies(web, 12) == {"31": 12}

    web.outside.records[("many.test", "A")] = ["127.0.0.33"]
    assert await only(web, "33") < 4


async def test_a_name_of_endpoints_is_all_its_addresses_and_follows_them_soon(web: Here) -> None:
    await web.prefer(None)
    web.outside.records[("many.test", "A")] = ["127.0.0.31", "127.0.0.32", "127.0.0.33"]
    await web.apply(looked_up("ENDPOINTS"))
    await only(web, "31", "32", "33")
    assert await replies(web, 30) == {"31": 10, "32": 10, "33": 10}

    web.outside.records[("many.test", "A")] = ["127.0.0.32"]
    assert await only(web, "32") < 4
    web.outside.records[("many.test", "A")] = ["127.0.0.32", "127.0.0.33"]
    assert await only(web, "32", "33") < 4


async def test_a_name_server_that_falls_silent_takes_nothing_away(web: Here) -> None:
    await web.apply(looked_up("ENDPOINTS"))
    web.outside.records[("many.test", "A")] = ["127.0.0.31"]
    await only(web, "31")
    before = len(web.outside.asked)
    web.outside.silent = True
    try:
        await eventually(lambda: len(web.outside.asked) > before + 2)
        assert await replies(web, 3) == {"31": 3}
    finally:
        web.outside.silent = False
    web.outside.records[("many.test", "A")] = ["127.0.0.32"]
    await only(web, "32")
