"""
How specs are built, for readers that translate other spellings of them.

Read off the model, so that a member that is added there is known here. A union
is an object of which any member may be given; the model says later how many.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from weft.model.codec import SPECS
from weft.model.schema import Model
from weft.names import Kind


@dataclass(frozen=True, slots=True)
class Text:
    """A text, a number, true or false: nothing below it."""


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    of: Shape


@dataclass(frozen=True, slots=True)
class Members:
    """An object."""

    members: Mapping[str, Shape]
    required: frozenset[str]

    @property
    def is_duration(self) -> bool:
        return set(self.members) == {"unit", "value"}


Shape = Text | Items | Members


@functools.cache
def shape_of(kind: Kind) -> Members:
    """The shape of a spec of this kind."""
    return _object((SPECS[kind],))


def _object(models: tuple[type[Model], ...]) -> Members:
    members: dict[str, Shape] = {}
    required = set()
    for model in models:
        for name, field in model.model_fields.items():
            spelt = field.alias or name
            members[spelt] = _shape(field.annotation)
            if field.is_required() and len(models) == 1:
                required.add(spelt)
    return Members(members, frozenset(required))


def _shape(annotation: Any) -> Shape:
    parts = list(_parts(annotation))
    models = tuple(each for each in parts if isinstance(each, type) and issubclass(each, Model))
    if models:
        return _object(models)
    for each in parts:
        if get_origin(each) is tuple:
            return Items(_shape(get_args(each)[0]))
    return Text()


def _parts(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type, without what only annotates them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for each in get_args(annotation):
            yield from _parts(each)
    else:
        yield annotation
