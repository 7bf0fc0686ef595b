"""Every error that the service model gives an operation can be had from it, or is named here with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest
from sqlalchemy.exc import OperationalError

from tests.contract import specs
from tests.contract.served import Reply, Served, served
from weft.api.appmesh.operations import OPERATIONS, PREFIX, Operation, Verb
from weft.api.appmesh.shapes import name_member
from weft.names import Kind
from weft.quotas import Quotas

MODEL = botocore.session.get_session().get_service_model("appmesh")
TABLE = [
    (operation, error.name)
    for operation in OPERATIONS
    for error in MODEL.operation_model(operation.name).error_shapes
]
READS = (Verb.DESCRIBE, Verb.LIST, Verb.LIST_TAGS)


def impossible(operation: Operation, error: str) -> str | None:
    """Why an operation can never answer with an error that the model gives it."""
    match error, operation.verb, operation.kind:
        case "TooManyRequestsException", _, _:
            return "requests are not throttled"
        case "ServiceUnavailableException", Verb.DESCRIBE | Verb.LIST | Verb.LIST_TAGS, _:
            return "reading is done from memory, which is there as long as the server is"
        case "NotFoundException", Verb.CREATE | Verb.LIST, Kind.MESH:
            return "nothing has to be there"
        case "ResourceInUseException", _, Kind.ROUTE | Kind.GATEWAY_ROUTE:
            return "nothing refers to a route"
        case "LimitExceededException", Verb.UPDATE, kind if kind not in (
            Kind.VIRTUAL_NODE,
            Kind.ROUTE,
        ):
            return "no quota is about what such a spec holds"
        case _:
            return None


@dataclass
class Case:
    """One operation, with a mesh in which it would succeed."""

    weft: Served
    operation: Operation
    mesh: str
    monkeypatch: pytest.MonkeyPatch

    @property
    def labels(self) -> dict[str, str]:
        return {
            "meshName": self.mesh,
            "virtualRouterName": "router",
            "virtualGatewayName": "gateway",
            "virtualNodeName": "target",
            "virtualServiceName": "service.test",
            "routeName": "route",
            "gatewayRouteName": "gateway-route",
        }

    def ask(
        self,
        body: dict[str, Any] | None = None,
        *,
        query: str = "",
        headers: dict[str, str] | None = None,
        **labels: str,
    ) -> Reply:
        """The operation as it would succeed, but for what is given."""
        path = self.operation.path.format(**{**self.labels, **labels})
        if self.operation.kind is None and not query:
            query = f"resourceArn=arn:aws:appmesh:us-west-2:000000000000:mesh/{self.mesh}"
        sent = {**self.body, **(body or {})} or None
        return self.weft.request(self.operation.method, f"{PREFIX}{path}?{query}", sent, headers)

    @property
    def body(self) -> dict[str, Any]:
        kind = self.operation.kind
        match self.operation.verb:
            case Verb.CREATE if kind is not None:
                name = f"{self.mesh}-new" if kind is Kind.MESH else "new"
                return {name_member(kind): name, "spec": specs.SPECS[kind][0]}
            case Verb.UPDATE if kind is not None:
                # A service's provider may not change to where its gateway route does not fit.
                return {"spec": specs.SPECS[kind][1 if kind is Kind.VIRTUAL_SERVICE else 0]}
            case Verb.TAG:
                return {"tags": [{"key": "a", "value": "b"}]}
            case Verb.UNTAG:
                return {"tagKeys": ["a"]}
            case _:
                return {}

    def provoke(self, error: str) -> Reply:
        return PROVOKED[error](self)


def bad_request(case: Case) -> Reply:
    match case.operation.verb:
        case Verb.CREATE | Verb.UPDATE:
            return case.ask({"no such member": 1})
        case Verb.LIST:
            return case.ask(query="limit=0")
        case Verb.LIST_TAGS | Verb.TAG | Verb.UNTAG:
            return case.ask(query="resourceArn=arn:aws:s3:::bucket")
        case _:
            return case.ask(meshName="x" * 256)


def conflict(case: Case) -> Reply:
    """A name that is taken; a token that came with another request."""
    if case.operation.verb is Verb.CREATE:
        assert case.ask().status == 200
        return case.ask()
    assert case.ask({"clientToken": "t"}).status == 200
    assert case.operation.kind is not None
    kind = case.operation.kind
    other = specs.SPECS[kind][-1 if kind is Kind.VIRTUAL_SERVICE else 1]
    return case.ask({"clientToken": "t", "spec": other})


def forbidden(case: Case) -> Reply:
    if "meshOwner" in case.operation.query:
        return case.ask(query="meshOwner=123456789012")
    if case.operation.kind is None:
        return case.ask(query="resourceArn=arn:aws:appmesh:us-west-2:123456789012:mesh/m")
    return case.ask(headers={"Origin": "https://elsewhere.test"})


def internal_error(case: Case) -> Reply:
    """A fault of ours: what it takes is a fault."""
    case.monkeypatch.setattr(case.weft.parts.store, "state", None)
    try:
        return case.ask()
    finally:
        case.monkeypatch.undo()


def unavailable(case: Case) -> Reply:
    """A disk that is full."""

    def append(*_args: object) -> None:
        raise OperationalError("insert", {}, Exception("database or disk is full"))

    with case.monkeypatch.context() as patched:
        patched.setattr(case.weft.parts.store._database, "append", append)
        kind = case.operation.kind
        if case.operation.verb is Verb.DELETE and kind is not None and kind in SPARE:
            return case.ask(**{name_member(kind): "spare"})
        return case.ask()


SPARE = (
    Kind.MESH,
    Kind.VIRTUAL_NODE,
    Kind.VIRTUAL_ROUTER,
    Kind.VIRTUAL_SERVICE,
    Kind.VIRTUAL_GATEWAY,
)
"""Kinds of which there is one that nothing refers to."""


def limit_exceeded(case: Case) -> Reply:
    with case.monkeypatch.context() as patched:
        none_left = Quotas(dict.fromkeys(NAMES_OF_QUOTAS, 0))
        patched.setattr(case.weft.parts.store, "_quotas", none_left)
        if case.operation.verb is Verb.CREATE:
            return case.ask()
        match case.operation.kind:
            case Kind.VIRTUAL_NODE:
                more = {"backends": [{"virtualService": {"virtualServiceName": "x"}}]}
                spec = {**specs.NODES[2], "backends": more["backends"] * 5}
            case _:
                spec = specs.http_route({"target": 1, "target-2": 1, "third": 1})
                spec["httpRoute"]["match"]["port"] = 8000
                for target in spec["httpRoute"]["action"]["weightedTargets"]:
                    target["port"] = 9000
        return case.ask({"spec": spec})


NAMES_OF_QUOTAS = [
    "meshes",
    "virtual-nodes",
    "virtual-services",
    "virtual-routers",
    "virtual-gateways",
    "routes",
    "gateway-routes",
    "backends",
    "weighted-targets",
]


def not_found(case: Case) -> Reply:
    if case.operation.kind is None:
        return case.ask(query="resourceArn=arn:aws:appmesh:us-west-2:000000000000:mesh/nowhere")
    return case.ask(meshName="nowhere")


def too_many_tags(case: Case) -> Reply:
    tags = [{"key": f"k{i}", "value": ""} for i in range(50)]
    assert case.ask({"tags": tags[1:]}).status == 200
    return case.ask({"tags": tags})


PROVOKED: dict[str, Callable[[Case], Reply]] = {
    "BadRequestException": bad_request,
    "ConflictException": conflict,
    "ForbiddenException": forbidden,
    "InternalServerErrorException": internal_error,
    "LimitExceededException": limit_exceeded,
    "NotFoundException": not_found,
    "ResourceInUseException": Case.ask,
    "ServiceUnavailableException": unavailable,
    "TooManyTagsException": too_many_tags,
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that may be broken."""
    with served(tmp_path_factory.mktemp("errors")) as found:
        yield found


@pytest.fixture
def furnished(own: Served, request: pytest.FixtureRequest) -> str:
    """A mesh with one resource of each kind, and spare ones."""
    mesh = re.sub(r"[^A-Za-z0-9-]", "-", request.node.name)[-200:]
    named = [
        *((Kind.VIRTUAL_NODE, name, specs.NODES[2]) for name in ("target", "target-2", "third")),
        (Kind.VIRTUAL_NODE, "spare", {}),
        (Kind.VIRTUAL_ROUTER, "router", specs.ROUTERS[0]),
        (Kind.VIRTUAL_ROUTER, "spare", {}),
        (Kind.VIRTUAL_SERVICE, "service.test", specs.SERVICES[1]),
        (Kind.VIRTUAL_SERVICE, "spare", {}),
        (Kind.VIRTUAL_GATEWAY, "gateway", specs.GATEWAYS[0]),
        (Kind.VIRTUAL_GATEWAY, "spare", specs.GATEWAYS[0]),
        (Kind.ROUTE, "route", specs.ROUTES[0]),
        (Kind.GATEWAY_ROUTE, "gateway-route", specs.GATEWAY_ROUTES[0]),
    ]
    resources: list[dict[str, Any]] = [
        {"kind": "mesh", "meshName": mesh, "tags": [{"key": "a", "value": "before"}]},
        {"kind": "mesh", "meshName": "spare"},
    ]
    for kind, name, spec in named:
        parent = {
            Kind.ROUTE: {"virtualRouterName": "router"},
            Kind.GATEWAY_ROUTE: {"virtualGatewayName": "gateway"},
        }.get(kind, {})
        resources.append(
            {"kind": kind.value, "meshName": mesh, name_member(kind): name, "spec": spec, **parent}
        )
    assert own.request("POST", "/weft/v1/apply", {"resources": resources}).status == 200
    return mesh


@pytest.mark.parametrize(
    ("operation", "error"),
    [row for row in TABLE if impossible(*row) is None],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_an_error_of_the_model_can_be_had(
    own: Served,
    furnished: str,
    operation: Operation,
    error: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case(own, operation, furnished, monkeypatch)
    before = own.revision

    reply = case.provoke(error)

    shape = MODEL.shape_for(error)
    assert (reply.status, reply.headers.get("x-amzn-errortype")) == (
        shape.metadata["error"]["httpStatusCode"],
        error,
    ), reply.body
    assert reply.body["__type"] == error
    assert reply.body["message"]
    if error not in ("ConflictException", "TooManyTagsException"):
        assert own.revision == before


def test_what_cannot_be_had_is_a_short_list_with_reasons() -> None:
    left_out: dict[str, list[str]] = {}
    for operation, error in TABLE:
        if (reason := impossible(operation, error)) is not None:
            left_out.setdefault(f"{error}: {reason}", []).append(operation.name)
    del left_out["TooManyRequestsException: requests are not throttled"]
    reads = [each.name for each in OPERATIONS if each.verb in READS]
    assert left_out == {
        "ServiceUnavailableException: reading is done from memory, "
        "which is there as long as the server is": reads,
        "NotFoundException: nothing has to be there": ["CreateMesh", "ListMeshes"],
        "ResourceInUseException: nothing refers to a route": ["DeleteRoute", "DeleteGatewayRoute"],
        "LimitExceededException: no quota is about what such a spec holds": [
            "UpdateVirtualRouter",
            "UpdateVirtualService",
            "UpdateVirtualGateway",
            "UpdateGatewayRoute",
        ],
    }
