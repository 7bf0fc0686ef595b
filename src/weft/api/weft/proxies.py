"""What is really in force at the proxies, and waiting until a revision is."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any

from starlette.datastructures import QueryParams

from weft.api.appmesh import accounts
from weft.api.exchange import Answer, Call, answer, whole_number
from weft.api.parts import Parts
from weft.api.weft.waiting import unless_over
from weft.errors import BadRequest, Invalid, NotFound, Problem, Rejected, TimedOut, WeftError
from weft.names import Key
from weft.store.rules import Missing
from weft.xds.status import Settled

DEFAULT_TIMEOUT_SECONDS = 30.0
MAX_TIMEOUT_SECONDS = 3600.0
_NAMED = 5
"""How many proxies a message names; the body has them all."""


class Proxies:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._delivery = parts.delivery
        self._account = parts.settings.account
        self._stopping = parts.stopping

    async def list_proxies(self, call: Call) -> Answer:
        query = call.known_query("mesh", "proxy")
        mesh = self._mesh(call, query)
        proxy = query.get("proxy")
        found = [
            each.to_json()
            for each in self._delivery.proxies()
            if mesh in (None, each.proxy.mesh) and proxy in (None, str(each.proxy))
        ]
        return answer({"revision": self._store.state.revision, "proxies": found})

    async def describe(self, call: Call) -> Answer:
        query = call.known_query("proxy")
        instance, proxy = call.labels["instance"], query.get("proxy")
        found = [
            each
            for each in self._delivery.proxies()
            if each.instance == instance and proxy in (None, str(each.proxy))
        ]
        match found:
            case []:
                raise NotFound(
                    f"no proxy has the instance id {instance}", fix="weft get proxies lists them"
                )
            case [only]:
                return answer(only.to_json())
            case _:
                several = ", ".join(str(each.proxy) for each in found)
                raise BadRequest(
                    f"{len(found)} proxies have the instance id {instance}: {several}",
                    fix="say which with proxy=",
                )

    async def wait(self, call: Call) -> Answer:
        query = call.known_query("revision", "timeout", "mesh")
        newest = self._store.state.revision
        revision = whole_number(query, "revision", default=newest, least=0)
        if revision > newest:
            raise NotFound(f"there is no revision {revision}; the newest is {newest}")
        timeout = timedelta(seconds=_timeout_seconds(query))
        settled = await unless_over(
            call,
            self._stopping,
            self._delivery.wait_settled(revision, timeout, self._mesh(call, query)),
        )
        if settled.done:
            return answer(settled.to_json())
        return _unsettled(settled, timeout)

    def _mesh(self, call: Call, query: QueryParams) -> str | None:
        said = query.get("mesh")
        mesh = None if said is None else accounts.mesh_said(call, said, self._account)
        if mesh is not None and self._store.state.resource(Key.of_mesh(mesh)) is None:
            raise NotFound(str(Missing(Key.of_mesh(mesh), self._account)))
        return mesh


def _unsettled(settled: Settled, timeout: timedelta) -> Answer:
    """The error, with what the waiting saw beside its message."""
    error: WeftError
    if settled.rejected:
        refusals = [
            f"{each.proxy} ({each.instance}) "
            + (f"refused {each.type}: {each.words}" if each.type else f"failed: {each.words}")
            for each in settled.rejected
        ]
        error = Rejected(
            f"revision {settled.revision} was refused: {_first(refusals, '; ')}",
            fix="revert it or mend what it says; the last good configuration stays in force",
        )
    elif not settled.processed:
        error = TimedOut(
            f"revision {settled.revision} was not yet made into configurations "
            f"after {timeout.total_seconds():g} s"
        )
    else:
        late = [f"{each.proxy} ({each.instance}) {each.reason}" for each in settled.waiting]
        error = TimedOut(
            f"revision {settled.revision} was accepted by {settled.accepted} of {settled.total} "
            f"proxies after {timeout.total_seconds():g} s; waiting for {_first(late, '; ')}"
        )
    body: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "problems": [],
        "fix": error.fix,
        **settled.to_json(),
    }
    return Answer(
        json.dumps(body, separators=(",", ":")).encode(),
        error.status,
        {"x-amzn-ErrorType": error.code},
    )


def _first(texts: list[str], between: str) -> str:
    more = len(texts) - _NAMED
    return between.join(texts[:_NAMED]) + (f"{between}and {more} more" if more > 0 else "")


def _timeout_seconds(query: QueryParams) -> float:
    text = query.get("timeout")
    if text is None:
        return DEFAULT_TIMEOUT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MAX_TIMEOUT_SECONDS:
        raise Invalid(
            [
                Problem(
                    "timeout",
                    f"must be seconds from 0 to {MAX_TIMEOUT_SECONDS:g}, not {text[:40]!r}",
                )
            ]
        )
    return seconds
