"""The unchanged AWS CLI, and the input files of AWS's own examples."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract import specs
from tests.contract.served import Served

ROOT = Path(__file__).parents[2]
EXAMPLES = Path(os.environ.get("AWS_EXAMPLES", ROOT.parent / "shared" / "aws-examples"))
UPDATES = sorted(EXAMPLES.glob("examples/apps/colorapp/servicemesh/config/update_routes/*.json"))
INPUTS = sorted(
    path
    for path in EXAMPLES.glob("walkthroughs/**/*.json")
    if {"spec"} <= set(json.loads(re.sub(r"\$[A-Z_]+", '"x"', path.read_text())))
)


class Aws:
    """``aws appmesh …`` as a process."""

    def __init__(self, weft: Served, home: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_ENDPOINT_URL_APP_MESH": weft.url,
            "AWS_REGION": "us-west-2",
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_ACCESS_KEY_ID": "AKIACLI",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "awscli", "appmesh", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def __call__(self, *arguments: str) -> Any:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None


@pytest.fixture
def aws(weft: Served, tmp_path: Path) -> Aws:
    return Aws(weft, tmp_path)


def test_the_cli_makes_reads_and_deletes(aws: Aws, tmp_path: Path) -> None:
    made = aws("create-mesh", "--mesh-name", "cli", "--tags", "key=team,value=a")
    assert made["mesh"]["status"] == {"status": "ACTIVE"}
    assert aws("describe-mesh", "--mesh-name", "cli")["mesh"]["meshName"] == "cli"
    file = tmp_path / "node.json"
    file.write_text(json.dumps({"virtualNodeName": "n", "spec": specs.node()}))
    aws("create-virtual-node", "--mesh-name", "cli", "--cli-input-json", f"file://{file}")
    listed = aws("list-virtual-nodes", "--mesh-name", "cli", "--page-size", "1")
    assert [each["virtualNodeName"] for each in listed["virtualNodes"]] == ["n"]
    deleted = aws("delete-virtual-node", "--mesh-name", "cli", "--virtual-node-name", "n")
    assert deleted["virtualNode"]["status"] == {"status": "DELETED"}


def test_the_cli_shows_our_words(aws: Aws) -> None:
    done = aws.run("describe-mesh", "--mesh-name", "nowhere")
    assert done.returncode != 0
    assert (
        "An error occurred (NotFoundException) when calling the DescribeMesh operation: "
        "Mesh with name nowhere is not present for account 000000000000"
    ) in done.stderr


@pytest.fixture
def colorapp(appmesh: Any, mesh: str) -> str:
    """As much of Color App as its route files name."""
    for colour in ("white", "blue", "red", "black"):
        appmesh.create_virtual_node(
            meshName=mesh, virtualNodeName=f"colorteller-{colour}-vn", spec=specs.node()
        )
    appmesh.create_virtual_node(meshName=mesh, virtualNodeName="colorteller-vn", spec=specs.node())
    place = {"meshName": mesh, "virtualRouterName": "colorteller-vr"}
    appmesh.create_virtual_router(**place, spec={})
    appmesh.create_route(
        **place, routeName="colorteller-route", spec=specs.http_route({"colorteller-vn": 1})
    )
    return mesh


@pytest.mark.skipif(not UPDATES, reason="AWS's examples are not here; say where by AWS_EXAMPLES")
def test_the_articles_route_updates_do_as_they_are(aws: Aws, colorapp: str) -> None:
    route = {}
    for file in UPDATES:
        route = aws("update-route", "--mesh-name", colorapp, "--cli-input-json", f"file://{file}")
        assert route["route"]["spec"] == json.loads(file.read_text())["spec"]
    assert route["route"]["metadata"]["version"] == 1 + len(UPDATES)


# --- what the examples' files are, put in by boto3 for speed ------------------------------


@pytest.mark.parametrize("file", INPUTS, ids=lambda file: f"{file.parts[-3]}-{file.stem}")
def test_an_input_file_of_the_examples_is_accepted(appmesh: Any, mesh: str, file: Path) -> None:
    sent = json.loads(re.sub(r"\$[A-Z_]+", _value, file.read_text()))
    spec = sent["spec"]
    _make_what_it_names(appmesh, mesh, spec)
    match _kind(file, spec):
        case "mesh":
            made = appmesh.update_mesh(meshName=mesh, spec=spec)["mesh"]
        case "virtual_gateway":
            made = appmesh.create_virtual_gateway(
                meshName=mesh, virtualGatewayName="made", spec=spec
            )["virtualGateway"]
        case "gateway_route":
            protocol = next(iter(spec)).removesuffix("Route")
            listener = {"portMapping": {"port": 80, "protocol": protocol}}
            appmesh.create_virtual_gateway(
                meshName=mesh, virtualGatewayName="g", spec={"listeners": [listener]}
            )
            made = appmesh.create_gateway_route(
                meshName=mesh, virtualGatewayName="g", gatewayRouteName="made", spec=spec
            )["gatewayRoute"]
        case "route":
            appmesh.create_virtual_router(meshName=mesh, virtualRouterName="r", spec={})
            made = appmesh.create_route(
                meshName=mesh, virtualRouterName="r", routeName="made", spec=spec
            )["route"]
        case "virtual_service":
            made = appmesh.create_virtual_service(
                meshName=mesh, virtualServiceName="made", spec=spec
            )["virtualService"]
        case "virtual_router":
            made = appmesh.create_virtual_router(
                meshName=mesh, virtualRouterName="made", spec=spec
            )["virtualRouter"]
        case _:
            made = appmesh.create_virtual_node(meshName=mesh, virtualNodeName="made", spec=spec)[
                "virtualNode"
            ]
    assert _without_ports(made["spec"]) == _without_ports(spec)


def _value(found: re.Match[str]) -> str:
    return {
        "$CERTIFICATE_ARN": '"arn:aws:acm:us-west-2:000000000000:certificate/1"',
        "$ROOT_CA_ARN": '"arn:aws:acm-pca:us-west-2:000000000000:certificate-authority/1"',
    }.get(found[0], '"service.test"')


def _kind(file: Path, spec: Any) -> str:
    routes = {"httpRoute", "http2Route", "grpcRoute", "tcpRoute"} & set(spec)
    if routes:
        (route,) = routes
        return "gateway_route" if "target" in spec[route]["action"] else "route"
    if file.stem == "mesh":
        return "mesh"
    if "provider" in spec:
        return "virtual_service"
    if "-vg" in file.stem:
        return "virtual_gateway"
    return "virtual_router" if "-vr" in file.stem else "virtual_node"


def _make_what_it_names(appmesh: Any, mesh: str, spec: Any) -> None:
    for route in ("httpRoute", "http2Route", "grpcRoute", "tcpRoute"):
        action = spec.get(route, {}).get("action", {})
        for target in action.get("weightedTargets", ()):
            appmesh.create_virtual_node(
                meshName=mesh,
                virtualNodeName=target["virtualNode"],
                spec=specs.node(route.removesuffix("Route")),
            )
        if "target" in action:
            name = action["target"]["virtualService"]["virtualServiceName"]
            appmesh.create_virtual_service(meshName=mesh, virtualServiceName=name, spec={})
    match spec.get("provider"):
        case {"virtualRouter": {"virtualRouterName": name}}:
            appmesh.create_virtual_router(meshName=mesh, virtualRouterName=name, spec={})
        case {"virtualNode": {"virtualNodeName": name}}:
            appmesh.create_virtual_node(meshName=mesh, virtualNodeName=name, spec=specs.node())
        case _:
            pass


def _without_ports(spec: Any) -> Any:
    """Less what App Mesh fills in."""
    listeners = [
        {**each, "healthCheck": {**each["healthCheck"], "port": None}}
        if "healthCheck" in each
        else each
        for each in spec.get("listeners", ())
    ]
    return {**spec, "listeners": listeners} if listeners else spec
