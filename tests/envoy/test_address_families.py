"""Version 4 or 6: of Cloud Map's instances as callers see them, and of the workload behind its proxy."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import state_from, view_of
from tests.envoy.running import ask, envoy, free_ports, upstream
from weft.ir.cluster import SocketAddress
from weft.names import Mode, Ports
from weft.resolve.proxy import resolve
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy

FOUR, SIX = "127.0.0.2", "::1"
NOBODY = 503
BOTH = {"AWS_INSTANCE_IPV4": FOUR, "AWS_INSTANCE_IPV6": SIX}
ONLY_4, ONLY_6 = {"AWS_INSTANCE_IPV4": FOUR}, {"AWS_INSTANCE_IPV6": SIX}


def cloud_map(preference: str | None) -> dict[str, Any]:
    found = {"namespaceName": "test", "serviceName": "shop"}
    return {"awsCloudMap": found | ({"ipPreference": preference} if preference else {})}


def of_mesh(preference: str | None) -> dict[str, Any]:
    return {"serviceDiscovery": {"ipPreference": preference}} if preference else {}


@pytest.mark.parametrize("where", ["node", "mesh"])
@pytest.mark.parametrize(
    ("preference", "attributes", "reached"),
    [
        (None, BOTH, FOUR),
        (None, ONLY_6, SIX),
        ("IPv4_PREFERRED", BOTH, FOUR),
        ("IPv4_PREFERRED", ONLY_6, SIX),
        ("IPv6_PREFERRED", BOTH, SIX),
        ("IPv6_PREFERRED", ONLY_4, FOUR),
        ("IPv4_ONLY", BOTH, FOUR),
        ("IPv4_ONLY", ONLY_6, NOBODY),
        ("IPv6_ONLY", BOTH, SIX),
        ("IPv6_ONLY", ONLY_4, NOBODY),
    ],
)
async def test_an_instance_of_cloud_map_is_reached_at_the_address_that_is_preferred(
    tmp_path: Path,
    where: str,
    preference: str | None,
    attributes: dict[str, str],
    reached: str | int,
) -> None:
    egress, port = free_ports(2)
    mesh = {
        "mesh": of_mesh(preference if where == "mesh" else None),
        "nodes": {
            "web": {"calls": ["shop.local"]},
            "shop": {
                "listen": f"{port}/http",
                "serviceDiscovery": cloud_map(preference if where == "node" else None),
            },
        },
        "services": {"shop.local": "node shop"},
        "cloudmap": {"test/shop": {"i-1": attributes}},
    }
    view = view_of("web", Mode.EXPLICIT, Ports(egress=egress))
    snapshot = translate(resolve(state_from(mesh), view))
    async with AsyncExitStack() as stack:
        for address in (FOUR, SIX):
            await stack.enter_async_context(upstream(address, address, port))
        await stack.enter_async_context(envoy(snapshot, egress, tmp_path))
        found = await ask(egress, f"GET / HTTP/1.1\nHost: shop.local:{port}")

    assert reached in (found.status, found.body)


@pytest.mark.parametrize(
    ("preference", "served"),
    [
        (None, "127.0.0.1"),
        ("IPv4_PREFERRED", "127.0.0.1"),
        ("IPv4_ONLY", "127.0.0.1"),
        ("IPv6_PREFERRED", "::1"),
        ("IPv6_ONLY", "::1"),
    ],
)
async def test_the_workload_itself_is_called_at_the_loopback_address_that_is_preferred(
    tmp_path: Path, preference: str | None, served: str
) -> None:
    (port,) = free_ports(1)
    mesh = {"mesh": of_mesh(preference), "nodes": {"web": {"listen": f"{port}/http"}}}
    proxy = resolve(state_from(mesh), view_of("web"))
    (ingress,) = (each for each in proxy.listeners if each.name.startswith("lds_ingress"))
    host = "0.0.0.0" if preference is None else "::"
    assert {each.host for each in ingress.addresses} == {host}
    # Without a kernel that redirects, the connection is made to the listener's own port; the
    # workload has that port on the loopback addresses, so the proxy gets another address.
    moved = replace(ingress, addresses=(SocketAddress(FOUR, port),), both_families=False)
    others = tuple(each for each in proxy.listeners if each is not ingress)
    assert len(others) == 1
    elsewhere = replace(others[0], addresses=(SocketAddress("127.0.0.1", free_ports(1)[0]),))
    snapshot = translate(replace(proxy, listeners=(moved, replace(elsewhere, both_families=False))))
    async with AsyncExitStack() as stack:
        for address in ("127.0.0.1", "::1"):
            await stack.enter_async_context(upstream(address, address, port))
        ready = elsewhere.addresses[0].port
        await stack.enter_async_context(envoy(snapshot, ready, tmp_path))
        found = await ask(port, "GET / HTTP/1.1\nHost: web", host=FOUR)

    assert (found.status, found.body) == (200, served)
