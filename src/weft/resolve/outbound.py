"""What a proxy does for its workload when that calls others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from weft import names
from weft.errors import WeftError
from weft.ir import cluster, listener, route
from weft.ir.cluster import IpPreference, Protocol, SocketAddress
from weft.ir.listener import Chain, ChainMatch, Direction
from weft.ir.proxy import Note, Proxy
from weft.ir.value import value
from weft.model.virtual_node import VirtualNodeSpec
from weft.names import Arn, Key, Kind, Ports
from weft.resolve import hosts, routes, specs, tls
from weft.resolve.clusters import Target, called, own_or_mesh
from weft.resolve.hosts import Backend, Hosts
from weft.resolve.inbound import LOOPBACK
from weft.resolve.limits import sayable
from weft.resolve.logs import access_log
from weft.resolve.policies import Outside, outside
from weft.resolve.reading import Reading
from weft.resolve.routes import ServicePort
from weft.resolve.secrets import Sds
from weft.resolve.timeouts import IDLE

CONNECT_TIMEOUT = timedelta(seconds=1)
SELF_CONNECT_TIMEOUT = timedelta(milliseconds=250)


@value
class Backends:
    """The backends of one virtual node, by name and port."""

    found: tuple[Backend, ...]
    services: tuple[str, ...]
    notes: tuple[Note, ...] = ()


def backends(reading: Reading, mesh: str, node: str) -> Backends:
    """What a virtual node may call, as far as it exists."""
    spec = specs.virtual_node(reading, mesh, node) or VirtualNodeSpec()
    key = Key(mesh, Kind.VIRTUAL_NODE, node)
    found: list[Backend] = []
    notes: list[Note] = []
    services: set[str] = set()
    for i, given in enumerate(spec.backends or ()):
        place = f"{key} spec.backends[{i}]"
        name = service_name(given.virtual_service.virtual_service_name)
        if name in services:
            continue
        if not sayable(name):
            notes.append(Note(place, f"{name!r} cannot be a host name"))
            continue
        services.add(name)
        service = reading.part(routes.service, mesh, name)
        found.extend(Backend(name, port.port, port.protocol) for port in service.ports)
        if service.lacks:
            notes.append(Note(place, service.lacks))
    found.sort(key=lambda each: (each.service, each.port))
    return Backends(tuple(found), tuple(sorted(services)), tuple(notes))


def service_name(given: str) -> str:
    """App Mesh took a virtual service's ARN in place of its name."""
    if given.startswith("arn:"):
        try:
            return Arn.parse(given).key.name
        except WeftError:
            return given
    return given


def caller(reading: Reading, mesh: str, node: str, sds: Sds) -> tls.Caller:
    """What a virtual node's definition says of how it calls its backends."""
    spec = specs.virtual_node(reading, mesh, node) or VirtualNodeSpec()
    default = tls.default_policy(spec.backend_defaults)
    own: dict[str, tls.Policy | None] = {}
    for each in spec.backends or ():
        given = each.virtual_service.client_policy
        own.setdefault(
            service_name(each.virtual_service.virtual_service_name),
            default if given is None else tls.policy(given),
        )
    different = sorted((name, asked) for name, asked in own.items() if asked != default)
    return tls.Caller(default, tuple(different), sds)


def clusters(
    reading: Reading, mesh: str, services: tuple[str, ...], by: tls.Caller = tls.NO_POLICY
) -> Proxy:
    """
    The clusters behind a set of virtual services, shared by all who call the same set
    under the same policies.

    A target has one cluster. Where several of the services lead to it, a policy that was
    given for one of them goes before the default, and the first by name before the rest.
    """
    policies = dict(by.own)
    reach: dict[Target, tls.Policy | None] = {}
    notes: list[Note] = []
    for name in sorted(services, key=lambda name: name not in policies):
        asked = policies.get(name, by.default)
        for target in reading.part(routes.targets, mesh, name):
            if reach.setdefault(target, asked) != asked:
                notes.append(
                    Note(
                        f"{Key(mesh, Kind.VIRTUAL_SERVICE, name)}",
                        f"leads to {target.node}, for which the client policy of another backend "
                        "of the same caller counts: give both the same",
                    )
                )
    found = [
        reading.part(called, each, reach[each], by.sds)
        for each in sorted(reach, key=lambda t: t.cluster)
    ]
    return Proxy(
        clusters=tuple(each.cluster for each in found),
        assignments=tuple(each.assignment for each in found if each.assignment),
        notes=(*notes, *(note for each in found for note in each.notes)),
        secrets=tuple(dict.fromkeys(secret for each in found for secret in each.secrets)),
    )


def nameless(key: Key, found: Hosts) -> Iterable[Note]:
    for backend in found.nameless:
        yield Note(str(key), f"{backend} cannot be told from another backend by its host name")


def tcp(
    reading: Reading, mesh: str, backend: Backend, log: listener.AccessLog | None
) -> listener.Tcp | listener.Close:
    at = ServicePort(backend.port, backend.protocol)
    tunnel = reading.part(routes.tcp_route, mesh, backend.service, at)
    if not any(target.weight for target in tunnel.targets):
        return listener.Close()
    return listener.Tcp("egress", tunnel.targets, tunnel.idle_timeout, log, backend.service)


def to(name: str) -> route.Target:
    return route.Target(name)


# --- Explicit mode ----------------------------------------------------------------------------


def explicit(reading: Reading, mesh: str, node: str, ports: Ports, sds: Sds = Sds.BESIDE) -> Proxy:
    """Egress by ``http_proxy``, and by a local socket for each backend that has one."""
    given = reading.part(backends, mesh, node)
    open_to = reading.part(outside, mesh, node)
    found = reading.part(hosts.at_any_port, mesh, given.found, open_to)
    local = {
        each.socket: backend
        for each in ports.backends
        for backend in given.found
        if (backend.service, backend.port) == (each.service, each.listener)
    }
    reach = reading.part(clusters, mesh, given.services, reading.part(caller, mesh, node, sds))
    key = Key(mesh, Kind.VIRTUAL_NODE, node)
    return Proxy(
        listeners=(
            *reading.part(proxy_listener, mesh, node, ports.egress),
            *(
                reading.part(local_listener, mesh, node, backend, socket)
                for socket, backend in local.items()
            ),
        ),
        route_configurations=(
            *((found.configuration,) if ports.egress else ()),
            *(
                reading.part(hosts.at_own_socket, mesh, backend)
                for backend in local.values()
                if backend.protocol.is_http
            ),
        ),
        clusters=(
            *reach.clusters,
            *reading.part(forward_proxies, mesh, open_to),
            *_self_redirect(mesh, ports.egress),
        ),
        assignments=reach.assignments,
        notes=(
            *given.notes,
            *reach.notes,
            *nameless(key, found),
            *_without_socket(key, given.found, local.values()),
        ),
        secrets=reach.secrets,
    )


def proxy_listener(
    reading: Reading, mesh: str, node: str, port: int
) -> tuple[listener.Listener, ...]:
    """What the workload's ``http_proxy`` points at."""
    if not port:
        return ()
    spec = specs.virtual_node(reading, mesh, node) or VirtualNodeSpec()
    http = listener.Http(
        "egress",
        names.egress_route_configuration(15001),
        IDLE,
        websockets=True,
        tunnels=True,
        forward_proxy=_outside_preference(reading, mesh),
        access_log=access_log(spec),
    )
    return (_local(names.EGRESS_LISTENER, port, "0.0.0.0_15001", http),)


def local_listener(
    reading: Reading, mesh: str, node: str, backend: Backend, socket: int
) -> listener.Listener:
    """One backend's own socket: no name is asked for, and no inspector makes anybody wait."""
    spec = specs.virtual_node(reading, mesh, node) or VirtualNodeSpec()
    log = access_log(spec)
    action: listener.Http | listener.Tcp | listener.Close
    if backend.protocol.is_http:
        routes_name = names.backend_route_configuration(backend.service, backend.port)
        websockets = backend.protocol is Protocol.HTTP
        action = listener.Http("egress", routes_name, IDLE, websockets, access_log=log)
    else:
        action = tcp(reading, mesh, backend, log)
    name = names.backend_listener(backend.service, backend.port)
    return _local(name, socket, "", action)


def _local(
    name: str, port: int, stat_prefix: str, action: listener.Http | listener.Tcp | listener.Close
) -> listener.Listener:
    return listener.Listener(
        name,
        (SocketAddress(LOOPBACK, port),),
        Direction.OUTBOUND,
        (Chain("egress", ChainMatch(), action),),
        stat_prefix=stat_prefix,
    )


def _outside_preference(reading: Reading, mesh: str) -> IpPreference:
    found = own_or_mesh(reading, mesh, None)
    return IpPreference.EITHER if found is IpPreference.UNSET else found


def forward_proxies(reading: Reading, mesh: str, open_to: Outside) -> tuple[cluster.Cluster, ...]:
    """What lies outside the mesh, found by the name that each request gives."""
    by_name = cluster.NamedByRequest(_outside_preference(reading, mesh))
    return tuple(
        cluster.Cluster(name, by_name, None, CONNECT_TIMEOUT)
        for name in outside_clusters(mesh, open_to)
    )


def outside_clusters(mesh: str, open_to: Outside) -> list[str]:
    found = [names.amazonaws_cluster(mesh)] if open_to.amazonaws else []
    return [*found, names.allow_all_cluster(mesh)] if open_to.everything else found


def _self_redirect(mesh: str, port: int) -> Iterable[cluster.Cluster]:
    endpoints = (SocketAddress(LOOPBACK, port),) if port else ()
    yield cluster.Cluster(
        names.self_redirect_cluster(mesh),
        cluster.Static(endpoints),
        Protocol.TCP,
        SELF_CONNECT_TIMEOUT,
    )


def _without_socket(key: Key, found: Iterable[Backend], local: Iterable[Backend]) -> Iterable[Note]:
    served = set(local)
    for backend in found:
        if backend in served:
            continue
        if "_" in backend.service:
            yield Note(
                str(key),
                f"{backend} has no local socket, and Envoy refuses its name in http_proxy's "
                "requests for the underscore: nobody can call it",
            )
        elif backend.protocol is not Protocol.HTTP:
            yield Note(
                str(key),
                f"{backend} has no local socket: only clients that make tunnels of http_proxy "
                "reach it",
            )
