"""``apply`` and ``diff``: the mesh as files say."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from weft.cli.exits import Exit, Refused, Usage
from weft.cli.history import draw_entry, sign
from weft.cli.render import Glyph, plural
from weft.cli.session import DOCUMENTS, Session, client_command
from weft.cli.templates import (
    StackOptions,
    foreign_option,
    parameter_option,
    set_option,
    stack_option,
)
from weft.cli.waiting import timeout_option, wait_for, wait_option
from weft.errors import Invalid, WeftError

if TYPE_CHECKING:
    from weft.manifests.files import Loaded

_file_option = click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    required=True,
    metavar="FILE|DIR|-",
    help="weft.yaml, AWS CLI input, Kubernetes manifest, Terraform state or plan, CloudFormation "
    "template; a directory of any of them, - for stdin; several times.",
)


@click.command()
@_file_option
@click.option("--dry-run", is_flag=True, help="Check and show it; write nothing.")
@click.option("--check", is_flag=True, help="Refuse what weft check calls an error.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="Tag every resource of the files with it; several times.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Delete what carries the labels in the same meshes and is in no file.",
)
@parameter_option
@set_option
@stack_option
@foreign_option
@click.option("--note", metavar="TEXT", help="Why; weft changes shows it.")
@wait_option
@timeout_option
@client_command(*DOCUMENTS)
def apply(
    session: Session,
    *,
    files: tuple[str, ...],
    dry_run: bool,
    check: bool,
    labels: tuple[str, ...],
    prune: bool,
    parameters: tuple[str, ...],
    values: tuple[str, ...],
    stack: str | None,
    foreign: str,
    note: str | None,
    wait: bool,
    timeout: float,
) -> int:
    """
    Make the mesh as files say.

    All files together are one change: all of it or nothing, one revision. What
    is equal already is left alone. Resources that no file names stay as they are,
    unless --prune says otherwise of those with a label; a mesh itself always stays.
    docs/files.md tells what is read of each format. A CloudFormation template is
    a stack, and applied alone: docs/cloudformation.md.
    """
    tags = _tags(labels)
    if prune and not tags:
        raise Usage(
            "--prune needs to know what may go",
            fix="give the label of all that these files own, as in --prune --label app=shop",
        )
    loaded = load_files(session, files)
    if check:
        from weft.cli.check import before_applying

        before_applying(session, loaded)
    options = StackOptions(stack, parameters, values, foreign, tags)
    answer = _asked(
        session,
        loaded,
        options,
        dry_run=dry_run,
        note=note or f"weft apply {' '.join(files)}",
        prune=prune,
    )
    session.emit(answer, lambda: _draw(session, loaded, answer))
    revision, changed = answer.get("revision"), _changed(answer)
    if dry_run:
        session.event(Glyph.SAME, "dry run; nothing is written")
        return Exit.OK
    if changed:
        session.event(Glyph.OK, f"saved as revision {revision}; undo: weft revert {revision}")
    else:
        session.event(Glyph.SAME, f"nothing to change at revision {revision}")
    return wait_for(session, revision, timeout, loaded.mesh) if wait else Exit.OK


@click.command()
@_file_option
@parameter_option
@set_option
@stack_option
@foreign_option
@client_command(*DOCUMENTS)
def diff(
    session: Session,
    *,
    files: tuple[str, ...],
    parameters: tuple[str, ...],
    values: tuple[str, ...],
    stack: str | None,
    foreign: str,
) -> int:
    """
    Show what apply would change.

    Exit code 0: nothing. 1: something. Above 1: the files could not be checked.
    """
    loaded = load_files(session, files)
    options = StackOptions(stack, parameters, values, foreign)
    answer = _asked(session, loaded, options, dry_run=True, note="")
    session.emit(answer, lambda: _draw(session, loaded, answer, places=True))
    return Exit.FAILED if _changed(answer) else Exit.OK


def load_files(session: Session, files: tuple[str, ...]) -> Loaded:
    """The files; a resource that names no mesh, in a file that names none, is of the only one."""
    from weft.manifests.files import load

    stdin = sys.stdin.buffer.read() if "-" in files else b""

    def loaded(mesh: str | None) -> Loaded:
        kept = sys.stdin
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
        try:
            return load(files, os.environ, mesh=mesh)
        finally:
            sys.stdin = kept

    try:
        try:
            found = loaded(session.mesh_given)
        except Invalid as error:
            if session.mesh_given or not any("meshName" in str(each) for each in error.problems):
                raise
            found = loaded(_only_mesh(session, error))
    except Invalid as error:
        raise _refused(error, "the files were not understood; nothing is written") from None
    for warning in found.warnings:
        session.warn(str(warning))
    if found.foreign:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.foreign.items())
        session.note(f"passed over, being no kinds of App Mesh: {kinds}")
    if found.workloads:
        session.note(f"{plural(len(found.workloads), 'workload')} left alone: weft up starts them")
    if not found.definitions and not found.templates and not found.policies:
        session.warn("the files define no resources")
    return found


def _only_mesh(session: Session, error: Invalid) -> str:
    try:
        return session.mesh()
    except WeftError as unclear:
        error.fix = unclear.fix
        raise error from None


def _tags(labels: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for label in labels:
        name, separator, value = label.partition("=")
        if not separator or not name:
            raise Usage(f"{label!r} is no label", fix="write --label KEY=VALUE, as in app=shop")
        if found.setdefault(name, value) != value:
            raise Usage(f"label {name} is given two values", fix="give each label once")
    return found


def _asked(
    session: Session,
    loaded: Loaded,
    options: StackOptions,
    *,
    dry_run: bool,
    note: str,
    prune: bool = False,
) -> dict[str, Any]:
    """Of the one template, or of everything else."""
    if not loaded.templates:
        if options.given:
            raise Usage(
                "--parameter, --set, --stack and --foreign are for a CloudFormation template, "
                "and the files hold none"
            )
        return _send(session, loaded, dry_run=dry_run, note=note, labels=options.tags, prune=prune)
    if len(loaded.templates) > 1 or loaded.definitions or loaded.policies:
        names = ", ".join(each.path for each in loaded.templates)
        raise Usage(
            f"a CloudFormation template is a stack, and applied alone: {names}",
            fix="apply each template by itself, in the order of their imports",
        )
    if prune:
        raise Usage("--prune is not for a template: what leaves it leaves the stack")
    from weft.cli import templates

    return templates.send(session, loaded.templates[0], options, dry_run=dry_run, note=note)


def _send(
    session: Session,
    loaded: Loaded,
    *,
    dry_run: bool,
    note: str,
    labels: Mapping[str, str] | None = None,
    prune: bool = False,
) -> dict[str, Any]:
    resources = [{"kind": each.kind.value, **each.body} for each in loaded.definitions]
    policies = [each.item for each in loaded.policies]
    if not resources and not policies:
        return {"revision": None, "dryRun": dry_run, "outcomes": []}
    body: dict[str, Any] = {"resources": resources, "dryRun": dry_run, "note": note[:1000]}
    if policies:
        body["policies"] = policies
    if labels:
        body["labels"] = dict(labels)
    if prune:
        body["prune"] = True
    try:
        answer: dict[str, Any] = session.client.post("/weft/v1/apply", body).body
    except Invalid as error:
        raise refused_by_control_plane(error, loaded) from None
    return answer


def refused_by_control_plane(error: Invalid, loaded: Loaded) -> Refused:
    """Its problems, said with the file and line they come from."""
    from weft.manifests import policies
    from weft.manifests.definition import located

    found = located(error.problems, loaded.definitions)
    placed = Invalid(policies.located(found, loaded.policies), fix=error.fix)
    return _refused(placed, "the control plane refused it; nothing is written")


def _refused(error: Invalid, headline: str) -> Refused:
    count = len(error.problems)
    return Refused(
        error.problems, headline=f"{headline} ({plural(count, 'problem')})", fix=error.fix
    )


def _changed(answer: Mapping[str, Any]) -> bool:
    return any(each.get("action") != "unchanged" for each in answer.get("outcomes") or ())


def _draw(
    session: Session, loaded: Loaded, answer: Mapping[str, Any], *, places: bool = False
) -> None:
    if loaded.templates:
        from weft.cli import templates

        templates.draw(session, answer, places=places)
        return
    sources = {str(each.key): each.source for each in loaded.definitions}
    sources |= {f"policies//{each.key}": each.source for each in loaded.policies}
    outcomes = answer.get("outcomes") or []
    for outcome in outcomes:
        action, key = str(outcome.get("action")), str(outcome.get("key"))
        if action == "unchanged":
            continue
        # Of a new resource every place is new; its name says as much.
        shown = outcome if action == "updated" else {}
        said = "changed" if action == "updated" else action
        draw_entry(session, key, said, shown, place=sources.get(key, ""))
    same = Counter(str(each.get("action")) for each in outcomes)["unchanged"]
    if same:
        session.say(f"{sign(session, 'unchanged')} {same} unchanged")
