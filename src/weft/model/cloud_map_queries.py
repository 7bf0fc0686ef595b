"""What Cloud Map can be asked without changing it: lists with filters and pages, and who is there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from weft.model.cloud_map_requests import (
    Account,
    AnyNamespaceName,
    Attributes,
    Id,
    Request,
    ServiceName,
    at_most,
)
from weft.model.schema import Found, Items, at, items


class Filter(Request):
    name: str
    values: Annotated[
        Items[Annotated[str, Field(min_length=1, max_length=255)]], Field(min_length=1)
    ]
    condition: Literal["EQ", "IN", "BETWEEN", "BEGINS_WITH"] = "EQ"

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        number, condition = len(items(raw, "Values")), at(raw, "Condition") or "EQ"
        if condition in ("EQ", "BEGINS_WITH") and number > 1:
            yield ("Values",), f"must have one item for {condition}, not {number}"
        if condition == "BETWEEN" and number != 2:
            yield ("Values",), f"must have two items for BETWEEN, not {number}"


class Paged(Request):
    max_results: Annotated[int, Field(ge=1, le=100)] | None = None
    next_token: Annotated[str, at_most(4096)] | None = None


class Filtered(Paged):
    filters: Items[Filter] | None = None


class NamespaceFilter(Filter):
    name: Literal["TYPE", "NAME", "HTTP_NAME", "RESOURCE_OWNER"]


class ListNamespaces(Filtered):
    filters: Items[NamespaceFilter] | None = None


class ServiceFilter(Filter):
    name: Literal["NAMESPACE_ID", "RESOURCE_OWNER"]


class ListServices(Filtered):
    filters: Items[ServiceFilter] | None = None


class ListInstances(Paged):
    service_id: Id


class GetInstancesHealthStatus(Paged):
    service_id: Id
    instances: Annotated[Items[Annotated[str, at_most(64)]], Field(min_length=1)] | None = None


class DiscoverInstancesRevision(Request):
    namespace_name: AnyNamespaceName
    service_name: ServiceName
    owner_account: Account | None = None


class DiscoverInstances(DiscoverInstancesRevision):
    max_results: Annotated[int, Field(ge=1, le=1000)] = 100
    query_parameters: Attributes | None = None
    optional_parameters: Attributes | None = None
    health_status: Literal["HEALTHY", "UNHEALTHY", "ALL", "HEALTHY_OR_ELSE_ALL"] = (
        "HEALTHY_OR_ELSE_ALL"
    )


class GetOperation(Request):
    operation_id: Id
    owner_account: Account | None = None


class OperationFilter(Filter):
    name: Literal["NAMESPACE_ID", "SERVICE_ID", "STATUS", "TYPE", "UPDATE_DATE"]

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        yield from super().problems(raw)
        if at(raw, "Name") != "UPDATE_DATE":
            return
        for i, value in enumerate(items(raw, "Values")):
            if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,13}(\.[0-9]{1,6})?", value):
                yield ("Values", i), "must be seconds or milliseconds since 1970"


class ListOperations(Filtered):
    filters: Items[OperationFilter] | None = None
