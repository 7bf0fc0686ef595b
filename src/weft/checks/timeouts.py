"""Timeouts and retries that work against each other, hidden defaults included."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from weft.checks.finding import Check, Found, Severity
from weft.checks.scope import Mesh, Use
from weft.ir.route import After, Default, Disabled, Timeout
from weft.model.listener import HttpTimeout, Listener
from weft.model.virtual_router import HttpRetryPolicy, RouteSpec, TcpRoute
from weft.names import Key
from weft.resolve.timeouts import PER_REQUEST, listener_timeouts, timeout

MANY_RETRIES = 10


def retries_beyond_timeout(mesh: Mesh) -> Iterator[Found]:
    for key, spec, policy in mesh.once(_policies):
        limit, each = _per_request(spec), timeout(policy.per_retry_timeout)
        if not isinstance(limit, After) or not isinstance(each, After) or not policy.max_retries:
            continue
        tries = policy.max_retries + 1
        needed = min(each.limit.total_seconds() * tries, timedelta.max.total_seconds())
        if needed > limit.limit.total_seconds():
            hidden = "" if _given(spec) else ", the hidden default"
            yield Found(
                key,
                f"spec.{spec.member}.retryPolicy",
                f"{tries} tries of {_said(each)} take longer than the request's {_said(limit)}{hidden}",
            )


def listener_before_route(mesh: Mesh) -> Iterator[Found]:
    for use, listener, key in mesh.once(_used_listeners):
        if use.route is None or use.weight == 0:
            continue
        at_route, at_listener = _per_request(use.route), _listener_limit(listener)
        if _longer(at_route, at_listener):
            hidden = "" if _own_limit(listener) else ", the hidden default"
            yield Found(
                use.by,
                use.path,
                f"the route waits {_said(at_route)}, the listener of {key.name} at port "
                f"{listener.port_mapping.port} only {_said(at_listener)}{hidden}",
                f"set the listener's timeout.{listener.port_mapping.protocol}.perRequest of "
                f"{key.name} to at least {_said(at_route)}",
            )


def route_before_listener(mesh: Mesh) -> Iterator[Found]:
    for use, listener, key in mesh.once(_used_listeners):
        if not _own_limit(listener) or (use.route is not None and _given(use.route)):
            continue
        at_listener = _listener_limit(listener)
        if _longer(at_listener, PER_REQUEST):
            yield Found(
                use.by,
                use.path,
                f"the listener of {key.name} at port {listener.port_mapping.port} allows "
                f"{_said(at_listener)}; callers give up after {_said(PER_REQUEST)}, the hidden default",
                "a virtual router with a route can set it: a virtual node as provider cannot"
                if use.route is None
                else f"set {use.path.split('.action')[0]}.timeout.perRequest",
            )


def endless_requests(mesh: Mesh) -> Iterator[Found]:
    for key, spec in mesh.all_routes():
        if spec.protocol != "tcp" and isinstance(_per_request(spec), Disabled):
            place = f"spec.{spec.member}.timeout.perRequest"
            yield Found(key, place, "0 means that a request may take for ever")
    for node, i, listener in mesh.listeners:
        if listener.port_mapping.protocol != "tcp" and isinstance(
            _listener_limit(listener), Disabled
        ):
            place = f"spec.listeners[{i}].timeout.{listener.port_mapping.protocol}.perRequest"
            yield Found(node, place, "0 means that a request may take for ever")


def many_retries(mesh: Mesh) -> Iterator[Found]:
    for key, spec, policy in mesh.once(_policies):
        if policy.max_retries > MANY_RETRIES:
            place = f"spec.{spec.member}.retryPolicy.maxRetries"
            yield Found(key, place, f"a request may be sent {policy.max_retries + 1} times")


def no_retries(mesh: Mesh) -> Iterator[Found]:
    for key, spec, policy in mesh.once(_policies):
        if policy.max_retries == 0:
            place = f"spec.{spec.member}.retryPolicy.maxRetries"
            yield Found(key, place, "0 means that nothing is retried, the default retries included")


def unlimited_tries(mesh: Mesh) -> Iterator[Found]:
    for key, spec, policy in mesh.once(_policies):
        if policy.max_retries and not isinstance(timeout(policy.per_retry_timeout), After):
            place = f"spec.{spec.member}.retryPolicy.perRetryTimeout"
            yield Found(key, place, "a single try may use up the request's whole time")


def idle_before_request(mesh: Mesh) -> Iterator[Found]:
    for key, spec in mesh.all_routes():
        route = spec.route
        if isinstance(route, TcpRoute) or route.timeout is None:
            continue
        idle, limit = timeout(route.timeout.idle), _per_request(spec)
        if isinstance(idle, After) and _longer(limit, idle):
            yield Found(
                key,
                f"spec.{spec.member}.timeout.idle",
                f"a silent request ends after {_said(idle)}, before its {_said(limit)}",
            )


def _policies(mesh: Mesh) -> Iterator[tuple[Key, RouteSpec, HttpRetryPolicy]]:
    for key, spec in mesh.all_routes():
        route = spec.route
        if not isinstance(route, TcpRoute) and route.retry_policy is not None:
            yield key, spec, route.retry_policy


def _used_listeners(mesh: Mesh) -> Iterator[tuple[Use, Listener, Key]]:
    """Each HTTP listener with each that sends it requests."""
    for key, _, listener in mesh.listeners:
        if listener.port_mapping.protocol == "tcp":
            continue
        alone = len(mesh.nodes[key.name].listeners or ()) == 1
        for use in mesh.uses_of.get(key.name, ()):
            anywhere = use.port is None and (alone or use.route is None)
            if anywhere or use.port == listener.port_mapping.port:
                yield use, listener, key


def _given(spec: RouteSpec) -> bool:
    """Whether the route says how long a request may take."""
    route = spec.route
    if isinstance(route, TcpRoute) or route.timeout is None:
        return False
    return not isinstance(timeout(route.timeout.per_request), Default)


def _per_request(spec: RouteSpec) -> Timeout:
    route = spec.route
    if isinstance(route, TcpRoute) or route.timeout is None:
        return PER_REQUEST
    return timeout(route.timeout.per_request, PER_REQUEST)


def _own_limit(listener: Listener) -> bool:
    given = listener_timeouts(listener)
    return isinstance(given, HttpTimeout) and not isinstance(timeout(given.per_request), Default)


def _listener_limit(listener: Listener) -> Timeout:
    given = listener_timeouts(listener)
    return timeout(given.per_request if isinstance(given, HttpTimeout) else None, PER_REQUEST)


def _longer(one: Timeout, other: Timeout) -> bool:
    if not isinstance(other, After):
        return False
    return isinstance(one, Disabled) or (isinstance(one, After) and one.limit > other.limit)


def _said(value: Timeout) -> str:
    return f"{value.limit.total_seconds():g} s" if isinstance(value, After) else "for ever"


CHECKS = (
    Check(
        "WEFT-401",
        "Retries take longer than the request may",
        Severity.WARNING,
        "The request's timeout covers all tries together. It ends before the last of them, so some "
        "of the retries are never made.",
        "Raise timeout.perRequest, or lower perRetryTimeout or maxRetries.",
        retries_beyond_timeout,
    ),
    Check(
        "WEFT-402",
        "The listener gives up before the route does",
        Severity.WARNING,
        "A request passes two limits: that of the route at the caller, and that of the listener at "
        "the callee, 15 s unless given. The shorter one ends it, with 504.",
        "Set the listener's perRequest timeout to at least that of the route.",
        listener_before_route,
    ),
    Check(
        "WEFT-403",
        "The caller gives up before the listener does",
        Severity.WARNING,
        "The listener was given a longer timeout, and what leads to it still has the hidden default "
        "of 15 s, which ends the request first.",
        "Set the route's perRequest timeout, too.",
        route_before_listener,
    ),
    Check(
        "WEFT-404",
        "A timeout is switched off",
        Severity.INFO,
        "Requests that nobody answers stay open, and with them connections and memory of every "
        "workload on the way. Streams need it; other requests do not.",
        "Give a limit that no good request reaches.",
        endless_requests,
    ),
    Check(
        "WEFT-405",
        "More than 10 retries",
        Severity.WARNING,
        "A service that fails under load gets many times the load, and fails for longer.",
        "Two or three are enough to get past a single broken replica.",
        many_retries,
    ),
    Check(
        "WEFT-406",
        "A retry policy that never retries",
        Severity.INFO,
        "Without a policy App Mesh retries twice (connection errors, resets and 503); a policy "
        "replaces that, and this one makes no retry at all.",
        "Remove the policy to have the default back, or say how often.",
        no_retries,
    ),
    Check(
        "WEFT-407",
        "A try has no limit of its own",
        Severity.INFO,
        "perRetryTimeout is 0: a replica that hangs uses up the whole time of the request, and "
        "there is none left for a retry.",
        "Set perRetryTimeout to what a good answer takes at most.",
        unlimited_tries,
    ),
    Check(
        "WEFT-408",
        "The idle timeout ends requests first",
        Severity.WARNING,
        "A request waiting for its answer is silent, so the shorter idle timeout ends it and the "
        "perRequest timeout never does.",
        "Set idle to more than perRequest.",
        idle_before_request,
    ),
)
