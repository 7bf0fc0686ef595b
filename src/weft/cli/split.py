"""``split``: how a service's traffic is shared, as configured and as observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from weft.cli import phrases
from weft.cli.completing import complete_service
from weft.cli.exits import Exit
from weft.cli.observing import Observation, observe
from weft.cli.render import Column, Glyph, Role, Table, cell, plural
from weft.cli.session import DOCUMENTS, Session, client_command
from weft.cli.shares import Share, observed
from weft.cli.traffic import Json, Traffic, routes_of, traffic_of, weights_given, with_weights
from weft.cli.waiting import delivered, settled, timeout_option
from weft.names import Kind


@click.command()
@click.argument("service", shell_complete=complete_service)
@click.argument("assignments", nargs=-1, metavar="[TARGET=WEIGHT]...")
@click.option("--route", "route_name", metavar="NAME", help="Which route, if there are several.")
@click.option("--no-wait", is_flag=True, help="Return once it is saved.")
@timeout_option
@click.option("-y", "--yes", is_flag=True, hidden=True, help="Accepted; split never asks.")
@client_command(*DOCUMENTS)
def split(
    session: Session,
    *,
    service: str,
    assignments: tuple[str, ...],
    route_name: str | None,
    no_wait: bool,
    timeout: float,
    yes: bool,
) -> int:
    """
    Show or set how a service's traffic is shared.

    Without assignments: what is configured, and what the proxies really do.

    With assignments: sets them, waits until every proxy has accepted, and shows
    what the proxies do then. While a target is left unnamed the numbers are per
    cent, and the unnamed targets share what is left of 100 in their present
    proportion: colorteller red=10. With every target named the numbers are the
    weights themselves: colorteller white=8 blue=2 red=0. A virtual node of the
    same protocol that is no target yet joins the route.

    SERVICE, TARGET and --route may be any part of a name that only one has.
    """
    del yes
    traffic = traffic_of(session, service)
    routes = routes_of(traffic, route_name, needed=bool(assignments))
    if not assignments:
        _show(session, traffic, routes)
        return Exit.OK
    (route,) = routes
    given = weights_given(traffic, route, assignments)
    spec = with_weights(traffic, route, given)
    return _set(session, traffic, route, spec, assignments, wait=not no_wait, timeout=timeout)


# --- show and set -----------------------------------------------------------------------


def _show(session: Session, traffic: Traffic, routes: Sequence[Json]) -> None:
    nodes = [t["virtualNode"] for route in routes for t in phrases.targets_of(route["spec"])]
    seen = _observe(session, traffic, list(dict.fromkeys(nodes)))
    document = {
        "service": traffic.service,
        "routes": [_document(route, route["spec"], seen) for route in routes],
    }

    def draw() -> None:
        for i, route in enumerate(routes):
            if i:
                session.say()
            match = phrases.match_of(route["spec"])
            session.say(f"{route['routeName']}  {session.out.text(match, Role.DIM)}")
            session.draw(_table(session, None, route["spec"], seen), indent="  ")
        _say_basis(session, traffic, seen)

    session.emit(document, draw)


def _set(
    session: Session,
    traffic: Traffic,
    route: Json,
    spec: dict[str, Any],
    assignments: Sequence[str],
    *,
    wait: bool,
    timeout: float,
) -> int:
    body = {
        "kind": Kind.ROUTE.value,
        "meshName": traffic.mesh,
        "virtualRouterName": route["virtualRouterName"],
        "routeName": route["routeName"],
        "spec": spec,
    }
    note = f"weft split {traffic.service} {' '.join(assignments)}"
    answer = session.client.post("/weft/v1/apply", {"resources": [body], "note": note})
    revision = answer.body.get("revision") or answer.revision
    outcomes = answer.body.get("outcomes") or [{}]
    changed = outcomes[0].get("action") != "unchanged"
    if session.drawn:
        session.say(f"{route['routeName']}  {session.out.text(phrases.match_of(spec), Role.DIM)}")
        session.draw(_table(session, route["spec"], spec, None), indent="  ")
    if changed:
        session.event(Glyph.OK, f"saved as revision {revision}; undo: weft revert {revision}")
    else:
        session.event(Glyph.SAME, f"unchanged since revision {revision}")
    _warn_of_others(session, outcomes[0], revision)
    document = {"service": traffic.service, "revision": revision, "changed": changed}
    if not wait:
        session.emit({**document, "routes": [_document(route, spec, None)]}, lambda: None)
        return Exit.OK
    started = session.clock.monotonic()
    accepted = settled(session, revision, timeout, traffic.mesh)
    session.event(Glyph.OK, delivered(accepted, session.clock.monotonic() - started))
    seen = _observe(session, traffic, [t["virtualNode"] for t in phrases.targets_of(spec)])
    document["delivered"] = {name: accepted.get(name) for name in ("accepted", "total")}
    document["routes"] = [_document(route, spec, seen)]

    def draw() -> None:
        if seen.requests:
            words = [
                f"{name} {_share_words(session, share)}"
                for name, share in _shares(spec, seen).items()
            ]
            session.event(Glyph.OK, "observed " + ", ".join(words))
        _say_basis(session, traffic, seen)

    session.emit(document, draw)
    return Exit.OK


def _warn_of_others(session: Session, outcome: Json, revision: int | None) -> None:
    """Someone may have changed the route between our reading and our writing."""
    foreign = [
        str(each.get("path"))
        for each in outcome.get("differences") or ()
        if "weightedTargets" not in str(each.get("path"))
    ]
    if foreign:
        session.warn(
            f"the route was changed by someone else meanwhile, and {', '.join(foreign)} was set "
            f"back; weft revert {revision} restores it"
        )


def _observe(session: Session, traffic: Traffic, nodes: Sequence[str]) -> Observation:
    answer = session.client.get("/weft/v1/proxies", {"mesh": traffic.mesh})
    return observe(answer["proxies"], traffic.mesh, nodes, session.clock)


def _table(session: Session, before: Json | None, after: Json, seen: Observation | None) -> Table:
    """Targets with their weights; ``before`` adds what they were, ``seen`` what was observed."""
    columns = [Column("TARGET")]
    if before is not None:
        columns += [Column("BEFORE", right=True), Column("")]
    columns += [Column("WEIGHT", right=True), Column("SHARE", right=True), Column("")]
    if seen is not None:
        columns += [Column("OBSERVED", right=True), Column("REQUESTS", right=True)]
    table = Table(columns)
    old = {t["virtualNode"]: t["weight"] for t in phrases.targets_of(before or {})}
    targets = phrases.targets_of(after)
    total = sum(target["weight"] for target in targets)
    shares = _shares(after, seen)
    for target in targets:
        name, weight = target["virtualNode"], target["weight"]
        row: list[Any] = [name]
        if before is not None:
            row += [
                phrases.percent(old.get(name, 0), sum(old.values())),
                session.out.glyph(Glyph.ARROW),
            ]
        row += [weight, cell(phrases.percent(weight, total), Role.STRONG)]
        row.append(_bar(session, weight, total))
        if seen is not None:
            share = shares.get(name)
            row += [
                _share_words(session, share) if share else "-",
                share.requests if share else "-",
            ]
        table.rows.append(row)
    return table


def _bar(session: Session, weight: int, total: int) -> str:
    """Ten signs, one for each tenth; whatever has a share shows at least one."""
    full = max(round(10 * weight / total), 1) if weight and total else 0
    return session.out.glyph(Glyph.FULL) * full + session.out.glyph(Glyph.EMPTY) * (10 - full)


def _shares(spec: Json, seen: Observation | None) -> dict[str, Share]:
    """Of this route's targets alone; nothing where nothing was counted."""
    if seen is None:
        return {}
    names = [target["virtualNode"] for target in phrases.targets_of(spec)]
    counts = {name: seen.counts.get(name, 0) for name in names}
    return observed(counts) if any(counts.values()) else {}


def _share_words(session: Session, share: Share) -> str:
    return f"{share.percent:.1f} % {session.out.glyph(Glyph.PLUS_MINUS)}{share.margin:.1f}"


def _say_basis(session: Session, traffic: Traffic, seen: Observation) -> None:
    """What the observed shares rest on, or why there are none."""
    if seen.silent:
        session.warn(f"not counted: no status page answers at {', '.join(seen.silent)}")
    if not seen.proxies:
        session.note("observed: no connected proxy sends to these targets yet")
    elif not seen.requests:
        session.note(f"observed: no requests to these targets within {seen.seconds:.0f} s")
    else:
        counted = f"{seen.requests} requests in {seen.seconds:.1f} s"
        senders = plural(seen.proxies, "sending proxy")
        session.note(f"observed: {counted} at {senders} (95 % interval)")
    if also := sorted(traffic.shared & set(seen.counts)):
        session.note(f"these counts include other routes to {', '.join(also)}")


def _document(route: Json, spec: Json, seen: Observation | None) -> dict[str, Any]:
    targets = phrases.targets_of(spec)
    total = sum(target["weight"] for target in targets)
    shares = _shares(spec, seen)
    listed = []
    for target in targets:
        each: dict[str, Any] = {
            "virtualNode": target["virtualNode"],
            "weight": target["weight"],
            "percent": round(100 * target["weight"] / total, 1) if total else 0.0,
        }
        if share := shares.get(target["virtualNode"]):
            each["observed"] = {
                "percent": round(share.percent, 1),
                "margin": round(share.margin, 1),
                "requests": share.requests,
            }
        listed.append(each)
    found: dict[str, Any] = {"route": route["routeName"], "targets": listed}
    if seen is not None:
        found["observed"] = {"requests": seen.requests, "seconds": round(seen.seconds, 1)}
    return found
