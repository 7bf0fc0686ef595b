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
from weft.resolve.proxy import proxy
from weft.resolve.reading import Reading
from weft.resolve.walk import Tried, reason_against
from weft.resolve.why_caller import Asked, from_caller
from weft.resolve.why_gateway import from_gateway
from weft.resolve.why_service import http, tcp
from weft.resolve.why_tls import as_called
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
    found = _explained(reading, mesh, service, given, port, view, asked)
    if found.status is None or not given.is_grpc:
        return found
    code = _GRPC_STATUS.get(found.status, _UNKNOWN)
    return replace(
        found, grpc_status=code, summary=f"{found.summary}, for gRPC clients status {code}"
    )


_GRPC_STATUS = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
"""What Envoy makes of its own answers to gRPC clients (gRPC, "HTTP to gRPC Status Code Mapping")."""
_UNKNOWN = 2


def _explained(
    reading: Reading,
    mesh: str,
    service: str,
    given: Request,
    port: int | None,
    view: View | None,
    asked: Asked | None,
) -> Explanation:
    asked = replace(asked or Asked(), port=port if port is not None else (asked or Asked()).port)
    found = reading.part(routes.service, mesh, service)
    known = reading.resource(Key(mesh, Kind.VIRTUAL_SERVICE, service)) is not None
    if view is not None:
        if view.proxy.kind is Kind.VIRTUAL_GATEWAY:
            seen = from_gateway(reading, view, service, given, asked.port)
        else:
            seen = from_caller(reading, view, service, given, asked)
        return as_called(seen, reading.part(proxy, view), mesh)
    if not known:
        raise NotFound(
            f"mesh {mesh} has no virtual service {service}",
            fix="weft get virtualservices shows those it has",
        )
    ports = tuple(each.port for each in found.ports)
    if not ports:
        return Explanation(service, asked.port, None, (), None, found.lacks)
    at = next((each for each in found.ports if asked.port in (None, each.port)), None)
    if at is None:
        raise BadRequest(
            f"{service} is not called at port {asked.port}",
            fix=f"its ports: {', '.join(map(str, ports))}",
        )
    base = Explanation(service, at.port, at.protocol, ports, None, "")
    if not at.protocol.is_http:
        return tcp(reading, mesh, base, at)
    made = reading.part(routes.http_routes, mesh, service, at)
    tried = [Tried(each, reason_against(each.match, given)) for each in made]
    return http(reading, mesh, base, at, tried)
