"""Stacks, resources, events and change sets as CloudFormation's answers show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from weft.manifests.cloudformation.happenings import RECORDED
from weft.manifests.cloudformation.parameters import as_text
from weft.manifests.cloudformation.plan import Act, Move
from weft.manifests.cloudformation.stack import STACK_TYPE, Event, Stack, StackResource
from weft.manifests.cloudformation.template import Template
from weft.store import document

Shape = dict[str, Any]
HIDDEN = "****"
_DRIFT = {"StackDriftStatus": "NOT_CHECKED"}
_RESOURCE_DRIFT = {"StackResourceDriftStatus": "NOT_CHECKED"}


def moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else document.moment(milliseconds)


def stack(found: Stack) -> Shape:
    return {
        "StackId": found.id,
        "StackName": found.name,
        "ChangeSetId": found.change_set_id or None,
        "Description": found.description or None,
        "Parameters": parameters(found.parameters, found.resolved, found.no_echo),
        "CreationTime": moment(found.created_at),
        "DeletionTime": moment(found.deleted_at),
        "LastUpdatedTime": moment(found.updated_at),
        "RollbackConfiguration": {},
        "StackStatus": found.status,
        "StackStatusReason": found.reason or None,
        "DisableRollback": found.rollback_disabled,
        "NotificationARNs": list(found.notification_arns),
        "Capabilities": list(found.capabilities),
        "Outputs": [
            {
                "OutputKey": each.key,
                "OutputValue": each.value,
                "Description": each.description or None,
                "ExportName": each.export or None,
            }
            for each in found.outputs
        ],
        "RoleARN": found.role_arn or None,
        "Tags": tags(found.tags),
        "EnableTerminationProtection": found.protected,
        "DriftInformation": _DRIFT,
    }


def parameters(
    values: Mapping[str, str], resolved: Mapping[str, str], no_echo: tuple[str, ...]
) -> list[Shape]:
    return [
        {
            "ParameterKey": name,
            "ParameterValue": HIDDEN if name in no_echo else value,
            "ResolvedValue": resolved.get(name),
        }
        for name, value in values.items()
    ]


def tags(found: Mapping[str, str]) -> list[Shape]:
    return [{"Key": key, "Value": value} for key, value in found.items()]


def summary(found: Stack) -> Shape:
    return {
        "StackId": found.id,
        "StackName": found.name,
        "TemplateDescription": found.description or None,
        "CreationTime": moment(found.created_at),
        "LastUpdatedTime": moment(found.updated_at),
        "DeletionTime": moment(found.deleted_at),
        "StackStatus": found.status,
        "StackStatusReason": found.reason or None,
        "DriftInformation": _DRIFT,
    }


def resource(of: Stack, found: StackResource, *, time: str) -> Shape:
    """``time`` is what the operation calls the time of the last change."""
    return {
        "StackName": of.name,
        "StackId": of.id,
        "LogicalResourceId": found.logical_id,
        "PhysicalResourceId": found.physical_id,
        "ResourceType": found.type,
        time: moment(found.at),
        "ResourceStatus": found.status,
        "ResourceStatusReason": RECORDED if found.recorded else None,
        "DriftInformation": _RESOURCE_DRIFT,
    }


def event(of: Stack, found: Event) -> Shape:
    happened = found.happened
    return {
        "StackId": of.id,
        "EventId": found.id,
        "StackName": of.name,
        "LogicalResourceId": happened.logical_id,
        "PhysicalResourceId": of.id if happened.type == STACK_TYPE else happened.physical_id,
        "ResourceType": happened.type,
        "Timestamp": moment(found.at),
        "ResourceStatus": happened.status,
        "ResourceStatusReason": happened.reason or None,
        "ClientRequestToken": found.token or None,
    }


def change(move: Move) -> Shape:
    before, after = move.before, move.after
    shown = after or before
    assert shown is not None, "a move is of a resource"
    found: Shape = {
        "Action": "Remove" if move.act in (Act.REMOVE, Act.RETAIN) else "Add",
        "LogicalResourceId": move.logical_id,
        "PhysicalResourceId": before.physical_id if before else None,
        "ResourceType": shown.type,
        "Scope": [],
        "Details": [],
    }
    if move.act is Act.RETAIN:
        found["PolicyAction"] = "Retain"
    if move.act in (Act.MODIFY, Act.REPLACE):
        replaced = move.act is Act.REPLACE
        found["Action"] = "Modify"
        found["Replacement"] = "True" if replaced else "False"
        properties = [name for name in move.changed if name != "Tags"]
        found["Scope"] = [
            *(["Properties"] if properties or not (move.changed or move.attributes) else []),
            *(["Tags"] if "Tags" in move.changed else []),
            *move.attributes,
        ]
        found["Details"] = [
            {
                "Target": {
                    "Attribute": "Properties",
                    "Name": name,
                    "RequiresRecreation": "Conditionally" if replaced else "Never",
                },
                "Evaluation": "Static",
                "ChangeSource": "DirectModification",
            }
            for name in properties
        ]
    return {"Type": "Resource", "ResourceChange": found}


def declared_parameters(template: Template, *, whole: bool) -> list[Shape]:
    """``whole`` adds the type and limits, as GetTemplateSummary has them."""
    found = []
    for name, each in template.parameters.items():
        default = each.get("Default")
        no_echo = each.get("NoEcho") in (True, "true", "True")
        shown: Shape = {
            "ParameterKey": name,
            "DefaultValue": None if default is None else HIDDEN if no_echo else as_text(default),
            "NoEcho": no_echo,
            "Description": each.get("Description"),
        }
        if whole:
            allowed = each.get("AllowedValues")
            shown["ParameterType"] = str(each.get("Type"))
            shown["ParameterConstraints"] = (
                {"AllowedValues": [as_text(value) for value in allowed]}
                if isinstance(allowed, list)
                else {}
            )
        found.append(shown)
    return found
