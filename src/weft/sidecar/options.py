"""What a sidecar is asked to do: its flags, their environment variables, and what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from weft.errors import BadRequest
from weft.names import BackendPort, IngressPort, Kind, Mode, ProxyId
from weft.sidecar import dns_options, intercept_options, values
from weft.sidecar.access import Access, readable
from weft.sidecar.app_mesh import AppMesh, app_mesh, in_range
from weft.sidecar.dns_servers import NameServer, name_server
from weft.sidecar.documents import Parse, no_yaml
from weft.sidecar.flag import Flag
from weft.sidecar.flags import (
    ADDRESS,
    APPS,
    BACKEND,
    CONCURRENCY,
    DATA,
    DRAIN_TIME,
    EGRESS,
    ENVOY,
    INGRESS,
    INSTANCE,
    LOG_LEVEL,
    MODE,
    PROXY,
    READY_FILE,
    REGISTER,
    RESTARTS,
    SDS_SOCKET,
    STATUS_FD,
    STATUS_PORT,
    TOKEN_FILE,
    XDS,
    XDS_CA,
    XDS_CERT,
    XDS_KEY,
    parser,
)
from weft.sidecar.rules import Interception
from weft.sidecar.values import Address, Advertised, Api

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """Everything a sidecar is told when it starts."""

    proxy: ProxyId
    xds: Address
    access: Access
    instance: str | None
    """None: the one an earlier run of this workload made, or a new one."""
    mode: Mode
    ingress: tuple[IngressPort, ...]
    egress: int
    backends: tuple[BackendPort, ...]
    status_port: int
    data: str
    ready_file: str | None
    concurrency: int
    drain_seconds: float
    log_level: str
    envoy: str | None
    restarts: int | None
    """How often Envoy is started again before the sidecar gives up; None: always."""
    register: Api | None = None
    """Whose registry the replica is in while it is ready; None: nobody's."""
    addresses: tuple[Advertised, ...] = ()
    """Where it is reached, for listeners where that is not its own socket."""
    apps: str | None = None
    """The file that says where the workload listens; read again at every renewal."""
    intercept: Interception | None = None
    """What the kernel redirects to it; None: nothing, or others see to it."""
    dry_run: bool = False
    """Only say which rules there would be."""
    status_fd: int | None = None
    """A listening socket for the status page, handed over by whoever started us."""
    app_mesh: AppMesh = field(default_factory=AppMesh)
    """What App Mesh's own variables ask for."""
    dns: NameServer | None = None
    """Where the workload asks for names; None: elsewhere."""
    dns_upstreams: tuple[NameServer, ...] = ()
    """Who is asked for names outside the mesh; empty: whom the machine asks."""
    sds_socket: str | None = None
    """Where a secret server of this machine listens; None: there is none."""


def options(
    arguments: Sequence[str], environment: Mapping[str, str], parse_yaml: Parse = no_yaml
) -> Options:
    """Read the flags and the environment; the first wrong value is a BadRequest that names it."""
    given = vars(parser().parse_args(list(arguments)))
    environment, warnings = in_range(environment)

    def texts(flag: Flag) -> tuple[str, list[str]]:
        """Where the value comes from, and the value in the operator's own words."""
        stated = given[flag.dest]
        if stated is not None:
            return flag.name, stated if flag.repeated else [stated]
        for variable in flag.variables:
            if text := environment.get(variable, "").strip():
                return variable, text.split(",") if flag.repeated else [text]
        return flag.name, [] if flag.default is None else [flag.default]

    def all_of(flag: Flag, parse: Callable[[str], T]) -> tuple[T, ...]:
        where, stated = texts(flag)
        try:
            return tuple(parse(text.strip()) for text in stated)
        except BadRequest as error:
            raise BadRequest(f"{where}: {error.message}", fix=error.fix) from error.__cause__

    def one_of(flag: Flag, parse: Callable[[str], T], *, otherwise: T | None = None) -> T:
        if found := all_of(flag, parse):
            return found[0]
        if otherwise is None:
            raise BadRequest(
                f"{flag.name} is missing",
                fix=f"give {flag.name} {flag.metavar}, or set {flag.variables[0]}",
            )
        return otherwise

    def maybe(flag: Flag, parse: Callable[[str], T]) -> T | None:
        found = all_of(flag, parse)
        return found[0] if found else None

    intercept = intercept_options.interception(given, environment)
    asked = maybe(MODE, values.mode)
    proxy = one_of(PROXY, ProxyId.parse)
    # A gateway listens at its own ports, as in App Mesh, unless it is given sockets.
    at_own_ports = proxy.kind is Kind.VIRTUAL_GATEWAY and not texts(INGRESS)[1]
    redirected = intercept is not None or at_own_ports
    mode = asked or (Mode.TRANSPARENT if redirected else Mode.EXPLICIT)
    if mode is Mode.TRANSPARENT:
        for flag in (INGRESS, EGRESS, BACKEND, APPS):
            where, stated = texts(flag)
            if stated:
                raise BadRequest(
                    f"{where} has no meaning in transparent mode",
                    fix=f"leave {where} out, or use --mode explicit",
                )
    image = app_mesh(environment, proxy, parse_yaml)
    token_file = maybe(TOKEN_FILE, readable)
    token = environment.get("WEFT_TOKEN", "").strip()
    if image.admin is not None and (token or token_file):
        warnings += (
            f"Envoy's admin interface at {image.admin.reached_at} shows the token of this proxy "
            "to whoever reaches it: keep others away from it",
        )
    made = Options(
        proxy=proxy,
        xds=one_of(XDS, values.address),
        access=Access(
            token,
            token_file,
            maybe(XDS_CA, readable),
            maybe(XDS_CERT, readable),
            maybe(XDS_KEY, readable),
        ),
        instance=maybe(INSTANCE, values.instance),
        mode=mode,
        ingress=tuple(sorted(all_of(INGRESS, values.ingress))),
        egress=one_of(EGRESS, values.port, otherwise=intercept_options.egress(mode, intercept)),
        backends=tuple(sorted(all_of(BACKEND, values.backend))),
        status_port=one_of(STATUS_PORT, values.port),
        data=maybe(DATA, str) or _default_data(environment),
        ready_file=maybe(READY_FILE, str),
        concurrency=one_of(CONCURRENCY, values.concurrency),
        drain_seconds=one_of(DRAIN_TIME, values.seconds),
        log_level=one_of(LOG_LEVEL, values.log_level),
        envoy=maybe(ENVOY, str),
        restarts=maybe(RESTARTS, values.count),
        register=maybe(REGISTER, values.api),
        addresses=tuple(sorted(all_of(ADDRESS, values.advertised), key=lambda a: a.listener)),
        apps=maybe(APPS, str),
        intercept=intercept,
        dry_run=intercept_options.switched(intercept_options.DRY_RUN, given, environment),
        status_fd=maybe(STATUS_FD, values.count),
        app_mesh=replace(image, warnings=(*warnings, *image.warnings)),
        dns=maybe(dns_options.DNS, name_server),
        dns_upstreams=all_of(dns_options.UPSTREAM, name_server),
        sds_socket=maybe(SDS_SOCKET, os.path.abspath),
    )
    _refuse_half_of_tls(made.access)
    _refuse_wrong_ends(made)
    _refuse_double_use(made)
    _refuse_nothing_to_register(made)
    intercept_options.refuse(made.intercept, made.proxy, made.mode)
    dns_options.refuse(made.dns, made.dns_upstreams, made.proxy, made.mode)
    return made


def _default_data(environment: Mapping[str, str]) -> str:
    if state := environment.get("XDG_STATE_HOME"):
        return f"{state}/weft"
    if home := environment.get("HOME"):
        return f"{home}/.local/state/weft"
    raise BadRequest(
        "there is no directory to keep the last accepted configuration in",
        fix="give --data DIR, or set WEFT_DATA, XDG_STATE_HOME or HOME",
    )


def _refuse_half_of_tls(access: Access) -> None:
    if bool(access.certificate) != bool(access.key):
        raise BadRequest(
            f"{XDS_CERT.name} and {XDS_KEY.name} belong together, and only one is given",
            fix=f"give both, {XDS_CERT.name} FILE {XDS_KEY.name} FILE",
        )
    if access.certificate and not access.ca:
        raise BadRequest(
            f"{XDS_CERT.name} is for TLS, and {XDS_CA.name} is missing",
            fix=f"give {XDS_CA.name} FILE, too",
        )


def _refuse_wrong_ends(made: Options) -> None:
    """A virtual node's listener leads to a workload, and a gateway's to none."""
    gateway = made.proxy.kind is Kind.VIRTUAL_GATEWAY
    if gateway and made.mode is Mode.EXPLICIT and not made.ingress:
        raise BadRequest(
            f"in explicit mode nobody could reach {made.proxy}: none of its listeners has a socket",
            fix=f"give {INGRESS.name} LISTENER=SOCKET, or {MODE.name} transparent: its own ports",
        )
    for each in made.ingress:
        if gateway and each.app:
            raise BadRequest(
                f"{INGRESS.name} {each.listener}={each.socket}:{each.app}: nothing is behind a gateway",
                fix=f"write {INGRESS.name} {each.listener}={each.socket}",
            )
        if not gateway and not each.app:
            raise BadRequest(
                f"{INGRESS.name} {each.listener}={each.socket} does not say where the workload listens",
                fix=f"write {INGRESS.name} {each.listener}={each.socket}:APP, with its port",
            )


def _refuse_double_use(made: Options) -> None:
    wanted = [(f"{INGRESS.name} {p.listener}", p.socket) for p in made.ingress]
    wanted += [(f"{BACKEND.name} {p.service}:{p.listener}", p.socket) for p in made.backends]
    wanted += [(EGRESS.name, made.egress), (STATUS_PORT.name, made.status_port)]
    users: dict[int, str] = {}
    for name, socket in wanted:
        if socket and socket in users:
            raise BadRequest(
                f"port {socket} is asked for by {users[socket]} and by {name}",
                fix="give each its own port, or 0 for a free one",
            )
        users[socket] = name
    if len({p.listener for p in made.ingress}) < len(made.ingress):
        raise BadRequest("--ingress names one listener port twice", fix="name each of them once")
    if len({(p.service, p.listener) for p in made.backends}) < len(made.backends):
        raise BadRequest("--backend names one port of a service twice", fix="name it once")


def _refuse_nothing_to_register(made: Options) -> None:
    if made.register is None:
        if made.addresses:
            raise BadRequest(
                f"{ADDRESS.name} has no meaning without {REGISTER.name}",
                fix=f"give {REGISTER.name} {REGISTER.metavar}, or leave {ADDRESS.name} out",
            )
        return
    if made.proxy.kind is not Kind.VIRTUAL_NODE:
        raise BadRequest(
            f"{REGISTER.name} needs a virtual node, and {made.proxy} is none",
            fix=f"leave {REGISTER.name} out: nobody looks for a gateway in the registry",
        )
    if len({each.listener for each in made.addresses}) < len(made.addresses):
        raise BadRequest(f"{ADDRESS.name} names one listener port twice", fix="name it once")
    if made.mode is Mode.TRANSPARENT and not made.addresses:
        raise BadRequest(
            f"{REGISTER.name} does not know where this replica is reached",
            fix=f"give {ADDRESS.name} {ADDRESS.metavar} for each listener",
        )
