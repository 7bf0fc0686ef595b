"""The state of the mesh as one view of it: every name replaced by the thing it names."""

from __future__ import annotations

from collections.abc import Iterable

from weft.errors import NotFound
from weft.ir.proxy import Note, Proxy
from weft.names import Kind, Mode, View
from weft.resolve.inbound import inbound
from weft.resolve.outbound import explicit, transparent
from weft.resolve.reading import Call, Fact, Parts, Reading
from weft.resolve.sockets import redirected, usable
from weft.store.state import MeshState

GATEWAYS_NOT_SERVED = (
    "virtual gateways are not served yet: the proxy is connected and has no listener"
)


def resolve(state: MeshState | Reading, view: View) -> Proxy:
    """
    What a view must do; NotFound if its proxy stands for nothing that exists.

    Given a ``Reading``, parts of before that still hold are used again.
    """
    reading = state if isinstance(state, Reading) else Reading(state)
    return reading.part(_resolved, view)


def drop(parts: Parts, facts: Iterable[Fact]) -> set[View]:
    """Forget what rests on these facts, and say which views are to be resolved again."""
    return {args[0] for function, args in parts.drop(facts) if function is _resolved}


def forget(parts: Parts, view: View) -> None:
    """Forget a view that nobody asks for any more, and what only it used."""
    call: Call = (_resolved, (view,))
    parts.forget(call)


def _resolved(reading: Reading, view: View) -> Proxy:
    proxy = view.proxy
    if reading.resource(proxy.key) is None:
        raise NotFound(f"{proxy} does not exist", fix="create it first, or correct the proxy id")
    if proxy.kind is Kind.VIRTUAL_GATEWAY:
        return Proxy(notes=(Note(str(proxy), GATEWAYS_NOT_SERVED),))
    if view.mode is Mode.EXPLICIT:
        outbound = explicit
        ports, notes = usable(view)
    else:
        outbound = transparent
        ports, notes = redirected(view), ()
    towards = reading.part(inbound, proxy.mesh, proxy.name, view.mode, ports)
    away = reading.part(outbound, proxy.mesh, proxy.name, ports)
    return Proxy(
        listeners=(*towards.listeners, *away.listeners),
        route_configurations=(*towards.route_configurations, *away.route_configurations),
        clusters=(*towards.clusters, *away.clusters),
        assignments=away.assignments,
        notes=(*notes, *towards.notes, *away.notes),
    )
