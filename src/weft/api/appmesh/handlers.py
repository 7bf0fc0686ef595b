"""What the 38 operations do: one handler for each verb, whatever the kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from weft.api.appmesh import accounts, inputs, shapes
from weft.api.appmesh.operations import OPERATIONS, PREFIX, Operation, Verb
from weft.api.appmesh.pages import page
from weft.api.exchange import Answer, Call, answer
from weft.api.parts import Parts
from weft.api.routing import Route
from weft.errors import BadRequest, Forbidden, Invalid, NotFound, Problem
from weft.model.meta import Resource
from weft.names import Arn, Key, Kind
from weft.store import ownership
from weft.store.change import Create, Delete, Step, Tag, Untag, Update
from weft.store.rules import Missing, outermost
from weft.store.tokens import Token


def routes(parts: Parts) -> list[Route]:
    """All 38 operations, bound to what they work with."""
    handlers = Handlers(parts)
    by_verb: Mapping[Verb, Callable[[Operation, Call], Awaitable[Answer]]] = {
        Verb.CREATE: handlers.create,
        Verb.DESCRIBE: handlers.describe,
        Verb.UPDATE: handlers.update,
        Verb.DELETE: handlers.delete,
        Verb.LIST: handlers.list_resources,
        Verb.LIST_TAGS: handlers.list_tags,
        Verb.TAG: handlers.tag,
        Verb.UNTAG: handlers.untag,
    }
    return [
        Route(each.method, PREFIX + each.path, partial(by_verb[each.verb], each))
        for each in OPERATIONS
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What every request says besides its body."""

    caller: str
    """The account."""
    owner: str | None
    """The ``meshOwner`` given."""
    labels: Mapping[str, str]
    """The names in the path, that of the mesh as keys have it."""
    problems: list[Problem]


class Handlers:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._account = parts.settings.account
        self._shapes = shapes.Shapes(parts.settings.region, parts.settings.account)

    # --- resources -----------------------------------------------------------------------

    async def create(self, operation: Operation, call: Call) -> Answer:
        kind = kind_of(operation)
        body = await call.json_object()
        asked = self._asked(operation, call)
        found = asked.problems
        own_name = shapes.name_member(kind)
        in_path = inputs.parents(kind)
        inputs.members(body, ("clientToken", own_name, "spec", "tags"), found, in_path=in_path)
        token = inputs.token(body, found)
        name = inputs.text(body, own_name, found)
        sent = inputs.spec(body, kind, found)
        tags = inputs.tags(body.get("tags"), found)
        step = None
        if name is not None and sent is not None:
            if kind is Kind.MESH:
                name = accounts.mesh_named(name, None, asked.caller, self._account, found)
            step = Create(shapes.key_of(kind, {**asked.labels, own_name: name}), sent, tags)
        if found or step is None:
            await inputs.refuse(self._store, call.author, found, step, kind, sent, asked.caller)
        remembered = self._token(operation, asked, step.key, token, body)
        return await self._write(step, call, asked, remembered, created=True)

    async def update(self, operation: Operation, call: Call) -> Answer:
        kind = kind_of(operation)
        body = await call.json_object()
        asked = self._asked(operation, call)
        found = asked.problems
        in_path = (*inputs.parents(kind), shapes.name_member(kind))
        inputs.members(body, ("clientToken", "spec"), found, in_path=in_path)
        token = inputs.token(body, found)
        sent = inputs.spec(body, kind, found)
        step = None if sent is None else Update(shapes.key_of(kind, asked.labels), sent)
        if found or step is None:
            await inputs.refuse(self._store, call.author, found, step, kind, sent, asked.caller)
        return await self._write(
            step, call, asked, self._token(operation, asked, step.key, token, body)
        )

    async def delete(self, operation: Operation, call: Call) -> Answer:
        asked = self._asked(operation, call, refuse=True)
        step = Delete(shapes.key_of(kind_of(operation), asked.labels))
        return await self._write(step, call, asked, deleted=True)

    async def describe(self, operation: Operation, call: Call) -> Answer:
        asked = self._asked(operation, call, refuse=True)
        return answer(
            self._shapes.data(self._visible(shapes.key_of(kind_of(operation), asked.labels), asked))
        )

    async def list_resources(self, operation: Operation, call: Call) -> Answer:
        asked = self._asked(operation, call, refuse=True)
        kind, state = kind_of(operation), self._store.state
        parent = shapes.parent_of(kind, asked.labels)
        names: Sequence[str]
        if parent is None:
            names = ownership.visible_meshes(state, asked.caller, self._account)
        else:
            self._visible(parent, asked)
            names = state.names(parent, kind)
        chosen, token = page(
            names,
            # Of two meshes of one name the owner decides; no name has a NUL.
            lambda name: name.replace("@", "\0") if parent is None else name,
            of=f"{parent or asked.caller}/{kind}",
            query=call.query,
        )
        resources = [state.resource(_key(parent, kind, name)) for name in chosen]
        return answer(
            {shapes.WRAPPERS[kind]: [self._shapes.ref(each) for each in resources if each]}
            | ({} if token is None else {"nextToken": token})
        )

    # --- tags ----------------------------------------------------------------------------

    async def list_tags(self, operation: Operation, call: Call) -> Answer:
        asked = self._asked(operation, call, refuse=True)
        key = self._key_of_arn(call, asked)
        chosen, token = page(
            sorted(self._visible(key, asked).tags),
            lambda tag: tag[0],
            of=f"{key}/tags",
            query=call.query,
            most=50,
        )
        return answer(
            {"tags": [{"key": name, "value": value} for name, value in chosen]}
            | ({} if token is None else {"nextToken": token})
        )

    async def tag(self, operation: Operation, call: Call) -> Answer:
        body = await call.json_object()
        asked = self._asked(operation, call, refuse=True)
        key = self._key_of_arn(call, asked)
        found: list[Problem] = []
        inputs.members(body, ("tags",), found, in_path=("resourceArn",))
        if body.get("tags") is None:
            found.append(Problem("tags", "is missing"))
        tags = inputs.tags(body.get("tags"), found)
        if found:
            raise Invalid(found)
        return await self._write_tags(Tag(key, tags), call, asked)

    async def untag(self, operation: Operation, call: Call) -> Answer:
        body = await call.json_object()
        asked = self._asked(operation, call, refuse=True)
        key = self._key_of_arn(call, asked)
        found: list[Problem] = []
        inputs.members(body, ("tagKeys",), found, in_path=("resourceArn",))
        names = inputs.tag_keys(body.get("tagKeys"), found)
        if found:
            raise Invalid(found)
        return await self._write_tags(Untag(key, names), call, asked)

    # --- what they share -----------------------------------------------------------------

    async def _write(
        self,
        step: Step,
        call: Call,
        asked: Asked,
        token: Token | None = None,
        *,
        created: bool = False,
        deleted: bool = False,
    ) -> Answer:
        applied = await self._store.apply([step], call.author, caller=asked.caller, token=token)
        resource = applied.outcomes[0].resource
        assert resource is not None, "a resource was written"
        content = self._shapes.data(resource, created=created, deleted=deleted)
        return answer(content, revision=applied.revision)

    async def _write_tags(self, step: Step, call: Call, asked: Asked) -> Answer:
        applied = await self._store.apply([step], call.author, caller=asked.caller)
        return answer({}, revision=applied.revision)

    def _asked(self, operation: Operation, call: Call, *, refuse: bool = False) -> Asked:
        """What the path and the query say; Invalid at once when there is no body to be read, too."""
        query = call.query
        found = [
            Problem(name, "is given more than once")
            for name in operation.query
            if len(query.getlist(name)) > 1
        ]
        for label, value in call.labels.items():
            found += inputs.label_problems(label, value)
        caller = accounts.caller_account(call)
        owner = None
        if "meshOwner" in operation.query:
            owner = accounts.owner_given(query.get("meshOwner"), found)
        labels = dict(call.labels)
        if (name := labels.get("meshName")) is not None:
            labels["meshName"] = accounts.mesh_named(name, owner, caller, self._account, found)
        if refuse and found:
            raise Invalid(found)
        return Asked(caller, owner, labels, found)

    def _token(
        self,
        operation: Operation,
        asked: Asked,
        key: Key,
        token: str | None,
        body: Mapping[str, Any],
    ) -> Token | None:
        if token is None:
            return None
        fingerprint = inputs.fingerprint(body, asked.owner)
        return Token(asked.caller, operation.name, key, token, fingerprint)

    def _visible(self, key: Key, asked: Asked) -> Resource:
        """A resource that the caller may see."""
        state = self._store.state
        ownership.check_mesh(state, key.mesh, asked.caller, self._account)
        found = state.resource(key)
        if found is None:
            raise NotFound(str(Missing(outermost(state, key), self._account)))
        return found

    def _key_of_arn(self, call: Call, asked: Asked) -> Key:
        text = call.query.get("resourceArn")
        if not text:
            raise Invalid([Problem("resourceArn", "is missing")])
        try:
            arn = Arn.parse(text)
        except BadRequest as error:
            raise Invalid([Problem("resourceArn", error.message)], fix=error.fix) from None
        if "@" in arn.key.mesh:
            raise Invalid([Problem("resourceArn", "names a mesh with an @, which no mesh has")])
        if arn.account != asked.caller:
            raise Forbidden(
                f"account {asked.caller} has no access to the tags of resources "
                f"of account {arn.account}"
            )
        return accounts.key_of_arn(self._store.state, arn, self._account)


def _key(parent: Key | None, kind: Kind, name: str) -> Key:
    if parent is None:
        return Key.of_mesh(name)
    return Key(parent.mesh, kind, name, "" if parent.kind is Kind.MESH else parent.name)


def kind_of(operation: Operation) -> Kind:
    assert operation.kind is not None, f"{operation.name} is about one kind"
    return operation.kind
