"""Envoy's statistics as Prometheus reads them, with the two of App Mesh's metrics that Envoy lacks."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from weft.errors import BadRequest
from weft.names import View, bare_name
from weft.sidecar.admin import Admin, quoted

PREFIX = "envoy_appmesh_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OURS = r"^appmesh\."
_CONNECTIONS = r"^listener\..*\.downstream_cx_(total|active)$"
_INGRESS = re.compile(r"(0\.0\.0\.0|\[__\])_(?!15001$)[0-9]+")
_LINE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*(?:\{.*\})?) (\S+)$")
_TYPE = re.compile(r"^# TYPE (\S+) (\S+)$")


@dataclass(frozen=True, slots=True)
class Connections:
    """Connections of callers: how many ever, and how many now."""

    ever: int
    now: int


def connections(admin: Admin) -> Connections:
    """What the listeners towards the workload have accepted."""
    ever = now = 0
    for name, value in admin.stats(_CONNECTIONS).items():
        if not isinstance(value, int) or not is_ingress(name):
            continue
        if name.endswith("_total"):
            ever += value
        else:
            now += value
    return Connections(ever, now)


def is_ingress(name: str) -> bool:
    """Whether a statistic is of a listener that callers connect to."""
    # In explicit mode, too, these have the addresses of transparent mode in their names, and
    # only the sockets of single backends have their own. A worker's share would count twice.
    address = name.removeprefix("listener.").rpartition(".downstream_cx_")[0]
    return _INGRESS.fullmatch(address) is not None


def labels(view: View) -> tuple[tuple[str, str], ...]:
    """The dimensions of what comes in."""
    proxy = view.proxy
    return (("Mesh", bare_name(proxy.mesh)), (proxy.kind.title, proxy.name))


class Page:
    """``/stats/prometheus``: Envoy's own, in a few variants."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._before: dict[str, float] = {}
        self._lock = threading.Lock()

    def text(self, admin: Admin, query: str) -> str:
        """The page for a query such as ``usedonly&filter=metrics_extension&delta``."""
        asked = _asked(query)
        target = "/stats/prometheus"
        parameters = ["usedonly"] if asked.used_only else []
        if asked.ours_only:
            parameters.append(f"filter={quoted(_OURS)}")
        elif asked.pattern:
            parameters.append(f"filter={quoted(asked.pattern)}")
        if parameters:
            target = f"{target}?{'&'.join(parameters)}"
        lines = admin.get(target).decode("utf-8", "replace").splitlines()
        if self._view.metrics and not asked.pattern:
            lines += _of_connections(connections(admin), self._view)
        if asked.delta:
            lines = self._since_last(lines)
        if asked.ours_only:
            lines = [line.replace(PREFIX, "") for line in lines]
        return "\n".join(lines) + "\n"

    def _since_last(self, lines: Iterable[str]) -> list[str]:
        """Counters as what was added since this was asked the last time; gauges as they are."""
        with self._lock:
            return list(self._differences(lines))

    def _differences(self, lines: Iterable[str]) -> Iterator[str]:
        counts = False
        for line in lines:
            if kind := _TYPE.match(line):
                counts = kind[2] in ("counter", "histogram")
            found = _LINE.match(line) if counts else None
            if found is None:
                yield line
                continue
            now = float(found[2])
            before = self._before.get(found[1], 0.0)
            self._before[found[1]] = now
            # A counter that went down belongs to an Envoy that was started again.
            yield f"{found[1]} {now - before if now >= before else now:.15g}"


@dataclass(frozen=True, slots=True)
class _Asked:
    used_only: bool = False
    ours_only: bool = False
    delta: bool = False
    pattern: str = ""


def _asked(query: str) -> _Asked:
    found: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        match name:
            case "usedonly":
                found["used_only"] = True
            case "delta":
                found["delta"] = True
            case "filter" if value == "metrics_extension":
                found["ours_only"] = True
            case "filter":
                found["pattern"] = _unquoted(value)
            case _:
                raise BadRequest(
                    f"{name!r} is not a parameter of this page",
                    fix="use usedonly, delta and filter=metrics_extension",
                )
    return _Asked(**found)


def _unquoted(text: str) -> str:
    plain = re.sub("%([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), text)
    return plain.replace("+", " ")


def _of_connections(found: Connections, view: View) -> list[str]:
    dimensions = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels(view))
    lines = []
    for name, kind, value in (
        ("NewConnectionCount", "counter", found.ever),
        ("ActiveConnectionCount", "gauge", found.now),
    ):
        lines += [f"# TYPE {PREFIX}{name} {kind}", f"{PREFIX}{name}{{{dimensions}}} {value}"]
    return lines


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
