"""
The HTTP edge: one ASGI application in front of every API surface.

Whatever happens to a request happens here once: caller checked, path resolved,
errors worded for the surface, request id in every answer and in the log.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from weft.api import auth, errors
from weft.api.appmesh.handlers import routes as appmesh_routes
from weft.api.exchange import Answer, Call
from weft.api.parts import Parts
from weft.api.routing import Route, Router
from weft.api.weft.routes import routes as weft_routes
from weft.clock import Clock
from weft.errors import WeftError

log = structlog.get_logger(__name__)


def app(parts: Parts) -> ASGIApp:
    """Every surface of the API, as one application."""
    return Edge([*appmesh_routes(parts), *weft_routes(parts)], parts.clock)


class Edge:
    """ASGI on one side, calls and answers on the other."""

    def __init__(self, routes: Iterable[Route], clock: Clock) -> None:
        self._router = Router(routes)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await _lifespan(receive, send)
            case _:  # A WebSocket: there are none here.
                await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id, began = self._clock.uid(), self._clock.monotonic()
        raw_path: bytes = scope["raw_path"]
        try:
            given = await self._answer(request_id, scope, receive)
        except WeftError as error:
            if error.status >= 500:
                log.warning("request failed", request_id=request_id, reason=error.message)
            given = errors.answer_to(error, raw_path)
        except Exception:  # the edge of the process: the caller gets an answer, the log the cause
            log.exception(
                "request failed",
                request_id=request_id,
                method=scope["method"],
                path=raw_path.decode("latin-1"),
            )
            given = errors.answer_to(errors.internal(request_id), raw_path)
        log.debug(
            "request",
            request_id=request_id,
            method=scope["method"],
            path=raw_path.decode("latin-1"),
            status=given.status,
            ms=round((self._clock.monotonic() - began) * 1000, 2),
        )
        await _send(send, given, request_id)

    async def _answer(self, request_id: str, scope: Scope, receive: Receive) -> Answer:
        auth.check_caller(scope)
        method: str = scope["method"]
        if method == "OPTIONS":
            allow = ", ".join(self._router.allowed(scope["raw_path"]))
            return Answer(status=204, headers={"allow": allow})
        handler, labels = self._router.find(method, scope["raw_path"])
        return await handler(Call(request_id, auth.author(scope), scope, receive, labels))


async def _send(send: Send, given: Answer, request_id: str) -> None:
    headers = [
        (b"x-amzn-requestid", request_id.encode("ascii")),
        # Answers are about now; nobody keeps them.
        (b"cache-control", b"no-store"),
        *(
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in given.headers.items()
        ),
    ]
    if given.status != 204:
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", str(len(given.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": given.status, "headers": headers})
    await send({"type": "http.response.body", "body": given.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
