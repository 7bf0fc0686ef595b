"""awsJson 1.0 and 1.1: one path, the operation in X-Amz-Target, JSON in and out."""

from __future__ import annotations

import json
from collections.abc import Mapping

from weft.api.exchange import Answer, Call
from weft.api.surfaces import Protocol, Reply, Surface
from weft.errors import BadRequest, Invalid, WeftError

CODES: Mapping[str, str] = {
    "BadRequestException": "ValidationException",
    "ForbiddenException": "AccessDeniedException",
    "NotFoundException": "ResourceNotFoundException",
    "InternalServerErrorException": "InternalFailure",
    "ServiceUnavailableException": "ServiceUnavailable",
}
"""What the protocol calls our errors; a surface may have words of its own."""


class NotJson(BadRequest):
    """The body cannot be read."""

    code = "SerializationException"


async def answered(surface: Surface, operation: str, call: Call) -> Answer:
    """Let the surface do what is asked."""
    try:
        members = await call.json_object(most_bytes=surface.most_bytes)
    except BadRequest as error:
        raise NotJson(error.message, fix=error.fix) from None
    reply = await surface.operations[operation](call, members)
    return encoded(reply, surface)


def encoded(reply: Reply, surface: Surface) -> Answer:
    body = json.dumps(reply.members or {}, separators=(",", ":")).encode()
    headers = {} if reply.revision is None else {"x-weft-revision": str(reply.revision)}
    return Answer(body, headers=headers, content_type=surface.protocol.content_type)


def refused(
    error: WeftError, surface: Surface | None, protocol: Protocol = Protocol.AWS_JSON_1_1
) -> Answer:
    """An error as the SDKs read it, with the same words twice: some read the header, some the body."""
    code = (surface and surface.code(error)) or CODES.get(error.code, error.code)
    body: dict[str, object] = {**error.members, "__type": code, "message": error.message}
    if isinstance(error, Invalid):
        body["problems"] = [{"path": each.path, "message": each.message} for each in error.problems]
    if error.fix:
        body["fix"] = error.fix
    return Answer(
        json.dumps(body, separators=(",", ":")).encode(),
        status_of(error),
        {"x-amzn-ErrorType": code},
        surface.protocol.content_type if surface else protocol.content_type,
    )


def status_of(error: WeftError) -> int:
    """These protocols know no other status of a caller's mistake than 400, and 403 at the door."""
    return error.status if error.status == 403 or error.status >= 500 else 400
