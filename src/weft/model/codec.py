"""JSON to model and back; every problem at once, with the operator's own path to it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from weft.errors import Invalid, Problem
from weft.model.mesh import MeshSpec
from weft.model.meta import Spec
from weft.model.schema import UNION_TAG, Model
from weft.model.virtual_gateway import GatewayRouteSpec, VirtualGatewaySpec
from weft.model.virtual_node import VirtualNodeSpec
from weft.model.virtual_router import RouteSpec, VirtualRouterSpec
from weft.model.virtual_service import VirtualServiceSpec
from weft.names import Kind

SPECS: Mapping[Kind, type[Model]] = {
    Kind.MESH: MeshSpec,
    Kind.VIRTUAL_NODE: VirtualNodeSpec,
    Kind.VIRTUAL_SERVICE: VirtualServiceSpec,
    Kind.VIRTUAL_ROUTER: VirtualRouterSpec,
    Kind.ROUTE: RouteSpec,
    Kind.VIRTUAL_GATEWAY: VirtualGatewaySpec,
    Kind.GATEWAY_ROUTE: GatewayRouteSpec,
}

T = TypeVar("T")


def decode(kind: Kind, sent: Any, *, at: str = "spec") -> Spec:
    """A spec of this kind, or Invalid with every problem found and its place below ``at``."""
    return cast(Spec, decode_as(SPECS[kind], sent, at=at))


def decode_as(model: type[T], sent: Any, *, at: str = "") -> T:
    """Any model, or Invalid with every problem found and its place below ``at``."""
    try:
        return cast(T, _adapter(cast(Hashable, model)).validate_python(sent))
    except ValidationError as error:
        raise Invalid(sorted(set(problems(error, at)))) from None


@cache
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def problems(error: ValidationError, at: str) -> Iterator[Problem]:
    """Pydantic's findings in the operator's words."""
    details = error.errors(include_url=False)
    places = [detail["loc"] for detail in details]
    for detail in details:
        loc = detail["loc"]
        if detail["type"] == "too_short" and any(
            len(place) > len(loc) and place[: len(loc)] == loc for place in places
        ):
            continue  # The list is only short because its items are wrong.
        yield Problem(path_of(loc, at), _message(detail))


def path_of(loc: tuple[str | int, ...], at: str) -> str:
    """``spec.httpRoute.action.weightedTargets[1].weight``."""
    path = at
    for step in loc:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.startswith(UNION_TAG):
            path += f".{step}" if path else step
    return path


def without_nulls(sent: T) -> T:
    """The same JSON less members that are null: to App Mesh's clients both mean "not given"."""
    if isinstance(sent, dict):
        return cast(T, {name: without_nulls(v) for name, v in sent.items() if v is not None})
    if isinstance(sent, list):
        return cast(T, [without_nulls(item) for item in sent])
    return sent


_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "a string",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "float_type": "a number",
}
_LIMITS = {
    "greater_than_equal": ("ge", "must be at least {limit}, not {given}"),
    "less_than_equal": ("le", "must be at most {limit}, not {given}"),
    "string_too_short": ("min_length", "must have at least {limit} character(s)"),
    "string_too_long": ("max_length", "must have at most {limit} characters, not {length}"),
    "too_short": ("min_length", "must have at least {limit} item(s)"),
    "too_long": ("max_length", "must have at most {limit} items"),
    "string_pattern_mismatch": ("pattern", "must match {limit}"),
}


def _message(detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx") or {}
    if kind == "missing":
        return "is missing"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, not {_shown(value)}"
    if kind in _LIMITS:
        name, template = _LIMITS[kind]
        length = len(value) if isinstance(value, str | list | tuple) else 0
        return template.format(limit=context.get(name), given=_shown(value), length=length)
    if kind == "literal_error":
        return f"must be {context.get('expected')}, not {_shown(value)}"
    return str(context.get("message", detail["msg"]))


def _shown(value: Any) -> str:
    match value:
        case dict():
            return "an object"
        case list() | tuple():
            return "a list"
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str() if len(value) > 40:
            return f"{value[:40]!r}…"
        case _:
            return repr(value)
