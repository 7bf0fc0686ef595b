"""
App Mesh's own variables: what the environment of AWS's Envoy image asks a sidecar for.

Names, defaults and ranges are those of the image's agent. A number that is out of its
range becomes the default and is warned of, as there; whatever else cannot be understood
is an error, before anything is started. What is not set keeps Weft's own default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from weft.errors import BadRequest
from weft.names import ProxyId, Tracing
from weft.sidecar import documents, platform_info, statistics, tracers, values
from weft.sidecar.documents import Document, Parse
from weft.sidecar.variables import NO_LONGER, RANGES

T = TypeVar("T")
Json = dict[str, Any]
Environment = Mapping[str, str]

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
UDS_ADMIN = "/tmp/envoy_admin.sock"  # noqa: S108 - where the image has it
ADMIN_LOG = "/tmp/envoy_admin_access.log"  # noqa: S108 - where the image has it


@dataclass(frozen=True, slots=True)
class AdminInterface:
    """Envoy's admin interface where others reach it; it is only opened when asked for."""

    address: Json
    """As Envoy has it."""
    reached_at: str
    """As we reach it: a path, or ``127.0.0.1:PORT``."""
    log: str = ADMIN_LOG


@dataclass(frozen=True, slots=True)
class AgentApi:
    """Where the HTTP interface of the image's agent is served."""

    path: str = ""
    """A Unix socket; empty: the host and the port."""
    host: str = ""
    port: int = 0
    log_level_seconds: float = 300.0
    """After which a log level that was asked for is taken back."""


@dataclass(frozen=True, slots=True)
class AppMesh:
    """All that the variables ask for, besides what they share with Weft's options."""

    node_id: str = ""
    """The resource in the words it was given in; empty: the proxy id."""
    node_cluster: str = ""
    region: str = ""
    fetch_timeout_seconds: int = 0
    """How long Envoy waits for its first listeners and clusters; 0: for ever."""
    admin: AdminInterface | None = None
    admin_log: str = ""
    flush_interval: str = ""
    outlier_log: str = ""
    requests_per_io_cycle: int | None = None
    metrics: bool = False
    tracing: Tracing = Tracing.OFF
    tracer: tracers.Tracer | None = None
    stats_tags: tuple[Json, ...] = ()
    statsd: statistics.Statsd | None = None
    documents: tuple[Document, ...] = ()
    whole: Json | None = None
    """A bootstrap to be used as it is."""
    api: AgentApi | None = None
    disconnected_seconds: float = 604800.0
    """How long a proxy without a control plane counts as healthy."""
    platform: Json = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def in_range(environment: Environment) -> tuple[dict[str, str], tuple[str, ...]]:
    """The environment with defaults in place of what the image would not have taken; and its warnings."""
    found = dict(environment)
    warnings = []
    for name, range_ in RANGES.items():
        text = environment.get(name, "").strip()
        if text and not range_.holds(text):
            found[name] = range_.default
            warnings.append(
                f"{name} is {text!r}, which is not {range_.words}: {range_.default} is used"
            )
    return found, tuple(warnings)


def app_mesh(environment: Environment, proxy: ProxyId, parse: Parse) -> AppMesh:
    """Read the variables; the first that cannot be understood is a BadRequest that names it."""
    text = _Texts(environment)
    node_id = text.first(
        "APPMESH_RESOURCE_ARN", "APPMESH_RESOURCE_NAME", "APPMESH_VIRTUAL_NODE_NAME"
    )
    if node_id and ProxyId.parse(node_id) != proxy:
        node_id = ""  # --proxy or WEFT_PROXY says otherwise, and wins.
    tracer = tracers.tracer(text, proxy)
    given = documents.given(text, parse)
    tracing_file = next((each for each in given if "tracing" in each.content), None)
    if tracer is not None and tracing_file is not None:
        raise documents.twice("tracing", tracer.variable, tracing_file)
    metrics = text("APPMESH_METRIC_EXTENSION_VERSION") == "1"
    return AppMesh(
        node_id=node_id,
        node_cluster=text.first("APPMESH_RESOURCE_CLUSTER", "APPMESH_VIRTUAL_NODE_CLUSTER"),
        region=text("AWS_REGION"),
        fetch_timeout_seconds=int(text("ENVOY_INITIAL_FETCH_TIMEOUT") or 0),
        admin=_admin(text),
        admin_log=text("ENVOY_ADMIN_ACCESS_LOG_FILE"),
        flush_interval=text.parsed("ENVOY_STATS_FLUSH_INTERVAL", values.go_duration) or "",
        outlier_log=text("ENVOY_OUTLIER_DETECTION_EVENT_LOG_PATH"),
        requests_per_io_cycle=text.parsed("MAX_REQUESTS_PER_IO_CYCLE", _positive),
        metrics=metrics,
        tracing=_tracing(text, traced=tracer is not None or tracing_file is not None),
        tracer=tracer,
        stats_tags=()
        if any("stats_config" in each.content for each in given)
        else statistics.tags(proxy, named=text.flag("ENABLE_ENVOY_STATS_TAGS"), metrics=metrics),
        statsd=None
        if any("stats_sinks" in each.content for each in given)
        else statistics.statsd(text),
        documents=given,
        whole=documents.whole(text, parse),
        api=_api(text),
        disconnected_seconds=float(text("HC_DISCONNECTED_TIMEOUT_S") or 604800),
        platform=platform_info.metadata(environment) if node_id else {},
        warnings=tuple(
            f"{name} has no effect: {why}" for name, why in NO_LONGER.items() if text(name)
        ),
    )


def reached(environment: Environment) -> tuple[str, str]:
    """Where the agent's interface and Envoy's own answer on this machine; empty where they do not."""
    text = _Texts(environment)
    api, admin = _api(text), _admin(text)
    at = "" if api is None else api.path or f"127.0.0.1:{api.port}"
    return at, "" if admin is None else admin.reached_at


class _Texts:
    """The variables as text; an empty one is none."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def __call__(self, name: str, default: str = "") -> str:
        return self._environment.get(name, "").strip() or default

    def first(self, *names: str) -> str:
        return next(filter(None, map(self, names)), "")

    def flag(self, name: str, *, default: bool = False) -> bool:
        """As Go's ParseBool reads it."""
        text = self(name)
        if text and text not in (*_TRUE, *_FALSE):
            raise BadRequest(
                f"{name} is {text!r}, which is neither true nor false",
                fix=f"write {name}=1 or {name}=0",
            )
        return text in _TRUE if text else default

    def parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        text = self(name)
        if not text:
            return None
        try:
            return parse(text)
        except BadRequest as error:
            raise BadRequest(f"{name}: {error.message}", fix=error.fix) from error.__cause__


def _positive(text: str) -> int:
    number = values.count(text)
    if number < 1:
        raise BadRequest("0 would let nothing through", fix="give a whole number from 1")
    return number


def _tracing(text: _Texts, *, traced: bool) -> Tracing:
    marks = text.flag("APPMESH_SET_TRACING_DECISION", default=True)
    if not traced:
        return Tracing.OFF
    return Tracing.ON if marks else Tracing.UNMARKED


def _mode(text: _Texts, name: str) -> str:
    mode = text(name).lower()
    if mode not in ("", "tcp", "uds"):
        raise BadRequest(f"{name} is {text(name)!r}", fix="write tcp or uds")
    return mode


def _admin(text: _Texts) -> AdminInterface | None:
    mode = _mode(text, "ENVOY_ADMIN_MODE")
    log = text("ENVOY_ADMIN_ACCESS_LOG_FILE", ADMIN_LOG)
    port = text.parsed("ENVOY_ADMIN_ACCESS_PORT", _a_port)
    both = text.flag("ENVOY_ADMIN_ACCESS_ENABLE_IPV6")
    if mode == "uds":
        address: Json = {"pipe": {"path": UDS_ADMIN, "mode": 0o600}}
        return AdminInterface(address, UDS_ADMIN, log)
    if not mode and port is None and not both:
        return None
    port = port or 9901
    socket: Json = {"address": "::" if both else "0.0.0.0", "port_value": port}
    if both:
        socket["ipv4_compat"] = True
    return AdminInterface({"socket_address": socket}, f"127.0.0.1:{port}", log)


def _api(text: _Texts) -> AgentApi | None:
    mode = _mode(text, "APPNET_AGENT_ADMIN_MODE")
    if not mode:
        return None
    seconds = float(text("APPNET_AGENT_LOGGING_RESET_TIMEOUT") or 300)
    if mode == "uds":
        path = text("APPNET_AGENT_ADMIN_UDS_PATH", "/var/run/ecs/appnet_admin.sock")
        return AgentApi(path=path, log_level_seconds=seconds)
    host = text("APPNET_AGENT_HTTP_BIND_ADDRESS", "[::]").strip("[]")
    port = text.parsed("APPNET_AGENT_HTTP_PORT", _a_port) or 9902
    return AgentApi(host=host, port=port, log_level_seconds=seconds)


def _a_port(text: str) -> int:
    return values.port(text, lowest=1)
