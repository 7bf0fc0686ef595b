"""Listeners and what hangs on them: ports, health checks, pools, timeouts, outlier detection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from weft.model.schema import Count, Found, Long, Model, OneOf, Port, at, given
from weft.model.tls import ListenerTls

Protocol = Literal["http", "tcp", "http2", "grpc"]
GatewayProtocol = Literal["http", "http2", "grpc"]


class Duration(Model):
    """A length of time; empty means not given, a value of 0 (or a unit alone) means off."""

    unit: Literal["s", "ms"] | None = None
    value: Annotated[Long, Field(ge=0)] | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        match given(raw, ("unit", "value")):
            case ["value"]:
                yield ("unit",), "is missing; a duration needs both unit (s or ms) and value"
            case _:
                pass  # Terraform's provider leaves a value of 0 out, and means it.

    @property
    def length(self) -> timedelta | None:
        """None when nothing was given; zero when switched off."""
        if self.unit is None:
            return None
        return timedelta(**{"seconds" if self.unit == "s" else "milliseconds": self.value or 0})


class PortMapping(Model):
    port: Port
    protocol: Protocol


class GatewayPortMapping(Model):
    port: Port
    protocol: GatewayProtocol


class HealthCheck(Model):
    """How clients probe the endpoints behind a listener."""

    healthy_threshold: Annotated[int, Field(ge=2, le=10)]
    interval_millis: Annotated[int, Field(ge=5000, le=300000)]
    path: str | None = None
    port: Port | None = None
    protocol: Protocol
    timeout_millis: Annotated[int, Field(ge=2000, le=60000)]
    unhealthy_threshold: Annotated[int, Field(ge=2, le=10)]


class GatewayHealthCheck(HealthCheck):
    protocol: GatewayProtocol


class HttpTimeout(Model):
    idle: Duration | None = None
    per_request: Duration | None = None


class TcpTimeout(Model):
    idle: Duration | None = None


class ForHttp(Model):
    http: HttpTimeout


class ForHttp2(Model):
    http2: HttpTimeout


class ForGrpc(Model):
    grpc: HttpTimeout


class ForTcp(Model):
    tcp: TcpTimeout


ListenerTimeout = Annotated[ForGrpc | ForHttp | ForHttp2 | ForTcp, OneOf()]


class RequestPool(Model):
    """A limit on concurrent requests (HTTP/2 and gRPC)."""

    max_requests: Count


class HttpPool(Model):
    max_connections: Count
    max_pending_requests: Count | None = None


class TcpPool(Model):
    max_connections: Count


class GrpcConnectionPool(Model):
    grpc: RequestPool


class HttpConnectionPool(Model):
    http: HttpPool


class Http2ConnectionPool(Model):
    http2: RequestPool


class TcpConnectionPool(Model):
    tcp: TcpPool


ConnectionPool = Annotated[
    GrpcConnectionPool | HttpConnectionPool | Http2ConnectionPool | TcpConnectionPool, OneOf()
]
GatewayConnectionPool = Annotated[
    GrpcConnectionPool | HttpConnectionPool | Http2ConnectionPool, OneOf()
]


class OutlierDetection(Model):
    base_ejection_duration: Duration
    interval: Duration
    max_ejection_percent: Annotated[int, Field(ge=0, le=100)]
    max_server_errors: Annotated[Long, Field(ge=1)]


class Listener(Model):
    """A port of a virtual node."""

    connection_pool: ConnectionPool | None = None
    health_check: HealthCheck | None = None
    outlier_detection: OutlierDetection | None = None
    port_mapping: PortMapping
    timeout: ListenerTimeout | None = None
    tls: ListenerTls | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        yield from _same_protocol(raw, "connectionPool")
        yield from _same_protocol(raw, "timeout")
        yield from _same_port(raw)


class GatewayListener(Model):
    """A port of a virtual gateway."""

    connection_pool: GatewayConnectionPool | None = None
    health_check: GatewayHealthCheck | None = None
    port_mapping: GatewayPortMapping
    tls: ListenerTls | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        yield from _same_protocol(raw, "connectionPool")
        yield from _same_port(raw)


class RouterListener(Model):
    """A port at which clients reach a virtual router."""

    port_mapping: PortMapping


def _same_protocol(raw: Mapping[str, Any], member: str) -> Iterator[Found]:
    protocol = at(raw, "portMapping", "protocol")
    have = given(at(raw, member), ("grpc", "http", "http2", "tcp"))
    if isinstance(protocol, str) and len(have) == 1 and have[0] != protocol:
        yield (member, have[0]), f"must be of the listener's protocol, {protocol!r}"


def _same_port(raw: Mapping[str, Any]) -> Iterator[Found]:
    port, probed = at(raw, "portMapping", "port"), at(raw, "healthCheck", "port")
    if isinstance(port, int) and isinstance(probed, int) and port != probed:
        yield ("healthCheck", "port"), f"must be the listener's port, {port}"
