"""Whatever is sent, the answer is an answer: never a fault of ours, never half a change."""

from __future__ import annotations

import copy
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract import specs
from tests.contract.served import Served
from weft.api.appmesh.operations import OPERATIONS, PREFIX
from weft.names import Kind

SERVER = settings(
    max_examples=150,
    deadline=None,
    # The server and its resources are meant to be shared between examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["", "/", "*", "http", "${x}", "x" * 300])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
EXAMPLES = [(kind, spec) for kind, examples in specs.SPECS.items() for spec in examples]
LABEL = st.text(min_size=1, max_size=12).map(lambda text: quote(text, safe=""))


@pytest.fixture
def neighbours(appmesh: Any, mesh: str) -> str:
    place = {"meshName": mesh}
    for name in ("target", "target-2"):
        appmesh.create_virtual_node(**place, virtualNodeName=name, spec=specs.NODES[2])
    appmesh.create_virtual_router(**place, virtualRouterName="router", spec=specs.ROUTERS[0])
    appmesh.create_virtual_service(
        **place, virtualServiceName="service.test", spec=specs.SERVICES[1]
    )
    appmesh.create_virtual_gateway(**place, virtualGatewayName="gateway", spec=specs.GATEWAYS[0])
    return mesh


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for step, inner in items:
            found += places(inner, (*path, step))
    return found


@st.composite
def altered(draw: st.DrawFn) -> tuple[Kind, Any]:
    """A spec that is right but for one or two places."""
    kind, spec = draw(st.sampled_from(EXAMPLES))
    spec = copy.deepcopy(spec)
    for _ in range(draw(st.integers(1, 2))):
        *path, last = draw(st.sampled_from([("spec",), *(("spec", *p) for p in places(spec))]))
        holder: Any = {"spec": spec}
        whole = holder
        for step in path:
            holder = holder[step]
        if draw(st.booleans()) and last != "spec":
            del holder[last]
        else:
            holder[last] = draw(JSON)
        spec = whole["spec"]
        if not isinstance(spec, dict | list):
            break
    return kind, spec


@SERVER
@given(case=altered())
def test_a_spec_is_taken_or_refused_with_its_places(
    weft: Served, neighbours: str, case: tuple[Kind, Any]
) -> None:
    kind, spec = case
    name = f"{kind.value}Name"
    (operation,) = [e for e in OPERATIONS if e.name == f"Create{kind.title}"]
    path = PREFIX + operation.path.format(
        meshName=neighbours, virtualRouterName="router", virtualGatewayName="gateway"
    )
    before = weft.revision
    made = f"any-{neighbours}"
    reply = weft.put(path, {name: made, "spec": spec})
    if reply.status == 200:
        assert weft.revision == before + 1
        assert weft.request("DELETE", f"{path}/{made}").status == 200
        return
    assert reply.status in (400, 404), reply.body
    assert weft.revision == before
    if reply.status == 400:
        assert reply.body["problems"]
        assert all(each["path"].startswith("spec") for each in reply.body["problems"])


@SERVER
@given(
    operation=st.sampled_from(OPERATIONS),
    labels=st.lists(LABEL, min_size=3, max_size=3),
    query=st.dictionaries(
        st.sampled_from(["limit", "nextToken", "meshOwner", "resourceArn", "x"]),
        st.text(max_size=20),
    ),
    body=st.none() | st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_any_request_gets_an_answer_in_app_meshs_shape(
    weft: Served, operation: Any, labels: list[str], query: dict[str, str], body: bytes | None
) -> None:
    path = PREFIX + operation.path
    for name, label in zip(
        ("meshName", "virtualRouterName", "virtualGatewayName"), labels, strict=True
    ):
        path = path.replace(f"{{{name}}}", label)
    for rest in ("virtualNodeName", "virtualServiceName", "routeName", "gatewayRouteName"):
        path = path.replace(f"{{{rest}}}", labels[0])
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    reply = weft.request(operation.method, f"{path}?{asked}", body)
    assert reply.status in (200, 400, 403, 404), reply.body
    if reply.status != 200:
        assert reply.headers["x-amzn-errortype"] == reply.body["__type"]
        assert reply.body["message"]


@SERVER
@given(
    resources=st.lists(
        st.fixed_dictionaries(
            {}, optional={"kind": st.sampled_from([*Kind, "x"]), "meshName": SCALARS, "spec": JSON}
        )
        | JSON,
        max_size=4,
    ),
    more=st.dictionaries(st.sampled_from(["dryRun", "note", "prune"]), JSON),
)
def test_any_apply_is_done_or_refused(
    weft: Served, resources: list[Any], more: dict[str, Any]
) -> None:
    before = weft.revision
    reply = weft.request("POST", "/weft/v1/apply", {"resources": resources, **more})
    if reply.status == 200:
        assert weft.revision in (before, before + 1)
        for outcome in reply.body["outcomes"]:
            weft.request("DELETE", f"{PREFIX}/meshes/{outcome['key'].removeprefix('mesh/')}")
    else:
        assert reply.status in (400, 403, 404), reply.body
        assert weft.revision == before
