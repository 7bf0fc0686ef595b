"""Virtual hosts: which names lead to a virtual service, and to what lies outside the mesh."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum

from weft import names
from weft.ir import route as ir
from weft.ir.cluster import Protocol
from weft.ir.value import value
from weft.resolve import routes
from weft.resolve.policies import Outside
from weft.resolve.reading import Reading
from weft.resolve.routes import ServicePort

AMAZONAWS = "*.amazonaws.com"
TCP_ONLY = "this backend speaks TCP: connect to its local port, or ask for a tunnel (CONNECT)\n"
LOOPBACK_REFUSED = (
    "loopback addresses are not reached through the mesh: set no_proxy=127.0.0.1,localhost\n"
)
NO_BACKEND = (
    "no backend of this virtual node has this host and port, and its egress filter is "
    "DROP_ALL: check the name, the port and the node's backends\n"
)
NOT_AT_THIS_PORT = (
    "this virtual service has no listener at this port: look at its router's or node's ports\n"
)

_LOOPBACK = ir.HeaderMatch(
    ":authority", ir.Regex(r"(?i)(localhost\.?|127\.[0-9.]+|\[::1?\])(:[0-9]+)?")
)


@value
class Backend:
    """A virtual service that may be called, at one of its ports."""

    service: str
    port: int
    protocol: Protocol

    def __str__(self) -> str:
        return f"{self.service}:{self.port} ({self.protocol})"


class Naming(Enum):
    """What clients may write as the host of a backend."""

    ONE_PORT = "one port"
    """The connection was made to the backend's port: the name is enough."""
    ANY_PORT = "any port"
    """All ports arrive at one socket: a name without a port means port 80."""
    ANYTHING = "anything"
    """The socket leads to this backend alone."""
    GATEWAY = "gateway"
    """A gateway's own listener has named the service, by ``gateway_host``."""

    def domains(self, backend: Backend) -> tuple[str, ...]:
        named, with_port = backend.service, f"{backend.service}:{backend.port}"
        match self:
            case Naming.ONE_PORT:
                return (named, with_port)
            case Naming.ANY_PORT:
                return (with_port, named) if backend.port == 80 else (with_port,)
            case Naming.ANYTHING:
                return ("*",)
            case Naming.GATEWAY:
                return (named, f"{named}:15001")


@value
class Hosts:
    """A route configuration, and the backends that found all their names taken."""

    configuration: ir.RouteConfiguration
    nameless: tuple[Backend, ...] = ()


def virtual_host(reading: Reading, mesh: str, backend: Backend, naming: Naming) -> ir.VirtualHost:
    """One backend's virtual host, shared by all proxies that may call it."""
    at = ServicePort(backend.port, backend.protocol)
    if backend.protocol.is_http:
        found = reading.part(routes.http_routes, mesh, backend.service, at)
        if naming is Naming.ANY_PORT:
            # gRPC clients make a tunnel of http_proxy: what is in it comes in by the same door.
            inside = ir.Tunnel((ir.Target(names.self_redirect_cluster(mesh)),))
            found = (ir.Route("tunnel", ir.ConnectMatch(), inside), *found)
    else:
        found = _tcp_routes(reading.part(routes.tcp_route, mesh, backend.service, at), backend)
    name = backend.service
    if naming is Naming.ANY_PORT:
        name = f"{backend.service}:{backend.port}"
    return ir.VirtualHost(name, naming.domains(backend), found)


def _tcp_routes(tunnel: ir.Tunnel, backend: Backend) -> tuple[ir.Route, ...]:
    refused = ir.Route("tcp-only", ir.RequestMatch(), ir.Respond(400, TCP_ONLY))
    if not tunnel.targets:
        return (refused,)
    return (ir.Route(backend.service, ir.ConnectMatch(), tunnel, backend.service), refused)


def at_one_port(
    reading: Reading,
    mesh: str,
    backends: tuple[Backend, ...],
    port: int,
    outside: Outside,
    elsewhere: tuple[str, ...] = (),
) -> Hosts:
    """
    Transparent mode: the hosts behind one port, and with ALLOW_ALL any other.

    ``elsewhere``: services whose names lead to virtual addresses, and not at this port.
    There is nowhere to pass such requests on to.
    """
    others = []
    if outside.everything:
        if elsewhere:
            refused = ir.Route("unserved", ir.RequestMatch(), ir.Respond(404, NOT_AT_THIS_PORT))
            domains = [d for name in elsewhere for d in (name, f"{name}:{port}")]
            others.append(ir.VirtualHost("unserved", tuple(domains), (refused,)))
        others.append(_catch_all(_pass_through(names.allow_all_cluster(mesh))))
    return assembled(
        names.egress_route_configuration(port),
        [(each, reading.part(virtual_host, mesh, each, Naming.ONE_PORT)) for each in backends],
        others,
    )


def at_any_port(
    reading: Reading, mesh: str, backends: tuple[Backend, ...], outside: Outside
) -> Hosts:
    """Explicit mode: every host there is, behind the one socket of ``http_proxy``."""
    others = []
    if outside.amazonaws:
        aws = _tunnel_through(names.amazonaws_cluster(mesh))
        others.append(ir.VirtualHost("amazonaws", (f"{AMAZONAWS}:443",), (aws,)))
    if outside.everything:
        cluster = names.allow_all_cluster(mesh)
        catch_all = _catch_all(
            # The forward proxy would call itself, and again, without an end.
            ir.Route("loopback", ir.ConnectMatch((_LOOPBACK,)), ir.Respond(403, LOOPBACK_REFUSED)),
            ir.Route(
                "loopback",
                ir.RequestMatch(headers=(_LOOPBACK,)),
                ir.Respond(403, LOOPBACK_REFUSED),
            ),
            _tunnel_through(cluster),
            _pass_through(cluster),
        )
    else:
        nowhere = ir.Respond(404, NO_BACKEND)
        catch_all = _catch_all(
            ir.Route("no-backend", ir.ConnectMatch(), nowhere),
            ir.Route("no-backend", ir.RequestMatch(), nowhere),
        )
    return assembled(
        names.egress_route_configuration(15001),
        [(each, reading.part(virtual_host, mesh, each, Naming.ANY_PORT)) for each in backends],
        [*others, catch_all],
    )


def at_own_socket(reading: Reading, mesh: str, backend: Backend) -> ir.RouteConfiguration:
    """Explicit mode: one backend behind a socket of its own, whatever clients call it."""
    return ir.RouteConfiguration(
        names.backend_route_configuration(backend.service, backend.port),
        (reading.part(virtual_host, mesh, backend, Naming.ANYTHING),),
    )


def _catch_all(*found: ir.Route) -> ir.VirtualHost:
    return ir.VirtualHost("*", ("*",), found)


def _pass_through(cluster: str) -> ir.Route:
    # Not the mesh's traffic: no retries, and no limit that its owner did not set.
    return ir.Route(
        "mesh-allow-all",
        ir.RequestMatch(),
        ir.Forward((ir.Target(cluster),), timeout=ir.Disabled()),
    )


def _tunnel_through(cluster: str) -> ir.Route:
    return ir.Route("pass-through", ir.ConnectMatch(), ir.Tunnel((ir.Target(cluster),)))


def assembled(
    name: str,
    hosts: Iterable[tuple[Backend | None, ir.VirtualHost]],
    others: Iterable[ir.VirtualHost] = (),
) -> Hosts:
    """
    A route configuration in which every domain leads to one virtual host.

    Hosts are compared without regard to case, and Envoy refuses a whole
    configuration that names one twice. The first keeps it.
    """
    every: list[tuple[Backend | None, ir.VirtualHost]] = [*hosts, *((None, h) for h in others)]
    domains = [domain.lower() for _, host in every for domain in host.domains]
    called = {host.name for _, host in every}
    if len(domains) == len(set(domains)) and len(called) == len(every):
        # As good as always: this is computed for every proxy that a changed route concerns.
        return Hosts(ir.RouteConfiguration(name, tuple([host for _, host in every])))
    taken: set[str] = set()
    made: dict[str, ir.VirtualHost] = {}
    nameless: list[Backend] = []
    for backend, host in every:
        free = tuple(d for d in dict.fromkeys(host.domains) if d.lower() not in taken)
        if free and host.name not in made:
            taken.update(domain.lower() for domain in free)
            made[host.name] = host if free == host.domains else replace(host, domains=free)
        elif backend is not None:
            nameless.append(backend)
    return Hosts(ir.RouteConfiguration(name, tuple(made.values())), tuple(nameless))
