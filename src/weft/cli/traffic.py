"""Which service, route and targets a split is about, and the spec it leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from weft.cli import phrases
from weft.cli.exits import Usage
from weft.cli.names import candidates, meant, nearest
from weft.cli.session import Session
from weft.cli.shares import rescaled
from weft.errors import NotFound
from weft.names import Kind

_MOST_TARGETS = 10

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Traffic:
    """The part of a mesh that a split is about."""

    mesh: str
    service: str
    routes: Sequence[Json]
    """Of the service's router."""
    nodes: Mapping[str, Json]
    """Every virtual node of the mesh, by name."""
    shared: frozenset[str]
    """Virtual nodes to which something else sends as well."""


def traffic_of(session: Session, typed: str) -> Traffic:
    """The service meant, its routes, and every virtual node that may become a target."""
    mesh = session.mesh()

    def all_of(kind: Kind) -> list[Json]:
        query = {"kind": kind.value, "mesh": mesh}
        found: list[Json] = session.client.get("/weft/v1/resources", query)["resources"]
        return found

    services = {each["virtualServiceName"]: each for each in all_of(Kind.VIRTUAL_SERVICE)}
    name = meant(typed, services, "virtual service")
    provider = services[name]["spec"].get("provider") or {}
    router = (provider.get("virtualRouter") or {}).get("virtualRouterName")
    if router is None:
        node = (provider.get("virtualNode") or {}).get("virtualNodeName")
        raise NotFound(
            f"{name} has no route to split: "
            + (f"all of it goes to virtual node {node}" if node else "it has no provider"),
            fix="give the virtual service a virtual router with a route, with weft apply",
        )
    every = all_of(Kind.ROUTE)
    routes = [each for each in every if each["virtualRouterName"] == router]
    if not routes:
        raise NotFound(
            f"virtual router {router} of {name} has no route", fix="weft apply -f FILE creates one"
        )
    nodes = {each["virtualNodeName"]: each for each in all_of(Kind.VIRTUAL_NODE)}
    uses = [target["virtualNode"] for each in every for target in phrases.targets_of(each["spec"])]
    uses += [
        each["spec"]["provider"]["virtualNode"]["virtualNodeName"]
        for each in services.values()
        if (each["spec"].get("provider") or {}).get("virtualNode")
    ]
    shared = frozenset(node for node in uses if uses.count(node) > 1)
    return Traffic(mesh, name, routes, nodes, shared)


def routes_of(traffic: Traffic, typed: str | None, *, needed: bool) -> Sequence[Json]:
    """The route meant, or all; ``needed`` when it must be one."""
    names = [each["routeName"] for each in traffic.routes]
    if typed is not None:
        name = meant(typed, names, f"route of {traffic.service}", fix=f"one of {', '.join(names)}")
        return [each for each in traffic.routes if each["routeName"] == name]
    if needed and len(names) > 1:
        raise Usage(
            f"{traffic.service} has {len(names)} routes: {', '.join(names)}",
            fix=f"say which, as in --route {names[0]}",
        )
    return traffic.routes


def weights_given(traffic: Traffic, route: Json, assignments: Sequence[str]) -> dict[str, int]:
    """``TARGET=WEIGHT`` with every name in full."""
    given: dict[str, int] = {}
    for assignment in assignments:
        typed, equals, number = assignment.rpartition("=")
        number = number.removesuffix("%").strip()
        if not equals or not typed or not number.isdecimal():
            raise Usage(
                f"{assignment!r} sets no weight",
                fix="write TARGET=WEIGHT with a whole number from 0 to 100, as in red=10",
            )
        if int(number) > 100:
            raise Usage(
                f"{assignment!r} is above 100", fix="a weight is a whole number from 0 to 100"
            )
        name = _target(traffic, route, typed)
        if name in given:
            raise Usage(f"{name} is given twice", fix="name each target once")
        given[name] = int(number)
    return given


def _target(traffic: Traffic, route: Json, typed: str) -> str:
    """A target of the route; else a virtual node that may become one."""
    present = [target["virtualNode"] for target in phrases.targets_of(route["spec"])]
    if candidates(typed, present):
        return meant(typed, present, "target")
    protocol, _ = phrases.route_of(route["spec"])
    others = {name: node for name, node in traffic.nodes.items() if name not in present}
    unfit = {name: _unfit(traffic, node, protocol) for name, node in others.items()}
    eligible = sorted(name for name, reason in unfit.items() if not reason)
    if candidates(typed, eligible):
        return meant(typed, eligible, "virtual node")
    listed = f"targets are {', '.join(present)}"
    if eligible:
        listed += f"; {', '.join(eligible)} may become one"
    if found := candidates(typed, others):
        raise Usage(
            f"{found[0]} cannot be a target of {route['routeName']}: {unfit[found[0]]}",
            fix=f"{listed}; weft describe virtual-node/{found[0]}",
        )
    near = nearest(typed, [*present, *eligible])
    raise NotFound(
        f"{route['routeName']} has no target {typed!r}; {listed}",
        fix=f"did you mean {near}?" if near else f"weft get virtual-nodes --mesh {traffic.mesh}",
    )


def _unfit(traffic: Traffic, node: Json, protocol: str) -> str:
    """Why a virtual node cannot become a target; empty when it can."""
    if not any(spoken == protocol for _, spoken in phrases.listeners_of(node["spec"])):
        return f"it has no listener for {protocol}"
    if traffic.service in phrases.backends_of(node["spec"]):
        return f"it calls {traffic.service} itself, and would call itself"
    return ""


def with_weights(traffic: Traffic, route: Json, given: Mapping[str, int]) -> dict[str, Any]:
    """The route's spec with the new weights; everything else stays as it was sent."""
    spec = deepcopy(dict(route["spec"]))
    protocol, body = phrases.route_of(spec)
    targets: list[dict[str, Any]] = body["action"]["weightedTargets"]
    names = [target["virtualNode"] for target in targets]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Usage(
            f"{twice} is a target of {route['routeName']} more than once, at several ports",
            fix=f"weft get route {route['routeName']} -o json, edit it, weft apply -f FILE",
        )
    present = {target["virtualNode"]: int(target["weight"]) for target in targets}
    weights = rescaled(present, given)
    if len(weights) > _MOST_TARGETS:
        raise Usage(f"a route has {_MOST_TARGETS} targets at most", fix="name one that it has")
    for target in targets:
        target["weight"] = weights[target["virtualNode"]]
    for name in weights.keys() - present.keys():
        targets.append(_new_target(traffic, body, name, protocol, weights[name]))
    return spec


def _new_target(
    traffic: Traffic, body: Json, name: str, protocol: str, weight: int
) -> dict[str, Any]:
    listeners = phrases.listeners_of(traffic.nodes[name]["spec"])
    if len(listeners) == 1:
        return {"virtualNode": name, "weight": weight}
    ports = [port for port, spoken in listeners if spoken == protocol]
    usual = {target["port"] for target in body["action"]["weightedTargets"] if "port" in target}
    fitting = [port for port in ports if port in usual] or ports
    if len(fitting) == 1:
        return {"virtualNode": name, "port": fitting[0], "weight": weight}
    raise Usage(
        f"{name} listens for {protocol} at several ports: {', '.join(map(str, ports))}",
        fix="weft apply -f FILE, with the port in the target",
    )
