"""Names that lead nowhere, and things that nothing leads to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from ipaddress import ip_address

from weft.checks.finding import Check, Found, Severity
from weft.checks.scope import Mesh
from weft.model.virtual_service import ByVirtualNode, ByVirtualRouter
from weft.names import Kind

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")


def missing_backends(mesh: Mesh) -> Iterator[Found]:
    for call in mesh.calls:
        if not call.by_gateway and call.service not in mesh.services:
            yield Found(call.caller, call.path, f"no virtual service is named {call.service!r}")


def unprovided_services(mesh: Mesh) -> Iterator[Found]:
    for name, spec in mesh.services.items():
        if spec.provider is None:
            calls = len(mesh.calls_of.get(name, ()))
            by = f"; {calls} backend(s) or gateway route(s) name it" if calls else ""
            key = mesh.of(Kind.VIRTUAL_SERVICE, name)
            yield Found(key, "spec.provider", f"{name} has no provider{by}")


def routers_without_routes(mesh: Mesh) -> Iterator[Found]:
    for name, services in mesh.services_of_router.items():
        if name in mesh.routers and not mesh.routes_of[name]:
            key = mesh.of(Kind.VIRTUAL_ROUTER, name)
            yield Found(key, "", f"{', '.join(services)} is answered by it, and it has no route")


def unused_routers(mesh: Mesh) -> Iterator[Found]:
    for name in mesh.routers:
        if name not in mesh.services_of_router:
            key = mesh.of(Kind.VIRTUAL_ROUTER, name)
            yield Found(key, "", f"no virtual service has the router {name} as its provider")


def unused_nodes(mesh: Mesh) -> Iterator[Found]:
    for name, spec in mesh.nodes.items():
        if spec.listeners and name not in mesh.uses_of:
            key = mesh.of(Kind.VIRTUAL_NODE, name)
            yield Found(key, "spec.listeners", f"no route and no virtual service leads to {name}")


def unused_services(mesh: Mesh) -> Iterator[Found]:
    for name in mesh.services:
        if name not in mesh.calls_of and not _has_routes(mesh, name):
            key = mesh.of(Kind.VIRTUAL_SERVICE, name)
            yield Found(key, "", f"{name} is no backend of any virtual node")


def uncallable_routes(mesh: Mesh) -> Iterator[Found]:
    for name, services in mesh.services_of_router.items():
        routes = mesh.routes_of.get(name, ())
        if routes and not any(service in mesh.calls_of for service in services):
            said = f"no virtual node has {' or '.join(services)} among its backends"
            key = mesh.of(Kind.VIRTUAL_ROUTER, name)
            yield Found(key, "", f"{said}, so nobody uses its {len(routes)} route(s)")


def _has_routes(mesh: Mesh, service: str) -> bool:
    provider = mesh.services[service].provider
    return isinstance(provider, ByVirtualRouter) and bool(
        mesh.routes_of.get(provider.virtual_router.virtual_router_name)
    )


def deaf_providers(mesh: Mesh) -> Iterator[Found]:
    for name, spec in mesh.services.items():
        if isinstance(spec.provider, ByVirtualNode):
            node = spec.provider.virtual_node.virtual_node_name
            if node in mesh.nodes and not mesh.nodes[node].listeners:
                key = mesh.of(Kind.VIRTUAL_SERVICE, name)
                yield Found(key, "spec.provider", f"virtual node {node} has no listener")


def repeated_backends(mesh: Mesh) -> Iterator[Found]:
    seen: dict[tuple[object, str], str] = {}
    for call in mesh.calls:
        if call.by_gateway:
            continue
        first = seen.setdefault((call.caller, call.service), call.path)
        if first != call.path:
            yield Found(call.caller, call.path, f"{call.service} is named at {first} already")


def names_alike(mesh: Mesh) -> Iterator[Found]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in mesh.services:
        found[name.rstrip(".").lower()].append(name)
    for names in found.values():
        for other in names[1:]:
            key = mesh.of(Kind.VIRTUAL_SERVICE, other)
            yield Found(key, "", f"{other} and {names[0]} are the same host name")


def unsayable_names(mesh: Mesh) -> Iterator[Found]:
    for name in mesh.services:
        if not _HOST_NAME.fullmatch(name) and not _is_address(name):
            key = mesh.of(Kind.VIRTUAL_SERVICE, name)
            yield Found(key, "", f"{name!r} is no host name")


def loopback_names(mesh: Mesh) -> Iterator[Found]:
    for name in mesh.services:
        plain = name.rstrip(".").lower()
        if plain == "localhost" or plain.endswith(".localhost") or _is_address(name):
            key = mesh.of(Kind.VIRTUAL_SERVICE, name)
            yield Found(key, "", f"{name} is an address, or this machine, to every client")


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


CHECKS = (
    Check(
        "WEFT-101",
        "A backend does not exist",
        Severity.ERROR,
        "A virtual node may call only its backends; App Mesh lets it name one that is not there, "
        "and requests to it are then refused like those to any unknown host.",
        "Create the virtual service, or correct the name in the backends.",
        missing_backends,
    ),
    Check(
        "WEFT-102",
        "A virtual service has no provider",
        Severity.ERROR,
        "Nobody answers for it: its clients get no listener and no route.",
        "Give it a virtual node or a virtual router as its provider, or delete it.",
        unprovided_services,
    ),
    Check(
        "WEFT-103",
        "A virtual router in use has no routes",
        Severity.ERROR,
        "Every request to the services it answers for ends with 404, every connection is closed.",
        "Create a route in it; a prefix of / takes everything.",
        routers_without_routes,
    ),
    Check(
        "WEFT-104",
        "A virtual router is used by no virtual service",
        Severity.INFO,
        "Clients call virtual services, so its routes never see a request.",
        "Make it the provider of a virtual service, or delete it.",
        unused_routers,
    ),
    Check(
        "WEFT-105",
        "Nothing in the mesh leads to a virtual node",
        Severity.INFO,
        "It has a listener, yet only clients outside the mesh can reach it, by its address.",
        "Make it the target of a route or the provider of a virtual service, if the mesh should "
        "call it.",
        unused_nodes,
    ),
    Check(
        "WEFT-106",
        "Nobody may call a virtual service",
        Severity.INFO,
        "A workload reaches a virtual service only if its virtual node has it among its backends; "
        "from outside, a gateway route has to lead to it.",
        "Add it to the backends of the virtual nodes that call it.",
        unused_services,
    ),
    Check(
        "WEFT-107",
        "The provider of a virtual service has no listener",
        Severity.ERROR,
        "There is no port at which the service could be called.",
        "Add a listener to the virtual node.",
        deaf_providers,
    ),
    Check(
        "WEFT-108",
        "A backend is named twice",
        Severity.WARNING,
        "Only the first entry counts; the client policy of the second is not looked at.",
        "Remove one of them.",
        repeated_backends,
    ),
    Check(
        "WEFT-109",
        "Two virtual services have the same host name",
        Severity.WARNING,
        "Host names are compared without regard to case: for a virtual node that has both as "
        "backends on one port, only the first can be reached.",
        "Delete or rename one of them.",
        names_alike,
    ),
    Check(
        "WEFT-110",
        "The name of a virtual service is no host name",
        Severity.WARNING,
        "Clients call a virtual service by its name; DNS and most HTTP clients refuse names with "
        "other characters than letters, digits, hyphens and dots, and a port is no part of it.",
        "Name it as clients write it in a URL, without scheme and port.",
        unsayable_names,
    ),
    Check(
        "WEFT-111",
        "The name of a virtual service is an address or localhost",
        Severity.WARNING,
        "Clients do not send such requests through the proxy: no_proxy usually excludes localhost, "
        "and interception passes loopback by.",
        "Name it with a host name of its own, such as service.local.",
        loopback_names,
    ),
    Check(
        "WEFT-112",
        "Routes without a caller",
        Severity.WARNING,
        "Routes act in the proxies of callers, and a caller's proxy knows only its backends: as "
        "long as no virtual node names the service there, these routes are nowhere in force.",
        "Add the virtual service to the backends of the virtual nodes that call it.",
        uncallable_routes,
    ),
)
