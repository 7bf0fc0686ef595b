"""Virtual gateways and their routes."""

from __future__ import annotations

from collections.abc import Iterator

from weft.checks.cover import Before, Rule, same
from weft.checks.finding import Check, Found, Severity
from weft.checks.scope import Mesh
from weft.ir import route as ir
from weft.model.meta import Resource
from weft.model.virtual_gateway import GatewayRouteSpec, HostExact
from weft.names import Kind
from weft.resolve import gateway_routes, routes
from weft.resolve.gateway_routes import match_of, precedence, spec_of
from weft.resolve.matching import fits
from weft.resolve.reading import Reading
from weft.resolve.routes import ServicePort


def without_routes(mesh: Mesh) -> Iterator[Found]:
    for name, found in mesh.gateway_routes_of.items():
        if not found:
            yield Found(mesh.of(Kind.VIRTUAL_GATEWAY, name), "", f"{name} has no gateway route")


def overlapping(mesh: Mesh) -> Iterator[Found]:
    for found in mesh.gateway_routes_of.values():
        before: dict[str, Before] = {}
        specs: dict[str, GatewayRouteSpec] = {}
        for route in sorted(found, key=precedence):
            spec = spec_of(route)
            rule = _rule(route)
            earlier = before.setdefault(spec.protocol, Before())
            if (cover := earlier.covering(rule)) is not None:
                its = specs[cover.name]
                alike = same(rule, cover) and its.priority == spec.priority
                yield Found(
                    route.key,
                    f"spec.{spec.member}.match",
                    f"gateway routes {cover.name} and {rule.name} match the same"
                    if alike
                    else f"gateway route {cover.name} takes all that {rule.name} matches",
                )
            earlier.add(rule)
            specs[rule.name] = spec


def _rule(route: Resource) -> Rule:
    spec = spec_of(route)
    given = spec.route.match
    hosts: tuple[str, ...] = ()
    if given.hostname is not None:
        host = given.hostname
        hosts = (
            (host.exact.lower(),) if isinstance(host, HostExact) else (f"*{host.suffix.lower()}",)
        )
    return Rule(route.key.name, match_of(spec, with_host=False), given.port, hosts)


def leading_nowhere(mesh: Mesh) -> Iterator[Found]:
    """Requests that pass the gateway and match no route of the service."""
    reading = Reading(mesh.state)
    for found in mesh.gateway_routes_of.values():
        for route in found:
            spec = spec_of(route)
            to = gateway_routes.destination_of(reading, route)
            if to.backend is None:
                continue
            arrives = _arrives(spec)
            at = ServicePort(to.backend.port, to.backend.protocol)
            made = reading.part(routes.http_routes, mesh.name, to.service, at)
            if not made or any(_may_take(each, arrives) for each in made):
                continue
            what = "as" if isinstance(arrives, ir.Exact) else "under"
            yield Found(
                route.key,
                f"spec.{spec.member}",
                f"its requests reach {to.service} {what} {arrives.text}, "
                "and no route of it takes that path",
            )


def _arrives(spec: GatewayRouteSpec) -> ir.Exact | ir.Prefix:
    """The path with which the service gets a gateway route's requests, as far as it is certain."""
    path = match_of(spec, with_host=False).path
    rewritten = gateway_routes.rewritten_path(spec)
    match path:
        case ir.Exact():
            return ir.Exact(rewritten) if rewritten else path
        case ir.Prefix():
            return ir.Prefix(rewritten) if rewritten else path
        case ir.Regex():
            return ir.Exact(rewritten) if rewritten else ir.Prefix("/")


def _may_take(route: ir.Route, arrives: ir.Exact | ir.Prefix) -> bool:
    if not isinstance(route.match, ir.RequestMatch):
        return False
    path = route.match.path
    match arrives, path:
        case ir.Exact(text), _:
            return fits(path, text)
        case ir.Prefix(start), ir.Prefix(text) | ir.Exact(text):
            return text.startswith(start) or (
                isinstance(path, ir.Prefix) and start.startswith(text)
            )
        case _:
            return True


def unprobed(mesh: Mesh) -> Iterator[Found]:
    for name, gateway in mesh.gateways.items():
        for i, listener in enumerate(gateway.listeners):
            if listener.health_check is not None:
                key = mesh.of(Kind.VIRTUAL_GATEWAY, name)
                yield Found(key, f"spec.listeners[{i}].healthCheck", "nobody in the mesh uses it")


CHECKS = (
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
    Check(
        "WEFT-804",
        "No route of the service takes what a gateway route passes on",
        Severity.WARNING,
        "A gateway matches the path that the client asked for, and the service's routes the one "
        "that is left of it: by default a matched prefix becomes /. Every request gets 404.",
        "Give the gateway route a rewrite that the service's routes expect, or keep the prefix "
        "(rewrite.prefix.defaultPrefix: DISABLED).",
        leading_nowhere,
    ),
    Check(
        "WEFT-805",
        "A gateway's health check is not used",
        Severity.INFO,
        "Health checks are made by callers inside the mesh, and nobody inside calls a gateway. "
        "App Mesh stored it, and did nothing with it.",
        "Let the load balancer in front of the gateway check it, and leave this out.",
        unprobed,
    ),
)
