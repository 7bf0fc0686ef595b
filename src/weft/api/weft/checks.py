"""What is wrong, or will be: findings about what stands, and about definitions before they do."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.datastructures import QueryParams

from weft.api.appmesh import accounts, inputs
from weft.api.exchange import Answer, Call, answer
from weft.api.parts import Parts
from weft.api.weft.apply import MAX_BODY_BYTES, Apply
from weft.api.weft.policies import steps_of
from weft.checks.catalogue import (
    PROPOSED,
    STANDING,
    check,
    check_proxies,
    told_once,
)
from weft.checks.finding import Finding, Severity
from weft.checks.judgement import judged
from weft.checks.proxies import Observed
from weft.checks.report import report
from weft.errors import Invalid, NotFound, Problem
from weft.names import Key
from weft.store.change import Keep, Put
from weft.store.rules import Missing
from weft.store.state import MeshState


class Checks:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._apply = Apply(parts)
        # One at a time: a large mesh takes a second of a processor that proxies need, too.
        self._turn = asyncio.Lock()
        self._known: tuple[int, tuple[Finding, ...]] = (-1, ())

    async def list_findings(self, call: Call) -> Answer:
        query = call.known_query("mesh", "severity")
        least, said = _severity(query), query.get("mesh")
        home = self._parts.settings.account
        mesh = None if said is None else accounts.mesh_said(call, said, home)
        state, observed = self._store.state, self._observed()
        if mesh is not None and state.resource(Key.of_mesh(mesh)) is None:
            raise NotFound(str(Missing(Key.of_mesh(mesh), home)))
        found = await self._standing(state)

        def told() -> Answer:
            chosen = [each for each in found if mesh is None or _is_of(each, mesh)]
            chosen += check_proxies(state, observed, mesh)
            document = report(
                told_once(chosen), revision=state.revision, mesh=mesh, least=least, codes=STANDING
            )
            return answer({**document, "proxies": _proxies(observed, mesh)})

        return await asyncio.to_thread(told)

    async def judge(self, call: Call) -> Answer:
        least = _severity(call.known_query("severity"))
        body = await call.json_object(most_bytes=MAX_BODY_BYTES)
        found: list[Problem] = []
        inputs.members(body, ("resources", "policies", "alone"), found)
        alone = body.get("alone") or False
        if not isinstance(alone, bool):
            found.append(Problem("alone", "must be true or false"))
        policies = steps_of(body.get("policies"), found, call, self._parts.settings.account)
        resources = [] if policies and body.get("resources") is None else body.get("resources")
        items = self._apply.items(resources, (), found, accounts.caller_account(call))
        if found:
            raise Invalid(found)
        steps = [item.step for item in items if item.step]
        state = self._store.state
        before = () if alone else await self._standing(state)
        async with self._turn:
            return await asyncio.to_thread(
                self._judged, steps, policies, state, before, least, alone
            )

    def _judged(
        self,
        steps: list[Put],
        policies: list[Keep],
        state: MeshState,
        before: tuple[Finding, ...],
        least: Severity,
        alone: bool,  # noqa: FBT001 - handed to a thread
    ) -> Answer:
        account, clock = self._parts.settings.account, self._parts.clock
        on = None if alone else (state, before)
        found = judged(steps, clock, account, policies=policies, on=on)
        revision = None if alone else state.revision
        return answer(report(found, revision=revision, least=least, codes=PROPOSED))

    async def _standing(self, state: MeshState) -> tuple[Finding, ...]:
        """The findings about a state; of the last one they are kept."""
        async with self._turn:
            revision, found = self._known
            if revision != state.revision:
                found = await asyncio.to_thread(check, state)
                self._known = (state.revision, found)
            return found

    def _failures(self) -> dict[str, str]:
        rotation = self._parts.rotation
        return {arn: each.reason for arn, each in rotation.failures.items()} if rotation else {}

    def _observed(self) -> Observed:
        parts = self._parts
        pipeline = parts.pipeline
        return Observed(
            self._store.state.revision if pipeline is None else pipeline.processed,
            parts.delivery.proxies(),
            () if pipeline is None else tuple(pipeline.notes()),
            parts.registry.leases(),
            parts.clock.now(),
            self._failures(),
        )


def _severity(query: QueryParams) -> Severity:
    text = query.get("severity", Severity.INFO.value)
    try:
        return Severity(text)
    except ValueError:
        known = ", ".join(Severity)
        raise Invalid([Problem("severity", f"must be one of {known}, not {text[:40]!r}")]) from None


def _is_of(finding: Finding, mesh: str) -> bool:
    key = Key.of_mesh(mesh)
    return finding.key == str(key) or finding.key.startswith(f"{key}/")


def _proxies(observed: Observed, mesh: str | None) -> dict[str, Any]:
    """How many there are in each state."""
    counted: dict[str, int] = {}
    for proxy in observed.proxies:
        if mesh in (None, proxy.proxy.mesh):
            counted[proxy.state.value] = counted.get(proxy.state.value, 0) + 1
    return counted
