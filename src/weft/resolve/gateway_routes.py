"""
Gateway routes: which requests from outside they take, what they change, where they lead.

A request passes a gateway's proxy twice, as in App Mesh. Its listener only finds the
virtual service and rewrites; then the request goes round to the proxy's own egress, which
does with it what a virtual node's does: ``gateway_hosts``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from weft import names
from weft.ir import route as ir
from weft.ir.proxy import Note
from weft.ir.value import value
from weft.model.listener import GatewayListener
from weft.model.meta import Resource
from weft.model.virtual_gateway import (
    DefaultPrefix,
    GatewayRouteSpec,
    GrpcGatewayMatch,
    HostExact,
    HostSuffix,
    HttpGatewayAction,
    PrefixValue,
    VirtualGatewaySpec,
)
from weft.names import Key, Kind
from weft.resolve import routes, specs
from weft.resolve.hosts import Backend
from weft.resolve.limits import sayable
from weft.resolve.reading import Reading
from weft.resolve.routes import ServicePort
from weft.resolve.timeouts import IDLE

_LAST = 1001
"""After every priority that can be given."""


@value
class Destination:
    """Where a gateway route leads."""

    service: str
    backend: Backend | None = None
    """None: the service answers nowhere (yet)."""
    host: str = ""
    """Under which the egress knows it."""
    lacks: str = ""
    """What is wrong with it, in words."""


def routes_of(reading: Reading, gateway: Key) -> tuple[Resource, ...]:
    """All routes of a gateway, in the order in which they are tried."""
    return tuple(sorted(reading.children(gateway, Kind.GATEWAY_ROUTE), key=precedence))


def routes_at(reading: Reading, gateway: Key, listener: GatewayListener) -> tuple[Resource, ...]:
    """Those that take requests at one listener."""
    port = listener.port_mapping.port
    return tuple(
        each
        for each in routes_of(reading, gateway)
        if spec_of(each).route.match.port in (None, port)
    )


def spec_of(route: Resource) -> GatewayRouteSpec:
    assert isinstance(route.spec, GatewayRouteSpec)
    return route.spec


def precedence(route: Resource) -> tuple[int, int, int, int, int, int, str]:
    """
    Sort key: the operator's priority, then the most specific match (decision 0024).

    The host comes first: an exact one, then the longest end of one, then any. After it
    the path and the number of conditions, as with a virtual router's routes; and the
    name, or one mesh could make two snapshots.
    """
    spec = spec_of(route)
    host = _host_rank(spec.route.match.hostname)
    match = match_of(spec, with_host=False)
    rank, length = routes.path_rank(match.path)
    conditions = len(match.headers) + len(match.query)
    priority = _LAST if spec.priority is None else spec.priority
    return (priority, *host, rank, -length, -conditions, route.key.name)


def _host_rank(given: HostExact | HostSuffix | None) -> tuple[int, int]:
    match given:
        case HostExact():
            return 0, 0
        case HostSuffix(suffix=end):
            return 1, -len(end)
        case None:
            return 2, 0


def match_of(spec: GatewayRouteSpec, *, with_host: bool = True) -> ir.RequestMatch:
    """What a gateway route asks of a request at its listener."""
    given = spec.route.match
    if isinstance(given, GrpcGatewayMatch):
        found = routes.grpc_match(given.service_name, None, given.metadata)
    else:
        found = routes.http_match(given)
    if with_host and given.hostname is not None:
        found = replace(found, headers=(_authority(given.hostname), *found.headers))
    return found


def _authority(given: HostExact | HostSuffix) -> ir.HeaderMatch:
    """Whatever its case, and with a port or without: clients say it at all but their scheme's own."""
    if isinstance(given, HostExact):
        pattern = re.escape(given.exact)
    else:
        pattern = f".*{re.escape(given.suffix)}"
    return ir.HeaderMatch(":authority", ir.Regex(f"(?i){pattern}(:[0-9]+)?"))


# --- Where they lead --------------------------------------------------------------------------


def destination(reading: Reading, mesh: str, name: str, port: int | None) -> Destination:
    """The virtual service that a gateway route means, and at which of its ports."""
    found = reading.part(routes.service, mesh, name)
    if not sayable(name):
        return Destination(name, lacks=f"{name!r} cannot be a host name")
    at = next((each for each in found.ports if port in (None, each.port)), None)
    if at is None:
        lacks = found.lacks or f"{name} does not answer at port {port}"
        return Destination(name, host=name, lacks=lacks)
    # Of several ports one must be told from another on the way to the egress.
    host = name if len(found.ports) == 1 else f"{name}:{at.port}"
    if not at.protocol.is_http:
        lacks = f"{name} speaks TCP at port {at.port}: a gateway leads to HTTP and gRPC alone"
        return Destination(name, host=host, lacks=lacks)
    return Destination(name, Backend(name, at.port, at.protocol), host)


def destination_of(reading: Reading, route: Resource) -> Destination:
    target = spec_of(route).route.action.target
    service = target.virtual_service.virtual_service_name
    return reading.part(destination, route.key.mesh, service, target.port)


def keeps_host(spec: GatewayRouteSpec) -> bool:
    """Whether the host stays as the client sent it, instead of becoming the service's name."""
    rewrite = spec.route.action.rewrite
    hostname = rewrite.hostname if rewrite else None
    return hostname is not None and hostname.default_target_hostname == "DISABLED"


@value
class Limits:
    """The longest that a virtual service's own routes allow, which a gateway must not cut short."""

    request: ir.Timeout
    idle: ir.Timeout


def limits(reading: Reading, mesh: str, backend: Backend) -> Limits:
    """Of the routes at one port; without any, the proxy's own defaults."""
    at = ServicePort(backend.port, backend.protocol)
    found = [
        route.action
        for route in reading.part(routes.http_routes, mesh, backend.service, at)
        if isinstance(route.action, ir.Forward)
    ]
    idle = _longest(each.idle_timeout for each in found)
    if isinstance(idle, ir.After) and idle.limit <= IDLE.limit:
        idle = ir.Default()
    return Limits(_longest(each.timeout for each in found), idle)


def _longest(given: Iterable[ir.Timeout]) -> ir.Timeout:
    found = list(given)
    if any(isinstance(each, ir.Disabled) for each in found):
        return ir.Disabled()
    lengths = [each.limit for each in found if isinstance(each, ir.After)]
    return ir.After(max(lengths)) if lengths else ir.Default()


# --- What the listener does -------------------------------------------------------------------


@value
class Offered:
    """The routes at one listener, and what cannot be served."""

    configuration: ir.RouteConfiguration
    notes: tuple[Note, ...] = ()


def at_listener(reading: Reading, mesh: str, gateway: str, port: int) -> Offered:
    """What one listener of a gateway does with requests, first match first."""
    key = Key(mesh, Kind.VIRTUAL_GATEWAY, gateway)
    spec = specs.virtual_gateway(reading, mesh, gateway)
    listener = listener_at(spec, port)
    assert spec is not None
    assert listener is not None, "its gateway was just read"
    cluster = redirect_cluster(mesh, gateway, spec, listener)
    found: list[ir.Route] = []
    notes: list[Note] = []
    every = routes_of(reading, key)
    # Nobody from outside may say it in our place.
    header_counts = any(keeps_host(spec_of(each)) for each in every)
    for route in routes_at(reading, key, listener):
        to = destination_of(reading, route)
        place = f"{route.key} spec.{spec_of(route).member}.action"
        if to.lacks:
            notes.append(Note(f"{place}.target", to.lacks))
        if not to.host:
            continue
        if not sayable(rewritten_path(spec_of(route)) or "/"):
            notes.append(Note(f"{place}.rewrite", "the path cannot be said in a request"))
            continue
        allowed = reading.part(limits, mesh, to.backend) if to.backend else None
        found += _passed_on(route, to, cluster, allowed, header_counts=header_counts)
    host = ir.VirtualHost("self_redirect", ("*",), tuple(found))
    name = names.ingress_route_configuration(port)
    return Offered(ir.RouteConfiguration(name, (host,)), tuple(notes))


def listener_at(spec: VirtualGatewaySpec | None, port: int) -> GatewayListener | None:
    listeners = spec.listeners if spec else ()
    return next((each for each in listeners if each.port_mapping.port == port), None)


def redirect_cluster(
    mesh: str, gateway: str, spec: VirtualGatewaySpec, listener: GatewayListener
) -> str:
    mapping = listener.port_mapping
    port = mapping.port if len(spec.listeners) > 1 else None
    return names.gateway_redirect_cluster(mesh, gateway, mapping.protocol, port)


def _passed_on(
    route: Resource, to: Destination, cluster: str, allowed: Limits | None, *, header_counts: bool
) -> Iterator[ir.Route]:
    spec = spec_of(route)
    kept = keeps_host(spec)
    forward = ir.Forward(
        (ir.Target(cluster),),
        allowed.request if allowed else ir.Default(),
        allowed.idle if allowed else ir.Default(),
        rewrite=ir.Rewrite("" if kept else to.host, rewritten_path(spec) or ""),
    )
    made = ir.Route(
        route.key.name,
        match_of(spec),
        forward,
        set_headers=((names.VIRTUAL_SERVICE_HEADER, to.host),) if kept else (),
        removed_headers=(names.VIRTUAL_SERVICE_HEADER,) if header_counts and not kept else (),
    )
    match made.match:
        case ir.RequestMatch(path=ir.Prefix(prefix)) as match if (
            forward.rewrite.path and not prefix.endswith("/")
        ):
            # Else "/p/x" would arrive as "//x", which no route of the service expects.
            yield replace(made, match=replace(match, path=ir.Prefix(f"{prefix}/")))
        case _:
            pass
    yield made


def rewritten_path(spec: GatewayRouteSpec) -> str | None:
    """
    What takes the place of the matched prefix, or of the whole path; None: it stays.

    A prefix becomes ``/`` unless something else was asked for, also where only the
    host's rewrite was mentioned; other paths stay (user guide, "gateway routes").
    """
    action = spec.route.action
    if not isinstance(action, HttpGatewayAction):
        return None
    rewrite = action.rewrite
    if rewrite is not None and rewrite.path is not None and rewrite.path.exact is not None:
        return rewrite.path.exact
    match rewrite.prefix if rewrite else None:
        case PrefixValue(value=prefix):
            return prefix
        case DefaultPrefix(default_prefix="DISABLED"):
            return None
        case _:
            pass
    given = match_of(spec, with_host=False).path
    return "/" if isinstance(given, ir.Prefix) and given.text != "/" else None
