"""``cert authority``: who issues certificates, and whom clients trust."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from weft.cli.durations import Duration
from weft.cli.pem import of_files, read
from weft.cli.render import Cell, Column, Glyph, Role, Table, cell
from weft.cli.session import DOCUMENTS, LISTS, Session, client_command
from weft.errors import Invalid

_KEYS = ("EC_prime256v1", "EC_secp384r1", "RSA_2048", "RSA_3072", "RSA_4096")
_PATH = "/weft/v1/authorities"
_PHASES = {
    None: "",
    "trusting": "new key is trusted, old one signs",
    "moving": "new key signs, old one is still trusted",
}


@click.group(name="authority", invoke_without_command=True)
@click.pass_context
def authority(ctx: click.Context, /) -> None:
    """
    Authorities: who issues certificates, and whom clients trust.

    They stand in for ACM-PCA. An authority is named by its ARN or by its name.
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@authority.command()
@click.argument("name", required=False)
@click.option("--arn", metavar="ARN", help="Of ACM-PCA; one is made up without it.")
@click.option(
    "--lasts", type=Duration(), metavar="TIME", help="How long it is good: 3650d unless given."
)
@click.option("--key", type=click.Choice(_KEYS), help="The kind of key; EC_prime256v1.")
@client_command(*DOCUMENTS, mesh=False)
def create(
    session: Session, *, name: str | None, arn: str | None, lasts: float | None, key: str | None
) -> None:
    """Make an authority with a root of its own."""
    wanted = {"name": name, "arn": arn, "lifetimeSeconds": lasts, "keyAlgorithm": key}
    _made(session, session.client.post(_PATH, _given(wanted)).body, "can issue")


@authority.command(name="import")
@click.argument("name", required=False)
@click.option("--certificate", required=True, metavar="FILE", help="PEM of the authority.")
@click.option("--key-file", metavar="FILE", help="PEM, not encrypted; without it, it is trusted.")
@click.option("--chain", metavar="FILE", help="PEM of the authorities above it.")
@click.option("--arn", metavar="ARN", help="Of ACM-PCA; one is made up without it.")
@client_command(*DOCUMENTS, mesh=False)
def import_authority(
    session: Session,
    *,
    name: str | None,
    certificate: str,
    key_file: str | None,
    chain: str | None,
    arn: str | None,
) -> None:
    """Take in an authority: to trust it, and with its key to issue by it."""
    files = {"certificate": certificate, "privateKey": key_file, "certificateChain": chain}
    wanted = {"name": name, "arn": arn, **read(files)}
    try:
        made = session.client.post(_PATH, _given(wanted)).body
    except Invalid as error:
        raise of_files(error, files) from None
    _made(session, made, "can issue" if made["canIssue"] else "is trusted, and cannot issue")


@authority.command(name="list")
@client_command(*LISTS, mesh=False)
def list_authorities(session: Session) -> None:
    """List authorities: until when, how many certificates, and who trusts them."""
    answer = session.client.get(_PATH)
    found = answer["authorities"]

    def table() -> Table:
        columns = ("NAME", "ISSUES", "ENDS", "CERTIFICATES", "TRUSTED BY", "ARN")
        drawn = Table([Column(title, right=title == "CERTIFICATES") for title in columns])
        for each in found:
            users = tuple(dict.fromkeys(use["key"].partition("/")[2] for use in each["usedBy"]))
            role = Role.BAD if each["expired"] else Role.PLAIN
            drawn.rows.append(
                (
                    each["name"],
                    _PHASES[each["phase"]] or ("yes" if each["canIssue"] else "no"),
                    cell(each["notAfter"] + (" (expired)" if each["expired"] else ""), role),
                    str(each["certificates"]),
                    Cell(users or ("-",)),
                    each["arn"],
                )
            )
        return drawn

    session.emit_list(
        answer,
        found,
        name=lambda each: str(each["arn"]),
        table=table,
        empty="There are no authorities; weft cert issue makes the first.",
    )


@authority.command()
@click.argument("name")
@client_command(*DOCUMENTS, mesh=False)
def show(session: Session, *, name: str) -> None:
    """Print what clients of an authority trust as PEM; what is known of it goes to stderr."""
    found = session.client.get(_one(name))

    def draw() -> None:
        session.say(found["certificateChain"].rstrip("\n"))
        session.note(f"{found['name']} until {found['notAfter']}, {found['keyAlgorithm']}")
        if phase := _PHASES[found["phase"]]:
            session.note(f"changing its key: {phase}")
        for use in found["usedBy"]:
            session.note(f"trusted by {use['key']} {use['path']}")
        if failure := found["failure"]:
            session.note(f"failed: {failure['reason']}; tried again at {failure['again']}")

    session.emit(found, draw)


@authority.command()
@click.argument("name")
@client_command(*DOCUMENTS, mesh=False)
def rotate(session: Session, *, name: str) -> None:
    """
    Change an authority's key, in steps that no connection notices.

    The new key is trusted beside the old one; once every proxy knows, it signs and
    every certificate is renewed; once every proxy has these, the old key leaves.
    """
    found = session.client.post(f"{_one(name)}/renew", {}).body

    def draw() -> None:
        session.event(Glyph.OK, f"{found['name']}: {_PHASES[found['phase']]}")
        session.note(f"weft cert authority show {found['name']} says how far it is")

    session.emit(found, draw)


@authority.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also while it is trusted, or has certificates.")
@client_command(*DOCUMENTS, mesh=False)
def delete(session: Session, *, name: str, force: bool) -> None:
    """Delete an authority, and forget its key."""
    gone = session.client.delete(f"{_one(name)}{'?force=true' if force else ''}").body
    session.emit(gone, lambda: session.event(Glyph.REMOVED, f"{gone['name']} ({gone['arn']})"))


def _made(session: Session, made: Mapping[str, Any], said: str) -> None:
    def draw() -> None:
        session.event(Glyph.OK, f"authority {made['name']} {said}, until {made['notAfter']}")
        session.say(f"  {made['arn']}")

    session.emit(made, draw)


def _given(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in wanted.items() if value is not None}


def _one(name: str) -> str:
    from weft.cli.client import path_of

    return path_of("authorities", name)
