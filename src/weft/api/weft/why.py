"""Why a request goes where it goes, asked over HTTP."""

from __future__ import annotations

from starlette.datastructures import QueryParams

from weft.api.appmesh import accounts
from weft.api.exchange import Answer, Call, answer, whole_number
from weft.api.parts import Parts
from weft.api.weft.documents import document
from weft.errors import BadRequest, Invalid, NotFound, Problem
from weft.names import Key, Kind, ProxyId, View
from weft.resolve.matching import Request
from weft.resolve.why import why
from weft.store.rules import Missing
from weft.store.state import MeshState


class Why:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._account = parts.settings.account

    async def explain(self, call: Call) -> Answer:
        query = call.known_query(
            "mesh", "service", "from", "port", "method", "path", "header", "scheme"
        )
        found: list[Problem] = []
        mesh, service = _needed(query, "mesh", found), _needed(query, "service", found)
        mesh = accounts.mesh_said(call, mesh, self._account)
        request = _request(query, found)
        source = _source(query, mesh, found)
        port = (
            whole_number(query, "port", default=0, least=1, most=65535) if "port" in query else None
        )
        if found:
            raise Invalid(found)
        state = self._store.state
        self._must_exist(state, Key.of_mesh(mesh))
        view = None
        if source is not None:
            self._must_exist(state, source.key)
            view = View(source)
        explanation = why(state, mesh, service, request, port=port, view=view)
        return answer({"revision": state.revision, "mesh": mesh, **document(explanation)})

    def _must_exist(self, state: MeshState, key: Key) -> None:
        if state.resource(key) is None:
            raise NotFound(str(Missing(key, self._account)))


def _needed(query: QueryParams, name: str, found: list[Problem]) -> str:
    value = query.get(name)
    if not value:
        found.append(Problem(name, "is missing"))
    return value or ""


def _request(query: QueryParams, found: list[Problem]) -> Request:
    path = query.get("path", "/")
    if not path.startswith("/"):
        found.append(Problem("path", "must start with /"))
    scheme = query.get("scheme", "http")
    if scheme not in ("http", "https"):
        found.append(Problem("scheme", f"must be http or https, not {scheme[:40]!r}"))
    headers = []
    for i, line in enumerate(query.getlist("header")):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            found.append(Problem(f"header[{i}]", "must be a name and a value, as in 'x-user: a'"))
        headers.append((name.strip(), value.strip()))
    return Request(query.get("method", "GET").upper(), path, tuple(headers), scheme)


def _source(query: QueryParams, mesh: str, found: list[Problem]) -> ProxyId | None:
    """The proxy that asks: the name of a virtual node, or a whole proxy id."""
    text = query.get("from")
    if not text:
        return None
    if "/" not in text:
        return ProxyId(mesh, Kind.VIRTUAL_NODE, text)
    try:
        proxy = ProxyId.parse(text)
    except BadRequest as error:
        found.append(Problem("from", error.message))
        return None
    if proxy.mesh != mesh:
        found.append(Problem("from", f"is not of mesh {mesh}"))
    return proxy
