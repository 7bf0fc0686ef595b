"""``changes``, ``change`` and ``revert``: who changed what, and how to undo it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from weft.cli.exits import Exit, Usage
from weft.cli.kinds import short
from weft.cli.render import Column, Glyph, Role, Table, when
from weft.cli.session import DOCUMENTS, LISTS, Session, client_command
from weft.cli.waiting import timeout_option, wait_for, wait_option
from weft.errors import Conflict, NotFound

_PAGE = 100
_SHOWN_ENTRIES = 2


@click.command()
@click.option(
    "-n", "count", type=click.IntRange(1), default=20, show_default=True, help="How many."
)
@click.option("--before", type=click.IntRange(1), help="Only revisions below this one.")
@click.option("--all", "everything", is_flag=True, help="Also instances that came and went.")
@client_command(*LISTS, mesh=False)
def changes(session: Session, *, count: int, before: int | None, everything: bool) -> None:
    """
    Who changed what, newest first.

    Every write is one revision; weft change shows one, weft revert undoes one.
    """
    found: list[dict[str, Any]] = []
    following: int | None = before
    while len(found) < count:
        query = {
            "limit": min(_PAGE, count - len(found)),
            "before": following,
            "all": True if everything else None,
        }
        answer = session.client.get("/weft/v1/changes", query)
        found += answer["changes"]
        following = answer.get("next")
        if not following or not answer["changes"]:
            break
    session.emit_list(
        {"changes": found, "next": following or None},
        found,
        name=lambda each: str(each["revision"]),
        table=lambda: changes_table(session, found),
        empty="nothing was changed yet",
    )


def changes_table(session: Session, found: Sequence[Mapping[str, Any]]) -> Table:
    """One row for each revision."""
    columns = [Column("REVISION", right=True), Column("AT"), Column("AUTHOR")]
    columns += [Column("CLIENT", free=not session.wide)]
    table = Table([*columns, Column("CHANGE", free=not session.wide)])
    for change in found:
        client = str(change.get("client") or "")
        table.rows.append(
            (
                change["revision"],
                when(change.get("at")),
                change.get("author", ""),
                client if session.wide or client.startswith("weft ") else client.partition(" ")[0],
                summary(change, wide=session.wide),
            )
        )
    return table


def summary(change: Mapping[str, Any], *, wide: bool = False) -> str:
    """A revision in one line: its note; else what it touched, with values where they are few."""
    note = str(change.get("note") or "")
    if note and not wide:
        return note
    entries = change.get("entries") or []
    words = []
    for entry in entries[:_SHOWN_ENTRIES]:
        differences = entry.get("differences") or []
        text = f"{entry.get('action')} {short(str(entry.get('id')))}"
        if entry.get("action") == "updated" and 0 < len(differences) <= _SHOWN_ENTRIES:
            text += " (" + ", ".join(_brief(each) for each in differences) + ")"
        words.append(text)
    if len(entries) > _SHOWN_ENTRIES:
        words.append(f"and {len(entries) - _SHOWN_ENTRIES} more")
    return (f"{note}: " if note else "") + ", ".join(words)


def _brief(difference: Mapping[str, Any]) -> str:
    path = str(difference.get("path", "")).removeprefix("spec.")
    last = ".".join(path.rsplit(".", 2)[-2:])
    before, after = difference.get("before"), difference.get("after")
    if isinstance(before, dict | list) or isinstance(after, dict | list):
        return f"{last} added" if before is None else f"{last} changed"
    return f"{last} {_value(before)} to {_value(after)}"


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@click.command()
@click.argument("revision")
@client_command(*DOCUMENTS, mesh=False)
def change(session: Session, *, revision: str) -> None:
    """What one revision changed, place by place."""
    show_change(session, revision)


def show_change(session: Session, revision: str) -> None:
    document = session.client.get(f"/weft/v1/changes/{revision_of(revision)}")

    def draw() -> None:
        session.say(f"revision  {document['revision']}")
        session.say(f"at        {when(document.get('at'))}")
        session.say(f"author    {document.get('author', '')}")
        if document.get("client"):
            session.say(f"client    {document['client']}")
        if document.get("note"):
            session.say(f"note      {document['note']}")
        for entry in document.get("entries") or ():
            session.say()
            draw_entry(session, str(entry.get("id")), str(entry.get("action")), entry)
        session.note(f"undo: weft revert {document['revision']}")

    session.emit(document, draw)


_SIGNS = {
    "created": (Glyph.ADDED, Role.OK),
    "registered": (Glyph.ADDED, Role.OK),
    "deleted": (Glyph.REMOVED, Role.BAD),
    "deregistered": (Glyph.REMOVED, Role.BAD),
    "unchanged": (Glyph.SAME, Role.DIM),
}


def sign(session: Session, action: str) -> str:
    """The sign of an action: + ~ - =."""
    glyph, role = _SIGNS.get(action, (Glyph.CHANGED, Role.WARN))
    return session.out.text(session.out.glyph(glyph), role)


def draw_entry(
    session: Session, key: str, action: str, entry: Mapping[str, Any], *, place: str = ""
) -> None:
    """One thing that changed, and every place in it that did."""
    mark = sign(session, action)
    session.say(f"{mark} {short(key)}  {action}" + (f"  {place}" if place else ""))
    for line in difference_lines(session, entry.get("differences") or ()):
        session.say(f"    {line}")


def difference_lines(session: Session, differences: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """``path  before → after``, aligned."""
    width = max((len(str(each.get("path"))) for each in differences), default=0)
    arrow = session.out.glyph(Glyph.ARROW)
    for each in differences:
        before, after = each.get("before"), each.get("after")
        path = str(each.get("path")).ljust(width)
        if before is None:
            yield f"{path}  {session.out.text('+ ' + _value(after), Role.OK)}"
        elif after is None:
            yield f"{path}  {session.out.text('- ' + _value(before), Role.BAD)}"
        else:
            yield f"{path}  {_value(before)} {arrow} {_value(after)}"


@click.command()
@click.argument("revision")
@wait_option
@timeout_option
@client_command(*DOCUMENTS, mesh=False)
def revert(session: Session, *, revision: str, wait: bool, timeout: float) -> int:
    """
    Undo a revision by a new one.

    Refused, with the reason, when a later change stands in the way; revert that
    one first.
    """
    number = revision_of(revision)
    try:
        answer = session.client.post(f"/weft/v1/changes/{number}/revert", {})
    except Conflict as error:
        error.fix = error.fix or f"weft changes; revert the later change first, then {number}"
        raise
    except NotFound as error:
        error.fix = error.fix or "weft changes lists the revisions"
        raise
    made = answer.body.get("revision") or answer.revision

    def draw() -> None:
        for outcome in answer.body.get("outcomes") or ():
            draw_entry(session, str(outcome.get("key")), str(outcome.get("action")), outcome)

    session.emit(answer.body, draw)
    session.event(Glyph.OK, f"reverted {number} as revision {made}; undo: weft revert {made}")
    return wait_for(session, made, timeout) if wait else Exit.OK


def revision_of(text: str) -> int:
    number = text.removeprefix("#").removeprefix("v")
    if not number.isdecimal():
        raise Usage(f"{text!r} is no revision", fix="weft changes lists them; give its number")
    return int(number)
