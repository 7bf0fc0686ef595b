"""The example's weft.yaml: App Mesh accepts its inputs, and they are the article's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator

COLORAPP = Path(__file__).parents[3] / "examples" / "colorapp"
DEFAULT = re.compile(r"\$\{[A-Z_]+:-([^{}]*)\}")
PING = {
    "protocol": "http",
    "path": "/ping",
    "healthyThreshold": 2,
    "unhealthyThreshold": 2,
    "timeoutMillis": 2000,
    "intervalMillis": 5000,
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The file with an empty environment."""
    text = (COLORAPP / "weft.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(DEFAULT.sub(r"\1", text))
    return loaded


@pytest.fixture(scope="module")
def named(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every resource by the name of its own kind."""
    return {resource[f"{resource['kind']}Name"]: resource for resource in document["resources"]}


def test_every_resource_is_a_create_input_that_aws_accepts(document: dict[str, Any]) -> None:
    session: Any = botocore.session.Session()  # type: ignore[no-untyped-call]
    validator: Any = ParamValidator()
    service = session.get_service_model("appmesh")
    for resource in document["resources"]:
        kind = resource["kind"]
        given = {key: value for key, value in resource.items() if key != "kind"}
        shape = service.operation_model(f"Create{kind[0].upper()}{kind[1:]}").input_shape
        report = validator.validate({"meshName": document["mesh"], **given}, shape)
        assert not report.has_errors(), (kind, report.generate_report())
        assert set(given) <= set(shape.members)


def test_the_tellers_have_their_names(named: dict[str, dict[str, Any]]) -> None:
    hosts = {
        "white": "colorteller",
        "blue": "colorteller-blue",
        "red": "colorteller-red",
        "black": "colorteller-black",
    }
    for color, host in hosts.items():
        assert named[f"colorteller-{color}-vn"]["spec"] == {
            "listeners": [{"portMapping": {"port": 9080, "protocol": "http"}, "healthCheck": PING}],
            "serviceDiscovery": {"dns": {"hostname": f"{host}.myapp.local"}},
        }


def test_the_first_route_gives_white_blue_and_red_a_third_each(
    named: dict[str, dict[str, Any]],
) -> None:
    assert named["colorteller.myapp.local"]["spec"] == {
        "provider": {"virtualRouter": {"virtualRouterName": "colorteller-vr"}}
    }
    assert named["colorteller-route"]["virtualRouterName"] == "colorteller-vr"
    assert named["colorteller-route"]["spec"] == {
        "httpRoute": {
            "match": {"prefix": "/"},
            "action": {
                "weightedTargets": [
                    {"virtualNode": f"colorteller-{color}-vn", "weight": 1}
                    for color in ("white", "blue", "red")
                ]
            },
        }
    }


def test_the_gateway_may_call_both_services(named: dict[str, dict[str, Any]]) -> None:
    spec = named["colorgateway-vn"]["spec"]
    assert spec["listeners"] == [{"portMapping": {"port": 9080, "protocol": "http"}}]
    assert [b["virtualService"]["virtualServiceName"] for b in spec["backends"]] == [
        "colorteller.myapp.local",
        "tcpecho.myapp.local",
    ]


def test_nothing_is_there_but_the_article(document: dict[str, Any]) -> None:
    kinds = [resource["kind"] for resource in document["resources"]]
    assert document["mesh"] == "my-first-appmesh"
    assert kinds.count("virtualNode") == 6
    assert kinds.count("virtualService") == 2
    assert sorted(set(kinds)) == ["mesh", "route", "virtualNode", "virtualRouter", "virtualService"]


def test_every_workload_runs_a_script_for_a_virtual_node_of_the_file(
    document: dict[str, Any], named: dict[str, dict[str, Any]]
) -> None:
    assert sorted(document["workloads"]) == [
        "colorgateway",
        "colorteller-black",
        "colorteller-blue",
        "colorteller-red",
        "colorteller-white",
        "tcpecho",
    ]
    for workload in document["workloads"].values():
        python, script = workload["command"]
        assert python == "${python}"
        assert (COLORAPP / workload["dir"] / script).is_file()
        listener = named[workload["virtualNode"]]["spec"]["listeners"][0]
        port = listener["portMapping"]["port"]
        assert f"${{port.{port}}}" in workload["env"].values()


def test_the_gateway_is_reachable_at_a_fixed_port(document: dict[str, Any]) -> None:
    gateway = document["workloads"]["colorgateway"]
    assert gateway["ingress"] == {9080: 7480}
    assert gateway["env"]["COLOR_TELLER_ENDPOINT"] == "colorteller.myapp.local:9080"
    assert gateway["env"]["TCP_ECHO_ENDPOINT"] == "${backend.tcpecho.myapp.local}"


def test_tcpecho_has_no_sidecar_and_knows_its_name(document: dict[str, Any]) -> None:
    tcpecho = document["workloads"]["tcpecho"]
    assert tcpecho["sidecar"] is False
    assert tcpecho["env"]["NODE_NAME"] == "mesh/my-first-appmesh/virtualNode/tcpecho-vn"
