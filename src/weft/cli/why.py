"""``why``: where a request would go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from weft.cli.completing import complete_service
from weft.cli.exits import Usage
from weft.cli.names import meant
from weft.cli.render import Cell, Column, Glyph, Role, Table, cell
from weft.cli.session import DOCUMENTS, Session, client_command
from weft.names import Kind, ProxyId

Json = Mapping[str, Any]


@click.command()
@click.argument("service", shell_complete=complete_service)
@click.option("--from", "source", metavar="NODE", help="Virtual node or gateway that asks.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port it asks at.")
@click.option("-X", "--method", default="GET", show_default=True, help="Method of the request.")
@click.option("--path", default="/", show_default=True, help="Path, with its query.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header.")
@client_command(*DOCUMENTS)
def why(
    session: Session,
    *,
    service: str,
    source: str | None,
    port: int | None,
    method: str,
    path: str,
    headers: tuple[str, ...],
) -> None:
    """
    Explain where a request to a service would go.

    Names the route that matches, its targets and their shares, the timeouts and
    retries, and which of these are App Mesh's hidden defaults. SERVICE and
    NODE may be any part of a name that only one has.
    """
    for header in headers:
        if ":" not in header:
            raise Usage(f"{header!r} is no header", fix="write it as -H 'name: value'")
    mesh = session.mesh()
    query = {
        "mesh": mesh,
        "service": meant(service, _names(session, mesh, Kind.VIRTUAL_SERVICE), "virtual service"),
        "from": source and _proxy_id(session, mesh, source),
        "port": port,
        "method": method.upper(),
        "path": path if path.startswith("/") else f"/{path}",
        "header": list(headers) or None,
    }
    answer = session.client.get("/weft/v1/why", query)
    session.emit(answer, lambda: _draw(session, answer))


def _proxy_id(session: Session, mesh: str, typed: str) -> str:
    """Whose proxy asks: that of a virtual node or of a virtual gateway."""
    kinds = {
        name: kind
        for kind in (Kind.VIRTUAL_GATEWAY, Kind.VIRTUAL_NODE)
        for name in _names(session, mesh, kind)
    }
    name = meant(typed, kinds, "virtual node")
    return str(ProxyId(mesh, kinds[name], name))


def _names(session: Session, mesh: str, kind: Kind) -> list[str]:
    query = {"kind": kind.value, "mesh": mesh}
    found = session.client.get("/weft/v1/resources", query)["resources"]
    return [str(each[f"{kind.value}Name"]) for each in found]


def _draw(session: Session, answer: Json) -> None:
    port = f":{answer['port']}" if answer.get("port") else ""
    session.say(session.out.text(f"{answer.get('service')}{port}", Role.STRONG))
    session.say(f"  {answer.get('summary')}")
    for note in answer.get("notes") or ():
        session.event(Glyph.NOTE, str(note))
    if candidates := answer.get("candidates"):
        table = Table((Column(""), Column("ROUTE"), Column("PRIORITY", right=True), Column("")))
        for each in candidates:
            chosen = each.get("route") == answer.get("route")
            mark = cell(session.out.glyph(Glyph.ARROW), Role.OK) if chosen else ""
            priority = each.get("priority")
            table.rows.append((mark, each.get("route"), priority, each.get("because")))
        session.draw(table, indent="  ")
    if targets := answer.get("targets"):
        session.say()
        columns = (Column("TARGET"), Column("WEIGHT", right=True), Column("SHARE", right=True))
        table = Table((*columns, Column("FOUND BY"), Column("ENDPOINTS")))
        for each in targets:
            share = f"{each.get('percent', 0):g} %"
            endpoints = Cell(tuple(each.get("endpoints") or ("-",)))
            name = f"{each.get('virtualNode')}:{each.get('port')}"
            table.rows.append((name, each.get("weight"), share, each.get("foundBy"), endpoints))
        session.draw(table, indent="  ")
    facts = list(_facts(answer))
    if facts:
        session.say()
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        session.say(f"  {name.ljust(width)}  {value}")


def _facts(answer: Json) -> Iterator[tuple[str, str]]:
    """Every value in force, and whether somebody asked for it."""
    yield from _fact("request timeout", answer.get("requestTimeout"))
    yield from _fact("idle timeout", answer.get("idleTimeout"))
    if retries := answer.get("retries"):
        codes = [str(code) for code in retries.get("statusCodes") or ()]
        # Envoy's word for "and these codes" says nothing once the codes are there.
        on = [each for each in retries.get("on") or () if each != "retriable-status-codes"] + codes
        words = f"{retries.get('limit')} on {', '.join(on)}; each try: {retries.get('perTry')}"
        yield from _fact("retries", {**retries, "value": words})
    seen = set()
    for target in answer.get("targets") or ():
        for name, member in (("breakers", "breakers"), ("target timeout", "requestTimeout")):
            for fact in _fact(name, target.get(member)):
                if fact not in seen:
                    yield fact
                seen.add(fact)


def _fact(name: str, setting: Json | None) -> Iterator[tuple[str, str]]:
    if setting:
        default = "  (App Mesh's default)" if setting.get("default") else ""
        yield name, f"{setting.get('value')}{default}"
