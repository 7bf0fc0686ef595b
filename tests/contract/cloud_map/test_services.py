"""Namespaces and services of Cloud Map through boto3, and what is refused of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.contract.asking_cloud_map import A_RECORD, made_namespace, refused


def test_a_namespace_is_made_at_once_and_can_be_read_back(client: Any, name: str) -> None:
    answer = client.create_http_namespace(
        Name=name, Description="ours", CreatorRequestId="once", Tags=[{"Key": "k", "Value": "v"}]
    )
    id = made_namespace(client, answer)

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
    refused(
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
    public = made_namespace(
        client, client.create_public_dns_namespace(Name=f"public-{name}", Properties=ttl)
    )
    private = made_namespace(
        client, client.create_private_dns_namespace(Name=f"private-{name}", Vpc="v")
    )
    http = made_namespace(client, client.create_http_namespace(Name=f"http-{name}"))

    later = {"DnsProperties": {"SOA": {"TTL": 99}}}
    client.update_public_dns_namespace(Id=public, Namespace={"Properties": later})
    client.update_private_dns_namespace(Id=private, Namespace={"Description": "new"})
    client.update_http_namespace(Id=http, Namespace={"Description": "new"})

    found = {id: client.get_namespace(Id=id)["Namespace"] for id in (public, private, http)}
    assert found[public]["Properties"]["DnsProperties"]["SOA"] == {"TTL": 99}
    assert found[private]["Properties"]["DnsProperties"]["SOA"] == {"TTL": 15}
    assert found[private]["Description"] == found[http]["Description"] == "new"
    refused(
        "NamespaceNotFound",
        client.update_http_namespace,
        Id=private,
        Namespace={"Description": "x"},
    )


def test_a_namespace_with_a_service_cannot_be_deleted(
    client: Any, namespace: str, service: str
) -> None:
    assert "colour" in refused("ResourceInUse", client.delete_namespace, Id=namespace)
    client.delete_service(Id=service)
    done = client.delete_namespace(Id=namespace)["OperationId"]

    operation = client.get_operation(OperationId=done)["Operation"]
    assert (operation["Type"], operation["Targets"]) == (
        "DELETE_NAMESPACE",
        {"NAMESPACE": namespace},
    )
    refused("NamespaceNotFound", client.get_namespace, Id=namespace)


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
    assert said in refused("InvalidInput", client.create_service, **given)


def test_a_taken_service_name_says_who_has_it(client: Any, namespace: str, service: str) -> None:
    with pytest.raises(client.exceptions.ServiceAlreadyExists) as caught:
        client.create_service(Name="colour", NamespaceId=namespace)
    assert caught.value.response["ServiceId"] == service
    refused("NamespaceNotFound", client.create_service, Name="x", NamespaceId="ns-none")


def test_the_same_service_asked_for_again_is_answered(client: Any, namespace: str) -> None:
    asked = {"Name": "web", "NamespaceId": namespace, "CreatorRequestId": "me"}
    assert client.create_service(**asked)["Service"] == client.create_service(**asked)["Service"]


def test_a_service_carries_attributes(client: Any, service: str) -> None:
    many = {f"key-{i}": "v" for i in range(30)}
    client.update_service_attributes(ServiceId=service, Attributes=many)
    refused(
        "ServiceAttributesLimitExceededException",
        client.update_service_attributes,
        ServiceId=service,
        Attributes={"one": "more"},
    )
    client.delete_service_attributes(ServiceId=service, Attributes=[f"key-{i}" for i in range(29)])

    found = client.get_service_attributes(ServiceId=service)["ServiceAttributes"]
    assert found["Attributes"] == {"key-29": "v"}
    assert found["ServiceArn"].endswith(service)


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
        refused("TooManyTagsException", client.tag_resource, ResourceARN=arn, Tags=many)
