"""What ``why`` answers: the way of one request, each step with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """A value in force, as text, and whether it is one nobody asked for."""

    value: str
    default: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route that was looked at, and what came of it."""

    route: str
    priority: int | None
    matches: bool
    because: str


@dataclass(frozen=True, slots=True)
class Retries:
    limit: int
    on: tuple[str, ...]
    status_codes: tuple[int, ...]
    per_try: str
    default: bool
    elsewhere: bool = False
    """Each try picks another target, if there is one."""


@dataclass(frozen=True, slots=True)
class Live:
    """An instance of a target, as far as it is known."""

    address: str
    instance: str
    health: str
    """``registered``, or what Cloud Map says: HEALTHY, UNHEALTHY, UNKNOWN."""
    lease: str
    """How long it stays without a heartbeat; empty where it stays until it is taken out."""
    used: bool
    """Whether it is among the endpoints that proxies are told."""


@dataclass(frozen=True, slots=True)
class Share:
    """One target of the route."""

    virtual_node: str
    port: int
    weight: int
    """As proxies are told it: 0 for who was left out by ``reroute``."""
    percent: float
    cluster: str
    found_by: str
    """``registry``, ``dns HOSTNAME`` or ``cloud map NAMESPACE/SERVICE``."""
    endpoints: tuple[str, ...]
    request_timeout: Setting | None
    """Of the target's own listener: the lower of the two limits ends the request."""
    breakers: Setting
    configured_weight: int = 0
    alive: bool | None = None
    """Whether an instance is there; None where only DNS would know."""
    instances: tuple[Live, ...] = ()
    health_check: Setting | None = None
    outliers: Setting | None = None
    tls: Setting | None = None


@dataclass(frozen=True, slots=True)
class HostTried:
    """A virtual host that was looked at."""

    name: str
    domains: tuple[str, ...]
    matches: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where in the caller's own proxy the request arrives."""

    mode: str
    listener: str
    chain: str
    route_configuration: str
    because: str


@dataclass(frozen=True, slots=True)
class Passage:
    """What a virtual gateway's listener does with a request before the service's routes have it."""

    route: str | None
    """The gateway route; None where none matches."""
    candidates: tuple[Candidate, ...] = ()
    host: str = ""
    """As it is sent on; with the service's port where it has several, which is for the proxy alone."""
    path: str = ""
    """As it is sent on, with its query."""
    host_kept: bool = False
    """The service sees the host as the client wrote it (defaultTargetHostname is DISABLED)."""
    request_timeout: Setting | None = None
    """How long the gateway waits: as long as the service's longest route."""


@dataclass(frozen=True, slots=True)
class InForce:
    """One of Weft's own policies that has a part in this."""

    about: str
    setting: str
    says: str


@dataclass(frozen=True, slots=True)
class Explanation:
    service: str | None
    """None for what is no service of the mesh."""
    port: int | None
    protocol: str | None
    ports: tuple[int, ...]
    """All ports the service is called at."""
    route: str | None
    summary: str
    candidates: tuple[Candidate, ...] = ()
    targets: tuple[Share, ...] = ()
    request_timeout: Setting | None = None
    idle_timeout: Setting | None = None
    retries: Retries | None = None
    notes: tuple[str, ...] = ()
    caller: str | None = None
    host: str | None = None
    """As the client writes it, with the port where it does."""
    arrival: Arrival | None = None
    hosts: tuple[HostTried, ...] = ()
    status: int | None = None
    """What the caller gets without any target; None where there is one, or no HTTP at all."""
    grpc_status: int | None = None
    """The same for gRPC clients, whom a proxy answers with HTTP 200 and this."""
    outside: str | None = None
    """Of what is no service of the mesh: allowed or denied, and by what."""
    ends_after: Setting | None = None
    """The lower of the route's and the targets' own limits of a request."""
    policies: tuple[InForce, ...] = ()
    rerouted: str | None = None
    """Who was left out of the split, and why; None where nobody was."""
    passage: Passage | None = None
    """Of a request from outside: how it came through the gateway."""
