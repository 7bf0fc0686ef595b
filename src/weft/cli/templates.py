"""CloudFormation templates in ``apply`` and ``diff``: sent as they are, for the control plane reads them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from weft.cli.exits import Refused, Usage
from weft.cli.history import sign
from weft.cli.render import plural
from weft.cli.session import Session
from weft.errors import Invalid

if TYPE_CHECKING:
    from weft.manifests.files import StackTemplate

parameter_option = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Parameter of a CloudFormation template; several times. What is not given stays as it was.",
)
set_option = click.option(
    "--set",
    "values",
    multiple=True,
    metavar="LOGICALID.ATTR=VALUE",
    help="Of a template: value in the place of a stand-in; several times.",
)
stack_option = click.option(
    "--stack",
    metavar="NAME",
    help="Of a template: the stack; by default the file's name.",
)
foreign_option = click.option(
    "--foreign",
    type=click.Choice(("record", "refuse")),
    default="record",
    show_default=True,
    help="Of a template: what to do with types that Weft does not create.",
)


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What ``apply`` and ``diff`` were told about a template."""

    stack: str | None = None
    parameters: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    foreign: str = "record"
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def given(self) -> bool:
        return bool(self.stack or self.parameters or self.values or self.foreign != "record")


def values_of(texts: Sequence[str], form: str) -> dict[str, str]:
    """``NAME=VALUE``, each name once."""
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise Usage(f"{text!r} is no value", fix=f"write {form}")
        if name in found:
            raise Usage(f"{name} is given twice", fix="give each once")
        found[name] = value
    return found


def send(
    session: Session,
    template: StackTemplate,
    options: StackOptions,
    *,
    dry_run: bool,
    note: str,
) -> dict[str, Any]:
    """Make a stack of a template, or see what that would change."""
    from weft.cli.client import path_of

    body: dict[str, Any] = {
        "template": template.text,
        "file": template.path,
        "parameters": values_of(options.parameters, "--parameter KEY=VALUE"),
        "values": values_of(options.values, "--set LogicalId.Attribute=value"),
        "foreign": options.foreign,
        "dryRun": dry_run,
        "note": note[:1000],
    }
    if options.tags:
        body["tags"] = dict(options.tags)
    name = options.stack or _name_of(template.path)
    try:
        answer: dict[str, Any] = session.client.post(path_of("stacks", name), body).body
    except Invalid as error:
        count = plural(len(error.problems), "problem")
        raise Refused(
            error.problems,
            headline=f"the template was refused; nothing is written ({count})",
            fix=error.fix,
        ) from None
    return answer


def _name_of(path: str) -> str:
    """A stack's name for a file: ``mesh/app-mesh.yaml`` → ``app-mesh``."""
    if path == "-":
        raise Usage("a template from standard input needs a name for its stack", fix="--stack NAME")
    found = re.sub(r"[^A-Za-z0-9]+", "-", Path(path).name.partition(".")[0]).strip("-")
    if not re.fullmatch(r"[A-Za-z][-A-Za-z0-9]{0,127}", found):
        raise Usage(f"{path} makes no name for a stack", fix="--stack NAME")
    return found


def draw(session: Session, answer: Mapping[str, Any], *, places: bool) -> None:
    """One line for each resource that changes, and how many do not."""
    outcomes = answer.get("outcomes") or []
    for outcome in outcomes:
        action = str(outcome["action"])
        if action == "unchanged" or (outcome["recorded"] and not places):
            continue
        said = "changed" if action == "updated" else action
        what = outcome["key"] or outcome["physicalId"]
        line = f"{sign(session, _SIGNS[action])} {said} {outcome['logicalId']}  {what}"
        if outcome["changed"] and action in ("updated", "replaced"):
            line += f"  ({', '.join(outcome['changed'])})"
        if outcome["recorded"]:
            line += "  recorded, not created"
        if places and outcome["at"]:
            line += f"  {outcome['at']}"
        session.say(line)
    counts = Counter(str(each["action"]) for each in outcomes)
    if counts["unchanged"]:
        session.say(f"{sign(session, 'unchanged')} {counts['unchanged']} unchanged")
    recorded = [each for each in outcomes if each["recorded"]]
    if recorded and not places:
        types = Counter(each["type"] for each in recorded)
        named = ", ".join(f"{count} {name}" for name, count in sorted(types.items()))
        session.note(f"{len(recorded)} recorded, not created: {named}")
    draw_outputs(session, answer.get("outputs") or ())


_SIGNS = {
    "created": "created",
    "updated": "updated",
    "replaced": "updated",
    "deleted": "deleted",
    "retained": "unchanged",
}


def draw_outputs(session: Session, outputs: Sequence[Mapping[str, Any]]) -> None:
    if not outputs:
        return
    session.say("outputs")
    width = max(len(each["key"]) for each in outputs)
    for each in outputs:
        export = f"  (exported as {each['export']})" if each.get("export") else ""
        session.say(f"  {each['key'].ljust(width)}  {each['value']}{export}")
