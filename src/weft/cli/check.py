"""``check``: what is wrong with the mesh, or would be with files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from weft.cli.about import own_version
from weft.cli.exits import Exit, Refused, Usage
from weft.cli.files import load_files, refused_by_control_plane
from weft.cli.findings import SEVERITIES, Finding, PlaceOf, draw_area, sentence, verdict
from weft.cli.render import Glyph, Role, plural
from weft.cli.session import DOCUMENTS, Session, client_command
from weft.errors import Invalid, Problem

if TYPE_CHECKING:
    from weft.manifests.files import Loaded

_TIMEOUT = 60.0


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE|DIR|-]...")
@click.option("--alone", is_flag=True, help="Files as if there were nothing else; asks nobody.")
@click.option(
    "--severity",
    type=click.Choice(SEVERITIES),
    default="warning",
    show_default=True,
    help="Show what is at least this bad.",
)
@client_command(*DOCUMENTS)
def check(session: Session, *, files: tuple[str, ...], alone: bool, severity: str) -> int:
    """
    Find out what is wrong, and what to do about it.

    Without files: the control plane, the proxies and everything that is
    configured. With files: what they would bring if they were applied, on top of
    what stands; nothing is written. Exit code 1 when something is an error.
    """
    if files:
        loaded = load_files(session, files)
        without_templates(loaded)
        answer = judged_alone(loaded, severity) if alone else judged(session, loaded, severity)
        place_of = _places(loaded)
        for each in answer["findings"]:
            each["source"] = place_of(each).strip(" ()") or None
        session.emit(answer, lambda: _draw_files(session, answer, place_of))
    else:
        if alone:
            raise click.UsageError("--alone needs files")
        query = {"mesh": session.mesh_given, "severity": severity}
        answer = session.client.get("/weft/v1/checks", query, timeout=_TIMEOUT)
        session.emit(answer, lambda: _draw_standing(session, answer))
    return Exit.FAILED if (answer.get("counts") or {}).get("error") else Exit.OK


# --- Files, before they are applied -----------------------------------------------------------


def judged(session: Session, loaded: Loaded, severity: str) -> dict[str, Any]:
    """The control plane's findings about files, as they would stand on what there is."""
    resources = [{"kind": each.kind.value, **each.body} for each in loaded.definitions]
    body: dict[str, Any] = {"resources": resources}
    if loaded.policies:
        body["policies"] = [each.item for each in loaded.policies]
    try:
        answer: dict[str, Any] = session.client.post(
            f"/weft/v1/checks?severity={severity}", body
        ).body
    except Invalid as error:
        raise refused_by_control_plane(error, loaded) from None
    return answer


def judged_alone(loaded: Loaded, severity: str) -> dict[str, Any]:
    """The same without a control plane, and without anything but the files."""
    from weft.checks.catalogue import PROPOSED
    from weft.checks.finding import Severity
    from weft.checks.judgement import judged
    from weft.checks.report import report
    from weft.clock import SystemClock
    from weft.model.policy import POLICIES
    from weft.names import DEFAULT_ACCOUNT
    from weft.store.change import Keep, Put

    policies = [Keep(POLICIES, str(each.key), each.body) for each in loaded.policies]
    steps = [
        Put(
            each.key,
            each.body.get("spec") or {},
            tuple((tag["key"], tag.get("value", "")) for tag in each.body.get("tags") or ()),
        )
        for each in loaded.definitions
    ]
    found = judged(steps, SystemClock(), DEFAULT_ACCOUNT, policies=policies, on=None)
    return report(found, revision=None, least=Severity(severity), codes=PROPOSED)


def before_applying(session: Session, loaded: Loaded) -> None:
    """Warn of what the files bring; refuse them when something is an error."""
    without_templates(loaded)
    answer = judged(session, loaded, "warning")
    place_of = _places(loaded)
    problems = []
    for each in answer["findings"]:
        said = f"{sentence(each)}{place_of(each)} [{each['code']}]"
        if each["severity"] == "error":
            problems.append(Problem("", said))
        else:
            session.warn(said)
    if problems:
        count = plural(len(problems), "error")
        raise Refused(
            tuple(problems),
            headline=f"the checks found {count}; nothing is written",
            fix="weft check FILE says more; without --check only what App Mesh refuses counts",
        )


def without_templates(loaded: Loaded) -> None:
    """What a template creates depends on its stack, which only an apply makes; say so."""
    if loaded.templates:
        names = ", ".join(each.path for each in loaded.templates)
        raise Usage(
            f"a CloudFormation template cannot be checked before it is applied: {names}",
            fix="weft apply --dry-run -f FILE shows what App Mesh would refuse; once it is applied, "
            "weft check finds the rest",
        )


def _places(loaded: Loaded) -> PlaceOf:
    """File and line of a finding, for those about a definition of the files."""
    by_key = {str(each.key): each for each in loaded.definitions}

    def place_of(finding: Finding) -> str:
        definition = by_key.get(str(finding.get("key")))
        return f"  ({definition.at(str(finding.get('path') or ''))})" if definition else ""

    return place_of


def _draw_files(session: Session, answer: Mapping[str, Any], place_of: PlaceOf) -> None:
    _draw_area(session, answer, "configuration", place_of)
    _draw_verdict(session, answer)


# --- What stands ------------------------------------------------------------------------------


def _draw_standing(session: Session, answer: Mapping[str, Any]) -> None:
    status = session.client.get("/weft/v1/status")
    session.say("control plane")
    mine, theirs = own_version(), str(status.get("version"))
    if mine == theirs:
        session.event(Glyph.OK, f"{session.endpoint} answers, version {theirs} like this client")
    else:
        session.event(Glyph.NOTE, f"the control plane is {theirs}, this client is {mine}")
    session.event(Glyph.OK, f"revision {answer.get('revision')} is kept in {status.get('data')}")
    _draw_findings(session, answer, "control plane", _nowhere)
    session.say("data plane")
    proxies = answer.get("proxies") or {}
    connected = sum(count for state, count in proxies.items() if state != "disconnected")
    accepted = proxies.get("accepted", 0)
    if connected and accepted == connected:
        session.event(Glyph.OK, f"{accepted} of {connected} proxies have accepted everything")
    elif connected:
        session.event(Glyph.NOTE, f"{accepted} of {connected} proxies have accepted everything")
    else:
        session.event(Glyph.SAME, "no proxy is connected")
    _draw_findings(session, answer, "data plane", _nowhere)
    _draw_area(session, answer, "configuration", _nowhere)
    _draw_verdict(session, answer)


def _nowhere(_: Finding) -> str:
    return ""


def _draw_area(session: Session, answer: Mapping[str, Any], area: str, place_of: PlaceOf) -> None:
    session.say(area)
    clean = (answer.get("clean") or {}).get(area, 0)
    session.event(Glyph.OK, f"{plural(clean, 'check')} found nothing")
    _draw_findings(session, answer, area, place_of)


def _draw_findings(
    session: Session, answer: Mapping[str, Any], area: str, place_of: PlaceOf
) -> None:
    found = [each for each in answer.get("findings") or () if each.get("area") == area]
    draw_area(session, found, place_of)


def _draw_verdict(session: Session, answer: Mapping[str, Any]) -> None:
    counts: Mapping[str, int] = answer.get("counts") or {}
    said = verdict(counts, sum((answer.get("clean") or {}).values()))
    role = Role.BAD if counts.get("error") else Role.WARN if counts.get("warning") else Role.OK
    session.say(session.out.text(said, role))
    if more := answer.get("more"):
        session.note(f"{more} findings are not listed")
    hidden = sum(counts.values()) - len(answer.get("findings") or ()) - (answer.get("more") or 0)
    if hidden > 0:
        session.note(f"{hidden} not shown; weft check --severity info shows all")
