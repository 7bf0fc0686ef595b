"""
What the proxy of a virtual gateway does: listeners for outside, and its own egress behind them.

    client ──▶ lds_ingress_0.0.0.0_PORT ──self_redirect──▶ lds_egress_0.0.0.0_15001 ──▶ service
               which service, rewrites                     the service's own routes

Two hops in one proxy, as in App Mesh: statistics, logs and limits are those of a gateway
in front of an ordinary caller (decision 0025).
"""

from __future__ import annotations

from weft import names
from weft.ir import cluster, listener
from weft.ir.cluster import Protocol, SocketAddress
from weft.ir.proxy import Note, Proxy
from weft.model.listener import GatewayListener
from weft.model.virtual_gateway import VirtualGatewaySpec
from weft.names import Key, Kind, Mode, Ports
from weft.resolve import gateway_hosts, gateway_routes, specs, tls
from weft.resolve.clusters import own_or_mesh
from weft.resolve.gateway_routes import redirect_cluster
from weft.resolve.inbound import LOOPBACK, bind_address
from weft.resolve.logs import access_log
from weft.resolve.outbound import SELF_CONNECT_TIMEOUT, clusters, nameless
from weft.resolve.protection import breakers
from weft.resolve.reading import Reading
from weft.resolve.secrets import Sds
from weft.resolve.timeouts import IDLE


def gateway(
    reading: Reading, mesh: str, name: str, mode: Mode, ports: Ports, sds: Sds = Sds.BESIDE
) -> Proxy:
    """All that a gateway's proxy does."""
    key = Key(mesh, Kind.VIRTUAL_GATEWAY, name)
    spec = specs.virtual_gateway(reading, mesh, name)
    assert spec is not None, "the proxy's resource was just read"
    served, notes = _served(key, spec, mode, ports)
    offered = [
        reading.part(gateway_routes.at_listener, mesh, name, each.port_mapping.port)
        for each in served
    ]
    egress = reading.part(gateway_hosts.at_egress, mesh, name)
    led_to = reading.part(gateway_hosts.destinations, key)
    by = tls.Caller(tls.default_policy(spec.backend_defaults), sds=sds)
    reach = reading.part(clusters, mesh, led_to.services, by)
    taken = [reading.part(taken_at, mesh, name, each.port_mapping.port, sds) for each in served]
    return Proxy(
        listeners=(
            # First: what comes in at the others goes on to it.
            *reading.part(inside, mesh, name, ports.egress),
            *(
                reading.part(outside, mesh, name, each.port_mapping.port, mode, ports, sds)
                for each in served
            ),
        ),
        route_configurations=(
            *(
                each.configuration
                for each, how in zip(offered, taken, strict=True)
                if how.plain or not how.closed
            ),
            *((egress.configuration,) if ports.egress else ()),
        ),
        clusters=(
            *(self_redirect(mesh, name, spec, each, ports.egress) for each in served),
            *reach.clusters,
        ),
        assignments=reach.assignments,
        notes=(
            *notes,
            *dict.fromkeys(note for each in offered for note in each.notes),
            *(
                note
                for each, how in zip(served, taken, strict=True)
                for note in tls.notes(f"{key} listener {each.port_mapping.port}", how)
            ),
            *nameless(key, egress),
            *reach.notes,
        ),
        secrets=tuple(
            dict.fromkeys((*(secret for how in taken for secret in how.secrets), *reach.secrets))
        ),
    )


def _served(
    key: Key, spec: VirtualGatewaySpec, mode: Mode, ports: Ports
) -> tuple[list[GatewayListener], tuple[Note, ...]]:
    """The listeners that have a socket."""
    sockets = {each.listener for each in ports.ingress}
    served: list[GatewayListener] = []
    notes: list[Note] = []
    for i, each in enumerate(spec.listeners):
        port = each.port_mapping.port
        if mode is Mode.EXPLICIT and port not in sockets:
            said = f"the proxy has no socket for port {port}: nobody can call it"
        elif mode is Mode.TRANSPARENT and port == ports.egress:
            said = f"port {port} is the proxy's own: nobody can call the gateway there"
        else:
            served.append(each)
            continue
        notes.append(Note(f"{key} spec.listeners[{i}]", said))
    return served, tuple(notes)


def taken_at(reading: Reading, mesh: str, name: str, port: int, sds: Sds) -> tls.Taken:
    """What one port of the gateway takes: plain text, TLS, or either."""
    each = gateway_routes.listener_at(specs.virtual_gateway(reading, mesh, name), port)
    assert each is not None, "its gateway was just read"
    return tls.taken(reading, each.tls, Protocol(each.port_mapping.protocol), sds=sds)


def outside(
    reading: Reading, mesh: str, name: str, port: int, mode: Mode, ports: Ports, sds: Sds
) -> listener.Listener:
    """Where one port of the gateway is served; nothing is redirected to it."""
    spec = specs.virtual_gateway(reading, mesh, name)
    each = gateway_routes.listener_at(spec, port)
    assert spec is not None
    assert each is not None, "its gateway was just read"
    if mode is Mode.EXPLICIT:
        (socket,) = (given.socket for given in ports.ingress if given.listener == port)
        address = SocketAddress(LOOPBACK, socket)
    else:
        address = bind_address(own_or_mesh(reading, mesh, None), port)
    protocol = Protocol(each.port_mapping.protocol)
    http = listener.Http(
        "ingress" if len(spec.listeners) == 1 else f"ingress.{protocol}.{port}",
        names.ingress_route_configuration(port),
        IDLE,
        websockets=protocol is Protocol.HTTP,
        access_log=access_log(spec),
    )
    chain = listener.Chain(f"{protocol}_{port}", listener.ChainMatch(address.port), http)
    how = reading.part(taken_at, mesh, name, port, sds)
    return listener.Listener(
        names.gateway_listener(port),
        (address,),
        listener.Direction.INBOUND,
        tls.chains(chain, how),
        server_name_ports=(address.port,) if how.asks else (),
        both_families=address.host == "::",
        stat_prefix=f"0.0.0.0_{port}",
        patience=tls.patience((protocol,)) if how.asks else None,
    )


def inside(reading: Reading, mesh: str, name: str, port: int) -> tuple[listener.Listener, ...]:
    """
    The egress, which only the proxy itself calls.

    App Mesh bound it to every address: whoever reached that came in past the gateway's
    routes and its TLS.
    """
    if not port:
        return ()
    spec = specs.virtual_gateway(reading, mesh, name)
    assert spec is not None, "the proxy's resource was just read"
    http = listener.Http(
        "egress",
        names.egress_route_configuration(15001),
        IDLE,
        websockets=True,
        access_log=access_log(spec),
    )
    return (
        listener.Listener(
            names.EGRESS_LISTENER,
            (SocketAddress(LOOPBACK, port),),
            listener.Direction.OUTBOUND,
            (listener.Chain("egress", listener.ChainMatch(port), http),),
            stat_prefix="0.0.0.0_15001",
        ),
    )


def self_redirect(
    mesh: str, name: str, spec: VirtualGatewaySpec, each: GatewayListener, egress: int
) -> cluster.Cluster:
    """From a listener to the egress; here, in front of everything, the listener's pool holds."""
    return cluster.Cluster(
        redirect_cluster(mesh, name, spec, each),
        cluster.Static((SocketAddress(LOOPBACK, egress),) if egress else ()),
        Protocol(each.port_mapping.protocol),
        SELF_CONNECT_TIMEOUT,
        breakers=breakers(each.connection_pool),
    )
