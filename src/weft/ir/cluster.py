"""Where requests can go: clusters, how their endpoints are found, and the endpoints."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from weft.ir.tls import ClientTls
from weft.ir.value import value


class Protocol(StrEnum):
    """What is spoken on a connection."""

    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    TCP = "tcp"

    @property
    def is_http(self) -> bool:
        """One of the HTTP family, which can be routed request by request."""
        return self is not Protocol.TCP

    @property
    def multiplexes(self) -> bool:
        """Many requests share one connection: HTTP/2 underneath."""
        return self in (Protocol.HTTP2, Protocol.GRPC)


class IpPreference(StrEnum):
    """Which addresses of a name are used."""

    UNSET = "unset"
    """Version 6 where there is one, else version 4."""
    IPV6_PREFERRED = "IPv6_PREFERRED"
    IPV4_PREFERRED = "IPv4_PREFERRED"
    IPV4_ONLY = "IPv4_ONLY"
    IPV6_ONLY = "IPv6_ONLY"
    EITHER = "either"
    """Both are tried, and the one that answers first wins."""


@value
class SocketAddress:
    host: str
    port: int


@value
class Assigned:
    """Endpoints are told by the control plane: see ``Assignment``."""


@value
class Dns:
    """Endpoints are the addresses of a name."""

    address: SocketAddress
    preference: IpPreference = IpPreference.UNSET
    every_address: bool = False
    """Use all addresses at once, instead of the first of the latest answer."""


@value
class Static:
    endpoints: tuple[SocketAddress, ...]


@value
class OriginalDestination:
    """The one endpoint is the address that the client itself had dialled."""


@value
class NamedByRequest:
    """The endpoint is looked up by the authority of each request: a forward proxy."""

    preference: IpPreference = IpPreference.EITHER


Discovery = Assigned | Dns | Static | OriginalDestination | NamedByRequest


@value
class HttpCheck:
    path: str
    http2: bool = False
    host: str = ""


@value
class GrpcCheck:
    authority: str = ""


@value
class TcpCheck:
    """A connection that opens is healthy."""


@value
class HealthCheck:
    probe: HttpCheck | GrpcCheck | TcpCheck
    interval: timedelta
    timeout: timedelta
    healthy_threshold: int
    unhealthy_threshold: int


@value
class Breakers:
    """How much may be under way at once; what comes on top is refused. None: no limit."""

    connections: int | None = None
    pending: int | None = None
    """Requests that wait for a connection."""
    requests: int | None = None


@value
class OutlierDetection:
    """Endpoints that fail too often in a row get nothing for a while."""

    server_errors: int
    """So many in a row are too many."""
    interval: timedelta
    """How often it is looked who may come back."""
    ejection: timedelta
    """How long the first time lasts; each next one lasts longer."""
    most_percent: int
    """Of the endpoints, that are left out at once; one always may be."""


@value
class Cluster:
    name: str
    discovery: Discovery
    protocol: Protocol | None
    """None: whatever the client speaks."""
    connect_timeout: timedelta
    health_check: HealthCheck | None = None
    node: str = ""
    """The virtual node behind it: telemetry counts by it. Empty for all else."""
    breakers: Breakers | None = None
    """None: they never open."""
    outliers: OutlierDetection | None = None
    labelled: bool = False
    """Its metadata has the virtual node as a label of what is counted."""
    tls: ClientTls | None = None
    """None: plain text."""


@value
class Zone:
    """Endpoints whose place is known. It is told and shown; it attracts no traffic."""

    region: str
    name: str
    endpoints: tuple[SocketAddress, ...]


@value
class Assignment:
    """The endpoints of one ``Assigned`` cluster."""

    cluster: str
    endpoints: tuple[SocketAddress, ...]
    zones: tuple[Zone, ...] = ()
    """Where some of the endpoints are."""
