"""``token``: credentials for callers and proxies, over the API or straight on a data directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from weft import settings
from weft.cli.durations import Duration
from weft.cli.exits import Usage
from weft.cli.render import Cell, Column, Glyph, Role, Table
from weft.cli.session import DOCUMENTS, LISTS, Session, client_command
from weft.errors import Unreachable
from weft.settings import data_directory

if TYPE_CHECKING:
    from weft.store.database import Database

_ROLES = ("admin", "operator", "viewer", "proxy")
_PATH = "/weft/v1/tokens"

_data_option = click.option(
    settings.DATA.flag,
    metavar="DIR",
    help="Data directory of a control plane that does not run; without it, the one that runs "
    "is asked, and the default directory only where none does.",
)


@click.group(name="token", invoke_without_command=True)
@click.pass_context
def token(ctx: click.Context, /) -> None:
    """
    Make, list and revoke credentials.

    A credential is an access key with a secret, which signs as AWS's tools do, and a
    token for everything else. Both are shown once.
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@token.command()
@click.option("--name", required=True, metavar="NAME", help="What the log calls its holder.")
@click.option(
    "--role",
    type=click.Choice(_ROLES),
    required=True,
    help="viewer reads; operator changes meshes; admin manages credentials, too; "
    "proxy streams as given proxies and registers instances of them.",
)
@click.option(
    "--account", metavar="ID", help="Its AWS account, 12 digits; the control plane's by default."
)
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="ID",
    help="For the role proxy: mesh/M/virtualNode/N or mesh/M/virtualGateway/N; may be repeated.",
)
@click.option(
    "--expires",
    type=Duration(),
    metavar="TIME",
    help="How long it is good: 90d, 12h; else forever.",
)
@_data_option
@client_command(*DOCUMENTS, mesh=False)
def create(
    session: Session,
    *,
    name: str,
    role: str,
    account: str | None,
    proxies: tuple[str, ...],
    expires: float | None,
    data: str | None,
) -> None:
    """
    Make a credential and print it, this once.

    Asks the control plane, or writes to its data directory while it does not run:
    that is how the first one is made.
    """
    wanted = {
        "name": name,
        "role": role,
        "account": account,
        "proxies": list(proxies) or None,
        "expiresInSeconds": expires,
    }
    wanted = {member: value for member, value in wanted.items() if value is not None}

    def directly(database: Database) -> Any:
        return _created(session, database, wanted)

    made = _either(session, data, lambda: session.client.post(_PATH, wanted).body, directly)

    def draw() -> None:
        until = made.get("expiresAt") or "it is revoked"
        session.event(
            Glyph.OK, f"{made['role']} {made['name']} of account {made['account']}, until {until}"
        )
        session.say()
        for label, member in (
            ("access key id", "accessKeyId"),
            ("secret access key", "secretAccessKey"),
            ("token", "token"),
        ):
            session.say(f"  {session.out.text(label.ljust(17), Role.DIM)}  {made[member]}")
        session.say()
        session.note("Shown this once: keep it where only its holder reads it.")

    session.emit(made, draw)


@token.command(name="list")
@_data_option
@client_command(*LISTS, mesh=False)
def list_tokens(session: Session, *, data: str | None) -> None:
    """List credentials, without what proves them."""

    def directly(database: Database) -> Any:
        from weft.identity.credentials import of_directory
        from weft.identity.told import told

        now = session.clock.now()
        return [told(each, now) for each in of_directory(database.credentials).values()]

    found = _either(session, data, lambda: session.client.get(_PATH)["tokens"], directly)

    def table() -> Table:
        columns = ("NAME", "ROLE", "ACCOUNT", "ACCESS KEY ID", "EXPIRES", "PROXIES")
        rows: list[Sequence[Any]] = [
            (
                each["name"],
                each["role"],
                each["account"],
                each["accessKeyId"],
                "expired" if each["expired"] else each["expiresAt"] or "never",
                Cell(tuple(each["proxies"]) or ("-",)),
            )
            for each in found
        ]
        return Table([Column(title) for title in columns], rows)

    session.emit_list(
        {"tokens": found},
        found,
        name=lambda each: str(each["name"]),
        table=table,
        empty="There are no credentials.",
    )


@token.command()
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Revoke every credential.")
@_data_option
@client_command(*DOCUMENTS, mesh=False)
def revoke(session: Session, *, name: str | None, everything: bool, data: str | None) -> None:
    """
    Take a credential back, by its name or access key id.

    It is good for nothing from then on, and streams it opened end.
    """
    if (name is None) is not everything:
        raise Usage("name one credential, or give --all", fix="weft token list shows them")

    def asked() -> list[Any]:
        from weft.cli.client import path_of

        # Our own goes last, or it could not revoke the others.
        names = [name] if name else _own_last(session.client.get(_PATH)["tokens"])
        return [session.client.delete(path_of("tokens", each)).body for each in names]

    def directly(database: Database) -> list[Any]:
        from weft.identity.credentials import named, of_directory
        from weft.identity.told import told

        there = list(of_directory(database.credentials).values())
        gone = [named(there, name)] if name else there
        for each in gone:
            database.credentials.delete(each.id)
        return [told(each, session.clock.now()) for each in gone]

    gone = _either(session, data, asked, directly)

    def draw() -> None:
        for each in gone:
            session.event(Glyph.OK, f"{each['role']} {each['name']} is revoked")

    session.emit({"revoked": gone}, draw)


def _own_last(tokens: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (each["name"] for each in sorted(tokens, key=lambda each: bool(each["yours"])))


def _either(
    session: Session,
    data: str | None,
    asked: Callable[[], Any],
    directly: Callable[[Database], Any],
) -> Any:
    """Of the control plane that runs, else of the data directory it would use."""
    if data is None:
        try:
            return asked()
        except Unreachable:
            if session.endpoint_given:
                raise
    with _opened(data) as database:
        return directly(database)


@contextmanager
def _opened(data: str | None) -> Iterator[Database]:
    from weft.store.database import opened

    given = data or os.environ.get(settings.DATA.variable) or settings.DATA.default
    with opened(data_directory(given)) as database:
        yield database


def _created(session: Session, database: Database, wanted: Mapping[str, Any]) -> Any:
    from weft.identity.credentials import issue
    from weft.identity.sealing import Seal
    from weft.identity.told import told_once
    from weft.identity.wanted import wanted as checked

    account = os.environ.get(settings.ACCOUNT.variable) or settings.ACCOUNT.default
    what = checked(wanted, account)
    kept = bool(database.credentials.rows() or database.secrets.rows())
    seal = Seal.of(database.path.parent, must_exist=kept)
    now = session.clock.now()
    issued, row = issue(what, settings.user() or "operator", now, seal)
    database.credentials.insert(row)
    return told_once(issued, now)
