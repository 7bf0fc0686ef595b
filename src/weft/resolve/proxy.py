"""The state of the mesh as one view of it: every name replaced by the thing it names."""

from __future__ import annotations

from dataclasses import replace

from weft.errors import NotFound
from weft.ir import proxy as ir
from weft.names import Kind, Mode, View
from weft.resolve.gateway import gateway
from weft.resolve.inbound import inbound
from weft.resolve.observed import observed, unobserved
from weft.resolve.outbound import explicit
from weft.resolve.reading import Reading
from weft.resolve.secrets import Sds
from weft.resolve.sockets import redirected, usable
from weft.resolve.transparent import transparent
from weft.store.ownership import SHARES, no_longer_shared, share_needed
from weft.store.state import MeshState


def resolve(state: MeshState, view: View) -> ir.Proxy:
    """What a view must do, from scratch; NotFound if its proxy stands for nothing that exists."""
    return Reading(state).part(proxy, view)


def proxy(reading: Reading, view: View) -> ir.Proxy:
    """What a view must do, as a part: kept, and dropped when a fact it rests on changes."""
    plain = unobserved(view)
    if plain == view:
        return served(reading, view)
    return observed(reading, reading.part(served, plain), view)


def served(reading: Reading, view: View) -> ir.Proxy:
    """What a view must do, apart from counting and tracing."""
    id = view.proxy
    resource = reading.resource(id.key)
    if resource is None:
        raise NotFound(f"{id} does not exist", fix="create it first, or correct the proxy id")
    share = share_needed(resource)
    if share is not None and reading.document(SHARES, share) is None:
        raise NotFound(no_longer_shared(resource))
    if view.mode is Mode.EXPLICIT:
        outbound = explicit
        ports, notes = usable(view)
    else:
        outbound = transparent
        ports, notes = redirected(view), ()
    sds = Sds.BESIDE if view.sds else Sds.NOWHERE
    if id.kind is Kind.VIRTUAL_GATEWAY:
        found = reading.part(gateway, id.mesh, id.name, view.mode, ports, sds)
        return replace(found, notes=(*notes, *found.notes))
    towards = reading.part(inbound, id.mesh, id.name, view.mode, ports, sds)
    away = reading.part(outbound, id.mesh, id.name, ports, sds)
    return ir.Proxy(
        listeners=(*towards.listeners, *away.listeners),
        route_configurations=(*towards.route_configurations, *away.route_configurations),
        clusters=(*towards.clusters, *away.clusters),
        assignments=away.assignments,
        notes=(*notes, *towards.notes, *away.notes),
        name_servers=away.name_servers,
        secrets=tuple(dict.fromkeys((*towards.secrets, *away.secrets))),
    )
