"""Cloud Map's things as its service model writes them down."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weft.discovery.operations import STATUS, Operation
from weft.model.cloud_map import Instance, Namespace, NamespaceType, Service

Members = Mapping[str, Any]

SOA_TTL = 15
"""What Cloud Map gives a zone that asked for none."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Writes them for one account and region."""

    account: str
    region: str

    def arn(self, of: Namespace | Service) -> str:
        kind = "namespace" if isinstance(of, Namespace) else "service"
        return f"arn:aws:servicediscovery:{self.region}:{self.account}:{kind}/{of.id}"

    def namespace_summary(self, of: Namespace, services: int) -> dict[str, Any]:
        return _present(
            Id=of.id,
            Arn=self.arn(of),
            ResourceOwner=self.account,
            Name=of.name,
            Type=of.type.value,
            Description=of.description,
            ServiceCount=services,
            Properties=_properties(of),
            CreateDate=seconds(of.created_at),
        )

    def namespace(self, of: Namespace, services: int) -> Members:
        return self.namespace_summary(of, services) | _present(
            CreatorRequestId=of.creator_request_id
        )

    def service_summary(self, of: Service, instances: int) -> dict[str, Any]:
        return _present(
            Id=of.id,
            Arn=self.arn(of),
            ResourceOwner=self.account,
            Name=of.name,
            Type=of.type,
            Description=of.description,
            InstanceCount=instances,
            DnsConfig=of.dns_config,
            HealthCheckConfig=of.health_check_config,
            HealthCheckCustomConfig=of.health_check_custom_config,
            CreateDate=seconds(of.created_at),
            CreatedByAccount=self.account,
        )

    def service(self, of: Service, instances: int) -> Members:
        config = of.dns_config
        if config is not None:
            # The older place of the member, which clients still read.
            config = {"NamespaceId": of.namespace_id, **config}
        return self.service_summary(of, instances) | _present(
            NamespaceId=of.namespace_id,
            DnsConfig=config,
            CreatorRequestId=of.creator_request_id,
        )

    def instance_summary(self, of: Instance) -> dict[str, Any]:
        return {
            "Id": of.id,
            "Attributes": dict(of.attributes),
            "CreatedByAccount": self.account,
        }

    def instance(self, of: Instance) -> Members:
        return self.instance_summary(of) | _present(CreatorRequestId=of.creator_request_id)

    def operation(self, of: Operation) -> Members:
        return {
            "Id": of.id,
            "OwnerAccount": self.account,
            "Type": of.type.value,
            "Status": STATUS,
            "CreateDate": seconds(of.at_ms),
            "UpdateDate": seconds(of.at_ms),
            "Targets": {target.value: id for target, id in of.targets.items()},
        }


def discovered(of: Instance, namespace: str, service: str) -> Members:
    return {
        "InstanceId": of.id,
        "NamespaceName": namespace,
        "ServiceName": service,
        "HealthStatus": of.health.value,
        "Attributes": dict(of.attributes),
    }


def seconds(milliseconds: int) -> float:
    return milliseconds / 1000


def _properties(of: Namespace) -> Members:
    found: dict[str, Any] = {"HttpProperties": {"HttpName": of.name}}
    if of.type is not NamespaceType.HTTP:
        # No zone is served; the id stands in, so that what refers to it can be resolved.
        digest = hashlib.sha256(of.id.encode()).hexdigest().upper()
        found["DnsProperties"] = {
            "HostedZoneId": f"Z{digest[:20]}",
            "SOA": {"TTL": SOA_TTL if of.soa_ttl is None else of.soa_ttl},
        }
    return found


def _present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
