"""A request as its caller's own proxy treats it: where it arrives, whose host it is, or why it is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from weft import names
from weft.ir import listener as listeners
from weft.ir import route as ir
from weft.names import Key, Kind, Mode, View
from weft.resolve import policies, routes, specs
from weft.resolve.explained import Arrival, Explanation, HostTried, InForce
from weft.resolve.hosts import Backend
from weft.resolve.matching import Request
from weft.resolve.outbound import backends
from weft.resolve.proxy import proxy
from weft.resolve.reading import Reading
from weft.resolve.routes import ServicePort
from weft.resolve.transparent import known_names
from weft.resolve.walk import CONNECT, Connection, Walk, walk
from weft.resolve.why_service import candidates, http, is_outside, tcp


@dataclass(frozen=True, slots=True)
class Asked:
    """How a caller reaches out, besides what the request itself says."""

    port: int | None = None
    """The port it dials; None: the first that the service has, else that of the scheme."""
    socket: bool = False
    """In explicit mode: by the backend's own local socket, and not by ``http_proxy``."""
    address: str = ""
    """In transparent mode: the address it dials, where that matters."""


def from_caller(
    reading: Reading, view: View, name: str, request: Request, asked: Asked
) -> Explanation:
    mesh, node = view.proxy.mesh, view.proxy.name
    bare, _, digits = name.rpartition(":") if ":" in name else (name, "", "")
    service = bare if bare and digits.isdecimal() else name
    dialled = asked.port or (int(digits) if digits.isdecimal() and bare else None)
    reached = reading.part(routes.service, mesh, service)
    ports = tuple(each.port for each in reached.ports)
    tls = request.scheme == "https"
    port = dialled or (ports[0] if ports else 443 if tls else 80)
    told = reading.part(proxy, view)
    backend = _backend(reading, mesh, node, service, port)
    host = request.host or _written(name, service, port, tls=tls)
    given = replace(request, host=host)
    if not asked.address and view.mode is Mode.TRANSPARENT and view.ports.dns:
        asked = replace(asked, address=_named_address(reading, mesh, node, service))
    connection, because = _connection(view, backend, port, service, asked, tls=tls)
    if tls and view.mode is Mode.EXPLICIT and request.method != CONNECT:
        # Clients ask http_proxy for a tunnel, and speak TLS within.
        given = replace(given, method=CONNECT, host=f"{service}:{port}")
    way = walk(told, connection, given)
    exists = reading.resource(Key(mesh, Kind.VIRTUAL_SERVICE, service)) is not None
    protocol = backend.protocol if backend else None
    base = Explanation(
        service if exists else None,
        port,
        protocol,
        ports,
        None,
        "",
        notes=tuple(_notes(reading, view, service, port, ports, exists=exists)),
        caller=str(view.proxy),
        host=host,
    )
    if way is None:
        refused = f"the proxy has no listener {connection.listener}: the connection is refused"
        return replace(base, summary=refused)
    base = replace(
        base,
        arrival=Arrival(
            view.mode.value,
            connection.listener,
            way.chain.name if way.chain else "",
            way.configuration,
            because,
        ),
        hosts=tuple(HostTried(each.name, each.domains, each is way.host) for each in way.hosts),
    )
    return _arrived(reading, view, base, backend, way)


def _backend(reading: Reading, mesh: str, node: str, service: str, port: int) -> Backend | None:
    found = reading.part(backends, mesh, node).found
    return next((each for each in found if (each.service, each.port) == (service, port)), None)


def _named_address(reading: Reading, mesh: str, node: str, service: str) -> str:
    """What mesh DNS answers for a service; empty where it does not know the name."""
    known = reading.part(known_names, mesh, node)
    return next((each.address for each in known.prefixes(service)), "")


def _written(name: str, service: str, port: int, *, tls: bool) -> str:
    """As clients write a host: without the port where it is their scheme's own."""
    if name != service:
        return name
    return service if port == (443 if tls else 80) else f"{service}:{port}"


def _connection(
    view: View, backend: Backend | None, port: int, service: str, asked: Asked, *, tls: bool
) -> tuple[Connection, str]:
    """Where the connection arrives, and why there."""
    server_name = service if tls else ""
    if view.mode is Mode.TRANSPARENT:
        made_to = Connection(names.EGRESS_LISTENER, port, asked.address, server_name)
        at = f"{asked.address} port {port}" if asked.address else f"port {port}"
        return made_to, f"the kernel redirects what is dialled at {at}"
    own = next(
        (
            each
            for each in view.ports.backends
            if backend and (each.service, each.listener) == (backend.service, backend.port)
        ),
        None,
    )
    if own and (asked.socket or not backend or backend.protocol.value != "http"):
        name = names.backend_listener(own.service, own.listener)
        return Connection(name, own.socket), f"the backend's own socket, 127.0.0.1:{own.socket}"
    egress = Connection(names.EGRESS_LISTENER, view.ports.egress)
    return egress, f"http_proxy leads to 127.0.0.1:{view.ports.egress}"


def _notes(
    reading: Reading, view: View, service: str, port: int, ports: tuple[int, ...], *, exists: bool
) -> Iterator[str]:
    """What stands between a view and the service."""
    given = reading.part(backends, view.proxy.mesh, view.proxy.name)
    if not exists:
        return
    if service not in given.services:
        yield (
            f"{view.proxy} does not have {service} among its backends: its proxy does not know it"
        )
    elif ports and port not in ports:
        yield f"{service} is not called at port {port}; its ports: {', '.join(map(str, ports))}"
    about = Key(view.proxy.mesh, Kind.VIRTUAL_NODE, view.proxy.name)
    named = {str(about)} | {
        f"{about} spec.backends[{i}]"
        for i, each in enumerate(_backends_of(reading, view))
        if each == service
    }
    for note in given.notes:
        if note.path in named:
            yield f"{note.path}: {note.message}"


def _backends_of(reading: Reading, view: View) -> list[str]:
    spec = specs.virtual_node(reading, view.proxy.mesh, view.proxy.name)
    given = spec.backends or () if spec else ()
    return [each.virtual_service.virtual_service_name for each in given]


def _arrived(
    reading: Reading, view: View, base: Explanation, backend: Backend | None, way: Walk
) -> Explanation:
    mesh = view.proxy.mesh
    action = way.chain.action if way.chain else listeners.Close()
    match action:
        case listeners.Close():
            return _closed(reading, view, base, backend, way)
        case listeners.Tcp(targets=targets):
            if is_outside(targets):
                return _outside(reading, view, base, targets)
            assert backend is not None, "a chain to targets is a backend's"
            return tcp(reading, mesh, base, ServicePort(backend.port, backend.protocol))
        case listeners.Http():
            pass
    if way.host is None:
        return replace(
            base,
            status=404,
            summary=f"no virtual host is for {base.host}: the caller gets 404",
            outside=_denied(reading, view, base),
        )
    chosen = way.chosen
    if chosen is None or chosen.service or _serves(way.host, base.service):
        at = ServicePort(base.port or 0, backend.protocol) if backend else None
        return http(reading, mesh, base, at, way.tried)
    listed = tuple(candidates(way.tried, {}))
    base = replace(base, candidates=listed, route=chosen.name)
    if isinstance(chosen.action, ir.Respond):
        return replace(
            base,
            status=chosen.action.status,
            summary=f"the caller gets {chosen.action.status}: {chosen.action.body.strip()}",
            outside=_denied(reading, view, base),
        )
    return _outside(reading, view, base, chosen.action.targets)


def _serves(host: ir.VirtualHost, service: str | None) -> bool:
    return service is not None and (
        any(each.service == service for each in host.routes)
        or host.name == service
        or host.name.rpartition(":")[0] == service
    )


def _closed(
    reading: Reading, view: View, base: Explanation, backend: Backend | None, way: Walk
) -> Explanation:
    if way.chain is None:
        summary = f"nothing is for port {base.port}: the connection is closed"
    elif backend is not None and not backend.protocol.is_http:
        summary = "it has no route for TCP: connections are closed"
    else:
        summary = f"chain {way.chain.name} closes the connection"
    return replace(base, summary=summary, outside=_denied(reading, view, base))


# --- Outside the mesh -------------------------------------------------------------------------


def _filter(reading: Reading, view: View) -> str:
    """Whose egress filter holds, and which."""
    mesh, node = view.proxy.mesh, view.proxy.name
    open_to = reading.part(policies.outside, mesh, node)
    found = "ALLOW_ALL" if open_to.everything else "DROP_ALL"
    whose = f"mesh {mesh}"
    if open_to.everything is not specs.mesh(reading, mesh).allows_all:
        whose = f"the policy of virtual node {node}"
    return f"the egress filter of {whose} is {found}"


def _denied(reading: Reading, view: View, base: Explanation) -> str | None:
    if base.service is not None:
        return None
    return f"denied: {base.host} is no backend, and {_filter(reading, view)}"


def _outside(
    reading: Reading, view: View, base: Explanation, targets: Sequence[ir.Target]
) -> Explanation:
    (cluster, *_) = (each.cluster for each in targets)
    if cluster.endswith("_self-redirect"):
        summary = "the tunnel leads back into this proxy, and what is in it is routed anew"
        return replace(base, summary=summary)
    if cluster.endswith("_amazonaws"):
        verdict = "allowed: *.amazonaws.com at port 443 is App Mesh's exception from the filter"
    else:
        verdict = f"allowed: {_filter(reading, view)}"
    summary = f"it leaves the mesh by {cluster}, without routes, retries or limits of the mesh"
    return replace(
        base,
        summary=summary,
        outside=verdict,
        policies=tuple(_outside_policies(reading, view)),
    )


def _outside_policies(reading: Reading, view: View) -> Iterator[InForce]:
    mesh, node = view.proxy.mesh, view.proxy.name
    open_to = reading.part(policies.outside, mesh, node)
    if open_to.everything is not specs.mesh(reading, mesh).allows_all:
        filter_ = "ALLOW_ALL" if open_to.everything else "DROP_ALL"
        about = Key(mesh, Kind.VIRTUAL_NODE, node)
        yield InForce(str(about), f"egress={filter_}", "holds in place of its mesh's egress filter")
    if not open_to.amazonaws:
        says = "*.amazonaws.com is no exception from the egress filter"
        yield InForce(f"mesh/{mesh}", "amazonaws=off", says)
