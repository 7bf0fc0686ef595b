"""What ``why`` answers, for a person: the way, the verdicts, and every value in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from weft.cli.render import Cell, Column, Glyph, Role, Table, cell
from weft.cli.session import Session
from weft.cli.why_passage import draw_passage

Json = Mapping[str, Any]


def draw(session: Session, answer: Json) -> None:
    session.say(session.out.text(_title(answer), Role.STRONG))
    session.say(f"  {answer.get('summary')}")
    for line in _way(answer):
        session.say(f"  {session.out.text(line, Role.DIM)}")
    for note in answer.get("notes") or ():
        session.event(Glyph.NOTE, str(note))
    if passage := answer.get("passage"):
        draw_passage(session, answer, passage)
    if candidates := answer.get("candidates"):
        table = Table((Column(""), Column("ROUTE"), Column("PRIORITY", right=True), Column("")))
        for each in candidates:
            chosen = each.get("matches") and each.get("route") == answer.get("route")
            mark = cell(session.out.glyph(Glyph.ARROW), Role.OK) if chosen else ""
            priority = each.get("priority")
            table.rows.append((mark, each.get("route"), priority, each.get("because")))
        session.draw(table, indent="  ")
    if targets := answer.get("targets"):
        session.say()
        session.draw(_targets(targets), indent="  ")
    facts = list(_facts(answer))
    if facts:
        session.say()
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        session.say(f"  {name.ljust(width)}  {value}")


def _title(answer: Json) -> str:
    port = f":{answer['port']}" if answer.get("port") else ""
    found = answer.get("service") or answer.get("host")
    if answer.get("service") is None and ":" in str(found):
        port = ""
    caller = str(answer.get("caller") or "").rpartition("/")[2]
    return f"{caller} to {found}{port}" if caller else f"{found}{port}"


def _way(answer: Json) -> Iterator[str]:
    """Where in the caller's proxy it arrives, and whose host it is."""
    arrival = answer.get("arrival")
    if not arrival:
        return
    chain = f", chain {arrival['chain']}" if arrival.get("chain") else ""
    yield f"arrives at {arrival['listener']}{chain}: {arrival['because']}"
    if answer.get("passage"):
        return
    hosts = answer.get("hosts") or ()
    found = next((each for each in hosts if each.get("matches")), None)
    if found:
        others = [str(each.get("name")) for each in hosts if each is not found]
        besides = f"; not {', '.join(others[:5])}" if others else ""
        more = ", …" if len(others) > 5 else ""
        yield f"host {answer.get('host')} is of {found['name']}{besides}{more}"
    elif hosts or arrival.get("routeConfiguration"):
        names = ", ".join(str(each.get("name")) for each in hosts) or "none"
        yield f"host {answer.get('host')} is of none of: {names}"
    if answer.get("outside"):
        yield str(answer["outside"])


def _targets(targets: Any) -> Table:
    columns = (Column("TARGET"), Column("WEIGHT", right=True), Column("SHARE", right=True))
    table = Table((*columns, Column("FOUND BY"), Column("ENDPOINTS")))
    for each in targets:
        weight, asked = each.get("weight"), each.get("configuredWeight")
        shown = f"{weight} ({asked})" if asked and asked != weight else weight
        share = f"{each.get('percent', 0):g} %"
        name = f"{each.get('virtualNode')}:{each.get('port')}"
        table.rows.append((name, shown, share, each.get("foundBy"), Cell(_endpoints(each))))
    return table


def _endpoints(target: Json) -> tuple[str, ...]:
    """With what is known of each: Cloud Map's health, the lease."""
    by_address = {each["address"]: each for each in target.get("instances") or ()}
    told = list(target.get("endpoints") or ())
    words = []
    for address in [*told, *(each for each in by_address if each not in told)]:
        known = by_address.get(address)
        if known is None:
            words.append(str(address))
            continue
        lease = f", lease {known['lease']}" if known.get("lease") else ""
        unused = "" if known.get("used") else ", not used"
        words.append(f"{address} ({str(known['health']).lower()}{lease}{unused})")
    return tuple(words) or ("-",)


def _facts(answer: Json) -> Iterator[tuple[str, str]]:
    """Every value in force, and whether somebody asked for it."""
    yield from _fact("request timeout", answer.get("requestTimeout"))
    yield from _fact("idle timeout", answer.get("idleTimeout"))
    if retries := answer.get("retries"):
        codes = [str(code) for code in retries.get("statusCodes") or ()]
        # Envoy's word for "and these codes" says nothing once the codes are there.
        on = [each for each in retries.get("on") or () if each != "retriable-status-codes"] + codes
        words = f"{retries.get('limit')} on {', '.join(on)}; each try: {retries.get('perTry')}"
        if retries.get("elsewhere"):
            words += "; each at another target"
        yield from _fact("retries", {**retries, "value": words})
    seen = set()
    for target in answer.get("targets") or ():
        for name, member in (
            ("breakers", "breakers"),
            ("target timeout", "requestTimeout"),
            ("health check", "healthCheck"),
            ("outlier detection", "outliers"),
            ("TLS", "tls"),
        ):
            for fact in _fact(name, target.get(member)):
                if fact not in seen:
                    yield fact
                seen.add(fact)
    ends, asked = answer.get("endsAfter"), answer.get("requestTimeout")
    if ends and asked and ends.get("value") != asked.get("value"):
        yield from _fact("ends after", ends)
    for policy in answer.get("policies") or ():
        yield "policy", f"{policy['about']} {policy['setting']}: {policy['says']}"


def _fact(name: str, setting: Json | None) -> Iterator[tuple[str, str]]:
    if setting:
        default = "  (App Mesh's default)" if setting.get("default") else ""
        yield name, f"{setting.get('value')}{default}"
