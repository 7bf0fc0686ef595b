"""AWS's own templates by ``aws cloudformation deploy`` and ``weft apply``, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.served import Served, served

ROOT = Path(__file__).parents[2]
EXAMPLES = Path(os.environ.get("AWS_EXAMPLES", ROOT.parent / "shared" / "aws-examples"))
needs_examples = pytest.mark.skipif(
    not (EXAMPLES / "examples").is_dir(),
    reason=f"no clone of aws-app-mesh-examples at {EXAMPLES}; set $AWS_EXAMPLES",
)
TASKS = (
    "ColorGateway",
    "ColorTellerWhite",
    "ColorTellerRed",
    "ColorTellerBlue",
    "ColorTellerBlack",
)
ARTICLE = (
    ("vpc", "examples/infrastructure/vpc.yaml", {}),
    ("appmesh-mesh", "examples/infrastructure/appmesh-mesh.yaml", {"AppMeshMeshName": "colour"}),
    (
        "ecs-cluster",
        "examples/infrastructure/ecs-cluster.yaml",
        {"KeyName": "key", "ECSServicesDomain": "demo.local"},
    ),
    (
        "appmesh-colorapp",
        "examples/apps/colorapp/servicemesh/appmesh-colorapp.yaml",
        {"AppMeshMeshName": "colour", "ServicesDomain": "demo.local"},
    ),
    (
        "ecs-colorapp",
        "examples/apps/colorapp/ecs/ecs-colorapp.yaml",
        {
            "AppMeshMeshName": "colour",
            "ECSServicesDomain": "demo.local",
            **{f"{each}TaskDefinition": f"DEMO-{each}:1" for each in TASKS},
        },
    ),
)
"""The article's five stacks, in its order: name, template, parameters besides EnvironmentName."""

NETWORK = {
    "VPC": "vpc-1",
    "VpcCIDR": "10.0.0.0/16",
    "ECSCluster": "cluster",
    "PrivateSubnet1": "subnet-1",
    "PrivateSubnet2": "subnet-2",
    "PublicSubnet1": "subnet-3",
    "PublicSubnet2": "subnet-4",
}
OTHERS = {
    "walkthroughs/fargate/appmesh-colorapp.yaml": {"ServicesDomain": "f.local"},
    "walkthroughs/howto-ecs-basics/deploy/0-prelude.yaml": {},
    "walkthroughs/howto-ecs-basics/deploy/1-servicediscovery.yaml": {},
    "walkthroughs/howto-ecs-basics/deploy/2-meshify.yaml": {},
    "walkthroughs/howto-ecs-basics/deploy/3-routing.yaml": {},
    "walkthroughs/howto-grpc/mesh.yaml": {},
    "walkthroughs/howto-grpc/app.yaml": {},
    "walkthroughs/howto-grpc-ingress-gateway/mesh.yaml": {},
    "walkthroughs/howto-grpc-ingress-gateway/app.yaml": {},
    "walkthroughs/howto-http-retries/app.yaml": {},
    "walkthroughs/howto-servicediscovery-cloudmap/mesh.yaml": {},
    "walkthroughs/howto-servicediscovery-cloudmap/app.yaml": {},
    "walkthroughs/howto-timeout-policy/mesh/mesh.yaml": {},
    "walkthroughs/howto-tls-file-provided/mesh/mesh.yaml": {"EnableClientValidationFlag": "false"},
}


@pytest.fixture(scope="module")
def weft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("data")) as found:
        yield found


class Shell:
    """The AWS CLI and Weft's own as processes, pointed at one server."""

    def __init__(self, weft: Served, home: Path) -> None:
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "PYTHONPATH": str(ROOT / "src"),
            "AWS_ENDPOINT_URL": weft.url,
            "WEFT_ENDPOINT": weft.url,
            "AWS_REGION": "us-west-2",
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_ACCESS_KEY_ID": "AKIACLI",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_MAX_ATTEMPTS": "1",
            "NO_COLOR": "1",
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60
        )

    def deploy(self, stack: str, template: Path, parameters: dict[str, str]) -> str:
        done = self.run(
            "aws", "cloudformation", "deploy", "--stack-name", stack,
            "--template-file", str(template), "--capabilities", "CAPABILITY_IAM",
            "--no-fail-on-empty-changeset",
            "--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items()),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def weft(self, *arguments: str, code: int = 0) -> str:
        done = self.run(sys.executable, "-m", "weft", *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def aws(self, *arguments: str) -> Any:
        done = self.run("aws", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture(scope="module")
def shell(weft: Served, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(weft, tmp_path_factory.mktemp("home"))


@needs_examples
def test_the_article_s_five_stacks_are_deployed_and_again_change_nothing(
    shell: Shell, weft: Served
) -> None:
    said = shell.weft(
        "stack", "set", "DEMO-ecs-colorapp", "PublicLoadBalancer.DNSName=127.0.0.1:7480"
    )
    assert "for when it is made" in said
    for name, template, parameters in ARTICLE:
        said = shell.deploy(
            f"DEMO-{name}", EXAMPLES / template, {"EnvironmentName": "DEMO", **parameters}
        )
        assert f"Successfully created/updated stack - DEMO-{name}" in said
    state = weft.parts.store.state
    for name, template, parameters in ARTICLE:
        said = shell.deploy(
            f"DEMO-{name}", EXAMPLES / template, {"EnvironmentName": "DEMO", **parameters}
        )
        assert f"No changes to deploy. Stack DEMO-{name} is up to date" in said
    # What was changed since are change sets that came to nothing.
    assert weft.parts.store.state.tables is state.tables
    for collection in ("cloudformation/stacks", "cloudmap/services", "cloudmap/namespaces"):
        assert weft.parts.store.state.collection(collection) is state.collection(collection)
    nodes = shell.aws("appmesh", "list-virtual-nodes", "--mesh-name", "colour")["virtualNodes"]
    assert len(nodes) == 6
    services = shell.aws("servicediscovery", "list-services")["Services"]
    assert sorted(each["Name"] for each in services) == [
        "colorgateway", "colorteller", "colorteller-black", "colorteller-blue", "colorteller-red",
        "tcpecho",
    ]  # fmt: skip
    (stack,) = shell.aws("cloudformation", "describe-stacks", "--stack-name", "DEMO-ecs-colorapp")[
        "Stacks"
    ]
    (output,) = stack["Outputs"]
    assert (output["OutputKey"], output["OutputValue"]) == (
        "ColorAppEndpoint",
        "http://127.0.0.1:7480",
    )
    # A value that is given later reaches the outputs at once.
    said = shell.weft("stack", "set", "DEMO-ecs-colorapp", "PublicLoadBalancer.DNSName=localhost:1")
    assert "ColorAppEndpoint  http://localhost:1" in said


def network(client: Any, prefix: str) -> None:
    """A stack that exports what the walkthroughs import from their own infrastructure."""
    exports = {**NETWORK, "CloudMapNamespaceId": {"Ref": "Space"}}
    template = {
        "Resources": {
            "Space": {
                "Type": "AWS::ServiceDiscovery::PrivateDnsNamespace",
                "Properties": {"Name": f"{prefix}.network", "Vpc": "vpc-1"},
            }
        },
        "Outputs": {
            name: {"Value": value, "Export": {"Name": f"{prefix}:{name}"}}
            for name, value in exports.items()
        },
    }
    name = f"{prefix}-network"
    if name not in {each["StackName"] for each in client.describe_stacks()["Stacks"]}:
        client.create_stack(StackName=name, TemplateBody=json.dumps(template))


@needs_examples
@pytest.mark.parametrize("template", OTHERS)
def test_every_template_of_the_examples_is_applied_and_again_changes_nothing(
    shell: Shell, weft: Served, template: str
) -> None:
    project = template.split("/")[1].removeprefix("howto-")
    # The stages of one walkthrough are one stack; a mesh and its workloads are two.
    stack = project if "ecs-basics" in template else f"{project}-{Path(template).stem}"
    client = weft.client("cloudformation")
    for prefix in (project, f"{stack}-vpc"):
        network(client, prefix)
    if project == "fargate":
        weft.client("appmesh").create_mesh(meshName=project)
    body = (EXAMPLES / template).read_text()
    given = {"ProjectName": project, "EnvironmentName": project, **OTHERS[template]}
    arguments = []
    for each in client.get_template_summary(TemplateBody=body)["Parameters"]:
        key = each["ParameterKey"]
        if key in given or "DefaultValue" not in each:
            arguments += ["--parameter", f"{key}={given.get(key, project)}"]
    command = ("apply", "-f", str(EXAMPLES / template), "--stack", stack, *arguments)
    assert "saved as revision" in shell.weft(*command)
    before = weft.revision
    assert "nothing to change" in shell.weft(*command)
    assert weft.revision == before


# --- weft's own commands -----------------------------------------------------------------

TEMPLATE = """
Parameters: {Port: {Type: Number, Default: 9080}}
Resources:
  Mesh: {Type: AWS::AppMesh::Mesh, Properties: {MeshName: own}}
  Web:
    Type: AWS::AppMesh::VirtualNode
    Properties:
      MeshName: !GetAtt Mesh.MeshName
      VirtualNodeName: web
      Spec:
        Listeners: [{PortMapping: {Port: !Ref Port, Protocol: http}}]
        ServiceDiscovery: {DNS: {Hostname: !GetAtt Balancer.DNSName}}
  Balancer: {Type: AWS::ElasticLoadBalancingV2::LoadBalancer}
Outputs: {Host: {Value: !GetAtt Balancer.DNSName}}
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(TEMPLATE)
    return path


def test_weft_apply_makes_a_stack_and_weft_stack_shows_it(
    shell: Shell, weft: Served, template: Path
) -> None:
    command = ("apply", "-f", str(template), "--set", "Balancer.DNSName=127.0.0.1")
    before = weft.revision
    said = shell.weft(*command, "--dry-run")
    assert "created Web  mesh/own/virtualNode/web" in said
    assert weft.revision == before
    said = shell.weft(*command)
    assert "Host  127.0.0.1" in said
    assert f"saved as revision {before + 1}" in said
    said = shell.weft("apply", "-f", str(template), "--parameter", "Port=9081")
    assert "changed Web  mesh/own/virtualNode/web  (Spec)" in said
    assert "nothing to change" in shell.weft("apply", "-f", str(template))
    assert "own" in shell.weft("stack", "list", "-o", "name").split()
    found = json.loads(shell.weft("stack", "describe", "own", "-o", "json"))
    assert found["parameters"] == {"Port": "9081"}
    assert found["values"] == {"Balancer.DNSName": "127.0.0.1"}
    assert "recorded, not created" in shell.weft("stack", "events", "own")
    shell.weft("stack", "set", "own", "Balancer.DNSName=127.0.0.9")
    node = shell.aws(
        "appmesh", "describe-virtual-node", "--mesh-name", "own", "--virtual-node-name", "web"
    )["virtualNode"]
    assert node["spec"]["serviceDiscovery"]["dns"]["hostname"] == "127.0.0.9"
    shell.weft("stack", "delete", "own", "--yes")
    assert "own" not in shell.weft("stack", "list", "-o", "name").split()


def test_every_problem_of_a_template_has_its_file_and_line(shell: Shell, template: Path) -> None:
    template.write_text(
        TEMPLATE.replace("Listeners:", "listeners:").replace("Balancer.", "Nobody.")
    )
    said = shell.weft("apply", "-f", str(template), code=6)
    assert f"{template}:11: Resources.Web.Properties.Spec.listeners: " in said
    assert f"{template}:12: " in said
    assert f"{template}:14: Outputs.Host.Value" in said
    said = shell.weft("apply", "-f", str(template), "--foreign", "refuse", code=6)
    assert f"{template}:13: Resources.Balancer.Type: " in said


def test_options_for_templates_are_for_templates(shell: Shell, tmp_path: Path) -> None:
    other = tmp_path / "mesh.json"
    other.write_text('{"meshName": "plain"}')
    said = shell.weft("apply", "-f", str(other), "--parameter", "A=1", code=2)
    assert "are for a CloudFormation template" in said
    (tmp_path / "a.yaml").write_text(TEMPLATE)
    said = shell.weft("apply", "-f", str(tmp_path), code=2)
    assert "applied alone" in said


def test_what_stands_already_is_taken_into_a_stack_as_it_is(
    shell: Shell, weft: Served, tmp_path: Path
) -> None:
    shell.weft("apply", "-f", str(ROOT / "examples" / "colorapp" / "weft.yaml"))
    exported = shell.weft("export", "--mesh", "my-first-appmesh", "--format", "cfn")
    file = tmp_path / "exported.yaml"
    file.write_text(exported)
    tables = weft.parts.store.state.tables
    shell.weft("apply", "-f", str(file))
    assert weft.parts.store.state.tables is tables
    assert "nothing to change" in shell.weft("apply", "-f", str(file))
    said = shell.weft("apply", "-f", str(file), "--stack", "second", code=6)
    assert "belongs to stack exported" in said


def test_changes_keep_templates_and_their_secrets_to_themselves(
    shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "secret.yaml"
    file.write_text(
        "Parameters: {Secret: {Type: String, NoEcho: true}}\n"
        "Resources: {V: {Type: AWS::EC2::VPC, Properties: {X: !Ref Secret}}}\n"
    )
    shell.weft("apply", "-f", str(file), "--parameter", "Secret=s3cr3t")
    revision = json.loads(shell.weft("changes", "-n", "1", "-o", "json"))["changes"][0]["revision"]
    assert "s3cr3t" not in shell.weft("change", str(revision), "-o", "json")
    assert "s3cr3t" not in shell.weft("changes", "-n", "3", "-o", "json")
    assert "s3cr3t" not in shell.weft("stack", "describe", "secret", "-o", "json")
