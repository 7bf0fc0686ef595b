"""Durations as operators give them: not given, off, or a time; and App Mesh's hidden ones."""

from __future__ import annotations

from datetime import timedelta

from weft.ir.route import After, Default, Disabled, Timeout
from weft.model.listener import (
    Duration,
    ForGrpc,
    ForHttp,
    ForHttp2,
    ForTcp,
    HttpTimeout,
    Listener,
    TcpTimeout,
)

PER_REQUEST = After(timedelta(seconds=15))
"""App Mesh's limit for a request, on the route and once more on the server's listener."""
IDLE = After(timedelta(seconds=300))
"""App Mesh's limit for a silent HTTP stream. A silent TCP connection has Envoy's, an hour."""

_LONGEST = timedelta(days=3650)
"""App Mesh takes any whole number; beyond ten years Envoy's arithmetic ends before ours."""


def timeout(given: Duration | None, otherwise: Timeout = Default()) -> Timeout:  # noqa: B008 - frozen
    """Zero switches a timeout off; what was not given is as ``otherwise`` says."""
    if given is None or given.unit is None:
        return otherwise
    if not given.value:
        return Disabled()
    return After(length(given))


def length(given: Duration) -> timedelta:
    unit = timedelta(seconds=1) if given.unit == "s" else timedelta(milliseconds=1)
    return min(given.value or 0, _LONGEST // unit) * unit


def listener_timeouts(listener: Listener) -> HttpTimeout | TcpTimeout:
    """The timeouts a listener was given, whichever protocol they were written under."""
    match listener.timeout:
        case ForGrpc(grpc=given) | ForHttp(http=given) | ForHttp2(http2=given):
            return given
        case ForTcp(tcp=given_tcp):
            return given_tcp
        case None:
            return HttpTimeout()
