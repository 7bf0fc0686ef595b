"""
The two xDS protocols on the wire: requests are read, responses are joined from finished bytes.

A response is never built as a message: protobuf allows its fields in any order and
any number of pieces, so what all streams share is serialised once and what is one
stream's own, the nonce, is appended (performance.md, section 6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from weft.errors import BadRequest
from weft.translate.snapshot import Encoded, ResourceType


class Variant(StrEnum):
    """The two variants of the xDS transport protocol that we answer, both aggregated."""

    SOTW = "sotw"
    DELTA = "delta"


@dataclass(frozen=True, slots=True)
class SotwRequest:
    """A DiscoveryRequest about one type: all names wanted, and an answer to a nonce."""

    kind: ResourceType
    names: frozenset[str] = frozenset()
    version: str = ""
    """The version last accepted, over all streams."""
    nonce: str = ""
    error: str | None = None
    """Envoy's words, if this is a NACK."""


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """A DeltaDiscoveryRequest about one type: names come and go, and an answer to a nonce."""

    kind: ResourceType
    subscribe: frozenset[str] = frozenset()
    unsubscribe: frozenset[str] = frozenset()
    known: Mapping[str, str] = field(default_factory=dict)
    """Name and version of what the proxy holds from an earlier stream."""
    nonce: str = ""
    error: str | None = None
    """Envoy's words, if this is a NACK."""


Request = SotwRequest | DeltaRequest
Node: TypeAlias = Any  # envoy.config.core.v3.Node; the generated module has no types


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a proxy: a request, or the URL of a type that we do not serve."""

    request: Request | None
    type_url: str
    node: Node | None


_KINDS = {kind.value: kind for kind in ResourceType}


def parse(variant: Variant, data: bytes) -> Message:
    """Read one message of a proxy; bytes that are no such message are a BadRequest."""
    try:
        match variant:
            case Variant.DELTA:
                return _parse_delta(data)
            case Variant.SOTW:
                return _parse_sotw(data)
    except DecodeError as error:
        raise BadRequest(f"not a discovery request: {error}") from error


def _parse_delta(data: bytes) -> Message:
    message = discovery_pb2.DeltaDiscoveryRequest.FromString(data)
    kind = _KINDS.get(message.type_url)
    request = kind and DeltaRequest(
        kind,
        frozenset(message.resource_names_subscribe),
        frozenset(message.resource_names_unsubscribe),
        dict(message.initial_resource_versions),
        message.response_nonce,
        _words(message),
    )
    return Message(request, message.type_url, message.node if message.HasField("node") else None)


def _parse_sotw(data: bytes) -> Message:
    message = discovery_pb2.DiscoveryRequest.FromString(data)
    kind = _KINDS.get(message.type_url)
    request = kind and SotwRequest(
        kind,
        frozenset(message.resource_names),
        message.version_info,
        message.response_nonce,
        _words(message),
    )
    return Message(request, message.type_url, message.node if message.HasField("node") else None)


def _words(message: Any) -> str | None:
    if not message.HasField("error_detail"):
        return None
    return message.error_detail.message or f"error {message.error_detail.code} without words"


# --- responses ----------------------------------------------------------------------------

# Field numbers of DiscoveryResponse and DeltaDiscoveryResponse; where both have a field,
# both give it the same number.
_VERSION, _TYPE_URL, _NONCE, _REMOVED = 1, 4, 5, 6


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    size, header = len(payload), bytearray((number << 3 | 2,))
    while size > 0x7F:
        header.append(size & 0x7F | 0x80)
        size >>= 7
    header.append(size)
    return bytes(header) + payload


_TYPE_URLS = {kind: _field(_TYPE_URL, kind.value.encode()) for kind in ResourceType}


def delta_body(
    kind: ResourceType, updates: Iterable[Encoded], removed: Iterable[str], version: str
) -> bytes:
    """A DeltaDiscoveryResponse that lacks only its nonce."""
    return b"".join(
        [
            *[resource.delta for resource in updates],
            *[_field(_REMOVED, name.encode()) for name in removed],
            _TYPE_URLS[kind],
            _field(_VERSION, version.encode()),
        ]
    )


def sotw_body(kind: ResourceType, resources: Iterable[Encoded], version: str) -> bytes:
    """A DiscoveryResponse that lacks only its nonce."""
    return b"".join(
        [
            *[resource.sotw for resource in resources],
            _TYPE_URLS[kind],
            _field(_VERSION, version.encode()),
        ]
    )


def with_nonce(body: bytes, nonce: str) -> bytes:
    """The finished response of one stream."""
    return body + _field(_NONCE, nonce.encode())


def mention(name: str) -> bytes:
    """How a string field of exactly this value looks inside a serialised message."""
    return _field(0, name.encode())[1:]
