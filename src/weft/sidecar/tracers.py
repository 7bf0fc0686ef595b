"""The tracer of Envoy's bootstrap: X-Ray, Datadog or Jaeger, by App Mesh's variables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from weft.errors import BadRequest
from weft.names import ProxyId, bare_name
from weft.sidecar import values

T = TypeVar("T")
Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy.config.trace.v3."
_OWN_SAMPLING_RATE = 0.05
"""What the tracer does by itself: the first request of a second, and a twentieth of the rest."""


class Texts(Protocol):
    """The variables, as ``app_mesh`` reads them."""

    def __call__(self, name: str, default: str = "") -> str: ...

    def flag(self, name: str, *, default: bool = False) -> bool: ...

    def parsed(self, name: str, parse: Callable[[str], T]) -> T | None: ...


@dataclass(frozen=True, slots=True)
class Tracer:
    """What the bootstrap gets."""

    variable: str
    """That asked for it."""
    http: Json
    cluster: Json | None = None


def tracer(text: Texts, proxy: ProxyId) -> Tracer | None:
    """The one tracer that is asked for; a BadRequest if there are several."""
    asked = [name for name in _TRACERS if text.flag(name)]
    if len(asked) > 1:
        raise BadRequest(
            f"{' and '.join(asked)} are both set, and Envoy has one tracer",
            fix="leave all but one of them out",
        )
    return _TRACERS[asked[0]](asked[0], text, proxy) if asked else None


def resource_name(proxy: ProxyId) -> str:
    """How the image's agent called the proxy towards tracers: mesh and name."""
    return f"{bare_name(proxy.mesh)}/{proxy.name}"


# --- X-Ray ------------------------------------------------------------------------------------


def _xray(variable: str, text: Texts, proxy: ProxyId) -> Tracer:
    host, port = text.parsed("AWS_XRAY_DAEMON_ADDRESS", _ip_and_port) or ("127.0.0.1", 0)
    port = port or text.parsed("XRAY_DAEMON_PORT", _port) or 2000
    config: Json = {
        "@type": f"{_TYPE}XRayConfig",
        "daemon_endpoint": {"protocol": "UDP", "address": host, "port_value": port},
        "segment_name": text("XRAY_SEGMENT_NAME", resource_name(proxy)),
        "segment_fields": {
            "origin": "AWS::AppMesh::Proxy",
            "aws": {
                "app_mesh": {
                    "mesh_name": bare_name(proxy.mesh),
                    # A gateway's name too: X-Ray has no other field for it.
                    "virtual_node_name": proxy.name,
                }
            },
        },
    }
    rate = text.parsed("XRAY_SAMPLING_RATE", _rate)
    if manifest := text.parsed("XRAY_SAMPLING_RULE_MANIFEST", _manifest):
        config["sampling_rule_manifest"] = {"filename": manifest}
    elif rate is not None and rate != _OWN_SAMPLING_RATE:
        rules = {"version": 2, "default": {"fixed_target": 1, "rate": rate}}
        config["sampling_rule_manifest"] = {"inline_string": json.dumps(rules)}
    return Tracer(variable, {"name": "envoy.tracers.xray", "typed_config": config})


def _ip_and_port(text: str) -> tuple[str, int]:
    host, port = text, 0
    if text.startswith("[") or text.count(":") == 1:
        host, _, number = text.rpartition(":")
        port = values.port(number, lowest=1)
    host = host.strip("[]")
    if not values.is_ip(host):
        raise BadRequest(
            f"{text!r} has no IP address",
            fix="write the daemon as 127.0.0.1:2000: Envoy asks no DNS",
        )
    return host, port


def _rate(text: str) -> float:
    try:
        rate = round(float(text), 2)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise BadRequest(f"{text!r} is not a rate", fix="give a number from 0 to 1, as in 0.05")
    return rate


def _manifest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            version = json.load(file).get("version")
    except (OSError, ValueError, AttributeError) as error:
        raise BadRequest(
            f"the sampling rules in {path} cannot be read", fix="give a JSON file of version 2"
        ) from error
    if version != 2:
        raise BadRequest(
            f"the sampling rules in {path} are of version {version!r}",
            fix="write them as version 2",
        )
    return path


# --- Datadog and Jaeger -----------------------------------------------------------------------


def _datadog(variable: str, text: Texts, proxy: ProxyId) -> Tracer:
    host = text("DATADOG_TRACER_ADDRESS", "127.0.0.1")
    port = text.parsed("DATADOG_TRACER_PORT", _port) or 8126
    config = {
        "@type": f"{_TYPE}DatadogConfig",
        "collector_cluster": "datadog_agent",
        "service_name": text("DD_SERVICE", f"envoy-{resource_name(proxy)}"),
    }
    return Tracer(
        variable,
        {"name": "envoy.tracers.datadog", "typed_config": config},
        _collector("datadog_agent", host, port),
    )


def _jaeger(variable: str, text: Texts, _proxy: ProxyId) -> Tracer:
    host = text("JAEGER_TRACER_ADDRESS", "127.0.0.1")
    port = text.parsed("JAEGER_TRACER_PORT", _port) or 9411
    version = text("JAEGER_TRACER_VERSION", "PROTO").upper()
    if version not in ("PROTO", "JSON"):
        raise BadRequest(f"JAEGER_TRACER_VERSION is {version!r}", fix="write PROTO or JSON")
    config = {
        "@type": f"{_TYPE}ZipkinConfig",
        "collector_cluster": "jaeger",
        "collector_endpoint": "/api/v2/spans",
        "collector_endpoint_version": f"HTTP_{version}",
        "shared_span_context": False,
    }
    return Tracer(
        variable,
        {"name": "envoy.tracers.zipkin", "typed_config": config},
        _collector("jaeger", host, port),
    )


def _collector(name: str, host: str, port: int) -> Json:
    address = {"socket_address": {"address": host, "port_value": port}}
    return {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _port(text: str) -> int:
    return values.port(text, lowest=1)


_TRACERS: dict[str, Callable[[str, Texts, ProxyId], Tracer]] = {
    "ENABLE_ENVOY_XRAY_TRACING": _xray,
    "ENABLE_ENVOY_DATADOG_TRACING": _datadog,
    "ENABLE_ENVOY_JAEGER_TRACING": _jaeger,
}
