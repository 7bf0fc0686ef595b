"""Cloud Map through boto3: what its clients can ask, and what they are refused."""

from __future__ import annotations

import itertools
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
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.contract.served import Served
from weft.api.cloudmap.surface import OPERATIONS

MODEL = botocore.session.get_session().get_service_model("servicediscovery")
PAGINATORS = botocore.session.get_session().get_paginator_model("servicediscovery")
TARGET = MODEL.metadata["targetPrefix"]
A_RECORD = {"DnsRecords": [{"Type": "A", "TTL": 60}]}
_names = itertools.count(1)


@pytest.fixture(scope="module")
def client(weft: Served) -> Any:
    config = Config(inject_host_prefix=False, retries={"total_max_attempts": 1})
    return weft.client("servicediscovery", config=config)


@pytest.fixture
def name() -> str:
    return f"namespace-{next(_names)}.local"


@pytest.fixture
def namespace(client: Any, name: str) -> str:
    """A fresh HTTP namespace, by id."""
    return _made(client, client.create_http_namespace(Name=name))


@pytest.fixture
def private(client: Any, name: str) -> str:
    return _made(client, client.create_private_dns_namespace(Name=name, Vpc="vpc-1"))


@pytest.fixture
def service(client: Any, namespace: str) -> str:
    """A fresh service whose health is told, by id."""
    made = client.create_service(
        Name="colour", NamespaceId=namespace, HealthCheckCustomConfig={"FailureThreshold": 1}
    )
    return str(made["Service"]["Id"])


def _made(client: Any, answer: Any) -> str:
    operation = client.get_operation(OperationId=answer["OperationId"])["Operation"]
    assert operation["Status"] == "SUCCESS"
    return str(operation["Targets"]["NAMESPACE"])


def _register(client: Any, service: str, id: str, **attributes: str) -> Any:
    return client.register_instance(
        ServiceId=service,
        InstanceId=id,
        Attributes={"AWS_INSTANCE_IPV4": "10.0.0.1", **attributes},
    )


def _refused(code: str, ask: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as caught:
        ask(**members)
    assert caught.value.response["Error"]["Code"] == code
    return str(caught.value.response["Error"]["Message"])


def test_every_operation_of_the_model_is_there() -> None:
    assert sorted(OPERATIONS) == sorted(MODEL.operation_names)


def test_a_namespace_is_made_at_once_and_can_be_read_back(client: Any, name: str) -> None:
    answer = client.create_http_namespace(
        Name=name, Description="ours", CreatorRequestId="once", Tags=[{"Key": "k", "Value": "v"}]
    )
    id = _made(client, answer)

    found = client.get_namespace(Id=id)["Namespace"]

    assert re.fullmatch("ns-[a-z0-9]{16}", id)
    arn = f"arn:aws:servicediscovery:us-west-2:000000000000:namespace/{id}"
    assert (found["Id"], found["Arn"], found["Name"]) == (id, arn, name)
    assert (found["Type"], found["ServiceCount"]) == ("HTTP", 0)
    assert found["Properties"]["HttpProperties"] == {"HttpName": name}
    assert (found["Description"], found["CreatorRequestId"]) == ("ours", "once")
    assert client.get_namespace(Id=arn)["Namespace"] == found


def test_the_same_request_again_is_the_same_operation(client: Any, name: str) -> None:
    asked = {"Name": name, "CreatorRequestId": f"again-{name}"}

    first = client.create_http_namespace(**asked)["OperationId"]
    second = client.create_http_namespace(**asked)["OperationId"]

    assert first == second


def test_a_request_id_serves_one_request(client: Any, name: str) -> None:
    client.create_http_namespace(Name=name, CreatorRequestId=f"id-{name}")
    _refused(
        "DuplicateRequest",
        client.create_http_namespace,
        Name=f"other-{name}",
        CreatorRequestId=f"id-{name}",
    )


def test_a_taken_name_says_who_has_it(client: Any, name: str, namespace: str) -> None:
    with pytest.raises(client.exceptions.NamespaceAlreadyExists) as caught:
        client.create_private_dns_namespace(Name=name, Vpc="vpc-1")
    assert caught.value.response["NamespaceId"] == namespace


def test_namespaces_of_each_type_are_updated_by_their_own_operation(client: Any, name: str) -> None:
    ttl = {"DnsProperties": {"SOA": {"TTL": 30}}}
    public = _made(
        client, client.create_public_dns_namespace(Name=f"public-{name}", Properties=ttl)
    )
    private = _made(client, client.create_private_dns_namespace(Name=f"private-{name}", Vpc="v"))
    http = _made(client, client.create_http_namespace(Name=f"http-{name}"))

    later = {"DnsProperties": {"SOA": {"TTL": 99}}}
    client.update_public_dns_namespace(Id=public, Namespace={"Properties": later})
    client.update_private_dns_namespace(Id=private, Namespace={"Description": "new"})
    client.update_http_namespace(Id=http, Namespace={"Description": "new"})

    found = {id: client.get_namespace(Id=id)["Namespace"] for id in (public, private, http)}
    assert found[public]["Properties"]["DnsProperties"]["SOA"] == {"TTL": 99}
    assert found[private]["Properties"]["DnsProperties"]["SOA"] == {"TTL": 15}
    assert found[private]["Description"] == found[http]["Description"] == "new"
    _refused(
        "NamespaceNotFound",
        client.update_http_namespace,
        Id=private,
        Namespace={"Description": "x"},
    )


def test_a_namespace_with_a_service_cannot_be_deleted(
    client: Any, namespace: str, service: str
) -> None:
    assert "colour" in _refused("ResourceInUse", client.delete_namespace, Id=namespace)
    client.delete_service(Id=service)
    done = client.delete_namespace(Id=namespace)["OperationId"]

    operation = client.get_operation(OperationId=done)["Operation"]
    assert (operation["Type"], operation["Targets"]) == (
        "DELETE_NAMESPACE",
        {"NAMESPACE": namespace},
    )
    _refused("NamespaceNotFound", client.get_namespace, Id=namespace)


def test_a_service_of_a_dns_namespace_has_records(client: Any, private: str) -> None:
    made = client.create_service(Name="web", NamespaceId=private, DnsConfig=A_RECORD)["Service"]

    assert re.fullmatch("srv-[a-z0-9]{16}", made["Id"])
    assert made["Type"] == "DNS_HTTP"
    assert made["DnsConfig"] == {
        "NamespaceId": private,
        "RoutingPolicy": "MULTIVALUE",
        **A_RECORD,
    }
    assert client.get_service(Id=made["Id"])["Service"] == made
    assert client.get_service(Id=made["Arn"])["Service"] == made


def test_a_service_may_name_its_namespace_in_the_older_place(client: Any, private: str) -> None:
    config = {"NamespaceId": private, **A_RECORD}
    made = client.create_service(Name="web", DnsConfig=config)["Service"]
    assert made["NamespaceId"] == private


def test_an_update_takes_away_what_it_leaves_out(client: Any, private: str) -> None:
    id = client.create_service(
        Name="web", NamespaceId=private, DnsConfig=A_RECORD, HealthCheckCustomConfig={}
    )["Service"]["Id"]

    longer = {"DnsRecords": [{"Type": "A", "TTL": 300}]}
    client.update_service(Id=id, Service={"Description": "d", "DnsConfig": longer})
    found = client.get_service(Id=id)["Service"]
    assert found["DnsConfig"]["DnsRecords"] == longer["DnsRecords"]
    assert found["Description"] == "d"

    client.update_service(Id=id, Service={})
    found = client.get_service(Id=id)["Service"]
    assert "DnsConfig" not in found
    assert (found["Type"], found["HealthCheckCustomConfig"]) == ("HTTP", {})


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"DnsConfig": A_RECORD}, "DnsConfig: has no meaning"),
        ({"NamespaceId": None}, "NamespaceId: is missing"),
        ({"Name": "a..b"}, "Name: must have"),
        (
            {"HealthCheckConfig": {"Type": "TCP"}, "HealthCheckCustomConfig": {}},
            "HealthCheckCustomConfig: excludes",
        ),
        ({"HealthCheckConfig": {"Type": "TCP", "ResourcePath": "/"}}, "ResourcePath"),
        ({"DnsConfig": {"DnsRecords": []}}, "DnsConfig.DnsRecords: must have at least 1"),
        (
            {
                "DnsConfig": {
                    "RoutingPolicy": "MULTIVALUE",
                    "DnsRecords": [{"Type": "CNAME", "TTL": 1}, {"Type": "A", "TTL": 1}],
                }
            },
            "DnsConfig.RoutingPolicy: must be WEIGHTED",
        ),
        ({"Tags": [{"Key": "aws:k", "Value": "v"}]}, "Tags[0].Key: must not start with aws:"),
    ],
)
def test_a_service_that_cannot_be_is_refused(
    client: Any, namespace: str, members: dict[str, Any], said: str
) -> None:
    asked = {"Name": "web", "NamespaceId": namespace, **members}
    given = {name: value for name, value in asked.items() if value is not None}
    assert said in _refused("InvalidInput", client.create_service, **given)


def test_a_taken_service_name_says_who_has_it(client: Any, namespace: str, service: str) -> None:
    with pytest.raises(client.exceptions.ServiceAlreadyExists) as caught:
        client.create_service(Name="colour", NamespaceId=namespace)
    assert caught.value.response["ServiceId"] == service
    _refused("NamespaceNotFound", client.create_service, Name="x", NamespaceId="ns-none")


def test_the_same_service_asked_for_again_is_answered(client: Any, namespace: str) -> None:
    asked = {"Name": "web", "NamespaceId": namespace, "CreatorRequestId": "me"}
    assert client.create_service(**asked)["Service"] == client.create_service(**asked)["Service"]


def test_a_service_carries_attributes(client: Any, service: str) -> None:
    many = {f"key-{i}": "v" for i in range(30)}
    client.update_service_attributes(ServiceId=service, Attributes=many)
    _refused(
        "ServiceAttributesLimitExceededException",
        client.update_service_attributes,
        ServiceId=service,
        Attributes={"one": "more"},
    )
    client.delete_service_attributes(ServiceId=service, Attributes=[f"key-{i}" for i in range(29)])

    found = client.get_service_attributes(ServiceId=service)["ServiceAttributes"]
    assert found["Attributes"] == {"key-29": "v"}
    assert found["ServiceArn"].endswith(service)


def test_instances_are_found_by_their_attributes(client: Any, name: str, service: str) -> None:
    _register(client, service, "r1", colour="red", zone="a")
    _register(client, service, "r2", colour="red", zone="b")
    _register(client, service, "g1", colour="green", zone="a")

    def ids(**asked: Any) -> list[str]:
        found = client.discover_instances(NamespaceName=name, ServiceName="colour", **asked)
        return [each["InstanceId"] for each in found["Instances"]]

    assert ids() == ["g1", "r1", "r2"]
    assert ids(QueryParameters={"colour": "red"}) == ["r1", "r2"]
    assert ids(QueryParameters={"colour": "red", "zone": "a"}) == ["r1"]
    assert ids(QueryParameters={"colour": "blue"}) == []
    red = {"colour": "red"}
    assert ids(QueryParameters=red, OptionalParameters={"zone": "b"}) == ["r2"]
    assert ids(QueryParameters=red, OptionalParameters={"zone": "c"}) == ["r1", "r2"]
    assert ids(MaxResults=1) == ["g1"]


def test_instances_are_found_by_their_health(client: Any, name: str, service: str) -> None:
    _register(client, service, "up")
    _register(client, service, "down", AWS_INIT_HEALTH_STATUS="UNHEALTHY")

    def ids(health: str) -> list[str]:
        found = client.discover_instances(
            NamespaceName=name, ServiceName="colour", HealthStatus=health
        )
        return [each["InstanceId"] for each in found["Instances"]]

    assert ids("HEALTHY") == ids("HEALTHY_OR_ELSE_ALL") == ["up"]
    assert ids("UNHEALTHY") == ["down"]
    assert ids("ALL") == ["down", "up"]

    client.update_instance_custom_health_status(
        ServiceId=service, InstanceId="up", Status="UNHEALTHY"
    )
    assert ids("HEALTHY") == []
    assert ids("HEALTHY_OR_ELSE_ALL") == ["down", "up"]
    status = client.get_instances_health_status(ServiceId=service, Instances=["up"])
    assert status["Status"] == {"up": "UNHEALTHY"}


def test_where_nobody_checks_health_it_is_unknown_and_no_filter(
    client: Any, name: str, namespace: str
) -> None:
    service = client.create_service(Name="plain", NamespaceId=namespace)["Service"]["Id"]
    _register(client, service, "i")

    for health in ("HEALTHY", "UNHEALTHY", "ALL", "HEALTHY_OR_ELSE_ALL"):
        found = client.discover_instances(
            NamespaceName=name, ServiceName="plain", HealthStatus=health
        )
        assert [each["HealthStatus"] for each in found["Instances"]] == ["UNKNOWN"]
    _refused(
        "CustomHealthNotFound",
        client.update_instance_custom_health_status,
        ServiceId=service,
        InstanceId="i",
        Status="HEALTHY",
    )


def test_the_revision_counts_who_comes_and_goes_and_not_health(
    client: Any, name: str, service: str
) -> None:
    def revision() -> int:
        asked = {"NamespaceName": name, "ServiceName": "colour"}
        found = int(client.discover_instances_revision(**asked)["InstancesRevision"])
        assert client.discover_instances(**asked)["InstancesRevision"] == found
        return found

    seen = [revision()]
    _register(client, service, "i")
    seen.append(revision())
    _register(client, service, "i", colour="red")
    seen.append(revision())
    assert seen == sorted(set(seen))

    _register(client, service, "i", colour="red")
    client.update_instance_custom_health_status(
        ServiceId=service, InstanceId="i", Status="UNHEALTHY"
    )
    assert revision() == seen[-1]
    client.deregister_instance(ServiceId=service, InstanceId="i")
    assert revision() > seen[-1]


def test_an_instance_is_registered_read_and_deregistered(client: Any, service: str) -> None:
    answer = _register(client, service, "i", colour="red")

    operation = client.get_operation(OperationId=answer["OperationId"])["Operation"]
    assert operation["Type"] == "REGISTER_INSTANCE"
    assert operation["Targets"] == {"INSTANCE": "i", "SERVICE": service}
    found = client.get_instance(ServiceId=service, InstanceId="i")["Instance"]
    assert found["Attributes"] == {"AWS_INSTANCE_IPV4": "10.0.0.1", "colour": "red"}
    assert client.get_service(Id=service)["Service"]["InstanceCount"] == 1
    _refused("ResourceInUse", client.delete_service, Id=service)

    client.deregister_instance(ServiceId=service, InstanceId="i")
    for ask in (client.get_instance, client.deregister_instance):
        _refused("InstanceNotFound", ask, ServiceId=service, InstanceId="i")
    client.delete_service(Id=service)
    _refused("ServiceNotFound", client.get_service, Id=service)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"AWS_INSTANCE_IPV4": "10.0.0.256"}, "AWS_INSTANCE_IPV4: must be an IPv4 address"),
        ({"AWS_INSTANCE_IPV6": "10.0.0.1"}, "AWS_INSTANCE_IPV6: must be an IPv6 address"),
        ({"AWS_INSTANCE_PORT": "0"}, "AWS_INSTANCE_PORT: must be a port"),
        ({"AWS_INIT_HEALTH_STATUS": "ILL"}, "AWS_INIT_HEALTH_STATUS: must be HEALTHY"),
        ({"AWS_EC2_INSTANCE_ID": "i-1"}, "AWS_EC2_INSTANCE_ID: names a machine"),
        ({"AWS_ALIAS_DNS_NAME": "lb"}, "AWS_ALIAS_DNS_NAME: needs a service"),
        ({"WEFT_LEASE_SECONDS": "nan"}, "WEFT_LEASE_SECONDS: must be a number"),
        ({"WEFT_ADDRESS_80": "x:80"}, "WEFT_ADDRESS_80: must be ip:port"),
        ({f"k{i}": "v" for i in range(31)}, "must have at most 30 members, not 31"),
        ({f"k{i}": "v" * 1000 for i in range(6)}, "must have at most 5000 characters"),
        ({"k": " blank in front"}, "Attributes.k"),
        ({"a blank": "v"}, "Attributes"),
    ],
)
def test_an_instance_that_cannot_be_is_refused(
    client: Any, service: str, attributes: dict[str, str], said: str
) -> None:
    asked = {"ServiceId": service, "InstanceId": "i", "Attributes": attributes}
    assert said in _refused("InvalidInput", client.register_instance, **asked)


def test_records_need_the_attributes_they_are_made_from(client: Any, private: str) -> None:
    records = [{"Type": type, "TTL": 1} for type in ("A", "AAAA", "SRV")]
    service = client.create_service(
        Name="web", NamespaceId=private, DnsConfig={"DnsRecords": records}
    )["Service"]["Id"]

    said = _refused(
        "InvalidInput",
        client.register_instance,
        ServiceId=service,
        InstanceId="i",
        Attributes={"AWS_INIT_HEALTH_STATUS": "HEALTHY"},
    )

    for name in ("IPV4", "IPV6", "PORT"):
        assert f"AWS_INSTANCE_{name}: is missing" in said
    assert "AWS_INIT_HEALTH_STATUS: needs a service with HealthCheckCustomConfig" in said


def test_an_alias_stands_alone(client: Any, private: str) -> None:
    config = {"RoutingPolicy": "WEIGHTED", **A_RECORD}
    service = client.create_service(Name="web", NamespaceId=private, DnsConfig=config)["Service"]
    alias = {"AWS_ALIAS_DNS_NAME": "lb.example.com"}
    asked = {"ServiceId": service["Id"], "InstanceId": "i"}

    client.register_instance(Attributes=alias, **asked)
    both = {**alias, "AWS_INSTANCE_IPV4": "10.0.0.1"}
    assert "excludes" in _refused(
        "InvalidInput", client.register_instance, Attributes=both, **asked
    )


def test_what_is_not_there_is_named(client: Any, name: str, namespace: str) -> None:
    assert client.get_namespace(Id=namespace)
    _refused("OperationNotFound", client.get_operation, OperationId="none")
    _refused("NamespaceNotFound", client.delete_namespace, Id="ns-none")
    asked = {"ServiceName": "none"}
    for ask in (client.discover_instances, client.discover_instances_revision):
        _refused("NamespaceNotFound", ask, NamespaceName="none", **asked)
        _refused("ServiceNotFound", ask, NamespaceName=name, **asked)
        _refused("NamespaceNotFound", ask, NamespaceName=name, OwnerAccount="111111111111", **asked)
    _refused("ServiceNotFound", client.list_instances, ServiceId="srv-none")
    arn = "arn:aws:servicediscovery:us-west-2:000000000000:service/srv-none"
    _refused("ResourceNotFoundException", client.list_tags_for_resource, ResourceARN=arn)


def test_namespaces_and_services_carry_tags(client: Any, namespace: str, service: str) -> None:
    for arn in (
        client.get_namespace(Id=namespace)["Namespace"]["Arn"],
        client.get_service(Id=service)["Service"]["Arn"],
    ):
        tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
        client.tag_resource(ResourceARN=arn, Tags=tags)
        client.untag_resource(ResourceARN=arn, TagKeys=["a", "unknown"])
        assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == tags[1:]
        many = [{"Key": f"k{i}", "Value": "v"} for i in range(50)]
        _refused("TooManyTagsException", client.tag_resource, ResourceARN=arn, Tags=many)


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
    assert "Filters[0].Values" in _refused("InvalidInput", client.list_namespaces, Filters=wrong)


@pytest.fixture
def private_too(client: Any, name: str) -> str:
    return _made(client, client.create_private_dns_namespace(Name=f"too-{name}", Vpc="vpc-1"))


def test_operations_can_be_filtered(client: Any, service: str) -> None:
    done = _register(client, service, "i")["OperationId"]
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
        _register(client, service, f"i{i}")
    for name in ("ListNamespaces", "ListServices", "ListInstances", "ListOperations"):
        config = PAGINATORS.get_paginator(name)
        asked = {"ServiceId": service} if name == "ListInstances" else {}
        method = re.sub("(?<=.)(?=[A-Z])", "_", name).lower()

        whole = list(client.get_paginator(method).paginate(**asked).search(config["result_key"]))
        single = client.get_paginator(method).paginate(**asked, PaginationConfig={"PageSize": 1})
        assert list(single.search(config["result_key"])) == whole
    token = client.list_namespaces(MaxResults=1).get("NextToken")
    for wrong in ("nonsense", token):
        _refused("InvalidInput", client.list_instances, ServiceId=service, NextToken=wrong)


def test_health_can_be_read_in_pages_of_one(client: Any, service: str) -> None:
    for i in range(3):
        _register(client, service, f"i{i}")
    found: dict[str, str] = {}
    more: dict[str, str] = {}
    while True:
        page = client.get_instances_health_status(ServiceId=service, MaxResults=1, **more)
        found |= page["Status"]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert found == {f"i{i}": "HEALTHY" for i in range(3)}
    _refused(
        "InstanceNotFound",
        client.get_instances_health_status,
        ServiceId=service,
        Instances=["none"],
    )


def test_the_host_with_data_in_front_is_served_too(
    weft: Served, client: Any, name: str, service: str
) -> None:
    _register(client, service, "i")
    headers = {
        "Host": "data-servicediscovery.us-west-2.amazonaws.com",
        "X-Amz-Target": f"{TARGET}.DiscoverInstances",
        "Content-Type": "application/x-amz-json-1.1",
    }
    reply = weft.request("POST", "/", {"NamespaceName": name, "ServiceName": "colour"}, headers)
    assert reply.status == 200
    assert [each["InstanceId"] for each in reply.body["Instances"]] == ["i"]


def test_a_replica_of_a_virtual_node_is_discovered_like_any_instance(
    weft: Served, appmesh: Any, client: Any, mesh: str, name: str
) -> None:
    asked = {"namespaceName": name, "serviceName": "shop"}
    attributes = [{"key": "colour", "value": "red"}]
    appmesh.create_virtual_node(
        meshName=mesh,
        virtualNodeName="shop",
        spec={
            "listeners": [{"portMapping": {"port": 80, "protocol": "http"}}],
            "serviceDiscovery": {"awsCloudMap": {**asked, "attributes": attributes}},
        },
    )
    place = f"/weft/v1/meshes/{mesh}/virtualNodes/shop/instances/one"

    assert weft.put(place, {"addresses": {"80": "127.0.0.1:4001"}}).status == 200

    def found() -> list[Any]:
        query = {"colour": "red"}
        return list(
            client.discover_instances(
                NamespaceName=name, ServiceName="shop", QueryParameters=query
            )["Instances"]
        )

    (instance,) = found()
    assert instance["InstanceId"] == f"{mesh}/shop/one"
    assert instance["Attributes"]["WEFT_ADDRESS_80"] == "127.0.0.1:4001"
    assert weft.request("DELETE", place).status == 200
    assert found() == []


def test_our_own_surface_shows_services_with_their_instances(
    weft: Served, client: Any, name: str, namespace: str, service: str
) -> None:
    _register(client, service, "i", WEFT_LEASE_SECONDS="60")

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
    _register(client, service, "i", colour="red")
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
