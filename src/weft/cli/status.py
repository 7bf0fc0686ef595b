"""``status``: the whole mesh on one screen."""

from __future__ import annotations

from typing import Any

import click

from weft.cli.gateways import reached
from weft.cli.kinds import short
from weft.cli.proxies import refusals
from weft.cli.render import Glyph, Role, age, plural
from weft.cli.session import DOCUMENTS, Session, client_command

_COUNTED = (
    ("virtualServices", "service"),
    ("virtualNodes", "virtual node"),
    ("virtualRouters", "router"),
    ("routes", "route"),
    ("virtualGateways", "gateway"),
    ("gatewayRoutes", "gateway route"),
    ("instances", "instance"),
    ("policies", "policy"),
)


@click.command()
@client_command(*DOCUMENTS, mesh=False)
def status(session: Session) -> None:
    """
    The whole mesh on one screen.

    The control plane, every mesh, how many proxies have accepted the newest
    revision, and what was rejected, in Envoy's own words.
    """
    answer = session.client.get("/weft/v1/status")
    session.emit(answer, lambda: _draw(session, answer))


def _draw(session: Session, answer: dict[str, Any]) -> None:
    strong = session.out.text(f"weft {answer.get('version', '?')}", Role.STRONG)
    started = age(answer.get("startedAt"), session.clock.now())
    lines = [
        ("control plane", f"{strong}  {session.endpoint}" + (f"  up {started}" if started else "")),
        ("proxies dial", str(answer.get("xds", "?"))),
        ("data", str(answer.get("data", "?"))),
        ("account", f"{answer.get('account', '?')}  {answer.get('region', '?')}"),
        ("revision", _revision(session, answer)),
        ("proxies", _proxies(session, answer.get("proxies") or {})),
    ]
    meshes = answer.get("meshes") or []
    for mesh in meshes:
        counts = [plural(mesh[name], noun) for name, noun in _COUNTED if mesh.get(name)]
        lines.append(("mesh", f"{mesh['name']}  {', '.join(counts) or 'empty'}{_egress(mesh)}"))
    for name, _, url in reached(str(answer.get("data", "")), session.endpoint):
        lines.append(("gateway", f"{name}  {url}"))
    for label, text in lines:
        session.say(f"{label.ljust(13)}  {text}")
    for each in answer.get("rerouted") or ():
        session.event(Glyph.NOTE, f"rerouted: {short(str(each['route']))}: {each['message']}")
    for failure in answer.get("failures") or ():
        session.event(Glyph.BAD, f"{failure.get('proxy')}: {failure.get('reason')}")
    certificates = answer.get("certificates") or {}
    for each in certificates.get("notRenewed") or ():
        session.event(Glyph.BAD, f"{each.get('arn')} could not be renewed: {each.get('reason')}")
    for each in certificates.get("changingKey") or ():
        session.event(Glyph.PENDING, f"{each.get('arn')} changes its key: {each.get('phase')}")
    if (answer.get("proxies") or {}).get("rejected"):
        for proxy in session.client.get("/weft/v1/proxies")["proxies"]:
            for refusal in refusals(proxy):
                session.event(Glyph.BAD, f"rejected by {refusal}")
        session.note("weft changes shows what was changed; weft revert REVISION undoes it")
    if not meshes:
        session.note("no mesh yet; try weft demo, or weft apply -f FILE")


def _egress(mesh: dict[str, Any]) -> str:
    """What may leave it; the exception is told as long as nobody has decided on it."""
    egress = mesh.get("egress") or {}
    if egress.get("type") != "DROP_ALL":
        return ""
    return ", egress DROP_ALL" + (" but *.amazonaws.com" if egress.get("amazonaws") else "")


def _revision(session: Session, answer: dict[str, Any]) -> str:
    revision, processed = answer.get("revision"), answer.get("processed")
    if processed is not None and revision is not None and processed < revision:
        late = f"{session.out.glyph(Glyph.PENDING)} sent up to {processed}"
        return f"{revision}  {session.out.text(late, Role.WARN)}"
    return str(revision)


def _proxies(session: Session, proxies: dict[str, Any]) -> str:
    connected, settled = proxies.get("connected", 0), proxies.get("settled", 0)
    rejected = proxies.get("rejected", 0)
    if not connected:
        return "none connected"
    glyph, role = (Glyph.OK, Role.OK) if settled == connected else (Glyph.PENDING, Role.WARN)
    if rejected:
        glyph, role = Glyph.BAD, Role.BAD
    text = f"{settled}/{connected} settled" + (f", {rejected} rejected" if rejected else "")
    return session.out.text(f"{session.out.glyph(glyph)} {text}", role)
