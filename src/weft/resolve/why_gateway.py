"""
A request from outside, as a virtual gateway's proxy treats it: the gateway route, the rewrite, the service.

Both hops are walked through what the proxy is told, as a caller's one hop is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from weft import names
from weft.errors import BadRequest
from weft.ir import listener as ir_listener
from weft.ir import proxy as told
from weft.ir import route as ir
from weft.names import View
from weft.resolve import gateway_routes, routes, specs
from weft.resolve.explained import Arrival, Explanation, HostTried, Passage
from weft.resolve.matching import Request, normalised
from weft.resolve.proxy import proxy
from weft.resolve.reading import Reading
from weft.resolve.routes import ServicePort
from weft.resolve.timeouts import PER_REQUEST
from weft.resolve.walk import Connection, Tried, Walk, walk
from weft.resolve.why_service import candidates, http
from weft.resolve.why_targets import said


def from_gateway(
    reading: Reading, view: View, host: str, request: Request, port: int | None
) -> Explanation:
    """What becomes of a request at one port of a gateway; without a port, at its only one."""
    at = _listener_port(reading, view, port)
    found = reading.part(proxy, view)
    given = replace(request, host=request.host or host)
    base = Explanation(
        None,
        at,
        None,
        _ports(reading, view),
        None,
        "",
        caller=str(view.proxy),
        host=given.host,
        notes=_notes(found, view),
    )
    name = names.gateway_listener(at)
    listener = next((each for each in found.listeners if each.name == name), None)
    if listener is None:
        return replace(base, summary=f"nobody listens at port {at} of the gateway's proxy")
    tls = request.scheme == "https"
    chains = tuple(each for each in listener.chains if _is_for(each, tls=tls))
    if not chains:
        takes = "takes no TLS" if tls else "takes TLS alone"
        return replace(base, summary=f"port {at} {takes}: the connection is closed")
    narrowed = replace(found, listeners=(replace(listener, chains=chains),))
    first = walk(narrowed, _connection(found, name, at), given)
    if first is None or first.chain is None or not isinstance(first.chain.action, ir_listener.Http):
        lacks = "its certificate or what it trusts is missing, the notes say which"
        return replace(base, summary=f"port {at} closes every connection: {lacks}")
    base = replace(
        base,
        arrival=Arrival(
            view.mode.value,
            name,
            first.chain.name,
            first.configuration,
            f"the gateway listens at port {at}",
        ),
        passage=_passage(reading, view, first, given),
    )
    chosen = first.chosen
    if chosen is None:
        summary = "no gateway route matches: the caller gets 404"
        return replace(base, status=404, summary=summary)
    return _led_on(reading, view, base, found, chosen, given)


def _is_for(chain: ir_listener.Chain, *, tls: bool) -> bool:
    """Whether a chain is for clients that speak TLS, or for those that do not."""
    is_closed = isinstance(chain.action, ir_listener.Close)
    return is_closed or (chain.tls is not None or chain.match.begins_with_tls) is tls


def _listener_port(reading: Reading, view: View, port: int | None) -> int:
    ports = _ports(reading, view)
    if port is None and len(ports) == 1:
        return ports[0]
    if port is None or port not in ports:
        said_port = f"does not listen at port {port}" if port else "listens at several ports"
        listed = ", ".join(map(str, ports))
        raise BadRequest(f"{view.proxy} {said_port}", fix=f"its ports: {listed}")
    return port


def _ports(reading: Reading, view: View) -> tuple[int, ...]:
    spec = specs.virtual_gateway(reading, view.proxy.mesh, view.proxy.name)
    return tuple(each.port_mapping.port for each in spec.listeners) if spec else ()


def _connection(found: told.Proxy, listener: str, otherwise: int) -> Connection:
    """To the socket that a listener has, whatever its mode."""
    sockets = (each.addresses[0].port for each in found.listeners if each.name == listener)
    return Connection(listener, next(sockets, otherwise))


def _notes(found: told.Proxy, view: View) -> tuple[str, ...]:
    own = (str(view.proxy), f"{view.proxy} ", f"{view.proxy}/")
    return tuple(
        f"{each.path}: {each.message}"
        for each in found.notes
        if each.path == own[0] or each.path.startswith(own[1:])
    )


# --- The first hop ----------------------------------------------------------------------------


def _passage(reading: Reading, view: View, first: Walk, request: Request) -> Passage:
    resources = {each.key.name: each for each in gateway_routes.routes_of(reading, view.proxy.key)}
    listed = tuple(candidates(_each_once(first.tried), resources))
    chosen = first.chosen
    if chosen is None or not isinstance(chosen.action, ir.Forward):
        return Passage(None, listed)
    sent = rewritten(chosen, request)
    resource = resources[chosen.name]
    limit = chosen.action.timeout
    return Passage(
        chosen.name,
        listed,
        host=sent.host,
        path=sent.path,
        host_kept=gateway_routes.keeps_host(gateway_routes.spec_of(resource)),
        request_timeout=said(PER_REQUEST if isinstance(limit, ir.Default) else limit),
    )


def _each_once(tried: Sequence[Tried]) -> Iterator[Tried]:
    """One entry for each gateway route, which may have become two of the proxy's."""
    for _, alike in groupby(tried, key=lambda each: each.route.name):
        found = list(alike)
        yield next((each for each in found if each.reason is None), found[-1])


def rewritten(route: ir.Route, request: Request) -> Request:
    """The request as a route sends it on."""
    assert isinstance(route.action, ir.Forward)
    assert isinstance(route.match, ir.RequestMatch)
    rewrite = route.action.rewrite
    path = normalised(request.path)
    if rewrite.path:
        rest = ""
        if isinstance(route.match.path, ir.Prefix):
            rest = path[len(route.match.path.text) :]
        # The second hop resolves what the rewrite brings.
        path = normalised(f"{rewrite.path}{rest}")
    _, mark, query = request.path.partition("?")
    changed = {name.lower() for name, _ in route.set_headers} | set(route.removed_headers)
    headers = [each for each in request.headers if each[0].lower() not in changed]
    return replace(
        request,
        host=rewrite.host or request.host,
        path=f"{path}{mark}{query}",
        headers=(*headers, *route.set_headers),
    )


# --- The second hop ---------------------------------------------------------------------------


def _led_on(
    reading: Reading,
    view: View,
    base: Explanation,
    found: told.Proxy,
    chosen: ir.Route,
    request: Request,
) -> Explanation:
    mesh = view.proxy.mesh
    every = gateway_routes.routes_of(reading, view.proxy.key)
    (resource,) = (each for each in every if each.key.name == chosen.name)
    to = gateway_routes.destination_of(reading, resource)
    ports = reading.part(routes.service, mesh, to.service).ports
    sent = rewritten(chosen, request)
    second = walk(found, _connection(found, names.EGRESS_LISTENER, view.ports.egress), sent)
    tried = tuple(_for_this_host(second.tried, chosen)) if second else ()
    base = replace(
        base,
        service=to.service,
        port=to.backend.port if to.backend else None,
        protocol=to.backend.protocol if to.backend else None,
        ports=tuple(each.port for each in ports),
        hosts=tuple(
            HostTried(each.name, each.domains, second is not None and each is second.host)
            for each in (second.hosts if second else ())
        ),
    )
    at = ServicePort(to.backend.port, to.backend.protocol) if to.backend else None
    done = http(reading, mesh, base, at, tried)
    why = f" ({to.lacks})" if to.lacks else ""
    return replace(
        done, summary=f"gateway route {chosen.name} leads to {to.service}{why}: {done.summary}"
    )


def _for_this_host(tried: Sequence[Tried], first: ir.Route) -> Iterator[Tried]:
    """Without the routes of services that only a header, which this request lacks, leads to."""
    sent = dict(first.set_headers).get(names.VIRTUAL_SERVICE_HEADER)
    for each in tried:
        asked = next(
            (
                header.match
                for header in each.route.match.headers
                if header.name == names.VIRTUAL_SERVICE_HEADER
            ),
            None,
        )
        if asked == (None if sent is None else ir.Exact(sent)):
            yield each
