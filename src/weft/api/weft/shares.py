"""Which accounts a mesh is shared with; App Mesh left this to another service (RAM)."""

from __future__ import annotations

from weft.api.appmesh import accounts, inputs
from weft.api.exchange import Answer, Call, answer
from weft.api.parts import Parts
from weft.api.weft.documents import moment
from weft.errors import Invalid, NotFound, Problem
from weft.names import Key, owner_of
from weft.store import document
from weft.store.change import Expect, Keep
from weft.store.ownership import SHARES, check_mesh, share_name, shares
from weft.store.rules import Missing


class Shares:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._clock = parts.clock
        self._account = parts.settings.account

    async def list_shares(self, call: Call) -> Answer:
        call.known_query()
        caller, mesh = self._asked(call)
        state = self._store.state
        check_mesh(state, mesh, caller, self._account)
        if state.resource(Key.of_mesh(mesh)) is None:
            raise NotFound(str(Missing(Key.of_mesh(mesh), self._account)))
        found = []
        for account in shares(state, mesh):
            share = state.document(SHARES, share_name(mesh, account)) or {}
            found.append({"account": account, "sharedAt": moment(document.moment(share["at"]))})
        return answer({"revision": state.revision, "shares": found})

    async def share(self, call: Call) -> Answer:
        call.known_query()
        body = await call.json_object()
        caller, mesh = self._asked(call)
        found: list[Problem] = []
        inputs.members(body, ("account",), found)
        account = _account(body.get("account"), found)
        if account == owner_of(mesh, self._account):
            found.append(Problem("account", "owns the mesh"))
        if found or account is None:
            raise Invalid(found)
        name = share_name(mesh, account)
        # Shared again it stays shared since the first time.
        since = {"at": document.milliseconds(self._clock.now())}
        kept = self._store.state.document(SHARES, name) or since
        applied = await self._store.apply([Keep(SHARES, name, kept)], call.author, caller=caller)
        return answer({"revision": applied.revision}, revision=applied.revision)

    async def unshare(self, call: Call) -> Answer:
        call.known_query()
        caller, mesh = self._asked(call)
        step = Keep(SHARES, share_name(mesh, call.labels["account"]), None, Expect.PRESENT)
        applied = await self._store.apply([step], call.author, caller=caller)
        return answer({"revision": applied.revision}, revision=applied.revision)

    def _asked(self, call: Call) -> tuple[str, str]:
        caller = accounts.caller_account(call)
        return caller, accounts.mesh_said(call, call.labels["mesh"], self._account)


def _account(value: object, found: list[Problem]) -> str | None:
    if isinstance(value, str) and len(value) == 12 and value.isascii() and value.isdecimal():
        return value
    what = "is missing" if value is None else "must be 12 digits"
    found.append(Problem("account", what))
    return None
