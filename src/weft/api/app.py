"""
The HTTP edge: one ASGI application in front of every API surface.

Whatever happens to a request happens here once: web pages kept out, surface found,
caller let in, errors worded for the surface, request id in every answer and in the log.
"""

from __future__ import annotations

import asyncio

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from weft.api.acm.authorities import surface as acm_pca
from weft.api.acm.certificates import surface as acm
from weft.api.appmesh.handlers import routes as appmesh_routes
from weft.api.auth import Door
from weft.api.cloudformation.engine import Stacks
from weft.api.cloudformation.surface import surface as cloudformation
from weft.api.cloudmap.surface import surface as cloudmap
from weft.api.dispatch import Dispatch
from weft.api.exchange import Answer, Call
from weft.api.parts import Parts
from weft.api.sts.surface import surface as sts
from weft.api.surfaces import Rest, Surface
from weft.api.visitors import Visitors
from weft.api.weft.apply import MAX_BODY_BYTES as MAX_APPLIED_BYTES
from weft.api.weft.routes import routes as weft_routes
from weft.api.weft.stacks import routes as stack_routes
from weft.clock import Clock

log = structlog.get_logger(__name__)

_TAKEN_SECONDS = 60
"""How long a client may take to take its answer."""


def app(parts: Parts) -> ASGIApp:
    """Every surface of the API, as one application."""
    dispatch = Dispatch(surfaces(parts), Door.of(parts), Visitors.of(parts.settings))
    return Edge(dispatch, parts.clock)


def surfaces(parts: Parts) -> list[Surface | Rest]:
    """All there are, a row each."""
    stacks = Stacks(parts)
    return [
        Rest("appmesh", tuple(appmesh_routes(parts))),
        Rest("", (*weft_routes(parts), *stack_routes(stacks)), MAX_APPLIED_BYTES),
        acm(parts),
        acm_pca(parts),
        cloudmap(parts),
        cloudformation(stacks),
        sts(parts),
    ]


class Edge:
    """ASGI on one side, calls and answers on the other."""

    def __init__(self, dispatch: Dispatch, clock: Clock) -> None:
        self._dispatch = dispatch
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
        call = Call.of(request_id, scope, receive)
        given = await self._dispatch.answer(call)
        log.debug(
            "request",
            request_id=request_id,
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            author=call.author.name,
            status=given.status,
            ms=round((self._clock.monotonic() - began) * 1000, 2),
        )
        # Whoever does not take the answer must not keep it in our memory.
        async with asyncio.timeout(_TAKEN_SECONDS):
            await _send(send, given, call)


async def _send(send: Send, given: Answer, call: Call) -> None:
    headers = [
        (b"x-amzn-requestid", call.id.encode("ascii")),
        # Answers are about now; nobody keeps them.
        (b"cache-control", b"no-store"),
        *(
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in given.headers.items()
        ),
    ]
    if given.status != 204:
        headers.append((b"content-type", given.content_type.encode("latin-1")))
        headers.append((b"content-length", str(len(given.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": given.status, "headers": headers})
    await send({"type": "http.response.body", "body": given.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
