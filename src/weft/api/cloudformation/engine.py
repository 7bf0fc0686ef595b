"""
Stacks, written: one revision for each operation, whichever surface asks for it.

A template is planned (purely) against what stands, and the steps on the mesh, the
stack's document and what happened are written together. Where that cannot be,
nothing of the mesh has been touched: a rollback has nothing to undo.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from weft.api.cloudformation.certificates import StackCertificates
from weft.api.cloudformation.placing import findings_of
from weft.api.cloudformation.removal import removal
from weft.api.parts import Parts
from weft.errors import (
    Conflict,
    Forbidden,
    InUse,
    Invalid,
    LimitExceeded,
    NotFound,
    TooManyTags,
    Unavailable,
)
from weft.manifests.cloudformation import happenings
from weft.manifests.cloudformation.parameters import Given, Previous
from weft.manifests.cloudformation.plan import Place, Plan, Request
from weft.manifests.cloudformation.planner import plan
from weft.manifests.cloudformation.reading import Finding, problem_of, refuse
from weft.manifests.cloudformation.stack import (
    GIVEN,
    STACKS,
    Stack,
    given_values,
    remembered,
    stack_named,
)
from weft.manifests.cloudformation.template import Template, parse
from weft.store import document
from weft.store.change import Applied, Author, Keep, Step
from weft.store.state import MeshState

_OF_A_RESOURCE = (Invalid, NotFound, Conflict, InUse, Forbidden, LimitExceeded, TooManyTags)
_MAX_DELETED_TEMPLATE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a stack is to be; None leaves a thing as it was."""

    name: str
    template: Template = field(repr=False)
    parameters: Given = field(default_factory=dict, repr=False)
    tags: Mapping[str, str] | None = None
    capabilities: tuple[str, ...] | None = None
    notification_arns: tuple[str, ...] | None = None
    role_arn: str | None = None
    protected: bool | None = None
    rollback_disabled: bool = False
    token: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    """More values in the place of stand-ins; an empty one takes a value back."""
    refuse_foreign: bool = False
    adopt: bool = False
    change_set_id: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of it."""

    stack: Stack
    plan: Plan
    revision: int
    changed: bool
    failed: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """What would become of it."""

    wanted: Wanted
    previous: Stack | None
    """The stack as it stands, whatever its state."""
    base: Stack | None
    """The same, where its resources stand."""
    plan: Plan
    place: Place
    values: Mapping[str, str]
    given_changed: bool
    state: MeshState
    """What it was planned on."""

    @property
    def changed(self) -> bool:
        base = self.base
        return (
            base is None
            or bool(self.plan.changes)
            or self.plan.outputs != base.outputs
            or (self.wanted.tags is not None and dict(self.wanted.tags) != dict(base.tags))
        )

    @property
    def late(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.plan.findings if each.late)

    @property
    def early(self) -> list[Finding]:
        return [each for each in self.plan.findings if not each.late]


class Stacks:
    """Every operation that changes a stack, one after the other."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._clock = parts.clock
        self._certificates = StackCertificates(parts)
        self.region = parts.settings.region
        self.account = parts.settings.account
        self.turn = asyncio.Lock()
        """Held by whoever plans and writes: a plan is about the state it was made for."""

    @property
    def state(self) -> MeshState:
        return self._store.state

    def now(self) -> int:
        """Milliseconds."""
        return document.milliseconds(self._clock.now())

    def uid(self) -> str:
        return self._clock.uid()

    def new_stack_id(self, name: str) -> str:
        uid = self._clock.uid()
        return f"arn:aws:cloudformation:{self.region}:{self.account}:stack/{name}/{uid}"

    # --- create and update ---------------------------------------------------------------

    async def planned(self, wanted: Wanted, *, stack_id: str | None = None) -> Planned:
        """What would become of a stack; the caller has the turn."""
        state = self._store.state
        previous = stack_named(state, wanted.name)
        base = previous if previous is not None and previous.in_place else None
        if stack_id is None:
            reuse = previous is not None and (base or previous.status == "REVIEW_IN_PROGRESS")
            stack_id = previous.id if previous and reuse else self.new_stack_id(wanted.name)
        before = given_values(state, wanted.name)
        values = {**before, **wanted.values}
        values = {name: value for name, value in values.items() if value != ""}
        arns = wanted.notification_arns
        request = Request(
            wanted.name,
            wanted.template,
            wanted.parameters,
            wanted.tags if wanted.tags is not None else base.tags if base else {},
            values,
            wanted.refuse_foreign,
            wanted.adopt,
            arns if arns is not None else base.notification_arns if base else (),
        )
        place = Place(self.region, self.account, stack_id, self.now())
        made = await asyncio.to_thread(plan, request, base, state, place)
        return Planned(wanted, previous, base, made, place, values, values != dict(before), state)

    async def write(
        self,
        planned: Planned,
        author: Author,
        *,
        note: str,
        also: Sequence[Step] = (),
        on_failure: Sequence[Step] | None = None,
    ) -> Written:
        """
        Write what was planned; the caller has the turn.

        ``also`` is written in the same revision. A failure is raised with every
        problem; where ``on_failure`` says what to write then, it becomes the stack's
        history and part of the answer.
        """
        refuse(planned.wanted.template.document, planned.early)
        verb = "CREATE" if planned.base is None else "UPDATE"
        if planned.late:
            return await self._not_written(planned, planned.late, author, verb, note, on_failure)
        stack = self._after(planned, verb)
        happened = happenings.written(stack, planned.plan, verb)
        stack, steps = remembered(
            stack, happened, planned.place.at, planned.wanted.token, self._store.state
        )
        try:
            async with self._certificates.made(planned.plan, author):
                applied = await self._decided(
                    planned.state,
                    [
                        *planned.plan.steps,
                        Keep(STACKS, stack.name, stack.to_document()),
                        *steps,
                        *self._given(planned),
                        *also,
                    ],
                    author,
                    note,
                )
        except _OF_A_RESOURCE as error:
            found = findings_of(error, planned.plan.owners)
            return await self._not_written(planned, found, author, verb, note, on_failure)
        await self._certificates.forget_left(planned.plan, author)
        return Written(stack, planned.plan, applied.revision, changed=True)

    async def tried(self, planned: Planned, author: Author) -> list[Finding]:
        """What the mesh would say to it, without writing."""
        try:
            await self._store.apply(planned.plan.steps, author, dry_run=True)
        except _OF_A_RESOURCE as error:
            return findings_of(error, planned.plan.owners)
        return []

    def _given(self, planned: Planned) -> list[Step]:
        if not planned.given_changed:
            return []
        values = {"values": dict(planned.values)} if planned.values else None
        return [Keep(GIVEN, planned.wanted.name, values)]

    def _after(self, planned: Planned, verb: str) -> Stack:
        wanted, base, made = planned.wanted, planned.base, planned.plan
        at = planned.place.at
        parameters = made.parameters
        before = base or Stack(wanted.name, planned.place.stack_id, "", at)
        if planned.previous and planned.previous.id == before.id:
            before = replace(before, operations=planned.previous.operations)
        return replace(
            before,
            status=f"{verb}_COMPLETE",
            reason="",
            updated_at=at if verb == "UPDATE" else None,
            description=wanted.template.description,
            template=wanted.template.text,
            parameters={name: each.text for name, each in parameters.items()},
            resolved={
                name: ",".join(each.value) if isinstance(each.value, list) else each.value
                for name, each in parameters.items()
                if each.from_ssm
            },
            no_echo=tuple(name for name, each in parameters.items() if each.no_echo),
            tags=before.tags if wanted.tags is None else dict(wanted.tags),
            capabilities=(
                before.capabilities if wanted.capabilities is None else wanted.capabilities
            ),
            notification_arns=(
                before.notification_arns
                if wanted.notification_arns is None
                else wanted.notification_arns
            ),
            role_arn=before.role_arn if wanted.role_arn is None else wanted.role_arn,
            protected=before.protected if wanted.protected is None else wanted.protected,
            rollback_disabled=wanted.rollback_disabled,
            outputs=made.outputs,
            imports=made.imports,
            resources=made.resources,
            change_set_id=wanted.change_set_id or before.change_set_id,
        )

    async def _not_written(
        self,
        planned: Planned,
        findings: Iterable[Finding],
        author: Author,
        verb: str,
        note: str,
        on_failure: Sequence[Step] | None,
    ) -> Written:
        findings = tuple(findings)
        if on_failure is None:
            found = planned.wanted.template.document
            raise Invalid(problem_of(found, each) for each in findings)
        roll_back = not planned.wanted.rollback_disabled
        stack = self._after(planned, verb)
        if planned.base is None:
            stack = replace(stack, resources={}, outputs=(), imports=())
            status = "ROLLBACK_COMPLETE" if roll_back else "CREATE_FAILED"
        else:
            stack = replace(
                planned.base, updated_at=planned.place.at, change_set_id=stack.change_set_id
            )
            status = "UPDATE_ROLLBACK_COMPLETE"
        happened = happenings.failed(
            stack,
            planned.plan,
            findings,
            verb,
            {name: each.type for name, each in planned.wanted.template.resources.items()},
            roll_back=roll_back,
        )
        told = next((each.reason for each in reversed(happened) if each.reason), "")
        stack = replace(stack, status=status, reason=told)
        stack, steps = remembered(
            stack, happened, planned.place.at, planned.wanted.token, self._store.state
        )
        applied = await self._store.apply(
            [Keep(STACKS, stack.name, stack.to_document()), *steps, *on_failure],
            author,
            note=f"{note}: failed",
        )
        return Written(stack, planned.plan, applied.revision, changed=False, failed=findings)

    # --- values --------------------------------------------------------------------------

    async def set_values(
        self, name: str, values: Mapping[str, str], author: Author
    ) -> Written | int:
        """
        Give values in the place of stand-ins, before a stack is made or afterwards.

        The answer is the revision alone where there is no stack yet.
        """
        async with self.turn:
            stack = stack_named(self._store.state, name)
            if stack is not None and stack.in_place:
                planned = await self.planned(self.as_it_is(stack, values))
                refuse(planned.wanted.template.document, planned.early)
                if planned.changed:
                    return await self.write(planned, author, note=f"weft stack set {name}")
                steps = self._given(planned)
                applied = await self._store.apply(steps, author, note=f"weft stack set {name}")
                return Written(stack, planned.plan, applied.revision, changed=False)
            before = given_values(self._store.state, name)
            merged = {key: each for key, each in {**before, **values}.items() if each != ""}
            keep = Keep(GIVEN, name, {"values": merged} if merged else None)
            note = f"weft stack set {name}"
            return (await self._store.apply([keep], author, note=note)).revision

    def as_it_is(self, stack: Stack, values: Mapping[str, str] | None = None) -> Wanted:
        """A stack asked for as it stands, with other values in the place of stand-ins."""
        return Wanted(
            stack.name,
            parse(stack.template),
            {name: Previous() for name in stack.parameters},
            values=values or {},
        )

    # --- delete --------------------------------------------------------------------------

    async def delete(
        self,
        stack: Stack,
        author: Author,
        *,
        retain: Iterable[str] = (),
        token: str = "",
        note: str,
        record_failure: bool = False,
    ) -> tuple[Stack, int]:
        """Delete a stack and what it made; the caller has the turn."""
        state, at = self._store.state, self.now()
        made = removal(state, stack, frozenset(retain), at, token)
        findings = list(made.findings)
        if not findings:
            try:
                applied = await self._decided(state, made.steps, author, note)
            except _OF_A_RESOURCE as error:
                if isinstance(error, InUse) and not record_failure:
                    raise
                findings = findings_of(error, made.owners)
            else:
                await self._certificates.forget(made.going, author)
                return made.gone, applied.revision
        if not record_failure:
            found = parse(stack.template).document
            raise Invalid(problem_of(found, each) for each in findings)
        failed = happenings.not_deleted(stack, findings)
        stack = replace(stack, status="DELETE_FAILED", reason=failed[-1].reason)
        stack, remembering = remembered(stack, failed, at, token, state)
        keep = Keep(STACKS, stack.name, stack.to_document())
        applied = await self._store.apply([keep, *remembering], author, note=f"{note}: failed")
        return stack, applied.revision

    async def _decided(
        self, planned_on: MeshState, steps: Sequence[Step], author: Author, note: str
    ) -> Applied:
        """Write steps that were planned on a state, unless what they rest on has changed since."""
        touched = {each.collection for each in steps if isinstance(each, Keep)}

        def unchanged(state: MeshState) -> Sequence[Step]:
            for collection in touched:
                if state.collection(collection) is not planned_on.collection(collection):
                    raise Unavailable(
                        "something else was written while this was planned, and nothing was done",
                        fix="try again",
                    )
            return steps

        return await self._store.decide(unchanged, author, note=note)

    async def keep(self, steps: Iterable[Step], author: Author, *, note: str) -> int:
        """Write documents that touch no mesh."""
        return (await self._store.apply([*steps], author, note=note)).revision
