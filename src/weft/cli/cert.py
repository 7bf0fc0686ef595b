"""``cert``: certificates by ARN, issued by the built-in authority or taken in from files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from weft import settings
from weft.cli.cert_authority import authority
from weft.cli.durations import Duration
from weft.cli.exits import Exit, Refused, Usage
from weft.cli.pem import of_files, read
from weft.cli.render import Cell, Column, Glyph, Role, Table, cell, plural
from weft.cli.session import DOCUMENTS, LISTS, Session, client_command
from weft.cli.waiting import timeout_option, wait_for, wait_option
from weft.errors import Invalid

KEYS = ("EC_prime256v1", "EC_secp384r1", "RSA_2048", "RSA_3072", "RSA_4096")
_PATH = "/weft/v1/certificates"
_MISSING = "/weft/v1/missingCertificates"


@click.group(name="cert", invoke_without_command=True)
@click.pass_context
def cert(ctx: click.Context, /) -> None:
    """
    Certificates and authorities by ARN.

    They stand in for ACM and ACM-PCA: listeners and client policies name them by ARN,
    proxies get them without a file, and they are renewed before they expire. A
    certificate is named by its ARN or by a host it is for.
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


cert.add_command(authority)


@cert.command()
@click.argument("hosts", nargs=-1, metavar="[NAME]...")
@click.option("--uri", "uris", multiple=True, metavar="URI", help="Such as spiffe://shop/web.")
@click.option("--arn", metavar="ARN", help="Of ACM; one is made up without it.")
@click.option(
    "--authority", metavar="NAME|ARN", help="Who issues it; weft, which is made if need be."
)
@click.option(
    "--lasts", type=Duration(), metavar="TIME", help="How long it is good: 395d unless given."
)
@click.option("--key", type=click.Choice(KEYS), help="The kind of key; EC_prime256v1.")
@click.option("--replace", is_flag=True, help="In the place of the one that is there.")
@wait_option
@timeout_option
@client_command(*DOCUMENTS, mesh=False)
def issue(
    session: Session,
    *,
    hosts: tuple[str, ...],
    uris: tuple[str, ...],
    arn: str | None,
    authority: str | None,
    lasts: float | None,
    key: str | None,
    replace: bool,
    wait: bool,
    timeout: float,
) -> int:
    """
    Issue a certificate for host names and addresses (NAME) and URIs.

    It is renewed by itself, under its ARN.
    """
    if not hosts and not uris:
        raise Usage(
            "a certificate is for somebody: name a host or a --uri",
            fix="weft cert issue web.local --uri spiffe://shop/web",
        )
    wanted = {
        "arn": arn,
        "hosts": list(hosts) or None,
        "uris": list(uris) or None,
        "authority": authority,
        "lifetimeSeconds": lasts,
        "keyAlgorithm": key,
    }
    path = f"{_PATH}?replace=true" if replace else _PATH
    return _made(session, session.client.post(path, _given(wanted)), "issued", timeout, wait=wait)


@cert.command(name="import")
@click.option(
    "--certificate", required=True, metavar="FILE", help="PEM; those above it may follow in it."
)
@click.option("--key-file", required=True, metavar="FILE", help="PEM, not encrypted.")
@click.option("--chain", metavar="FILE", help="PEM of the authorities between it and its root.")
@click.option("--root", metavar="FILE", help="PEM of what its clients trust.")
@click.option("--arn", metavar="ARN", help="Of ACM; one is made up without it.")
@click.option("--replace", is_flag=True, help="In the place of the one that is there.")
@wait_option
@timeout_option
@client_command(*DOCUMENTS, mesh=False)
def import_certificate(
    session: Session,
    *,
    certificate: str,
    key_file: str,
    chain: str | None,
    root: str | None,
    arn: str | None,
    replace: bool,
    wait: bool,
    timeout: float,
) -> int:
    """Take in a certificate with its key; every mistake in the files is said at once."""
    files = {
        "certificate": certificate,
        "privateKey": key_file,
        "certificateChain": chain,
        "rootChain": root,
    }
    wanted = {"arn": arn, **read(files)}
    path = f"{_PATH}?replace=true" if replace else _PATH
    try:
        answer = session.client.post(path, _given(wanted))
    except Invalid as error:
        raise of_files(error, files) from None
    return _made(session, answer, "imported", timeout, wait=wait)


@cert.command(name="list")
@client_command(*LISTS, mesh=False)
def list_certificates(session: Session) -> None:
    """List certificates: for whom, until when, and what presents them."""
    answer = session.client.get(_PATH)
    found = answer["certificates"]

    def table() -> Table:
        columns = ("NAME", "ENDS", "RENEWAL", "USED BY", "ARN")
        drawn = Table([Column(title) for title in columns])
        for each in found:
            users = tuple(dict.fromkeys(use["key"].partition("/")[2] for use in each["usedBy"]))
            drawn.rows.append(
                (each["name"], _ends(each), _renewal(each), Cell(users or ("-",)), each["arn"])
            )
        return drawn

    session.emit_list(
        answer,
        found,
        name=lambda each: str(each["arn"]),
        table=table,
        empty="There are no certificates; weft cert issue makes one.",
    )
    if session.drawn:
        _failures(session, found)


@cert.command()
@click.argument("name")
@client_command(*DOCUMENTS, mesh=False)
def show(session: Session, *, name: str) -> None:
    """Print a certificate and those above it as PEM; what is known of it goes to stderr."""
    found = session.client.get(_one(name))

    def draw() -> None:
        session.say(found["certificateChain"].rstrip("\n"))
        session.note(f"{', '.join([*found['hosts'], *found['uris']])} until {found['notAfter']}")
        session.note(f"{found['origin']}, {found['keyAlgorithm']}, serial {found['serial']}")
        for use in found["usedBy"]:
            session.note(f"used by {use['key']} {use['path']}")
        _failures(session, [found])

    session.emit(found, draw)


@cert.command()
@click.argument("name")
@click.option("--key-file", required=True, metavar="FILE", help="Where the private key goes.")
@click.option("--certificate", metavar="FILE", help="Where the certificate with its chain goes.")
@click.option("--root", metavar="FILE", help="Where what its clients trust goes.")
@client_command(mesh=False)
def export(
    session: Session, *, name: str, key_file: str, certificate: str | None, root: str | None
) -> None:
    """
    Write a certificate's private key into a new file, for its owner alone.

    For programs that read files. It is renewed under its ARN; the file is not.
    """
    for file in (key_file, certificate, root):
        # Before it is asked for: a key that cannot be put away shall not travel.
        if file is not None and (file == "-" or os.path.lexists(file)):
            raise Usage(f"{file} is there already; a private key goes into a new file")
    found = session.client.post(f"{_one(name)}/export", {}).body
    _write(key_file, found["privateKey"], 0o600)
    session.event(Glyph.OK, f"the private key of {found['arn']} is in {key_file}")
    if certificate is not None:
        _write(certificate, found["certificateChain"], 0o644)
    if root is not None and found["rootChain"]:
        _write(root, found["rootChain"], 0o644)


@cert.command()
@click.argument("name")
@wait_option
@timeout_option
@client_command(*DOCUMENTS, mesh=False)
def rotate(session: Session, *, name: str, wait: bool, timeout: float) -> int:
    """Renew a certificate now: a new one with a new key, under the same ARN."""
    answer = session.client.post(f"{_one(name)}/renew", {})
    return _made(session, answer, "renewed", timeout, wait=wait)


@cert.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also while listeners present it.")
@client_command(*DOCUMENTS, mesh=False)
def delete(session: Session, *, name: str, force: bool) -> None:
    """Delete a certificate, and forget its key."""
    gone = session.client.delete(f"{_one(name)}{'?force=true' if force else ''}").body
    session.emit(gone, lambda: session.event(Glyph.REMOVED, f"{gone['name']} ({gone['arn']})"))


@cert.command()
@click.argument("files", nargs=-1, metavar="[FILE|DIR|-]...")
@click.option("--dry-run", is_flag=True, help="Show the commands that would do it.")
@client_command(*DOCUMENTS)
def fill(session: Session, *, files: tuple[str, ...], dry_run: bool) -> int:
    """
    Make every certificate and authority that definitions name and lack.

    Of FILES, before they are applied; without any, of the meshes as they stand.
    Certificates are for the names that their clients look for, and come from the
    authorities that these trust.
    """
    body: dict[str, Any] = {}
    if files:
        from weft.cli.check import without_templates
        from weft.cli.files import load_files, refused_by_control_plane

        loaded = load_files(session, files)
        without_templates(loaded)
        body["resources"] = [{"kind": e.kind.value, **e.body} for e in loaded.definitions]
        try:
            answer = session.client.post(_MISSING if dry_run else f"{_MISSING}/fill", body).body
        except Invalid as error:
            raise refused_by_control_plane(error, loaded) from None
    else:
        answer = session.client.post(_MISSING if dry_run else f"{_MISSING}/fill", body).body
    found = answer["missing" if dry_run else "made"]

    def draw() -> None:
        for each in found:
            if dry_run:
                session.say(each["command"])
            else:
                names = ", ".join([*each["hosts"], *each["uris"]])
                what = f"certificate for {names}" if names else "authority"
                session.event(Glyph.ADDED, f"{what} {each['arn']}")
        if not found:
            session.note("Nothing is lacking.")

    session.emit(answer, draw)
    return Exit.OK


@cert.command(name="forget-keys")
@click.option("--yes", is_flag=True, help="Do it.")
@click.option(settings.DATA.flag, metavar="DIR", help="Data directory of a control plane.")
@client_command(mesh=False)
def forget_keys(session: Session, *, yes: bool, data: str | None) -> None:
    """
    Forget every private key of a data directory whose key file is lost.

    Only while its control plane does not run. Then weft cert authority rotate makes
    new keys, and certificates are issued anew under their ARNs.
    """
    from weft.settings import data_directory
    from weft.store.database import opened

    if not yes:
        raise Usage("nothing brings these keys back", fix="weft cert forget-keys --yes")
    given = data or os.environ.get(settings.DATA.variable) or settings.DATA.default
    with opened(data_directory(given)) as database:
        gone = database.secrets.forget_all()
    session.event(Glyph.OK, f"{plural(gone, 'private key')} forgotten")


# --- What they have in common -----------------------------------------------------------------


def _made(session: Session, answer: Any, verb: str, timeout: float, *, wait: bool) -> int:
    made = answer.body

    def draw() -> None:
        names = ", ".join([*made["hosts"], *made["uris"]]) or "nobody by name"
        session.event(Glyph.OK, f"{verb} for {names}, until {made['notAfter']}")
        session.say(f"  {made['arn']}")

    for warning in made.get("warnings") or ():
        session.warn(warning)
    session.emit(made, draw)
    return wait_for(session, answer.revision, timeout) if wait else Exit.OK


def _given(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in wanted.items() if value is not None}


def _one(name: str) -> str:
    from weft.cli.client import path_of

    return path_of("certificates", name)


def _ends(each: Mapping[str, Any]) -> Cell:
    day = str(each["notAfter"])
    return cell(f"{day} (expired)", Role.BAD) if each["expired"] else cell(day, Role.PLAIN)


def _renewal(each: Mapping[str, Any]) -> Cell:
    if each["failure"]:
        return cell("failed", Role.BAD)
    if not each["hasKey"]:
        return cell("no private key", Role.BAD)
    return cell(str(each["renewsAt"] or "by import"), Role.PLAIN if each["renewsAt"] else Role.WARN)


def _failures(session: Session, found: list[Any]) -> None:
    for each in found:
        if failure := each["failure"]:
            session.event(
                Glyph.BAD,
                f"{each['name']} was not renewed: {failure['reason']}; tried again at {failure['again']}",
            )


def _write(file: str, text: str, mode: int) -> None:
    try:
        descriptor = os.open(Path(file), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise Refused((), headline=f"{file} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as opened:
        opened.write(text)
