"""What a check is, and what it finds: one code, one cause, one fix."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from weft.names import Key, ProxyId


class Severity(StrEnum):
    """How bad a finding is, the worst first."""

    ERROR = "error"
    """Requests fail, or something asked for is not in force."""
    WARNING = "warning"
    """It works, and not as it reads; or it will fail when something else happens."""
    INFO = "info"
    """Worth knowing; often meant so."""


class Area(StrEnum):
    """Where to look."""

    CONTROL_PLANE = "control plane"
    DATA_PLANE = "data plane"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class Found:
    """One place at which a check finds something."""

    about: Key | ProxyId | str
    """A string: the ARN of a certificate or authority."""
    path: str
    """Where in its definition, as in ``spec.backends[0]``; empty for all of it."""
    message: str
    """What is so here, in one sentence."""
    fix: str = ""
    """What to do here, where that says more than the check's own fix."""


S_contra = TypeVar("S_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Check(Generic[S_contra]):
    """An entry of the catalogue. A code never changes its meaning and is never used again."""

    code: str
    title: str
    severity: Severity
    cause: str
    """Why it matters: what happens to requests."""
    fix: str
    find: Callable[[S_contra], Iterable[Found]]
    """Everything of this sort in a mesh, or among the proxies."""
    area: Area = Area.CONFIGURATION


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, with all that an operator is told of it."""

    code: str
    title: str
    severity: Severity
    area: Area
    key: str
    """The resource or proxy it is about."""
    path: str
    message: str
    cause: str
    fix: str

    @classmethod
    def of(cls, check: Check[Any], found: Found) -> Finding:
        return cls(
            check.code,
            check.title,
            check.severity,
            check.area,
            str(found.about),
            found.path,
            found.message,
            check.cause,
            found.fix or check.fix,
        )

    @property
    def order(self) -> tuple[int, int, str, str, str, str]:
        """Sort key: by area, the worst first, then by code and place."""
        return (
            list(Area).index(self.area),
            list(Severity).index(self.severity),
            self.code,
            self.key,
            self.path,
            self.message,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "title": self.title,
            "severity": self.severity.value,
            "area": self.area.value,
            "key": self.key,
            "path": self.path,
            "message": self.message,
            "cause": self.cause,
            "fix": self.fix,
        }
