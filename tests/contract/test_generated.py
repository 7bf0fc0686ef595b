"""
Requests made from botocore's model: what is valid comes back unchanged, what is not is refused.

Small numbers in ``make test``, ten thousand in ``make soak``, which prints what came of them.
"""

from __future__ import annotations

import copy
import http.client
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.contract import specs
from tests.contract.generated import GATEWAY, MODEL, PORTS, ROUTER, SERVICE, TARGETS
from tests.contract.generated import specs as valid
from tests.contract.served import Served
from weft.api.appmesh.operations import OPERATIONS, PREFIX, Operation, Verb
from weft.names import Kind

SMALL, LARGE = 8, 10_000
KINDS = list(Kind)


def profile(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        # The server and the mesh are meant to be shared between examples.
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    )


class Api:
    """The five operations of each kind, over one connection, in one mesh with its neighbours."""

    def __init__(self, weft: Served, mesh: str) -> None:
        self._weft = weft
        self._connection = http.client.HTTPConnection("127.0.0.1", weft.port, timeout=60)
        self._labels = {
            "meshName": mesh,
            "virtualRouterName": ROUTER,
            "virtualGatewayName": GATEWAY,
        }
        self._names = itertools.count(1)
        self.answers: Counter[str] = Counter()

    @property
    def revision(self) -> int:
        return self._weft.revision

    def fresh_name(self) -> str:
        """Of a resource that no other example has made, or left behind when it failed."""
        return f"{self._labels['meshName']}-{next(self._names)}"

    def __call__(self, kind: Kind, verb: Verb, name: str, spec: Any = None) -> tuple[int, Any]:
        (operation,) = [e for e in OPERATIONS if e.kind is kind and e.verb is verb]
        own = f"{kind.value}Name"
        labels = {**self._labels, own: name} if verb is not Verb.CREATE else self._labels
        path = PREFIX + operation.path.format(
            **{label: quote(value, safe="") for label, value in labels.items()}
        )
        body: dict[str, Any] = {} if spec is None else {"spec": spec}
        if verb is Verb.CREATE:
            body[own] = name
        self._connection.request(
            operation.method, path, json.dumps(body) if body else None, {"connection": "keep-alive"}
        )
        reply = self._connection.getresponse()
        content = json.loads(reply.read())
        assert reply.status < 500, (operation.name, body, content)
        if reply.status >= 400:
            assert content["__type"] in _errors(operation), content
        self.answers[f"{operation.name} {reply.status}"] += 1
        return reply.status, content

    def close(self) -> None:
        self._connection.close()


def _errors(operation: Operation) -> set[str]:
    """The errors that the model knows for an operation."""
    return {shape.name for shape in MODEL.operation_model(operation.name).error_shapes}


@pytest.fixture
def api(weft: Served, appmesh: Any, mesh: str) -> Iterator[Api]:
    place = {"meshName": mesh}
    listeners = [
        {"portMapping": {"port": port, "protocol": protocol}} for protocol, port in PORTS.items()
    ]
    for name in TARGETS:
        spec = {**specs.node(), "listeners": listeners}
        appmesh.create_virtual_node(**place, virtualNodeName=name, spec=spec)
    appmesh.create_virtual_router(**place, virtualRouterName=ROUTER, spec={"listeners": listeners})
    provider = {"virtualRouter": {"virtualRouterName": ROUTER}}
    appmesh.create_virtual_service(**place, virtualServiceName=SERVICE, spec={"provider": provider})
    appmesh.create_virtual_gateway(
        **place, virtualGatewayName=GATEWAY, spec={"listeners": listeners[:3]}
    )
    found = Api(weft, mesh)
    yield found
    found.close()


def comes_back(api: Api, kind: Kind, first: Any, second: Any) -> None:
    """Create, read, update, read, delete: each time the spec as it was sent."""
    name = api.fresh_name()
    for verb, spec in ((Verb.CREATE, first), (Verb.UPDATE, second)):
        status, answer = api(kind, verb, name, spec)
        assert status == 200, (spec, answer)
        assert answer["spec"] == echo(kind, spec, created=verb is Verb.CREATE)
        status, answer = api(kind, Verb.DESCRIBE, name)
        assert (status, answer["spec"]) == (200, echo(kind, spec))
    assert api(kind, Verb.DELETE, name)[1]["status"] == {"status": "DELETED"}
    assert api(kind, Verb.DESCRIBE, name)[0] == 404


def echo(kind: Kind, spec: Any, *, created: bool = False) -> Any:
    """A spec with App Mesh's own two additions."""
    spec = copy.deepcopy(spec)
    for listener in spec.get("listeners", ()):
        if "healthCheck" in listener:
            listener["healthCheck"].setdefault("port", listener["portMapping"]["port"])
    if kind is Kind.VIRTUAL_NODE and not created:
        spec.setdefault("backends", [])
    return spec


@st.composite
def broken(draw: st.DrawFn, kind: Kind) -> Any:
    """A valid spec with one to three places that became something else."""
    whole = {"spec": draw(valid(kind))}
    for _ in range(draw(st.integers(1, 3))):
        places = [path for path in _places(whole) if path]
        if not places:
            break
        *way, last = draw(st.sampled_from(places))
        holder: Any = whole
        for step in way:
            holder = holder[step]
        match draw(st.sampled_from(["gone", "other", "unknown", "twice"])):
            case "gone":
                del holder[last]
            case "unknown" if isinstance(holder[last], dict):
                holder[last][draw(st.sampled_from(["x", "Port", "mesh_name", ""]))] = 1
            case "twice" if isinstance(holder[last], list):
                holder[last] *= draw(st.sampled_from([2, 20]))
            case _:
                holder[last] = copy.deepcopy(draw(_OTHERS))
    return whole.get("spec")


_OTHERS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([None, True, "", "x" * 2000, "\0", "*", 0, -1, 2**64, 1.5, [], {}, [[]]]),
    st.sampled_from(["http", "nowhere", {"http": {}}, [None], {"a": {"b": {"c": []}}}, "(", "99"]),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(inner, (*path, step))


def is_taken_or_refused(api: Api, kind: Kind, spec: Any) -> None:
    """200 and written, or an error of the model and nothing written; never a fault of ours."""
    name = api.fresh_name()
    before = api.revision
    status, _ = api(kind, Verb.CREATE, name, spec)
    assert api.revision == before + (status == 200)
    if status == 200:
        assert api(kind, Verb.DELETE, name)[0] == 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_valid_spec_comes_back_as_it_was_sent(api: Api, kind: Kind) -> None:
    @profile(SMALL)
    @given(valid(kind), valid(kind))
    def holds(first: Any, second: Any) -> None:
        comes_back(api, kind, first, second)

    holds()


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_spec_is_taken_or_refused(api: Api, kind: Kind) -> None:
    @profile(2 * SMALL)
    @given(broken(kind))
    def holds(spec: Any) -> None:
        is_taken_or_refused(api, kind, spec)

    holds()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_ten_thousand_generated_requests_find_no_fault_of_ours(api: Api) -> None:
    kinds = st.sampled_from(KINDS)

    @profile(LARGE // 20)
    @given(kinds.flatmap(lambda kind: st.tuples(st.just(kind), valid(kind), valid(kind))))
    def valid_ones(case: tuple[Kind, Any, Any]) -> None:
        comes_back(api, *case)

    @profile(LARGE * 7 // 10)
    @given(kinds.flatmap(lambda kind: st.tuples(st.just(kind), broken(kind))))
    def broken_ones(case: tuple[Kind, Any]) -> None:
        is_taken_or_refused(api, *case)

    begin = time.monotonic()
    valid_ones()
    broken_ones()
    made = sum(api.answers.values())
    refused = sum(
        n
        for answer, n in api.answers.items()
        if answer.startswith("Create") and answer[-3:] != "200"
    )
    print(
        f"\n{made:,} generated requests in {time.monotonic() - begin:.0f} s: "
        f"{refused:,} refused, none with a fault of ours"
    )
    assert made >= LARGE
    assert refused > LARGE // 4
