"""Terraform's state and plans: blocks become specs, and what was not given disappears."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from weft.errors import Invalid
from weft.manifests import specs
from weft.manifests.files import Loaded, load

OWNER = "123456789012"


def loaded(tmp_path: Path, value: Any, name: str = "terraform.tfstate") -> Loaded:
    file = tmp_path / name
    file.write_text(json.dumps(value, indent=1))
    return load([str(file)], {})


def problems(tmp_path: Path, value: Any) -> list[str]:
    with pytest.raises(Invalid) as caught:
        specs.check(loaded(tmp_path, value).definitions)
    return [str(each).replace(f"{tmp_path}/", "") for each in caught.value.problems]


def state(*resources: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": 4,
        "terraform_version": "1.9.0",
        "serial": 3,
        "lineage": "a",
        "outputs": {},
        "resources": list(resources),
    }


def resource(type: str, name: str, *instances: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "mode": "managed",
        "type": f"aws_appmesh_{type}",
        "name": name,
        "instances": [{"attributes": each} for each in instances],
        **more,
    }


def attributes(name: str, spec: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "arn": "arn:aws:appmesh:us-west-2:1:x",
        "id": "0-1",
        "name": name,
        "mesh_name": "shop",
        "mesh_owner": OWNER,
        "resource_owner": OWNER,
        "spec": spec,
        "tags": {},
        "tags_all": {},
        **more,
    }


def specs_of(found: Loaded) -> dict[str, Any]:
    specs.check(found.definitions)
    return {str(each.key): each.body["spec"] for each in found.definitions}


MESH = resource("mesh", "m", attributes("shop", [{"egress_filter": [{"type": "DROP_ALL"}]}]))
CLIENT_POLICY = [
    {
        "tls": [
            {
                "certificate": [],
                "enforce": False,
                "ports": [],
                "validation": [
                    {
                        "subject_alternative_names": [],
                        "trust": [{"acm": [], "file": [{"certificate_chain": "/ca"}], "sds": []}],
                    }
                ],
            }
        ]
    }
]
NODE_SPEC = {
    "backend": [
        {"virtual_service": [{"client_policy": [], "virtual_service_name": "a.local"}]},
        {"virtual_service": [{"client_policy": CLIENT_POLICY, "virtual_service_name": "b"}]},
    ],
    "backend_defaults": [],
    "listener": [
        {
            "connection_pool": [
                {
                    "grpc": [],
                    "http": [{"max_connections": 5, "max_pending_requests": 0}],
                    "http2": [],
                    "tcp": [],
                }
            ],
            "health_check": [
                {
                    "healthy_threshold": 2,
                    "interval_millis": 5000,
                    "path": "",
                    "port": 8080,
                    "protocol": "http",
                    "timeout_millis": 2000,
                    "unhealthy_threshold": 2,
                }
            ],
            "outlier_detection": [
                {
                    "base_ejection_duration": [{"unit": "s", "value": 0}],
                    "interval": [{"unit": "ms", "value": 10}],
                    "max_ejection_percent": 0,
                    "max_server_errors": 5,
                }
            ],
            "port_mapping": [{"port": 8080, "protocol": "http"}],
            "timeout": [
                {
                    "grpc": [],
                    "http": [{"idle": [], "per_request": [{"unit": "s", "value": 0}]}],
                    "http2": [],
                    "tcp": [],
                }
            ],
            "tls": [],
        }
    ],
    "logging": [
        {
            "access_log": [
                {
                    "file": [
                        {
                            "format": [{"json": [{"key": "k", "value": "v"}], "text": ""}],
                            "path": "/dev/stdout",
                        }
                    ]
                }
            ]
        }
    ],
    "service_discovery": [
        {
            "aws_cloud_map": [
                {
                    "attributes": {"colour": "red"},
                    "namespace_name": "ns",
                    "service_name": "web",
                }
            ],
            "dns": [],
        }
    ],
}


def test_blocks_become_objects_and_what_was_not_given_is_not_there(tmp_path: Path) -> None:
    node = resource("virtual_node", "web", attributes("web-vn", [NODE_SPEC]))
    found = specs_of(loaded(tmp_path, state(MESH, node)))

    assert found["mesh/shop"] == {"egressFilter": {"type": "DROP_ALL"}}
    assert found["mesh/shop/virtualNode/web-vn"] == {
        "backends": [
            {"virtualService": {"virtualServiceName": "a.local"}},
            {
                "virtualService": {
                    "virtualServiceName": "b",
                    "clientPolicy": {
                        "tls": {
                            "enforce": False,
                            "validation": {"trust": {"file": {"certificateChain": "/ca"}}},
                        }
                    },
                }
            },
        ],
        "listeners": [
            {
                "connectionPool": {"http": {"maxConnections": 5}},
                "healthCheck": {
                    "healthyThreshold": 2,
                    "intervalMillis": 5000,
                    "protocol": "http",
                    "timeoutMillis": 2000,
                    "unhealthyThreshold": 2,
                },
                "outlierDetection": {
                    "baseEjectionDuration": {"unit": "s", "value": 0},
                    "interval": {"unit": "ms", "value": 10},
                    "maxEjectionPercent": 0,
                    "maxServerErrors": 5,
                },
                "portMapping": {"port": 8080, "protocol": "http"},
                "timeout": {"http": {"perRequest": {"unit": "s", "value": 0}}},
            }
        ],
        "logging": {
            "accessLog": {
                "file": {"format": {"json": [{"key": "k", "value": "v"}]}, "path": "/dev/stdout"}
            }
        },
        "serviceDiscovery": {
            "awsCloudMap": {
                "attributes": [{"key": "colour", "value": "red"}],
                "namespaceName": "ns",
                "serviceName": "web",
            }
        },
    }


def test_routes_keep_weights_of_nothing_and_lose_priorities_of_nothing(tmp_path: Path) -> None:
    target = {"port": 0, "virtual_node": "web", "weight": 0}
    http = {
        "action": [{"weighted_target": [target, {**target, "weight": 1}]}],
        "match": [
            {
                "header": [
                    {
                        "invert": False,
                        "name": "h",
                        "match": [
                            {
                                "exact": "",
                                "prefix": "",
                                "range": [{"start": 0, "end": 9}],
                                "regex": "",
                                "suffix": "",
                            }
                        ],
                    }
                ],
                "method": "",
                "path": [],
                "port": 0,
                "prefix": "/",
                "query_parameter": [{"name": "q", "match": [{"exact": "1"}]}],
                "scheme": "",
            }
        ],
        "retry_policy": [
            {
                "http_retry_events": ["server-error"],
                "max_retries": 0,
                "per_retry_timeout": [{"unit": "s", "value": 1}],
                "tcp_retry_events": [],
            }
        ],
        "timeout": [],
    }
    spec = {
        "grpc_route": [],
        "http2_route": [http],
        "http_route": [],
        "tcp_route": [],
        "priority": 0,
    }
    grpc = {"grpc_route": [{**http, "match": [None], "retry_policy": []}], "priority": 3}
    both = [
        attributes("h", [spec], virtual_router_name="r"),
        attributes("g", [grpc], virtual_router_name="r"),
    ]
    found = specs_of(loaded(tmp_path, state(resource("route", "r", *both))))
    http2 = found["mesh/shop/virtualRouter/r/route/h"]
    assert http2 == {
        "http2Route": {
            "action": {
                "weightedTargets": [
                    {"virtualNode": "web", "weight": 0},
                    {"virtualNode": "web", "weight": 1},
                ]
            },
            "match": {
                "headers": [
                    {"invert": False, "name": "h", "match": {"range": {"start": 0, "end": 9}}}
                ],
                "prefix": "/",
                "queryParameters": [{"name": "q", "match": {"exact": "1"}}],
            },
            "retryPolicy": {
                "httpRetryEvents": ["server-error"],
                "maxRetries": 0,
                "perRetryTimeout": {"unit": "s", "value": 1},
            },
        }
    }
    other = found["mesh/shop/virtualRouter/r/route/g"]
    assert (other["grpcRoute"]["match"], other["priority"]) == ({}, 3)


def test_modules_counts_and_tags_are_read_and_other_resources_are_not(tmp_path: Path) -> None:
    service = resource(
        "virtual_service",
        "s",
        attributes("a.local", [{"provider": []}], tags_all={"b": "2", "a": "1"}),
        attributes("b.local", [{}]),
        module='module.mesh["x"]',
    )
    data = {**MESH, "mode": "data"}
    foreign = {"mode": "managed", "type": "aws_instance", "name": "i", "instances": []}
    found = loaded(tmp_path, state(data, foreign, service))
    assert [str(each.key) for each in found.definitions] == [
        "mesh/shop/virtualService/a.local",
        "mesh/shop/virtualService/b.local",
    ]
    assert found.definitions[0].body["tags"] == [
        {"key": "a", "value": "1"},
        {"key": "b", "value": "2"},
    ]
    assert "meshOwner" not in found.definitions[0].body


def test_a_mesh_of_another_account_keeps_its_owner(tmp_path: Path) -> None:
    shared = attributes("a.local", [{}], mesh_owner="999999999999")
    [service] = loaded(tmp_path, state(resource("virtual_service", "s", shared))).definitions
    assert service.body["meshOwner"] == "999999999999"


def plan(**more: Any) -> dict[str, Any]:
    values = attributes("shop", [{"egress_filter": []}])
    node = attributes("web", [NODE_SPEC])
    del node["mesh_name"]
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {
            "root_module": {
                "resources": [
                    {
                        "address": "aws_appmesh_mesh.m",
                        "mode": "managed",
                        "type": "aws_appmesh_mesh",
                        "name": "m",
                        "values": values,
                    },
                ],
                "child_modules": [
                    {
                        "address": "module.a",
                        "resources": [
                            {
                                "address": "module.a.aws_appmesh_mesh.m",
                                "mode": "managed",
                                "type": "aws_appmesh_mesh",
                                "name": "m",
                                "values": {**values, "name": "inner"},
                            },
                            {
                                "address": 'module.a.aws_appmesh_virtual_node.n["x"]',
                                "mode": "managed",
                                "type": "aws_appmesh_virtual_node",
                                "name": "n",
                                "index": "x",
                                "values": node,
                            },
                        ],
                    }
                ],
            }
        },
        **more,
    }


def test_a_plan_is_read_with_names_that_it_leaves_to_references(tmp_path: Path) -> None:
    expressions = {"mesh_name": {"references": ["aws_appmesh_mesh.m.id", "aws_appmesh_mesh.m"]}}
    module = {"resources": [{"address": "aws_appmesh_virtual_node.n", "expressions": expressions}]}
    configuration = {"root_module": {"module_calls": {"a": {"module": module}}}}
    found = loaded(tmp_path, plan(configuration=configuration), "plan.json")
    assert [str(each.key) for each in found.definitions] == [
        "mesh/shop",
        "mesh/inner",
        "mesh/inner/virtualNode/web",
    ]


def test_a_name_that_nobody_knows_before_the_apply_is_a_problem(tmp_path: Path) -> None:
    [said] = problems(tmp_path, plan())
    assert 'module.a.aws_appmesh_virtual_node.n["x"]: mesh_name is known only after' in said


def test_a_mistake_is_placed_at_its_line_in_the_state(tmp_path: Path) -> None:
    wrong = json.loads(json.dumps(NODE_SPEC))
    wrong["listener"][0]["port_mapping"][0]["port"] = 99999
    wrong["listener"][0]["colour"] = "red"
    value = state(resource("virtual_node", "web", attributes("web-vn", [wrong])))
    lines = json.dumps(value, indent=1).splitlines()
    line = next(i for i, text in enumerate(lines, 1) if "99999" in text)

    [said] = [each for each in problems(tmp_path, value) if "portMapping" in each]
    assert said.startswith(
        f"terraform.tfstate:{line}: mesh/shop/virtualNode/web-vn: spec.listeners"
    )
    [warning] = loaded(tmp_path, value).warnings
    assert warning.message == "aws_appmesh_virtual_node.web: colour is not known and left out"


def test_a_state_of_another_version_says_how_to_get_one_that_can_be_read(tmp_path: Path) -> None:
    [said] = problems(tmp_path, {**state(), "version": 3})
    assert "a Terraform state of version 3 cannot be read; terraform show -json" in said


@pytest.mark.parametrize(
    "broken",
    [
        {"resources": [3, {"mode": "managed"}, {"mode": "managed", "type": "aws_appmesh_mesh"}]},
        {"resources": [resource("mesh", "m", {"name": "m", "spec": 7})]},
        {"planned_values": {"root_module": {"resources": {}, "child_modules": [4]}}},
        {"values": None},
    ],
)
def test_a_state_of_any_shape_is_read_or_refused(tmp_path: Path, broken: Any) -> None:
    with contextlib.suppress(Invalid):
        specs.check(loaded(tmp_path, {**state(), **broken}).definitions)
