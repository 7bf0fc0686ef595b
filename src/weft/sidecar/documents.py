"""
Files that are merged into the bootstrap, by the rules of the image's agent.

``tracing`` and ``stats_config`` may be said once; ``stats_sinks`` and the lists of
``static_resources`` are added up; any other member takes the place of the generated one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from weft.errors import BadRequest
from weft.sidecar.tracers import Texts

Json = dict[str, Any]
Parse = Callable[[str], Any]
"""Reads YAML; a ValueError says why it cannot."""

FILES = (
    "ENVOY_RESOURCES_CONFIG_FILE",
    "ENVOY_TRACING_CFG_FILE",
    "ENVOY_STATS_CONFIG_FILE",
    "ENVOY_STATS_SINKS_CFG_FILE",
)
WHOLE = "ENVOY_CONFIG_FILE"

_ONCE = ("tracing", "stats_config")
_LISTS = ("listeners", "clusters", "secrets")


@dataclass(frozen=True, slots=True)
class Document:
    """One file: the variable that names it, and what it says, members in snake case."""

    variable: str
    path: str
    content: Json


def no_yaml(_text: str) -> Any:
    """For a sidecar that is started without one who reads YAML."""
    raise ValueError("only JSON is read here")


def given(text: Texts, parse: Parse) -> tuple[Document, ...]:
    """The files that variables name; a BadRequest if one cannot be read or two say the same."""
    found = tuple(
        Document(variable, path, content)
        for variable in FILES
        if (path := text(variable)) and (content := _read(variable, path, parse)) is not None
    )
    for name in _ONCE:
        saying = [each for each in found if name in each.content]
        if len(saying) > 1:
            raise twice(name, saying[0].path, saying[1])
    return found


def whole(text: Texts, parse: Parse) -> Json | None:
    """A complete bootstrap; an empty file is none, since the image's agent filled such a one."""
    path = text(WHOLE)
    return _read(WHOLE, path, parse) if path else None


def twice(name: str, first: str, second: Document) -> BadRequest:
    """One thing that two places say."""
    return BadRequest(
        f"multiple {name} configurations: {first} and {second.variable} ({second.path})",
        fix="leave one of them out",
    )


def _read(variable: str, path: str, parse: Parse) -> Json | None:
    try:
        with open(path, encoding="utf-8") as file:
            written = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(
            f"{variable}: {path} cannot be read", fix="see that the file is there and readable"
        ) from error
    if not written.strip():
        return None
    try:
        content = _parsed(written, parse)
    except ValueError as error:
        raise BadRequest(f"{variable}: {path} is neither JSON nor YAML: {error}") from error
    if not isinstance(content, dict):
        raise BadRequest(
            f"{variable}: {path} does not hold a bootstrap",
            fix="its first level has names, as in static_resources",
        )
    found = _snake(content, variable, path)
    if wrong := next(_misshapen(found), None):
        raise BadRequest(
            f"{variable}: {wrong} of {path} has another form in a bootstrap",
            fix="see Envoy's documentation of config.bootstrap.v3.Bootstrap",
        )
    return found


def _parsed(written: str, parse: Parse) -> Any:
    try:
        return json.loads(written)
    except ValueError:
        return parse(written)


def _snake(content: Json, variable: str, path: str) -> Json:
    """The members of the first two levels in one spelling: Envoy takes both, and we look for one."""
    found: Json = {}
    for name, value in content.items():
        plain = _snake_name(str(name))
        if plain in found:
            raise BadRequest(
                f"{variable}: {path} says {plain} twice, in both spellings",
                fix="write names in snake_case or in lowerCamelCase, not both",
            )
        if plain == "static_resources" and isinstance(value, dict):
            value = {_snake_name(str(key)): each for key, each in value.items()}
        found[plain] = value
    return found


def _misshapen(content: Json) -> Iterator[str]:
    """What we look into and is no object or no list, as it should be."""
    for name in (*_ONCE, "static_resources", "dynamic_resources", "admin"):
        if not isinstance(content.get(name, {}), dict):
            yield name
            return
    if not isinstance(content.get("stats_sinks", []), list):
        yield "stats_sinks"
    for kind in _LISTS:
        if not isinstance(content.get("static_resources", {}).get(kind) or [], list):
            yield f"static_resources.{kind}"
    address = content.get("admin", {}).get("address", {})
    if not isinstance(address, dict) or not all(
        isinstance(each, dict) for each in address.values()
    ):
        yield "admin.address"


def _snake_name(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def merged(base: Json, document: Document) -> tuple[Json, list[str]]:
    """The bootstrap with what a file says; and what of the generated it took the place of."""
    made = dict(base)
    replaced = []
    for name, value in document.content.items():
        match name:
            case "stats_sinks":
                made[name] = [*made.get(name, ()), *value]
            case "static_resources":
                made[name] = _added(made.get(name, {}), value)
            case "stats_config":
                made[name] = {**made.get(name, {}), **value}
            case "tracing":
                made[name] = value
            case _:
                if name in made:
                    replaced.append(name)
                made[name] = value
    return made, replaced


def _added(resources: Json, value: Json) -> Json:
    made = dict(resources)
    for kind in _LISTS:
        if value.get(kind):
            made[kind] = [*made.get(kind, ()), *value[kind]]
    return made
