"""
Why a request goes where it goes: the caller's proxy, the host, the route, its targets, every limit.

What a proxy does is read off what it is told (``walk``), so the answer cannot be another
than the proxy's; App Mesh's words for it, and what is known besides, are added here.
App Mesh's hidden defaults (15 s twice, two retries, breakers that never open) are told
apart from what somebody asked for.
"""

from __future__ import annotations

from dataclasses import replace

from weft.errors import BadRequest, NotFound
from weft.names import Key, Kind, View
from weft.resolve import routes
from weft.resolve.explained import Explanation
from weft.resolve.matching import Request
from weft.resolve.proxy import GATEWAYS_NOT_SERVED
from weft.resolve.reading import Reading
from weft.resolve.walk import Tried, reason_against
from weft.resolve.why_caller import Asked, from_caller
from weft.resolve.why_service import http, tcp
from weft.store.state import MeshState


def why(
    state: MeshState | Reading,
    mesh: str,
    service: str,
    request: Request | None = None,
    *,
    port: int | None = None,
    view: View | None = None,
    asked: Asked | None = None,
) -> Explanation:
    """
    What happens to a request to a virtual service or, seen from a view, to any host.

    Without a port, the first of the service's ports is meant.
    """
    reading = state if isinstance(state, Reading) else Reading(state)
    given = request or Request()
    asked = replace(asked or Asked(), port=port if port is not None else (asked or Asked()).port)
    found = reading.part(routes.service, mesh, service)
    known = reading.resource(Key(mesh, Kind.VIRTUAL_SERVICE, service)) is not None
    if view is not None and view.proxy.kind is Kind.VIRTUAL_NODE:
        return from_caller(reading, view, service, given, asked)
    if not known:
        raise NotFound(
            f"mesh {mesh} has no virtual service {service}",
            fix="weft get virtualservices shows those it has",
        )
    notes = () if view is None else (f"{view.proxy}: {GATEWAYS_NOT_SERVED}",)
    ports = tuple(each.port for each in found.ports)
    if not ports:
        return Explanation(service, asked.port, None, (), None, found.lacks, notes=notes)
    at = next((each for each in found.ports if asked.port in (None, each.port)), None)
    if at is None:
        raise BadRequest(
            f"{service} is not called at port {asked.port}",
            fix=f"its ports: {', '.join(map(str, ports))}",
        )
    base = Explanation(service, at.port, at.protocol, ports, None, "", notes=notes)
    if not at.protocol.is_http:
        return tcp(reading, mesh, base, at)
    made = reading.part(routes.http_routes, mesh, service, at)
    tried = [Tried(each, reason_against(each.match, given)) for each in made]
    return http(reading, mesh, base, at, tried)
