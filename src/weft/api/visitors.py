"""
Web pages stay out.

An open API on loopback is reached by every page that the operator happens to visit: its
requests carry its Origin or, after DNS rebinding, its own name as Host. Neither passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import NoReturn, Self

from starlette.types import Scope

from weft.errors import Forbidden
from weft.settings import HOST, Settings

_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
"""Names under which clients know the services; whoever has them in DNS leads them here on purpose."""
_DATA = "data-"
"""What SDKs put before the host for DiscoverInstances."""


class Visitors:
    """Knows the names by which this control plane may be called."""

    def __init__(
        self, names: Iterable[str] = (), *, any_host: bool = False, any_address: bool = False
    ) -> None:
        self._names = frozenset(each.lower() for each in names)
        self._any_host = any_host
        self._any_address = any_address

    @classmethod
    def of(cls, settings: Settings) -> Self:
        # A page has no credentials to send, so where they are asked for its Host is no danger;
        # and rebinding needs a name, so an address in digits is none either.
        return cls(
            (name.rpartition(":")[0] if ":" in name else name for name in settings.hosts),
            any_host=settings.auth_required,
            any_address=not settings.api.is_loopback,
        )

    def check(self, scope: Scope) -> None:
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
            if not self._known(host):
                _refuse(f"Host is {_shown(host)}, which is no name of this control plane")
        for origin in origins:
            scheme, _, authority = origin.partition(b"://")
            if scheme not in (b"http", b"https") or not (
                is_loopback(authority) or self._named(authority) or authority in hosts
            ):
                _refuse(f"Origin is {_shown(origin)}, which is another site")

    def _known(self, authority: bytes) -> bool:
        if is_loopback(authority) or self._named(authority):
            return True
        text = _host(authority)
        if text is None:
            return False
        if self._any_host or (self._any_address and _is_address(text)):
            return True
        return text.endswith(_AWS) or (
            text.startswith(_DATA) and self._known(authority[len(_DATA) :])
        )

    def _named(self, authority: bytes) -> bool:
        return _host(authority) in self._names


def _host(authority: bytes) -> str | None:
    """The host of ``host`` or ``host:port``, without what is a port."""
    found = _AUTHORITY.fullmatch(authority)
    return None if found is None else (found[1] or found[2]).decode("ascii").lower()


@lru_cache(maxsize=256)
def is_loopback(authority: bytes) -> bool:
    """Whether ``host`` or ``host:port`` can only mean this machine."""
    text = _host(authority)
    if text is None:
        return False
    # No resolver is asked for names below localhost (RFC 6761, 6.3).
    if text == "localhost" or text.endswith(".localhost"):
        return True
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _shown(value: bytes) -> str:
    return repr(value[:80].decode("latin-1"))


def _refuse(what: str) -> NoReturn:
    raise Forbidden(
        f"{what}; it may come from a page of another site, which has no business here",
        fix=f"call it as 127.0.0.1 or localhost, or give the name with {HOST.flag}",
    )
