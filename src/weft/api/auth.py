"""
Who may call, and who calls.

Bound to loopback (or a Unix socket) the API is open: any credentials are good.
What must not get in is a web page that the operator happens to visit: its
requests carry its Origin, or, after DNS rebinding, its own name as Host.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import NoReturn

from starlette.types import Scope

from weft.errors import CannotStart, Forbidden
from weft.settings import API, Address, Setting
from weft.store.change import Author

_CREDENTIAL = re.compile(rb"AWS4-[A-Z0-9-]+ .*?Credential=([A-Za-z0-9_-]{1,128})/")
_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_MAX_CLIENT = 256


def refuse_to_bind(address: Address, setting: Setting = API) -> None:
    """Refuse an address that others can reach: there are no credentials to close it with yet."""
    if not address.is_loopback:
        raise CannotStart(
            f"{setting.flag} is {address}, which other machines can reach, "
            "and callers are not asked for credentials",
            fix=f"give a loopback address, as in {setting.flag} {setting.default}",
        )


def check_caller(scope: Scope) -> None:
    """Forbidden for what a web page of somebody else may have sent."""
    server = scope.get("server")
    if server is not None and server[1] is None:
        return  # A Unix socket: no browser gets there.
    hosts, origins = [], []
    for name, value in scope["headers"]:
        if name == b"host":
            hosts.append(value)
        elif name == b"origin":
            origins.append(value)
    if not hosts:
        _refuse("the request has no Host header")
    for host in hosts:
        if not is_loopback(host):
            _refuse(f"Host is {_shown(host)}, which is not a loopback address")
    for origin in origins:
        scheme, _, authority = origin.partition(b"://")
        if scheme not in (b"http", b"https") or not is_loopback(authority):
            _refuse(f"Origin is {_shown(origin)}, which is another site")


@lru_cache(maxsize=256)
def is_loopback(authority: bytes) -> bool:
    """Whether ``host`` or ``host:port`` can only mean this machine."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return False
    text = (found[1] or found[2]).decode("ascii").lower()
    # No resolver is asked for names below localhost (RFC 6761, 6.3).
    if text == "localhost" or text.endswith(".localhost"):
        return True
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def author(scope: Scope) -> Author:
    """The access key that signed the request, and the program that sent it."""
    name, client = "anonymous", ""
    for header, value in scope["headers"]:
        if header == b"authorization":
            if found := _CREDENTIAL.match(value):
                name = found[1].decode("ascii")
        elif header == b"user-agent":
            client = value.decode("utf-8", "replace")[:_MAX_CLIENT]
    return Author(name, client)


def _shown(value: bytes) -> str:
    return repr(value[:80].decode("latin-1"))


def _refuse(what: str) -> NoReturn:
    raise Forbidden(
        f"{what}; this control plane answers only to this machine",
        fix="call it as 127.0.0.1 or localhost, and not from another site's page",
    )
