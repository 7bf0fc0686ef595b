"""How a request came through a virtual gateway, for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.cli.render import Column, Glyph, Role, Table, cell
from weft.cli.session import Session

Json = Mapping[str, Any]


def draw_passage(session: Session, answer: Json, passage: Json) -> None:
    """Every gateway route with its verdict, and what was made of the request."""
    columns = (Column(""), Column("GATEWAY ROUTE"), Column("PRIORITY", right=True), Column(""))
    table = Table(columns)
    for each in passage.get("candidates") or ():
        chosen = each.get("route") == passage.get("route")
        mark = cell(session.out.glyph(Glyph.ARROW), Role.OK) if chosen else ""
        table.rows.append((mark, each.get("route"), each.get("priority"), each.get("because")))
    session.draw(table, indent="  ")
    if passage.get("route") is None:
        return
    host = "the host stays" if passage.get("hostKept") else f"as {answer.get('service')}"
    limit = (passage.get("requestTimeout") or {}).get("value")
    waits = f"; the gateway waits {limit}" if limit and limit != "off" else ""
    said = f"goes on {host}, path {passage.get('path')}{waits}"
    session.say(f"  {session.out.text(said, Role.DIM)}")
    session.say()
