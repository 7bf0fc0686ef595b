"""Taking a mesh apart with the AWS CLI: in its order nothing is left, in another it says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract import specs
from tests.contract.served import Served
from tests.contract.test_aws_cli import Aws


@pytest.fixture
def aws(weft: Served, tmp_path: Path) -> Aws:
    return Aws(weft, tmp_path)


@pytest.fixture
def whole(appmesh: Any, mesh: str) -> str:
    """A mesh with one of every kind, each of them needed by another."""
    place = {"meshName": mesh}
    listener = {"portMapping": {"port": 9080, "protocol": "http"}}
    service = {"virtualService": {"virtualServiceName": "s.test"}}
    appmesh.create_virtual_node(**place, virtualNodeName="target", spec=specs.node())
    appmesh.create_virtual_node(
        **place, virtualNodeName="client", spec={**specs.node(), "backends": [service]}
    )
    appmesh.create_virtual_router(**place, virtualRouterName="r", spec={"listeners": [listener]})
    appmesh.create_route(
        **place, virtualRouterName="r", routeName="all", spec=specs.http_route({"target": 1})
    )
    provider = {"virtualRouter": {"virtualRouterName": "r"}}
    appmesh.create_virtual_service(
        **place, virtualServiceName="s.test", spec={"provider": provider}
    )
    provider = {"virtualNode": {"virtualNodeName": "client"}}
    appmesh.create_virtual_service(
        **place, virtualServiceName="c.test", spec={"provider": provider}
    )
    appmesh.create_virtual_gateway(**place, virtualGatewayName="g", spec={"listeners": [listener]})
    appmesh.create_gateway_route(
        **place,
        virtualGatewayName="g",
        gatewayRouteName="all",
        spec={"httpRoute": {"match": {"prefix": "/"}, "action": {"target": service}}},
    )
    return mesh


IN_ORDER = [
    ("delete-gateway-route", "--virtual-gateway-name", "g", "--gateway-route-name", "all"),
    ("delete-virtual-gateway", "--virtual-gateway-name", "g"),
    ("delete-virtual-service", "--virtual-service-name", "s.test"),
    ("delete-virtual-service", "--virtual-service-name", "c.test"),
    ("delete-route", "--virtual-router-name", "r", "--route-name", "all"),
    ("delete-virtual-router", "--virtual-router-name", "r"),
    ("delete-virtual-node", "--virtual-node-name", "target"),
    ("delete-virtual-node", "--virtual-node-name", "client"),
    ("delete-mesh",),
]


def test_a_teardown_in_order_leaves_nothing(aws: Aws, whole: str) -> None:
    for command, *rest in IN_ORDER:
        deleted = aws(command, "--mesh-name", whole, *rest)
        (resource,) = deleted.values()
        assert resource["status"] == {"status": "DELETED"}
    listed = [each["meshName"] for each in aws("list-meshes")["meshes"]]
    assert whole not in listed


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            ("delete-virtual-node", "--virtual-node-name", "target"),
            "VirtualNode with name target cannot be deleted because "
            "it is the target of one or more routes.",
        ),
        (
            ("delete-virtual-node", "--virtual-node-name", "client"),
            "VirtualNode with name client cannot be deleted because "
            "it is a VirtualService provider",
        ),
        (
            ("delete-virtual-router", "--virtual-router-name", "r"),
            "VirtualRouter with name r cannot be deleted because",
        ),
        (
            ("delete-virtual-service", "--virtual-service-name", "s.test"),
            "VirtualService s.test is being referenced in the following: GATEWAY_ROUTE: [all]",
        ),
        (
            ("delete-virtual-gateway", "--virtual-gateway-name", "g"),
            "VirtualGateway with name g cannot be deleted because",
        ),
        (("delete-mesh",), "cannot be deleted because"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_teardown_out_of_order_says_what_is_in_the_way(
    aws: Aws, whole: str, weft: Served, command: tuple[str, ...], words: str
) -> None:
    before = weft.revision
    name, *rest = command
    done = aws.run(name, "--mesh-name", whole, *rest)
    assert done.returncode != 0
    assert "An error occurred (ResourceInUseException) when calling the Delete" in done.stderr
    assert words in done.stderr
    assert weft.revision == before
