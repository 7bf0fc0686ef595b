"""The virtual router and its routes: what matches, where it goes, how often it is tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import re2
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from weft.model.listener import Duration, HttpTimeout, Protocol, RouterListener, TcpTimeout
from weft.model.schema import (
    Found,
    Items,
    Long,
    Model,
    OneOf,
    Port,
    ResourceName,
    at,
    at_most_one,
    duplicates,
    exactly_one,
    given,
    items,
)

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
MatchText = Annotated[str, Field(min_length=1, max_length=255)]
MAX_PROGRAM_SIZE = 1000
"""RE2's measure of a pattern; App Mesh's Envoy took no larger ones (``re2.max_program_size``)."""


def _runs_in_envoy(pattern: str) -> str:
    options = re2.Options()
    options.log_errors = False
    try:
        size: int = re2.compile(pattern, options).programsize
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise PydanticCustomError(
            "regex", "{message}", {"message": f"is not a regular expression of RE2: {reason}"}
        ) from None
    if size > MAX_PROGRAM_SIZE:
        message = f"is too large a pattern: {size}, where Envoy takes {MAX_PROGRAM_SIZE} at most"
        raise PydanticCustomError("regex", "{message}", {"message": message})
    return pattern


RegexText = Annotated[MatchText, AfterValidator(_runs_in_envoy)]
HeaderName = Annotated[
    str, Field(min_length=1, max_length=50, pattern=r"^:?[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
]
HttpRetryEvent = Literal["server-error", "gateway-error", "client-error", "stream-error"]
GrpcRetryEvent = Literal[
    "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"
]


class VirtualRouterSpec(Model):
    listeners: Items[RouterListener] | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        ports = [at(listener, "portMapping", "port") for listener in items(raw, "listeners")]
        for i, port in duplicates(ports):
            yield ("listeners", i, "portMapping", "port"), f"port {port} has a listener already"


class WeightedTarget(Model):
    """A virtual node's share; 0 keeps the target and sends it nothing."""

    port: Port | None = None
    virtual_node: ResourceName
    weight: Annotated[int, Field(ge=0, le=100)]


class RouteAction(Model):
    weighted_targets: Annotated[Items[WeightedTarget], Field(min_length=1, max_length=10)]

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        weights = [at(target, "weight") for target in items(raw, "weightedTargets")]
        if not weights or not all(isinstance(w, int) and 0 <= w <= 100 for w in weights):
            return
        if sum(weights) == 0:
            yield ("weightedTargets",), "at least one target must have a weight above 0"
        elif sum(weights) > 100:
            yield (
                ("weightedTargets",),
                f"weights add up to {sum(weights)}; the sum may be 100 at most",
            )


class MatchRange(Model):
    """Whole numbers from start up to, but not including, end."""

    start: Long
    end: Long

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        start, end = at(raw, "start"), at(raw, "end")
        if isinstance(start, int) and isinstance(end, int) and end <= start:
            yield ("end",), f"must be above start, {start}"


class Exact(Model):
    exact: MatchText


class Prefix(Model):
    prefix: MatchText


class Suffix(Model):
    suffix: MatchText


class Regex(Model):
    regex: RegexText


class InRange(Model):
    range: MatchRange


TextMatch = Annotated[Exact | Prefix | InRange | Regex | Suffix, OneOf()]
PathMatch = Annotated[Exact | Regex, OneOf()]


class HeaderMatch(Model):
    """A header (or gRPC metadata) that must match; without ``match``, that must be there."""

    invert: bool | None = None
    match: TextMatch | None = None
    name: HeaderName


class QueryParameterExact(Model):
    exact: str | None = None


class QueryParameterMatch(Model):
    match: QueryParameterExact | None = None
    name: Annotated[str, Field(min_length=1)]


class HttpMatch(Model):
    """What routes and gateway routes match of an HTTP request."""

    headers: Annotated[Items[HeaderMatch], Field(min_length=1, max_length=10)] | None = None
    method: Method | None = None
    path: PathMatch | None = None
    port: Port | None = None
    prefix: str | None = None
    query_parameters: (
        Annotated[Items[QueryParameterMatch], Field(min_length=1, max_length=10)] | None
    ) = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        yield from at_most_one(raw, ("prefix", "path"), "a match")
        yield from rooted(raw, "prefix")
        yield from rooted(raw, "path", "exact")


class HttpRouteMatch(HttpMatch):
    scheme: Literal["http", "https"] | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        yield from super().problems(raw)
        if not given(raw, ("prefix", "path", "port")):
            yield ("prefix",), "is missing; a match needs a prefix, a path or a port"


class GrpcRouteMatch(Model):
    metadata: Annotated[Items[HeaderMatch], Field(min_length=1, max_length=10)] | None = None
    method_name: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    port: Port | None = None
    service_name: str | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        if at(raw, "methodName") is not None and at(raw, "serviceName") is None:
            yield ("serviceName",), "is missing; a methodName needs the service it belongs to"


class TcpRouteMatch(Model):
    port: Port | None = None


class HttpRetryPolicy(Model):
    http_retry_events: (
        Annotated[Items[HttpRetryEvent], Field(min_length=1, max_length=25)] | None
    ) = None
    max_retries: Annotated[Long, Field(ge=0)]
    per_retry_timeout: Duration
    tcp_retry_events: (
        Annotated[Items[Literal["connection-error"]], Field(min_length=1, max_length=1)] | None
    ) = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        lists = [to for to in ("httpRetryEvents", "tcpRetryEvents", "grpcRetryEvents")]
        if not given(raw, lists):
            yield (), "a retry policy needs at least one retry event"


class GrpcRetryPolicy(HttpRetryPolicy):
    grpc_retry_events: (
        Annotated[Items[GrpcRetryEvent], Field(min_length=1, max_length=5)] | None
    ) = None


class HttpRoute(Model):
    """Serves ``httpRoute`` and ``http2Route`` alike."""

    action: RouteAction
    match: HttpRouteMatch
    retry_policy: HttpRetryPolicy | None = None
    timeout: HttpTimeout | None = None


class GrpcRoute(Model):
    action: RouteAction
    match: GrpcRouteMatch
    retry_policy: GrpcRetryPolicy | None = None
    timeout: HttpTimeout | None = None


class TcpRoute(Model):
    action: RouteAction
    match: TcpRouteMatch | None = None
    timeout: TcpTimeout | None = None


ROUTE_TYPES: dict[str, Protocol] = {
    "grpcRoute": "grpc",
    "http2Route": "http2",
    "httpRoute": "http",
    "tcpRoute": "tcp",
}


class RouteSpec(Model):
    """Exactly one of the four route types, and a priority (0 first; none is last)."""

    grpc_route: GrpcRoute | None = None
    http2_route: HttpRoute | None = None
    http_route: HttpRoute | None = None
    priority: Annotated[int, Field(ge=0, le=1000)] | None = None
    tcp_route: TcpRoute | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        yield from exactly_one(raw, tuple(ROUTE_TYPES), "a route")
        if at(raw, "httpRoute", "match", "scheme") is not None:
            yield ("httpRoute", "match", "scheme"), "is for http2Route only"

    @property
    def protocol(self) -> Protocol:
        if self.grpc_route:
            return "grpc"
        if self.http2_route:
            return "http2"
        return "http" if self.http_route else "tcp"

    @property
    def route(self) -> HttpRoute | GrpcRoute | TcpRoute:
        found = self.grpc_route or self.http2_route or self.http_route or self.tcp_route
        assert found is not None, "a decoded route has exactly one type"
        return found

    @property
    def member(self) -> str:
        """Which member of the spec holds the route: ``httpRoute``, ``tcpRoute``…"""
        return f"{self.protocol}Route"

    @property
    def match_port(self) -> int | None:
        match = self.route.match
        return match.port if match else None

    @property
    def targets(self) -> tuple[WeightedTarget, ...]:
        return self.route.action.weighted_targets


def rooted(raw: Mapping[str, Any], *path: str) -> Iterator[Found]:
    """A rule: this text, where given, is a path."""
    text = at(raw, *path)
    if isinstance(text, str) and not text.startswith("/"):
        yield path, "must start with /"
