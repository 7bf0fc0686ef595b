"""A virtual service as ``why`` tells it: routes with their verdicts, the split, every limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import cast

from weft.ir import route as ir
from weft.ir.cluster import Protocol
from weft.model.listener import HttpTimeout
from weft.model.meta import Resource
from weft.model.virtual_router import RouteSpec
from weft.names import Key, Kind
from weft.resolve import policies, rerouting, retries, routes
from weft.resolve.explained import Candidate, Explanation, InForce, Retries, Setting, Share
from weft.resolve.reading import Reading
from weft.resolve.routes import ServicePort
from weft.resolve.timeouts import IDLE, PER_REQUEST
from weft.resolve.walk import Tried
from weft.resolve.why_targets import said, setting, shares


def is_outside(targets: Sequence[ir.Target]) -> bool:
    return any(
        each.cluster.endswith(("_mesh-allow-all", "_amazonaws", "_self-redirect"))
        for each in targets
    )


def http(
    reading: Reading, mesh: str, base: Explanation, at: ServicePort | None, tried: Sequence[Tried]
) -> Explanation:
    service = base.service or next((each.route.service for each in tried if each.route.service), "")
    resources = routes.routes_at(reading, mesh, service, at) if at else ()
    by_name = {each.key.name: each for each in resources}
    base = replace(base, candidates=tuple(candidates(tried, by_name)))
    chosen = next((each.route for each in tried if each.reason is None), None)
    if chosen is None:
        served = any(isinstance(each.route.match, ir.RequestMatch) for each in tried)
        summary = "no route matches: the caller gets 404"
        if not served:
            summary = "it has no routes: callers get 404"
        return replace(base, status=404, summary=summary)
    base = replace(base, route=chosen.name)
    resource = by_name.get(chosen.name)
    match chosen.action:
        case ir.Respond(status):
            summary = f"the caller gets {status}"
            if status == 503:
                summary = (
                    f"route {chosen.name} matches, and no target of it exists: the caller gets 503"
                )
            return replace(base, status=status, summary=summary)
        case ir.Tunnel(targets):
            if is_outside(targets):
                summary = "the tunnel leads back into this proxy, and what is in it is routed anew"
                return replace(base, summary=summary)
            return tcp(reading, mesh, base, at or ServicePort(0, Protocol.TCP))
        case ir.Forward() as forward:
            return _forwarded(reading, mesh, base, service, chosen, forward, resource)


def _forwarded(
    reading: Reading,
    mesh: str,
    base: Explanation,
    service: str,
    chosen: ir.Route,
    forward: ir.Forward,
    resource: Resource | None,
) -> Explanation:
    split = reading.part(rerouting.split, resource.key) if resource else None
    targets = shares(reading, mesh, forward.targets, split.configured if split else ())
    summary = f"route {chosen.name} matches: {_split(targets)}"
    if resource is None:
        summary = f"virtual node {chosen.name} answers for all of it"
    rerouted = _rerouted(split, targets)
    if rerouted:
        summary += f"; {rerouted}"
    policy = policies.virtual_service(reading, mesh, service)
    limits: HttpTimeout | None = policy.timeout
    asked_retries = policy.retry_policy is not None
    if resource is not None:
        route = cast(RouteSpec, resource.spec).route
        limits = route.timeout if isinstance(route.timeout, HttpTimeout) else None
        asked_retries = getattr(route, "retry_policy", None) is not None
    own_limit = bool(limits and limits.per_request and limits.per_request.unit)
    per_request = forward.timeout if own_limit else ir.Default()
    request_timeout = setting(per_request, PER_REQUEST)
    return replace(
        base,
        summary=summary,
        targets=targets,
        request_timeout=request_timeout,
        idle_timeout=setting(forward.idle_timeout, IDLE),
        retries=_retries(forward.retry, asked=asked_retries),
        ends_after=_ends_after(request_timeout, targets),
        policies=tuple(_in_force(reading, mesh, service, resource)),
        rerouted=rerouted,
        notes=(*base.notes, *_lower_limits(request_timeout, targets)),
    )


def tcp(reading: Reading, mesh: str, base: Explanation, at: ServicePort) -> Explanation:
    service = base.service or ""
    tunnel = reading.part(routes.tcp_route, mesh, service, at)
    resources = routes.routes_at(reading, mesh, service, at)
    name = resources[0].key.name if resources else routes.provider_node(reading, mesh, service)
    split = reading.part(rerouting.split, resources[0].key) if resources else None
    targets = shares(reading, mesh, tunnel.targets, split.configured if split else ())
    listed = tuple(
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
    rerouted = _rerouted(split, targets)
    if rerouted:
        summary += f"; {rerouted}"
    if not any(each.weight for each in tunnel.targets):
        name, summary = None, "it has no route for TCP: connections are closed"
    idle = None
    if name is not None:
        hour = Setting("3600s", default=True)
        idle = hour if isinstance(tunnel.idle_timeout, ir.Default) else said(tunnel.idle_timeout)
    return replace(
        base,
        route=name,
        summary=summary,
        candidates=listed or base.candidates,
        targets=targets,
        idle_timeout=idle,
        policies=tuple(_in_force(reading, mesh, service, resources[0] if resources else None)),
        rerouted=rerouted,
    )


def candidates(tried: Iterable[Tried], resources: dict[str, Resource]) -> Iterator[Candidate]:
    chosen: str | None = None
    for each in tried:
        resource = resources.get(each.route.name)
        if each.reason is not None:
            because = each.reason
        elif chosen is None:
            chosen, because = each.route.name, "it matches, and is the first that does"
        else:
            because = f"it matches too, but {chosen} comes first"
        priority = _spec(resource).priority if resource else None
        yield Candidate(each.route.name, priority, each.reason is None, because)


def _spec(resource: Resource) -> RouteSpec:
    return cast(RouteSpec, resource.spec)


def _split(targets: tuple[Share, ...]) -> str:
    return ", ".join(
        f"{each.virtual_node} {each.percent:g} %"
        for each in targets
        if each.weight or not each.configured_weight
    )


def _rerouted(split: rerouting.Split | None, targets: Sequence[Share]) -> str | None:
    if split is None or not split.reroutes:
        return None
    if split.nobody:
        return "no target has a live instance: all keep their shares, and these fail"
    if not split.left_out:
        return None
    of = sum(bool(each.configured_weight) for each in targets)
    gone = " and ".join(split.left_out)
    verb = "has" if len(split.left_out) == 1 else "have"
    return f"rerouted: {of - len(split.left_out)} of {of} targets, {gone} {verb} no live instance"


def _in_force(
    reading: Reading, mesh: str, service: str, resource: Resource | None
) -> Iterator[InForce]:
    """Weft's own policies that have a part in this."""
    if resource is None:
        found = policies.virtual_service(reading, mesh, service)
        about = str(Key(mesh, Kind.VIRTUAL_SERVICE, service))
        if found.timeout is not None:
            yield InForce(about, "timeout", "its timeouts hold in place of App Mesh's")
        if found.retry_policy is not None:
            yield InForce(about, "retryPolicy", "its retries hold in place of App Mesh's two")
        return
    own = policies.route(reading, resource.key)
    if own is None and policies.mesh(reading, mesh).reroute is None:
        return
    about = str(resource.key) if own is not None else f"mesh/{mesh}"
    split = reading.part(rerouting.split, resource.key)
    if not policies.reroutes(reading, resource.key):
        yield InForce(about, "reroute=off", "a target keeps its share whoever is there")
        return
    says = "targets without a live instance leave the split; what fails is tried at another target"
    if not split.reroutes:
        says = "there is one target with a share, so there is nowhere else to go"
    elif split.unknown:
        says += f"; {', '.join(split.unknown)} found by DNS: only what fails is tried elsewhere"
    yield InForce(about, "reroute=on", says)


def _seconds(given: Setting | None) -> float:
    return float("inf") if given is None or given.value == "off" else float(given.value[:-1])


def _ends_after(route: Setting, targets: Sequence[Share]) -> Setting:
    """The lowest limit that any request may meet."""
    limits = [route, *(each.request_timeout for each in targets if each.request_timeout)]
    return min(limits, key=_seconds)


def _lower_limits(route: Setting, targets: Sequence[Share]) -> Iterator[str]:
    for each in targets:
        if _seconds(each.request_timeout) < _seconds(route) and not route.default:
            assert each.request_timeout is not None, "none is no lower"
            hidden = ", App Mesh's default" if each.request_timeout.default else ""
            yield (
                f"the listener of {each.virtual_node} ends requests after "
                f"{each.request_timeout.value}{hidden}, before the route's {route.value}"
            )


def _retries(policy: ir.Retry | None, *, asked: bool) -> Retries | None:
    if policy is None:
        return None
    per_try = policy.per_try
    return Retries(
        policy.limit,
        tuple(str(each) for each in policy.on),
        policy.status_codes,
        "off" if not isinstance(per_try, ir.After) else said(per_try).value,
        default=not asked and replace(policy, elsewhere=False) == retries.DEFAULT,
        elsewhere=policy.elsewhere,
    )
