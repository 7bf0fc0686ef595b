"""Routes that never apply, and shares that are not what they seem."""

from __future__ import annotations

from collections.abc import Iterator

from weft.checks.cover import Before, Rule, same
from weft.checks.finding import Check, Found, Severity
from weft.checks.scope import Mesh
from weft.ir import route as ir
from weft.model.virtual_router import RouteSpec, TcpRoute
from weft.names import Key, Kind
from weft.resolve.routes import match_of

_EVERYTHING = ir.RequestMatch()


def rule_of(key: Key, spec: RouteSpec) -> Rule:
    """A route's match; a TCP route takes every connection at its port."""
    route = spec.route
    match = _EVERYTHING if isinstance(route, TcpRoute) else match_of(route)
    return Rule(key.name, match, spec.match_port)


def shadowed(mesh: Mesh) -> Iterator[Found]:
    for key, spec, earlier, its in mesh.once(_covered):
        if not _tied(spec, its) or not same(rule_of(key, spec), earlier):
            yield Found(
                key,
                f"spec.{spec.member}.match",
                f"route {earlier.name} comes before it and takes all that {key.name} matches",
                f"give {key.name} a priority before that of {earlier.name}, or narrow the match of "
                f"{earlier.name}",
            )


def ties(mesh: Mesh) -> Iterator[Found]:
    for key, spec, earlier, its in mesh.once(_covered):
        if _tied(spec, its) and same(rule_of(key, spec), earlier):
            yield Found(
                key,
                f"spec.{spec.member}.match",
                f"routes {earlier.name} and {key.name} match the same; {earlier.name} is first by "
                "its name alone",
            )


def _covered(mesh: Mesh) -> Iterator[tuple[Key, RouteSpec, Rule, RouteSpec]]:
    """Each route for which an earlier one of its router leaves nothing, and that one."""
    for routes in mesh.routes_of.values():
        if len(routes) < 2:
            continue
        # HTTP and TCP routes of one router are never tried at one port.
        before = {True: Before(), False: Before()}
        specs: dict[str, RouteSpec] = {}
        for route in routes:
            spec = route.spec
            assert isinstance(spec, RouteSpec)
            rule = rule_of(route.key, spec)
            earlier = before[spec.protocol == "tcp"]
            if (found := earlier.covering(rule)) is not None:
                yield route.key, spec, found, specs[found.name]
            earlier.add(rule)
            specs[rule.name] = spec


def _tied(one: RouteSpec, other: RouteSpec) -> bool:
    return one.priority == other.priority


def without_rest(mesh: Mesh) -> Iterator[Found]:
    for name, routes in mesh.routes_of.items():
        if not routes or name not in mesh.services_of_router:
            continue
        specs = [route.spec for route in routes if isinstance(route.spec, RouteSpec)]
        if any(_takes_all(each) for each in specs):
            continue
        key = mesh.of(Kind.VIRTUAL_ROUTER, name)
        yield Found(
            key, "", f"no route of {name} takes what its {len(specs)} route(s) do not match"
        )


def _takes_all(spec: RouteSpec) -> bool:
    route = spec.route
    if isinstance(route, TcpRoute):
        return True
    match = match_of(route)
    return match.path == ir.Prefix("/") and not match.headers and not match.query


def idle_targets(mesh: Mesh) -> Iterator[Found]:
    for key, spec in mesh.all_routes():
        for i, target in enumerate(spec.targets):
            if target.weight == 0:
                place = f"spec.{spec.member}.action.weightedTargets[{i}].weight"
                yield Found(key, place, f"{target.virtual_node} has the weight 0")


def odd_sums(mesh: Mesh) -> Iterator[Found]:
    for key, spec in mesh.all_routes():
        weights = [target.weight for target in spec.targets]
        # Equal weights are shares at a glance; a single target gets everything.
        if sum(weights) != 100 and len({w for w in weights if w}) > 1:
            shares = ", ".join(
                f"{t.virtual_node} {t.weight * 100 / sum(weights):.1f} %" for t in spec.targets
            )
            place = f"spec.{spec.member}.action.weightedTargets"
            yield Found(key, place, f"the weights add up to {sum(weights)}: {shares}")


def repeated_targets(mesh: Mesh) -> Iterator[Found]:
    for key, spec in mesh.all_routes():
        seen: set[tuple[str, int | None]] = set()
        for i, target in enumerate(spec.targets):
            where = (target.virtual_node, target.port)
            if where in seen:
                place = f"spec.{spec.member}.action.weightedTargets[{i}]"
                yield Found(key, place, f"{target.virtual_node} is a target already")
            seen.add(where)


def calls_to_itself(mesh: Mesh) -> Iterator[Found]:
    for call in mesh.calls:
        if call.by_gateway or call.service not in mesh.services:
            continue
        targets = {target.node for target in mesh.targets(call.service)}
        if targets == {call.caller.name}:
            yield Found(call.caller, call.path, f"{call.service} leads to {call.caller.name} alone")


CHECKS = (
    Check(
        "WEFT-301",
        "A route can never be reached",
        Severity.WARNING,
        "Routes are tried in order (priority, then the most specific match), and the first that "
        "matches is used. An earlier route takes every request that this one would.",
        "Change the priorities, or narrow the earlier match.",
        shadowed,
    ),
    Check(
        "WEFT-302",
        "Two routes match the same requests",
        Severity.WARNING,
        "They have the same match and the same priority, so their names decide, and one of them is "
        "never used.",
        "Delete one of them, or make one route with weighted targets of both.",
        ties,
    ),
    Check(
        "WEFT-303",
        "A target gets no traffic",
        Severity.INFO,
        "A weight of 0 keeps a target in the route and sends it nothing, which is how a canary "
        "starts and ends.",
        "weft split SERVICE TARGET=WEIGHT gives it a share; otherwise remove the target.",
        idle_targets,
    ),
    Check(
        "WEFT-304",
        "Weights do not add up to 100",
        Severity.INFO,
        "Weights are relative: a target gets its weight divided by their sum, which is not the "
        "percentage that the number suggests.",
        "Use weights that add up to 100.",
        odd_sums,
    ),
    Check(
        "WEFT-305",
        "A router has no route for the rest",
        Severity.INFO,
        "A request that no route matches gets 404 from the caller's own proxy; it never reaches a "
        "workload, whose logs say nothing about it.",
        "Add a route with the prefix / and no other condition, if that is not meant.",
        without_rest,
    ),
    Check(
        "WEFT-306",
        "A route has a target twice",
        Severity.WARNING,
        "Both entries lead to the same workloads, so its share is the sum of both, which a later "
        "change of one of them is likely to miss.",
        "Make one entry of them with the sum of the weights.",
        repeated_targets,
    ),
    Check(
        "WEFT-307",
        "A virtual node calls itself",
        Severity.WARNING,
        "Its backend leads to nobody but the node itself. That is seldom meant, and a request that "
        "is passed on for ever looks like this.",
        "Remove the backend, or give the service another provider.",
        calls_to_itself,
    ),
)
