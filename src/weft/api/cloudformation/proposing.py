"""Operations on change sets: create, describe, execute, delete, list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weft.api.cloudformation import inputs, shapes
from weft.api.cloudformation.changesets import ChangeSet, named, of_stack
from weft.api.cloudformation.engine import Planned, Stacks, Wanted
from weft.api.cloudformation.reading import malformed, template_of
from weft.api.cloudformation.refusals import (
    AlreadyExists,
    InvalidChangeSetStatus,
    LimitExceeded,
    ValidationError,
    no_stack,
)
from weft.api.cloudformation.writing import acknowledged, template_for, wanted_of
from weft.api.exchange import Call
from weft.api.surfaces import Operation, Reply
from weft.errors import Invalid
from weft.manifests.cloudformation.reading import Finding, problem_of, refuse
from weft.manifests.cloudformation.stack import (
    CHANGE_SETS,
    MAX_CHANGE_SETS,
    STACK_TYPE,
    STACKS,
    Happened,
    Stack,
    remembered,
    stack_named,
)
from weft.store.change import Keep, Step

Members = dict[str, Any]
NOTHING_CHANGES = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)


class Proposing:
    def __init__(self, engine: Stacks) -> None:
        self._engine = engine

    def operations(self) -> Mapping[str, Operation]:
        return {
            "CreateChangeSet": self.create,
            "DeleteChangeSet": self.delete,
            "DescribeChangeSet": self.describe,
            "ExecuteChangeSet": self.execute,
            "ListChangeSets": self.list_change_sets,
        }

    async def create(self, call: Call, members: Members) -> Reply:
        name = inputs.stack_name(members)
        own_name = inputs.needed(members, "ChangeSetName")
        if not re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", own_name):
            raise ValidationError(
                "ChangeSetName must begin with a letter and have 1 to 128 letters, digits, hyphens"
            )
        kind = inputs.text(members, "ChangeSetType") or "UPDATE"
        if kind not in ("CREATE", "UPDATE"):
            raise ValidationError(f"ChangeSetType must be CREATE or UPDATE here, not {kind[:40]}")
        async with self._engine.turn:
            stack, steps = self._stack(name, kind)
            others = of_stack(self._engine.state, stack)
            if existing := next((each for each in others if each.name == own_name), None):
                token = inputs.token(members, "ClientToken")
                if token and token == existing.token:
                    return Reply({"Id": existing.id, "StackId": existing.stack_id})
                raise AlreadyExists(
                    f"ChangeSet {own_name} cannot be created due to a mismatch "
                    "with existing attribute Name: it exists already"
                )
            if len(others) >= MAX_CHANGE_SETS:
                raise LimitExceeded(
                    f"Stack {stack.name} has {len(others)} change sets, which is the limit"
                )
            if kind == "CREATE":
                body = inputs.template_body(members)
                if body is None:
                    raise ValidationError("Either Template URL or Template Body must be specified.")
                template = template_of(body)
            else:
                template = template_for(members, stack)
            wanted = wanted_of(members, stack.name, template)
            acknowledged(template, wanted.capabilities or ())
            try:
                planned = await self._engine.planned(wanted, stack_id=stack.id)
                refuse(template.document, planned.early)
            except Invalid as error:
                raise malformed(error) from None
            made = self._made(own_name, kind, stack, wanted, planned, members)
            keep = Keep(CHANGE_SETS, made.uuid, made.to_document())
            revision = await self._engine.keep(
                [*steps, keep], call.author, note=f"change set {own_name} of stack {stack.name}"
            )
        return Reply({"Id": made.id, "StackId": stack.id}, revision)

    def _stack(self, name: str, kind: str) -> tuple[Stack, list[Step]]:
        """The stack of a change set; for one that creates it, in review."""
        existing = stack_named(self._engine.state, name)
        if existing is not None and existing.deleted_at is not None:
            existing = None
        if kind == "UPDATE":
            if existing is None:
                raise ValidationError(f"Stack [{name}] does not exist")
            if not existing.in_place:
                raise ValidationError(
                    f"Stack:{existing.id} is in {existing.status} state and can not be updated."
                )
            return existing, []
        if existing is not None and existing.status != "REVIEW_IN_PROGRESS":
            raise ValidationError(
                f"Stack [{name}] already exists and cannot be created again with the changeSet"
            )
        if existing is not None:
            return existing, []
        if name.startswith("arn:"):
            raise no_stack(name)
        at = self._engine.now()
        stack = Stack(name, self._engine.new_stack_id(name), "REVIEW_IN_PROGRESS", at)
        stack = replace(stack, reason="User Initiated")
        happened = Happened(name, STACK_TYPE, stack.id, "REVIEW_IN_PROGRESS", "User Initiated")
        stack, steps = remembered(stack, [happened], at, "", self._engine.state)
        return stack, [Keep(STACKS, name, stack.to_document()), *steps]

    def _made(
        self,
        own_name: str,
        kind: str,
        stack: Stack,
        wanted: Wanted,
        planned: Planned,
        members: Members,
    ) -> ChangeSet:
        engine = self._engine
        status, execution, reason = "CREATE_COMPLETE", "AVAILABLE", ""
        if planned.late:
            status, execution = "FAILED", "UNAVAILABLE"
            reason = _reasons(planned, planned.late)
        elif not planned.changed:
            status, execution, reason = "FAILED", "UNAVAILABLE", NOTHING_CHANGES
        values = planned.plan.parameters
        return ChangeSet(
            own_name,
            f"arn:aws:cloudformation:{engine.region}:{engine.account}:changeSet/"
            f"{own_name}/{engine.uid()}",
            stack.name,
            stack.id,
            kind,
            status,
            execution,
            engine.now(),
            reason,
            inputs.text(members, "Description"),
            wanted.template.text,
            {name: each.text for name, each in values.items()},
            {
                name: ",".join(each.value) if isinstance(each.value, list) else each.value
                for name, each in values.items()
                if each.from_ssm
            },
            tuple(name for name, each in values.items() if each.no_echo),
            wanted.tags,
            wanted.capabilities or (),
            wanted.notification_arns,
            wanted.role_arn or "",
            inputs.text(members, "OnStackFailure") == "DO_NOTHING",
            inputs.text(members, "OnStackFailure"),
            inputs.token(members, "ClientToken"),
            tuple(shapes.change(each) for each in planned.plan.changes),
        )

    async def describe(self, _call: Call, members: Members) -> Reply:
        found = self._named(members)
        chosen, token = inputs.page(found.changes, members)
        return Reply({**found.described(), "Changes": list(chosen), "NextToken": token})

    async def list_change_sets(self, _call: Call, members: Members) -> Reply:
        name = inputs.stack_name(members)
        stack = stack_named(self._engine.state, name)
        if stack is None:
            raise ValidationError(f"Stack [{name}] does not exist")
        chosen, token = inputs.page(of_stack(self._engine.state, stack), members)
        return Reply({"Summaries": [each.summary() for each in chosen], "NextToken": token})

    async def delete(self, call: Call, members: Members) -> Reply:
        async with self._engine.turn:
            found = self._named(members)
            steps: list[Step] = [Keep(CHANGE_SETS, found.uuid, None)]
            revision = await self._engine.keep(
                steps, call.author, note=f"delete change set {found.name}"
            )
        return Reply({}, revision)

    async def execute(self, call: Call, members: Members) -> Reply:
        token = inputs.token(members)
        async with self._engine.turn:
            found = self._named(members)
            if found.execution != "AVAILABLE":
                raise InvalidChangeSetStatus(
                    f"ChangeSet [{found.id}] cannot be executed in its current status of "
                    f"[{found.status}] and execution status [{found.execution}]"
                )
            stack = stack_named(self._engine.state, found.stack_name)
            if stack is None or stack.id != found.stack_id:
                raise no_stack(found.stack_name)
            wanted = Wanted(
                found.stack_name,
                template_of(found.template),
                found.parameters,
                found.tags,
                found.capabilities,
                found.notification_arns,
                found.role_arn or None,
                rollback_disabled=(
                    found.rollback_disabled or inputs.flag(members, "DisableRollback")
                ),
                token=token,
                change_set_id=found.id,
            )
            try:
                planned = await self._engine.planned(wanted, stack_id=stack.id)
                written = await self._engine.write(
                    planned,
                    call.author,
                    note=f"execute change set {found.name} of stack {stack.name}",
                    also=self._executed(found, stack, "EXECUTE_COMPLETE"),
                    on_failure=self._executed(found, stack, "EXECUTE_FAILED"),
                )
            except Invalid as error:
                raise malformed(error) from None
            revision = written.revision
            if written.failed and found.on_failure == "DELETE" and found.type == "CREATE":
                _, revision = await self._engine.delete(
                    written.stack, call.author, note=f"stack {stack.name}: taken back"
                )
        return Reply({}, revision)

    def _executed(self, found: ChangeSet, stack: Stack, execution: str) -> list[Step]:
        """The change set as it stays; the others were about a stack that is no more."""
        done = replace(found, execution=execution)
        return [
            *(
                Keep(CHANGE_SETS, each.uuid, None)
                for each in of_stack(self._engine.state, stack)
                if each.id != found.id
            ),
            Keep(CHANGE_SETS, done.uuid, done.to_document()),
        ]

    def _named(self, members: Members) -> ChangeSet:
        name = inputs.needed(members, "ChangeSetName")
        return named(self._engine.state, name, inputs.text(members, "StackName"))


def _reasons(planned: Planned, findings: tuple[Finding, ...]) -> str:
    found = planned.wanted.template.document
    return "; ".join(str(problem_of(found, each)) for each in findings)[:4000]
