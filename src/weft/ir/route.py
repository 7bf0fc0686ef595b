"""Which cluster a request goes to: route configurations, virtual hosts, routes, matches."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from weft.ir.value import value

# --- Times ----------------------------------------------------------------------------------


@value
class Default:
    """Nothing was asked for: the proxy's own default holds."""


@value
class Disabled:
    """Never: asked for by a zero."""


@value
class After:
    limit: timedelta


Timeout = Default | Disabled | After

# --- Matches --------------------------------------------------------------------------------


@value
class Exact:
    text: str


@value
class Prefix:
    text: str


@value
class Suffix:
    text: str


@value
class Regex:
    """A regular expression (RE2) that must match the whole text."""

    pattern: str


@value
class Range:
    """A whole number from start up to, and not including, end."""

    start: int
    end: int


@value
class Present:
    """Any value at all, as long as there is one."""


PathMatch = Exact | Prefix | Regex
ValueMatch = Exact | Prefix | Suffix | Regex | Range | Present


@value
class HeaderMatch:
    name: str
    match: ValueMatch
    inverted: bool = False


@value
class QueryMatch:
    name: str
    match: Exact | Present


@value
class RequestMatch:
    """Requests of which all of this is true."""

    path: PathMatch = Prefix("/")
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()
    grpc: bool = False


@value
class ConnectMatch:
    """Requests that ask for a tunnel (CONNECT)."""

    headers: tuple[HeaderMatch, ...] = ()


Match = RequestMatch | ConnectMatch

# --- Actions --------------------------------------------------------------------------------


class RetryOn(StrEnum):
    """What is retried, in the words of Envoy's ``retry_on``."""

    RESET = "reset"
    CONNECT_FAILURE = "connect-failure"
    REFUSED_STREAM = "refused-stream"
    RETRIABLE_STATUS_CODES = "retriable-status-codes"
    CANCELLED = "cancelled"
    DEADLINE_EXCEEDED = "deadline-exceeded"
    INTERNAL = "internal"
    RESOURCE_EXHAUSTED = "resource-exhausted"
    UNAVAILABLE = "unavailable"


@value
class Retry:
    on: tuple[RetryOn, ...]
    limit: int
    status_codes: tuple[int, ...] = ()
    per_try: Timeout = Default()
    elsewhere: bool = False
    """Each try picks another of the targets, as long as there is one that was not tried."""


@value
class Target:
    """A cluster and its share, relative to the other targets'."""

    cluster: str
    weight: int = 1


@value
class Rewrite:
    """What is another when the request is sent on; empty: as it came."""

    host: str = ""
    path: str = ""
    """In place of what the path was matched by: of its prefix, or of the whole path."""


@value
class Forward:
    """Send the request to one of the targets, chosen by weight."""

    targets: tuple[Target, ...]
    timeout: Timeout = Default()
    idle_timeout: Timeout = Default()
    retry: Retry | None = None
    rewrite: Rewrite = Rewrite()


@value
class Tunnel:
    """Accept the tunnel and join it, byte for byte, to one of the targets."""

    targets: tuple[Target, ...]
    idle_timeout: Timeout = Default()


@value
class Respond:
    """Answer here and now."""

    status: int
    body: str


Action = Forward | Tunnel | Respond


@value
class Route:
    name: str
    match: Match
    action: Action
    service: str = ""
    """The service that clients meant: telemetry counts by it."""
    labelled: bool = False
    """Its metadata has the service as a label of what is counted."""
    set_headers: tuple[tuple[str, str], ...] = ()
    """Headers that the request is sent on with, whatever it had of these names."""
    removed_headers: tuple[str, ...] = ()
    """Headers that the request is sent on without."""
    kept_from_client: tuple[str, ...] = ()
    """Headers that are taken out of the response."""


@value
class VirtualHost:
    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]


@value
class RouteConfiguration:
    name: str
    virtual_hosts: tuple[VirtualHost, ...]
