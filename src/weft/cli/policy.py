"""``policy``: Weft's own policies, which say beside App Mesh's resources what these cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from weft.cli.exits import Exit, Usage
from weft.cli.policy_settings import NAMES, patch_of, said
from weft.cli.render import Column, Glyph, Role, Table
from weft.cli.session import DOCUMENTS, LISTS, Session, client_command
from weft.cli.waiting import timeout_option, wait_for, wait_option
from weft.errors import BadRequest, NotFound
from weft.names import Key, bare_name

Json = Mapping[str, Any]
_ABOUT = "KEY"


@click.group(name="policy", invoke_without_command=True)
@click.pass_context
def policy(ctx: click.Context, /) -> None:
    """
    Show or set policies that App Mesh has none of, such as reroute.

    A policy is about a resource and never part of it. KEY names it as mesh/M,
    mesh/M/virtualService/S, mesh/M/virtualRouter/R/route/X or mesh/M/virtualNode/N;
    mesh/M may be left out where there is one mesh. docs/policies.md has every setting.
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@policy.command(name="list")
@client_command(*LISTS)
def list_policies(session: Session) -> None:
    """List all policies of the meshes, or of one."""
    answer = session.client.get("/weft/v1/policies", {"mesh": session.mesh_given})
    found = answer["policies"]

    def table() -> Table:
        rows = [(each["for"], " ".join(said(each))) for each in found]
        return Table((Column("FOR"), Column("POLICY", free=True)), list(rows))

    session.emit_list(
        answer,
        found,
        name=lambda each: str(each["for"]),
        table=table,
        empty="no policy is set: everything is as App Mesh does it",
    )


@policy.command()
@click.argument("key", metavar=_ABOUT)
@client_command(*DOCUMENTS)
def get(session: Session, *, key: str) -> None:
    """Show the policy of one resource, and what keeps it from being in force."""
    answer = session.client.get(_path(_about(session, key)))
    session.emit(answer, lambda: _draw(session, answer))


@policy.command(name="set")
@click.argument("key", metavar=_ABOUT)
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--note", metavar="TEXT", help="Why; weft changes shows it.")
@wait_option
@timeout_option
@client_command(*DOCUMENTS)
def set_policy(
    session: Session,
    *,
    key: str,
    assignments: tuple[str, ...],
    note: str | None,
    wait: bool,
    timeout: float,
) -> int:
    """
    Set some of a policy, and leave the rest of it.

    Of a mesh: reroute=on|off, amazonaws=on|off. Of a route: reroute. Of a virtual
    service that a virtual node provides: timeout=5s, idle=1m, retries=3,
    retry-on=server-error,connection-error and per-try=500ms; a time may be off. Of a
    virtual node: egress=ALLOW_ALL|DROP_ALL. NAME=default takes a setting back.
    """
    about = _about(session, key)
    present: Json = {}
    if any(each.partition("=")[0] in ("retries", "retry-on", "per-try") for each in assignments):
        present = _present(session, about)
    patch = patch_of(assignments, present)
    words = note or f"weft policy set {about} {' '.join(assignments)}"
    answer = session.client.request("PATCH", _path(about), {**patch, "note": words[:1000]}).body
    session.emit(answer, lambda: _draw(session, answer))
    revision = answer["revision"]
    if answer["action"] == "unchanged":
        session.event(Glyph.SAME, f"nothing to change at revision {revision}")
    else:
        session.event(Glyph.OK, f"saved as revision {revision}; undo: weft revert {revision}")
    return wait_for(session, revision, timeout, about.mesh) if wait else Exit.OK


@policy.command()
@click.argument("key", metavar=_ABOUT)
@wait_option
@timeout_option
@client_command(*DOCUMENTS)
def delete(session: Session, *, key: str, wait: bool, timeout: float) -> int:
    """Take a whole policy back: then what App Mesh does holds."""
    about = _about(session, key)
    answer = session.client.delete(_path(about)).body
    revision = answer["revision"]
    session.emit(
        {"for": str(about), **answer},
        lambda: session.event(
            Glyph.OK,
            f"{about} has no policy since revision {revision}; undo: weft revert {revision}",
        ),
    )
    return wait_for(session, revision, timeout, about.mesh) if wait else Exit.OK


def _about(session: Session, text: str) -> Key:
    """The resource that is meant; its mesh may be left out."""
    whole = text.startswith("mesh/")
    try:
        if whole:
            return Key.parse(text)
        mesh = session.mesh()
        if text in ("mesh", mesh, bare_name(mesh)):
            return Key.of_mesh(mesh)
        return Key.parse(f"mesh/{mesh}/{text}")
    except BadRequest:
        raise Usage(
            f"{text!r} names no resource",
            fix="write mesh/M, virtualService/S, virtualRouter/R/route/X or virtualNode/N",
        ) from None


def _path(about: Key) -> str:
    return "/weft/v1/policies/" + quote(str(about), safe="/")


def _present(session: Session, about: Key) -> Json:
    try:
        found: Json = session.client.get(_path(about))["policy"]
    except NotFound:
        return {}
    return found


def _draw(session: Session, answer: Json) -> None:
    session.say(session.out.text(str(answer["for"]), Role.STRONG))
    settings = said(answer["policy"])
    for each in settings:
        session.say(f"  {each}")
    if not settings:
        session.say(f"  nothing is set; known are {', '.join(NAMES)}")
    for warning in answer.get("warnings") or ():
        session.event(Glyph.NOTE, f"{warning['code']} {warning['message']}")
