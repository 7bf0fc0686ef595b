"""What a gateway's own egress does with the requests that its listeners pass on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from weft import names
from weft.ir import route as ir
from weft.ir.value import value
from weft.names import Key, Kind
from weft.resolve import hosts
from weft.resolve.gateway_routes import Destination, destination_of, keeps_host, routes_of, spec_of
from weft.resolve.hosts import Hosts, Naming
from weft.resolve.reading import Reading
from weft.resolve.sockets import EGRESS


@value
class Destinations:
    """All that the routes of one gateway lead to, each once."""

    found: tuple[Destination, ...] = ()
    by_header: tuple[Destination, ...] = ()
    """Those that a request may also be for whose host says something else."""

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(sorted({each.service for each in self.found}))


def destinations(reading: Reading, gateway: Key) -> Destinations:
    """Where a gateway's routes lead, whichever listener they are of."""
    found: dict[Destination, None] = {}
    by_header: dict[Destination, None] = {}
    for route in routes_of(reading, gateway):
        to = destination_of(reading, route)
        if not to.host:
            continue
        found[to] = None
        if keeps_host(spec_of(route)):
            by_header[to] = None
    return Destinations(_by_host(found), _by_host(by_header))


def _by_host(found: Iterable[Destination]) -> tuple[Destination, ...]:
    return tuple(sorted(found, key=lambda each: each.host))


def at_egress(reading: Reading, mesh: str, gateway: str) -> Hosts:
    """
    A virtual host for each service, shared with the other gateways that lead to it.

    Requests that kept their host are told by a header. They come first in every virtual
    host: the host that a client wrote may be the name of another service.
    """
    key = Key(mesh, Kind.VIRTUAL_GATEWAY, gateway)
    led_to = reading.part(destinations, key)
    told = tuple(
        route for each in led_to.by_header for route in reading.part(told_by_header, mesh, each)
    )
    made = [(each.backend, reading.part(virtual_host, mesh, each)) for each in led_to.found]
    if told:
        made = [(who, replace(host, routes=(*told, *host.routes))) for who, host in made]
        made.append((None, ir.VirtualHost("default_backend", ("*",), told)))
    return hosts.assembled(names.egress_route_configuration(EGRESS), made)


def virtual_host(reading: Reading, mesh: str, to: Destination) -> ir.VirtualHost:
    """One service at one port, under the host that the gateway's listeners give it."""
    if to.backend is None:
        return ir.VirtualHost(to.service, (to.host, f"{to.service}:{EGRESS}"), ())
    host = reading.part(hosts.virtual_host, mesh, to.backend, Naming.GATEWAY)
    if to.host == to.service:
        return host
    renamed = tuple(_with_host(each, to.service) for each in host.routes)
    return ir.VirtualHost(to.host, (to.host,), renamed)


def told_by_header(reading: Reading, mesh: str, to: Destination) -> tuple[ir.Route, ...]:
    """The same routes for requests that kept their host, and 404 for what none of them takes."""
    named = ir.HeaderMatch(names.VIRTUAL_SERVICE_HEADER, ir.Exact(to.host))
    found: tuple[ir.Route, ...] = ()
    if to.backend is not None:
        found = reading.part(hosts.virtual_host, mesh, to.backend, Naming.GATEWAY).routes
    rest = ir.Route("no-route", ir.RequestMatch(), ir.Respond(404, ""))
    return tuple(
        replace(
            each,
            match=replace(each.match, headers=(named, *each.match.headers)),
            kept_from_client=(names.VIRTUAL_SERVICE_HEADER,),
        )
        for each in (*found, rest)
    )


def _with_host(route: ir.Route, service: str) -> ir.Route:
    """The port was for us; workloads see the service's name, as with any other service."""
    if not isinstance(route.action, ir.Forward):
        return route
    return replace(route, action=replace(route.action, rewrite=ir.Rewrite(service)))
