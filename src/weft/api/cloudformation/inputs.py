"""The members of a request, read from texts; the Query protocol knows no other values."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from weft.api.cloudformation.refusals import ValidationError
from weft.manifests.cloudformation.parameters import Given, Previous

Members = Mapping[str, Any]
T = TypeVar("T")

PAGE = 100
MAX_TAGS = 50
MAX_TEMPLATE = 1024 * 1024
_STACK_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")
_ARN = re.compile(r"arn:[-a-zA-Z0-9:/._+]{1,1000}")


def text(members: Members, name: str, default: str = "") -> str:
    value = members.get(name, default)
    if not isinstance(value, str):
        raise ValidationError(f"{name} must be a text")
    return value


def needed(members: Members, name: str) -> str:
    found = text(members, name)
    if not found:
        raise ValidationError(
            f"1 validation error detected: Value null at '{name[0].lower()}{name[1:]}' failed to "
            "satisfy constraint: Member must not be null"
        )
    return found


def flag(members: Members, name: str) -> bool:
    match text(members, name).lower():
        case "" | "false":
            return False
        case "true":
            return True
        case other:
            raise ValidationError(f"{name} must be true or false, not {other[:40]!r}")


def listed(members: Members, name: str) -> list[Any]:
    """A list; one that is empty arrives as an empty text."""
    value = members.get(name, [])
    if value == "":
        return []
    if not isinstance(value, list):
        raise ValidationError(f"{name} must be a list")
    return value


def texts(members: Members, name: str) -> tuple[str, ...]:
    found = listed(members, name)
    if not all(isinstance(each, str) for each in found):
        raise ValidationError(f"{name} must be a list of texts")
    return tuple(found)


def given_texts(members: Members, name: str) -> tuple[str, ...] | None:
    """None where the member is not given."""
    return texts(members, name) if name in members else None


def stack_name(members: Members, name: str = "StackName") -> str:
    """A name or an id."""
    found = needed(members, name)
    if not (_STACK_NAME.fullmatch(found) or _ARN.fullmatch(found)):
        raise ValidationError(
            f"1 validation error detected: Value '{found[:150]}' at 'stackName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: "
            "[a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*"
        )
    return found


def parameters(members: Members) -> Given:
    found: dict[str, str | Previous] = {}
    for each in listed(members, "Parameters"):
        if not isinstance(each, Mapping):
            raise ValidationError("Parameters must be a list of objects")
        key = needed(each, "ParameterKey")
        if key in found:
            raise ValidationError(f"Parameter {key} is given twice")
        if flag(each, "UsePreviousValue"):
            if "ParameterValue" in each:
                raise ValidationError(
                    f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as "
                    "true and non empty value for a parameter"
                )
            found[key] = Previous()
        elif "ParameterValue" in each:
            found[key] = text(each, "ParameterValue")
    return found


def tags(members: Members) -> dict[str, str] | None:
    """None where none are given."""
    if "Tags" not in members:
        return None
    found: dict[str, str] = {}
    for each in listed(members, "Tags"):
        if not isinstance(each, Mapping):
            raise ValidationError("Tags must be a list of objects")
        key = needed(each, "Key")
        if key.lower().startswith("aws:"):
            raise ValidationError("aws: prefixed tag key names are not allowed for external use.")
        if len(key) > 128 or len(text(each, "Value")) > 256:
            raise ValidationError("A tag's key has at most 128 characters, its value 256")
        if key in found:
            raise ValidationError(f"Tag {key} is given twice")
        found[key] = text(each, "Value")
    if len(found) > MAX_TAGS:
        raise ValidationError(f"A stack carries at most {MAX_TAGS} tags, not {len(found)}")
    return found


def template_body(members: Members) -> str | None:
    """The template that the request holds; None when it holds none."""
    body = text(members, "TemplateBody")
    if text(members, "TemplateURL"):
        raise ValidationError(
            "TemplateURL names a place in S3, and there is no S3 here",
            fix="send it as TemplateBody (--template-body file://…, deploy without --s3-bucket), "
            "or use weft apply -f",
        )
    if len(body) > MAX_TEMPLATE:
        raise ValidationError(
            f"1 validation error detected: Value at 'templateBody' failed to satisfy constraint: "
            f"Member must have length less than or equal to {MAX_TEMPLATE}"
        )
    return body or None


def token(members: Members, name: str = "ClientRequestToken") -> str:
    found = text(members, name)
    if found and not re.fullmatch(r"[a-zA-Z0-9-]{1,128}", found):
        raise ValidationError(f"{name} has 1 to 128 letters, digits and hyphens")
    return found


def page(items: Sequence[T], members: Members, size: int = PAGE) -> tuple[Sequence[T], str | None]:
    """One page of a list that only grows at its front or back, and the token of the next."""
    token = text(members, "NextToken")
    start = 0
    if token:
        try:
            start = int(base64.urlsafe_b64decode(token.encode()).decode().removeprefix("from:"))
        except (binascii.Error, ValueError):
            raise ValidationError("NextToken is not one of ours") from None
        if not 0 <= start <= 10_000_000:
            raise ValidationError("NextToken is not one of ours")
    chosen = items[start : start + size]
    end = start + size
    following = base64.urlsafe_b64encode(f"from:{end}".encode()).decode()
    return chosen, following if end < len(items) else None
