"""What the service model says of a value, length, range, pattern, enumeration, is enforced at its place."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.model import ListShape, Shape, StructureShape

from tests.contract import specs
from weft.errors import Invalid
from weft.model.codec import decode
from weft.names import Kind

MODEL = botocore.session.get_session().get_service_model("appmesh")
Path = tuple[str | int, ...]


def walk(shape: Shape, value: Any, path: Path = ()) -> Iterator[tuple[Path, Shape, Any]]:
    """Every value of a spec with what the model says of it."""
    yield path, shape, value
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        for name, inner in value.items():
            yield from walk(shape.members[name], inner, (*path, name))
    elif isinstance(shape, ListShape):
        for i, inner in enumerate(value):
            yield from walk(shape.member, inner, (*path, i))


def beyond(shape: Shape, value: Any) -> Iterator[tuple[str, Any]]:
    """Values that the model does not allow there."""
    limits = shape.metadata
    least, most = limits.get("min"), limits.get("max")
    match shape.type_name:
        case "string":
            if shape.enum:
                yield "enum", "nonsense"
            if least:
                yield "min", "x" * (least - 1)
            if most is not None:
                yield "max", "x" * (most + 1)
            if "pattern" in limits:
                yield "pattern", "\u00e9"
        case "integer" | "long":
            bits = 31 if shape.type_name == "integer" else 63
            yield "min", (least if least is not None else -(2**bits)) - 1
            yield "max", (most if most is not None else 2**bits - 1) + 1
        case "list":
            if least:
                yield "min", value[: least - 1]
            if most is not None:
                yield "max", (value * (most + 1))[: most + 1]
        case _:
            pass


def cases() -> Iterator[Any]:
    seen = set()
    for kind, examples in specs.SPECS.items():
        shape = MODEL.operation_model(f"Create{kind.title}").input_shape.members["spec"]
        for spec in examples:
            for path, inner, value in walk(shape, spec):
                for what, wrong in beyond(inner, value):
                    place = ".".join("[]" if isinstance(each, int) else each for each in path)
                    if (kind, place, what) not in seen:
                        seen.add((kind, place, what))
                        yield pytest.param(kind, spec, path, wrong, id=f"{kind}-{place}-{what}")


@pytest.mark.parametrize(("kind", "spec", "path", "wrong"), list(cases()))
def test_a_value_beyond_the_model_is_refused_where_it_stands(
    kind: Kind, spec: Any, path: Path, wrong: Any
) -> None:
    sent = copy.deepcopy(spec)
    holder = sent
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = wrong
    expected = "spec"
    for step in path:
        expected += f"[{step}]" if isinstance(step, int) else f".{step}"

    with pytest.raises(Invalid) as caught:
        decode(kind, sent)

    assert [each.path for each in caught.value.problems if each.path.startswith(expected)]
