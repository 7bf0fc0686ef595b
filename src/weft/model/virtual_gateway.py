"""The virtual gateway and its routes: where outside traffic comes in, and to which service it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from weft.model.listener import GatewayListener
from weft.model.schema import (
    Found,
    Items,
    Model,
    OneOf,
    Port,
    at,
    at_most_one,
    duplicates,
    exactly_one,
    given,
    items,
)
from weft.model.tls import BackendDefaults
from weft.model.virtual_node import Logging
from weft.model.virtual_router import (
    HeaderMatch,
    HttpMatch,
    MatchText,
    rooted,
)

Switch = Literal["ENABLED", "DISABLED"]
HostText = Annotated[str, Field(min_length=1, max_length=253)]
_RESERVED_PREFIXES = ("/aws-appmesh", "/aws-app-mesh")
_RESERVED_SERVICES = ("aws.app-mesh", "aws.appmesh")


class VirtualGatewaySpec(Model):
    backend_defaults: BackendDefaults | None = None
    listeners: Annotated[Items[GatewayListener], Field(min_length=1)]
    logging: Logging | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        ports = [at(listener, "portMapping", "port") for listener in items(raw, "listeners")]
        for i, port in duplicates(ports):
            yield ("listeners", i, "portMapping", "port"), f"port {port} has a listener already"


class HostExact(Model):
    exact: HostText


class HostSuffix(Model):
    suffix: HostText


HostMatch = Annotated[HostExact | HostSuffix, OneOf()]


class TargetVirtualService(Model):
    virtual_service_name: Annotated[str, Field(min_length=1, max_length=255)]


class GatewayTarget(Model):
    port: Port | None = None
    virtual_service: TargetVirtualService


class HostRewrite(Model):
    default_target_hostname: Switch | None = None


class DefaultPrefix(Model):
    default_prefix: Switch


class PrefixValue(Model):
    value: MatchText


PrefixRewrite = Annotated[DefaultPrefix | PrefixValue, OneOf()]


class PathRewrite(Model):
    exact: MatchText | None = None


class HttpRewrite(Model):
    hostname: HostRewrite | None = None
    path: PathRewrite | None = None
    prefix: PrefixRewrite | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        yield from at_most_one(raw, ("prefix", "path"), "a rewrite")
        if not given(raw, ("hostname", "path", "prefix")):
            yield (), "a rewrite needs a hostname, a path or a prefix"
        value = at(raw, "prefix", "value")
        if isinstance(value, str) and not (value.startswith("/") and value.endswith("/")):
            yield ("prefix", "value"), "must start and end with /"
        yield from rooted(raw, "path", "exact")


class GrpcRewrite(Model):
    hostname: HostRewrite | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        if not given(raw, ("hostname",)):
            yield (), "a rewrite needs a hostname"


class HttpGatewayAction(Model):
    rewrite: HttpRewrite | None = None
    target: GatewayTarget


class GrpcGatewayAction(Model):
    rewrite: GrpcRewrite | None = None
    target: GatewayTarget


class HttpGatewayMatch(HttpMatch):
    hostname: HostMatch | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        yield from super().problems(raw)
        if not given(raw, ("prefix", "path", "hostname", "port")):
            yield ("prefix",), "is missing; a match needs a prefix, a path, a hostname or a port"
        prefix = at(raw, "prefix")
        if isinstance(prefix, str) and prefix.startswith(_RESERVED_PREFIXES):
            yield ("prefix",), "is reserved by App Mesh"


class GrpcGatewayMatch(Model):
    hostname: HostMatch | None = None
    metadata: Annotated[Items[HeaderMatch], Field(min_length=1, max_length=10)] | None = None
    port: Port | None = None
    service_name: str | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        if not given(raw, ("serviceName", "hostname", "port")):
            yield ("serviceName",), "is missing; a match needs a serviceName, a hostname or a port"
        service = at(raw, "serviceName")
        if isinstance(service, str) and service.startswith(_RESERVED_SERVICES):
            yield ("serviceName",), "is reserved by App Mesh"


class HttpGatewayRoute(Model):
    """Serves ``httpRoute`` and ``http2Route`` alike."""

    action: HttpGatewayAction
    match: HttpGatewayMatch

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        rewrite, match = at(raw, "action", "rewrite"), at(raw, "match")
        if at(rewrite, "prefix") is not None and at(match, "prefix") is None:
            yield ("action", "rewrite", "prefix"), "needs a match by prefix"
        if at(rewrite, "path") is not None and at(match, "path") is None:
            yield ("action", "rewrite", "path"), "needs a match by path"
        prefix = at(match, "prefix")
        if (
            at(rewrite, "prefix", "value") is not None
            and isinstance(prefix, str)
            and not prefix.endswith("/")
        ):
            yield ("match", "prefix"), "must end with / when its rewrite has a value"


class GrpcGatewayRoute(Model):
    action: GrpcGatewayAction
    match: GrpcGatewayMatch


class GatewayRouteSpec(Model):
    """Exactly one of the three route types, and a priority (0 first; none is last)."""

    grpc_route: GrpcGatewayRoute | None = None
    http2_route: HttpGatewayRoute | None = None
    http_route: HttpGatewayRoute | None = None
    priority: Annotated[int, Field(ge=0, le=1000)] | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        yield from exactly_one(raw, ("grpcRoute", "http2Route", "httpRoute"), "a gateway route")

    @property
    def protocol(self) -> Literal["grpc", "http2", "http"]:
        if self.grpc_route:
            return "grpc"
        return "http2" if self.http2_route else "http"

    @property
    def route(self) -> HttpGatewayRoute | GrpcGatewayRoute:
        found = self.grpc_route or self.http2_route or self.http_route
        assert found is not None, "a decoded gateway route has exactly one type"
        return found

    @property
    def member(self) -> str:
        """Which member of the spec holds the route: ``httpRoute``, ``grpcRoute``…"""
        return f"{self.protocol}Route"
