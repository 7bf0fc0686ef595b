"""A virtual service as its clients see it: its ports, and the routes at each of them."""

from __future__ import annotations

from collections.abc import Iterable

from weft.ir import route as ir
from weft.ir.cluster import Protocol
from weft.ir.value import value
from weft.model import virtual_router as model
from weft.model.listener import HttpTimeout
from weft.model.meta import Resource
from weft.model.virtual_router import GrpcRoute, HttpRoute, RouteSpec, TcpRoute
from weft.model.virtual_service import ByVirtualNode, ByVirtualRouter
from weft.names import Key, Kind
from weft.resolve import policies, rerouting, retries, specs
from weft.resolve.clusters import Target, target
from weft.resolve.reading import Reading
from weft.resolve.timeouts import PER_REQUEST, timeout

NO_TARGET_LEFT = "none of this route's targets exists\n"


@value
class ServicePort:
    """A port at which clients call a virtual service, and what they speak there."""

    port: int
    protocol: Protocol


@value
class Service:
    """What clients of a virtual service can call; without ports, ``lacks`` says why."""

    ports: tuple[ServicePort, ...] = ()
    lacks: str = ""


def service(reading: Reading, mesh: str, name: str) -> Service:
    """The ports of a virtual service: its router's listeners, or its node's."""
    if reading.resource(Key(mesh, Kind.VIRTUAL_SERVICE, name)) is None:
        return Service(lacks=f"no virtual service is named {name!r} yet")
    spec = specs.virtual_service(reading, mesh, name)
    found: set[tuple[int, str]] = set()
    what = ""
    match spec.provider if spec else None:
        case ByVirtualNode(virtual_node=provider):
            what = f"virtual node {provider.virtual_node_name!r}"
            node = specs.virtual_node(reading, mesh, provider.virtual_node_name)
            if node is None:
                return Service(lacks=f"its provider, {what}, does not exist")
            found = {(p.port_mapping.port, p.port_mapping.protocol) for p in node.listeners or ()}
        case ByVirtualRouter(virtual_router=provider_router):
            what = f"virtual router {provider_router.virtual_router_name!r}"
            router = specs.virtual_router(reading, mesh, provider_router.virtual_router_name)
            if router is None:
                return Service(lacks=f"its provider, {what}, does not exist")
            found = {(p.port_mapping.port, p.port_mapping.protocol) for p in router.listeners or ()}
            if not router.listeners:
                found = _ports_of_targets(
                    reading, Key(mesh, Kind.VIRTUAL_ROUTER, provider_router.virtual_router_name)
                )
        case None:
            return Service(lacks=f"virtual service {name!r} has no provider: nobody answers for it")
    if not found:
        return Service(lacks=f"its provider, {what}, has no listener")
    return Service(tuple(ServicePort(port, Protocol(spoken)) for port, spoken in sorted(found)))


def _ports_of_targets(reading: Reading, router: Key) -> set[tuple[int, str]]:
    """A router without listeners is called at its targets' ports, as in the first App Mesh."""
    found: dict[int, str] = {}
    for route in _in_order(reading.children(router, Kind.ROUTE)):
        for each in _targets(reading, router.mesh, _spec(route)):
            found.setdefault(each.port, _spec(route).protocol)
    return set(found.items())


def targets(reading: Reading, mesh: str, name: str) -> tuple[Target, ...]:
    """All that a virtual service may lead to, at any port and by any route."""
    spec = specs.virtual_service(reading, mesh, name)
    found: set[Target | None] = set()
    match spec.provider if spec else None:
        case ByVirtualNode(virtual_node=provider):
            node = provider.virtual_node_name
            ports = [p.port for p in reading.part(service, mesh, name).ports]
            found = {target(reading, mesh, node, port) for port in ports}
        case ByVirtualRouter(virtual_router=provider_router):
            router = Key(mesh, Kind.VIRTUAL_ROUTER, provider_router.virtual_router_name)
            found = {
                each
                for route in reading.children(router, Kind.ROUTE)
                for each in _targets(reading, mesh, _spec(route))
            }
        case None:
            pass
    return tuple(sorted((each for each in found if each), key=lambda each: each.cluster))


def routes_at(reading: Reading, mesh: str, name: str, at: ServicePort) -> tuple[Resource, ...]:
    """The routes a router applies at one of its ports, in the order they are tried."""
    spec = specs.virtual_service(reading, mesh, name)
    if spec is None or not isinstance(spec.provider, ByVirtualRouter):
        return ()
    router = Key(mesh, Kind.VIRTUAL_ROUTER, spec.provider.virtual_router.virtual_router_name)
    return tuple(
        route
        for route in _in_order(reading.children(router, Kind.ROUTE))
        if _spec(route).match_port in (None, at.port)
        and (_spec(route).protocol != "tcp") is at.protocol.is_http
    )


def provider_node(reading: Reading, mesh: str, name: str) -> str | None:
    """The virtual node that answers for a service by itself, without a router."""
    spec = specs.virtual_service(reading, mesh, name)
    if spec and isinstance(spec.provider, ByVirtualNode):
        return spec.provider.virtual_node.virtual_node_name
    return None


def http_routes(reading: Reading, mesh: str, name: str, at: ServicePort) -> tuple[ir.Route, ...]:
    """What is done with requests to a virtual service at one port, first match first."""
    if node := provider_node(reading, mesh, name):
        found = target(reading, mesh, node, at.port)
        given = policies.virtual_service(reading, mesh, name)
        limits = given.timeout or HttpTimeout()
        forward = ir.Forward(
            (ir.Target(found.cluster),) if found else (),
            timeout(limits.per_request, PER_REQUEST),
            timeout(limits.idle),
            retries.policy(given.retry_policy),
        )
        return (ir.Route(node, ir.RequestMatch(), _or_respond(forward), name),)
    return tuple(
        reading.part(http_route, route.key, name) for route in routes_at(reading, mesh, name, at)
    )


def http_route(reading: Reading, key: Key, service: str) -> ir.Route:
    """One route of a virtual router, on behalf of one virtual service."""
    resource = reading.resource(key)
    assert resource is not None, "its router's children were just read"
    spec = _spec(resource)
    route = spec.route
    assert not isinstance(route, TcpRoute)
    split = reading.part(rerouting.split, key)
    retry = retries.policy(route.retry_policy)
    forward = ir.Forward(
        split.targets,
        timeout(route.timeout.per_request if route.timeout else None, PER_REQUEST),
        timeout(route.timeout.idle if route.timeout else None),
        retries.elsewhere(retry) if split.reroutes else retry,
    )
    return ir.Route(key.name, match_of(route), _or_respond(forward), service)


def _or_respond(forward: ir.Forward) -> ir.Forward | ir.Respond:
    # Envoy refuses a split whose weights add up to nothing.
    if any(each.weight for each in forward.targets):
        return forward
    return ir.Respond(503, NO_TARGET_LEFT)


def tcp_route(reading: Reading, mesh: str, name: str, at: ServicePort) -> ir.Tunnel:
    """Where connections to a virtual service at one port go; without targets, nowhere."""
    if node := provider_node(reading, mesh, name):
        found = target(reading, mesh, node, at.port)
        limits = policies.virtual_service(reading, mesh, name).timeout
        idle = timeout(limits.idle if limits else None)
        return ir.Tunnel((ir.Target(found.cluster),) if found else (), idle)
    for route in routes_at(reading, mesh, name, at):
        spec = _spec(route)
        assert isinstance(spec.route, TcpRoute)
        given = spec.route.timeout
        split = reading.part(rerouting.split, route.key)
        return ir.Tunnel(split.targets, timeout(given.idle if given else None))
    return ir.Tunnel(())


def _targets(reading: Reading, mesh: str, spec: RouteSpec) -> Iterable[Target]:
    for given in spec.targets:
        if found := target(reading, mesh, given.virtual_node, given.port):
            yield found


# --- Order and matches ------------------------------------------------------------------------


def _spec(resource: Resource) -> RouteSpec:
    assert isinstance(resource.spec, RouteSpec)
    return resource.spec


def _in_order(routes: Iterable[Resource]) -> list[Resource]:
    return sorted(routes, key=precedence)


def precedence(route: Resource) -> tuple[int, int, int, int, str]:
    """
    Sort key: the operator's priority, then the most specific match.

    Envoy takes the first route that matches, so the order is the behaviour. 0 is
    the first priority, and a route without one comes after all that have one.
    Then: an exact path, the longest prefix, a regular expression; "/" matches all
    and comes after these, or they could never be reached; more conditions before
    fewer; and the name, or one mesh could make two snapshots.
    """
    spec = _spec(route)
    last = 1001
    priority = last if spec.priority is None else spec.priority
    if isinstance(spec.route, TcpRoute):
        return (priority, 0, 0, 0, route.key.name)
    match = match_of(spec.route)
    rank, length = path_rank(match.path)
    conditions = len(match.headers) + len(match.query)
    return (priority, rank, -length, -conditions, route.key.name)


def path_rank(path: ir.PathMatch) -> tuple[int, int]:
    """How specific a path is, lower first, and the length of its prefix."""
    match path:
        case ir.Exact():
            return 0, 0
        case ir.Prefix(text) if text != "/":
            return 1, len(text)
        case ir.Regex():
            return 2, 0
        case ir.Prefix():
            return 3, 0


def match_of(route: HttpRoute | GrpcRoute) -> ir.RequestMatch:
    if isinstance(route, GrpcRoute):
        given = route.match
        return grpc_match(given.service_name, given.method_name, given.metadata)
    return http_match(route.match, route.match.scheme)


def http_match(given: model.HttpMatch, scheme: str | None = None) -> ir.RequestMatch:
    """What is matched of an HTTP request, by routes and gateway routes alike."""
    headers = [_header(header) for header in given.headers or ()]
    if given.method:
        headers.insert(0, ir.HeaderMatch(":method", ir.Exact(given.method)))
    if scheme:
        headers.insert(0, ir.HeaderMatch(":scheme", ir.Exact(scheme)))
    return ir.RequestMatch(
        _path(given),
        tuple(headers),
        tuple(
            ir.QueryMatch(
                each.name,
                ir.Present()
                if each.match is None or each.match.exact is None
                else ir.Exact(each.match.exact),
            )
            for each in given.query_parameters or ()
        ),
    )


def _path(given: model.HttpMatch) -> ir.PathMatch:
    match given.path:
        case model.Exact(exact=text):
            return ir.Exact(text)
        case model.Regex(regex=pattern):
            return ir.Regex(pattern)
        case None:
            return ir.Prefix(given.prefix or "/")


def grpc_match(
    service: str | None, method: str | None, metadata: Iterable[model.HeaderMatch] | None
) -> ir.RequestMatch:
    """What is matched of a gRPC call; a method only together with its service."""
    path: ir.PathMatch = ir.Prefix("/")
    if service and method:
        path = ir.Exact(f"/{service}/{method}")
    elif service:
        path = ir.Prefix(f"/{service}/")
    return ir.RequestMatch(path, tuple(map(_header, metadata or ())), grpc=True)


def _header(given: model.HeaderMatch) -> ir.HeaderMatch:
    return ir.HeaderMatch(given.name, _value(given.match), inverted=bool(given.invert))


def _value(given: model.TextMatch | None) -> ir.ValueMatch:
    match given:
        case model.Exact(exact=text):
            return ir.Exact(text)
        case model.Prefix(prefix=text):
            return ir.Prefix(text)
        case model.Suffix(suffix=text):
            return ir.Suffix(text)
        case model.Regex(regex=pattern):
            return ir.Regex(pattern)
        case model.InRange(range=range_):
            return ir.Range(range_.start, range_.end)
        case None:
            return ir.Present()
