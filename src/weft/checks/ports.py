"""Ports and protocols that do not go together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from weft.checks.finding import Check, Found, Severity
from weft.checks.scope import Mesh
from weft.ir.cluster import Protocol
from weft.model.virtual_gateway import GatewayRouteSpec
from weft.model.virtual_node import ByDns
from weft.names import Key, Kind
from weft.resolve.outbound import service_name

RESERVED = {15000: "the proxy's ingress", 15001: "the proxy's egress", 9901: "Envoy's admin page"}


def tcp_backends_on_one_port(mesh: Mesh) -> Iterator[Found]:
    for key, port, holders in mesh.once(_shared_ports):
        tcp = [service for service, protocol in holders if not protocol.is_http]
        if len(tcp) > 1 and len(tcp) == len(holders):
            yield Found(
                key,
                "spec.backends",
                f"{', '.join(tcp)} all speak TCP on port {port}; without mesh DNS only {tcp[0]} "
                "is reached",
            )


def families_on_one_port(mesh: Mesh) -> Iterator[Found]:
    for key, port, holders in mesh.once(_shared_ports):
        tcp = [service for service, protocol in holders if not protocol.is_http]
        http = [service for service, protocol in holders if protocol.is_http]
        if tcp and http:
            yield Found(
                key,
                "spec.backends",
                f"on port {port}, {', '.join(http)} speaks HTTP and {', '.join(tcp)} TCP; "
                f"without mesh DNS {holders[0][0]} keeps the port",
            )


def _shared_ports(mesh: Mesh) -> Iterator[tuple[Key, int, tuple[tuple[str, Protocol], ...]]]:
    """Ports that several backends of one virtual node want, by the backends' names."""
    for name, spec in mesh.nodes.items():
        if len(spec.backends or ()) < 2:
            continue
        services = {
            service_name(b.virtual_service.virtual_service_name) for b in spec.backends or ()
        }
        by_port: dict[int, list[tuple[str, Protocol]]] = defaultdict(list)
        for service in sorted(services):
            for at in mesh.ports(service):
                by_port[at.port].append((service, at.protocol))
        for port, holders in by_port.items():
            if len(holders) > 1:
                yield mesh.of(Kind.VIRTUAL_NODE, name), port, tuple(holders)


def listeners_without_route(mesh: Mesh) -> Iterator[Found]:
    for name, router in mesh.routers.items():
        routes = [route.spec for route in mesh.routes_of[name]]
        matched = {route.match_port for route in routes}  # type: ignore[union-attr]  # all are routes
        if not routes or None in matched:
            continue
        for i, listener in enumerate(router.listeners or ()):
            port = listener.port_mapping.port
            if port not in matched:
                key = mesh.of(Kind.VIRTUAL_ROUTER, name)
                yield Found(key, f"spec.listeners[{i}]", f"no route of it matches port {port}")


def gateway_listeners_without_route(mesh: Mesh) -> Iterator[Found]:
    for name, gateway in mesh.gateways.items():
        found = mesh.gateway_routes_of[name]
        specs = [each.spec for each in found if isinstance(each.spec, GatewayRouteSpec)]
        matched = {spec.route.match.port for spec in specs}
        if not specs or None in matched:
            continue
        for i, listener in enumerate(gateway.listeners):
            port = listener.port_mapping.port
            if port not in matched:
                key = mesh.of(Kind.VIRTUAL_GATEWAY, name)
                yield Found(
                    key, f"spec.listeners[{i}]", f"no gateway route of it matches port {port}"
                )


def ports_of_nodes_under_the_services_name(mesh: Mesh) -> Iterator[Found]:
    for name, services in mesh.services_of_router.items():
        for service in services:
            ports = {at.port for at in mesh.ports(service)}
            for target in mesh.targets(service):
                found = mesh.nodes[target.node].service_discovery
                if not isinstance(found, ByDns) or not ports or target.port in ports:
                    continue
                if found.dns.hostname.lower() == service.lower():
                    yield Found(
                        mesh.of(Kind.VIRTUAL_ROUTER, name),
                        "spec.listeners",
                        f"{service} is called at {', '.join(map(str, sorted(ports)))}; at "
                        f"{target.port}, where {target.node} listens under the same name, no "
                        "route serves it",
                    )


def portless_routers(mesh: Mesh) -> Iterator[Found]:
    for name, spec in mesh.routers.items():
        if not spec.listeners and name in mesh.services_of_router:
            service = mesh.services_of_router[name][0]
            ports = ", ".join(str(at.port) for at in mesh.ports(service)) or "none"
            key = mesh.of(Kind.VIRTUAL_ROUTER, name)
            yield Found(
                key, "spec.listeners", f"it has none; clients call at its targets': {ports}"
            )


def protocols_of_gateway_routes(mesh: Mesh) -> Iterator[Found]:
    for key, spec in mesh.all_gateway_routes():
        target = spec.route.action.target
        name = service_name(target.virtual_service.virtual_service_name)
        for at in mesh.ports(name):
            if target.port in (None, at.port) and at.protocol.value != spec.protocol:
                yield Found(
                    key,
                    f"spec.{spec.member}",
                    f"{name} speaks {at.protocol} at port {at.port}, not {spec.protocol}",
                )


def reserved_ports(mesh: Mesh) -> Iterator[Found]:
    for key, i, listener in mesh.listeners:
        yield from _reserved(key, i, listener.port_mapping.port)
    for name, router in mesh.routers.items():
        for i, each in enumerate(router.listeners or ()):
            yield from _reserved(mesh.of(Kind.VIRTUAL_ROUTER, name), i, each.port_mapping.port)
    for name, gateway in mesh.gateways.items():
        for i, its in enumerate(gateway.listeners):
            yield from _reserved(mesh.of(Kind.VIRTUAL_GATEWAY, name), i, its.port_mapping.port)


def _reserved(key: Key, i: int, port: int) -> Iterator[Found]:
    if port in RESERVED:
        yield Found(
            key, f"spec.listeners[{i}].portMapping.port", f"port {port} is {RESERVED[port]}"
        )


def idle_listeners(mesh: Mesh) -> Iterator[Found]:
    for key, i, listener in mesh.listeners:
        uses = mesh.uses_of.get(key.name, ())
        node = mesh.nodes[key.name]
        # A virtual service leads to every listener of its node; a route to the one it names.
        if not uses or len(node.listeners or ()) < 2 or any(use.route is None for use in uses):
            continue
        port = listener.port_mapping.port
        if all(use.port != port for use in uses):
            yield Found(key, f"spec.listeners[{i}]", f"no route leads to port {port}")


def https_as_http(mesh: Mesh) -> Iterator[Found]:
    for key, i, listener in mesh.listeners:
        mapping = listener.port_mapping
        served = listener.tls is not None and listener.tls.mode != "DISABLED"
        if mapping.port in (443, 8443) and mapping.protocol != "tcp" and not served:
            yield Found(
                key,
                f"spec.listeners[{i}].portMapping.protocol",
                f"port {mapping.port} is said to speak {mapping.protocol} without TLS",
            )


CHECKS = (
    Check(
        "WEFT-201",
        "Two TCP backends want one port",
        Severity.WARNING,
        "A TCP connection says only to which port it was made. In transparent mode each is reached "
        "where mesh DNS gives it an address of its own, in explicit mode at a socket of its own; "
        "elsewhere connections meant for the others arrive at the first (by name).",
        "Switch mesh DNS on (weft sidecar --dns), or give each TCP service a port of its own: the "
        "router's listener, or the node's.",
        tcp_backends_on_one_port,
    ),
    Check(
        "WEFT-202",
        "HTTP and TCP backends share a port",
        Severity.WARNING,
        "Connections to a port are either read as HTTP or passed on as they are. In transparent "
        "mode the address decides where mesh DNS gives each service its own; elsewhere the first "
        "backend (by name) does, and the others cannot be reached.",
        "Switch mesh DNS on (weft sidecar --dns), or give the TCP service a port of its own.",
        families_on_one_port,
    ),
    Check(
        "WEFT-203",
        "No route leads on from a router's listener",
        Severity.ERROR,
        "Every route of the router matches another port, so requests at this one end with 404.",
        "Add a route whose match has this port, or remove the listener.",
        listeners_without_route,
    ),
    Check(
        "WEFT-204",
        "A virtual router has no listener",
        Severity.WARNING,
        "The ports and the protocol of its services are then those of whatever its routes lead to, "
        "and change with them.",
        "Give the router a listener with the port that clients call.",
        portless_routers,
    ),
    Check(
        "WEFT-205",
        "A gateway route's protocol is not its virtual service's",
        Severity.WARNING,
        "The gateway matches requests of one protocol and sends them to a service whose routes are "
        "for another: they match none of them.",
        "Use the route type of the service's protocol: grpcRoute, http2Route or httpRoute.",
        protocols_of_gateway_routes,
    ),
    Check(
        "WEFT-206",
        "A listener has a port of the proxy",
        Severity.ERROR,
        "The proxy itself listens at 15000, 15001 and 9901; a workload at one of them is either "
        "not reached or cannot start.",
        "Choose another port.",
        reserved_ports,
    ),
    Check(
        "WEFT-207",
        "No route leads to a listener",
        Severity.INFO,
        "The virtual node is a target of routes, but of none at this port.",
        "Name the port in a route's weighted target, or remove the listener.",
        idle_listeners,
    ),
    Check(
        "WEFT-208",
        "The HTTPS port is said to speak HTTP",
        Severity.WARNING,
        "Where the workload itself speaks TLS, the proxy cannot read it as HTTP: every request "
        "fails with a protocol error.",
        "Declare the listener (and its routes) as tcp, or let the proxy end TLS.",
        https_as_http,
    ),
    Check(
        "WEFT-209",
        "No gateway route leads on from a gateway's listener",
        Severity.ERROR,
        "Every route of the gateway matches another port, so requests at this one end with 404.",
        "Add a gateway route whose match has this port, or remove the listener.",
        gateway_listeners_without_route,
    ),
    Check(
        "WEFT-210",
        "A service has another port than the node of the same name",
        Severity.INFO,
        "Clients call a service at the ports of its router. Called at the node's port by the same "
        "host name, no route serves them: connections are closed, or with ALLOW_ALL and without "
        "mesh DNS pass the mesh by.",
        "Call the service at the router's port, or give the router's listener the node's port.",
        ports_of_nodes_under_the_services_name,
    ),
)
