"""``export``: a mesh as a file that apply, the AWS CLI, CloudFormation or Kubernetes takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from weft.cli.exits import Usage
from weft.cli.render import plural
from weft.cli.session import Session, client_command
from weft.errors import NotFound

if TYPE_CHECKING:
    from weft.manifests.export.exported import Exported, File

FORMATS = ("weft", "cli", "cfn", "k8s")


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="weft",
    show_default=True,
    help="A weft.yaml, inputs of the AWS CLI, a CloudFormation template, Kubernetes manifests.",
)
@click.option(
    "-o", "--output", "place", metavar="FILE|DIR|-", default="-", help="Where to; - is stdout."
)
@click.option("--revision", type=click.IntRange(0), help="As it stood at this revision.")
@client_command()
def export(session: Session, *, form: str, place: str, revision: int | None) -> None:
    """
    Write a mesh as files.

    Applied to the same mesh again, they change nothing. A directory (one that is
    there, or a name that ends in /) gets one file for each resource where the
    format is cli, else one file. Kubernetes manifests have no place for tags.
    """
    mesh = session.mesh()
    query = {"mesh": mesh, "revision": revision}
    try:
        found = session.client.get("/weft/v1/resources", query)["resources"]
    except NotFound as error:
        error.fix = error.fix or ("weft get meshes" if revision is None else "weft changes")
        raise
    from weft.manifests.export.exported import Exported

    resources = [Exported.of(each) for each in found]
    tagged = sum(bool(each.tags) for each in resources)
    if form == "k8s" and tagged:
        session.warn(f"the tags of {plural(tagged, 'resource')} are left out: no manifest has them")
    to_directory = place.endswith("/") or Path(place).is_dir()
    policies = session.client.get("/weft/v1/policies", query)["policies"]
    if policies and form != "weft":
        said = plural(len(policies), "policy")
        session.warn(f"{said} of Weft's own left out: only the format weft has a place for that")
    files = _files(form, resources, policies, apart=to_directory)
    if place == "-":
        for each in files:
            session.say(each.text.rstrip("\n"))
        return
    directory = Path(place) if to_directory else Path(place).parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for each in files:
            _write(directory / each.name if to_directory else Path(place), each.text)
        if to_directory:
            _warn_of_others(session, directory, {each.name for each in files})
    except OSError as error:
        raise Usage(f"{place} cannot be written", fix="choose another place with -o") from error
    what = f"{plural(len(resources), 'resource')} of mesh {mesh}"
    session.note(f"{what} in {plural(len(files), 'file')}: {place}")


def _files(
    form: str, resources: Sequence[Exported], policies: Sequence[Any], *, apart: bool
) -> list[File]:
    from weft.manifests.export import cli_json, cloudformation, kubernetes, weft_yaml
    from weft.manifests.export.exported import File

    match form:
        case "cli" if apart:
            return cli_json.files(resources)
        case "cli":
            return [File("mesh.json", cli_json.listed(resources))]
        case "cfn":
            return cloudformation.files(resources)
        case "k8s":
            return kubernetes.files(resources)
        case _:
            return weft_yaml.files(resources, policies)


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _warn_of_others(session: Session, directory: Path, written: set[str]) -> None:
    from weft.manifests.files import SUFFIXES

    others = [
        each.name
        for each in sorted(directory.iterdir())
        if each.name.endswith(SUFFIXES) and each.name not in written
    ]
    if others:
        shown = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
        session.warn(f"{directory} also holds {shown}; weft apply -f {directory} reads them too")
