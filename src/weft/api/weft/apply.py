"""
Many resources at once: all or nothing, in one revision.

``labels`` are tags that every resource of the request gets; with ``prune``, what
carries them all in the same meshes and is not in the request goes.

An item is the create input of its App Mesh operation plus ``kind``. What differs
from what stands is created or updated; what is equal is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

from weft.api.appmesh import accounts, inputs, shapes
from weft.api.exchange import Answer, Call, answer
from weft.api.parts import Parts
from weft.api.weft.documents import differences
from weft.api.weft.named import kind_named
from weft.api.weft.policies import policy_outcomes, steps_of
from weft.errors import Invalid, Problem, WeftError
from weft.model.codec import decode
from weft.model.meta import Tags
from weft.names import Key, Kind
from weft.store import document
from weft.store.change import Action, Applied, Difference, Prune, Put, Step
from weft.store.state import MeshState

MAX_BODY_BYTES = 16 * 1024 * 1024
"""A whole mesh of thousands of services is one request."""
MAX_NOTE = 1000
_ORDER = {
    Kind.MESH: 0,
    Kind.VIRTUAL_NODE: 1,
    Kind.VIRTUAL_ROUTER: 2,
    Kind.VIRTUAL_SERVICE: 3,
    Kind.ROUTE: 4,
    Kind.VIRTUAL_GATEWAY: 5,
    Kind.GATEWAY_ROUTE: 6,
}
"""What others name comes before them."""
_ANSWERED = ("key", "arn", "metadata", "status")
"""Members that only answers have; passed over, so that what was read can be applied again."""


@dataclass(frozen=True, slots=True)
class Item:
    """One resource of the request."""

    at: str
    """``resources[3]``."""
    kind: Kind | None
    sent: Any
    step: Put | None
    """None when it cannot even be said which resource it is."""


class Apply:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._account = parts.settings.account

    async def apply(self, call: Call) -> Answer:
        body = await call.json_object(most_bytes=MAX_BODY_BYTES)
        found: list[Problem] = []
        inputs.members(body, ("resources", "policies", "dryRun", "note", "labels", "prune"), found)
        dry_run, note = body.get("dryRun") or False, body.get("note") or ""
        if not isinstance(dry_run, bool):
            found.append(Problem("dryRun", "must be true or false"))
        if not isinstance(note, str) or len(note) > MAX_NOTE:
            found.append(Problem("note", f"must be a string of at most {MAX_NOTE} characters"))
        labels, prune = _labels(body.get("labels"), found), body.get("prune") or False
        if not isinstance(prune, bool):
            found.append(Problem("prune", "must be true or false"))
        elif prune and not labels:
            found.append(Problem("prune", "needs labels: only what carries them all may go"))
        caller = accounts.caller_account(call)
        kept = steps_of(body.get("policies"), found, call, self._account)
        resources = body.get("resources")
        if resources is None and kept:
            resources = []
        items = self.items(resources, labels, found, caller)
        if found:
            await self._refuse(call, items, found, caller)
        puts = sorted(
            (item.step for item in items if item.step), key=lambda step: _ORDER[step.key.kind]
        )
        steps: list[Step] = [*puts, *kept]
        if prune:
            keys = frozenset(step.key for step in puts)
            said = frozenset(step.name for step in kept)
            meshes = {key.mesh for key in keys} | {Key.parse(name).mesh for name in said}
            steps.append(Prune(frozenset(meshes), labels, keys, said))
        before = self._store.state
        try:
            applied = await self._store.apply(
                steps, call.author, note=note, dry_run=dry_run, caller=caller
            )
        except Invalid as error:
            raise Invalid(_at_items(error.problems, items), fix=error.fix) from None
        changed = await self._differences(applied, before, dry_run=dry_run)
        by_key = {outcome.key: outcome for outcome in applied.outcomes}
        outcomes = [by_key[item.step.key] for item in items if item.step]
        outcomes += [each for each in applied.outcomes if each.action is Action.DELETED]
        return answer(
            {
                "revision": applied.revision,
                "dryRun": dry_run,
                "outcomes": [
                    {
                        "key": str(outcome.key),
                        "action": outcome.action.value,
                        "differences": differences(changed.get(outcome.key, ())),
                    }
                    for outcome in outcomes
                ]
                + policy_outcomes(applied.kept, before),
            },
            revision=None if dry_run else applied.revision,
        )

    def items(self, resources: Any, labels: Tags, found: list[Problem], caller: str) -> list[Item]:
        """The resources of a request; what is wrong with them is added to ``found``."""
        if not isinstance(resources, list):
            found.append(
                Problem("resources", "is missing" if resources is None else "must be a list")
            )
            return []
        items = [
            self._item(item, f"resources[{i}]", labels, found, caller)
            for i, item in enumerate(resources)
        ]
        first: dict[Key, str] = {}
        for item in items:
            if item.step and first.setdefault(item.step.key, item.at) != item.at:
                place = first[item.step.key]
                found.append(Problem(item.at, f"is the same resource as {place}, {item.step.key}"))
        return items

    def _item(self, item: Any, at: str, labels: Tags, found: list[Problem], caller: str) -> Item:
        if not isinstance(item, dict):
            found.append(Problem(at, "must be an object"))
            return Item(at, None, None, None)
        kind = _kind(item, at, found)
        if kind is None:
            return Item(at, None, None, None)
        named = (*inputs.parents(kind), shapes.name_member(kind))
        known = ("kind", *named, "spec", "tags", "clientToken", "meshOwner", *_ANSWERED)
        inputs.members(item, known, found, at=at)
        inputs.token(item, found, at=at)
        owner = accounts.owner_given(item.get("meshOwner"), found, at=at)
        names = {name: inputs.text(item, name, found, at=at) for name in named}
        if (mesh := names["meshName"]) is not None:
            names["meshName"] = accounts.mesh_named(
                mesh, owner, caller, self._account, found, at=at
            )
        sent = inputs.spec(item, kind, found, at=at)
        tags = inputs.tags(item.get("tags"), found, at=f"{at}.tags")
        step = None
        if None not in names.values() and sent is not None:
            given = None if item.get("tags") is None else tags
            step = Put(shapes.key_of(kind, names), sent, given, labels)
        return Item(at, kind, sent, step)

    async def _refuse(
        self, call: Call, items: list[Item], found: list[Problem], caller: str
    ) -> NoReturn:
        """With all that is wrong within the specs, too, as far as that can be told."""
        more: list[Problem] = []
        if items and all(item.step for item in items):
            steps = {item.step.key: item.step for item in items if item.step}
            try:
                await self._store.apply([*steps.values()], call.author, dry_run=True, caller=caller)
            except Invalid as error:
                more += _at_items(error.problems, items)
            except WeftError:
                pass  # Of another sort: said once the request itself is right.
        else:
            # Whether a resource is missing depends on the items that nobody can name.
            for item in items:
                if item.kind is not None and item.sent is not None:
                    try:
                        decode(item.kind, item.sent, at=f"{item.at}.spec")
                    except Invalid as error:
                        more += error.problems
        raise Invalid(dict.fromkeys([*found, *more]))

    async def _differences(
        self, applied: Applied, before: MeshState, *, dry_run: bool
    ) -> dict[Key, tuple[Difference, ...]]:
        if not applied.changed:
            return {}
        if dry_run or applied.revision == before.revision + 1:
            return await asyncio.to_thread(_compared, applied, before)
        # Somebody else wrote in between; the log knows what this revision found.
        change = await self._store.change(applied.revision)
        keys = {str(outcome.key): outcome.key for outcome in applied.outcomes}
        return {keys[entry.id]: entry.differences for entry in change.entries if entry.id in keys}


def _compared(applied: Applied, before: MeshState) -> dict[Key, tuple[Difference, ...]]:
    found = {}
    for outcome in applied.outcomes:
        if (
            outcome.action not in (Action.UNCHANGED, Action.DELETED)
            and outcome.resource is not None
        ):
            old = before.resource(outcome.key)
            found[outcome.key] = document.differences(
                document.told(document.of_resource(old) if old else None),
                document.told(document.of_resource(outcome.resource)),
            )
    return found


def _labels(value: Any, found: list[Problem]) -> Tags:
    """An object of names and values."""
    if value is None:
        return ()
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        found.append(Problem("labels", "must be an object of texts"))
        return ()
    labels = tuple(value.items())
    as_tags = [{"key": name, "value": text} for name, text in labels]
    inputs.tags(as_tags, found, at="labels")
    return labels


def _kind(item: Mapping[str, Any], at: str, found: list[Problem]) -> Kind | None:
    text = inputs.text(item, "kind", found, at=at)
    if text is None:
        return None
    kind = kind_named(text)
    if kind is None:
        near = get_close_matches(text, [each.value for each in Kind], n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        found.append(Problem(f"{at}.kind", f"must be one of {', '.join(Kind)}{hint}"))
    return kind


def _at_items(problems: Iterable[Problem], items: list[Item]) -> list[Problem]:
    """The store's problems, said of places in the request instead of resources."""
    steps = [(str(item.step.key), item.at) for item in items if item.step]
    places = {item.at: i for i, item in enumerate(items)}
    if len(steps) == 1:
        return [Problem(_joined(steps[0][1], each.path), each.message) for each in problems]
    by_key = dict(steps)
    placed = [Problem(_place(each.path, by_key), each.message) for each in problems]
    return sorted(placed, key=lambda each: places.get(each.path.partition(".")[0], 0))


def _place(path: str, by_key: Mapping[str, str]) -> str:
    """``KEY spec.x`` as ``resources[3].spec.x``; a key that is refused for it may have blanks."""
    end = len(path)
    while end > 0:
        if (at := by_key.get(path[:end])) is not None:
            return _joined(at, path[end + 1 :])
        end = path.rfind(" ", 0, end)
    return path


def _joined(at: str, path: str) -> str:
    return f"{at}.{path}" if path else at
