"""
Weft's own policies over the API: ``for`` says which App Mesh resource, the rest what holds for it.

Every write is one revision. A policy may be set before its resource is there; what keeps
one from being in force is answered as a warning, and found by the checks from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from weft.api.appmesh import accounts, inputs
from weft.api.exchange import Answer, Call, answer, whole_number
from weft.api.parts import Parts
from weft.api.weft.documents import differences
from weft.checks.policies import standing_against
from weft.errors import BadRequest, Invalid, NotFound, Problem
from weft.model.codec import without_nulls
from weft.model.policy import POLICIES, decode_policy, document_of
from weft.names import Key
from weft.store.change import Expect, Keep, Kept
from weft.store.document import differences as document_differences
from weft.store.rules import Missing
from weft.store.state import MeshState

FOR = "for"
"""The member of an item that names the resource."""


class Policies:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._account = parts.settings.account

    async def list_policies(self, call: Call) -> Answer:
        query = call.known_query("mesh", "revision")
        newest = self._store.state
        wanted = whole_number(query, "revision", default=newest.revision, least=0)
        state = newest if wanted == newest.revision else await self._store.state_at(wanted)
        mesh = None
        if (said := query.get("mesh")) is not None:
            mesh = accounts.mesh_said(call, said, self._account)
            if state.resource(Key.of_mesh(mesh)) is None:
                raise NotFound(str(Missing(Key.of_mesh(mesh), self._account)))
        kept = state.collection(POLICIES)
        keys = sorted(Key.parse(name) for name in kept)
        return answer(
            {
                "revision": state.revision,
                "policies": [
                    {FOR: str(key), **kept[str(key)]} for key in keys if mesh in (None, key.mesh)
                ],
            }
        )

    async def describe(self, call: Call) -> Answer:
        call.known_query()
        key = self._key(call)
        state = self._store.state
        found = state.document(POLICIES, str(key))
        if found is None:
            raise NotFound(f"{key} has no policy", fix="weft policy list shows those there are")
        return answer({"revision": state.revision, **_item(state, key, found)})

    async def put(self, call: Call) -> Answer:
        """The whole policy, in place of what was set; nothing set is no policy."""
        return await self._write(call, merge=False)

    async def patch(self, call: Call) -> Answer:
        """These settings, and the others as they are; null takes one back."""
        return await self._write(call, merge=True)

    async def delete(self, call: Call) -> Answer:
        call.known_query()
        key, caller = self._key(call), accounts.caller_account(call)
        step = Keep(POLICIES, str(key), None, Expect.PRESENT)
        if self._store.state.document(POLICIES, str(key)) is None:
            raise NotFound(f"{key} has no policy", fix="weft policy list shows those there are")
        applied = await self._store.apply([step], call.author, caller=caller)
        return answer({"revision": applied.revision}, revision=applied.revision)

    async def _write(self, call: Call, *, merge: bool) -> Answer:
        call.known_query()
        key, caller = self._key(call), accounts.caller_account(call)
        body = await call.json_object()
        note = body.pop("note", None) or ""
        if not isinstance(note, str) or len(note) > _LONGEST_NOTE:
            raise Invalid(
                [Problem("note", f"must be a string of at most {_LONGEST_NOTE} characters")]
            )

        def steps(state: MeshState) -> Sequence[Keep]:
            before = state.document(POLICIES, str(key)) if merge else None
            policy = decode_policy(key.kind, without_nulls(_merged(before or {}, body)))
            return [Keep(POLICIES, str(key), document_of(policy))]

        applied = await self._store.decide(steps, call.author, note=note, caller=caller)
        (kept,) = applied.kept
        state = self._store.state
        document = {
            "revision": applied.revision,
            "action": kept.action.value,
            **_item(state, key, kept.document or {}),
        }
        return answer(document, revision=applied.revision)

    def _key(self, call: Call) -> Key:
        key = Key.parse(call.labels["key"])
        return key.within(accounts.mesh_said(call, key.mesh, self._account))


_LONGEST_NOTE = 1000


def _merged(before: Any, patch: Any) -> Any:
    """A merge patch (RFC 7396): objects member by member, anything else in place of what was."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(before) if isinstance(before, Mapping) else {}
    for name, value in patch.items():
        found[name] = _merged(found.get(name), value)
    return found


def _item(state: MeshState, key: Key, document: Mapping[str, Any]) -> dict[str, Any]:
    warnings = [
        {"code": code, "message": message} for code, message in standing_against(state, key)
    ]
    return {FOR: str(key), "policy": dict(document), "warnings": warnings}


def steps_of(
    value: Any, found: list[Problem], call: Call, home: str, *, at: str = "policies"
) -> list[Keep]:
    """The policies of a request of many; what is wrong with them is added to ``found``."""
    if value is None:
        return []
    if not isinstance(value, list):
        found.append(Problem(at, "must be a list"))
        return []
    steps: dict[str, Keep] = {}
    for i, item in enumerate(value):
        place = f"{at}[{i}]"
        if not isinstance(item, dict):
            found.append(Problem(place, f"must be an object with {FOR} and settings"))
            continue
        text = inputs.text(item, FOR, found, at=place)
        if text is None:
            continue
        try:
            key = Key.parse(text)
        except BadRequest as error:
            found.append(Problem(f"{place}.{FOR}", error.message))
            continue
        key = key.within(accounts.mesh_said(call, key.mesh, home))
        settings = {name: member for name, member in item.items() if name != FOR}
        try:
            policy = decode_policy(key.kind, settings, at=place)
        except Invalid as error:
            found += error.problems
            continue
        if str(key) in steps:
            found.append(Problem(f"{place}.{FOR}", f"{key} has a policy in this request already"))
        steps[str(key)] = Keep(POLICIES, str(key), document_of(policy))
    return list(steps.values())


def policy_outcomes(kept: Iterable[Kept], before: MeshState) -> list[dict[str, Any]]:
    """What became of each policy, beside the resources of the same request."""
    return [
        {
            "key": f"{POLICIES}//{each.name}",
            "action": each.action.value,
            "differences": differences(
                document_differences(
                    before.document(POLICIES, each.name) or {}, each.document or {}
                )
            ),
        }
        for each in kept
        if each.collection == POLICIES
    ]
