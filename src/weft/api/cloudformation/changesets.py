"""Change sets: what a stack may become, kept until it is executed or thrown away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weft.api.cloudformation import shapes
from weft.api.cloudformation.refusals import ChangeSetNotFound, ValidationError
from weft.manifests.cloudformation.stack import CHANGE_SETS, Stack, stack_named
from weft.store.state import MeshState


@dataclass(frozen=True, slots=True)
class ChangeSet:
    name: str
    id: str
    """Its ARN."""
    stack_name: str
    stack_id: str
    type: str
    """CREATE or UPDATE."""
    status: str
    execution: str
    """AVAILABLE, UNAVAILABLE or EXECUTE_COMPLETE."""
    at: int
    reason: str = ""
    description: str = ""
    template: str = field(default="", repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    resolved: Mapping[str, str] = field(default_factory=dict, repr=False)
    no_echo: tuple[str, ...] = ()
    tags: Mapping[str, str] | None = None
    capabilities: tuple[str, ...] = ()
    notification_arns: tuple[str, ...] | None = None
    role_arn: str = ""
    rollback_disabled: bool = False
    on_failure: str = ""
    token: str = ""
    changes: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    """As they are answered."""

    @property
    def uuid(self) -> str:
        return self.id.rpartition("/")[2]

    def to_document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "id": self.id,
            "stackName": self.stack_name,
            "stackId": self.stack_id,
            "type": self.type,
            "status": self.status,
            "execution": self.execution,
            "at": self.at,
            "reason": self.reason,
            "description": self.description,
            "template": self.template,
            "parameters": dict(self.parameters),
            "resolved": dict(self.resolved),
            "noEcho": list(self.no_echo),
            "tags": None if self.tags is None else dict(self.tags),
            "capabilities": list(self.capabilities),
            "notificationArns": (
                None if self.notification_arns is None else list(self.notification_arns)
            ),
            "roleArn": self.role_arn,
            "rollbackDisabled": self.rollback_disabled,
            "onFailure": self.on_failure,
            "token": self.token,
            "changes": list(self.changes),
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ChangeSet:
        arns = document["notificationArns"]
        return cls(
            document["name"],
            document["id"],
            document["stackName"],
            document["stackId"],
            document["type"],
            document["status"],
            document["execution"],
            document["at"],
            document["reason"],
            document["description"],
            document["template"],
            document["parameters"],
            document["resolved"],
            tuple(document["noEcho"]),
            document["tags"],
            tuple(document["capabilities"]),
            None if arns is None else tuple(arns),
            document["roleArn"],
            document["rollbackDisabled"],
            document["onFailure"],
            document["token"],
            tuple(document["changes"]),
        )

    def summary(self) -> dict[str, Any]:
        return {
            "StackId": self.stack_id,
            "StackName": self.stack_name,
            "ChangeSetId": self.id,
            "ChangeSetName": self.name,
            "ExecutionStatus": self.execution,
            "Status": self.status,
            "StatusReason": self.reason or None,
            "CreationTime": shapes.moment(self.at),
            "Description": self.description or None,
            "IncludeNestedStacks": False,
        }

    def described(self) -> dict[str, Any]:
        return {
            **self.summary(),
            "Parameters": shapes.parameters(self.parameters, self.resolved, self.no_echo),
            "NotificationARNs": list(self.notification_arns or ()),
            "RollbackConfiguration": {},
            "Capabilities": list(self.capabilities),
            "Tags": shapes.tags(self.tags or {}),
            "OnStackFailure": self.on_failure or None,
        }


def of_stack(state: MeshState, stack: Stack) -> list[ChangeSet]:
    """The change sets of a stack, the newest first."""
    found = [
        ChangeSet.of(each)
        for each in state.collection(CHANGE_SETS).values()
        if each["stackId"] == stack.id
    ]
    return sorted(found, key=lambda each: (-each.at, each.name))


def named(state: MeshState, name: str, stack_name: str) -> ChangeSet:
    """By its ARN, or by name and stack."""
    if name.startswith("arn:"):
        document = state.document(CHANGE_SETS, name.rpartition("/")[2])
        if document is not None and document["id"] == name:
            return ChangeSet.of(document)
        raise ChangeSetNotFound(f"ChangeSet [{name}] does not exist")
    if not stack_name:
        raise ValidationError(
            "StackName must be specified if ChangeSetName is not specified as an ARN."
        )
    stack = stack_named(state, stack_name)
    if stack is None:
        raise ChangeSetNotFound(f"ChangeSet [{name}] does not exist")
    for each in of_stack(state, stack):
        if each.name == name:
            return each
    raise ChangeSetNotFound(f"ChangeSet [{name}] does not exist")
