"""Instances of Cloud Map through boto3: who is discovered, and what no instance can be."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.asking_cloud_map import A_RECORD, refused, register
from tests.contract.served import Served


def test_instances_are_found_by_their_attributes(client: Any, name: str, service: str) -> None:
    register(client, service, "r1", colour="red", zone="a")
    register(client, service, "r2", colour="red", zone="b")
    register(client, service, "g1", colour="green", zone="a")

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
    register(client, service, "up")
    register(client, service, "down", AWS_INIT_HEALTH_STATUS="UNHEALTHY")

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
    register(client, service, "i")

    for health in ("HEALTHY", "UNHEALTHY", "ALL", "HEALTHY_OR_ELSE_ALL"):
        found = client.discover_instances(
            NamespaceName=name, ServiceName="plain", HealthStatus=health
        )
        assert [each["HealthStatus"] for each in found["Instances"]] == ["UNKNOWN"]
    refused(
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
    register(client, service, "i")
    seen.append(revision())
    register(client, service, "i", colour="red")
    seen.append(revision())
    assert seen == sorted(set(seen))

    register(client, service, "i", colour="red")
    client.update_instance_custom_health_status(
        ServiceId=service, InstanceId="i", Status="UNHEALTHY"
    )
    assert revision() == seen[-1]
    client.deregister_instance(ServiceId=service, InstanceId="i")
    assert revision() > seen[-1]


def test_an_instance_is_registered_read_and_deregistered(client: Any, service: str) -> None:
    answer = register(client, service, "i", colour="red")

    operation = client.get_operation(OperationId=answer["OperationId"])["Operation"]
    assert operation["Type"] == "REGISTER_INSTANCE"
    assert operation["Targets"] == {"INSTANCE": "i", "SERVICE": service}
    found = client.get_instance(ServiceId=service, InstanceId="i")["Instance"]
    assert found["Attributes"] == {"AWS_INSTANCE_IPV4": "10.0.0.1", "colour": "red"}
    assert client.get_service(Id=service)["Service"]["InstanceCount"] == 1
    refused("ResourceInUse", client.delete_service, Id=service)

    client.deregister_instance(ServiceId=service, InstanceId="i")
    for ask in (client.get_instance, client.deregister_instance):
        refused("InstanceNotFound", ask, ServiceId=service, InstanceId="i")
    client.delete_service(Id=service)
    refused("ServiceNotFound", client.get_service, Id=service)


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
    assert said in refused("InvalidInput", client.register_instance, **asked)


def test_records_need_the_attributes_they_are_made_from(client: Any, private: str) -> None:
    records = [{"Type": type, "TTL": 1} for type in ("A", "AAAA", "SRV")]
    service = client.create_service(
        Name="web", NamespaceId=private, DnsConfig={"DnsRecords": records}
    )["Service"]["Id"]

    said = refused(
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
    assert "excludes" in refused("InvalidInput", client.register_instance, Attributes=both, **asked)


def test_health_can_be_read_in_pages_of_one(client: Any, service: str) -> None:
    for i in range(3):
        register(client, service, f"i{i}")
    found: dict[str, str] = {}
    more: dict[str, str] = {}
    while True:
        page = client.get_instances_health_status(ServiceId=service, MaxResults=1, **more)
        found |= page["Status"]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert found == {f"i{i}": "HEALTHY" for i in range(3)}
    refused(
        "InstanceNotFound",
        client.get_instances_health_status,
        ServiceId=service,
        Instances=["none"],
    )


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
