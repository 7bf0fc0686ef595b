"""The small words of Envoy's that every resource needs: durations, addresses, metadata, Any."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, extension_pb2
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message

from weft.ir import cluster as ir
from weft.ir.route import After, Default, Disabled, Timeout


def duration(value: timedelta) -> duration_pb2.Duration:
    message = duration_pb2.Duration()
    message.FromTimedelta(value)
    return message


def timeout(value: Timeout) -> duration_pb2.Duration | None:
    match value:
        case Default():
            return None
        case Disabled():
            return duration_pb2.Duration()  # Envoy spells "never" as zero.
        case After(limit):
            return duration(limit)


def packed(message: Message) -> any_pb2.Any:
    wrapped = any_pb2.Any()
    wrapped.Pack(message, deterministic=True)
    return wrapped


def extension(name: str, config: Message) -> Any:
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(config))


def address(value: ir.SocketAddress, *, both_families: bool = False) -> Any:
    return address_pb2.Address(
        socket_address=address_pb2.SocketAddress(
            address=value.host, port_value=value.port, ipv4_compat=both_families
        )
    )


def metadata(**facts: str) -> Any:
    """What telemetry and operators read off a resource, in Weft's own namespace."""
    message = base_pb2.Metadata()
    if told := {name: fact for name, fact in facts.items() if fact}:
        message.filter_metadata["weft"].update(told)
    return message


def over_ads() -> Any:
    """
    The configuration comes over the stream that everything comes over.

    The fetch timeout is off: a listener without its routes would answer 404, and
    a proxy that takes over from an older one waits for the control plane instead.
    """
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        resource_api_version=config_source_pb2.ApiVersion.V3,
        initial_fetch_timeout=duration_pb2.Duration(),
    )
