"""Every setting of the control plane and the runner: its flag, its environment variable, its default."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

from weft.errors import CannotStart
from weft.names import DEFAULT_ACCOUNT, DEFAULT_REGION
from weft.quotas import Quotas

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: ``--flag`` wins over the environment variable, that over the default."""

    flag: str
    variable: str
    default: str
    help: str
    switch: bool = False
    """Given or not given; its variable is yes or no."""
    repeatable: bool = False
    """Given several times, the values are one list with commas."""


API = Setting("--api", "WEFT_API", "127.0.0.1:7400", "Address of the API and the console.")
XDS = Setting("--xds", "WEFT_XDS", "127.0.0.1:7401", "Address at which proxies connect.")
XDS_SOCKET = Setting(
    "--xds-socket",
    "WEFT_XDS_SOCKET",
    "none",
    "Unix socket at which proxies connect, too: it is reached from every network namespace.",
)
DATA = Setting(
    "--data", "WEFT_DATA", "$XDG_STATE_HOME/weft", "Directory for everything that is kept."
)
REGION = Setting("--region", "WEFT_REGION", DEFAULT_REGION, "AWS region in ARNs.")
ACCOUNT = Setting("--account", "WEFT_ACCOUNT", DEFAULT_ACCOUNT, "AWS account in ARNs, 12 digits.")
AUTH = Setting(
    "--auth",
    "WEFT_AUTH",
    "open on loopback",
    "required: callers need credentials; open: they do not. Addresses that others reach require them.",
)
TLS_CERT = Setting(
    "--tls-cert", "WEFT_TLS_CERT", "none", "PEM certificate (with its chain) of API and xDS."
)
TLS_KEY = Setting("--tls-key", "WEFT_TLS_KEY", "none", "PEM private key of --tls-cert.")
CLIENT_CA = Setting(
    "--xds-client-ca",
    "WEFT_XDS_CLIENT_CA",
    "none",
    "PEM bundle: proxies must show a certificate of these authorities (mTLS).",
)
HOST = Setting(
    "--host",
    "WEFT_HOST",
    "none",
    "Further names by which the control plane is called, separated by commas.",
)
INSECURE = Setting(
    "--insecure",
    "WEFT_INSECURE",
    "no",
    "Serve addresses that others reach without TLS, and with --auth open without credentials.",
    switch=True,
)
LOG_LEVEL = Setting("--log-level", "WEFT_LOG_LEVEL", "info", "debug, info, warning or error.")
LOG_FORMAT = Setting("--log-format", "WEFT_LOG_FORMAT", "console", "console or json.")
QUOTAS = Setting("--quotas", "WEFT_QUOTAS", "none", "none, or aws for App Mesh's own quotas.")
QUOTA = Setting(
    "--quota",
    "WEFT_QUOTA",
    "none",
    "A quota of another size, as in meshes=20 or routes=unlimited; several with commas.",
    repeatable=True,
)
XDS_MAX_AGE = Setting(
    "--xds-max-age",
    "WEFT_XDS_MAX_AGE",
    "never",
    "Close the streams of proxies gracefully after this time, as in 30m; they come back at once.",
)

SERVE = (
    API,
    XDS,
    XDS_SOCKET,
    DATA,
    REGION,
    ACCOUNT,
    AUTH,
    TLS_CERT,
    TLS_KEY,
    CLIENT_CA,
    HOST,
    INSECURE,
    QUOTAS,
    QUOTA,
    XDS_MAX_AGE,
    LOG_LEVEL,
    LOG_FORMAT,
)

ENDPOINT = Setting(
    "--endpoint", "WEFT_ENDPOINT", "http://127.0.0.1:7400", "Control plane that a client talks to."
)
TOKEN = Setting(
    "--token",
    "WEFT_TOKEN",
    "none",
    "Token of weft token create; the variable or a file keeps it from other users of the machine.",
)
TOKEN_FILE = Setting(
    "--token-file", "WEFT_TOKEN_FILE", "none", "File that holds the token, and nothing else."
)
CA = Setting(
    "--ca",
    "WEFT_CA",
    "the system's",
    "PEM bundle of the authorities that the control plane's certificate may be of.",
)
ISOLATE = Setting(
    "--isolate",
    "WEFT_ISOLATE",
    "no",
    "yes: a network namespace for each workload, where that is possible; require: or not at all.",
)
GATEWAY_PORT = Setting(
    "--gateway-port", "WEFT_DEMO_GATEWAY_PORT", "7480", "Port of the demo's gateway."
)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """``host:port`` or ``unix:PATH``."""

    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str, setting: Setting) -> Self:
        if text.startswith("unix:") and len(text) > len("unix:"):
            return cls("", 0, text.removeprefix("unix:"))
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise CannotStart(
                f"{setting.flag} is {text!r}, which is not an address",
                fix=f"write HOST:PORT, as in {setting.flag} {setting.default}",
            )
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return bool(self.path) or self.host in ("localhost", "::1") or self.host.startswith("127.")


@dataclass(frozen=True, slots=True)
class Tls:
    """What the control plane shows to those who connect."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """The control plane's settings, parsed."""

    api: Address
    xds: Address
    data: Path
    region: str = DEFAULT_REGION
    account: str = DEFAULT_ACCOUNT
    quotas: Quotas = field(default_factory=Quotas)
    log_level: str = "info"
    log_format: str = "console"
    auth: str = ""
    """``open``, ``required``, or nothing: whichever the addresses call for."""
    tls: Tls | None = None
    client_ca: Path | None = None
    hosts: tuple[str, ...] = ()
    insecure: bool = False
    xds_socket: Path | None = None
    """Where proxies connect, too, from any network namespace."""
    xds_max_age: timedelta | None = None
    """After which a proxy's stream is closed, and the proxy comes back; None: never."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.api.is_loopback and self.xds.is_loopback

    @property
    def auth_required(self) -> bool:
        return self.auth == "required" or (not self.auth and not self.is_local)

    def refuse_all_but_here(self) -> None:
        """For what runs a whole mesh on one machine: it serves that machine, and asks nobody."""
        if not self.is_local or self.auth_required or self.tls:
            raise CannotStart(
                "a mesh on one machine is served to that machine alone, without credentials and TLS",
                fix=f"give loopback addresses and leave {AUTH.flag} and {TLS_CERT.flag} out, "
                "or run weft serve, and weft sidecar beside each workload",
            )

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.api}"

    @classmethod
    def read(
        cls, flags: Mapping[str, str | None], environment: Mapping[str, str] = os.environ
    ) -> Self:
        """From flags (by flag name, ``--api``), then the environment, then the defaults."""

        def value(setting: Setting) -> str:
            return flags.get(setting.flag) or environment.get(setting.variable) or setting.default

        def given(setting: Setting) -> str:
            return flags.get(setting.flag) or environment.get(setting.variable) or ""

        account = value(ACCOUNT)
        if not (account.isdecimal() and len(account) == 12):
            raise CannotStart(
                f"{ACCOUNT.flag} is {account!r}, which is not an AWS account",
                fix=f"give 12 digits, as in {ACCOUNT.flag} {ACCOUNT.default}",
            )
        return cls(
            api=Address.parse(value(API), API),
            xds=Address.parse(value(XDS), XDS),
            data=data_directory(value(DATA), environment),
            region=value(REGION),
            account=account,
            quotas=Quotas.parse(value(QUOTAS), value(QUOTA)),
            log_level=_one_of(LOG_LEVEL, value(LOG_LEVEL), ("debug", "info", "warning", "error")),
            log_format=_one_of(LOG_FORMAT, value(LOG_FORMAT), ("console", "json")),
            auth=given(AUTH) and _one_of(AUTH, given(AUTH), ("open", "required")),
            tls=_tls(given(TLS_CERT), given(TLS_KEY), given(CLIENT_CA)),
            client_ca=Path(given(CLIENT_CA)) if given(CLIENT_CA) else None,
            hosts=_hosts(given(HOST)),
            insecure=_one_of(INSECURE, value(INSECURE), ("yes", "no")) == "yes",
            xds_socket=Path(given(XDS_SOCKET)).absolute() if given(XDS_SOCKET) else None,
            xds_max_age=_age(value(XDS_MAX_AGE)),
        )


def user(environment: Mapping[str, str] = os.environ) -> str:
    """What the user is called on this machine; empty where nobody says."""
    name = environment.get("USER") or environment.get("LOGNAME") or ""
    return name if name.isascii() and name.isprintable() else ""


def wants_color(choice: str, environment: Mapping[str, str], *, terminal: bool) -> bool:
    """``always``, ``never``, or ``auto``: on a terminal, unless NO_COLOR or TERM=dumb say no."""
    if choice != "auto":
        return choice == "always"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return terminal and environment.get("TERM") != "dumb"


def data_directory(text: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The data directory, with the XDG default filled in."""
    state = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(text.replace("$XDG_STATE_HOME", state)).expanduser().absolute()


def _tls(certificate: str, key: str, client_ca: str) -> Tls | None:
    if bool(certificate) != bool(key):
        raise CannotStart(
            f"{TLS_CERT.flag} and {TLS_KEY.flag} belong together, and only one is given",
            fix=f"give {TLS_CERT.flag} FILE {TLS_KEY.flag} FILE",
        )
    if client_ca and not certificate:
        raise CannotStart(
            f"{CLIENT_CA.flag} asks proxies for certificates, which needs TLS",
            fix=f"give {TLS_CERT.flag} FILE {TLS_KEY.flag} FILE, too",
        )
    return Tls(Path(certificate), Path(key)) if certificate else None


def _age(text: str) -> timedelta | None:
    if text == "never":
        return None
    units = {"s": 1, "m": 60, "h": 3600}
    found = re.fullmatch(r"([0-9]{1,6})([smh])", text)
    if found is None or int(found[1]) < 1:
        raise CannotStart(
            f"{XDS_MAX_AGE.flag} is {text!r}, which is no time",
            fix=f"write it as in {XDS_MAX_AGE.flag} 30m, or {XDS_MAX_AGE.flag} never",
        )
    return timedelta(seconds=int(found[1]) * units[found[2]])


def _hosts(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, (each.strip().lower() for each in text.split(","))))
    for name in names:
        if _HOST.fullmatch(name) is None:
            raise CannotStart(
                f"{HOST.flag} has {name!r}, which is no host name",
                fix=f"write names, as in {HOST.flag} mesh.example.com,mesh.internal:443",
            )
    return names


def _one_of(setting: Setting, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise CannotStart(f"{setting.flag} is {value!r}", fix=f"give one of {', '.join(choices)}")
    return value
