"""``stack``: stacks of CloudFormation templates, what happened to them, values in the place of stand-ins."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from weft.cli.exits import Usage
from weft.cli.render import Column, Glyph, Table, plural, when
from weft.cli.session import DOCUMENTS, LISTS, Session, client_command
from weft.cli.templates import draw_outputs, values_of


@click.group(name="stack", invoke_without_command=True)
@click.pass_context
def stack(ctx: click.Context, /) -> None:
    """
    Stacks made of CloudFormation templates.

    weft apply -f TEMPLATE makes one, and so does aws cloudformation deploy. App Mesh
    and Cloud Map resources are created; everything else is recorded, with stand-ins
    for its ids and attributes.
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@stack.command(name="list")
@client_command(*LISTS, mesh=False)
def list_stacks(session: Session) -> None:
    """List the stacks, the newest first."""
    answer = session.client.get("/weft/v1/stacks")
    found = answer["stacks"]

    def table() -> Table:
        columns = [Column("STACK"), Column("STATUS"), Column("CREATED", right=True)]
        columns += [Column("RECORDED", right=True), Column("CHANGED")]
        columns += [Column("REASON", free=True)] if any(e["reason"] for e in found) else []
        drawn = Table(columns)
        for each in found:
            row = [each["name"], each["status"], each["resources"], each["recorded"]]
            row.append(when(each["updatedAt"] or each["createdAt"]))
            drawn.rows.append([*row, each["reason"]][: len(columns)])
        return drawn

    session.emit_list(
        answer,
        found,
        name=lambda each: str(each["name"]),
        table=table,
        empty="there is no stack; weft apply -f TEMPLATE makes one",
    )


@stack.command()
@click.argument("name")
@client_command(*DOCUMENTS, mesh=False)
def describe(session: Session, *, name: str) -> None:
    """Everything about one stack: parameters, outputs, resources, given values."""
    from weft.cli.client import path_of

    found = session.client.get(path_of("stacks", name))
    session.emit(found, lambda: _draw(session, found))


def _draw(session: Session, found: Mapping[str, Any]) -> None:
    facts = [
        ("stack", found["name"]),
        ("status", found["status"]),
        ("reason", found["reason"]),
        ("id", found["id"]),
        ("created", when(found["createdAt"])),
        ("updated", when(found["updatedAt"]) if found["updatedAt"] else ""),
        ("parameters", ", ".join(f"{k}={v}" for k, v in found["parameters"].items())),
        ("tags", ", ".join(f"{k}={v}" for k, v in found["tags"].items())),
        ("imports", ", ".join(found["imports"])),
        ("given", ", ".join(f"{k}={v}" for k, v in found["values"].items())),
    ]
    width = max(len(label) for label, _ in facts)
    for label, value in facts:
        if value:
            session.say(f"{label.ljust(width)}  {value}")
    draw_outputs(session, found["outputs"])
    if resources := found["resources"]:
        session.say("resources")
        table = Table((Column("LOGICAL ID"), Column("TYPE"), Column("STATUS"), Column("ID")))
        for each in resources:
            status = "recorded" if each["recorded"] else each["status"]
            table.rows.append(
                (each["logicalId"], each["type"], status, each["key"] or each["physicalId"])
            )
        session.draw(table, indent="  ")


@stack.command()
@click.argument("name")
@click.option(
    "-n", "count", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many."
)
@client_command(*LISTS, mesh=False)
def events(session: Session, *, name: str, count: int) -> None:
    """What happened to a stack and its resources, newest first."""
    from weft.cli.client import path_of

    answer = session.client.get(path_of("stacks", name, "events"), {"limit": count})
    found = answer["events"]

    def table() -> Table:
        drawn = Table(
            (Column("AT"), Column("RESOURCE"), Column("STATUS"), Column("REASON", free=True))
        )
        for each in found:
            drawn.rows.append((when(each["at"]), each["logicalId"], each["status"], each["reason"]))
        return drawn

    session.emit_list(
        answer,
        found,
        name=lambda each: str(each["id"]),
        table=table,
        empty="nothing has happened yet",
    )


@stack.command(name="set")
@click.argument("name")
@click.argument("values", nargs=-1, required=True, metavar="LOGICALID.ATTR=VALUE...")
@client_command(*DOCUMENTS, mesh=False)
def set_values(session: Session, *, name: str, values: tuple[str, ...]) -> None:
    """
    Give values in the place of stand-ins.

    Before the stack is made, or afterwards: then its outputs and whatever else rests
    on them follow at once. LOGICALID=VALUE gives the id itself, or the value behind
    a parameter that AWS's parameter store would hold. An empty value takes it back.
    """
    from weft.cli.client import path_of

    given = values_of(values, "LogicalId.Attribute=value")
    answer = session.client.post(path_of("stacks", name, "values"), {"values": given}).body

    def draw() -> None:
        later = "" if answer["exists"] else ", for when it is made"
        session.event(
            Glyph.OK,
            f"stack {name} has {plural(len(answer['values']), 'given value')}{later}"
            f"  (revision {answer['revision']})",
        )
        draw_outputs(session, answer["outputs"])

    session.emit(answer, draw)


@stack.command()
@click.argument("name")
@click.option("--retain", multiple=True, metavar="LOGICALID", help="Leave this in the mesh.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@client_command(*DOCUMENTS, mesh=False)
def delete(session: Session, *, name: str, retain: tuple[str, ...], yes: bool) -> None:
    """
    Delete a stack and what it created, as one revision.

    Resources with DeletionPolicy: Retain stay in the mesh.
    """
    from urllib.parse import urlencode

    from weft.cli.client import path_of

    if not yes:
        if not sys.stdin.isatty():
            raise Usage(
                f"deleting stack {name} needs --yes where there is no terminal to ask at",
                fix="the same command with --yes",
            )
        click.confirm(f"Delete stack {name} and what it created?", abort=True, err=True)
    query = f"?{urlencode([('retain', each) for each in retain])}" if retain else ""
    answer = session.client.delete(path_of("stacks", name) + query)
    session.emit(
        answer.body,
        lambda: session.event(
            Glyph.OK,
            f"deleted stack {name}  (revision {answer.revision}; "
            f"undo: weft revert {answer.revision})",
        ),
    )
