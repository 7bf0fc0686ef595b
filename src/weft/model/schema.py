"""
How a spec is written down: the base of all spec models, and "exactly one of".

Every problem is found in one pass: the shape by pydantic, the rules between
members by ``problems``, which sees the JSON as it was sent, so that a rule is
still checked when another member of the same object is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

Found = tuple[tuple[str | int, ...], str]
"""One broken rule: where below this object, and what is wrong there."""

MAX_PROBLEMS = 100
"""Of one object with all that is in it: a wrong file may have a hundred thousand."""

UNION_TAG = "@"
"""Marks the parts of a pydantic location that are a union's choice and not a member name."""


class Model(BaseModel):
    """An object of a spec: camelCase members, nothing unknown, nothing coerced, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, populate_by_name=True
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Found]:
        """The rules between this object's members; ``raw`` may be of any shape."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _every_problem(cls, data: Any, handler: Any) -> Any:
        value = None
        found: list[InitErrorDetails] = []
        try:
            value = handler(data)
        except ValidationError as error:
            for e in error.errors(include_url=False)[:MAX_PROBLEMS]:
                message = e["msg"]
                if e["type"] == "extra_forbidden" and len(e["loc"]) == 1:
                    message = cls._unknown(str(e["loc"][0]))
                found.append(
                    InitErrorDetails(
                        type=_custom(e["type"], message, e.get("ctx")),
                        loc=e["loc"],
                        input=e["input"],
                    )
                )
        if isinstance(data, Mapping):
            found += [
                InitErrorDetails(type=_custom("rule", message), loc=loc, input=None)
                for loc, message in cls.problems(data)
            ]
        if found:
            raise ValidationError.from_exception_data(cls.__name__, found[:MAX_PROBLEMS])
        return value

    @classmethod
    def _unknown(cls, member: str) -> str:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        near = get_close_matches(member, known, n=1)
        return f"unknown member (did you mean {near[0]!r}?)" if near else "unknown member"


def _custom(kind: str, message: str, context: dict[str, Any] | None = None) -> PydanticCustomError:
    # Braces in a template are placeholders to pydantic; the message is the operator's.
    return PydanticCustomError(kind, "{message}", {"message": message, **(context or {})})


class OneOf:
    """
    A union written as an object with exactly one member: ``{"virtualNode": {…}}``.

    Annotates a union of models with one field each; the field's name is the choice.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        variants: dict[str, CoreSchema] = {}
        for variant in get_args(source):
            ((name, field),) = variant.model_fields.items()
            variants[field.alias or name] = handler.generate_schema(variant)

        def check(value: Any, choose: core_schema.ValidatorFunctionWrapHandler) -> Any:
            if isinstance(value, get_args(source)):
                return value
            chosen = (
                [name for name in value if name in variants] if isinstance(value, Mapping) else []
            )
            if len(chosen) == 1:
                return choose(value)
            raise _custom("one_of", _one_of_message(value, list(variants), chosen))

        return core_schema.no_info_wrap_validator_function(
            check,
            core_schema.tagged_union_schema(
                {UNION_TAG + name: schema for name, schema in variants.items()},
                discriminator=lambda value: next(
                    UNION_TAG + name for name in variants if name in value
                ),
            ),
        )


def _one_of_message(value: Any, names: list[str], chosen: list[str]) -> str:
    wanted = f"must have exactly one of {', '.join(names)}"
    if not isinstance(value, Mapping):
        return f"must be an object; it {wanted}"
    if chosen:
        return f"{wanted}, not {' and '.join(chosen)}"
    if unknown := [str(name) for name in value]:
        return f"{wanted}, not {', '.join(map(repr, unknown))}"
    return wanted


T = TypeVar("T")
Items = Annotated[tuple[T, ...], Field(strict=False)]
"""A JSON list; strictness goes on inside."""

Long = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""The service model's numbers are those of Java: a ``long``…"""
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""…and an ``integer``."""
Port = Annotated[int, Field(ge=1, le=65535)]
ResourceName = Annotated[str, Field(min_length=1, max_length=255)]
ServiceName = Annotated[str, Field(min_length=1)]


def at(raw: Any, *path: str | int) -> Any:
    """What stands at a place in JSON of any shape; None where the place does not exist."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(raw, list | tuple) or step >= len(raw):
                return None
            raw = raw[step]
        elif isinstance(raw, Mapping):
            raw = raw.get(step)
        else:
            return None
    return raw


def items(raw: Any, *path: str | int) -> list[Any]:
    """The list that stands at a place; empty where there is none."""
    found = at(raw, *path)
    return list(found) if isinstance(found, list | tuple) else []


def given(raw: Any, names: Iterable[str]) -> list[str]:
    """Which of these members an object has."""
    return [name for name in names if at(raw, name) is not None]


def exactly_one(raw: Any, names: tuple[str, ...], what: str) -> Iterator[Found]:
    """A rule: one of these members and no more."""
    have = given(raw, names)
    if len(have) != 1:
        got = f"not {' and '.join(have)}" if have else "and has none"
        yield (), f"{what} must have exactly one of {', '.join(names)}, {got}"


def at_most_one(raw: Any, names: tuple[str, ...], what: str) -> Iterator[Found]:
    """A rule: these members exclude each other."""
    have = given(raw, names)
    if len(have) > 1:
        yield (), f"{what} may have only one of {', '.join(names)}, not {' and '.join(have)}"


def duplicates(values: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Index and value of every value that an earlier one equals."""
    seen: set[Any] = set()
    for i, value in enumerate(values):
        if value is None:
            continue
        # What cannot be looked up is no number or name, and is refused for that.
        known = value if isinstance(value, str | int) else repr(value)
        if known in seen:
            yield i, value
        seen.add(known)
