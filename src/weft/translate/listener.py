"""Listeners and filter chains, in Envoy's words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from google.protobuf import wrappers_pb2

from weft.ir import listener as ir
from weft.translate.basics import address, duration
from weft.translate.filters import listener_filters, network_filter
from weft.translate.memo import memoised
from weft.translate.metrics import label
from weft.translate.snapshot import Encoded
from weft.translate.transport import server_side

SERVER_NAME_TIMEOUT = timedelta(seconds=1)
"""How long a client may take to say which server it wants, where we ask."""

_DIRECTIONS = {
    ir.Direction.INBOUND: base_pb2.TrafficDirection.INBOUND,
    ir.Direction.OUTBOUND: base_pb2.TrafficDirection.OUTBOUND,
}


@memoised
def encoded(value: ir.Listener) -> Encoded:
    return Encoded.of(value.name, listener(value))


def listener(value: ir.Listener) -> Any:
    first, *others = (address(a, both_families=value.both_families) for a in value.addresses)
    message = listener_pb2.Listener(
        name=value.name,
        address=first,
        additional_addresses=[listener_pb2.AdditionalAddress(address=other) for other in others],
        stat_prefix=value.stat_prefix,
        traffic_direction=_DIRECTIONS[value.direction],
        listener_filters=listener_filters(value),
        filter_chains=[chain(c) for c in value.chains],
        default_filter_chain=None if value.default_chain is None else chain(value.default_chain),
    )
    if value.labelled:
        label(message.metadata)
    if value.server_name_ports:
        # A server may speak first even there: after a second we go on without a name.
        message.listener_filters_timeout.CopyFrom(duration(value.patience or SERVER_NAME_TIMEOUT))
        message.continue_on_listener_filters_timeout = True
    return message


def chain(value: ir.Chain) -> Any:
    message = listener_components_pb2.FilterChain(
        name=value.name,
        # Without any filter Envoy closes the connection.
        filters=[] if isinstance(value.action, ir.Close) else [network_filter(value.action)],
        transport_socket=None if value.tls is None else server_side(value.tls),
    )
    if value.match.destination_port is not None:
        message.filter_chain_match.destination_port.CopyFrom(
            wrappers_pb2.UInt32Value(value=value.match.destination_port)
        )
    for prefix in value.match.prefixes:
        message.filter_chain_match.prefix_ranges.add(
            address_prefix=prefix.address, prefix_len=wrappers_pb2.UInt32Value(value=prefix.bits)
        )
    if value.match.server_names:
        message.filter_chain_match.server_names.extend(value.match.server_names)
    if value.match.begins_with_tls:
        message.filter_chain_match.transport_protocol = "tls"
    return message
