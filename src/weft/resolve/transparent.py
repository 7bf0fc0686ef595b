"""Egress of a workload whose connections the kernel redirects: by port, and by address."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from weft import names
from weft.ir import cluster, listener
from weft.ir.cluster import IpPreference
from weft.ir.listener import Chain, ChainMatch, Direction
from weft.ir.proxy import Note, Proxy
from weft.ir.value import value
from weft.model.virtual_node import VirtualNodeSpec
from weft.names import Key, Kind, Ports
from weft.resolve import hosts, mesh_dns, specs
from weft.resolve.clusters import preference
from weft.resolve.hosts import Backend
from weft.resolve.inbound import bind_address
from weft.resolve.logs import access_log
from weft.resolve.outbound import (
    CONNECT_TIMEOUT,
    backends,
    caller,
    clusters,
    nameless,
    outside_clusters,
    tcp,
    to,
)
from weft.resolve.policies import outside
from weft.resolve.reading import Reading
from weft.resolve.secrets import Sds
from weft.resolve.timeouts import IDLE

_VERSION_6 = (IpPreference.IPV6_PREFERRED, IpPreference.IPV6_ONLY)
HTTPS = 443
SHORT_WAIT = timedelta(milliseconds=200)
"""Where a backend's server may be waited for meanwhile. A TLS client speaks at once."""


@value
class Claim:
    """What one port leads to: requests to any of several backends, or connections to one."""

    port: int
    backends: tuple[Backend, ...]
    by_address: tuple[Backend, ...] = ()
    """With mesh DNS: those that are told apart by their own virtual addresses."""

    @property
    def is_http(self) -> bool:
        return self.backends[0].protocol.is_http

    @property
    def has_tcp(self) -> bool:
        """Whether a connection may be passed on as it is."""
        return any(not each.protocol.is_http for each in (*self.backends, *self.by_address))

    @property
    def requests(self) -> tuple[Backend, ...]:
        """Those of the HTTP family, whichever way they are reached."""
        given = self.backends if self.is_http else self.by_address
        return tuple(each for each in given if each.protocol.is_http)


@value
class Claims:
    by_port: tuple[Claim, ...]
    notes: tuple[Note, ...]


def known_names(reading: Reading, mesh: str, node: str) -> mesh_dns.Names:
    """The names that mesh DNS answers for a virtual node: of all it can call."""
    spec = specs.virtual_node(reading, mesh, node) or VirtualNodeSpec()
    # Clients that are given both choose version 6, so it is given where that is preferred.
    both = preference(reading, mesh, spec) in _VERSION_6
    services = [each.service for each in reading.part(backends, mesh, node).found]
    return mesh_dns.answered(mesh, node, services, both_families=both)


def claims(reading: Reading, mesh: str, node: str, by_name: bool) -> Claims:  # noqa: FBT001
    """
    Who gets which port. The first backend by name keeps it.

    A connection says only to which port it was made, so a port leads to one TCP
    backend or to several of the HTTP family, and never to both: unless clients have
    the address from mesh DNS, and with it the name.
    """
    given = reading.part(backends, mesh, node)
    key = Key(mesh, Kind.VIRTUAL_NODE, node)
    named = set(reading.part(known_names, mesh, node).services) if by_name else set()
    by_port: dict[int, list[Backend]] = {}
    by_address: dict[int, list[Backend]] = {}
    notes = list(given.notes)
    for backend in given.found:
        first, *_ = holders = by_port.setdefault(backend.port, [backend])
        joins = first.protocol.is_http and backend.protocol.is_http
        if backend.service in named and not joins:
            by_address.setdefault(backend.port, []).append(backend)
        if first is backend:
            continue
        if joins:
            holders.append(backend)
        elif backend.service not in named:
            notes.append(
                Note(
                    str(key),
                    f"{backend} cannot be reached: port {backend.port} leads to {first}; "
                    "give one of them a port of its own",
                )
            )
    return Claims(
        tuple(
            Claim(port, tuple(holders), tuple(by_address.get(port, ())))
            for port, holders in sorted(by_port.items())
        ),
        tuple(notes),
    )


def transparent(
    reading: Reading, mesh: str, node: str, ports: Ports, sds: Sds = Sds.BESIDE
) -> Proxy:
    """Egress by the port and address that the workload itself dialled."""
    by_name = bool(ports.dns)
    known = reading.part(known_names, mesh, node) if by_name else mesh_dns.NOBODY
    claimed = reading.part(claims, mesh, node, by_name)
    open_to = reading.part(outside, mesh, node)
    found = [
        reading.part(
            hosts.at_one_port,
            mesh,
            claim.requests,
            claim.port,
            open_to,
            known.elsewhere(each.service for each in claim.requests),
        )
        for claim in claimed.by_port
        if claim.requests
    ]
    services = reading.part(backends, mesh, node).services
    reach = reading.part(clusters, mesh, services, reading.part(caller, mesh, node, sds))
    key = Key(mesh, Kind.VIRTUAL_NODE, node)
    return Proxy(
        listeners=(reading.part(transparent_listener, mesh, node, ports.egress, by_name),),
        route_configurations=tuple(each.configuration for each in found),
        clusters=(
            *reach.clusters,
            *(
                cluster.Cluster(name, cluster.OriginalDestination(), None, CONNECT_TIMEOUT)
                for name in outside_clusters(mesh, open_to)
            ),
        ),
        assignments=reach.assignments,
        notes=(
            *claimed.notes,
            *known.notes,
            *reach.notes,
            *(note for each in found for note in nameless(key, each)),
        ),
        name_servers=(mesh_dns.name_server(known, ports.dns),) if by_name else (),
        secrets=reach.secrets,
    )


def transparent_listener(
    reading: Reading,
    mesh: str,
    node: str,
    port: int,
    by_name: bool,  # noqa: FBT001 - parts take positions
) -> listener.Listener:
    """The one egress listener; what it reads changes seldom."""
    spec = specs.virtual_node(reading, mesh, node) or VirtualNodeSpec()
    log = access_log(spec)
    known = reading.part(known_names, mesh, node) if by_name else mesh_dns.NOBODY
    claimed = reading.part(claims, mesh, node, by_name).by_port
    chains = [c for claim in claimed for c in _port_chains(reading, mesh, claim, known, log)]
    open_to = reading.part(outside, mesh, node)
    if open_to.amazonaws:
        aws = listener.Tcp("egress", (to(names.amazonaws_cluster(mesh)),), access_log=log)
        chains.append(Chain("amazonaws", ChainMatch(HTTPS, (hosts.AMAZONAWS,)), aws))
    if by_name:
        # Envoy looks at the port first, and among all ports only if no chain has this one.
        chains.append(_unserved(None, known))
        if open_to.amazonaws and all(claim.port != HTTPS for claim in claimed):
            chains.append(_unserved(HTTPS, known))
    rest = None
    if open_to.everything:
        passed = listener.Tcp("egress", (to(names.allow_all_cluster(mesh)),), access_log=log)
        rest = Chain("mesh-allow-all", ChainMatch(), passed)
        if all(claim.port != port for claim in claimed):
            # Passed through, a connection to the proxy's own port would come back for ever.
            chains.append(Chain("loop", ChainMatch(port), listener.Close()))
    elif not chains:
        # Envoy refuses a listener without any chain.
        chains.append(Chain("nothing", ChainMatch(), listener.Close()))
    address = bind_address(preference(reading, mesh, spec), port)
    return listener.Listener(
        names.EGRESS_LISTENER,
        (address,),
        Direction.OUTBOUND,
        tuple(chains),
        rest,
        redirected=True,
        # Nowhere else: where a server speaks first, waiting for the client hangs both.
        server_name_ports=(HTTPS,) if open_to.amazonaws else (),
        both_families=address.host == "::",
        patience=SHORT_WAIT
        if any(claim.port == HTTPS and claim.has_tcp for claim in claimed)
        else None,
    )


def _port_chains(
    reading: Reading,
    mesh: str,
    claim: Claim,
    known: mesh_dns.Names,
    log: listener.AccessLog | None,
) -> Iterable[Chain]:
    """What a port leads to, whatever the address; and with mesh DNS, what each address does."""
    routes_name = names.egress_route_configuration(claim.port)
    http = listener.Http("egress", routes_name, IDLE, websockets=True, access_log=log)
    if claim.is_http:
        yield Chain(f"http_{claim.port}", ChainMatch(claim.port), http)
    else:
        (backend,) = claim.backends
        at_any = ChainMatch(claim.port)
        yield Chain(_tcp_name(backend), at_any, tcp(reading, mesh, backend, log))
        if known.found:
            yield _unserved(claim.port, known)
        if claim.requests:
            prefixes = [p for each in claim.requests for p in known.prefixes(each.service)]
            match = ChainMatch(claim.port, prefixes=tuple(prefixes))
            yield Chain(f"http_{claim.port}_virtual", match, http)
    for backend in claim.by_address:
        if not backend.protocol.is_http:
            match = ChainMatch(claim.port, prefixes=known.prefixes(backend.service))
            action = tcp(reading, mesh, backend, log)
            yield Chain(f"{_tcp_name(backend)}_virtual", match, action)


def _tcp_name(backend: Backend) -> str:
    return f"tcp_{backend.port}_{backend.service}"


def _unserved(port: int | None, known: mesh_dns.Names) -> Chain:
    """A virtual address at a port that it does not have: nobody is there to pass it on to."""
    name = "unserved" if port is None else f"unserved_{port}"
    return Chain(name, ChainMatch(port, prefixes=known.ranges), listener.Close())
