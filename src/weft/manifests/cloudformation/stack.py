"""A stack as it is remembered: one JSON document, and a list of what happened in each operation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, overload

from weft.names import Key
from weft.store.change import Keep, Step
from weft.store.state import MeshState

STACKS = "cloudformation/stacks"
"""By name: the stacks that there are."""
DELETED = "cloudformation/deleted"
"""By id: the newest of those that there were."""
EVENTS = "cloudformation/events"
"""By ``UUID/NUMBER``: what happened in one operation."""
CHANGE_SETS = "cloudformation/changesets"
"""By ``UUID``: what a stack may become."""
GIVEN = "cloudformation/values"
"""By stack name: values that an operator gave in the place of stand-ins."""

MAX_DELETED = 100
MAX_OPERATIONS = 50
MAX_CHANGE_SETS = 50
"""Of a stack."""


@dataclass(frozen=True, slots=True)
class StackResource:
    """One resource of a stack that stands."""

    logical_id: str
    type: str
    physical_id: str
    status: str
    at: int
    """When it was last written, in milliseconds."""
    digest: str = ""
    """Of all its properties."""
    digests: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of each property."""
    key: str = ""
    """Of a resource of App Mesh."""
    documents: tuple[tuple[str, str], ...] = ()
    """Collection and name of what stands for it in the store, of another surface."""
    recorded: bool = False
    """Recorded, not created."""
    named: bool = False
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "physicalId": self.physical_id,
            "status": self.status,
            "at": self.at,
            "digest": self.digest,
            "digests": dict(self.digests),
            "key": self.key,
            "documents": [list(each) for each in self.documents],
            "recorded": self.recorded,
            "named": self.named,
            "deletionPolicy": self.deletion_policy,
            "updateReplacePolicy": self.update_replace_policy,
        }

    @classmethod
    def of(cls, logical_id: str, document: Mapping[str, Any]) -> StackResource:
        return cls(
            logical_id,
            document["type"],
            document["physicalId"],
            document["status"],
            document["at"],
            document["digest"],
            document["digests"],
            document["key"],
            tuple((str(c), str(n)) for c, n in document["documents"]),
            document["recorded"],
            document["named"],
            document["deletionPolicy"],
            document["updateReplacePolicy"],
        )

    @property
    def mesh_key(self) -> Key | None:
        return Key.parse(self.key) if self.key else None


@dataclass(frozen=True, slots=True)
class StackOutput:
    key: str
    value: str
    description: str = ""
    export: str = ""

    def to_document(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "value": self.value,
            "description": self.description,
            "export": self.export,
        }


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack, whatever state it is in."""

    name: str
    id: str
    """Its ARN."""
    status: str
    created_at: int
    reason: str = ""
    updated_at: int | None = None
    deleted_at: int | None = None
    description: str = ""
    template: str = field(default="", repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    resolved: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What stands in for values of AWS's parameter store."""
    no_echo: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    notification_arns: tuple[str, ...] = ()
    role_arn: str = ""
    protected: bool = False
    rollback_disabled: bool = False
    outputs: tuple[StackOutput, ...] = ()
    imports: tuple[str, ...] = ()
    resources: Mapping[str, StackResource] = field(default_factory=dict, repr=False)
    operations: int = 0
    """How many there have been."""
    change_set_id: str = ""

    @property
    def uuid(self) -> str:
        return self.id.rpartition("/")[2]

    @property
    def in_place(self) -> bool:
        """Whether it has been made, so that it can be updated."""
        return self.status not in ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "CREATE_FAILED")

    def to_document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "id": self.id,
            "status": self.status,
            "reason": self.reason,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "deletedAt": self.deleted_at,
            "description": self.description,
            "template": self.template,
            "parameters": dict(self.parameters),
            "resolved": dict(self.resolved),
            "noEcho": list(self.no_echo),
            "tags": dict(self.tags),
            "capabilities": list(self.capabilities),
            "notificationArns": list(self.notification_arns),
            "roleArn": self.role_arn,
            "protected": self.protected,
            "rollbackDisabled": self.rollback_disabled,
            "outputs": [each.to_document() for each in self.outputs],
            "imports": list(self.imports),
            "resources": {name: each.to_document() for name, each in self.resources.items()},
            "operations": self.operations,
            "changeSetId": self.change_set_id,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Stack:
        return cls(
            document["name"],
            document["id"],
            document["status"],
            document["createdAt"],
            document["reason"],
            document["updatedAt"],
            document["deletedAt"],
            document["description"],
            document["template"],
            document["parameters"],
            document["resolved"],
            tuple(document["noEcho"]),
            document["tags"],
            tuple(document["capabilities"]),
            tuple(document["notificationArns"]),
            document["roleArn"],
            document["protected"],
            document["rollbackDisabled"],
            tuple(StackOutput(**each) for each in document["outputs"]),
            tuple(document["imports"]),
            {name: StackResource.of(name, each) for name, each in document["resources"].items()},
            document["operations"],
            document["changeSetId"],
        )


# --- events ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of an operation."""

    logical_id: str
    type: str
    physical_id: str
    status: str
    reason: str = ""


STACK_TYPE = "AWS::CloudFormation::Stack"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a stack, with its place in time."""

    id: str
    at: int
    token: str
    """The client's, of the operation it belongs to."""
    happened: Happened


class Events(Sequence[Event]):
    """Every event of a stack, newest first; made when it is looked at, for there may be many."""

    def __init__(self, state: MeshState, uuid: str) -> None:
        documents = state.collection(EVENTS)
        names = sorted((name for name in documents if name.startswith(f"{uuid}/")), reverse=True)
        self._operations = [(name.rpartition("/")[2], documents[name]) for name in names]
        counts = (len(document["rows"]) for _, document in self._operations)
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Event: ...

    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...

    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = bisect_right(self._ends, index)
        number, document = self._operations[place]
        row = self._ends[place] - 1 - index
        happened = Happened(*document["rows"][row])
        id = f"{happened.logical_id}-{happened.status}-{number}-{row:06}"
        # A millisecond apart, so that sorting by time keeps the order.
        return Event(id, document["at"] + min(row, 999), document["token"], happened)


def remembered(
    stack: Stack, happened: list[Happened], at: int, token: str, state: MeshState
) -> tuple[Stack, list[Step]]:
    """The stack after one more operation, and the steps that remember what happened in it."""
    stack = replace(stack, operations=stack.operations + 1)
    name = f"{stack.uuid}/{stack.operations:06}"
    rows = [[e.logical_id, e.type, e.physical_id, e.status, e.reason] for e in happened]
    steps: list[Step] = [Keep(EVENTS, name, {"at": at, "token": token, "rows": rows})]
    old = f"{stack.uuid}/{stack.operations - MAX_OPERATIONS:06}"
    if state.document(EVENTS, old) is not None:
        steps.append(Keep(EVENTS, old, None))
    return stack, steps


# --- reading -----------------------------------------------------------------------------


def stacks(state: MeshState) -> list[Stack]:
    """Every stack that there is, the newest first."""
    found = [Stack.of(each) for each in state.collection(STACKS).values()]
    return sorted(found, key=lambda each: (-each.created_at, each.name))


def stack_named(state: MeshState, name: str) -> Stack | None:
    """A stack by name or id; one that was deleted by its id only."""
    if name.startswith("arn:"):
        document = state.document(STACKS, name.split("/")[1] if "/" in name else "")
        if document is not None and document["id"] == name:
            return Stack.of(document)
        document = state.document(DELETED, name.rpartition("/")[2])
        return Stack.of(document) if document is not None and document["id"] == name else None
    document = state.document(STACKS, name)
    return None if document is None else Stack.of(document)


def deleted_stacks(state: MeshState) -> list[Stack]:
    found = [Stack.of(each) for each in state.collection(DELETED).values()]
    return sorted(found, key=lambda each: -(each.deleted_at or 0))


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    value: str
    stack_name: str
    stack_id: str


def exports(state: MeshState) -> dict[str, Export]:
    """Every export of every stack, by name."""
    found = {}
    for document in state.collection(STACKS).values():
        for each in document["outputs"]:
            if each["export"]:
                found[each["export"]] = Export(
                    each["export"], each["value"], document["name"], document["id"]
                )
    return dict(sorted(found.items()))


def importers(state: MeshState, export: str) -> list[str]:
    """Names of the stacks that use an export."""
    return sorted(
        document["name"]
        for document in state.collection(STACKS).values()
        if export in document["imports"]
    )


def given_values(state: MeshState, name: str) -> Mapping[str, str]:
    document = state.document(GIVEN, name)
    return {} if document is None else document["values"]
