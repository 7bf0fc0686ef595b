"""What exporters work on, and what they make: resources in, files out; nothing is read or written here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from weft.errors import BadRequest
from weft.manifests.definition import NAMES, ORDER
from weft.names import DEFAULT_ACCOUNT, DEFAULT_REGION, Arn, Key


@dataclass(frozen=True, slots=True)
class Exported:
    """One resource as it stands."""

    key: Key
    spec: Mapping[str, Any] = field(repr=False)
    """As it was sent."""
    tags: tuple[tuple[str, str], ...] = ()
    region: str = DEFAULT_REGION
    account: str = DEFAULT_ACCOUNT

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Exported:
        """A resource of ``GET /weft/v1/resources``."""
        region, account = DEFAULT_REGION, DEFAULT_ACCOUNT
        try:
            arn = Arn.parse(str(answer.get("arn")))
        except BadRequest:
            pass
        else:
            region, account = arn.region, arn.account
        tags = tuple((str(each["key"]), str(each["value"])) for each in answer.get("tags") or ())
        return cls(Key.parse(answer["key"]), answer["spec"], tags, region, account)

    @property
    def names(self) -> dict[str, str]:
        """The members that name it in a create input."""
        values = (self.key.mesh, *filter(None, (self.key.parent_name,)), self.key.name)
        return dict(zip(NAMES[self.key.kind], values, strict=False))

    def arn(self, key: Key) -> str:
        """Of another resource beside it."""
        return str(Arn(self.region, self.account, key))


@dataclass(frozen=True, slots=True)
class File:
    """What is to be written."""

    name: str
    """Where there is a directory to put it in."""
    text: str = field(repr=False)


def in_order(resources: Iterable[Exported]) -> list[Exported]:
    """By kind, each after those it may need, and by name."""
    return sorted(resources, key=lambda each: (ORDER.index(each.key.kind), each.key))


class Names:
    """
    Names that fit another system's rules, no two alike where case does not count.

    A name that fits stays; another gets a mark of its own, so that it is the same
    whatever else there is.
    """

    def __init__(self, fitting: str, allowed: str, longest: int) -> None:
        self._fitting = re.compile(fitting)
        self._strange = re.compile(f"[^{allowed}]+")
        self._longest = longest
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, text: str) -> str:
        """The name for this text."""
        if text in self._given:
            return self._given[text]
        name = text
        fits = self._fitting.fullmatch(text) and len(text) <= self._longest
        if not fits or name.lower() in self._taken:
            mark = hashlib.sha256(text.encode()).hexdigest()[:8]
            kept = self._strange.sub("-", text.lower())[: self._longest - 9].strip("-._") or "x"
            name = f"{kept}-{mark}"
        self._given[text] = name
        self._taken.add(name.lower())
        return name
