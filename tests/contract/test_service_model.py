"""botocore's model of App Mesh is the contract: what it knows, we have, by the same names."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import botocore.session
import pytest
from botocore.model import ListShape, OperationModel, Shape, StructureShape
from pydantic import BaseModel

from weft import errors
from weft.api.appmesh.operations import OPERATIONS, PREFIX, Operation
from weft.api.appmesh.shapes import WRAPPERS, name_member
from weft.model.codec import SPECS
from weft.model.schema import OneOf
from weft.names import Kind

MODEL = botocore.session.get_session().get_service_model("appmesh")
STATUS = {
    shape.name: shape.metadata["error"]["httpStatusCode"]
    for name in MODEL.operation_names
    for shape in MODEL.operation_model(name).error_shapes
}
RAISED = [
    errors.BadRequest,
    errors.Invalid,
    errors.Forbidden,
    errors.NotFound,
    errors.Conflict,
    errors.InUse,
    errors.LimitExceeded,
    errors.TooManyTags,
    errors.Unavailable,
    errors.WeftError,
]


def test_every_operation_has_a_row() -> None:
    assert sorted(each.name for each in OPERATIONS) == sorted(MODEL.operation_names)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_a_row_says_what_the_model_says(operation: Operation) -> None:
    model = MODEL.operation_model(operation.name)
    query = [
        member.serialization["name"]
        for member in model.input_shape.members.values()
        if member.serialization.get("location") == "querystring"
    ]
    assert (operation.method, PREFIX + operation.path, sorted(operation.query)) == (
        model.http["method"],
        model.http["requestUri"],
        sorted(query),
    )


@pytest.mark.parametrize("error", RAISED, ids=lambda each: each.__name__)
def test_every_error_has_a_code_the_aws_sdk_knows(error: type[errors.WeftError]) -> None:
    assert STATUS[error.code] == error.status


@pytest.mark.parametrize("kind", Kind)
def test_lists_are_wrapped_as_the_model_wraps_them(kind: Kind) -> None:
    (operation,) = [e for e in OPERATIONS if e.kind is kind and e.name.startswith("List")]
    output = MODEL.operation_model(operation.name).output_shape
    assert set(output.members) == {WRAPPERS[kind], "nextToken"}


@pytest.mark.parametrize("kind", Kind)
def test_a_resource_is_named_by_the_member_the_model_names_it_by(kind: Kind) -> None:
    assert name_member(kind) in creation(kind).input_shape.required_members


@pytest.mark.parametrize("kind", Kind)
def test_a_spec_has_the_members_of_the_model_and_no_others(kind: Kind) -> None:
    for place, shape, annotation in places(kind):
        if isinstance(shape, StructureShape):
            assert set(members(annotation)) == set(shape.members), place


@pytest.mark.parametrize("kind", Kind)
def test_what_the_model_requires_is_required(kind: Kind) -> None:
    for place, shape, annotation in places(kind):
        if isinstance(shape, StructureShape) and not is_one_of(annotation):
            required = {name for name, (_, needed) in members(annotation).items() if needed}
            # A union of one member needs that member.
            only = set(shape.members) if shape.is_tagged_union else set()
            assert required == set(shape.required_members) | only, place


@pytest.mark.parametrize("kind", Kind)
def test_every_union_of_the_model_is_a_union_of_ours(kind: Kind) -> None:
    for place, shape, annotation in places(kind):
        if isinstance(shape, StructureShape) and shape.is_tagged_union:
            alone = [name for name, (_, needed) in members(annotation).items() if needed]
            assert is_one_of(annotation) or len(alone) == len(shape.members) == 1, place


@pytest.mark.parametrize("kind", Kind)
def test_enumerations_have_the_values_of_the_model(kind: Kind) -> None:
    for place, shape, annotation in places(kind):
        if getattr(shape, "enum", None):
            assert set(values(annotation)) <= set(shape.enum), place
            if "virtualGateway" not in kind:
                assert set(values(annotation)) == set(shape.enum), place


# --- walking both models side by side ----------------------------------------------------


def creation(kind: Kind) -> OperationModel:
    return MODEL.operation_model(f"Create{kind.title}")


def places(kind: Kind) -> Iterator[tuple[str, Shape, Any]]:
    """Every place of a spec: its path, the model's shape, our annotation."""
    yield from _walk("spec", creation(kind).input_shape.members["spec"], SPECS[kind])


def _walk(place: str, shape: Shape, annotation: Any) -> Iterator[tuple[str, Shape, Any]]:
    yield place, shape, annotation
    if isinstance(shape, StructureShape):
        ours = members(annotation)
        for name, member in shape.members.items():
            if name in ours:
                yield from _walk(f"{place}.{name}", member, ours[name][0])
    elif isinstance(shape, ListShape):
        yield from _walk(f"{place}[]", shape.member, item_of(annotation))


def bare(annotation: Any) -> Any:
    """An annotation without what surrounds the type: None, Annotated."""
    while True:
        if get_origin(annotation) is Annotated and not is_one_of(annotation):
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            choices = [each for each in get_args(annotation) if each is not type(None)]
            if len(choices) != 1:
                return annotation
            annotation = choices[0]
        else:
            return annotation


def is_one_of(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, types.UnionType):
        return any(is_one_of(each) for each in get_args(annotation))
    return get_origin(annotation) is Annotated and any(
        isinstance(each, OneOf) for each in annotation.__metadata__
    )


def members(annotation: Any) -> dict[str, tuple[Any, bool]]:
    """Member name to annotation and whether it must be there."""
    annotation = bare(annotation)
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    models = get_args(annotation) or (annotation,)
    found = {}
    for model in models:
        assert issubclass(model, BaseModel)
        for name, field in model.model_fields.items():
            declared = field.annotation
            if field.metadata:
                declared = Annotated[(declared, *field.metadata)]
            found[field.alias or name] = (declared, field.is_required())
    return found


def item_of(annotation: Any) -> Any:
    return get_args(bare(annotation))[0]


def values(annotation: Any) -> tuple[Any, ...]:
    annotation = bare(annotation)
    assert get_origin(annotation) is Literal, annotation
    return get_args(annotation)
