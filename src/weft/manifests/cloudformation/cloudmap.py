"""``AWS::ServiceDiscovery::*``: namespaces, services and instances of Cloud Map, made by Cloud Map's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from weft.discovery import cloud_map as rules
from weft.errors import Invalid, WeftError
from weft.manifests.cloudformation.evaluation import known
from weft.manifests.cloudformation.reading import Finding
from weft.manifests.cloudformation.spelling import late, place_of, translated
from weft.manifests.cloudformation.stack import StackResource
from weft.manifests.cloudformation.template import Declared
from weft.manifests.document import nearest
from weft.model import cloud_map
from weft.model import cloud_map_requests as requests
from weft.model.cloud_map import Service
from weft.model.codec import decode_as, without_nulls
from weft.store.change import Keep, Step
from weft.store.cloud_map import new_id
from weft.store.state import Draft, MeshState

PREFIX = "AWS::ServiceDiscovery::"
HTTP_NAMESPACE = f"{PREFIX}HttpNamespace"
INSTANCE = f"{PREFIX}Instance"
SERVICE = f"{PREFIX}Service"
NAMESPACES: Mapping[str, type[requests.Request]] = {
    HTTP_NAMESPACE: requests.CreateHttpNamespace,
    f"{PREFIX}PrivateDnsNamespace": requests.CreatePrivateDnsNamespace,
    f"{PREFIX}PublicDnsNamespace": requests.CreatePublicDnsNamespace,
}
TYPES = (*NAMESPACES, SERVICE, INSTANCE)
_REQUESTS: Mapping[str, type[requests.Request]] = {
    **NAMESPACES,
    SERVICE: requests.CreateService,
    INSTANCE: requests.RegisterInstance,
}
_SPELT: Mapping[str, Mapping[str, str]] = {INSTANCE: {"InstanceAttributes": "Attributes"}}
"""Where CloudFormation's name for a property is not the API's."""
_LATER = ("ServiceAttributes",)
"""Properties that are no members of the request that makes the thing."""
CREATE_ONLY: Mapping[str, tuple[str, ...]] = {
    **{kind: ("Name", "Vpc") for kind in NAMESPACES},
    SERVICE: ("HealthCheckCustomConfig", "Name", "NamespaceId", "Type"),
    INSTANCE: ("InstanceId", "ServiceId"),
}
_REMOVED_FIRST = {INSTANCE: 0, SERVICE: 1}


@dataclass(frozen=True, slots=True)
class Found:
    """A thing of Cloud Map as others in the template see it."""

    ref: str
    attributes: Mapping[str, str]

    def attribute(self, name: str) -> str:
        if name not in self.attributes:
            raise LookupError(nearest(name, list(self.attributes)))
        return self.attributes[name]


class CloudMap:
    """What a stack makes of Cloud Map, step by step on a draft."""

    def __init__(self, state: MeshState, arn_prefix: str, at: int) -> None:
        self.steps: list[Step] = []
        self._draft = Draft(state)
        self._arn_prefix = arn_prefix
        self._at = at

    def make(
        self,
        declared: Declared,
        properties: Mapping[str, Any],
        before: StackResource | None,
        made_up: str,
        seed: str,
        tags: Mapping[str, str],
        findings: list[Finding],
    ) -> Found | None:
        """Create it, or change the one that stands; None, with the reasons told, when it cannot be."""
        place = (*declared.path, "Properties")
        asked = self._asked(declared, properties, made_up, tags, findings)
        if asked is None:
            return None
        id = rules.id_of(before.documents[0][1]) if before else None
        try:
            match asked:
                case requests.RegisterInstance():
                    return self._instance(asked, id)
                case requests.CreateService():
                    return self._service(asked, id, seed, properties)
                case _:
                    return self._namespace(asked, id, seed)
        except Invalid as error:
            findings += (late(place_of(e.path, place), e.message) for e in error.problems)
        except WeftError as error:
            findings.append(late(declared.path, error.message))
        return None

    def _asked(
        self,
        declared: Declared,
        properties: Mapping[str, Any],
        made_up: str,
        tags: Mapping[str, str],
        findings: list[Finding],
    ) -> Any:
        place = (*declared.path, "Properties")
        before = len(findings)
        spelt = _SPELT.get(declared.type, {})
        own = {spelt.get(n, n): each for n, each in properties.items() if n not in _LATER}
        model = _REQUESTS[declared.type]
        if declared.type == INSTANCE:
            own.setdefault("InstanceId", made_up[-64:])
        else:
            own.setdefault("Name", made_up)
        sent = translated(own, model, place, findings)
        if len(findings) > before or not known(sent):
            return None
        if tags and declared.type != INSTANCE:
            given = {each.get("Key"): each.get("Value") for each in sent.get("Tags") or ()}
            sent["Tags"] = [{"Key": k, "Value": v} for k, v in {**tags, **given}.items()]
        try:
            return decode_as(model, without_nulls(sent))
        except Invalid as error:
            findings += (late(place_of(e.path, place), e.message) for e in error.problems)
        return None

    def _namespace(self, asked: requests.CreateNamespace, id: str | None, seed: str) -> Found:
        at, standing = self._at, False
        if id is not None and (document := self._draft.state.document(cloud_map.NAMESPACES, id)):
            at = document["createdAt"]
            self._forget(Keep(cloud_map.NAMESPACES, id, None))
            self._forget(Keep(cloud_map.NAMES, cloud_map.name_of(document["name"]), None))
            standing = True
        plan = rules.create_namespace(self._draft.state, asked, id or new_id("ns", seed), at)
        self._take(plan.steps, named=standing)
        made = plan.value
        return Found(made.id, self._namespace_attributes(made.id, is_dns=made.type.is_dns))

    def _service(
        self,
        asked: requests.CreateService,
        id: str | None,
        seed: str,
        properties: Mapping[str, Any],
    ) -> Found:
        at, standing = self._at, False
        if id is not None and (document := self._draft.state.document(cloud_map.SERVICES, id)):
            at, standing = document["createdAt"], True
            old = Service.of(id, document)
            within = rules.namespace(self._draft.state, old.namespace_id)
            name = cloud_map.name_of(within.name, old.name)
            self._forget(Keep(cloud_map.SERVICES, id, None))
            self._forget(Keep(cloud_map.NAMES, name, None))
        plan = rules.create_service(self._draft.state, asked, id or new_id("srv", seed), at)
        self._take(plan.steps, named=standing)
        attributes = properties.get("ServiceAttributes")
        if isinstance(attributes, dict):
            said = tuple((str(name), str(value)) for name, value in attributes.items())
            made = replace(plan.value, attributes=said)
            self._take([Keep(cloud_map.SERVICES, made.id, made.document())])
        service = plan.value
        return Found(service.id, self._service_attributes(service.id, service.name))

    def _instance(self, asked: requests.RegisterInstance, id: str | None) -> Found:
        plan = rules.register_instance(self._draft.state, asked)
        self._take(plan.steps)
        return Found(plan.value.id, {"Id": plan.value.id})

    def found(self, resource: StackResource, properties: Mapping[str, Any]) -> Found:
        """The one that stands, and stays as it is."""
        id = resource.physical_id
        if resource.type == INSTANCE:
            return Found(id, {"Id": id})
        if resource.type == SERVICE:
            name = str(properties.get("Name") or "")
            if document := self._draft.state.document(cloud_map.SERVICES, id):
                name = document["name"]
            return Found(id, self._service_attributes(id, name))
        return Found(id, self._namespace_attributes(id, is_dns=resource.type != HTTP_NAMESPACE))

    def _service_attributes(self, id: str, name: str) -> dict[str, str]:
        return {"Id": id, "Arn": f"{self._arn_prefix}:service/{id}", "Name": name}

    def _namespace_attributes(self, id: str, *, is_dns: bool) -> dict[str, str]:
        found = {"Id": id, "Arn": f"{self._arn_prefix}:namespace/{id}"}
        if is_dns:
            found["HostedZoneId"] = f"Z{id.removeprefix('ns-').upper()}"
        return found

    def documents(
        self, declared: Declared, ref: str, properties: Mapping[str, Any]
    ) -> tuple[tuple[str, str], ...]:
        """Where the thing is kept."""
        if declared.type == INSTANCE:
            service = rules.id_of(str(properties.get("ServiceId")))
            return ((cloud_map.instances_of(service), ref),)
        collection = cloud_map.SERVICES if declared.type == SERVICE else cloud_map.NAMESPACES
        return ((collection, ref),)

    # --- removal -------------------------------------------------------------------------

    def remove(self, resources: Iterable[StackResource], findings: list[Finding]) -> None:
        """Take things out: instances before services, services before namespaces."""
        for each in sorted(resources, key=lambda each: _REMOVED_FIRST.get(each.type, 2)):
            if not each.documents:
                continue
            (collection, name) = each.documents[0]
            if self._draft.state.document(collection, name) is None:
                continue  # Gone already.
            try:
                if each.type == INSTANCE:
                    service = collection.rpartition("/")[2]
                    self._take(rules.deregister_instance(self._draft.state, service, name).steps)
                elif each.type == SERVICE:
                    self._take(rules.delete_service(self._draft.state, name).steps)
                else:
                    self._take(rules.delete_namespace(self._draft.state, name).steps)
            except WeftError as error:
                findings.append(late(("Resources", each.logical_id), error.message))

    def _take(self, steps: Iterable[Keep], *, named: bool = False) -> None:
        """``named``: its name leads to it already."""
        for step in steps:
            self._draft.keep(step.collection, step.name, step.document)
            if not (named and step.collection == cloud_map.NAMES):
                self.steps.append(step)

    def _forget(self, step: Keep) -> None:
        """For the rules only: what is made anew has its old id and stays in its place."""
        self._draft.keep(step.collection, step.name, None)
