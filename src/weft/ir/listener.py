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


class Measure(StrEnum):
    """Whose traffic is counted."""

    CALLERS = "callers"
    """What comes in, whoever sends it."""
    TARGETS = "targets"
    """What goes out, by the service that was meant and the target that was chosen."""


@value
class Metrics:
    """What passes here is counted, under names and labels that are fixed."""

    of: Measure
    labels: tuple[tuple[str, str], ...]
    """What every count is labelled with, besides service and target."""


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
    metrics: Metrics | None = None
    traced: bool = False
    """Requests are traced, and have ids."""
    decision_in_request_id: bool = True
    """Where requests are traced: the id says whether this one is, to whoever gets it next."""


@value
class Tcp:
    """The connection goes to one of the targets, chosen by weight."""

    stat_prefix: str
    targets: tuple[Target, ...]
    idle_timeout: Timeout = Default()
    access_log: AccessLog | None = None
    service: str = ""
    """The service that clients meant: telemetry counts by it."""
    metrics: Metrics | None = None


@value
class Close:
    """The connection is closed at once."""


@value
class AddressRange:
    """The addresses that begin with the first ``bits`` of ``address``."""

    address: str
    bits: int


@value
class ChainMatch:
    """Connections of which all of this is true."""

    destination_port: int | None = None
    server_names: tuple[str, ...] = ()
    """As TLS clients send them (SNI)."""
    prefixes: tuple[AddressRange, ...] = ()
    """Made to an address in one of these; empty: to any."""
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
    labelled: bool = False
    """Its metadata has a place for the labels of what is counted."""
    patience: timedelta | None = None
    """How long a client may be silent at those ports before it is taken without TLS."""
