"""Credentials over the API: made, listed, revoked, by an admin."""

from __future__ import annotations

from weft.api.exchange import Answer, Call, answer, unknown_members
from weft.api.parts import Parts
from weft.errors import Invalid
from weft.identity.told import told, told_once
from weft.identity.wanted import MEMBERS, wanted


class Tokens:
    def __init__(self, parts: Parts) -> None:
        self._credentials = parts.credentials
        self._clock = parts.clock
        self._account = parts.settings.account

    async def create(self, call: Call) -> Answer:
        call.known_query()
        body = await call.json_object()
        if found := list(unknown_members(body, MEMBERS)):
            raise Invalid(found)
        issued = await self._credentials.create(
            wanted(body, self._account), call.author.name, self._clock
        )
        return answer(told_once(issued, self._clock.now()))

    async def list_tokens(self, call: Call) -> Answer:
        call.known_query()
        now = self._clock.now()
        own = call.caller.credential if call.caller.known else None
        tokens = [{**told(each, now), "yours": each.id == own} for each in self._credentials.all()]
        return answer({"tokens": tokens})

    async def revoke(self, call: Call) -> Answer:
        call.known_query()
        gone = await self._credentials.revoke(call.labels["name"])
        return answer(told(gone, self._clock.now()))
