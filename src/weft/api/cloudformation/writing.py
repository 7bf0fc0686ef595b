"""Operations on stacks themselves: create, update, delete; each one revision, done when it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weft.api.cloudformation import inputs
from weft.api.cloudformation.engine import Stacks, Wanted
from weft.api.cloudformation.reading import malformed, template_of
from weft.api.cloudformation.refusals import (
    AlreadyExists,
    InsufficientCapabilities,
    TokenAlreadyExists,
    ValidationError,
    no_stack,
)
from weft.api.exchange import Call
from weft.api.surfaces import Operation, Reply
from weft.errors import Invalid
from weft.manifests.cloudformation.stack import EVENTS, STACKS, Stack, stack_named
from weft.manifests.cloudformation.template import Template
from weft.store.change import Keep
from weft.store.state import MeshState

Members = dict[str, Any]


class Writing:
    def __init__(self, engine: Stacks) -> None:
        self._engine = engine

    def operations(self) -> Mapping[str, Operation]:
        return {
            "CancelUpdateStack": self.cancel,
            "ContinueUpdateRollback": self.continue_rollback,
            "CreateStack": self.create,
            "DeleteStack": self.delete,
            "RollbackStack": self.roll_back,
            "SetStackPolicy": self.set_policy,
            "UpdateStack": self.update,
            "UpdateTerminationProtection": self.protect,
        }

    async def create(self, call: Call, members: Members) -> Reply:
        name = inputs.stack_name(members)
        if name.startswith("arn:"):
            raise ValidationError("StackName must be a name, not an id")
        token = inputs.token(members)
        body = inputs.template_body(members)
        if body is None:
            raise ValidationError("Either Template URL or Template Body must be specified.")
        template = template_of(body)
        on_failure = inputs.text(members, "OnFailure")
        if on_failure not in ("", "DO_NOTHING", "ROLLBACK", "DELETE"):
            raise ValidationError("OnFailure must be one of DO_NOTHING, ROLLBACK, DELETE")
        wanted = replace(
            wanted_of(members, name, template),
            protected=inputs.flag(members, "EnableTerminationProtection"),
            rollback_disabled=(
                inputs.flag(members, "DisableRollback") or on_failure == "DO_NOTHING"
            ),
            token=token,
        )
        async with self._engine.turn:
            existing = stack_named(self._engine.state, name)
            if existing is not None:
                if token and tokens(self._engine.state, existing).get(token) == 1:
                    return Reply({"StackId": existing.id})
                raise AlreadyExists(f"Stack [{name}] already exists")
            acknowledged(template, wanted.capabilities or ())
            try:
                planned = await self._engine.planned(wanted)
                written = await self._engine.write(
                    planned, call.author, note=f"create stack {name}", on_failure=()
                )
            except Invalid as error:
                raise malformed(error) from None
            revision = written.revision
            if written.failed and on_failure == "DELETE":
                _, revision = await self._engine.delete(
                    written.stack, call.author, note=f"create stack {name}: taken back"
                )
        return Reply({"StackId": written.stack.id}, revision)

    async def update(self, call: Call, members: Members) -> Reply:
        name = inputs.stack_name(members)
        token = inputs.token(members)
        async with self._engine.turn:
            stack = self.standing(name)
            if (number := tokens(self._engine.state, stack).get(token)) is not None:
                if number == stack.operations > 1:
                    return Reply({"StackId": stack.id})
                raise taken(token)
            template = template_for(members, stack)
            wanted = replace(
                wanted_of(members, stack.name, template),
                rollback_disabled=inputs.flag(members, "DisableRollback"),
                token=token,
            )
            acknowledged(template, wanted.capabilities or ())
            try:
                planned = await self._engine.planned(wanted)
                if not planned.plan.findings and not planned.changed:
                    raise ValidationError("No updates are to be performed.")
                written = await self._engine.write(
                    planned, call.author, note=f"update stack {stack.name}", on_failure=()
                )
            except Invalid as error:
                raise malformed(error) from None
        return Reply({"StackId": stack.id}, written.revision)

    def standing(self, name: str) -> Stack:
        """A stack that can be updated."""
        stack = stack_named(self._engine.state, name)
        if stack is None or stack.deleted_at is not None:
            raise ValidationError(f"Stack [{name}] does not exist")
        if not stack.in_place:
            raise ValidationError(
                f"Stack:{stack.id} is in {stack.status} state and can not be updated."
            )
        return stack

    async def delete(self, call: Call, members: Members) -> Reply:
        name = inputs.stack_name(members)
        token = inputs.token(members)
        retain = inputs.texts(members, "RetainResources")
        async with self._engine.turn:
            stack = stack_named(self._engine.state, name)
            if stack is None or stack.deleted_at is not None:
                return Reply(None)  # As often as one likes: it is gone.
            if token in tokens(self._engine.state, stack):
                raise taken(token)
            if stack.protected:
                raise ValidationError(
                    f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
                )
            if retain and stack.status != "DELETE_FAILED":
                raise ValidationError(
                    "Invalid operation on stack. Specify RetainResources only if the stack is in "
                    f"the DELETE_FAILED state, not {stack.status}"
                )
            if strange := [each for each in retain if each not in stack.resources]:
                raise ValidationError(
                    f"Resources [{', '.join(strange)}] do not exist for stack {stack.name}"
                )
            _, revision = await self._engine.delete(
                stack,
                call.author,
                retain=retain,
                token=token,
                note=f"delete stack {stack.name}",
                record_failure=True,
            )
        return Reply(None, revision)

    async def protect(self, call: Call, members: Members) -> Reply:
        name = inputs.stack_name(members)
        inputs.needed(members, "EnableTerminationProtection")
        protected = inputs.flag(members, "EnableTerminationProtection")
        async with self._engine.turn:
            stack = stack_named(self._engine.state, name)
            if stack is None or stack.deleted_at is not None:
                raise no_stack(name)
            changed = replace(stack, protected=protected)
            keep = Keep(STACKS, stack.name, changed.to_document())
            revision = await self._engine.keep(
                [keep], call.author, note=f"termination protection of stack {stack.name}"
            )
        return Reply({"StackId": stack.id}, revision)

    # --- what cannot be needed -----------------------------------------------------------

    async def cancel(self, _call: Call, members: Members) -> Reply:
        stack = self._any(members)
        raise ValidationError(
            f"CancelUpdateStack cannot be called from current stack status {stack.status}: "
            "an operation is done when it is answered, and there is nothing to cancel"
        )

    async def continue_rollback(self, _call: Call, members: Members) -> Reply:
        stack = self._any(members)
        raise ValidationError(
            f"Stack:{stack.id} is in {stack.status} state and can not continue a rollback: "
            "what fails was never written, so a rollback cannot fail"
        )

    async def roll_back(self, _call: Call, members: Members) -> Reply:
        stack = self._any(members)
        raise ValidationError(
            f"Stack:{stack.id} is in {stack.status} state and can not be rolled back: what fails "
            "was never written; weft revert takes back a revision"
        )

    async def set_policy(self, _call: Call, members: Members) -> Reply:
        self._any(members)
        raise ValidationError("stack policies are not kept here; use termination protection")

    def _any(self, members: Members) -> Stack:
        name = inputs.stack_name(members)
        stack = stack_named(self._engine.state, name)
        if stack is None:
            raise no_stack(name)
        return stack


def wanted_of(members: Members, name: str, template: Template) -> Wanted:
    """What CreateStack, UpdateStack and CreateChangeSet have in common."""
    if inputs.listed(members, "ResourcesToImport"):
        raise ValidationError("existing resources cannot be imported into a stack here")
    return Wanted(
        name,
        template,
        inputs.parameters(members),
        inputs.tags(members),
        inputs.texts(members, "Capabilities"),
        inputs.given_texts(members, "NotificationARNs"),
        inputs.text(members, "RoleARN") or None,
    )


def template_for(members: Members, stack: Stack) -> Template:
    """The template of an update: the one that is sent, or the stack's own."""
    body = inputs.template_body(members)
    previous = inputs.flag(members, "UsePreviousTemplate")
    if body is not None and previous:
        raise ValidationError("Give TemplateBody or UsePreviousTemplate, not both")
    if body is None and not previous:
        raise ValidationError("Either Template URL or Template Body must be specified.")
    return template_of(body if body is not None else stack.template)


def acknowledged(template: Template, capabilities: tuple[str, ...]) -> None:
    """Whoever lets a template make roles says so; one acknowledgement covers the weaker one."""
    for needed in template.capabilities:
        enough = {needed, "CAPABILITY_NAMED_IAM"}
        if not enough & set(capabilities):
            raise InsufficientCapabilities(f"Requires capabilities : [{needed}]")


def tokens(state: MeshState, stack: Stack) -> dict[str, int]:
    """The client request tokens of a stack's operations, with the operation's number."""
    found = {}
    for number in range(1, stack.operations + 1):
        document = state.document(EVENTS, f"{stack.uuid}/{number:06}")
        if document is not None and document["token"]:
            found[str(document["token"])] = number
    return found


def taken(token: str) -> TokenAlreadyExists:
    return TokenAlreadyExists(
        f"A client request token already exists that belongs to another operation: {token}"
    )
