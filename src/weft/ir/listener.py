"""Where connections come in, and what is done with them."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from weft.ir.cluster import IpPreference, SocketAddress
from weft.ir.route import Default, Target, Timeout
from weft.ir.tls import ServerTls
from weft.ir.value import value


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


@value
class TextFormat:
    text: str


@value
class JsonFormat:
    members: tuple[tuple[str, str], ...]


@value
class AccessLog:
    """One line per request or connection, in a file."""

    path: str
    format: TextFormat | JsonFormat | None = None


@value
class Http:
    """Requests are routed one by one."""

    stat_prefix: str
    route_configuration: str
    idle_timeout: Timeout = Default()
    websockets: bool = False
    tunnels: bool = False
    """CONNECT is served."""
    forward_proxy: IpPreference | None = None
    """Hosts that requests name may be looked up, with this preference."""
    access_log: AccessLog | None = None


@value
class Tcp:
    """The connection goes to one of the targets, chosen by weight."""

    stat_prefix: str
    targets: tuple[Target, ...]
    idle_timeout: Timeout = Default()
    access_log: AccessLog | None = None


@value
class Close:
    """The connection is closed at once."""


@value
class ChainMatch:
    """Connections of which all of this is true."""

    destination_port: int | None = None
    server_names: tuple[str, ...] = ()
    """As TLS clients send them (SNI)."""
    begins_with_tls: bool = False
    """Found out at the ports of ``Listener.server_name_ports`` only."""


@value
class Chain:
    name: str
    match: ChainMatch
    action: Http | Tcp | Close
    tls: ServerTls | None = None
    """None: what arrives is taken as it comes."""


@value
class Listener:
    name: str
    addresses: tuple[SocketAddress, ...]
    direction: Direction
    chains: tuple[Chain, ...]
    default_chain: Chain | None = None
    redirected: bool = False
    """The kernel sends connections here; what counts is the address they were made to."""
    server_name_ports: tuple[int, ...] = ()
    """
    Destination ports at which the beginning of a connection is read: whether it is TLS,
    and for which server. Elsewhere nobody waits for the client.
    """
    both_families: bool = False
    """A version 6 address accepts version 4 as well."""
    stat_prefix: str = ""
    patience: timedelta | None = None
    """How long a client may be silent at those ports before it is taken without TLS."""
