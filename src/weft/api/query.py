"""
AWS Query: one path, a form in, XML out.

A form is flat and its names have dots: ``Parameters.member.1.ParameterKey=Port``.
It is decoded without the service's model, so every leaf is text, and an empty list,
which clients send as ``Parameters=``, arrives as an empty text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from weft.api.awsjson import status_of
from weft.api.exchange import Answer, Call
from weft.api.surfaces import Protocol, Reply, Surface
from weft.errors import BadRequest, Invalid, WeftError

CODES: Mapping[str, str] = {
    "AccessDeniedException": "AccessDenied",
    "BadRequestException": "ValidationError",
    "ExpiredTokenException": "ExpiredToken",
    "ForbiddenException": "AccessDenied",
    "IncompleteSignatureException": "IncompleteSignature",
    "InternalServerErrorException": "InternalFailure",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "NotFoundException": "ValidationError",
    "ServiceUnavailableException": "ServiceUnavailable",
    "UnknownOperationException": "InvalidAction",
    "UnrecognizedClientException": "InvalidClientTokenId",
}
"""What the protocol calls our errors; a surface may have words of its own."""

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 10_000
_MOST_DOTS = 30
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML has no place for these, not even as references."""


class Malformed(BadRequest):
    """The form cannot be read."""

    code = "MalformedQueryString"


async def fields(call: Call, most_bytes: int) -> dict[str, str]:
    """The form, from the query string and the body; a name that is given twice is refused."""
    body = b"" if call.scope["method"] == "GET" else await call.body(most_bytes=most_bytes)
    found: dict[str, str] = {}
    for text in (call.scope["query_string"], body):
        for name, value in _pairs(text):
            if name in found:
                raise Malformed(f"{name[:100]!r} is given twice")
            found[name] = value
    return found


def _pairs(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except UnicodeError:
        raise Malformed("the form is not UTF-8 in percent-encoding") from None
    except ValueError:
        raise Malformed(f"the form has more than {MOST_FIELDS} fields") from None


async def answered(
    surface: Surface, operation: str, call: Call, form: Mapping[str, str], request_id: str
) -> Answer:
    """Let the surface do what is asked."""
    reply = await surface.operations[operation](call, members(form))
    return encoded(reply, surface, operation, request_id)


def members(form: Mapping[str, str]) -> dict[str, Any]:
    """The input of an operation: names with dots become objects, ``member.N`` lists."""
    tree: dict[str, Any] = {}
    for name, value in form.items():
        if name in ("Action", "Version") or name.startswith("X-Amz-"):
            continue
        *way, last = name.split(".")
        if len(way) > _MOST_DOTS:
            raise Malformed(f"{name[:100]!r} is nested too deeply")
        branch = tree
        for segment in way:
            branch = branch.setdefault(segment, {})
            if not isinstance(branch, dict):
                raise Malformed(f"{name[:100]!r} is below a field that has a value")
        if last in branch:
            raise Malformed(f"{name[:100]!r} has a value, and fields below it")
        branch[last] = value
    found = _lists(tree, "")
    assert isinstance(found, dict)
    return found


def _lists(value: Any, at: str) -> Any:
    if not isinstance(value, dict):
        return value
    if at and set(value) == {"member"}:
        items = value["member"]
        if not isinstance(items, dict):
            raise Malformed(f"{at}.member has no number")
        numbers: dict[int, str] = {}
        for key in items:
            if not (key.isascii() and key.isdecimal() and len(key) < 10) or int(key) in numbers:
                raise Malformed(f"{at}.member.{key[:40]} is not numbered as a list is")
            numbers[int(key)] = key
        return [_lists(items[numbers[n]], f"{at}.member.{n}") for n in sorted(numbers)]
    return {key: _lists(each, f"{at}.{key}" if at else key) for key, each in value.items()}


def encoded(reply: Reply, surface: Surface, operation: str, request_id: str) -> Answer:
    result = ""
    if reply.members is not None:
        result = f"<{operation}Result>{''.join(_xml(reply.members))}</{operation}Result>"
    text = (
        f'<{operation}Response xmlns="{escape(surface.namespace)}">{result}'
        f"<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>"
        f"</{operation}Response>"
    )
    headers = {} if reply.revision is None else {"x-weft-revision": str(reply.revision)}
    return Answer(text.encode(), headers=headers, content_type=Protocol.QUERY.content_type)


def refused(error: WeftError, surface: Surface | None, request_id: str) -> Answer:
    """An error as the SDKs read it; what mends it goes into the message, the only place there is."""
    code = (surface and surface.code(error)) or CODES.get(error.code, error.code)
    words = error.message
    if error.fix and not isinstance(error, Invalid):
        words = f"{words} ({error.fix})"
    kind = "Receiver" if error.status >= 500 else "Sender"
    namespace = f' xmlns="{escape(surface.namespace)}"' if surface else ""
    text = (
        f"<ErrorResponse{namespace}><Error><Type>{kind}</Type><Code>{escape(code)}</Code>"
        f"<Message>{_text(words)}</Message></Error>"
        f"<RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    )
    return Answer(
        text.encode(),
        status_of(error),
        {"x-amzn-ErrorType": code},
        Protocol.QUERY.content_type,
    )


def _xml(value: Any) -> Iterator[str]:
    match value:
        case None:
            return
        case bool():
            yield "true" if value else "false"
        case Mapping():
            for name, each in value.items():
                if each is not None:
                    yield f"<{name}>"
                    yield from _xml(each)
                    yield f"</{name}>"
        case list() | tuple():
            for each in value:
                yield "<member>"
                yield from _xml(each)
                yield "</member>"
        case datetime():
            moment = value.astimezone(UTC)
            yield moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
        case _:
            yield _text(str(value))


def _text(text: str) -> str:
    # A bare carriage return would arrive as a line feed.
    return escape(_UNPRINTABLE.sub("\ufffd", text), {"\r": "&#13;"})
