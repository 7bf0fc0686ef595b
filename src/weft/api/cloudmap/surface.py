"""Cloud Map's API (awsJson 1.1): its 30 operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from weft.api.cloudmap.answers import Answers, discovered
from weft.api.cloudmap.lists import page, passes
from weft.api.exchange import Call
from weft.api.parts import Parts
from weft.api.surfaces import Protocol, Reply, Surface
from weft.discovery import cloud_map
from weft.discovery.catalog import Catalog, Done
from weft.discovery.cloud_map_errors import InvalidInput, NamespaceNotFound, OperationNotFound
from weft.discovery.operations import STATUS, Operation, Target
from weft.errors import BadRequest, Invalid
from weft.model import cloud_map_queries as queries
from weft.model import cloud_map_requests as requests
from weft.model.cloud_map import Instance, NamespaceType, Service, Wanted
from weft.model.cloud_map import discovered as discovered_among
from weft.store.cloud_map import revision_of

R = TypeVar("R", bound=requests.Request)
Members = dict[str, Any]


def surface(parts: Parts) -> Surface:
    settings = parts.settings
    operations = CloudMap(parts.catalog, Answers(settings.account, settings.region))
    return Surface(
        service="servicediscovery",
        protocol=Protocol.AWS_JSON_1_1,
        target="Route53AutoNaming_v20170314",
        operations={name: getattr(operations, method) for name, method in OPERATIONS.items()},
        codes={BadRequest: "InvalidInput"},
    )


OPERATIONS: Mapping[str, str] = {
    "CreateHttpNamespace": "create_http_namespace",
    "CreatePrivateDnsNamespace": "create_private_dns_namespace",
    "CreatePublicDnsNamespace": "create_public_dns_namespace",
    "UpdateHttpNamespace": "update_http_namespace",
    "UpdatePrivateDnsNamespace": "update_private_dns_namespace",
    "UpdatePublicDnsNamespace": "update_public_dns_namespace",
    "DeleteNamespace": "delete_namespace",
    "GetNamespace": "get_namespace",
    "ListNamespaces": "list_namespaces",
    "CreateService": "create_service",
    "UpdateService": "update_service",
    "DeleteService": "delete_service",
    "GetService": "get_service",
    "ListServices": "list_services",
    "GetServiceAttributes": "get_service_attributes",
    "UpdateServiceAttributes": "update_service_attributes",
    "DeleteServiceAttributes": "delete_service_attributes",
    "RegisterInstance": "register_instance",
    "DeregisterInstance": "deregister_instance",
    "GetInstance": "get_instance",
    "ListInstances": "list_instances",
    "GetInstancesHealthStatus": "get_instances_health_status",
    "UpdateInstanceCustomHealthStatus": "update_instance_custom_health_status",
    "DiscoverInstances": "discover_instances",
    "DiscoverInstancesRevision": "discover_instances_revision",
    "GetOperation": "get_operation",
    "ListOperations": "list_operations",
    "ListTagsForResource": "list_tags_for_resource",
    "TagResource": "tag_resource",
    "UntagResource": "untag_resource",
}
"""What is called for each; written down, so that a search for either name finds the other."""


class CloudMap:
    """A method for each operation; all of them take and give the members of their shapes."""

    def __init__(self, catalog: Catalog, answers: Answers) -> None:
        self._catalog = catalog
        self._answers = answers

    # --- namespaces ---

    async def create_http_namespace(self, call: Call, sent: Members) -> Reply:
        return await self._create_namespace(call, _parsed(requests.CreateHttpNamespace, sent))

    async def create_private_dns_namespace(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.CreatePrivateDnsNamespace, sent)
        return await self._create_namespace(call, asked)

    async def create_public_dns_namespace(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.CreatePublicDnsNamespace, sent)
        return await self._create_namespace(call, asked)

    async def _create_namespace(self, call: Call, asked: requests.CreateNamespace) -> Reply:
        return _operation(await self._catalog.create_namespace(asked, call.author))

    async def update_http_namespace(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.UpdateHttpNamespace, sent)
        return await self._update_namespace(call, asked, NamespaceType.HTTP)

    async def update_private_dns_namespace(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.UpdateDnsNamespace, sent)
        return await self._update_namespace(call, asked, NamespaceType.DNS_PRIVATE)

    async def update_public_dns_namespace(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.UpdateDnsNamespace, sent)
        return await self._update_namespace(call, asked, NamespaceType.DNS_PUBLIC)

    async def _update_namespace(
        self,
        call: Call,
        asked: requests.UpdateHttpNamespace | requests.UpdateDnsNamespace,
        type: NamespaceType,
    ) -> Reply:
        return _operation(await self._catalog.update_namespace(asked, type, call.author))

    async def delete_namespace(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.ById, sent)
        return _operation(await self._catalog.delete_namespace(asked.id, call.author))

    async def get_namespace(self, _call: Call, sent: Members) -> Reply:
        state = self._catalog.state
        found = cloud_map.namespace(state, _parsed(requests.ById, sent).id)
        number = len(cloud_map.services(state, found.id))
        return Reply({"Namespace": self._answers.namespace(found, number)})

    async def list_namespaces(self, _call: Call, sent: Members) -> Reply:
        asked, state = _parsed(queries.ListNamespaces, sent), self._catalog.state
        found = [
            each
            for each in cloud_map.namespaces(state)
            if passes(
                asked.filters,
                {
                    "TYPE": each.type.value,
                    "NAME": each.name,
                    "HTTP_NAME": each.name,
                    "RESOURCE_OWNER": "SELF",
                },
            )
        ]
        chosen, more = page(found, lambda each: each.id, of="namespaces", asked=asked)
        inside: dict[str, int] = {}
        for service in cloud_map.services(state):
            inside[service.namespace_id] = inside.get(service.namespace_id, 0) + 1
        summaries = [
            self._answers.namespace_summary(each, inside.get(each.id, 0)) for each in chosen
        ]
        return Reply({"Namespaces": summaries, **more})

    # --- services ---

    async def create_service(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.CreateService, sent)
        done = await self._catalog.create_service(asked, call.author)
        return Reply({"Service": self._service(done.value)}, done.revision)

    async def update_service(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.UpdateService, sent)
        return _operation(await self._catalog.update_service(asked, call.author))

    async def delete_service(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.ById, sent)
        done = await self._catalog.delete_service(asked.id, call.author)
        return Reply({}, done.revision)

    async def get_service(self, _call: Call, sent: Members) -> Reply:
        found = cloud_map.service(self._catalog.state, _parsed(requests.ById, sent).id)
        return Reply({"Service": self._service(found)})

    async def list_services(self, _call: Call, sent: Members) -> Reply:
        asked = _parsed(queries.ListServices, sent)
        found = [
            each
            for each in cloud_map.services(self._catalog.state)
            if passes(asked.filters, {"NAMESPACE_ID": each.namespace_id, "RESOURCE_OWNER": "SELF"})
        ]
        chosen, more = page(found, lambda each: each.id, of="services", asked=asked)
        summaries = [self._answers.service_summary(each, self._instances(each)) for each in chosen]
        return Reply({"Services": summaries, **more})

    async def get_service_attributes(self, _call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.OfService, sent)
        found = cloud_map.service(self._catalog.state, asked.service_id)
        attributes = {
            "ServiceArn": self._answers.arn(found),
            "ResourceOwner": self._answers.account,
            "Attributes": dict(found.attributes),
        }
        return Reply({"ServiceAttributes": attributes})

    async def update_service_attributes(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.UpdateServiceAttributes, sent)
        done = await self._catalog.update_service_attributes(asked, call.author)
        return Reply({}, done.revision)

    async def delete_service_attributes(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.DeleteServiceAttributes, sent)
        done = await self._catalog.delete_service_attributes(asked, call.author)
        return Reply({}, done.revision)

    # --- instances ---

    async def register_instance(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.RegisterInstance, sent)
        return _operation(await self._catalog.register(asked, call.author))

    async def deregister_instance(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.OfInstance, sent)
        return _operation(await self._catalog.deregister(asked, call.author))

    async def get_instance(self, _call: Call, sent: Members) -> Reply:
        asked, state = _parsed(requests.OfInstance, sent), self._catalog.state
        service = cloud_map.service(state, asked.service_id)
        found = cloud_map.instance(state, service, asked.instance_id)
        return Reply(
            {"Instance": self._answers.instance(found), "ResourceOwner": self._answers.account}
        )

    async def list_instances(self, _call: Call, sent: Members) -> Reply:
        asked, state = _parsed(queries.ListInstances, sent), self._catalog.state
        service = cloud_map.service(state, asked.service_id)
        chosen, more = self._page_of(service, cloud_map.instances(state, service), asked)
        summaries = [self._answers.instance_summary(each) for each in chosen]
        return Reply(
            {"Instances": summaries, "ResourceOwner": self._answers.account, **more},
        )

    async def get_instances_health_status(self, _call: Call, sent: Members) -> Reply:
        asked, state = _parsed(queries.GetInstancesHealthStatus, sent), self._catalog.state
        service = cloud_map.service(state, asked.service_id)
        if asked.instances is None:
            found = cloud_map.instances(state, service)
        else:
            ids = sorted(set(asked.instances))
            found = [cloud_map.instance(state, service, id) for id in ids]
        chosen, more = self._page_of(service, found, asked)
        return Reply({"Status": {each.id: each.health.value for each in chosen}, **more})

    async def update_instance_custom_health_status(self, call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.UpdateInstanceCustomHealthStatus, sent)
        done = await self._catalog.tell_health(asked, call.author)
        return Reply({}, done.revision)

    async def discover_instances(self, _call: Call, sent: Members) -> Reply:
        asked, state = _parsed(queries.DiscoverInstances, sent), self._catalog.state
        service = self._named(asked)
        found = discovered_among(
            cloud_map.instances(state, service),
            Wanted(asked.health_status),
            asked.query_parameters,
            asked.optional_parameters,
        )
        return Reply(
            {
                "Instances": [
                    discovered(each, asked.namespace_name, asked.service_name)
                    for each in found[: asked.max_results]
                ],
                "InstancesRevision": revision_of(state, service.id),
            }
        )

    async def discover_instances_revision(self, _call: Call, sent: Members) -> Reply:
        service = self._named(_parsed(queries.DiscoverInstancesRevision, sent))
        return Reply({"InstancesRevision": revision_of(self._catalog.state, service.id)})

    # --- operations and tags ---

    async def get_operation(self, _call: Call, sent: Members) -> Reply:
        asked = _parsed(queries.GetOperation, sent)
        if asked.owner_account not in (None, self._answers.account):
            raise OperationNotFound(f"account {asked.owner_account} has no operations here")
        found = self._catalog.operations.get(asked.operation_id)
        return Reply({"Operation": self._answers.operation(found)})

    async def list_operations(self, _call: Call, sent: Members) -> Reply:
        asked = _parsed(queries.ListOperations, sent)
        found = [each for each in self._catalog.operations if passes(asked.filters, _values(each))]
        chosen, more = page(found, lambda each: f"{each.number:012d}", of="operations", asked=asked)
        summaries = [{"Id": each.id, "Status": STATUS} for each in chosen]
        return Reply({"Operations": summaries, **more})

    async def list_tags_for_resource(self, _call: Call, sent: Members) -> Reply:
        asked = _parsed(requests.OfResource, sent)
        found = cloud_map.resource(self._catalog.state, asked.resource_arn)
        return Reply({"Tags": [{"Key": name, "Value": value} for name, value in found.tags]})

    async def tag_resource(self, call: Call, sent: Members) -> Reply:
        done = await self._catalog.tag(_parsed(requests.TagResource, sent), call.author)
        return Reply({}, done.revision)

    async def untag_resource(self, call: Call, sent: Members) -> Reply:
        done = await self._catalog.untag(_parsed(requests.UntagResource, sent), call.author)
        return Reply({}, done.revision)

    # --- the small things ---

    def _service(self, service: Service) -> Mapping[str, Any]:
        return self._answers.service(service, self._instances(service))

    def _instances(self, service: Service) -> int:
        return len(self._catalog.state.collection(service.instances))

    def _page_of(
        self, service: Service, found: list[Instance], asked: queries.Paged
    ) -> tuple[list[Instance], dict[str, str]]:
        chosen, more = page(found, lambda each: each.id, of=service.id, asked=asked)
        return list(chosen), more

    def _named(self, asked: queries.DiscoverInstancesRevision) -> Service:
        if asked.owner_account not in (None, self._answers.account):
            raise NamespaceNotFound(
                f"account {asked.owner_account} shares no namespace {asked.namespace_name}"
            )
        return cloud_map.service_named(
            self._catalog.state, asked.namespace_name, asked.service_name
        )


def _parsed(request: type[R], sent: Members) -> R:
    try:
        return requests.parse(request, sent)
    except Invalid as error:
        raise InvalidInput(error.problems) from None


def _operation(done: Done[Any]) -> Reply:
    assert done.operation is not None, "what is asynchronous in Cloud Map notes an operation"
    return Reply({"OperationId": done.operation.id}, done.revision)


def _values(of: Operation) -> Mapping[str, str]:
    return {
        "NAMESPACE_ID": of.targets.get(Target.NAMESPACE, ""),
        "SERVICE_ID": of.targets.get(Target.SERVICE, ""),
        "STATUS": STATUS,
        "TYPE": of.type.value,
        "UPDATE_DATE": str(of.at_ms / 1000),
    }
