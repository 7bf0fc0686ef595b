"""CloudFormation through boto3: stacks, change sets, events, and what is refused with which code."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from tests.contract.served import Served

MODEL = botocore.session.get_session().get_service_model("cloudformation")
_names = itertools.count(1)
DONE = {"Delay": 0.01, "MaxAttempts": 3}


@pytest.fixture(scope="module")
def client(weft: Served) -> Any:
    return weft.client("cloudformation")


@pytest.fixture
def name() -> str:
    return f"stack-{next(_names)}"


def mesh_of(name: str, *, node: str = "web", port: Any = 9080, more: str = "") -> str:
    return f"""
Description: a mesh and a node
Parameters:
  Suffix: {{Type: String, Default: local}}
Resources:
  Mesh: {{Type: AWS::AppMesh::Mesh, Properties: {{MeshName: {name}}}}}
  Web:
    Type: AWS::AppMesh::VirtualNode
    Properties:
      MeshName: !GetAtt Mesh.MeshName
      VirtualNodeName: {node}
      Spec:
        Listeners: [{{PortMapping: {{Port: {port}, Protocol: http}}}}]
        ServiceDiscovery: {{DNS: {{Hostname: !Sub '{node}.${{Suffix}}'}}}}
{more}
Outputs:
  Node: {{Value: !GetAtt Web.VirtualNodeName, Export: {{Name: {name}-node}}}}
"""


ROUTED = """
  Router:
    Type: AWS::AppMesh::VirtualRouter
    Properties:
      MeshName: !GetAtt Mesh.MeshName
      VirtualRouterName: router
      Spec: {Listeners: [{PortMapping: {Port: 9080, Protocol: http}}]}
  Route:
    Type: AWS::AppMesh::Route
    Properties:
      MeshName: !GetAtt Mesh.MeshName
      VirtualRouterName: !GetAtt Router.VirtualRouterName
      RouteName: route
      Spec:
        HttpRoute:
          Match: {Prefix: /}
          Action: {WeightedTargets: [{VirtualNode: TARGET, Weight: 1}]}
"""


def refused(call: Callable[..., Any], code: str, **members: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**members)
    assert caught.value.response["Error"]["Code"] == code
    return str(caught.value.response["Error"]["Message"])


def statuses(client: Any, name: str) -> list[tuple[str, str]]:
    events = client.get_paginator("describe_stack_events").paginate(StackName=name)
    found = [
        (each["LogicalResourceId"], each["ResourceStatus"])
        for page in events
        for each in page["StackEvents"]
    ]
    return found[::-1]


def status(client: Any, name: str) -> str:
    return str(client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])


# --- a stack's life ----------------------------------------------------------------------


def test_a_stack_is_created_described_updated_and_deleted(
    client: Any, appmesh: Any, name: str
) -> None:
    made = client.create_stack(
        StackName=name, TemplateBody=mesh_of(name), Tags=[{"Key": "team", "Value": "a"}]
    )
    client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=DONE)
    (stack,) = client.describe_stacks(StackName=made["StackId"])["Stacks"]
    assert (stack["StackName"], stack["StackStatus"]) == (name, "CREATE_COMPLETE")
    assert stack["Parameters"] == [{"ParameterKey": "Suffix", "ParameterValue": "local"}]
    assert stack["Outputs"] == [
        {"OutputKey": "Node", "OutputValue": "web", "ExportName": f"{name}-node"}
    ]
    node = appmesh.describe_virtual_node(meshName=name, virtualNodeName="web")["virtualNode"]
    assert node["spec"]["serviceDiscovery"] == {"dns": {"hostname": "web.local"}}
    tags = appmesh.list_tags_for_resource(resourceArn=node["metadata"]["arn"])["tags"]
    assert tags == [{"key": "team", "value": "a"}]

    client.update_stack(
        StackName=name,
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": "Suffix", "ParameterValue": "test"}],
    )
    client.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig=DONE)
    node = appmesh.describe_virtual_node(meshName=name, virtualNodeName="web")["virtualNode"]
    assert node["spec"]["serviceDiscovery"] == {"dns": {"hostname": "web.test"}}
    assert node["metadata"]["version"] == 2

    client.delete_stack(StackName=name)
    client.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=DONE)
    assert f"Stack with id {name} does not exist" in refused(
        client.describe_stacks, "ValidationError", StackName=name
    )
    assert status(client, made["StackId"]) == "DELETE_COMPLETE"
    assert name not in {mesh["meshName"] for mesh in appmesh.list_meshes()["meshes"]}
    assert name in {each["StackName"] for each in client.list_stacks()["StackSummaries"]}


def test_an_operation_is_one_revision(client: Any, weft: Served, name: str) -> None:
    before = weft.revision
    client.create_stack(StackName=name, TemplateBody=mesh_of(name))
    client.update_stack(StackName=name, TemplateBody=mesh_of(name, port=9081))
    client.delete_stack(StackName=name)
    assert weft.revision == before + 3


def test_an_update_that_changes_nothing_says_so(client: Any, name: str) -> None:
    client.create_stack(StackName=name, TemplateBody=mesh_of(name))
    said = refused(
        client.update_stack, "ValidationError", StackName=name, TemplateBody=mesh_of(name)
    )
    assert said == "No updates are to be performed."


def test_events_tell_what_happened_newest_first(client: Any, name: str) -> None:
    client.create_stack(
        StackName=name,
        TemplateBody=mesh_of(name, more="  Vpc: {Type: AWS::EC2::VPC}\n"),
        ClientRequestToken="token-1",
    )
    assert statuses(client, name) == [
        (name, "CREATE_IN_PROGRESS"),
        ("Mesh", "CREATE_IN_PROGRESS"),
        ("Mesh", "CREATE_COMPLETE"),
        ("Web", "CREATE_IN_PROGRESS"),
        ("Web", "CREATE_COMPLETE"),
        ("Vpc", "CREATE_IN_PROGRESS"),
        ("Vpc", "CREATE_COMPLETE"),
        (name, "CREATE_COMPLETE"),
    ]
    events = client.describe_stack_events(StackName=name)["StackEvents"]
    assert events[1]["ResourceStatusReason"].startswith("recorded, not created")
    assert {each["ClientRequestToken"] for each in events} == {"token-1"}
    assert len({each["EventId"] for each in events}) == len(events)


def test_resources_are_listed_with_their_ids(client: Any, name: str) -> None:
    client.create_stack(
        StackName=name, TemplateBody=mesh_of(name, more="  Vpc: {Type: AWS::EC2::VPC}\n")
    )
    found = client.describe_stack_resources(StackName=name)["StackResources"]
    assert [each["LogicalResourceId"] for each in found] == ["Mesh", "Web", "Vpc"]
    assert found[1]["PhysicalResourceId"].endswith(f":mesh/{name}/virtualNode/web")
    assert found[2]["PhysicalResourceId"].startswith("vpc-")
    listed = client.list_stack_resources(StackName=name)["StackResourceSummaries"]
    assert [each["ResourceType"] for each in listed][2] == "AWS::EC2::VPC"
    one = client.describe_stack_resource(StackName=name, LogicalResourceId="Web")
    assert one["StackResourceDetail"]["ResourceStatus"] == "CREATE_COMPLETE"
    owner = client.describe_stack_resources(PhysicalResourceId=found[2]["PhysicalResourceId"])
    assert owner["StackResources"][0]["StackName"] == name
    said = refused(
        client.describe_stack_resource, "ValidationError", StackName=name, LogicalResourceId="No"
    )
    assert said == f"Resource No does not exist for stack {name}"


def test_a_template_comes_back_as_it_was_sent(client: Any, name: str) -> None:
    body = mesh_of(name)
    client.create_stack(StackName=name, TemplateBody=body)
    assert client.get_template(StackName=name)["TemplateBody"] == body
    assert client.get_template_summary(StackName=name)["Parameters"][0]["ParameterKey"] == "Suffix"


# --- failure -----------------------------------------------------------------------------


def test_a_create_that_fails_leaves_nothing_and_says_why(
    client: Any, appmesh: Any, name: str
) -> None:
    client.create_stack(
        StackName=name, TemplateBody=mesh_of(name, more=ROUTED.replace("TARGET", "nobody"))
    )
    assert status(client, name) == "ROLLBACK_COMPLETE"
    assert ("Route", "CREATE_FAILED") in statuses(client, name)
    events = client.describe_stack_events(StackName=name)["StackEvents"]
    (failed,) = [each for each in events if each["ResourceStatus"] == "CREATE_FAILED"]
    assert "VirtualNode with name nobody is not present" in failed["ResourceStatusReason"]
    assert failed["ResourceType"] == "AWS::AppMesh::Route"
    assert name not in {mesh["meshName"] for mesh in appmesh.list_meshes()["meshes"]}
    said = refused(
        client.update_stack, "ValidationError", StackName=name, TemplateBody=mesh_of(name)
    )
    assert "is in ROLLBACK_COMPLETE state and can not be updated" in said
    client.delete_stack(StackName=name)
    client.create_stack(StackName=name, TemplateBody=mesh_of(name))
    assert status(client, name) == "CREATE_COMPLETE"


def test_an_update_that_fails_rolls_back_to_what_stood(
    client: Any, appmesh: Any, name: str
) -> None:
    good = mesh_of(name, more=ROUTED.replace("TARGET", "web"))
    client.create_stack(StackName=name, TemplateBody=good)
    bad = mesh_of(name, port=9999, more=ROUTED.replace("TARGET", "nobody"))
    client.update_stack(StackName=name, TemplateBody=bad)
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert [each for each in statuses(client, name) if each[1].startswith("UPDATE")] == [
        (name, "UPDATE_IN_PROGRESS"),
        ("Route", "UPDATE_IN_PROGRESS"),
        ("Route", "UPDATE_FAILED"),
        (name, "UPDATE_ROLLBACK_IN_PROGRESS"),
        (name, "UPDATE_ROLLBACK_COMPLETE"),
    ]
    node = appmesh.describe_virtual_node(meshName=name, virtualNodeName="web")["virtualNode"]
    assert (node["spec"]["listeners"][0]["portMapping"]["port"], node["metadata"]["version"]) == (
        9080,
        1,
    )
    assert client.get_template(StackName=name)["TemplateBody"] == good
    client.update_stack(StackName=name, TemplateBody=good.replace("Weight: 1", "Weight: 2"))
    assert status(client, name) == "UPDATE_COMPLETE"


def test_on_failure_says_what_stays(client: Any, name: str) -> None:
    bad = mesh_of(name, port=70000)
    client.create_stack(StackName=name, TemplateBody=bad, OnFailure="DO_NOTHING")
    assert status(client, name) == "CREATE_FAILED"
    client.delete_stack(StackName=name)
    client.create_stack(StackName=name, TemplateBody=bad, OnFailure="DELETE")
    refused(client.describe_stacks, "ValidationError", StackName=name)


def test_a_property_that_is_misspelt_fails_its_resource(client: Any, name: str) -> None:
    client.create_stack(
        StackName=name, TemplateBody=mesh_of(name).replace("ServiceDiscovery", "serviceDiscovery")
    )
    events = client.describe_stack_events(StackName=name)["StackEvents"]
    (failed,) = [each for each in events if each["ResourceStatus"] == "CREATE_FAILED"]
    assert failed["LogicalResourceId"] == "Web"
    assert "write ServiceDiscovery" in failed["ResourceStatusReason"]


def test_what_is_still_needed_keeps_its_stack(client: Any, appmesh: Any, name: str) -> None:
    client.create_stack(StackName=name, TemplateBody=mesh_of(name))
    appmesh.create_virtual_service(meshName=name, virtualServiceName="other.local", spec={})
    client.delete_stack(StackName=name)
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "DELETE_FAILED"
    assert ("Mesh", "DELETE_FAILED") in statuses(client, name)
    appmesh.describe_virtual_node(meshName=name, virtualNodeName="web")
    client.delete_stack(StackName=name, RetainResources=["Mesh"])
    assert appmesh.list_virtual_nodes(meshName=name)["virtualNodes"] == []


def test_every_mistake_of_a_template_is_in_one_answer(client: Any, name: str) -> None:
    body = "Parameters: {A: {Type: String}}\nResources:\n  X: {Type: AWS::EC2::VPC, DependsOn: Y}\n  Z: {Typ: 1}\n"
    said = refused(client.create_stack, "ValidationError", StackName=name, TemplateBody=body)
    assert "template:3: Resources.X.DependsOn: there is no resource 'Y'" in said
    assert "template:4: Resources.Z.Typ" in said
    body = "Parameters: {A: {Type: String}, B: {Type: Number}}\nResources: {X: {Type: AWS::EC2::VPC}}\n"
    said = refused(client.create_stack, "ValidationError", StackName=name, TemplateBody=body)
    assert "Parameters: [A, B] must have values" in said


# --- between stacks ----------------------------------------------------------------------


def test_exports_and_imports_hold_stacks_together(client: Any, name: str) -> None:
    client.create_stack(StackName=name, TemplateBody=mesh_of(name))
    user = f"{name}-user"
    body = f"Resources: {{V: {{Type: AWS::EC2::VPC, Properties: {{N: !ImportValue {name}-node}}}}}}"
    client.create_stack(StackName=user, TemplateBody=body)
    found = {each["Name"]: each["Value"] for each in client.list_exports()["Exports"]}
    assert found[f"{name}-node"] == "web"
    assert client.list_imports(ExportName=f"{name}-node")["Imports"] == [user]
    said = refused(client.delete_stack, "ValidationError", StackName=name)
    assert said == f"Export {name}-node cannot be deleted as it is in use by {user}"
    client.update_stack(StackName=name, TemplateBody=mesh_of(name, node="www"))
    assert status(client, name) == "UPDATE_ROLLBACK_COMPLETE"
    client.delete_stack(StackName=user)
    client.update_stack(StackName=name, TemplateBody=mesh_of(name, node="www"))
    assert status(client, name) == "UPDATE_COMPLETE"
    said = refused(client.list_imports, "ValidationError", ExportName=f"{name}-node")
    assert said == f"Export '{name}-node' is not imported by any stack."


def test_an_import_of_nothing_rolls_back(client: Any, name: str) -> None:
    body = "Resources: {V: {Type: AWS::EC2::VPC, Properties: {N: !ImportValue nothing}}}"
    client.create_stack(StackName=name, TemplateBody=body)
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    events = client.describe_stack_events(StackName=name)["StackEvents"]
    assert any("No export named nothing found" in e.get("ResourceStatusReason", "") for e in events)


# --- change sets -------------------------------------------------------------------------


def test_a_change_set_creates_a_stack_when_it_is_executed(
    client: Any, appmesh: Any, name: str
) -> None:
    made = client.create_change_set(
        StackName=name, ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=mesh_of(name)
    )
    client.get_waiter("change_set_create_complete").wait(
        ChangeSetName=made["Id"], WaiterConfig=DONE
    )
    assert status(client, name) == "REVIEW_IN_PROGRESS"
    found = client.describe_change_set(ChangeSetName="first", StackName=name)
    assert [
        (each["ResourceChange"]["Action"], each["ResourceChange"]["LogicalResourceId"])
        for each in found["Changes"]
    ] == [("Add", "Mesh"), ("Add", "Web")]
    assert name not in {mesh["meshName"] for mesh in appmesh.list_meshes()["meshes"]}
    client.execute_change_set(ChangeSetName="first", StackName=name)
    client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=DONE)
    assert client.describe_stacks(StackName=name)["Stacks"][0]["ChangeSetId"] == made["Id"]
    said = refused(client.execute_change_set, "InvalidChangeSetStatus", ChangeSetName=made["Id"])
    assert "EXECUTE_COMPLETE" in said


def test_a_change_set_shows_what_would_change(client: Any, name: str) -> None:
    client.create_stack(StackName=name, TemplateBody=mesh_of(name))
    client.create_change_set(
        StackName=name, ChangeSetName="port", TemplateBody=mesh_of(name, port=9081)
    )
    (change,) = client.describe_change_set(ChangeSetName="port", StackName=name)["Changes"]
    shown = change["ResourceChange"]
    assert (shown["Action"], shown["Replacement"], shown["Scope"]) == (
        "Modify",
        "False",
        ["Properties"],
    )
    assert shown["Details"][0]["Target"]["Name"] == "Spec"
    client.create_change_set(
        StackName=name, ChangeSetName="name", TemplateBody=mesh_of(name, node="www")
    )
    (change,) = client.describe_change_set(ChangeSetName="name", StackName=name)["Changes"]
    assert change["ResourceChange"]["Replacement"] == "True"
    listed = client.list_change_sets(StackName=name)["Summaries"]
    assert {each["ChangeSetName"] for each in listed} == {"port", "name"}
    client.execute_change_set(ChangeSetName="port", StackName=name)
    assert [
        each["ChangeSetName"] for each in client.list_change_sets(StackName=name)["Summaries"]
    ] == ["port"]


def test_a_change_set_without_changes_fails_as_deploy_expects_it(client: Any, name: str) -> None:
    client.create_stack(StackName=name, TemplateBody=mesh_of(name))
    client.create_change_set(StackName=name, ChangeSetName="same", TemplateBody=mesh_of(name))
    found = client.describe_change_set(ChangeSetName="same", StackName=name)
    assert (found["Status"], found["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "The submitted information didn't contain changes." in found["StatusReason"]
    refused(
        client.execute_change_set, "InvalidChangeSetStatus", ChangeSetName="same", StackName=name
    )
    client.delete_change_set(ChangeSetName="same", StackName=name)
    refused(client.describe_change_set, "ChangeSetNotFound", ChangeSetName="same", StackName=name)


# --- what else is refused ----------------------------------------------------------------


def test_a_stack_that_stands_is_not_created_again(client: Any, name: str) -> None:
    first = client.create_stack(
        StackName=name, TemplateBody=mesh_of(name), ClientRequestToken="once"
    )
    again = client.create_stack(
        StackName=name, TemplateBody=mesh_of(name), ClientRequestToken="once"
    )
    assert again["StackId"] == first["StackId"]
    said = refused(
        client.create_stack, "AlreadyExistsException", StackName=name, TemplateBody=mesh_of(name)
    )
    assert said == f"Stack [{name}] already exists"
    refused(
        client.update_stack,
        "TokenAlreadyExistsException",
        StackName=name,
        TemplateBody=mesh_of(name, port=1),
        ClientRequestToken="once",
    )


def test_roles_need_an_acknowledgement(client: Any, name: str) -> None:
    body = "Resources: {R: {Type: AWS::IAM::Role, Properties: {RoleName: r}}}"
    asked = {"StackName": name, "TemplateBody": body}
    said = refused(client.create_stack, "InsufficientCapabilitiesException", **asked)
    assert said == "Requires capabilities : [CAPABILITY_NAMED_IAM]"
    refused(
        client.create_stack,
        "InsufficientCapabilitiesException",
        **asked,
        Capabilities=["CAPABILITY_IAM"],
    )
    client.create_stack(**asked, Capabilities=["CAPABILITY_NAMED_IAM"])
    assert client.get_template_summary(TemplateBody=body)["Capabilities"] == [
        "CAPABILITY_NAMED_IAM"
    ]


def test_a_protected_stack_stays(client: Any, name: str) -> None:
    client.create_stack(
        StackName=name, TemplateBody=mesh_of(name), EnableTerminationProtection=True
    )
    said = refused(client.delete_stack, "ValidationError", StackName=name)
    assert "cannot be deleted while TerminationProtection is enabled" in said
    client.update_termination_protection(StackName=name, EnableTerminationProtection=False)
    client.delete_stack(StackName=name)
    refused(client.describe_stacks, "ValidationError", StackName=name)


def test_a_template_in_s3_is_refused_clearly(client: Any, name: str) -> None:
    said = refused(
        client.create_stack, "ValidationError", StackName=name, TemplateURL="https://s3/x"
    )
    assert "there is no S3 here" in said


def test_no_echo_values_are_hidden(client: Any, name: str) -> None:
    body = (
        "Parameters: {Secret: {Type: String, NoEcho: true}}\n"
        "Resources: {V: {Type: AWS::EC2::VPC, Properties: {X: !Ref Secret}}}"
    )
    client.create_stack(
        StackName=name,
        TemplateBody=body,
        Parameters=[{"ParameterKey": "Secret", "ParameterValue": "s3cr3t"}],
    )
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    assert stack["Parameters"][0]["ParameterValue"] == "****"


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("cancel_update_stack", "there is nothing to cancel"),
        ("continue_update_rollback", "a rollback cannot fail"),
        ("rollback_stack", "weft revert takes back a revision"),
    ],
)
def test_what_is_never_needed_says_why(client: Any, name: str, operation: str, words: str) -> None:
    client.create_stack(StackName=name, TemplateBody=mesh_of(name))
    assert words in refused(getattr(client, operation), "ValidationError", StackName=name)


def test_operations_that_are_not_here_are_named(client: Any) -> None:
    said = refused(client.list_stack_sets, "InvalidAction")
    assert "cloudformation has no operation ListStackSets here" in said


# --- shape -------------------------------------------------------------------------------


def test_lists_come_in_pages(client: Any, name: str) -> None:
    more = "".join(f"  V{i}: {{Type: AWS::EC2::VPC}}\n" for i in range(250))
    client.create_stack(StackName=name, TemplateBody=mesh_of(name, more=more))
    pages = list(client.get_paginator("list_stack_resources").paginate(StackName=name))
    assert [len(page["StackResourceSummaries"]) for page in pages] == [100, 100, 52]
    assert len(statuses(client, name)) == 2 * 252 + 2
    assert len(client.describe_stack_resources(StackName=name)["StackResources"]) == 100


def test_a_template_of_a_mebibyte_is_taken(client: Any, name: str) -> None:
    body = mesh_of(
        name, more=f"  V: {{Type: AWS::EC2::VPC, Properties: {{X: '{'x' * 900_000}'}}}}\n"
    )
    client.create_stack(StackName=name, TemplateBody=body)
    assert status(client, name) == "CREATE_COMPLETE"


def test_a_template_is_validated(client: Any, name: str) -> None:
    found = client.validate_template(TemplateBody=mesh_of(name))
    assert found["Description"] == "a mesh and a node"
    assert found["Parameters"] == [
        {"ParameterKey": "Suffix", "DefaultValue": "local", "NoEcho": False}
    ]
    said = refused(client.validate_template, "ValidationError", TemplateBody="Resources: [")
    assert "not YAML" in said


def test_every_code_is_one_of_the_model(client: Any) -> None:
    from weft.api.cloudformation import refusals
    from weft.errors import WeftError

    known = {
        shape.metadata.get("error", {}).get("code", shape.name)
        for shape in map(MODEL.shape_for, MODEL.shape_names)
        if shape.metadata.get("exception")
    }
    ours = {
        each.code
        for each in vars(refusals).values()
        if isinstance(each, type) and issubclass(each, WeftError) and each is not WeftError
    }
    assert ours - known == {"ValidationError"}


def test_odd_requests_get_no_500(client: Any, weft: Served) -> None:
    for body in (
        b"Version=2010-05-15&Action=CreateStack",
        b"Version=2010-05-15&Action=CreateStack&StackName=1",
        b"Version=2010-05-15&Action=CreateStack&StackName=a&Parameters=x&TemplateBody=%7B%7D",
        b"Version=2010-05-15&Action=CreateStack&StackName=a&TemplateBody.x=1",
        b"Version=2010-05-15&Action=CreateStack&StackName=a&Parameters.member.1=x&TemplateBody="
        b"Resources%3A%7BA%3A%7BType%3AA%3A%3AB%3A%3AC%7D%7D",
        b"Version=2010-05-15&Action=DescribeStacks&NextToken=zzz",
        b"Version=2010-05-15&Action=DescribeStacks&NextToken=" + b"A" * 4000,
        b"Version=2010-05-15&Action=ListStacks&StackStatusFilter.member.1.x=1",
        b"Version=2010-05-15&Action=DescribeChangeSet&ChangeSetName=x",
    ):
        answered, content = posted(weft, body)
        assert 400 <= answered < 500, (body, answered, content)
        assert b"<Code>" in content


def posted(weft: Served, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", weft.port, timeout=30)
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_stack_s_documents_are_json(weft: Served, client: Any, name: str) -> None:
    client.create_stack(StackName=name, TemplateBody=mesh_of(name))
    json.dumps(weft.parts.store.state.document("cloudformation/stacks", name))
