"""Proxies as operators see them: what each was sent, accepted and rejected, by type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from weft.cli.render import Cell, Column, Glyph, Paint, Role, Table, age, cell
from weft.errors import BadRequest
from weft.names import ProxyId

Proxy = Mapping[str, Any]
TYPES = ("CDS", "EDS", "LDS", "RDS")
_STATES = {
    "accepted": (Glyph.OK, Role.OK),
    "rejected": (Glyph.BAD, Role.BAD),
    "waiting": (Glyph.PENDING, Role.WARN),
    "disconnected": (Glyph.REMOVED, Role.DIM),
}


def id_of(proxy: Proxy) -> ProxyId | None:
    try:
        return ProxyId.parse(str(proxy.get("proxy", "")))
    except BadRequest:
        return None


def node_of(proxy: Proxy) -> str:
    """The virtual node (or gateway) a proxy stands for."""
    found = id_of(proxy)
    return found.name if found else str(proxy.get("proxy", "?"))


def is_connected(proxy: Proxy) -> bool:
    return proxy.get("state") != "disconnected"


def state_cell(proxy: Proxy, paint: Paint) -> Cell:
    state = str(proxy.get("state", "?"))
    glyph, role = _STATES.get(state, (Glyph.NOTE, Role.WARN))
    return cell(f"{paint.glyph(glyph)} {state}", role)


def _type_cell(proxy: Proxy, name: str, paint: Paint) -> Cell:
    found = next((each for each in proxy.get("types") or () if each.get("type") == name), None)
    if found is None:
        return cell("-", Role.DIM)
    if found.get("rejected"):
        return cell(f"{paint.glyph(Glyph.BAD)} rejected", Role.BAD)
    accepted = (found.get("accepted") or {}).get("revision")
    sent = (found.get("sent") or {}).get("revision")
    if found.get("suspectSince"):
        return cell(f"{paint.glyph(Glyph.PENDING)} silent", Role.WARN)
    if sent is not None and accepted != sent:
        return cell(f"{paint.glyph(Glyph.PENDING)} {sent}", Role.WARN)
    if accepted is None:
        return cell("-", Role.DIM)
    return cell(f"{paint.glyph(Glyph.OK)} {accepted}", Role.OK)


def proxies_table(
    proxies: Sequence[Proxy], paint: Paint, now: datetime, *, wide: bool, meshes: bool
) -> Table:
    """One row for each proxy; the numbers are revisions."""
    columns = [Column("MESH")] if meshes else []
    columns += [
        Column("PROXY"),
        Column("INSTANCE"),
        Column("STATE"),
        Column("REVISION", right=True),
        *map(Column, TYPES),
        Column("CONNECTED"),
    ]
    if wide:
        columns += map(Column, ("MODE", "PROTOCOL", "ENVOY", "STATUS PAGE", "PEER"))
    table = Table(columns)
    for proxy in proxies:
        found = id_of(proxy)
        row: list[Any] = [found.mesh if found else ""] if meshes else []
        row += [
            node_of(proxy),
            proxy.get("instance", ""),
            state_cell(proxy, paint),
            proxy.get("acceptedRevision", ""),
            *(_type_cell(proxy, name, paint) for name in TYPES),
            _connected(proxy, now),
        ]
        if wide:
            row += [
                proxy.get("mode", ""),
                proxy.get("protocol", ""),
                proxy.get("envoyVersion", ""),
                proxy.get("statusAddress", ""),
                proxy.get("peer", ""),
            ]
        table.rows.append(row)
    return table


def _connected(proxy: Proxy, now: datetime) -> str:
    if is_connected(proxy):
        return age(proxy.get("connectedSince"), now)
    return f"left {age(proxy.get('disconnected_at'), now)} ago"


def refusals(proxy: Proxy) -> Iterator[str]:
    """What a proxy refused, in Envoy's own words, and what could not be made for it."""
    for each in proxy.get("types") or ():
        for refusal in each.get("rejected") or ():
            yield f"{node_of(proxy)} {proxy.get('instance', '')} {each.get('type')}: {words_of(refusal)}"
    if proxy.get("failure"):
        yield f"{node_of(proxy)} {proxy.get('instance', '')}: {proxy['failure']}"


def words_of(refusal: Mapping[str, Any]) -> str:
    """Envoy's words, and the resource where they do not name it."""
    words = str(refusal.get("words", ""))
    missing = [str(name) for name in refusal.get("resources") or () if str(name) not in words]
    return f"{words} ({', '.join(missing)})" if missing else words
