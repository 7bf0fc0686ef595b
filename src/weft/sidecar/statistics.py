"""Tags and sinks of Envoy's statistics, by App Mesh's variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weft.errors import BadRequest
from weft.names import Kind, ProxyId, bare_name
from weft.sidecar import values
from weft.sidecar.tracers import Texts

Json = dict[str, Any]

_OF_LISTENERS: tuple[Json, ...] = (
    {"tag_name": "appmesh.listener_protocol", "regex": r".*?\.ingress\.((\w+?)\.)[0-9]+?\.(.+?)$"},
    {"tag_name": "appmesh.listener_port", "regex": r".*?\.ingress\.\w+?\.(([0-9]+?)\.)(.+?)$"},
    {
        "tag_name": "envoy_rds_route_config",
        "regex": r".*?\.ingress\.\w+?\.[0-9]+?\.rds\.((.*?)\.)(.+?)$",
    },
)
"""The image has them always: with several listeners their protocol and port are in the names."""

_OF_TARGETS: tuple[Json, ...] = (
    {
        "tag_name": "TargetVirtualNode",
        "regex": r"^appmesh(?:\..+?\..+?)*(\.TargetVirtualNode\.(.+?))(?:\..+?\..+?)*\.(?:.+)$",
    },
    {  # Last: what is left of the name by then has no other dimension.
        "tag_name": "TargetVirtualService",
        "regex": r"^appmesh(?:\..+?\..+?)*(\.TargetVirtualService\.([^MVT]+))(?:\..+?\..+?)*\.(?:.+)$",
    },
)


def tags(proxy: ProxyId, *, named: bool, metrics: bool) -> tuple[Json, ...]:
    """What names of statistics are taken apart by, and what all of them are labelled with."""
    mesh = bare_name(proxy.mesh)
    kind = "virtual_gateway" if proxy.kind is Kind.VIRTUAL_GATEWAY else "virtual_node"
    found: list[Json] = list(_OF_LISTENERS)
    if named:
        found += [
            {"tag_name": "appmesh.mesh", "fixed_value": mesh},
            {"tag_name": f"appmesh.{kind}", "fixed_value": proxy.name},
        ]
    if metrics:
        found += [
            {"tag_name": "Mesh", "fixed_value": mesh},
            {"tag_name": proxy.kind.title, "fixed_value": proxy.name},
            *_OF_TARGETS,
        ]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Statsd:
    """A DogStatsD receiver: a Unix socket, or an address for UDP."""

    path: str = ""
    host: str = ""
    port: int = 0

    def sink(self) -> Json:
        """As Envoy's bootstrap has it."""
        address: Json = {"pipe": {"path": self.path}}
        if not self.path:
            address = {
                "socket_address": {
                    "protocol": "UDP",
                    "address": self.host,
                    "port_value": self.port,
                }
            }
        return {
            "name": "envoy.stat_sinks.dog_statsd",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.metrics.v3.DogStatsdSink",
                "address": address,
            },
        }


def statsd(text: Texts) -> Statsd | None:
    """The receiver that is asked for."""
    if not text.flag("ENABLE_ENVOY_DOG_STATSD"):
        return None
    if path := text("STATSD_SOCKET_PATH"):
        return Statsd(path=path)
    host = text("STATSD_ADDRESS", "127.0.0.1").strip("[]")
    if not values.is_ip(host):
        raise BadRequest(
            f"STATSD_ADDRESS is {host!r}, which is no IP address", fix="give one: Envoy asks no DNS"
        )
    port = text.parsed("STATSD_PORT", lambda given: values.port(given, lowest=1)) or 8125
    return Statsd(host=host, port=port)
