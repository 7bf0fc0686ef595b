"""CloudFormation's functions of plain values; what a function cannot take is a ``Misused``."""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Callable, Mapping
from typing import Any

from weft.manifests.cloudformation.parameters import as_text

MAX_TEXT = 1024 * 1024


class Misused(ValueError):
    """The arguments are not what the function takes; the message says what it does."""


def text(value: Any, what: str) -> str:
    if isinstance(value, str | int | float):
        return as_text(value)
    named = "a list" if isinstance(value, list) else "null" if value is None else "an object"
    raise Misused(f"{what} must be a text, not {named}")


def join(value: Any) -> str:
    match value:
        case [str(delimiter), list(items)]:
            joined = delimiter.join(text(each, "each item of the list") for each in items)
            return bounded(joined)
        case _:
            raise Misused("takes [DELIMITER, [TEXT, …]]")


def bounded(made: str) -> str:
    if len(made) > MAX_TEXT:
        raise Misused(f"makes a text of more than {MAX_TEXT} characters")
    return made


def split(value: Any) -> list[str]:
    match value:
        case [str(delimiter), (str() | int() | float()) as source] if delimiter:
            return as_text(source).split(delimiter)
        case _:
            raise Misused("takes [DELIMITER, TEXT]")


def select(value: Any) -> Any:
    match value:
        case [(int() | str()) as index, list(items)] if not isinstance(index, bool):
            if not str(index).isdecimal():
                raise Misused(f"takes [INDEX, [VALUE, …]], and {index!r:.40} is no index")
            if int(index) >= len(items):
                raise Misused(f"cannot select value at index {index} of {len(items)}")
            return items[int(index)]
        case _:
            raise Misused("takes [INDEX, [VALUE, …]]")


def base64_of(value: Any) -> str:
    return base64.b64encode(text(value, "its argument").encode()).decode()


def length(value: Any) -> int:
    if not isinstance(value, list):
        raise Misused("takes a list")
    return len(value)


def to_json_string(value: Any) -> str:
    if not isinstance(value, list | dict):
        raise Misused("takes an object or a list")
    return bounded(json.dumps(value, separators=(",", ":")))


def cidr(value: Any) -> list[str]:
    match value:
        case [str(block), count] | [str(block), count, _]:
            bits = value[2] if len(value) == 3 else 8
        case _:
            raise Misused("takes [IP BLOCK, COUNT, CIDR BITS]")
    if not str(count).isdecimal() or not 1 <= int(count) <= 256:
        raise Misused(f"makes 1 to 256 blocks, not {count!r:.40}")
    try:
        network = ipaddress.ip_network(block, strict=False)
    except ValueError:
        raise Misused(f"{block!r:.60} is no block of addresses such as 10.0.0.0/16") from None
    prefix = network.max_prefixlen - int(bits) if str(bits).isdecimal() else -1
    if not network.prefixlen <= prefix <= network.max_prefixlen:
        raise Misused(f"{bits!r:.40} bits do not fit into {block}")
    if 2 ** (prefix - network.prefixlen) < int(count):
        raise Misused(f"{block} has no room for {count} blocks of {bits} bits")
    subnets = network.subnets(new_prefix=prefix)
    return [str(next(subnets)) for _ in range(int(count))]


def availability_zones(region: Any, default: str) -> list[str]:
    name = text(region, "its argument") or default
    return [f"{name}{zone}" for zone in "abc"]


def contains(value: Any) -> bool:
    match value:
        case [list(items), item]:
            return as_text(item) in [as_text(each) for each in items]
        case _:
            raise Misused("takes [[TEXT, …], TEXT]")


def each_member_equals(value: Any) -> bool:
    match value:
        case [list(items), item]:
            return all(as_text(each) == as_text(item) for each in items)
        case _:
            raise Misused("takes [[TEXT, …], TEXT]")


def each_member_in(value: Any) -> bool:
    match value:
        case [list(items), list(known)]:
            return {as_text(each) for each in items} <= {as_text(each) for each in known}
        case _:
            raise Misused("takes [[TEXT, …], [TEXT, …]]")


PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "Fn::Base64": base64_of,
    "Fn::Cidr": cidr,
    "Fn::Join": join,
    "Fn::Length": length,
    "Fn::Select": select,
    "Fn::Split": split,
    "Fn::ToJsonString": to_json_string,
}
"""Those that need nothing but their arguments."""

OF_RULES: Mapping[str, Callable[[Any], bool]] = {
    "Fn::Contains": contains,
    "Fn::EachMemberEquals": each_member_equals,
    "Fn::EachMemberIn": each_member_in,
}
"""Those that only assertions and conditions of rules may use."""
