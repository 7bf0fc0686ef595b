"""Virtual gateways and their routes."""

from __future__ import annotations

from collections.abc import Iterator

from weft.checks.cover import Before, Rule, same
from weft.checks.finding import Check, Found, Severity
from weft.checks.scope import Mesh
from weft.ir import route as ir
from weft.model.meta import Resource
from weft.model.virtual_gateway import (
    GatewayRouteSpec,
    GrpcGatewayMatch,
    HostExact,
    HttpGatewayMatch,
)
from weft.model.virtual_router import (
    Exact,
    GrpcRoute,
    GrpcRouteMatch,
    HttpRoute,
    HttpRouteMatch,
    Regex,
    RouteAction,
    WeightedTarget,
)
from weft.names import Kind
from weft.resolve.routes import match_of, path_rank

_LAST = 1001
_NOBODY = RouteAction(weighted_targets=(WeightedTarget(virtual_node="-", weight=1),))


def unserved(mesh: Mesh) -> Iterator[Found]:
    for name in mesh.gateways:
        key = mesh.of(Kind.VIRTUAL_GATEWAY, name)
        yield Found(key, "", "its proxy is connected and has no listener")


def without_routes(mesh: Mesh) -> Iterator[Found]:
    for name, routes in mesh.gateway_routes_of.items():
        if not routes:
            yield Found(mesh.of(Kind.VIRTUAL_GATEWAY, name), "", f"{name} has no gateway route")


def overlapping(mesh: Mesh) -> Iterator[Found]:
    for routes in mesh.gateway_routes_of.values():
        before: dict[str, Before] = {}
        specs: dict[str, GatewayRouteSpec] = {}
        for route in sorted(routes, key=_precedence):
            spec = route.spec
            assert isinstance(spec, GatewayRouteSpec)
            rule = _rule(route)
            earlier = before.setdefault(spec.protocol, Before())
            if (found := earlier.covering(rule)) is not None:
                its = specs[found.name]
                alike = same(rule, found) and its.priority == spec.priority
                yield Found(
                    route.key,
                    f"spec.{spec.member}.match",
                    f"gateway routes {found.name} and {rule.name} match the same"
                    if alike
                    else f"gateway route {found.name} takes all that {rule.name} matches",
                )
            earlier.add(rule)
            specs[rule.name] = spec


def _precedence(route: Resource) -> tuple[int, int, int, int, int, str]:
    """The operator's priority first; then exact hosts, the most specific path, more conditions."""
    spec = route.spec
    assert isinstance(spec, GatewayRouteSpec)
    rule = _rule(route)
    rank, length = path_rank(rule.match.path)
    named = 0 if rule.hosts and not rule.hosts[0].startswith("*") else 1 if rule.hosts else 2
    conditions = len(rule.match.headers) + len(rule.match.query)
    priority = _LAST if spec.priority is None else spec.priority
    return (priority, named, rank, -length, -conditions, route.key.name)


def _rule(route: Resource) -> Rule:
    spec = route.spec
    assert isinstance(spec, GatewayRouteSpec)
    given = spec.route.match
    hosts: tuple[str, ...] = ()
    if given.hostname is not None:
        host = given.hostname
        hosts = (
            (host.exact.lower(),) if isinstance(host, HostExact) else (f"*{host.suffix.lower()}",)
        )
    return Rule(route.key.name, _match(given), given.port, hosts)


def _match(given: HttpGatewayMatch | GrpcGatewayMatch) -> ir.RequestMatch:
    """As a route of a virtual router with the same conditions would match."""
    if isinstance(given, GrpcGatewayMatch):
        grpc = GrpcRouteMatch(metadata=given.metadata, service_name=given.service_name)
        return match_of(GrpcRoute(action=_NOBODY, match=grpc))
    path: Exact | Regex | None = given.path
    http = HttpRouteMatch(
        headers=given.headers,
        method=given.method,
        path=path,
        prefix=given.prefix or (None if path else "/"),
        query_parameters=given.query_parameters,
    )
    return match_of(HttpRoute(action=_NOBODY, match=http))


CHECKS = (
    Check(
        "WEFT-801",
        "Virtual gateways are not served yet",
        Severity.WARNING,
        "This version stores and answers virtual gateways and their routes; a proxy that stands for "
        "one gets no listener.",
        "Let a workload with a virtual node take requests from outside, as the example's gateway "
        "does.",
        unserved,
    ),
    Check(
        "WEFT-802",
        "A gateway route can never be reached",
        Severity.WARNING,
        "Gateway routes are tried in order, and the first that matches is used. Another one takes "
        "every request that this one would.",
        "Give them priorities, or make their matches exclude each other.",
        overlapping,
    ),
    Check(
        "WEFT-803",
        "A virtual gateway has no routes",
        Severity.WARNING,
        "Every request from outside ends with 404.",
        "Create a gateway route that leads to a virtual service.",
        without_routes,
    ),
)
