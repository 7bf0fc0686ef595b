"""Stacks on Weft's own surface: a template made so in one request, every problem with its line, dry runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weft.api.appmesh import inputs
from weft.api.cloudformation.engine import Planned, Stacks, Wanted, Written
from weft.api.cloudformation.shapes import HIDDEN
from weft.api.exchange import Answer, Call, answer, whole_number
from weft.api.routing import Route
from weft.api.weft.documents import moment
from weft.errors import Conflict, Invalid, NotFound, Problem
from weft.manifests.cloudformation.happenings import RECORDED
from weft.manifests.cloudformation.parameters import Previous, as_text
from weft.manifests.cloudformation.plan import Act
from weft.manifests.cloudformation.reading import problem_of, refuse
from weft.manifests.cloudformation.stack import (
    Events,
    Stack,
    StackOutput,
    StackResource,
    given_values,
    stack_named,
    stacks,
)
from weft.manifests.cloudformation.template import parse
from weft.store import document

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_NOTE = 1000
_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")
_ACTIONS = {
    Act.ADD: "created",
    Act.MODIFY: "updated",
    Act.REPLACE: "replaced",
    Act.REMOVE: "deleted",
    Act.RETAIN: "retained",
    Act.KEEP: "unchanged",
}
_STACK = "/weft/v1/stacks/{name}"


def routes(engine: Stacks) -> list[Route]:
    handlers = Handlers(engine)
    return [
        Route("GET", "/weft/v1/stacks", handlers.list_stacks),
        Route("GET", _STACK, handlers.describe),
        Route("POST", _STACK, handlers.apply),
        Route("DELETE", _STACK, handlers.delete),
        Route("GET", _STACK + "/events", handlers.events),
        Route("POST", _STACK + "/values", handlers.set_values),
    ]


class Handlers:
    def __init__(self, engine: Stacks) -> None:
        self._engine = engine

    # --- reading -------------------------------------------------------------------------

    async def list_stacks(self, call: Call) -> Answer:
        call.known_query()
        return answer({"stacks": [_summary(each) for each in stacks(self._engine.state)]})

    async def describe(self, call: Call) -> Answer:
        call.known_query()
        stack = self._stack(call)
        return answer(_described(stack, given_values(self._engine.state, stack.name)))

    async def events(self, call: Call) -> Answer:
        query = call.known_query("limit")
        limit = whole_number(query, "limit", default=100, least=1, most=10_000)
        stack = self._stack(call)
        found = [
            {
                "id": each.id,
                "at": moment(document.moment(each.at)),
                "logicalId": each.happened.logical_id,
                "type": each.happened.type,
                "physicalId": each.happened.physical_id,
                "status": each.happened.status,
                "reason": each.happened.reason,
                "token": each.token,
            }
            for each in Events(self._engine.state, stack.uuid)[:limit]
        ]
        return answer({"events": found})

    def _stack(self, call: Call) -> Stack:
        name = call.labels["name"]
        found = stack_named(self._engine.state, name)
        if found is None:
            known = ", ".join(each.name for each in stacks(self._engine.state)[:10])
            raise NotFound(
                f"there is no stack {name!r}",
                fix=f"there are {known}" if known else "weft apply -f TEMPLATE makes one",
            )
        return found

    # --- writing -------------------------------------------------------------------------

    async def apply(self, call: Call) -> Answer:
        body = await call.json_object(most_bytes=MAX_BODY_BYTES)
        name = call.labels["name"]
        wanted, dry_run, note = self._wanted(name, body)
        async with self._engine.turn:
            standing = stack_named(self._engine.state, name)
            if standing is not None and standing.in_place:
                # What is not given stays, as with aws cloudformation deploy.
                kept = {
                    each: Previous()
                    for each in standing.parameters
                    if each in wanted.template.parameters
                }
                wanted = replace(wanted, parameters={**kept, **wanted.parameters})
            planned = await self._engine.planned(wanted)
            found = wanted.template.document
            refuse(found, list(planned.plan.findings))
            if dry_run and (problems := await self._engine.tried(planned, call.author)):
                raise Invalid(problem_of(found, each) for each in problems)
            if dry_run or not (planned.changed or planned.given_changed):
                return answer(_outcomes(planned, self._engine.state.revision, dry_run=dry_run))
            written = await self._engine.write(planned, call.author, note=note)
        return answer(
            _outcomes(planned, written.revision, dry_run=False), revision=written.revision
        )

    def _wanted(self, name: str, body: Mapping[str, Any]) -> tuple[Wanted, bool, str]:
        found: list[Problem] = []
        known = ("template", "file", "parameters", "tags", "values", "foreign", "dryRun", "note")
        inputs.members(body, known, found)
        if not _NAME.fullmatch(name):
            found.append(
                Problem("name", "a stack's name is a letter, then letters, digits, hyphens")
            )
        text = body.get("template")
        if not isinstance(text, str) or not text.strip():
            found.append(Problem("template", "must be the text of a template"))
        file = body.get("file") or "template"
        if not isinstance(file, str):
            found.append(Problem("file", "must be a text"))
        given = _texts(body, "parameters", found)
        values = _texts(body, "values", found) or {}
        tags = _texts(body, "tags", found)
        foreign = body.get("foreign") or "record"
        if foreign not in ("record", "refuse"):
            found.append(Problem("foreign", "must be record or refuse"))
        dry_run, note = body.get("dryRun") or False, body.get("note") or f"stack {name}"
        if not isinstance(dry_run, bool):
            found.append(Problem("dryRun", "must be true or false"))
        if not isinstance(note, str) or len(note) > MAX_NOTE:
            found.append(Problem("note", f"must be a string of at most {MAX_NOTE} characters"))
        if found:
            raise Invalid(found)
        assert isinstance(text, str), "checked above"
        wanted = Wanted(
            name,
            parse(text, str(file)),
            given or {},
            tags,
            values=values,
            refuse_foreign=foreign == "refuse",
            adopt=True,
        )
        return wanted, bool(dry_run), str(note)

    async def set_values(self, call: Call) -> Answer:
        body = await call.json_object()
        found: list[Problem] = []
        inputs.members(body, ("values",), found)
        values = _texts(body, "values", found)
        if not values and not found:
            found.append(Problem("values", "is missing; give LogicalId.Attribute: value"))
        name = call.labels["name"]
        if not _NAME.fullmatch(name):
            found.append(
                Problem("name", "a stack's name is a letter, then letters, digits, hyphens")
            )
        for each in values or {}:
            if not re.fullmatch(r"[A-Za-z0-9]{1,255}(\.[A-Za-z0-9_.]{1,255})?", each):
                found.append(Problem(f"values.{each[:80]}", "must be LogicalId.Attribute"))
        if found or values is None:
            raise Invalid(found)
        done = await self._engine.set_values(name, values, call.author)
        revision = done.revision if isinstance(done, Written) else done
        outputs = done.stack.outputs if isinstance(done, Written) else ()
        kept = given_values(self._engine.state, name)
        return answer(
            {
                "name": name,
                "values": dict(kept),
                "exists": isinstance(done, Written),
                "outputs": [_output(each) for each in outputs],
                "revision": revision,
            },
            revision=revision,
        )

    async def delete(self, call: Call) -> Answer:
        query = call.known_query("retain")
        async with self._engine.turn:
            stack = self._stack(call)
            if stack.deleted_at is not None:
                raise NotFound(f"stack {stack.name} is deleted already")
            if stack.protected:
                raise Conflict(
                    f"stack {stack.name} is protected from termination",
                    fix="aws cloudformation update-termination-protection "
                    f"--no-enable-termination-protection --stack-name {stack.name}",
                )
            retain = query.getlist("retain")
            if strange := [each for each in retain if each not in stack.resources]:
                raise Invalid([Problem("retain", f"stack {stack.name} has no {strange[0]}")])
            _, revision = await self._engine.delete(
                stack, call.author, retain=retain, note=f"delete stack {stack.name}"
            )
        return answer({"name": stack.name, "revision": revision}, revision=revision)


def _texts(body: Mapping[str, Any], member: str, found: list[Problem]) -> dict[str, str] | None:
    value = body.get(member)
    if value is None:
        return None
    if not isinstance(value, dict):
        found.append(Problem(member, "must be an object of names and texts"))
        return None
    texts = {}
    for name, each in value.items():
        if isinstance(each, str | int | float):
            texts[name] = as_text(each)
        else:
            found.append(Problem(f"{member}.{name}", "must be a text"))
    return texts


# --- shapes ------------------------------------------------------------------------------


def _summary(stack: Stack) -> dict[str, Any]:
    recorded = sum(each.recorded for each in stack.resources.values())
    return {
        "name": stack.name,
        "id": stack.id,
        "status": stack.status,
        "reason": stack.reason,
        "description": stack.description,
        "createdAt": moment(document.moment(stack.created_at)),
        "updatedAt": None
        if stack.updated_at is None
        else moment(document.moment(stack.updated_at)),
        "resources": len(stack.resources) - recorded,
        "recorded": recorded,
    }


def _described(stack: Stack, values: Mapping[str, str]) -> dict[str, Any]:
    return {
        **_summary(stack),
        "parameters": {
            name: HIDDEN if name in stack.no_echo else value
            for name, value in stack.parameters.items()
        },
        "tags": dict(stack.tags),
        "outputs": [_output(each) for each in stack.outputs],
        "imports": list(stack.imports),
        "values": dict(values),
        "protected": stack.protected,
        "resources": [_resource(each) for each in stack.resources.values()],
    }


def _output(found: StackOutput) -> dict[str, Any]:
    return {
        "key": found.key,
        "value": found.value,
        "description": found.description,
        "export": found.export or None,
    }


def _resource(found: StackResource) -> dict[str, Any]:
    return {
        "logicalId": found.logical_id,
        "type": found.type,
        "physicalId": found.physical_id,
        "status": found.status,
        "key": found.key or None,
        "recorded": found.recorded,
    }


def _outcomes(planned: Planned, revision: int, *, dry_run: bool) -> dict[str, Any]:
    outcomes = []
    for move in planned.plan.moves:
        shown = move.after or move.before
        assert shown is not None, "a move is of a resource"
        lines = planned.wanted.template.document
        outcomes.append(
            {
                "logicalId": move.logical_id,
                "type": shown.type,
                "physicalId": shown.physical_id,
                "key": shown.key or None,
                "action": _ACTIONS[move.act],
                "recorded": shown.recorded,
                "reason": RECORDED if shown.recorded else "",
                "changed": list(move.changed),
                "at": lines.at(("Resources", move.logical_id)) if move.after else "",
            }
        )
    return {
        "stack": planned.wanted.name,
        "revision": revision,
        "dryRun": dry_run,
        "outcomes": outcomes,
        "outputs": [_output(each) for each in planned.plan.outputs],
    }
