"""What follows from a request to make a stack: each resource's move, steps on the store, outputs, findings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from weft.manifests.cloudformation.parameters import Given, Parameter
from weft.manifests.cloudformation.reading import Finding
from weft.manifests.cloudformation.stack import StackOutput, StackResource
from weft.manifests.cloudformation.template import Template
from weft.store.change import Step


class Act(StrEnum):
    """What happens to one resource."""

    ADD = "Add"
    MODIFY = "Modify"
    REPLACE = "Replace"
    REMOVE = "Remove"
    RETAIN = "Retain"
    """It leaves the stack and stays in the mesh."""
    KEEP = "Keep"
    """It stays as it is."""


@dataclass(frozen=True, slots=True)
class Move:
    """One resource, before and after."""

    logical_id: str
    act: Act
    before: StackResource | None
    after: StackResource | None
    changed: tuple[str, ...] = ()
    """The properties that differ."""
    attributes: tuple[str, ...] = ()
    """The resource attributes that differ, such as DeletionPolicy."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a stack."""

    name: str
    template: Template = field(repr=False)
    parameters: Given = field(default_factory=dict, repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    """``LogicalId.Attribute`` → value, in the place of stand-ins."""
    refuse_foreign: bool = False
    adopt: bool = False
    """Take over App Mesh resources that stand and belong to no stack."""
    notification_arns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stack lives."""

    region: str
    account: str
    stack_id: str
    at: int
    partition: str = "aws"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that follows from a request; worth nothing where there are findings."""

    findings: tuple[Finding, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict, repr=False)
    moves: tuple[Move, ...] = ()
    steps: tuple[Step, ...] = ()
    outputs: tuple[StackOutput, ...] = ()
    imports: tuple[str, ...] = ()
    recorded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """The properties of what is recorded, by logical id."""

    @property
    def resources(self) -> dict[str, StackResource]:
        """The stack's resources afterwards."""
        return {each.logical_id: each.after for each in self.moves if each.after is not None}

    @property
    def changes(self) -> list[Move]:
        return [each for each in self.moves if each.act is not Act.KEEP]

    @property
    def owners(self) -> dict[str, str]:
        """Logical ids by the keys of their App Mesh resources."""
        return {
            resource.key: each.logical_id
            for each in self.moves
            for resource in (each.before, each.after)
            if resource is not None and resource.key
        }


def digest_of(value: Any) -> str:
    """Names a value: equal values have equal digests, and a stack remembers no more of them."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
