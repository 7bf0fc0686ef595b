"""What all of the IR is made of: frozen values that are compared, hashed and shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """
    Make a class a frozen dataclass that computes its hash once.

    The IR is the key of everything that is memoised after it. A route
    configuration is a deep tree, and a thousand proxies may share it: without a
    remembered hash each of them would walk the tree again.
    """
    made = dataclass(frozen=True)(cls)
    compute = made.__hash__

    def remembered(self: object) -> int:
        known: int | None = self.__dict__.get("_hash")
        if known is None:
            known = compute(self)
            self.__dict__["_hash"] = known
        return known

    made.__hash__ = remembered  # type: ignore[method-assign]  # object's own takes any self
    return made
