"""
Why a request goes where it goes: the route, its targets, and every value in force.

App Mesh's hidden defaults (15 s twice, two retries, breakers that never open) are
told apart from what somebody asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from weft.errors import BadRequest, NotFound
from weft.ir import cluster
from weft.ir import route as ir
from weft.model.cloud_map import id_behind
from weft.model.listener import HttpTimeout
from weft.model.meta import Resource
from weft.model.virtual_node import ByCloudMap, VirtualNodeSpec
from weft.model.virtual_router import RouteSpec
from weft.names import Key, Kind, View, parse_egress_cluster
from weft.resolve import clusters, retries, routes, specs
from weft.resolve.gateway_hosts import destinations
from weft.resolve.matching import Request, mismatch
from weft.resolve.outbound import backends
from weft.resolve.protection import breakers
from weft.resolve.reading import Reading
from weft.resolve.routes import ServicePort
from weft.resolve.timeouts import IDLE, PER_REQUEST, listener_timeouts, timeout
from weft.store.state import MeshState

UNLIMITED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Setting:
    """A value in force, as text, and whether it is one nobody asked for."""

    value: str
    default: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route that was looked at, and what came of it."""

    route: str
    priority: int | None
    matches: bool
    because: str


@dataclass(frozen=True, slots=True)
class Retries:
    limit: int
    on: tuple[str, ...]
    status_codes: tuple[int, ...]
    per_try: str
    default: bool


@dataclass(frozen=True, slots=True)
class Share:
    """One target of the route."""

    virtual_node: str
    port: int
    weight: int
    percent: float
    cluster: str
    found_by: str
    """``registry``, ``dns HOSTNAME`` or ``cloud map NAMESPACE/SERVICE``."""
    endpoints: tuple[str, ...]
    request_timeout: Setting | None
    """Of the target's own listener: the lower of the two limits ends the request."""
    breakers: Setting


@dataclass(frozen=True, slots=True)
class Explanation:
    service: str
    port: int | None
    protocol: str | None
    ports: tuple[int, ...]
    """All ports the service is called at."""
    route: str | None
    summary: str
    candidates: tuple[Candidate, ...] = ()
    targets: tuple[Share, ...] = ()
    request_timeout: Setting | None = None
    idle_timeout: Setting | None = None
    retries: Retries | None = None
    notes: tuple[str, ...] = ()


def why(
    state: MeshState | Reading,
    mesh: str,
    service: str,
    request: Request | None = None,
    *,
    port: int | None = None,
    view: View | None = None,
) -> Explanation:
    """
    What happens to a request to a virtual service, seen from a view if one is given.

    Without a port, the first of the service's ports is meant.
    """
    reading = state if isinstance(state, Reading) else Reading(state)
    key = Key(mesh, Kind.VIRTUAL_SERVICE, service)
    if reading.resource(key) is None:
        raise NotFound(
            f"mesh {mesh} has no virtual service {service}",
            fix="weft get virtualservices shows those it has",
        )
    notes = () if view is None else _notes(reading, service, view)
    found = reading.part(routes.service, mesh, service)
    ports = tuple(each.port for each in found.ports)
    if not ports:
        return Explanation(service, port, None, (), None, found.lacks, notes=notes)
    at = next((each for each in found.ports if port in (None, each.port)), None)
    if at is None:
        raise BadRequest(
            f"{service} is not called at port {port}",
            fix=f"its ports: {', '.join(map(str, ports))}",
        )
    explain = _http if at.protocol.is_http else _tcp
    return explain(reading, mesh, service, at, ports, request or Request(), notes)


def _notes(reading: Reading, service: str, view: View) -> tuple[str, ...]:
    """What stands between a view and the service."""
    proxy = view.proxy
    if proxy.kind is Kind.VIRTUAL_GATEWAY:
        if service in reading.part(destinations, proxy.key).services:
            return ()
        return (f"no gateway route of {proxy} leads to {service}: its proxy does not know it",)
    told = reading.part(backends, proxy.mesh, proxy.name)
    if service not in told.services:
        return (f"{proxy} does not have {service} among its backends: its proxy does not know it",)
    return tuple(f"{note.path}: {note.message}" for note in told.notes)


def _http(
    reading: Reading,
    mesh: str,
    service: str,
    at: ServicePort,
    ports: tuple[int, ...],
    request: Request,
    notes: tuple[str, ...],
) -> Explanation:
    made = reading.part(routes.http_routes, mesh, service, at)
    resources = routes.routes_at(reading, mesh, service, at)
    specs_by_name = {each.key.name: _spec(each) for each in resources}
    candidates, chosen = _tried(made, specs_by_name, request)
    if chosen is None:
        return Explanation(
            service,
            at.port,
            at.protocol,
            ports,
            None,
            "no route matches: the caller gets 404"
            if made
            else "it has no routes: callers get 404",
            candidates,
            notes=notes,
        )
    spec = specs_by_name.get(chosen.name)
    if not isinstance(chosen.action, ir.Forward):
        summary = f"route {chosen.name} matches, and no target of it exists: the caller gets 503"
        return Explanation(
            service, at.port, at.protocol, ports, chosen.name, summary, candidates, notes=notes
        )
    targets = _shares(reading, mesh, chosen.action.targets)
    given = spec.route.timeout if spec else None
    per_request = given.per_request if isinstance(given, HttpTimeout) else None
    return Explanation(
        service,
        at.port,
        at.protocol,
        ports,
        chosen.name,
        f"route {chosen.name} matches: {_split(targets)}"
        if spec
        else f"virtual node {chosen.name} answers for all of it",
        candidates,
        targets,
        request_timeout=_setting(timeout(per_request), PER_REQUEST),
        idle_timeout=_setting(timeout(given.idle if given else None), IDLE),
        retries=_retries(chosen.action.retry, spec),
        notes=notes,
    )


def _tcp(
    reading: Reading,
    mesh: str,
    service: str,
    at: ServicePort,
    ports: tuple[int, ...],
    _: Request,
    notes: tuple[str, ...],
) -> Explanation:
    tunnel = reading.part(routes.tcp_route, mesh, service, at)
    resources = routes.routes_at(reading, mesh, service, at)
    name = resources[0].key.name if resources else routes.provider_node(reading, mesh, service)
    targets = _shares(reading, mesh, tunnel.targets)
    candidates = tuple(
        Candidate(
            each.key.name,
            _spec(each).priority,
            i == 0,
            "the first route has all connections"
            if i == 0
            else "never reached: TCP has no matches",
        )
        for i, each in enumerate(resources)
    )
    summary = f"all connections: {_split(targets)}"
    if not targets:
        name, summary = None, "it has no route for TCP: connections are closed"
    idle = None
    if name is not None:
        hour = Setting("3600s", default=True)
        idle = hour if isinstance(tunnel.idle_timeout, ir.Default) else _said(tunnel.idle_timeout)
    return Explanation(
        service,
        at.port,
        at.protocol,
        ports,
        name,
        summary,
        candidates,
        targets,
        idle_timeout=idle,
        notes=notes,
    )


def _tried(
    made: tuple[ir.Route, ...], given: dict[str, RouteSpec], request: Request
) -> tuple[tuple[Candidate, ...], ir.Route | None]:
    candidates: list[Candidate] = []
    chosen: ir.Route | None = None
    for route in made:
        assert isinstance(route.match, ir.RequestMatch)
        spec = given.get(route.name)
        reason = mismatch(route.match, request)
        if reason is None and chosen is None:
            chosen = route
            because = "it matches, and is the first that does"
        else:
            because = reason or f"it matches too, but {chosen.name if chosen else ''} comes first"
        candidates.append(
            Candidate(route.name, spec.priority if spec else None, reason is None, because)
        )
    return tuple(candidates), chosen


def _spec(resource: Resource) -> RouteSpec:
    return cast(RouteSpec, resource.spec)


def _shares(reading: Reading, mesh: str, targets: tuple[ir.Target, ...]) -> tuple[Share, ...]:
    total = sum(each.weight for each in targets)
    shares = []
    for each in targets:
        named = parse_egress_cluster(mesh, each.cluster)
        assert named is not None, "targets of routes are egress clusters"
        target = clusters.Target(mesh, named.node, named.port, cluster.Protocol(named.protocol))
        reached = reading.part(clusters.reached, target)
        told = reached.assignment.endpoints if reached.assignment else ()
        shares.append(
            Share(
                named.node,
                named.port,
                each.weight,
                round(100 * each.weight / total, 1) if total else 0.0,
                each.cluster,
                _found_by(reading, target, reached.cluster.discovery),
                tuple(f"{one.host}:{one.port}" for one in told),
                _server_timeout(reading, target),
                _breakers(reading, target),
            )
        )
    return tuple(shares)


def _found_by(reading: Reading, target: clusters.Target, discovery: cluster.Discovery) -> str:
    if isinstance(discovery, cluster.Dns):
        return f"dns {discovery.address.host}"
    spec = specs.virtual_node(reading, target.mesh, target.node) or VirtualNodeSpec()
    match spec.service_discovery:
        case ByCloudMap(aws_cloud_map=asked):
            place = f"cloud map {asked.namespace_name}/{asked.service_name}"
            known = id_behind(reading, asked.namespace_name, asked.service_name)
            return place if known else f"{place}, which is not there"
        case _:
            return "registry"


def _server_timeout(reading: Reading, target: clusters.Target) -> Setting | None:
    if not target.protocol.is_http:
        return None
    spec = specs.virtual_node(reading, target.mesh, target.node) or VirtualNodeSpec()
    listener = spec.listener(target.port)
    given = listener_timeouts(listener) if listener else None
    return _setting(
        timeout(given.per_request if isinstance(given, HttpTimeout) else None), PER_REQUEST
    )


def _breakers(reading: Reading, target: clusters.Target) -> Setting:
    """Of the target's own proxy; its callers' never open."""
    spec = specs.virtual_node(reading, target.mesh, target.node) or VirtualNodeSpec()
    listener = spec.listener(target.port)
    limits = breakers(listener.connection_pool if listener else None)
    if limits is None:
        return Setting(str(UNLIMITED), default=True)
    words = (
        ("connections", limits.connections),
        ("pending", limits.pending),
        ("requests", limits.requests),
    )
    return Setting(", ".join(f"{limit} {word}" for word, limit in words if limit), default=False)


def _split(targets: tuple[Share, ...]) -> str:
    return ", ".join(f"{each.virtual_node} {each.percent:g} %" for each in targets)


def _setting(given: ir.Timeout, otherwise: ir.After) -> Setting:
    if isinstance(given, ir.Default):
        return Setting(_said(otherwise).value, default=True)
    return _said(given)


def _said(given: ir.Timeout) -> Setting:
    if isinstance(given, ir.After):
        return Setting(f"{given.limit.total_seconds():g}s", default=False)
    return Setting("off", default=False)


def _retries(policy: ir.Retry | None, spec: RouteSpec | None) -> Retries | None:
    if policy is None:
        return None
    asked = getattr(spec.route, "retry_policy", None) if spec else None
    per_try = policy.per_try
    return Retries(
        policy.limit,
        tuple(str(each) for each in policy.on),
        policy.status_codes,
        "off" if not isinstance(per_try, ir.After) else _said(per_try).value,
        default=asked is None and policy == retries.DEFAULT,
    )
