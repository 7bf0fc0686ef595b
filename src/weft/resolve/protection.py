"""What protects a workload from its callers, and callers from a workload's bad replicas."""

from __future__ import annotations

from datetime import timedelta

from weft.ir.cluster import Breakers, OutlierDetection
from weft.ir.proxy import Note
from weft.model.listener import (
    ConnectionPool,
    Duration,
    GrpcConnectionPool,
    Http2ConnectionPool,
    HttpConnectionPool,
    TcpConnectionPool,
)
from weft.model.listener import OutlierDetection as Asked
from weft.resolve.limits import LARGEST_COUNT
from weft.resolve.timeouts import length

INTERVAL = timedelta(seconds=10)
EJECTION = timedelta(seconds=30)
"""Envoy's own, for durations that were left empty."""


def breakers(pool: ConnectionPool | None) -> Breakers | None:
    """
    A listener's connection pool, of a virtual node or a virtual gateway.

    App Mesh applied it at the server, in front of the workload: the limit holds for
    all callers together.
    """
    match pool:
        case GrpcConnectionPool(grpc=requests) | Http2ConnectionPool(http2=requests):
            return Breakers(requests=requests.max_requests)
        case HttpConnectionPool(http=http):
            return Breakers(http.max_connections, http.max_pending_requests)
        case TcpConnectionPool(tcp=tcp):
            return Breakers(tcp.max_connections)
        case None:
            return None


def outliers(asked: Asked | None, place: str) -> tuple[OutlierDetection | None, tuple[Note, ...]]:
    """A listener's outlier detection, which each caller's proxy applies on its own."""
    if asked is None:
        return None, ()
    interval = _or_default(asked.interval, INTERVAL)
    ejection = _or_default(asked.base_ejection_duration, EJECTION)
    if not interval or not ejection:
        said = "an interval or a baseEjectionDuration of 0 switches outlier detection off"
        return None, (Note(place, said),)
    errors = min(asked.max_server_errors, LARGEST_COUNT)
    return OutlierDetection(errors, interval, ejection, asked.max_ejection_percent), ()


def _or_default(given: Duration, default: timedelta) -> timedelta:
    return default if given.unit is None else length(given)
