"""App Mesh's variables: what each becomes in Envoy's bootstrap, byte for byte, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.unit.sidecar.image import GATEWAY, WEB, both, changed, made, read
from weft.errors import BadRequest
from weft.names import Tracing
from weft.sidecar.app_mesh import AgentApi
from weft.sidecar.flags import FLAGS
from weft.sidecar.variables import NO_LONGER, RANGES

ARN = f"arn:aws:appmesh:eu-west-1:123456789012:{WEB}"


# --- who it is ------------------------------------------------------------------------------


def test_the_node_id_is_the_resource_in_the_words_it_was_given_in() -> None:
    node = made(proxy="", APPMESH_RESOURCE_ARN=ARN, AWS_REGION="eu-west-1")["node"]

    assert (node["id"], node["cluster"]) == (ARN, ARN)
    assert node["locality"] == {"region": "eu-west-1"}


@pytest.mark.parametrize(
    "variables",
    [
        {"APPMESH_RESOURCE_NAME": WEB},
        {"APPMESH_VIRTUAL_NODE_NAME": WEB},
        {"APPMESH_VIRTUAL_NODE_NAME": GATEWAY, "APPMESH_RESOURCE_NAME": WEB},
    ],
)
def test_older_names_of_the_resource_stand_in(variables: dict[str, str]) -> None:
    assert made(proxy="", **variables)["node"]["id"] == WEB


def test_wefts_own_option_says_which_proxy_it_is() -> None:
    assert made(WEB, APPMESH_RESOURCE_ARN=GATEWAY)["node"]["id"] == WEB


def test_the_cluster_of_the_node_may_be_another() -> None:
    found = made(APPMESH_RESOURCE_CLUSTER="blue", APPMESH_VIRTUAL_NODE_CLUSTER="green")
    older = made(APPMESH_VIRTUAL_NODE_CLUSTER="green")

    assert (found["node"]["cluster"], older["node"]["cluster"]) == ("blue", "green")


def test_where_it_runs_is_in_the_metadata() -> None:
    metadata = made(
        proxy="",
        APPMESH_RESOURCE_ARN=WEB,
        APPMESH_PLATFORM_K8S_VERSION="v1.30",
        APPMESH_PLATFORM_K8S_POD_UID="123",
        APPMESH_PLATFORM_APP_MESH_CONTROLLER_VERSION="v1.12.7",
    )["node"]["metadata"]

    info = metadata["aws.appmesh.platformInfo"]
    assert info["k8sPlatformInfo"] == {
        "k8sVersion": "v1.30",
        "podUid": "123",
        "appMeshControllerVersion": "v1.12.7",
    }
    assert set(info["systemInfo"]) == {"systemPlatform", "systemKernelVersion"}
    assert set(metadata["aws.appmesh.task.interfaces"]) == {"ipv4", "ipv6"}
    assert metadata["aws.appmesh.static_runtime"] == {
        "re2": {"max_program_size": {"error_level": 1000}}
    }


def test_a_pod_that_says_only_half_of_it_says_nothing() -> None:
    found = made(proxy="", APPMESH_RESOURCE_ARN=WEB, APPMESH_PLATFORM_K8S_VERSION="v1.30")

    assert "k8sPlatformInfo" not in found["node"]["metadata"]["aws.appmesh.platformInfo"]


# --- admin, times, limits -------------------------------------------------------------------


def test_nobody_else_reaches_the_admin_interface_unless_asked_for() -> None:
    assert made()["admin"]["address"] == {"pipe": {"path": "/run/admin.sock", "mode": 0o600}}


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"ENVOY_ADMIN_MODE": "tcp"}, {"address": "0.0.0.0", "port_value": 9901}),
        ({"ENVOY_ADMIN_ACCESS_PORT": "9902"}, {"address": "0.0.0.0", "port_value": 9902}),
        (
            {"ENVOY_ADMIN_ACCESS_ENABLE_IPV6": "true"},
            {"address": "::", "port_value": 9901, "ipv4_compat": True},
        ),
    ],
)
def test_a_tcp_admin_interface_is_where_the_image_had_it(
    variables: dict[str, str], address: dict[str, object]
) -> None:
    admin = made(**variables)["admin"]

    assert admin["address"] == {"socket_address": address}
    assert admin["access_log"] == [
        {
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": "/tmp/envoy_admin_access.log",
            },
        }
    ]


def test_the_admin_interface_may_be_a_unix_socket_with_a_log() -> None:
    admin = made(ENVOY_ADMIN_MODE="uds", ENVOY_ADMIN_ACCESS_LOG_FILE="/dev/stdout")["admin"]

    assert admin["address"] == {"pipe": {"path": "/tmp/envoy_admin.sock", "mode": 0o600}}
    assert admin["access_log"][0]["typed_config"]["path"] == "/dev/stdout"


def test_times_and_limits_are_said_in_envoys_words() -> None:
    found = changed(
        ENVOY_INITIAL_FETCH_TIMEOUT="30",
        ENVOY_STATS_FLUSH_INTERVAL="1m30s",
        ENVOY_OUTLIER_DETECTION_EVENT_LOG_PATH="/dev/stdout",
        MAX_REQUESTS_PER_IO_CYCLE="1",
    )

    for name in ("lds_config", "cds_config"):
        assert found["dynamic_resources"][name] == {
            "ads": {},
            "resource_api_version": "V3",
            "initial_fetch_timeout": "30s",
        }
    assert found["stats_flush_interval"] == "90s"
    assert found["cluster_manager"] == {"outlier_detection": {"event_log_path": "/dev/stdout"}}
    assert found["layered_runtime"]["layers"][0] == {
        "name": "static_layer_0",
        "static_layer": {
            "re2": {"max_program_size": {"error_level": 1000}},
            "http.max_requests_per_io_cycle": 1,
        },
    }


@pytest.mark.parametrize("name", RANGES)
def test_what_is_out_of_range_becomes_the_default_and_is_warned_of(name: str) -> None:
    found = read(**{name: "-7"})

    (warning,) = (w for w in found.app_mesh.warnings if w.startswith(f"{name} is"))
    assert warning.endswith(f": {RANGES[name].default} is used")


def test_defaults_of_app_mesh_hold_where_a_variable_was_out_of_range() -> None:
    found = read(
        LISTENER_DRAIN_WAIT_TIME_S="4",
        APPNET_ENVOY_RESTART_COUNT="11",
        ENVOY_LOG_LEVEL="loud",
        HC_DISCONNECTED_TIMEOUT_S="1",
    )

    assert (found.drain_seconds, found.restarts, found.log_level) == (20.0, 3, "info")
    assert found.app_mesh.disconnected_seconds == 604800


@pytest.mark.parametrize("name", NO_LONGER)
def test_what_means_nothing_any_more_is_accepted_with_one_line(name: str) -> None:
    found = read(**{name: RANGES[name].default if name in RANGES else "1"})

    assert found.app_mesh.warnings == (f"{name} has no effect: {NO_LONGER[name]}",)


@pytest.mark.parametrize("text", ["yes", "on", "TrUe", "2"])
def test_a_boolean_is_read_as_go_reads_it(text: str) -> None:
    with pytest.raises(BadRequest, match="neither true nor false"):
        read(ENABLE_ENVOY_STATS_TAGS=text)


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_every_spelling_of_true_is_true(text: str) -> None:
    assert len(read(ENABLE_ENVOY_STATS_TAGS=text).app_mesh.stats_tags) == 5


# --- tracing --------------------------------------------------------------------------------


def xray(**more: object) -> dict[str, object]:
    return {
        "http": {
            "name": "envoy.tracers.xray",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.XRayConfig",
                "daemon_endpoint": {"protocol": "UDP", "address": "127.0.0.1", "port_value": 2000},
                "segment_name": "shop/web",
                "segment_fields": {
                    "origin": "AWS::AppMesh::Proxy",
                    "aws": {"app_mesh": {"mesh_name": "shop", "virtual_node_name": "web"}},
                },
                **more,
            },
        }
    }


@pytest.mark.parametrize(
    ("variables", "more"),
    [
        ({}, {}),
        ({"XRAY_SAMPLING_RATE": "0.051"}, {}),
        ({"XRAY_SEGMENT_NAME": "front"}, {"segment_name": "front"}),
        (
            {"XRAY_DAEMON_PORT": "2001"},
            {"daemon_endpoint": {"protocol": "UDP", "address": "127.0.0.1", "port_value": 2001}},
        ),
        (
            {"XRAY_DAEMON_PORT": "2001", "AWS_XRAY_DAEMON_ADDRESS": "10.0.0.7:2002"},
            {"daemon_endpoint": {"protocol": "UDP", "address": "10.0.0.7", "port_value": 2002}},
        ),
        (
            {"AWS_XRAY_DAEMON_ADDRESS": "::1"},
            {"daemon_endpoint": {"protocol": "UDP", "address": "::1", "port_value": 2000}},
        ),
        (
            {"XRAY_SAMPLING_RATE": "0.125"},
            {
                "sampling_rule_manifest": {
                    "inline_string": '{"version": 2, "default": {"fixed_target": 1, "rate": 0.12}}'
                }
            },
        ),
    ],
)
def test_xray(variables: dict[str, str], more: dict[str, object]) -> None:
    found = changed(ENABLE_ENVOY_XRAY_TRACING="1", **variables)

    assert found["tracing"] == xray(**more)
    assert set(found) == {"tracing", "node"}


def test_xrays_rules_may_be_a_file_of_version_two(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text('{"version": 2, "rules": [], "default": {"fixed_target": 1, "rate": 1}}')
    asked = {"ENABLE_ENVOY_XRAY_TRACING": "1", "XRAY_SAMPLING_RULE_MANIFEST": str(rules)}

    assert made(**asked, XRAY_SAMPLING_RATE="0.5")["tracing"] == xray(
        sampling_rule_manifest={"filename": str(rules)}
    )
    rules.write_text('{"version": 1}')
    with pytest.raises(BadRequest, match="of version 1"):
        read(**asked)


def test_datadog() -> None:
    found = changed(ENABLE_ENVOY_DATADOG_TRACING="1", DATADOG_TRACER_ADDRESS="dd.local")

    assert found["tracing"] == {
        "http": {
            "name": "envoy.tracers.datadog",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.DatadogConfig",
                "collector_cluster": "datadog_agent",
                "service_name": "envoy-shop/web",
            },
        }
    }
    assert found["static_resources"]["clusters"][-1] == collector("datadog_agent", "dd.local", 8126)


def test_jaeger() -> None:
    found = changed(ENABLE_ENVOY_JAEGER_TRACING="1", JAEGER_TRACER_VERSION="JSON")

    assert found["tracing"] == {
        "http": {
            "name": "envoy.tracers.zipkin",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
                "collector_cluster": "jaeger",
                "collector_endpoint": "/api/v2/spans",
                "collector_endpoint_version": "HTTP_JSON",
                "shared_span_context": False,
            },
        }
    }
    assert found["static_resources"]["clusters"][-1] == collector("jaeger", "127.0.0.1", 9411)


def collector(name: str, host: str, port: int) -> dict[str, object]:
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


def test_a_tracer_switches_tracing_on_in_the_view() -> None:
    assert read().app_mesh.tracing is Tracing.OFF
    assert read(ENABLE_ENVOY_XRAY_TRACING="1").app_mesh.tracing is Tracing.ON
    found = made(ENABLE_ENVOY_XRAY_TRACING="1", APPMESH_SET_TRACING_DECISION="false")
    assert found["node"]["metadata"]["weft"]["tracing"] == "unmarked"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"ENABLE_ENVOY_XRAY_TRACING": "1", "ENABLE_ENVOY_JAEGER_TRACING": "1"},
            "ENABLE_ENVOY_XRAY_TRACING and ENABLE_ENVOY_JAEGER_TRACING are both set",
        ),
        (
            {"ENABLE_ENVOY_XRAY_TRACING": "1", "AWS_XRAY_DAEMON_ADDRESS": "xray.local:2000"},
            "AWS_XRAY_DAEMON_ADDRESS: 'xray.local:2000' has no IP address",
        ),
        (
            {"ENABLE_ENVOY_XRAY_TRACING": "1", "XRAY_SAMPLING_RATE": "5"},
            "XRAY_SAMPLING_RATE: '5' is not a rate",
        ),
        (
            {"ENABLE_ENVOY_JAEGER_TRACING": "1", "JAEGER_TRACER_VERSION": "THRIFT"},
            "JAEGER_TRACER_VERSION is 'THRIFT'",
        ),
        ({"ENVOY_STATS_FLUSH_INTERVAL": "5"}, "ENVOY_STATS_FLUSH_INTERVAL: '5' is not a duration"),
        ({"ENVOY_STATS_FLUSH_INTERVAL": "10m"}, "is not an interval at which Envoy flushes"),
        ({"MAX_REQUESTS_PER_IO_CYCLE": "0"}, "MAX_REQUESTS_PER_IO_CYCLE: 0 would let nothing"),
        ({"ENVOY_ADMIN_MODE": "pipe"}, "ENVOY_ADMIN_MODE is 'pipe'"),
        ({"ENVOY_ADMIN_ACCESS_PORT": "x"}, "ENVOY_ADMIN_ACCESS_PORT: 'x' is not a port"),
        ({"APPNET_AGENT_ADMIN_MODE": "x"}, "APPNET_AGENT_ADMIN_MODE is 'x'"),
        (
            {"ENABLE_ENVOY_DOG_STATSD": "1", "STATSD_ADDRESS": "statsd.local"},
            "STATSD_ADDRESS is 'statsd.local', which is no IP address",
        ),
        ({"ENVOY_TRACING_CFG_FILE": "/nowhere"}, "ENVOY_TRACING_CFG_FILE: /nowhere cannot be read"),
    ],
)
def test_what_cannot_be_understood_is_an_error_that_names_it(
    variables: dict[str, str], words: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        read(**variables)
    assert words in refused.value.message
    assert refused.value.fix


# --- statistics -----------------------------------------------------------------------------

LISTENER_TAGS = [
    {"tag_name": "appmesh.listener_protocol", "regex": r".*?\.ingress\.((\w+?)\.)[0-9]+?\.(.+?)$"},
    {"tag_name": "appmesh.listener_port", "regex": r".*?\.ingress\.\w+?\.(([0-9]+?)\.)(.+?)$"},
    {
        "tag_name": "envoy_rds_route_config",
        "regex": r".*?\.ingress\.\w+?\.[0-9]+?\.rds\.((.*?)\.)(.+?)$",
    },
]


def test_tags_of_a_virtual_node_with_the_metrics_extension() -> None:
    found = made(ENABLE_ENVOY_STATS_TAGS="1", APPMESH_METRIC_EXTENSION_VERSION="1")

    assert found["stats_config"]["stats_tags"] == [
        *LISTENER_TAGS,
        {"tag_name": "appmesh.mesh", "fixed_value": "shop"},
        {"tag_name": "appmesh.virtual_node", "fixed_value": "web"},
        {"tag_name": "Mesh", "fixed_value": "shop"},
        {"tag_name": "VirtualNode", "fixed_value": "web"},
        {
            "tag_name": "TargetVirtualNode",
            "regex": r"^appmesh(?:\..+?\..+?)*(\.TargetVirtualNode\.(.+?))(?:\..+?\..+?)*\.(?:.+)$",
        },
        {
            "tag_name": "TargetVirtualService",
            "regex": r"^appmesh(?:\..+?\..+?)*(\.TargetVirtualService\.([^MVT]+))(?:\..+?\..+?)*\.(?:.+)$",
        },
    ]
    assert found["node"]["metadata"]["aws.appmesh.metric_filter"] == {"level": "1"}
    assert found["node"]["metadata"]["weft"]["metrics"] is True


def test_tags_of_a_virtual_gateway() -> None:
    tags = made(GATEWAY, ENABLE_ENVOY_STATS_TAGS="true")["stats_config"]["stats_tags"]

    assert tags[3:] == [
        {"tag_name": "appmesh.mesh", "fixed_value": "shop"},
        {"tag_name": "appmesh.virtual_gateway", "fixed_value": "edge"},
    ]


@pytest.mark.parametrize("version", ["", "0", "2", "true"])
def test_only_version_one_of_the_metrics_extension_is_one(version: str) -> None:
    assert made(APPMESH_METRIC_EXTENSION_VERSION=version) == made()


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        (
            {},
            {"socket_address": {"protocol": "UDP", "address": "127.0.0.1", "port_value": 8125}},
        ),
        (
            {"STATSD_ADDRESS": "10.0.0.7", "STATSD_PORT": "9125"},
            {"socket_address": {"protocol": "UDP", "address": "10.0.0.7", "port_value": 9125}},
        ),
        (
            {"STATSD_ADDRESS": "10.0.0.7", "STATSD_SOCKET_PATH": "/run/dd.sock"},
            {"pipe": {"path": "/run/dd.sock"}},
        ),
    ],
)
def test_dog_statsd(variables: dict[str, str], address: dict[str, object]) -> None:
    assert changed(ENABLE_ENVOY_DOG_STATSD="1", **variables) == {
        "stats_sinks": [
            {
                "name": "envoy.stat_sinks.dog_statsd",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.metrics.v3.DogStatsdSink",
                    "address": address,
                },
            }
        ]
    }


# --- the agent ------------------------------------------------------------------------------


def test_the_agents_interface_is_only_there_when_asked_for() -> None:
    assert read().app_mesh.api is None
    assert read(APPNET_AGENT_ADMIN_MODE="tcp").app_mesh.api == AgentApi(host="::", port=9902)
    assert read(
        APPNET_AGENT_ADMIN_MODE="tcp",
        APPNET_AGENT_HTTP_BIND_ADDRESS="127.0.0.1",
        APPNET_AGENT_HTTP_PORT="80",
        APPNET_AGENT_LOGGING_RESET_TIMEOUT="7",
    ).app_mesh.api == AgentApi(host="127.0.0.1", port=80, log_level_seconds=7)
    assert read(APPNET_AGENT_ADMIN_MODE="uds").app_mesh.api == AgentApi(
        path="/var/run/ecs/appnet_admin.sock"
    )
    assert read(
        APPNET_AGENT_ADMIN_MODE="uds", APPNET_AGENT_ADMIN_UDS_PATH="/tmp/agent.sock"
    ).app_mesh.api == AgentApi(path="/tmp/agent.sock")


# --- files ----------------------------------------------------------------------------------


def test_files_are_added_or_take_the_place_of_what_was_made(tmp_path: Path) -> None:
    resources = tmp_path / "resources.yaml"
    resources.write_text(
        "staticResources:\n  clusters: [{name: mine}]\n  listeners: [{name: l}]\n"
        "  secrets: [{name: s}]\nflagsPath: /flags\noverload_manager: {}\n"
    )
    tracing = tmp_path / "tracing.json"
    tracing.write_text(json.dumps({"tracing": {"http": {"name": "envoy.tracers.opentelemetry"}}}))
    stats = tmp_path / "stats.yaml"
    stats.write_text("stats_config:\n  stats_tags: [{tag_name: mine, fixed_value: x}]\n")
    sinks = tmp_path / "sinks.yaml"
    sinks.write_text("stats_sinks: [{name: mine}]\n")

    found, replaced = both(
        ENVOY_RESOURCES_CONFIG_FILE=str(resources),
        ENVOY_TRACING_CFG_FILE=str(tracing),
        ENVOY_STATS_CONFIG_FILE=str(stats),
        ENVOY_STATS_SINKS_CFG_FILE=str(sinks),
        ENABLE_ENVOY_STATS_TAGS="1",
        ENABLE_ENVOY_DOG_STATSD="1",
    )

    plain = made()
    static = found["static_resources"]
    assert static["clusters"] == [*plain["static_resources"]["clusters"], {"name": "mine"}]
    assert (static["listeners"], static["secrets"]) == ([{"name": "l"}], [{"name": "s"}])
    assert (found["flags_path"], found["overload_manager"]) == ("/flags", {})
    assert replaced == (f"overload_manager of the bootstrap is that of {resources}",)
    assert found["tracing"] == {"http": {"name": "envoy.tracers.opentelemetry"}}
    assert found["node"]["metadata"]["weft"]["tracing"] == "on"
    assert found["stats_config"]["stats_tags"] == [{"tag_name": "mine", "fixed_value": "x"}]
    assert found["stats_sinks"] == [{"name": "mine"}], "and the variables for DogStatsD are ignored"


@pytest.mark.parametrize(
    ("written", "variables", "words"),
    [
        ("tracing: {}", {"ENABLE_ENVOY_XRAY_TRACING": "1"}, "multiple tracing configurations"),
        ("statsSinks: []\nstats_sinks: []", {}, "says stats_sinks twice, in both spellings"),
        ("- a", {}, "does not hold a bootstrap"),
        ("a: [", {}, "is neither JSON nor YAML"),
        ("stats_sinks: 3", {}, "stats_sinks of .* has another form"),
        ("staticResources: {clusters: {}, listeners: x}", {}, "static_resources.listeners of"),
        ("static_resources: []", {}, "static_resources of"),
        ("admin: {address: {pipe: 3}}", {}, "admin.address of"),
        ("tracing: 'on'", {}, "tracing of"),
    ],
)
def test_files_that_contradict_are_refused(
    tmp_path: Path, written: str, variables: dict[str, str], words: str
) -> None:
    file = tmp_path / "given.yaml"
    file.write_text(written)
    with pytest.raises(BadRequest, match=words):
        read(ENVOY_TRACING_CFG_FILE=str(file), **variables)


def test_two_files_that_say_one_thing_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("stats_config: {}")
    with pytest.raises(BadRequest, match="multiple stats_config configurations"):
        read(
            ENVOY_RESOURCES_CONFIG_FILE=str(tmp_path / "a.yaml"),
            ENVOY_STATS_CONFIG_FILE=str(tmp_path / "b.yaml"),
        )


def test_a_whole_bootstrap_is_used_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "envoy.yaml"
    file.write_text("node: {id: me, cluster: me}\nstatic_resources: {}\n")

    found = made(ENVOY_CONFIG_FILE=str(file), ENABLE_ENVOY_XRAY_TRACING="1")
    assert found == {
        "admin": made()["admin"],
        "node": {"id": "me", "cluster": "me"},
        "static_resources": {},
    }


def test_an_empty_bootstrap_is_none(tmp_path: Path) -> None:
    file = tmp_path / "envoy.yaml"
    file.touch()
    assert made(ENVOY_CONFIG_FILE=str(file)) == made()


# --- the page -------------------------------------------------------------------------------

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "app-mesh-image.md").read_text(encoding="utf-8")
INTERCEPTION = (ROOT / "docs" / "sidecar.md").read_text(encoding="utf-8")
READERS = ("app_mesh", "tracers", "statistics", "documents", "platform_info", "readiness")


def test_every_variable_is_documented() -> None:
    text = "".join((ROOT / f"src/weft/sidecar/{name}.py").read_text() for name in READERS)
    words = set(re.findall(r'"([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)"', text))
    read_here = {name for name in words if not name.startswith("WEFT_")} - {"STRICT_DNS"}
    stands_in = {name for flag in FLAGS for name in flag.variables} - {"ENVOY"}
    known = read_here | set(RANGES) | {n for n in stands_in if not n.startswith("WEFT_")}
    assert len(known) > 60
    assert [name for name in sorted(known) if f"`{name}`" not in PAGE + INTERCEPTION] == []


def test_what_has_no_effect_is_documented_with_its_reason() -> None:
    assert [name for name, why in NO_LONGER.items() if f"| `{name}` | {why} |" not in PAGE] == []
