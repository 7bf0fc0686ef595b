"""``why``: where a request would go."""

from __future__ import annotations

from typing import Any

import click

from weft.cli.completing import complete_service
from weft.cli.exits import Usage
from weft.cli.names import meant
from weft.cli.session import DOCUMENTS, Format, Session, client_command, dump
from weft.names import Kind


@click.command()
@click.argument("service", shell_complete=complete_service)
@click.option("--from", "source", metavar="NODE", help="Virtual node that asks.")
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
        "from": source and meant(source, _names(session, mesh, Kind.VIRTUAL_NODE), "virtual node"),
        "port": port,
        "method": method.upper(),
        "path": path if path.startswith("/") else f"/{path}",
        "header": list(headers) or None,
    }
    answer = session.client.get("/weft/v1/why", query)
    session.emit(answer, lambda: _draw(session, answer))


def _names(session: Session, mesh: str, kind: Kind) -> list[str]:
    query = {"kind": kind.value, "mesh": mesh}
    found = session.client.get("/weft/v1/resources", query)["resources"]
    return [str(each[f"{kind.value}Name"]) for each in found]


def _draw(session: Session, answer: Any) -> None:
    session.say(dump(answer, Format.YAML))
