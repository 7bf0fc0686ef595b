"""The variables of AWS's Envoy image: their ranges, and those that mean nothing here any more."""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "critical", "off")


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers of one variable, both ends included; or one of some words."""

    default: str
    lowest: int = 0
    highest: int = 0
    choices: tuple[str, ...] = ()

    def holds(self, text: str) -> bool:
        if self.choices:
            return text.lower() in self.choices
        return text.isascii() and text.isdigit() and self.lowest <= int(text) <= self.highest

    @property
    def words(self) -> str:
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return f"a whole number from {self.lowest} to {self.highest}"


RANGES = {
    "ENVOY_LOG_LEVEL": Range("info", choices=LEVELS),
    "ENVOY_INITIAL_FETCH_TIMEOUT": Range("0", 0, 2**31 - 1),
    "LISTENER_DRAIN_WAIT_TIME_S": Range("20", 5, 110),
    "APPNET_ENVOY_RESTART_COUNT": Range("3", 0, 10),
    "PID_POLL_INTERVAL_MS": Range("100", 100, 1000),
    "HC_POLL_INTERVAL_MS": Range("10000", 2000, 30000),
    "HC_DISCONNECTED_TIMEOUT_S": Range("604800", 3600, 604800),
    "APPNET_AGENT_LOGGING_RESET_TIMEOUT": Range("300", 1, 604800),
    "APPNET_AGENT_POLL_ENVOY_READINESS_INTERVAL_S": Range("5", 1, 86400),
    "APPNET_AGENT_POLL_ENVOY_READINESS_TIMEOUT_S": Range("180", 1, 86400),
}
"""What becomes the default, with a warning, when it is out of its range."""

_NO_AWS = "no host of AWS is asked"
_NOT_POLLED = "the end of Envoy is noticed at once, and its state is looked at twice a second"
_STANDARD_ERROR = "Envoy's log goes to standard error"
_GONE = "Envoy has no such switch any more"
_NO_RELAY = "the sidecar speaks to the control plane by itself"

NO_LONGER = {
    "APPMESH_PREVIEW": _NO_AWS,
    "APPMESH_DUALSTACK_ENDPOINT": _NO_AWS,
    "APPMESH_FIPS_ENDPOINT": _NO_AWS,
    "APPNET_FIPS_MODE_ENABLED": _NO_AWS,
    "APPMESH_SIGNING_NAME": "a token or a certificate lets the proxy in, not a signature",
    "ENVOY_USE_HTTP_CLIENT_TO_FETCH_AWS_CREDENTIALS": _GONE,
    "ENVOY_NO_EXTENSION_LOOKUP_BY_NAME": _GONE,
    "ENVOY_ENABLE_TCP_POOL_IDLE_TIMEOUT": _GONE,
    "ENVOY_SKIP_DEPRECATED_LOGS": "nothing that we send is deprecated",
    "DISABLE_HOT_RESTART": "hot restart is how a proxy outlives its control plane",
    "PID_POLL_INTERVAL_MS": _NOT_POLLED,
    "HC_POLL_INTERVAL_MS": _NOT_POLLED,
    "ENABLE_STATS_SNAPSHOT": "/stats/prometheus?delta answers without it",
    "APPNET_ENVOY_LOG_DESTINATION": _STANDARD_ERROR,
    "APPNET_ENVOY_LOG_NAME": _STANDARD_ERROR,
    "APPNET_AGENT_MAX_LOG_FILE_SIZE": _STANDARD_ERROR,
    "APPNET_AGENT_MAX_RETENTION_COUNT": _STANDARD_ERROR,
    "APPNET_ENABLE_RELAY_MODE_FOR_XDS": _NO_RELAY,
    "APPNET_MANAGEMENT_DOMAIN_NAME": _NO_RELAY,
    "APPNET_MANAGEMENT_PORT": _NO_RELAY,
    "APPNET_RELAY_LISTENER_UDS_PATH": _NO_RELAY,
    "RELAY_STREAM_IDLE_TIMEOUT": _NO_RELAY,
    "RELAY_BUFFER_LIMIT_BYTES": _NO_RELAY,
    "APPNET_CONTAINER_IP_MAPPING": "it belongs to ECS Service Connect",
    "APPNET_LISTENER_PORT_MAPPING": "it belongs to ECS Service Connect",
    "NAMESPACE_NAME": "it belongs to ECS Service Connect",
    "NAMESPACE_ARN": "it belongs to ECS Service Connect",
}
"""What is accepted and does nothing, and why."""
