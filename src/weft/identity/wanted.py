"""What a new credential shall be, as JSON: checked once, for the API and for the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from weft.errors import BadRequest, Invalid, Problem
from weft.identity.caller import Role
from weft.identity.credentials import Wanted
from weft.names import ProxyId

MEMBERS = ("name", "role", "account", "proxies", "expiresInSeconds")
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")
"""As a user's name in IAM, since it stands in an ARN."""
_LONGEST_SECONDS = 10 * 366 * 24 * 3600
_MOST_PROXIES = 1000


def wanted(document: Mapping[str, Any], account: str) -> Wanted:
    """Invalid with every mistake; an account that is not given is the control plane's."""
    found: list[Problem] = []
    name = document.get("name")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        found.append(Problem("name", "must be 1 to 64 letters, digits or any of _+=,.@-"))
    given = document.get("account")
    account = account if given is None else given
    if not (isinstance(account, str) and re.fullmatch(r"[0-9]{12}", account)):
        found.append(Problem("account", "must be an AWS account, 12 digits"))
    role = _role(document.get("role"), found)
    proxies = _proxies(document.get("proxies"), found)
    if role is Role.PROXY and not proxies and not found:
        found.append(Problem("proxies", "must name at least one proxy for the role proxy"))
    if proxies and role not in (Role.PROXY, None):
        found.append(Problem("proxies", f"belong to the role proxy, not to {role}"))
    lasts = _lasts(document.get("expiresInSeconds"), found)
    if found or role is None:
        raise Invalid(found)
    return Wanted(str(name), account, role, proxies, lasts)


def _role(value: Any, found: list[Problem]) -> Role | None:
    roles = [each.value for each in Role]
    if value in roles:
        return Role(value)
    found.append(Problem("role", f"must be one of {', '.join(roles)}"))
    return None


def _proxies(value: Any, found: list[Problem]) -> frozenset[ProxyId]:
    if value is None:
        return frozenset()
    if not isinstance(value, list) or len(value) > _MOST_PROXIES:
        found.append(Problem("proxies", f"must be a list of at most {_MOST_PROXIES} proxy ids"))
        return frozenset()
    proxies = set()
    for i, each in enumerate(value):
        try:
            proxies.add(ProxyId.parse(each if isinstance(each, str) else ""))
        except BadRequest as error:
            found.append(Problem(f"proxies[{i}]", f"{error.message}; {error.fix}"))
    return frozenset(proxies)


def _lasts(value: Any, found: list[Problem]) -> timedelta | None:
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 1 <= value <= _LONGEST_SECONDS
    ):
        found.append(Problem("expiresInSeconds", f"must be a number from 1 to {_LONGEST_SECONDS}"))
        return None
    return timedelta(seconds=value)
