"""``explain``: what a code of the checks means, and what may stand at a place of a definition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from weft.cli.kinds import did_you_mean, noun_of
from weft.cli.render import Column, Role, Table
from weft.cli.session import DOCUMENTS, Session, client_command
from weft.errors import NotFound
from weft.names import Kind

Schema = Mapping[str, Any]
_CODE = re.compile(r"(?:WEFT-)?([0-9]{3})", re.IGNORECASE)
_TYPES = {
    "object": "object",
    "array": "list",
    "string": "text",
    "integer": "whole number",
    "boolean": "true or false",
}


@click.command()
@click.argument("what", required=False, metavar="[CODE|FIELD]")
@client_command(*DOCUMENTS, mesh=False)
def explain(session: Session, *, what: str | None) -> None:
    """
    Explain a code of weft check, or a field of a definition.

    CODE is such as WEFT-101. FIELD is a kind and the members below its spec, as in
    route.httpRoute.retryPolicy. Without either, all codes are listed. No control
    plane is asked.
    """
    if what is None:
        _list_codes(session)
    elif (found := _CODE.fullmatch(what)) or what.upper().startswith("WEFT-"):
        _explain_code(session, f"WEFT-{found[1]}" if found else what.upper())
    else:
        _explain_field(session, what)


# --- Codes ------------------------------------------------------------------------------------


def _list_codes(session: Session) -> None:
    from weft.checks.catalogue import CATALOGUE

    rows = [(each.code, each.severity.value, each.title) for each in CATALOGUE]
    document = [{"code": code, "severity": how, "title": title} for code, how, title in rows]
    table = Table((Column("CODE"), Column("SEVERITY"), Column("TITLE")), list(rows))
    session.emit(document, lambda: session.draw(table))


def _explain_code(session: Session, code: str) -> None:
    from weft.checks.catalogue import BY_CODE

    entry = BY_CODE.get(code)
    if entry is None:
        raise NotFound(f"there is no check {code}", fix="weft explain lists all codes")
    document = {
        "code": entry.code,
        "title": entry.title,
        "severity": entry.severity.value,
        "area": entry.area.value,
        "cause": entry.cause,
        "fix": entry.fix,
    }

    def draw() -> None:
        session.say(f"{session.out.text(entry.code, Role.STRONG)}  {entry.title}")
        session.say(f"severity  {entry.severity}, {entry.area}")
        session.say(f"cause     {entry.cause}")
        session.say(f"fix       {entry.fix}")

    session.emit(document, draw)


# --- Fields -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Field:
    """A place in a definition, and what may stand there."""

    name: str
    schema: Schema
    required: bool


def _explain_field(session: Session, text: str) -> None:
    from weft.model.json_schema import schema

    first, *steps = [step for step in re.sub(r"\[[0-9]*\]", "", text).split(".") if step]
    kind = noun_of(first).kind
    if kind is None:
        raise NotFound(f"{first} has no definition", fix=f"it is one of {', '.join(Kind)}")
    root = schema(kind)
    if steps[:1] == ["spec"]:
        steps = steps[1:]
    field = _Field(f"{kind}.spec", _resolved(root, root["properties"]["spec"]), kind != Kind.MESH)
    for step in steps:
        field = _below(root, field, step)
    session.emit(
        {"field": field.name, "required": field.required, "schema": dict(field.schema)},
        lambda: _draw_field(session, root, field),
    )


def _below(root: Schema, field: _Field, step: str) -> _Field:
    members = _members(root, field.schema)
    if step not in members:
        near = did_you_mean(step, list(members))
        raise NotFound(
            f"{field.name} has no member {step!r}" + (f"; did you mean {near!r}?" if near else ""),
            fix=f"weft explain {field.name}",
        )
    item = _item(root, field.schema)
    needed = step in item.get("required", ()) and "oneOf" not in item
    return _Field(f"{field.name}.{step}", members[step], needed)


def _resolved(root: Schema, found: Schema) -> dict[str, Any]:
    reference = found.get("$ref")
    if reference is None:
        return dict(found)
    own = {name: value for name, value in found.items() if name != "$ref"}
    target = root["$defs"][reference.rpartition("/")[2]]
    return {**target, **own}


def _item(root: Schema, found: Schema) -> dict[str, Any]:
    """Of a list, what it is a list of."""
    if found.get("type") == "array":
        return _resolved(root, found.get("items", {}))
    return dict(found)


def _members(root: Schema, found: Schema) -> dict[str, dict[str, Any]]:
    """The members of an object, of the items of a list, or of each choice of a union."""
    item = _item(root, found)
    given = dict(item.get("properties", {}))
    for choice in item.get("oneOf", ()):
        given |= _resolved(root, choice).get("properties", {})
    return {name: _resolved(root, value) for name, value in given.items()}


def _draw_field(session: Session, root: Schema, field: _Field) -> None:
    needed = "needed" if field.required else "may be left out"
    name = session.out.text(field.name, Role.STRONG)
    session.say(f"{name}  {_type(root, field.schema)}, {needed}")
    session.say(f"  {field.schema.get('description', '')}")
    members = _members(root, field.schema)
    if not members:
        return
    item = _item(root, field.schema)
    if choices := [_first_of(root, choice) for choice in item.get("oneOf", ())]:
        session.say(f"  Exactly one of {', '.join(choices)}.")
    table = Table((Column("MEMBER"), Column("TYPE"), Column("MEANING", free=True)))
    required = item.get("required", ())
    for member, value in members.items():
        sign = "*" if member in required else ""
        table.rows.append((f"{member}{sign}", _type(root, value), value.get("description", "")))
    session.draw(table, indent="  ")
    if required:
        session.say("  * has to be there")


def _first_of(root: Schema, choice: Schema) -> str:
    """The member that a choice of a union is known by."""
    return str(_resolved(root, choice)["required"][0])


def _type(root: Schema, found: Schema) -> str:
    """``whole number 0 to 100``, ``list of object, 1 to 10``, ``s | ms``."""
    if "enum" in found:
        return " | ".join(map(str, found["enum"]))
    if "oneOf" in found and "properties" not in found:
        return "object"
    kind = str(found.get("type", "object"))
    if kind == "array":
        limits = _limits(found, "minItems", "maxItems")
        return f"list of {_type(root, _item(root, found))}" + (f", {limits}" if limits else "")
    low, high = ("minimum", "maximum") if kind == "integer" else ("minLength", "maxLength")
    limits = _limits(found, low, high)
    unit = " characters" if kind == "string" and limits else ""
    return f"{_TYPES.get(kind, kind)}{' ' if limits else ''}{limits}{unit}"


def _limits(found: Schema, low: str, high: str) -> str:
    least, most = found.get(low), found.get(high)
    if least is not None and most is not None:
        return f"{least} to {most}"
    if least is not None:
        return f"{least} or more"
    return f"{most} at most" if most is not None else ""
