"""What Cloud Map can be asked, as its service model has it: members, limits, what excludes what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.alias_generators import to_pascal
from pydantic_core import PydanticCustomError

from weft.errors import Problem
from weft.model.cloud_map import NamespaceType
from weft.model.codec import decode_as, without_nulls
from weft.model.meta import Tags
from weft.model.schema import Found, Items, Model, at, items

MAX_ATTRIBUTES = 30
MAX_ATTRIBUTES_LENGTH = 5000

_LABEL = r"(?:[A-Za-z0-9_][A-Za-z0-9_-]{0,61}[A-Za-z0-9_]|[A-Za-z0-9])"
_DNS_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"


class Request(Model):
    """PascalCase members, nothing unknown."""

    model_config = ConfigDict(alias_generator=to_pascal)


def _matching(pattern: str, words: str) -> AfterValidator:
    expression = re.compile(pattern)

    def check(text: str) -> str:
        if not expression.fullmatch(text):
            raise PydanticCustomError("rule", "{message}", {"message": f"must have {words}"})
        return text

    return AfterValidator(check)


def at_most(length: int) -> Any:
    return Field(max_length=length)


NamespaceName = Annotated[
    str,
    at_most(1024),
    _matching(r"(?!arn:)[!-~]+", "printable ASCII without blanks, and not begin with arn:"),
]
PrivateName = Annotated[NamespaceName, at_most(253)]
PublicName = Annotated[
    str,
    at_most(253),
    _matching(rf"(?:{_DNS_LABEL}\.)+{_DNS_LABEL}", "the form of a domain, as in example.com"),
]
AnyNamespaceName = Annotated[str, at_most(1024), _matching(r"[!-~]+", "printable ASCII")]
ServiceName = Annotated[
    str,
    at_most(127),
    _matching(
        rf"{_LABEL}(?:\.{_LABEL})*|\.", "letters, digits, _ and -, with dots between the parts"
    ),
]
Id = Annotated[str, Field(min_length=1, max_length=255)]
"""An id, or an ARN that ends with it."""
RequestId = Annotated[str, at_most(64)]
Description = Annotated[str, at_most(1024)]
InstanceId = Annotated[
    str, at_most(64), _matching(r"[0-9A-Za-z_/:.@-]+", "letters, digits and _ / : . @ -")
]
Ttl = Annotated[int, Field(ge=0, le=2147483647, alias="TTL")]
Account = Annotated[str, _matching(r"[0-9]{12}", "twelve digits")]

_AttributeName = Annotated[
    str, Field(min_length=1, max_length=255), _matching(r"[!-~]+", "printable ASCII without blanks")
]
_AttributeValue = Annotated[
    str, at_most(1024), _matching(r"(?:[!-~][ \t!-~]*)?", "printable ASCII, no blank in front")
]
Attributes = dict[_AttributeName, _AttributeValue]
ServiceAttributes = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=255)], Annotated[str, at_most(1024)]],
    Field(min_length=1),
]


class Tag(Request):
    key: Annotated[str, Field(min_length=1, max_length=128)]
    value: Annotated[str, at_most(256)]

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        key = at(raw, "Key")
        if isinstance(key, str) and key.lower().startswith("aws:"):
            yield ("Key",), "must not start with aws:, which is reserved"


TagList = Annotated[Items[Tag], Field(max_length=200)]


def pairs(tags: tuple[Tag, ...] | None) -> Tags:
    return tuple({each.key: each.value for each in tags or ()}.items())


# --- namespaces ----------------------------------------------------------------------------


class Soa(Request):
    ttl: Ttl


class DnsProperties(Request):
    soa: Annotated[Soa, Field(alias="SOA")]


class NamespaceProperties(Request):
    dns_properties: DnsProperties


class CreateHttpNamespace(Request):
    name: NamespaceName
    creator_request_id: RequestId | None = None
    description: Description | None = None
    tags: TagList | None = None

    @property
    def soa_ttl(self) -> int | None:
        return None

    @property
    def type(self) -> NamespaceType:
        return NamespaceType.HTTP


class CreatePrivateDnsNamespace(Request):
    name: PrivateName
    creator_request_id: RequestId | None = None
    description: Description | None = None
    vpc: Annotated[str, at_most(64)]
    tags: TagList | None = None
    properties: NamespaceProperties | None = None

    @property
    def soa_ttl(self) -> int | None:
        return self.properties.dns_properties.soa.ttl if self.properties else None

    @property
    def type(self) -> NamespaceType:
        return NamespaceType.DNS_PRIVATE


class CreatePublicDnsNamespace(Request):
    name: PublicName
    creator_request_id: RequestId | None = None
    description: Description | None = None
    tags: TagList | None = None
    properties: NamespaceProperties | None = None

    @property
    def soa_ttl(self) -> int | None:
        return self.properties.dns_properties.soa.ttl if self.properties else None

    @property
    def type(self) -> NamespaceType:
        return NamespaceType.DNS_PUBLIC


CreateNamespace = CreateHttpNamespace | CreatePrivateDnsNamespace | CreatePublicDnsNamespace


class HttpNamespaceChange(Request):
    description: Description


class DnsNamespaceChange(Request):
    description: Description | None = None
    properties: NamespaceProperties | None = None


class UpdateHttpNamespace(Request):
    id: Id
    updater_request_id: RequestId | None = None
    namespace: HttpNamespaceChange


class UpdateDnsNamespace(Request):
    id: Id
    updater_request_id: RequestId | None = None
    namespace: DnsNamespaceChange


class ById(Request):
    """Of one namespace or one service."""

    id: Id


# --- services ------------------------------------------------------------------------------


class DnsRecord(Request):
    type: Literal["SRV", "A", "AAAA", "CNAME"]
    ttl: Ttl


Records = Annotated[Items[DnsRecord], Field(min_length=1, max_length=4)]


def _record_problems(raw: Mapping[str, Any]) -> Iterator[Found]:
    types = [at(record, "Type") for record in items(raw, "DnsRecords")]
    if "CNAME" in types and len(types) > 1:
        yield ("DnsRecords",), "must have no other record beside a CNAME"
    for i, type in enumerate(types):
        if type in types[:i]:
            yield ("DnsRecords", i, "Type"), f"{type} is given twice"


class DnsConfig(Request):
    namespace_id: Annotated[str, at_most(255)] | None = None
    """An older place for the member of the service itself."""
    routing_policy: Literal["MULTIVALUE", "WEIGHTED"] | None = None
    dns_records: Records

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        yield from _record_problems(raw)
        types = [at(record, "Type") for record in items(raw, "DnsRecords")]
        if "CNAME" in types and at(raw, "RoutingPolicy") == "MULTIVALUE":
            yield ("RoutingPolicy",), "must be WEIGHTED with a CNAME"


class DnsConfigChange(Request):
    dns_records: Records

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        yield from _record_problems(raw)


class HealthCheckConfig(Request):
    type: Literal["HTTP", "HTTPS", "TCP"]
    resource_path: Annotated[str, at_most(255)] | None = None
    failure_threshold: Annotated[int, Field(ge=1, le=10)] | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        if at(raw, "Type") == "TCP" and at(raw, "ResourcePath") is not None:
            yield ("ResourcePath",), "has no meaning for TCP"


class HealthCheckCustomConfig(Request):
    failure_threshold: Annotated[int, Field(ge=1, le=10)] | None = None


class CreateService(Request):
    name: ServiceName
    namespace_id: Annotated[str, at_most(255)] | None = None
    creator_request_id: RequestId | None = None
    description: Description | None = None
    dns_config: DnsConfig | None = None
    health_check_config: HealthCheckConfig | None = None
    health_check_custom_config: HealthCheckCustomConfig | None = None
    tags: TagList | None = None
    type: Literal["HTTP"] | None = None

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        if at(raw, "HealthCheckConfig") is not None and (
            at(raw, "HealthCheckCustomConfig") is not None
        ):
            yield ("HealthCheckCustomConfig",), "excludes HealthCheckConfig: give one of them"
        if at(raw, "Type") == "HTTP" and at(raw, "DnsConfig") is not None:
            yield ("DnsConfig",), "has no meaning in a service of type HTTP"
        if at(raw, "NamespaceId") is None and at(raw, "DnsConfig", "NamespaceId") is None:
            yield ("NamespaceId",), "is missing"


class ServiceChange(Request):
    description: Description | None = None
    dns_config: DnsConfigChange | None = None
    health_check_config: HealthCheckConfig | None = None


class UpdateService(Request):
    id: Id
    service: ServiceChange


class OfService(Request):
    service_id: Id


class UpdateServiceAttributes(OfService):
    attributes: ServiceAttributes


class DeleteServiceAttributes(OfService):
    attributes: Annotated[
        Items[Annotated[str, at_most(255)]], Field(min_length=1, max_length=MAX_ATTRIBUTES)
    ]


# --- instances -----------------------------------------------------------------------------


class RegisterInstance(OfService):
    instance_id: InstanceId
    creator_request_id: RequestId | None = None
    attributes: Attributes


class OfInstance(OfService):
    instance_id: Annotated[str, at_most(64)]


class UpdateInstanceCustomHealthStatus(OfInstance):
    status: Literal["HEALTHY", "UNHEALTHY"]


# --- tags ----------------------------------------------------------------------------------


Arn = Annotated[str, Field(min_length=1, max_length=1011, alias="ResourceARN")]


class OfResource(Request):
    resource_arn: Arn


class TagResource(OfResource):
    tags: TagList


class UntagResource(OfResource):
    tag_keys: Annotated[
        Items[Annotated[str, Field(min_length=1, max_length=128)]], Field(max_length=200)
    ]


R = TypeVar("R", bound=Request)


def parse(request: type[R], sent: Mapping[str, Any]) -> R:
    """A request, or Invalid with every problem and its place."""
    return decode_as(request, without_nulls(dict(sent)))


def attribute_problems(attributes: Mapping[str, str]) -> Iterator[Problem]:
    """The limits that an instance's attributes have together."""
    if len(attributes) > MAX_ATTRIBUTES:
        yield Problem(
            "Attributes", f"must have at most {MAX_ATTRIBUTES} members, not {len(attributes)}"
        )
    length = sum(len(name) + len(value) for name, value in attributes.items())
    if length > MAX_ATTRIBUTES_LENGTH:
        yield Problem(
            "Attributes",
            f"must have at most {MAX_ATTRIBUTES_LENGTH} characters in all, not {length}",
        )
