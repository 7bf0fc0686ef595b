"""What a proxy does for those who call its workload."""

from __future__ import annotations

from datetime import timedelta

from weft import names
from weft.ir import cluster, listener, route
from weft.ir.cluster import IpPreference, Protocol, SocketAddress
from weft.ir.proxy import Note, Proxy
from weft.model.listener import HttpTimeout
from weft.model.listener import Listener as ListenerSpec
from weft.model.virtual_node import VirtualNodeSpec
from weft.names import Key, Kind, Mode, Ports
from weft.resolve import specs, tls
from weft.resolve.clusters import preference
from weft.resolve.logs import access_log
from weft.resolve.protection import breakers
from weft.resolve.reading import Reading
from weft.resolve.secrets import Sds
from weft.resolve.sockets import INGRESS
from weft.resolve.timeouts import IDLE, PER_REQUEST, listener_timeouts, timeout

LOOPBACK = "127.0.0.1"
CONNECT_TIMEOUT = timedelta(milliseconds=250)
"""App Mesh's, for what is on the workload's own machine."""

_VERSION_6 = (IpPreference.IPV6_PREFERRED, IpPreference.IPV6_ONLY)


def inbound(
    reading: Reading, mesh: str, node: str, mode: Mode, ports: Ports, sds: Sds = Sds.BESIDE
) -> Proxy:
    """Listeners, routes and clusters towards the workload itself."""
    spec = specs.virtual_node(reading, mesh, node) or VirtualNodeSpec()
    key = Key(mesh, Kind.VIRTUAL_NODE, node)
    served = [(each, each.port_mapping.port) for each in spec.listeners or ()]
    notes: tuple[Note, ...] = ()
    if mode is Mode.EXPLICIT:
        sockets = {each.listener: each for each in ports.ingress}
        notes = tuple(
            Note(
                f"{key} spec.listeners[{i}]",
                f"the proxy has no socket for port {port}: nobody can call it",
            )
            for i, (_, port) in enumerate(served)
            if port not in sockets
        )
        served = [(each, port) for each, port in served if port in sockets]
        arrivals = {port: sockets[port].socket for _, port in served}
        apps = {port: SocketAddress(LOOPBACK, sockets[port].app) for _, port in served}
        addresses = tuple(SocketAddress(LOOPBACK, arrivals[port]) for _, port in served)
    else:
        preferred = preference(reading, mesh, spec)
        host = "::1" if preferred in _VERSION_6 else LOOPBACK
        arrivals = {port: port for _, port in served}
        apps = {port: SocketAddress(host, port) for _, port in served}
        addresses = (bind_address(preferred, INGRESS),)
    if not served:
        return Proxy(notes=notes)
    taken = {port: tls.taken(reading, each.tls, _protocol(each), sds=sds) for each, port in served}
    places = {
        each.port_mapping.port: f"{key} spec.listeners[{i}].tls"
        for i, each in enumerate(spec.listeners or ())
    }
    asking = [each for each, port in served if taken[port].asks]
    return Proxy(
        listeners=(
            listener.Listener(
                names.INGRESS_LISTENER,
                addresses,
                listener.Direction.INBOUND,
                tuple(
                    chain
                    for each, port in served
                    for chain in tls.chains(
                        _chain(spec, each, mesh, node, arrivals[port]), taken[port]
                    )
                ),
                redirected=mode is Mode.TRANSPARENT,
                server_name_ports=tuple(arrivals[each.port_mapping.port] for each in asking),
                both_families=addresses[0].host == "::",
                stat_prefix="0.0.0.0_15000" if mode is Mode.EXPLICIT else "",
                patience=tls.patience(map(_protocol, asking)),
            ),
        ),
        route_configurations=tuple(
            _routes(each, mesh, node)
            for each, port in served
            if _protocol(each).is_http and (taken[port].plain or not taken[port].closed)
        ),
        clusters=tuple(
            cluster.Cluster(
                _cluster(each, mesh, node),
                cluster.Static((apps[port],)),
                _protocol(each),
                CONNECT_TIMEOUT,
                breakers=breakers(each.connection_pool),
            )
            for each, port in served
        ),
        notes=(
            *notes,
            *(note for port, how in taken.items() for note in tls.notes(places[port], how)),
        ),
        secrets=tuple(dict.fromkeys(secret for how in taken.values() for secret in how.secrets)),
    )


def bind_address(preferred: IpPreference, port: int) -> SocketAddress:
    """With any preference at all App Mesh bound to both families."""
    return SocketAddress("0.0.0.0" if preferred is IpPreference.UNSET else "::", port)


def _protocol(spec: ListenerSpec) -> Protocol:
    return Protocol(spec.port_mapping.protocol)


def _cluster(spec: ListenerSpec, mesh: str, node: str) -> str:
    return names.ingress_cluster(mesh, node, _protocol(spec), spec.port_mapping.port)


def _chain(
    spec: VirtualNodeSpec, each: ListenerSpec, mesh: str, node: str, arrives_at: int
) -> listener.Chain:
    protocol, port = _protocol(each), each.port_mapping.port
    given = listener_timeouts(each)
    log = access_log(spec)
    action: listener.Http | listener.Tcp
    if protocol.is_http:
        action = listener.Http(
            "ingress",
            names.ingress_route_configuration(port),
            timeout(given.idle, IDLE),
            websockets=protocol is Protocol.HTTP,
            access_log=log,
        )
    else:
        target = route.Target(_cluster(each, mesh, node))
        action = listener.Tcp("ingress", (target,), timeout(given.idle), log)
    return listener.Chain(f"{protocol}_{port}", listener.ChainMatch(arrives_at), action)


def _routes(each: ListenerSpec, mesh: str, node: str) -> route.RouteConfiguration:
    given = listener_timeouts(each)
    per_request = given.per_request if isinstance(given, HttpTimeout) else None
    forward = route.Forward(
        (route.Target(_cluster(each, mesh, node)),), timeout(per_request, PER_REQUEST)
    )
    return route.RouteConfiguration(
        names.ingress_route_configuration(each.port_mapping.port),
        (route.VirtualHost(node, ("*",), (route.Route(node, route.RequestMatch(), forward),)),),
    )
