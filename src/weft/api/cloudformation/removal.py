"""The end of a stack: what goes with it, what stays, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from weft.api.cloudformation.refusals import ValidationError
from weft.manifests.cloudformation import happenings
from weft.manifests.cloudformation.cloudmap import CloudMap
from weft.manifests.cloudformation.reading import Finding
from weft.manifests.cloudformation.stack import (
    CHANGE_SETS,
    DELETED,
    EVENTS,
    GIVEN,
    MAX_DELETED,
    STACKS,
    Stack,
    StackResource,
    deleted_stacks,
    importers,
    remembered,
)
from weft.store.change import Delete, Keep, Step
from weft.store.state import MeshState

_MAX_DELETED_TEMPLATE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Removal:
    """All that deleting a stack takes."""

    gone: Stack
    """As it is remembered."""
    steps: tuple[Step, ...]
    owners: Mapping[str, str]
    """Logical ids by the keys of what goes."""
    findings: tuple[Finding, ...]
    """Why it cannot be."""
    going: tuple[StackResource, ...] = ()
    """What goes with it."""


def removal(state: MeshState, stack: Stack, retain: frozenset[str], at: int, token: str) -> Removal:
    """What deleting a stack means; ValidationError while another stack uses what it exports."""
    for each in stack.outputs:
        users = [user for user in importers(state, each.export) if user != stack.name]
        if each.export and users:
            raise ValidationError(
                f"Export {each.export} cannot be deleted as it is in use by {' and '.join(users)}"
            )
    kept = retain | {
        name
        for name, each in stack.resources.items()
        if each.deletion_policy in ("Retain", "RetainExceptOnCreate")
    }
    going = {name: each for name, each in stack.resources.items() if name not in kept}
    steps: list[Step] = []
    owners: dict[str, str] = {}
    for name, resource in going.items():
        key = resource.mesh_key
        if key is not None and state.resource(key) is not None:
            owners[resource.key] = name
            steps.append(Delete(key))
    findings: list[Finding] = []
    cloud_map = CloudMap(state, "", at)
    cloud_map.remove(going.values(), findings)
    gone = replace(stack, status="DELETE_COMPLETE", reason="", deleted_at=at)
    gone, remembering = remembered(gone, happenings.deleted(stack, kept), at, token, state)
    if len(gone.template) > _MAX_DELETED_TEMPLATE:
        gone = replace(gone, template="")
    gone = replace(gone, resources={}, outputs=(), imports=())
    forgetting = [
        Keep(STACKS, stack.name, None),
        Keep(GIVEN, stack.name, None),
        Keep(DELETED, gone.uuid, gone.to_document()),
        *(
            Keep(CHANGE_SETS, id, None)
            for id, each in state.collection(CHANGE_SETS).items()
            if each["stackId"] == stack.id
        ),
        *_oldest_forgotten(state),
    ]
    return Removal(
        gone,
        (*steps, *cloud_map.steps, *forgetting, *remembering),
        owners,
        tuple(findings),
        tuple(going.values()),
    )


def _oldest_forgotten(state: MeshState) -> list[Step]:
    found: list[Step] = []
    for stack in deleted_stacks(state)[MAX_DELETED - 1 :]:
        found.append(Keep(DELETED, stack.uuid, None))
        found += [
            Keep(EVENTS, name, None)
            for name in state.collection(EVENTS)
            if name.startswith(f"{stack.uuid}/")
        ]
    return found
