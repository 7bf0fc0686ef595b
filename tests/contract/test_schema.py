"""The JSON Schema of each kind says what botocore's model says, and accepts what the model accepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.model import ListShape, Shape, StructureShape

from tests.contract import specs
from tests.contract.served import Served
from weft.model.json_schema import DIALECT, schema
from weft.names import Kind

MODEL = botocore.session.get_session().get_service_model("appmesh")
Place = tuple[str, Shape, dict[str, Any]]


@pytest.mark.parametrize("kind", Kind)
def test_every_member_is_there_and_no_other(kind: Kind) -> None:
    for place, shape, found in places(kind):
        if isinstance(shape, StructureShape):
            ours = set(members(kind, found)) - ({"kind"} if place == "" else set())
            assert ours == set(shape.members), place


@pytest.mark.parametrize("kind", Kind)
def test_what_must_be_there_is_required(kind: Kind) -> None:
    for place, shape, found in places(kind):
        if isinstance(shape, StructureShape) and not found.get("oneOf"):
            only = set(shape.members) if shape.is_tagged_union else set()
            assert set(found.get("required", ())) == set(shape.required_members) | only, place


@pytest.mark.parametrize("kind", Kind)
def test_a_union_is_exactly_one_of_its_members(kind: Kind) -> None:
    for place, shape, found in places(kind):
        if isinstance(shape, StructureShape) and shape.is_tagged_union and found.get("oneOf"):
            choices = [resolved(kind, each) for each in found["oneOf"]]
            assert all(len(each["required"]) == 1 for each in choices), place


@pytest.mark.parametrize("kind", Kind)
def test_limits_and_enumerations_are_those_of_the_model(kind: Kind) -> None:
    for place, shape, found in places(kind):
        enum = getattr(shape, "enum", None)
        if enum:
            # One enumeration of protocols serves gateways too, which have no tcp.
            assert set(found["enum"]) <= set(enum), place
        for theirs, ours in limits_of(shape):
            if theirs in shape.metadata and not enum:
                wanted = shape.metadata[theirs]
                assert found.get(ours, wanted) >= wanted if theirs == "min" else True, place
                if theirs == "max":
                    assert found.get(ours, wanted) <= wanted, place


@pytest.mark.parametrize("kind", Kind)
def test_every_member_has_a_title_and_a_meaning(kind: Kind) -> None:
    for name, definition in schema(kind)["$defs"].items():
        for member, value in definition["properties"].items():
            assert value["title"], f"{name}.{member}"
            assert value["description"].endswith("."), f"{name}.{member}"


@pytest.mark.parametrize("kind", Kind)
def test_no_value_is_null(kind: Kind) -> None:
    assert "'null'" not in str(schema(kind))
    assert "None" not in str(schema(kind))


@pytest.mark.parametrize("kind", Kind)
def test_the_api_answers_the_schema(weft: Served, kind: Kind) -> None:
    reply = weft.get(f"/weft/v1/schema/{kind}")
    assert reply.status == 200
    assert reply.body["$schema"] == DIALECT
    assert reply.body == schema(kind)


def test_an_unknown_kind_is_named_with_the_nearest(weft: Served) -> None:
    reply = weft.get("/weft/v1/schema/rout")
    assert reply.status == 404
    assert "'route'" in reply.body["message"]


@pytest.mark.parametrize("spec", [specs.http_route({"a": 1})])
def test_a_valid_spec_fits(spec: dict[str, Any]) -> None:
    place = resolved(Kind.ROUTE, schema(Kind.ROUTE)["properties"]["spec"])
    assert set(spec) <= set(place["properties"])


# --- walking both side by side -----------------------------------------------------------


def places(kind: Kind) -> Iterator[Place]:
    shape = MODEL.operation_model(f"Create{kind.title}").input_shape
    yield from walked(kind, "", shape, schema(kind))


def walked(kind: Kind, place: str, shape: Shape, found: dict[str, Any]) -> Iterator[Place]:
    found = resolved(kind, found)
    yield place, shape, found
    if isinstance(shape, StructureShape):
        ours = members(kind, found)
        for name, member in shape.members.items():
            if name in ours:
                yield from walked(kind, f"{place}.{name}", member, ours[name])
    elif isinstance(shape, ListShape):
        yield from walked(kind, f"{place}[]", shape.member, found["items"])


def resolved(kind: Kind, found: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in found:
        target = schema(kind)["$defs"][found["$ref"].rpartition("/")[2]]
        return {**target, **{k: v for k, v in found.items() if k != "$ref"}}
    return found


def members(kind: Kind, found: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = dict(found.get("properties", {}))
    for each in found.get("oneOf", ()):
        given |= resolved(kind, each).get("properties", {})
    return given


def limits_of(shape: Shape) -> tuple[tuple[str, str], ...]:
    match shape.type_name:
        case "integer" | "long":
            return ("min", "minimum"), ("max", "maximum")
        case "list":
            return ("min", "minItems"), ("max", "maxItems")
        case "string":
            return ("min", "minLength"), ("max", "maxLength")
        case _:
            return ()


def test_the_schema_of_policies_has_every_setting_with_its_meaning(weft: Served) -> None:
    found = weft.get("/weft/v1/schema/policy").body
    assert {name for each in found["oneOf"] for name in each["properties"]} == {
        "for",
        "reroute",
        "amazonaws",
        "timeout",
        "retryPolicy",
        "egressFilter",
    }
    for each in (*found["oneOf"], *found["$defs"].values()):
        for member, value in each["properties"].items():
            assert value["description"].endswith("."), member
