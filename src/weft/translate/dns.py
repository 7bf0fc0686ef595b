"""Name servers, in Envoy's words: a listener for UDP whose one filter answers from a table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2, udp_listener_config_pb2
from envoy.data.dns.v3 import dns_table_pb2
from envoy.extensions.filters.udp.dns_filter.v3 import dns_filter_pb2

from weft.ir import names as ir
from weft.translate.basics import duration, packed
from weft.translate.memo import memoised
from weft.translate.snapshot import Encoded

FILTER = "envoy.filters.udp.dns_filter"
SHORTEST_TTL = timedelta(seconds=30)
"""The least that Envoy takes; what stands between it and the workload says a shorter one."""


@memoised
def encoded(value: ir.NameServer) -> Encoded:
    return Encoded.of(value.name, name_server(value))


def name_server(value: ir.NameServer) -> Any:
    config = dns_filter_pb2.DnsFilterConfig(
        stat_prefix="mesh",
        server_config=dns_filter_pb2.DnsFilterConfig.ServerContextConfig(
            inline_dns_table=dns_table_pb2.DnsTable(
                virtual_domains=[_domain(each) for each in value.table]
            )
        ),
        # Without a client_config, which would ask others: names that are not here are unknown.
    )
    return listener_pb2.Listener(
        name=value.name,
        address=address_pb2.Address(
            socket_address=address_pb2.SocketAddress(
                protocol=address_pb2.SocketAddress.UDP,
                address=value.address.host,
                port_value=value.address.port,
            )
        ),
        udp_listener_config=udp_listener_config_pb2.UdpListenerConfig(),
        traffic_direction=base_pb2.TrafficDirection.OUTBOUND,
        listener_filters=[
            listener_components_pb2.ListenerFilter(name=FILTER, typed_config=packed(config))
        ],
    )


def _domain(value: ir.Named) -> Any:
    return dns_table_pb2.DnsTable.DnsVirtualDomain(
        name=value.name,
        endpoint=dns_table_pb2.DnsTable.DnsEndpoint(
            address_list=dns_table_pb2.DnsTable.AddressList(address=value.addresses)
        ),
        answer_ttl=duration(SHORTEST_TTL),
    )
