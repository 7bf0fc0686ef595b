"""The log of revisions: who changed what, and how to undo it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from weft.api.exchange import Answer, Call, answer, flag, whole_number
from weft.api.parts import Parts
from weft.api.weft.documents import differences, moment
from weft.errors import Invalid, Problem
from weft.store.change import Change

_PAGE = 50
_LARGEST_PAGE = 1000
_TOLD_BY_STACKS = "cloudformation/"
"""Documents with whole templates and secret parameters in them; weft stack shows what matters."""


class Changes:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store

    async def list_changes(self, call: Call) -> Answer:
        query = call.known_query("limit", "before", "all")
        limit = whole_number(query, "limit", default=_PAGE, least=1, most=_LARGEST_PAGE)
        before = whole_number(query, "before", default=0, least=1) if "before" in query else None
        found = await self._store.changes(
            limit=limit + 1, before=before, registry=flag(query, "all")
        )
        # A change may have thousands of entries, and proxies are served meanwhile.
        return await asyncio.to_thread(_page, found, limit)

    async def describe(self, call: Call) -> Answer:
        call.known_query()
        change = await self._store.change(_revision(call))
        return await asyncio.to_thread(_whole, change)

    async def revert(self, call: Call) -> Answer:
        call.known_query()
        applied = await self._store.revert(_revision(call), call.author)
        return answer(
            {
                "revision": applied.revision,
                "outcomes": [
                    {"key": str(each.key), "action": each.action.value} for each in applied.outcomes
                ],
            },
            revision=applied.revision,
        )


def _page(found: Sequence[Change], limit: int) -> Answer:
    shown = found[:limit]
    following = shown[-1].revision if len(found) > limit else None
    return answer({"changes": [summary(each) for each in shown], "next": following})


def _whole(change: Change) -> Answer:
    document = summary(change)
    for shown, entry in zip(document["entries"], change.entries, strict=True):
        hidden = entry.id.startswith(_TOLD_BY_STACKS)
        shown["before"] = None if hidden else entry.before
        shown["after"] = None if hidden else entry.after
    return answer(document)


def summary(change: Change) -> dict[str, Any]:
    return {
        "revision": change.revision,
        "at": moment(change.at),
        "author": change.author.name,
        "client": change.author.client,
        "note": change.note,
        "entries": [
            {
                "id": entry.id,
                "action": entry.action.value,
                "differences": (
                    [] if entry.id.startswith(_TOLD_BY_STACKS) else differences(entry.differences)
                ),
            }
            for entry in change.entries
        ],
    }


def _revision(call: Call) -> int:
    text = call.labels["revision"]
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Invalid([Problem("revision", f"must be a whole number, not {text[:40]!r}")])
    return int(text)
