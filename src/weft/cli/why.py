"""``why``: where a request would go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import click

from weft.cli.completing import complete_service
from weft.cli.exits import Usage
from weft.cli.names import candidates, meant
from weft.cli.session import DOCUMENTS, Session, client_command
from weft.cli.why_drawn import draw
from weft.names import Kind, ProxyId

Json = Mapping[str, Any]


@click.command()
@click.argument("target", metavar="SERVICE|HOST|URL", shell_complete=complete_service)
@click.option("--from", "source", metavar="NODE", help="Virtual node or gateway that asks.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port it asks at.")
@click.option("-X", "--method", default="GET", show_default=True, help="Method of the request.")
@click.option("--path", help="Path, with its query; / unless given.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header.")
@click.option(
    "--scheme", type=click.Choice(("http", "https")), help="What the client asks for; http."
)
@click.option("--grpc", metavar="SERVICE/METHOD", help="A gRPC call of this method.")
@click.option(
    "--socket", is_flag=True, help="By the backend's local socket, and not by http_proxy."
)
@click.option(
    "--mode",
    type=click.Choice(("explicit", "transparent")),
    help="How its traffic reaches its proxy; as its connected proxies say, else transparent.",
)
@client_command(*DOCUMENTS)
def why(
    session: Session,
    *,
    target: str,
    source: str | None,
    port: int | None,
    method: str,
    path: str | None,
    headers: tuple[str, ...],
    scheme: str | None,
    grpc: str | None,
    socket: bool,
    mode: str | None,
) -> None:
    """
    Explain where a request to a service would go.

    Names the route that matches and why others do not, its targets with their
    shares and live instances, the timeouts and retries, and which of these are App
    Mesh's hidden defaults. With --from the way begins at the caller's own proxy, and
    any host or URL can be asked about: what the egress filter says of it, or which
    port nothing serves. From a virtual gateway it is the host that a client outside
    asks for: every gateway route, the rewrite, then the service's routes. SERVICE and NODE may be any part of a name that only one has.
    """
    for header in headers:
        if ":" not in header:
            raise Usage(f"{header!r} is no header", fix="write it as -H 'name: value'")
    asked = _asked(target)
    lines = list(headers)
    if grpc is not None:
        method, path = "POST", grpc
        lines.append("content-type: application/grpc")
    mesh = session.mesh()
    path = path or asked.path
    caller = _proxy_id(session, mesh, source) if source else None
    query = {
        "mesh": mesh,
        **_meant(session, mesh, asked, caller),
        "from": caller and str(caller),
        "port": port or asked.port,
        "method": method.upper(),
        "path": path if path.startswith("/") else f"/{path}",
        "header": lines or None,
        "scheme": scheme or asked.scheme,
        "via": "socket" if socket else None,
        "mode": mode,
    }
    answer = session.client.get("/weft/v1/why", query)
    session.emit(answer, lambda: draw(session, answer))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a target says: a name, or a whole URL."""

    name: str
    port: int | None = None
    path: str = "/"
    scheme: str | None = None


def _asked(target: str) -> _Asked:
    text = target if "://" in target else f"//{target}"
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        raise Usage(f"{target!r} has no port that is one", fix="write HOST:PORT/PATH") from None
    if parts.scheme not in ("", "http", "https") or not parts.hostname:
        raise Usage(f"{target!r} is no host", fix="write SERVICE, HOST:PORT or http://HOST/PATH")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # The host as it was written: names are compared without regard to case, and shown as they are.
    name = parts.netloc.rpartition("@")[2]
    if port is not None:
        name = name.rpartition(":")[0]
    return _Asked(name, port, path, parts.scheme or None)


def _meant(session: Session, mesh: str, asked: _Asked, caller: ProxyId | None) -> dict[str, str]:
    """The service that is meant; seen from a caller, any other host stands for itself."""
    if caller is not None and caller.kind is Kind.VIRTUAL_GATEWAY:
        # Clients outside know hosts; which service is meant, the gateway decides.
        return {"host": asked.name}
    names = _names(session, mesh, Kind.VIRTUAL_SERVICE)
    if caller is not None and (asked.scheme or len(candidates(asked.name, names)) != 1):
        same = [each for each in names if each.lower() == asked.name.lower()]
        return {"service": same[0]} if same else {"host": asked.name}
    return {"service": meant(asked.name, names, "virtual service")}


def _proxy_id(session: Session, mesh: str, typed: str) -> ProxyId:
    """Whose proxy asks: that of a virtual node or of a virtual gateway."""
    kinds = {
        name: kind
        for kind in (Kind.VIRTUAL_GATEWAY, Kind.VIRTUAL_NODE)
        for name in _names(session, mesh, kind)
    }
    name = meant(typed, kinds, "virtual node")
    return ProxyId(mesh, kinds[name], name)


def _names(session: Session, mesh: str, kind: Kind) -> list[str]:
    query = {"kind": kind.value, "mesh": mesh}
    found = session.client.get("/weft/v1/resources", query)["resources"]
    return [str(each[f"{kind.value}Name"]) for each in found]
