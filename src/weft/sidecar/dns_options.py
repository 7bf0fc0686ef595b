"""How a sidecar is told to answer names, and what it keeps to do so after a restart."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from weft.errors import BadRequest, CannotStart
from weft.names import Kind, Mode, ProxyId
from weft.sidecar import last_good
from weft.sidecar.directory import Directory
from weft.sidecar.dns_servers import NameServer
from weft.sidecar.flag import Flag

DNS = Flag(
    "--dns",
    "ADDRESS",
    "transparent mode: answer the names of the mesh at this address (port 53 unless ADDRESS:PORT), and ask other name servers for all the rest",
    ("WEFT_DNS",),
)
UPSTREAM = Flag(
    "--dns-upstream",
    "ADDRESS",
    "with --dns: a name server for names outside the mesh (default: those of /etc/resolv.conf); may be repeated",
    ("WEFT_DNS_UPSTREAM",),
    repeated=True,
)
FLAGS = (DNS, UPSTREAM)

_PORT_FILE = "dns_port"
_FILTER = "envoy.filters.udp.dns_filter"


def refuse(
    dns: NameServer | None, upstreams: tuple[NameServer, ...], proxy: ProxyId, mode: Mode
) -> None:
    """What cannot be meant."""
    if dns is None:
        if upstreams:
            raise BadRequest(
                f"{UPSTREAM.name} has no meaning without {DNS.name}",
                fix=f"give {DNS.name} {DNS.metavar}, or leave {UPSTREAM.name} out",
            )
        return
    if mode is Mode.EXPLICIT:
        raise BadRequest(
            f"{DNS.name} has no meaning in explicit mode: names lead to http_proxy there",
            fix=f"leave {DNS.name} out, or use --mode transparent",
        )
    if proxy.kind is not Kind.VIRTUAL_NODE:
        raise BadRequest(
            f"{DNS.name} needs a virtual node, and {proxy} is none",
            fix=f"leave {DNS.name} out: no workload of a gateway calls anybody by name",
        )
    if dns in upstreams:
        raise BadRequest(
            f"{UPSTREAM.name} {dns} is {DNS.name} itself, which would ask itself for ever",
            fix="name another server",
        )


def free_port(directory: Directory) -> int:
    """A UDP port for Envoy: the one of the last time if it is free, so that what was kept fits."""
    path = directory.file(_PORT_FILE)
    before = 0
    with suppress(OSError, ValueError), open(path, encoding="ascii") as file:
        before = int(file.read())
    for port in (before, 0) if before else (0,):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            try:
                one.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
            found = int(one.getsockname()[1])
        try:
            last_good.write(path, str(found).encode())
        except OSError as error:
            raise CannotStart(
                f"{directory.path} cannot be written",
                fix="give a directory that can be written with --data DIR",
            ) from error
        return found
    raise CannotStart(
        "there is no free UDP port on 127.0.0.1", fix="stop something that holds them"
    )


def table_of(listeners: Iterable[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The names in the listeners that an Envoy had in force."""
    found: dict[str, tuple[str, ...]] = {}
    for listener in listeners:
        for each in listener.get("listener_filters", ()):
            if each.get("name") != _FILTER:
                continue
            table = (
                each.get("typed_config", {}).get("server_config", {}).get("inline_dns_table", {})
            )
            for domain in table.get("virtual_domains", ()):
                addresses = domain.get("endpoint", {}).get("address_list", {}).get("address", ())
                found[str(domain.get("name", ""))] = tuple(map(str, addresses))
    return found
