"""Cloud Map as a surface: every operation, lists and pages, whatever is sent, AWS's CLI."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from tests.contract.asking_cloud_map import made_namespace, refused, register
from tests.contract.served import Served
from weft.api.cloudmap.surface import OPERATIONS

MODEL = botocore.session.get_session().get_service_model("servicediscovery")
PAGINATORS = botocore.session.get_session().get_paginator_model("servicediscovery")
TARGET = MODEL.metadata["targetPrefix"]


def test_every_operation_of_the_model_is_there() -> None:
    assert sorted(OPERATIONS) == sorted(MODEL.operation_names)


def test_what_is_not_there_is_named(client: Any, name: str, namespace: str) -> None:
    assert client.get_namespace(Id=namespace)
    refused("OperationNotFound", client.get_operation, OperationId="none")
    refused("NamespaceNotFound", client.delete_namespace, Id="ns-none")
    asked = {"ServiceName": "none"}
    for ask in (client.discover_instances, client.discover_instances_revision):
        refused("NamespaceNotFound", ask, NamespaceName="none", **asked)
        refused("ServiceNotFound", ask, NamespaceName=name, **asked)
        refused("NamespaceNotFound", ask, NamespaceName=name, OwnerAccount="111111111111", **asked)
    refused("ServiceNotFound", client.list_instances, ServiceId="srv-none")
    arn = "arn:aws:servicediscovery:us-west-2:000000000000:service/srv-none"
    refused("ResourceNotFoundException", client.list_tags_for_resource, ResourceARN=arn)


def test_lists_can_be_filtered(client: Any, name: str, namespace: str, private_too: str) -> None:
    def namespaces(*filters: tuple[str, str, list[str]]) -> set[str]:
        asked = [{"Name": n, "Condition": c, "Values": v} for n, c, v in filters]
        found = client.get_paginator("list_namespaces").paginate(Filters=asked)
        return {each["Id"] for page in found for each in page["Namespaces"]}

    assert namespaces(("NAME", "EQ", [name])) == {namespace}
    assert namespaces(("NAME", "BEGINS_WITH", ["too-"])) >= {private_too}
    types = namespaces(("TYPE", "IN", ["DNS_PRIVATE", "DNS_PUBLIC"]))
    assert private_too in types
    assert namespace not in types
    assert namespaces(("NAME", "EQ", [name]), ("TYPE", "EQ", ["DNS_PRIVATE"])) == set()
    assert namespaces(("RESOURCE_OWNER", "EQ", ["OTHER_ACCOUNTS"])) == set()
    wrong = [{"Name": "NAME", "Condition": "EQ", "Values": ["a", "b"]}]
    assert "Filters[0].Values" in refused("InvalidInput", client.list_namespaces, Filters=wrong)


@pytest.fixture
def private_too(client: Any, name: str) -> str:
    return made_namespace(
        client, client.create_private_dns_namespace(Name=f"too-{name}", Vpc="vpc-1")
    )


def test_operations_can_be_filtered(client: Any, service: str) -> None:
    done = register(client, service, "i")["OperationId"]
    filters = [
        {"Name": "SERVICE_ID", "Values": [service], "Condition": "EQ"},
        {"Name": "TYPE", "Values": ["REGISTER_INSTANCE"]},
        {"Name": "STATUS", "Values": ["SUCCESS", "FAIL"], "Condition": "IN"},
        {"Name": "UPDATE_DATE", "Values": ["0", "99999999999"], "Condition": "BETWEEN"},
    ]
    found = client.list_operations(Filters=filters)["Operations"]
    assert found == [{"Id": done, "Status": "SUCCESS"}]


def test_every_list_can_be_read_in_pages_of_one(client: Any, service: str) -> None:
    for i in range(3):
        register(client, service, f"i{i}")
    for name in ("ListNamespaces", "ListServices", "ListInstances", "ListOperations"):
        config = PAGINATORS.get_paginator(name)
        asked = {"ServiceId": service} if name == "ListInstances" else {}
        method = re.sub("(?<=.)(?=[A-Z])", "_", name).lower()

        whole = list(client.get_paginator(method).paginate(**asked).search(config["result_key"]))
        single = client.get_paginator(method).paginate(**asked, PaginationConfig={"PageSize": 1})
        assert list(single.search(config["result_key"])) == whole
    token = client.list_namespaces(MaxResults=1).get("NextToken")
    for wrong in ("nonsense", token):
        refused("InvalidInput", client.list_instances, ServiceId=service, NextToken=wrong)


def test_the_host_with_data_in_front_is_served_too(
    weft: Served, client: Any, name: str, service: str
) -> None:
    register(client, service, "i")
    headers = {
        "Host": "data-servicediscovery.us-west-2.amazonaws.com",
        "X-Amz-Target": f"{TARGET}.DiscoverInstances",
        "Content-Type": "application/x-amz-json-1.1",
    }
    reply = weft.request("POST", "/", {"NamespaceName": name, "ServiceName": "colour"}, headers)
    assert reply.status == 200
    assert [each["InstanceId"] for each in reply.body["Instances"]] == ["i"]


def test_our_own_surface_shows_services_with_their_instances(
    weft: Served, client: Any, name: str, namespace: str, service: str
) -> None:
    register(client, service, "i", WEFT_LEASE_SECONDS="60")

    for narrowed in (f"namespace={name}&service=colour", f"service={service}"):
        (found,) = weft.get(f"/weft/v1/cloudMap/services?{narrowed}").body["services"]
        assert (found["namespace"], found["name"], found["id"]) == (name, "colour", service)
        (instance,) = found["instances"]
        assert (instance["id"], instance["health"]) == ("i", "HEALTHY")
        assert instance["leaseSeconds"] == 60
    namespaces = weft.get("/weft/v1/cloudMap/namespaces").body["namespaces"]
    (ours,) = [each for each in namespaces if each["id"] == namespace]
    assert (ours["name"], ours["services"]) == (name, ["colour"])


def _wrong(members: Iterable[str]) -> Iterator[dict[str, Any]]:
    for value in (None, 7, "x", "", "\n", [], [[]], [None], {}, {"a": {}}, 1e400, "é" * 2000):
        yield dict.fromkeys(members, value)
    yield {"Unknown": 1}


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_no_input_is_a_fault_of_ours(weft: Served, operation: str) -> None:
    model = MODEL.operation_model(operation)
    codes = {each.name for each in model.error_shapes}
    for members in _wrong(model.input_shape.members):
        body = json.dumps(members).replace("Infinity", "1e400").encode()
        reply = weft.request("POST", "/", body, {"X-Amz-Target": f"{TARGET}.{operation}"})
        assert reply.status in (200, 400), (members, reply)
        if reply.status == 400:
            assert reply.body["__type"] in codes, (members, reply)


def test_the_aws_cli_discovers_instances(
    weft: Served, client: Any, name: str, service: str, tmp_path: Path
) -> None:
    register(client, service, "i", colour="red")
    arguments = ["discover-instances", "--namespace-name", name, "--service-name", "colour"]
    done = subprocess.run(
        [sys.executable, "-m", "awscli", "servicediscovery", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": weft.url,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_ACCESS_KEY_ID": "AKIACLI",
            "AWS_SECRET_ACCESS_KEY": "secret",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["Instances"]
    assert found["Attributes"]["colour"] == "red"
