"""All 38 operations through boto3: what goes in comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.model import ListShape, Shape, StructureShape

from tests.contract import specs
from tests.contract.served import Served
from weft.api.appmesh.operations import OPERATIONS
from weft.names import Kind

MODEL = botocore.session.get_session().get_service_model("appmesh")
CASES = [(kind, i) for kind, each in specs.SPECS.items() for i in range(len(each))]


class Operations:
    """The operations of one kind, by verb."""

    def __init__(self, client: Any, kind: Kind, mesh: str) -> None:
        self._client = client
        self.kind = kind
        self.snake = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", kind.value).lower()
        self.wrapper = kind.value
        self.place: dict[str, str] = {} if kind is Kind.MESH else {"meshName": mesh}
        if kind is Kind.ROUTE:
            self.place["virtualRouterName"] = "router"
        if kind is Kind.GATEWAY_ROUTE:
            self.place["virtualGatewayName"] = "gateway"

    def __call__(self, verb: str, name: str, **more: Any) -> dict[str, Any]:
        named = {f"{self.kind.value}Name": name}
        answer = getattr(self._client, f"{verb}_{self.snake}")(**self.place, **named, **more)
        return dict(answer[self.wrapper])

    def all(self, **paging: Any) -> list[dict[str, Any]]:
        verb = "list_meshes" if self.kind is Kind.MESH else f"list_{self.snake}s"
        paginator = self._client.get_paginator(verb)
        pages = paginator.paginate(**self.place, PaginationConfig=paging)
        key = "meshes" if self.kind is Kind.MESH else f"{self.kind.value}s"
        return [item for page in pages for item in page[key]]


@pytest.fixture
def neighbours(appmesh: Any, mesh: str) -> str:
    """A mesh with all that the specs name."""
    place = {"meshName": mesh}
    for name in ("target", "target-2"):
        appmesh.create_virtual_node(**place, virtualNodeName=name, spec=specs.NODES[2])
    appmesh.create_virtual_router(**place, virtualRouterName="router", spec=specs.ROUTERS[0])
    appmesh.create_virtual_service(
        **place, virtualServiceName="service.test", spec=specs.SERVICES[1]
    )
    appmesh.create_virtual_gateway(**place, virtualGatewayName="gateway", spec=specs.GATEWAYS[0])
    return mesh


def test_the_specs_have_every_member_that_the_model_has() -> None:
    for kind, examples in specs.SPECS.items():
        shape = MODEL.operation_model(f"Create{kind.title}").input_shape.members["spec"]
        given = {place for spec in examples for place in _given("spec", spec)}
        # App Mesh: the scheme is for http2Route only, although one shape serves both.
        assert set(_known("spec", shape)) - {"spec.httpRoute.match.scheme"} <= given


@pytest.mark.parametrize(("kind", "i"), CASES, ids=[f"{kind}-{i}" for kind, i in CASES])
def test_a_spec_comes_back_as_it_was_sent(
    appmesh: Any, neighbours: str, kind: Kind, i: int
) -> None:
    examples = specs.SPECS[kind]
    sent, first = examples[i], examples[(i + 1) % len(examples)]
    operations = Operations(appmesh, kind, neighbours)
    name = f"{neighbours}-{i}"

    assert operations("create", name, spec=first)["spec"] == first
    assert operations("update", name, spec=sent)["spec"] == _expected(kind, sent)
    assert operations("describe", name)["spec"] == _expected(kind, sent)
    deleted = operations("delete", name)
    assert (deleted["spec"], deleted["status"]) == (_expected(kind, sent), {"status": "DELETED"})
    with pytest.raises(ClientError, match=f"{kind.title} with name {name} is not present"):
        operations("describe", name)


@pytest.mark.parametrize("kind", Kind)
def test_metadata_counts_and_dates_every_write(
    appmesh: Any, neighbours: str, kind: Kind, weft: Served
) -> None:
    operations, spec = Operations(appmesh, kind, neighbours), specs.SPECS[kind][0]
    name = f"{neighbours}-x"
    created = operations("create", name, spec=spec)["metadata"]
    updated = operations("update", name, spec=spec)["metadata"]
    deleted = operations("delete", name)["metadata"]

    assert (created["version"], updated["version"]) == (1, 2)
    assert deleted["version"] == (2 if kind is Kind.MESH else 3)
    assert len({each["uid"] for each in (created, updated, deleted)}) == 1
    assert {each["createdAt"] for each in (created, updated, deleted)} == {created["createdAt"]}
    assert created["lastUpdatedAt"] == created["createdAt"]
    assert created["createdAt"] <= updated["lastUpdatedAt"] <= deleted["lastUpdatedAt"]
    assert weft.parts.clock.now() - created["createdAt"] < timedelta(minutes=5)
    owners = {created["meshOwner"], created["resourceOwner"]}
    assert owners == {weft.parts.settings.account}
    again = operations("create", name, spec=spec)["metadata"]
    assert (again["version"], again["uid"] != created["uid"]) == (1, True)


def test_arns_are_app_meshs(appmesh: Any, neighbours: str) -> None:
    root = f"arn:aws:appmesh:us-west-2:000000000000:mesh/{neighbours}"
    expected = {
        Kind.VIRTUAL_NODE: f"{root}/virtualNode/x",
        Kind.VIRTUAL_SERVICE: f"{root}/virtualService/x",
        Kind.VIRTUAL_ROUTER: f"{root}/virtualRouter/x",
        Kind.ROUTE: f"{root}/virtualRouter/router/route/x",
        Kind.VIRTUAL_GATEWAY: f"{root}/virtualGateway/x",
        Kind.GATEWAY_ROUTE: f"{root}/virtualGateway/gateway/gatewayRoute/x",
    }
    for kind, arn in expected.items():
        operations = Operations(appmesh, kind, neighbours)
        assert operations("create", "x", spec=specs.SPECS[kind][0])["metadata"]["arn"] == arn


@pytest.mark.parametrize("kind", Kind)
def test_pages_of_one_give_the_whole_list(appmesh: Any, neighbours: str, kind: Kind) -> None:
    operations, spec = Operations(appmesh, kind, neighbours), specs.SPECS[kind][0]
    names = {f"{neighbours}-{letter}" for letter in "cab"}
    for name in names:
        operations("create", name, spec=spec)

    one_by_one = operations.all(PageSize=1)
    assert one_by_one == operations.all()
    listed = [item[f"{kind.value}Name"] for item in one_by_one]
    assert listed == sorted(listed)
    assert names <= set(listed)


@pytest.mark.parametrize("kind", Kind)
def test_list_items_have_exactly_the_members_of_the_model(
    appmesh: Any, neighbours: str, kind: Kind
) -> None:
    operations = Operations(appmesh, kind, neighbours)
    operations("create", f"{neighbours}-x", spec=specs.SPECS[kind][0])
    (operation,) = [e for e in OPERATIONS if e.kind is kind and e.name.startswith("List")]
    output = MODEL.operation_model(operation.name).output_shape
    (list_shape,) = [each for each in output.members.values() if isinstance(each, ListShape)]

    for item in operations.all():
        assert set(item) == set(list_shape.member.required_members)


def test_tags_can_be_set_listed_and_taken_away(appmesh: Any, mesh: str) -> None:
    node = appmesh.create_virtual_node(
        meshName=mesh,
        virtualNodeName="n",
        spec=specs.node(),
        tags=[{"key": "team", "value": "a"}, {"key": "empty", "value": ""}],
    )["virtualNode"]
    arn = node["metadata"]["arn"]
    appmesh.tag_resource(
        resourceArn=arn, tags=[{"key": "team", "value": "b"}, {"key": "stage", "value": "x"}]
    )
    appmesh.untag_resource(resourceArn=arn, tagKeys=["empty", "never-there"])

    pages = appmesh.get_paginator("list_tags_for_resource").paginate(
        resourceArn=arn, PaginationConfig={"PageSize": 1}
    )
    found = [tag for page in pages for tag in page["tags"]]
    assert found == [{"key": "stage", "value": "x"}, {"key": "team", "value": "b"}]
    described = appmesh.describe_virtual_node(meshName=mesh, virtualNodeName="n")["virtualNode"]
    assert described["metadata"] == node["metadata"], "tags are no part of the resource"


def test_any_region_in_an_arn_is_ours(appmesh: Any, mesh: str) -> None:
    arn = f"arn:aws:appmesh:eu-west-1:000000000000:mesh/{mesh}"
    appmesh.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "b"}])
    assert appmesh.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "b"}]


@pytest.mark.parametrize("name", ["shop.example.com", "a%2Fb", "a+b", "ünï", "q?x=1&y#z", "a:b;c"])
def test_a_virtual_service_may_be_called_anything(appmesh: Any, mesh: str, name: str) -> None:
    operations = Operations(appmesh, Kind.VIRTUAL_SERVICE, mesh)
    arn = operations("create", name, spec={})["metadata"]["arn"]
    assert operations("describe", name)["virtualServiceName"] == name
    assert operations("update", name, spec={})["metadata"]["version"] == 2
    appmesh.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "b"}])
    assert [each["virtualServiceName"] for each in operations.all()] == [name]
    operations("delete", name)
    assert operations.all() == []


def test_a_mesh_can_do_without_a_spec(appmesh: Any, mesh: str) -> None:
    assert appmesh.describe_mesh(meshName=mesh)["mesh"]["spec"] == {}
    appmesh.update_mesh(meshName=mesh, spec=specs.MESHES[0])
    assert appmesh.update_mesh(meshName=mesh)["mesh"]["spec"] == {}


def test_a_health_check_without_a_port_shows_its_listeners(appmesh: Any, mesh: str) -> None:
    check = {
        "healthyThreshold": 2,
        "intervalMillis": 5000,
        "protocol": "http",
        "timeoutMillis": 2000,
        "unhealthyThreshold": 2,
    }
    spec = specs.node(port=9080)
    spec["listeners"][0]["healthCheck"] = check
    filled = {**spec["listeners"][0], "healthCheck": {**check, "port": 9080}}
    place = {"meshName": mesh, "virtualNodeName": "n"}

    created = appmesh.create_virtual_node(**place, spec=spec)["virtualNode"]["spec"]
    assert created == {**spec, "listeners": [filled]}
    described = appmesh.describe_virtual_node(**place)["virtualNode"]["spec"]
    assert described == {**spec, "listeners": [filled], "backends": []}


def test_the_owner_of_a_mesh_may_be_said(appmesh: Any, mesh: str) -> None:
    found = appmesh.describe_mesh(meshName=mesh, meshOwner="000000000000")["mesh"]
    assert found["meshName"] == mesh


def test_what_is_on_the_wire_is_a_bare_body_with_epoch_seconds(weft: Served, mesh: str) -> None:
    reply = weft.get(f"/v20190125/meshes/{mesh}")
    assert set(reply.body) == {"meshName", "metadata", "spec", "status"}
    at = reply.body["metadata"]["createdAt"]
    assert isinstance(at, float)
    assert round(at, 3) == at
    assert reply.headers["content-type"] == "application/json"
    assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers["x-amzn-requestid"])


def test_every_write_says_which_revision_it_made(weft: Served, mesh: str) -> None:
    path = f"/v20190125/meshes/{mesh}/virtualNodes"
    made = weft.put(path, {"virtualNodeName": "n", "spec": specs.node()})
    assert made.headers["x-weft-revision"] == str(weft.revision)
    tagged = weft.put(
        f"/v20190125/tag?resourceArn={made.body['metadata']['arn']}",
        {"tags": [{"key": "a", "value": "b"}]},
    )
    assert int(tagged.headers["x-weft-revision"]) == int(made.headers["x-weft-revision"]) + 1
    assert "x-weft-revision" not in weft.get(path).headers


def _expected(kind: Kind, sent: dict[str, Any]) -> dict[str, Any]:
    return {"backends": [], **sent} if kind is Kind.VIRTUAL_NODE else sent


def _known(place: str, shape: Shape) -> Iterator[str]:
    yield place
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            yield from _known(f"{place}.{name}", member)
    elif isinstance(shape, ListShape):
        yield from _known(f"{place}[]", shape.member)


def _given(place: str, value: Any) -> Iterator[str]:
    yield place
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _given(f"{place}.{name}", member)
    elif isinstance(value, list):
        for item in value:
            yield from _given(f"{place}[]", item)
