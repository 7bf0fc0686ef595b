"""What one option can be: a parser for each kind of value, which says what it expected."""

from __future__ import annotations

import re
from dataclasses import dataclass

from weft.errors import BadRequest
from weft.names import BackendPort, IngressPort, Mode

LOG_LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "critical", "off")


@dataclass(frozen=True, slots=True)
class Tcp:
    """A control plane at a host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Pipe:
    """A control plane at a Unix socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = Tcp | Pipe


@dataclass(frozen=True, slots=True)
class Api:
    """A control plane's API."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Advertised:
    """Where others reach this replica for one of its listeners."""

    listener: int
    host: str
    socket: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.socket}"


def address(text: str) -> Address:
    """``HOST:PORT``, ``[V6]:PORT``, ``unix:PATH`` or App Mesh's ``unix://PATH``."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path:
            raise BadRequest(
                "a Unix socket needs a path", fix="write it as unix:/run/weft/xds.sock"
            )
        return Pipe(path)
    host, colon, number = text.rpartition(":")
    if not colon or not host or "/" in host:
        raise BadRequest(
            f"{text!r} is not an address",
            fix="write it as 127.0.0.1:7401 or unix:/run/weft/xds.sock",
        )
    return Tcp(host.strip("[]"), port(number, lowest=1))


def api(text: str) -> Api:
    """``http://HOST:PORT`` or ``https://HOST:PORT``."""
    found = re.fullmatch(r"(https?)://([^/@\s]+?):([0-9]{1,5})/?", text)
    if not found:
        raise BadRequest(
            f"{text!r} is not the address of an API", fix="write it as http://127.0.0.1:7400"
        )
    return Api(found[2].strip("[]"), port(found[3], lowest=1), found[1] == "https")


def advertised(text: str) -> Advertised:
    """``LISTENER=HOST:PORT``."""
    found = re.fullmatch(r"([^=:]+)=([0-9.]+|\[[0-9A-Fa-f:.]+\]):([0-9]+)", text)
    if not found:
        raise BadRequest(f"{text!r} is not LISTENER=IP:PORT", fix="write it as 9080=10.0.0.7:9080")
    host = found[2].strip("[]")
    return Advertised(port(found[1], lowest=1), host, port(found[3], lowest=1))


def port(text: str, *, lowest: int = 0) -> int:
    """A port number; 0, where allowed, stands for a free one."""
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= 65535):
        raise BadRequest(
            f"{text!r} is not a port", fix=f"give a whole number from {lowest} to 65535"
        )
    return int(text)


def ingress(text: str) -> IngressPort:
    """``LISTENER=SOCKET:APP``; without APP, or with 0, there is no workload behind it."""
    found = re.fullmatch(r"([^=:]+)=([^=:]+)(?::([^=:]+))?", text)
    if not found:
        raise BadRequest(f"{text!r} is not LISTENER=SOCKET:APP", fix="write it as 9080=0:8080")
    return IngressPort(port(found[1], lowest=1), port(found[2]), port(found[3] or "0"))


def backend(text: str) -> BackendPort:
    """``NAME:PORT=SOCKET``."""
    found = re.fullmatch(r"([^=:\s]+):([^=:]+)=([^=:]+)", text)
    if not found:
        raise BadRequest(f"{text!r} is not NAME:PORT=SOCKET", fix="write it as db.local:3306=0")
    return BackendPort(found[1], port(found[2], lowest=1), port(found[3]))


def seconds(text: str) -> float:
    """``5s``, ``500ms``, ``2m`` or, as App Mesh has it, a bare number of seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|)", text)
    value = float(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "": 1}[found[2]] if found else -1
    if not 0 <= value <= 3600:
        raise BadRequest(
            f"{text!r} is not a time up to one hour", fix="write it as 5s, 500ms or 2m"
        )
    return value


def go_duration(text: str) -> str:
    """A duration as Go writes it, ``1m30s``, between Envoy's bounds for a flush interval; as Envoy writes it."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    if not re.fullmatch(r"([0-9]+(\.[0-9]+)?(h|ms|m|s))+", text):
        raise BadRequest(f"{text!r} is not a duration", fix="write it as 5s, 500ms or 1m30s")
    parts = re.findall(r"([0-9.]+)(h|ms|m|s)", text)
    value = sum(float(number) * units[unit] for number, unit in parts)
    if not 0.001 <= value < 300:
        raise BadRequest(
            f"{text!r} is not an interval at which Envoy flushes", fix="give from 1ms to 5m"
        )
    return f"{value:g}s"


def mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        raise BadRequest(f"{text!r} is not a mode", fix="use explicit or transparent") from None


def instance(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", text):
        raise BadRequest(
            f"{text!r} is not an instance id",
            fix="use up to 128 letters, digits, dots, dashes and underscores",
        )
    return text


def concurrency(text: str) -> int:
    # App Mesh spelt "one per core" as -1.
    if text == "-1":
        return 0
    if not (text.isascii() and text.isdigit() and int(text) <= 1024):
        raise BadRequest(
            f"{text!r} is not a number of threads", fix="give 1, or 0 for one per core"
        )
    return int(text)


def log_level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise BadRequest(f"{text!r} is not a log level", fix="use one of " + ", ".join(LOG_LEVELS))
    return text.lower()


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(f"{text!r} is not a count", fix="give a whole number, or leave it out")
    return int(text)


def is_ip(host: str) -> bool:
    return ":" in host or all(part.isdigit() for part in host.split("."))
