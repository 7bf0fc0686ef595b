"""What the 38 operations do: one handler for each verb, whatever the kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from weft.api.appmesh import inputs, shapes
from weft.api.appmesh.operations import OPERATIONS, PREFIX, Operation, Verb
from weft.api.appmesh.pages import page
from weft.api.exchange import Answer, Call, answer
from weft.api.parts import Parts
from weft.api.routing import Route
from weft.errors import BadRequest, Forbidden, Invalid, NotFound, Problem
from weft.names import Arn, Key, Kind
from weft.store.change import Create, Delete, Step, Tag, Untag, Update
from weft.store.rules import Missing


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


class Handlers:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._account = parts.settings.account
        self._shapes = shapes.Shapes(parts.settings.region, parts.settings.account)

    # --- resources -----------------------------------------------------------------------

    async def create(self, operation: Operation, call: Call) -> Answer:
        kind = kind_of(operation)
        body = await call.json_object()
        found = self._path_problems(call)
        own_name = shapes.name_member(kind)
        in_path = inputs.parents(kind)
        inputs.members(body, ("clientToken", own_name, "spec", "tags"), found, in_path=in_path)
        inputs.token(body, found)
        name = inputs.text(body, own_name, found)
        sent = inputs.spec(body, kind, found)
        tags = inputs.tags(body.get("tags"), found)
        step = None
        if name is not None and sent is not None:
            step = Create(shapes.key_of(kind, {**call.labels, own_name: name}), sent, tags)
        if found or step is None:
            await inputs.refuse(self._store, call.author, found, step, kind, sent)
        return await self._write(step, call, created=True)

    async def update(self, operation: Operation, call: Call) -> Answer:
        kind = kind_of(operation)
        body = await call.json_object()
        found = self._path_problems(call)
        in_path = (*inputs.parents(kind), shapes.name_member(kind))
        inputs.members(body, ("clientToken", "spec"), found, in_path=in_path)
        inputs.token(body, found)
        sent = inputs.spec(body, kind, found)
        step = None if sent is None else Update(shapes.key_of(kind, call.labels), sent)
        if found or step is None:
            await inputs.refuse(self._store, call.author, found, step, kind, sent)
        return await self._write(step, call)

    async def delete(self, operation: Operation, call: Call) -> Answer:
        self._check_path(call)
        return await self._write(
            Delete(shapes.key_of(kind_of(operation), call.labels)), call, deleted=True
        )

    async def describe(self, operation: Operation, call: Call) -> Answer:
        self._check_path(call)
        key = shapes.key_of(kind_of(operation), call.labels)
        found = self._store.state.resource(key)
        if found is None:
            raise self._missing(key)
        return answer(self._shapes.data(found))

    async def list_resources(self, operation: Operation, call: Call) -> Answer:
        self._check_path(call)
        kind, state = kind_of(operation), self._store.state
        parent = shapes.parent_of(kind, call.labels)
        if parent is not None and state.resource(parent) is None:
            raise self._missing(parent)
        chosen, token = page(
            state.children(parent, kind),
            lambda resource: resource.key.name,
            of=f"{parent or ''}/{kind}",
            query=call.query,
        )
        return answer(
            {shapes.WRAPPERS[kind]: [self._shapes.ref(each) for each in chosen]}
            | ({} if token is None else {"nextToken": token})
        )

    # --- tags ----------------------------------------------------------------------------

    async def list_tags(self, operation: Operation, call: Call) -> Answer:
        key = self._key_of_arn(call)
        found = self._store.state.resource(key)
        if found is None:
            raise self._missing(key)
        chosen, token = page(
            sorted(found.tags), lambda tag: tag[0], of=f"{key}/tags", query=call.query, most=50
        )
        return answer(
            {"tags": [{"key": name, "value": value} for name, value in chosen]}
            | ({} if token is None else {"nextToken": token})
        )

    async def tag(self, operation: Operation, call: Call) -> Answer:
        body = await call.json_object()
        key = self._key_of_arn(call)
        found: list[Problem] = []
        inputs.members(body, ("tags",), found, in_path=("resourceArn",))
        if body.get("tags") is None:
            found.append(Problem("tags", "is missing"))
        tags = inputs.tags(body.get("tags"), found)
        if found:
            raise Invalid(found)
        return await self._write_tags(Tag(key, tags), call)

    async def untag(self, operation: Operation, call: Call) -> Answer:
        body = await call.json_object()
        key = self._key_of_arn(call)
        found: list[Problem] = []
        inputs.members(body, ("tagKeys",), found, in_path=("resourceArn",))
        names = inputs.tag_keys(body.get("tagKeys"), found)
        if found:
            raise Invalid(found)
        return await self._write_tags(Untag(key, names), call)

    # --- what they share -----------------------------------------------------------------

    async def _write(
        self, step: Step, call: Call, *, created: bool = False, deleted: bool = False
    ) -> Answer:
        applied = await self._store.apply([step], call.author)
        resource = applied.outcomes[0].resource
        assert resource is not None, "a resource was written"
        content = self._shapes.data(resource, created=created, deleted=deleted)
        return answer(content, revision=applied.revision)

    async def _write_tags(self, step: Step, call: Call) -> Answer:
        applied = await self._store.apply([step], call.author)
        return answer({}, revision=applied.revision)

    def _path_problems(self, call: Call) -> list[Problem]:
        found = [
            Problem(label, "must be a name, not an ARN or a path")
            for label, value in call.labels.items()
            if "/" in value
        ]
        inputs.owner(call.query.get("meshOwner"), self._account, found)
        return found

    def _check_path(self, call: Call) -> None:
        if found := self._path_problems(call):
            raise Invalid(found)

    def _key_of_arn(self, call: Call) -> Key:
        text = call.query.get("resourceArn")
        if not text:
            raise Invalid([Problem("resourceArn", "is missing")])
        try:
            arn = Arn.parse(text)
        except BadRequest as error:
            raise Invalid([Problem("resourceArn", error.message)], fix=error.fix) from None
        if arn.account != self._account:
            raise Forbidden(
                f"account {self._account} has no access to resources of account {arn.account}"
            )
        return arn.key

    def _missing(self, key: Key) -> NotFound:
        """The outermost thing that is missing says most: no mesh, rather than no route."""
        state = self._store.state
        while key.parent is not None and state.resource(key.parent) is None:
            key = key.parent
        return NotFound(str(Missing(key, self._account)))


def kind_of(operation: Operation) -> Kind:
    assert operation.kind is not None, f"{operation.name} is about one kind"
    return operation.kind
