"""The options of ``weft sidecar``: how each is spelt, which variables stand in for it, and the help."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import NoReturn

from weft.errors import BadRequest
from weft.sidecar import dns_options, intercept_options
from weft.sidecar.flag import Flag
from weft.sidecar.values import LOG_LEVELS

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
    "how traffic reaches the proxy: explicit or transparent (default: explicit; transparent with --intercept, and of a virtual gateway without --ingress)",
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
