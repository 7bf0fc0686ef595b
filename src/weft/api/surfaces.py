"""
The surfaces behind one URL: every AWS service is one of them, and a request finds its own.

    X-Amz-Target       Route53AutoNaming_v20170314.CreateService     awsJson
    credential scope   …/us-west-2/cloudformation/aws4_request       Query
    Action, Version    Action=GetCallerIdentity&Version=2011-06-15   Query without a signature
    the path           /v20190125/…, /weft/v1/…                      REST
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from weft.api.exchange import MAX_BODY_BYTES, Call
from weft.api.routing import Route
from weft.errors import WeftError


class Protocol(Enum):
    """How a service that has one path for everything speaks."""

    AWS_JSON_1_0 = "application/x-amz-json-1.0"
    AWS_JSON_1_1 = "application/x-amz-json-1.1"
    QUERY = "text/xml"

    @property
    def content_type(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operation answers."""

    members: Mapping[str, Any] | None = field(default_factory=dict)
    """Of its output; None for a Query operation whose model has no output at all."""
    revision: int | None = None
    """Of a write: the revision that stands after it."""


Operation = Callable[[Call, dict[str, Any]], Awaitable[Reply]]
"""Takes the members of its input; raises what is wrong as a WeftError with the service's code."""

_READING = ("Describe", "Discover", "Estimate", "Get", "List", "Search", "Validate")


@dataclass(frozen=True, slots=True)
class Surface:
    """A service with one path (awsJson, Query): its operations by name."""

    service: str
    """As it stands in the credential scope of a signature."""
    protocol: Protocol
    operations: Mapping[str, Operation]
    target: str = ""
    """awsJson: what stands before the dot in X-Amz-Target."""
    version: str = ""
    """Query: the Version its requests name."""
    namespace: str = ""
    """Query: the namespace of its XML."""
    codes: Mapping[type[WeftError], str] = field(default_factory=dict)
    """What the service calls our own errors, where it does not use the usual words."""
    reading: frozenset[str] = frozenset()
    """Operations that change nothing, although their names do not begin like it."""
    public: frozenset[str] = frozenset()
    """Operations that every credential may use, whatever its role."""
    most_bytes: int = MAX_BODY_BYTES

    def reads(self, operation: str) -> bool:
        return operation in self.reading or operation.startswith(_READING)

    def code(self, error: WeftError) -> str | None:
        """The service's own word for an error, if it has one."""
        return next((self.codes[each] for each in type(error).__mro__ if each in self.codes), None)


@dataclass(frozen=True, slots=True)
class Rest:
    """A service whose requests are told apart by method and path."""

    service: str
    """As it stands in the credential scope of a signature; empty: any scope will do."""
    routes: tuple[Route, ...]
    most_bytes: int = MAX_BODY_BYTES
    """The largest body that any of its requests may have."""


class Directory:
    """Finds the surface of a request that has no path to tell it by."""

    def __init__(self, surfaces: Iterable[Surface]) -> None:
        surfaces = tuple(surfaces)
        self._by_target = {each.target: each for each in surfaces if each.target}
        self._by_service = {each.service: each for each in surfaces}
        self._by_version = {each.version: each for each in surfaces if each.version}
        assert len(self._by_service) == len(surfaces), "two surfaces of one service"

    def by_target(self, target: str) -> tuple[Surface | None, str]:
        """The surface and the operation that X-Amz-Target names."""
        prefix, _, operation = target.rpartition(".")
        return self._by_target.get(prefix), operation

    def by_service(self, service: str) -> Surface | None:
        return self._by_service.get(service)

    def by_version(self, version: str) -> Surface | None:
        return self._by_version.get(version)

    @property
    def services(self) -> list[str]:
        return sorted(self._by_service)
