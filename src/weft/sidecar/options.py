"""What a sidecar is asked to do: its flags, their environment variables, and what is wrong with them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeVar

from weft.errors import BadRequest
from weft.names import BackendPort, IngressPort, Kind, Mode, ProxyId
from weft.sidecar import dns_options, intercept_options, values
from weft.sidecar.access import Access, readable
from weft.sidecar.app_mesh import AppMesh, app_mesh, in_range
from weft.sidecar.dns_servers import NameServer, name_server
from weft.sidecar.documents import Parse, no_yaml
from weft.sidecar.flag import Flag
from weft.sidecar.rules import Interception
from weft.sidecar.values import LOG_LEVELS, Address, Advertised, Api

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


PROXY = Flag(
    "--proxy",
    "ID",
    "the App Mesh resource this proxy stands for: mesh/M/virtualNode/N, mesh/M/virtualGateway/N or its ARN",
    (
        "WEFT_PROXY",
        "APPMESH_RESOURCE_ARN",
        "APPMESH_RESOURCE_NAME",
        "APPMESH_VIRTUAL_NODE_NAME",
    ),
)
XDS = Flag(
    "--xds",
    "ADDRESS",
    "the control plane: HOST:PORT or unix:PATH",
    ("WEFT_XDS", "APPMESH_XDS_ENDPOINT"),
    "127.0.0.1:7401",
)
TOKEN_FILE = Flag(
    "--token-file",
    "FILE",
    "file with the token that lets this proxy in (weft token create --role proxy); WEFT_TOKEN is the token itself",
    ("WEFT_TOKEN_FILE",),
)
XDS_CA = Flag(
    "--xds-ca",
    "FILE",
    "connect by TLS, and trust the control plane if its certificate is of these authorities (PEM)",
    ("WEFT_XDS_CA",),
)
XDS_CERT = Flag(
    "--xds-cert",
    "FILE",
    "certificate (PEM) to show to the control plane, for one that asks for it (mTLS)",
    ("WEFT_XDS_CERT",),
)
XDS_KEY = Flag("--xds-key", "FILE", "private key (PEM) of --xds-cert", ("WEFT_XDS_KEY",))
INSTANCE = Flag(
    "--instance",
    "ID",
    "tells replicas of one workload apart (default: a made one, kept for the next start)",
    ("WEFT_INSTANCE",),
)
MODE = Flag(
    "--mode",
    "MODE",
    "how traffic reaches the proxy: explicit or transparent (default: explicit, with --intercept transparent)",
    ("WEFT_MODE",),
)
INGRESS = Flag(
    "--ingress",
    "LISTENER=SOCKET:APP",
    "explicit mode: serve the listener port LISTENER at 127.0.0.1:SOCKET for the workload at 127.0.0.1:APP; SOCKET 0 takes a free port; of a virtual gateway LISTENER=SOCKET, since nothing is behind it; may be repeated",
    ("WEFT_INGRESS",),
    repeated=True,
)
EGRESS = Flag(
    "--egress",
    "PORT",
    "explicit mode: the port on 127.0.0.1 that the workload uses as http_proxy; 0 takes a free one",
    ("WEFT_EGRESS",),
)
BACKEND = Flag(
    "--backend",
    "NAME:PORT=SOCKET",
    "explicit mode: lead 127.0.0.1:SOCKET to port PORT of the virtual service NAME; SOCKET 0 takes a free port; may be repeated",
    ("WEFT_BACKEND",),
    repeated=True,
)
APPS = Flag(
    "--apps",
    "FILE",
    "explicit mode: where the workload listens, as JSON {LISTENER: PORT} in place of the APP of --ingress; read at the start and at SIGUSR1, when another Envoy takes over without a pause",
    ("WEFT_APPS",),
)
STATUS_PORT = Flag(
    "--status-port",
    "PORT",
    "where the status page is served on 127.0.0.1; 0 takes a free port",
    ("WEFT_STATUS_PORT",),
    "0",
)
STATUS_FD = Flag(
    "--status-fd",
    "N",
    "an inherited file descriptor: the socket at which the status page is served, which may be of another network namespace",
    ("WEFT_STATUS_FD",),
)
DATA = Flag(
    "--data",
    "DIR",
    "where the last accepted configuration is kept (default: $XDG_STATE_HOME/weft)",
    ("WEFT_DATA",),
)
READY_FILE = Flag(
    "--ready-file",
    "FILE",
    "a JSON file that is written once the proxy is ready",
    ("WEFT_READY_FILE",),
)
CONCURRENCY = Flag(
    "--concurrency",
    "N",
    "Envoy's worker threads; 0 is one per core",
    ("WEFT_CONCURRENCY", "ENVOY_CONCURRENCY"),
    "1",
)
DRAIN_TIME = Flag(
    "--drain-time",
    "TIME",
    "how long requests in flight may take when the proxy stops: 5s, 500ms, 2m",
    ("WEFT_DRAIN_TIME", "LISTENER_DRAIN_WAIT_TIME_S"),
    "5s",
)
LOG_LEVEL = Flag(
    "--log-level",
    "LEVEL",
    "Envoy's log level: " + ", ".join(LOG_LEVELS),
    ("WEFT_LOG_LEVEL", "ENVOY_LOG_LEVEL"),
    "warning",
)
ENVOY = Flag(
    "--envoy",
    "PATH",
    "the Envoy to run (default: the one that is installed with Weft)",
    ("WEFT_ENVOY", "ENVOY"),
)
RESTARTS = Flag(
    "--restarts",
    "N",
    "give up after Envoy ended this often without a quiet minute between (default: never)",
    ("WEFT_RESTARTS", "APPNET_ENVOY_RESTART_COUNT"),
)
REGISTER = Flag(
    "--register",
    "URL",
    "while it is ready, keep this replica in the registry of the control plane whose API is at URL; needs a virtual node",
    ("WEFT_REGISTER",),
)
ADDRESS = Flag(
    "--address",
    "LISTENER=IP:PORT",
    "with --register: others reach the listener port LISTENER at IP:PORT (default in explicit mode: its own socket); may be repeated",
    ("WEFT_ADDRESS",),
    repeated=True,
)
SDS_SOCKET = Flag(
    "--sds-socket",
    "PATH",
    "the Unix socket of a secret server on this machine (SDS), as SPIRE's agent is one",
    ("WEFT_SDS_SOCKET", "APPMESH_SDS_SOCKET_PATH"),
)

FLAGS = (
    PROXY,
    XDS,
    TOKEN_FILE,
    XDS_CA,
    XDS_CERT,
    XDS_KEY,
    INSTANCE,
    MODE,
    INGRESS,
    EGRESS,
    BACKEND,
    APPS,
    STATUS_PORT,
    DATA,
    READY_FILE,
    CONCURRENCY,
    DRAIN_TIME,
    LOG_LEVEL,
    ENVOY,
    RESTARTS,
    REGISTER,
    ADDRESS,
    STATUS_FD,
    *intercept_options.FLAGS,
    *dns_options.FLAGS,
    SDS_SOCKET,
)

_DESCRIPTION = """\
Run beside one workload: start Envoy for it, watch it, drain it when told to stop,
and start it from the last accepted configuration while the control plane is away."""

_EPILOG = """\
Each option may be given as an environment variable, named in brackets; a flag wins.
Options that may be repeated are separated by commas there.
The variables of App Mesh's Envoy image are understood, too: docs/app-mesh-image.md.
weft sidecar ready waits until a sidecar is ready.

Examples:
  weft sidecar --proxy mesh/shop/virtualNode/web --ingress 9080=0:8080
  weft sidecar --proxy mesh/shop/virtualNode/web --intercept
  weft sidecar rules --app-ports 9080 --ignore-uid 1337

Exit status: 0 stopped as told, 1 could not start or gave up, 2 a wrong option."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadRequest(message, fix="weft sidecar --help")


def _formatter(prog: str) -> argparse.HelpFormatter:
    # Left to find the width itself, argparse imports shutil at every start, for 5 ms.
    try:
        width = os.get_terminal_size(1).columns - 2
    except OSError:
        width = 98
    return argparse.RawDescriptionHelpFormatter(prog, width=width)


def parser() -> argparse.ArgumentParser:
    """The flags as argparse knows them; every value is text here and is read by ``options``."""
    return parser_of(FLAGS, prog="weft sidecar", description=_DESCRIPTION, epilog=_EPILOG)


def parser_of(
    flags: Sequence[Flag], *, prog: str, description: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    """A parser of some flags."""
    made = _Parser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    for flag in flags:
        if flag.switch:
            made.add_argument(flag.name, action="store_true", help=_help(flag, ""))
            continue
        notes = f" (default: {flag.default})" if flag.default else ""
        made.add_argument(
            flag.name,
            metavar=flag.metavar,
            action="append" if flag.repeated else "store",
            help=_help(flag, notes),
        )
    return made


def _help(flag: Flag, notes: str) -> str:
    variables = f" [{', '.join(flag.variables)}]" if flag.variables else ""
    return f"{flag.help}{notes}{variables}"


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
    mode = asked or (Mode.EXPLICIT if intercept is None else Mode.TRANSPARENT)
    if mode is Mode.TRANSPARENT:
        for flag in (INGRESS, EGRESS, BACKEND, APPS):
            where, stated = texts(flag)
            if stated:
                raise BadRequest(
                    f"{where} has no meaning in transparent mode",
                    fix=f"leave {where} out, or use --mode explicit",
                )
    proxy = one_of(PROXY, ProxyId.parse)
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
