"""The virtual node: a workload, its listeners, where it is found, whom it may call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from weft.model.listener import Listener
from weft.model.mesh import IpPreference
from weft.model.schema import (
    Found,
    Items,
    Model,
    OneOf,
    ServiceName,
    at,
    duplicates,
    items,
)
from weft.model.tls import BackendDefaults, ClientPolicy


class VirtualServiceBackend(Model):
    client_policy: ClientPolicy | None = None
    virtual_service_name: ServiceName


class Backend(Model):
    """A virtual service this node may call; the union has one member so far."""

    virtual_service: VirtualServiceBackend


class JsonFormat(Model):
    key: Annotated[str, Field(min_length=1, max_length=100)]
    value: Annotated[str, Field(min_length=1, max_length=100)]


class AsJson(Model):
    json_: Annotated[Items[JsonFormat], Field(alias="json")]


class AsText(Model):
    text: Annotated[str, Field(min_length=1, max_length=1000)]


LoggingFormat = Annotated[AsJson | AsText, OneOf()]


class AccessLogFile(Model):
    format: LoggingFormat | None = None
    path: Annotated[str, Field(min_length=1, max_length=255)]


class AccessLog(Model):
    """Where requests are logged; the union has one member so far."""

    file: AccessLogFile


class Logging(Model):
    access_log: AccessLog | None = None


class CloudMapAttribute(Model):
    key: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9!-~]+$")]
    value: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            pattern=r"^([a-zA-Z0-9!-~][ \ta-zA-Z0-9!-~]*){0,1}[a-zA-Z0-9!-~]{0,1}$",
        ),
    ]


class CloudMapDiscovery(Model):
    attributes: Items[CloudMapAttribute] | None = None
    ip_preference: IpPreference | None = None
    namespace_name: Annotated[str, Field(min_length=1, max_length=1024)]
    service_name: Annotated[str, Field(min_length=1, max_length=1024)]


class DnsDiscovery(Model):
    hostname: Annotated[str, Field(min_length=1)]
    ip_preference: IpPreference | None = None
    response_type: Literal["LOADBALANCER", "ENDPOINTS"] | None = None


class ByCloudMap(Model):
    aws_cloud_map: CloudMapDiscovery


class ByDns(Model):
    dns: DnsDiscovery


ServiceDiscovery = Annotated[ByCloudMap | ByDns, OneOf()]


class VirtualNodeSpec(Model):
    backend_defaults: BackendDefaults | None = None
    backends: Items[Backend] | None = None
    listeners: Items[Listener] | None = None
    logging: Logging | None = None
    service_discovery: ServiceDiscovery | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        if items(raw, "listeners") and at(raw, "serviceDiscovery") is None:
            yield (
                ("serviceDiscovery",),
                "is missing; a virtual node with a listener says where it is found",
            )
        ports = [at(listener, "portMapping", "port") for listener in items(raw, "listeners")]
        for i, port in duplicates(ports):
            yield ("listeners", i, "portMapping", "port"), f"port {port} has a listener already"

    def listener(self, port: int | None) -> Listener | None:
        """The listener at a port; without a port, the only one there is."""
        listeners = self.listeners or ()
        if port is None:
            return listeners[0] if len(listeners) == 1 else None
        return next((each for each in listeners if each.port_mapping.port == port), None)
