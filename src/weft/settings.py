"""Every setting of the control plane and the runner: its flag, its environment variable, its default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from weft.errors import CannotStart
from weft.names import DEFAULT_ACCOUNT, DEFAULT_REGION
from weft.quotas import Quotas


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: ``--flag`` wins over the environment variable, that over the default."""

    flag: str
    variable: str
    default: str
    help: str
    repeatable: bool = False
    """Given several times, the values are one list with commas."""


API = Setting("--api", "WEFT_API", "127.0.0.1:7400", "Address of the API and the console.")
XDS = Setting("--xds", "WEFT_XDS", "127.0.0.1:7401", "Address at which proxies connect.")
DATA = Setting(
    "--data", "WEFT_DATA", "$XDG_STATE_HOME/weft", "Directory for everything that is kept."
)
REGION = Setting("--region", "WEFT_REGION", DEFAULT_REGION, "AWS region in ARNs.")
ACCOUNT = Setting("--account", "WEFT_ACCOUNT", DEFAULT_ACCOUNT, "AWS account in ARNs, 12 digits.")
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

SERVE = (API, XDS, DATA, REGION, ACCOUNT, QUOTAS, QUOTA, LOG_LEVEL, LOG_FORMAT)

ENDPOINT = Setting(
    "--endpoint", "WEFT_ENDPOINT", "http://127.0.0.1:7400", "Control plane that a client talks to."
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

    @classmethod
    def read(
        cls, flags: Mapping[str, str | None], environment: Mapping[str, str] = os.environ
    ) -> Self:
        """From flags (by flag name, ``--api``), then the environment, then the defaults."""

        def value(setting: Setting) -> str:
            return flags.get(setting.flag) or environment.get(setting.variable) or setting.default

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
        )


def data_directory(text: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The data directory, with the XDG default filled in."""
    state = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(text.replace("$XDG_STATE_HOME", state)).expanduser().absolute()


def _one_of(setting: Setting, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise CannotStart(f"{setting.flag} is {value!r}", fix=f"give one of {', '.join(choices)}")
    return value
