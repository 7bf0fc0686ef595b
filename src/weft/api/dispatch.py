"""From a request to the surface it means, through the door, and back in that surface's words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from weft.api import awsjson, errors, query
from weft.api.auth import Door
from weft.api.errors import UnknownOperation
from weft.api.exchange import Answer, Call
from weft.api.routing import Router
from weft.api.surfaces import Directory, Protocol, Rest, Surface
from weft.api.visitors import Visitors
from weft.errors import WeftError
from weft.identity.caller import Right

log = structlog.get_logger(__name__)


class UnknownService(UnknownOperation):
    """No surface here answers for a service."""

    def __init__(self, what: str, services: Iterable[str]) -> None:
        WeftError.__init__(
            self,
            f"this control plane does not answer for {what}; it answers for {', '.join(services)}",
        )


class NoSuchOperation(UnknownOperation):
    """A surface has no operation of that name."""

    def __init__(self, service: str, operation: str) -> None:
        WeftError.__init__(
            self, f"{service} has no operation {operation[:100] or 'without a name'} here"
        )


@dataclass(slots=True)
class _Way:
    """How a request wants to be answered, as far as it is known."""

    protocol: Protocol | None = None
    """None: a REST surface, told by the path."""
    surface: Surface | None = None

    def refused(self, error: WeftError, call: Call) -> Answer:
        match self.protocol:
            case None:
                return errors.answer_to(error, call.scope["raw_path"])
            case Protocol.QUERY:
                return query.refused(error, self.surface, call.id)
            case Protocol.AWS_JSON_1_0 | Protocol.AWS_JSON_1_1:
                return awsjson.refused(error, self.surface, self.protocol)


class Dispatch:
    """Knows every surface; answers every call, whatever happens."""

    def __init__(self, surfaces: Iterable[Surface | Rest], door: Door, visitors: Visitors) -> None:
        surfaces = list(surfaces)
        rests = [each for each in surfaces if isinstance(each, Rest)]
        self._router = Router(route for rest in rests for route in rest.routes)
        self._rest = {id(route): rest for rest in rests for route in rest.routes}
        named = [each for each in surfaces if isinstance(each, Surface)]
        self._directory = Directory(named)
        self._services = sorted(
            {*self._directory.services, *(r.service for r in rests if r.service)}
        )
        self._most_form_bytes = max(
            (each.most_bytes for each in named if each.protocol is Protocol.QUERY), default=0
        )
        self._door = door
        self._visitors = visitors

    async def answer(self, call: Call) -> Answer:
        """The answer, also where it is a refusal or a fault of ours."""
        way = _way(call)
        try:
            return await self._answer(call, way)
        except WeftError as error:
            if error.status >= 500:
                log.warning("request failed", request_id=call.id, reason=error.message)
            return way.refused(error, call)
        except Exception:  # the edge of the process: the caller gets an answer, the log the cause
            log.exception(
                "request failed",
                request_id=call.id,
                method=call.scope["method"],
                path=call.scope["raw_path"].decode("latin-1"),
            )
            return way.refused(errors.internal(call.id), call)

    async def _answer(self, call: Call, way: _Way) -> Answer:
        self._visitors.check(call.scope)
        match way.protocol:
            case None:
                return await self._rest_json(call)
            case Protocol.QUERY:
                return await self._query(call, way)
            case Protocol.AWS_JSON_1_0 | Protocol.AWS_JSON_1_1:
                return await self._aws_json(call, way)

    async def _rest_json(self, call: Call) -> Answer:
        method, raw_path = call.scope["method"], call.scope["raw_path"]
        if method == "OPTIONS":
            allow = ", ".join(self._router.allowed(raw_path))
            return Answer(status=204, headers={"allow": allow})
        found = self._router.find(method, raw_path)
        rest, call.labels = self._rest[id(found.route)], found.labels
        await self._door.let_in(call, rest.service, rest.most_bytes)
        self._door.allow(call, found.route.needs)
        return await found.route.handler(call)

    async def _aws_json(self, call: Call, way: _Way) -> Answer:
        target = call.header(b"x-amz-target") or ""
        surface, operation = self._directory.by_target(target)
        if surface is None:
            raise UnknownService(repr(target[:100]), self._services)
        way.surface, way.protocol = surface, surface.protocol
        await self._door.let_in(call, surface.service, surface.most_bytes)
        self._allow(call, surface, operation)
        return await awsjson.answered(surface, operation, call)

    async def _query(self, call: Call, way: _Way) -> Answer:
        claimed = self._door.claimed_service(call)
        surface = way.surface = self._directory.by_service(claimed) if claimed else None
        if claimed and surface is None:
            raise UnknownService(claimed, self._services)
        most_bytes = surface.most_bytes if surface else self._most_form_bytes
        await self._door.let_in(call, claimed or "", most_bytes)
        form = await query.fields(call, most_bytes)
        if surface is None:
            version = form.get("Version", "")
            surface = way.surface = self._directory.by_version(version)
            if surface is None:
                raise UnknownService(f"version {version[:40]!r} of any API", self._services)
        operation = form.get("Action", "")
        self._allow(call, surface, operation)
        return await query.answered(surface, operation, call, form, call.id)

    def _allow(self, call: Call, surface: Surface, operation: str) -> None:
        if operation not in surface.operations:
            raise NoSuchOperation(surface.service, operation)
        if operation in surface.public:
            right = Right.NONE
        else:
            right = Right.READ if surface.reads(operation) else Right.WRITE
        self._door.allow(call, right)


def _way(call: Call) -> _Way:
    """awsJson and Query have one path, the root; whatever else is there is REST."""
    scope = call.scope
    if scope["raw_path"] not in (b"/", b"") or scope["method"] not in ("POST", "GET"):
        return _Way()
    if scope["method"] == "POST":
        if call.header(b"x-amz-target") is not None:
            return _Way(Protocol.AWS_JSON_1_1)
        if (call.header(b"content-type") or "").startswith(query.FORM):
            return _Way(Protocol.QUERY)
    if b"Action=" in scope["query_string"]:
        return _Way(Protocol.QUERY)
    return _Way()
