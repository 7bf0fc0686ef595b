"""Why a request goes where it goes, asked over HTTP."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.datastructures import QueryParams

from weft.api.appmesh import accounts
from weft.api.exchange import Answer, Call, answer, whole_number
from weft.api.parts import Parts
from weft.api.weft.documents import document
from weft.errors import BadRequest, Invalid, NotFound, Problem
from weft.names import Key, Kind, Mode, ProxyId, View
from weft.resolve.matching import Request
from weft.resolve.why import why
from weft.resolve.why_caller import Asked
from weft.store.rules import Missing
from weft.store.state import MeshState

_KNOWN = (
    *("mesh", "service", "host", "from", "mode", "via", "address"),
    *("port", "method", "path", "header", "scheme"),
)


class Why:
    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._delivery = parts.delivery
        self._account = parts.settings.account

    async def explain(self, call: Call) -> Answer:
        query = call.known_query(*_KNOWN)
        found: list[Problem] = []
        mesh, service = _needed(query, "mesh", found), query.get("service") or ""
        host = query.get("host") or ""
        if not service and not host:
            found.append(Problem("service", "is missing"))
        mesh = accounts.mesh_said(call, mesh, self._account)
        request = _request(query, found)
        source = _source(query, mesh, found)
        mode, via = _one_of(query, "mode", list(Mode), found), query.get("via")
        _one_of(query, "via", ["proxy", "socket"], found)
        address = query.get("address") or ""
        if address and not _is_address(address):
            found.append(Problem("address", f"must be an IP address, not {address[:40]!r}"))
        if host and source is None:
            found.append(Problem("host", "is seen by a caller's proxy: say which one in from"))
        port = (
            whole_number(query, "port", default=0, least=1, most=65535) if "port" in query else None
        )
        if found:
            raise Invalid(found)
        state = self._store.state
        self._must_exist(state, Key.of_mesh(mesh))
        if service and not host:
            self._must_exist(state, Key(mesh, Kind.VIRTUAL_SERVICE, service))
        view = None
        if source is not None:
            self._must_exist(state, source.key)
            view = self._view(source, mode)
        asked = Asked(port, socket=via == "socket", address=address)
        explanation = why(state, mesh, host or service, request, view=view, asked=asked)
        return answer({"revision": state.revision, "mesh": mesh, **document(explanation)})

    def _view(self, proxy: ProxyId, mode: str | None) -> View:
        """As one of its proxies that are connected sees it; else with the ports that are usual."""
        views = self._delivery.views(proxy)
        fitting = (each for each in views if mode in (None, each.mode.value))
        return next(fitting, None) or View(proxy, Mode(mode or Mode.TRANSPARENT))

    def _must_exist(self, state: MeshState, key: Key) -> None:
        if state.resource(key) is None:
            raise NotFound(str(Missing(key, self._account)))


def _needed(query: QueryParams, name: str, found: list[Problem]) -> str:
    value = query.get(name)
    if not value:
        found.append(Problem(name, "is missing"))
    return value or ""


def _one_of(
    query: QueryParams, name: str, known: list[str] | list[Mode], found: list[Problem]
) -> str | None:
    value = query.get(name)
    if value is not None and value not in known:
        words = " or ".join(str(each) for each in known)
        found.append(Problem(name, f"must be {words}, not {value[:40]!r}"))
    return value


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


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
