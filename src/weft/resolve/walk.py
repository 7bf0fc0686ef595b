"""
The way of one request through what a proxy was told, as Envoy would go it.

It sees nothing but the IR that is translated for Envoy, so it cannot know better than
the proxy: a connection finds its chain, a host its virtual host, a request its route.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from weft.ir import listener as ir
from weft.ir import proxy, route
from weft.resolve.matching import Request, mismatch

CONNECT = "CONNECT"
FOR_TUNNELS = "it is for tunnels (CONNECT) alone"
NOT_FOR_TUNNELS = "the request asks for a tunnel (CONNECT), and this is for requests"


@dataclass(frozen=True, slots=True)
class Connection:
    """How a client reaches its proxy."""

    listener: str
    """Which listener the connection arrives at."""
    port: int
    """The port it was made to."""
    address: str = ""
    """The address it was made to; empty where any would do."""
    server_name: str = ""
    """What a TLS client says (SNI)."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A route, and why it does not match; None where it does."""

    route: route.Route
    reason: str | None


@dataclass(frozen=True, slots=True)
class Walk:
    """How far the request came."""

    chain: ir.Chain | None
    """None: the connection is closed, since no chain is for it."""
    configuration: str = ""
    hosts: tuple[route.VirtualHost, ...] = ()
    """All that there are, in their order."""
    host: route.VirtualHost | None = None
    tried: tuple[Tried, ...] = ()

    @property
    def chosen(self) -> route.Route | None:
        return next((each.route for each in self.tried if each.reason is None), None)


def walk(told: proxy.Proxy, connection: Connection, request: Request) -> Walk | None:
    """From the connection to the route; None where the proxy has no such listener."""
    listener = next((each for each in told.listeners if each.name == connection.listener), None)
    if listener is None:
        return None
    found = chain(listener, connection)
    if found is None or not isinstance(found.action, ir.Http):
        return Walk(found)
    name = found.action.route_configuration
    configuration = next(each for each in told.route_configurations if each.name == name)
    hosts = configuration.virtual_hosts
    host = virtual_host(hosts, request.host)
    tried = tuple(
        Tried(each, reason_against(each.match, request)) for each in (host.routes if host else ())
    )
    return Walk(found, name, hosts, host, tried)


def chain(listener: ir.Listener, connection: Connection) -> ir.Chain | None:
    """
    The filter chain of a connection.

    Envoy compares the port first, then the address, then the server's name, the most
    specific of each, and never goes back: what fits the port but not the name does not
    get a chain for any port.
    """
    found: Sequence[ir.Chain] = listener.chains
    for narrowed in (_by_port, _by_address, _by_server_name):
        found = narrowed(found, connection)
    return found[0] if found else listener.default_chain


def _by_port(found: Sequence[ir.Chain], connection: Connection) -> Sequence[ir.Chain]:
    own = [each for each in found if each.match.destination_port == connection.port]
    return own or [each for each in found if each.match.destination_port is None]


def _by_address(found: Sequence[ir.Chain], connection: Connection) -> Sequence[ir.Chain]:
    def bits(each: ir.Chain) -> int:
        """How much of the address a chain asks for; -1 where it is another's."""
        ranges = getattr(each.match, "prefixes", ())
        if not ranges:
            return 0
        if not connection.address:
            return -1
        address = ip_address(connection.address)
        fitting = [r.bits for r in ranges if address in ip_network(f"{r.address}/{r.bits}")]
        return max(fitting, default=-1)

    best = max(map(bits, found), default=-1)
    return [each for each in found if bits(each) == best] if best >= 0 else []


def _by_server_name(found: Sequence[ir.Chain], connection: Connection) -> Sequence[ir.Chain]:
    def length(each: ir.Chain) -> int:
        """How much of the name a chain asks for; -1 where it is another's."""
        names = each.match.server_names
        if not names:
            return 0
        said = connection.server_name.lower()
        fitting = [
            len(name)
            for name in names
            if said == name or (name.startswith("*.") and said.endswith(name[1:]))
        ]
        return max(fitting, default=-1)

    best = max(map(length, found), default=-1)
    return [each for each in found if length(each) == best] if best >= 0 else []


def virtual_host(hosts: Sequence[route.VirtualHost], host: str) -> route.VirtualHost | None:
    """The exact name first, then the longest ending, then the longest beginning, then any."""
    said = host.lower()
    best: tuple[int, int] = (-1, 0)
    found = None
    for each in hosts:
        for domain in each.domains:
            rank = _fit(domain.lower(), said)
            if rank > best:
                best, found = rank, each
    return found


def _fit(domain: str, said: str) -> tuple[int, int]:
    if domain == said and domain != "*":
        return 3, len(domain)
    if domain == "*":
        return 0, 0
    # The star stands for at least one character.
    if len(said) >= len(domain):
        if domain.startswith("*") and said.endswith(domain[1:]):
            return 2, len(domain)
        if domain.endswith("*") and said.startswith(domain[:-1]):
            return 1, len(domain)
    return -1, 0


def reason_against(match: route.Match, request: Request) -> str | None:
    """Why a route is not for this request; None where it is."""
    tunnel = request.method == CONNECT
    if isinstance(match, route.ConnectMatch):
        if not tunnel:
            return FOR_TUNNELS
        return mismatch(route.RequestMatch(headers=match.headers), request)
    return NOT_FOR_TUNNELS if tunnel else mismatch(match, request)
