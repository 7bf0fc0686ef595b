"""Who asks, and what they may do: a role is a set of rights, a request needs one of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

from weft.names import DEFAULT_ACCOUNT, ProxyId


class Role(StrEnum):
    """What a credential is for."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"
    PROXY = "proxy"


class Right(Enum):
    """What a request needs, in the words of a refusal."""

    READ = "read"
    WRITE = "change the mesh"
    ADMINISTER = "manage credentials"
    REGISTER = "register instances"
    """Of a virtual node; a proxy's credential has it for the virtual nodes of its own."""
    NONE = "ask who they are"


_RIGHTS = {
    Role.ADMIN: frozenset(Right),
    Role.OPERATOR: frozenset({Right.READ, Right.WRITE, Right.REGISTER, Right.NONE}),
    Role.VIEWER: frozenset({Right.READ, Right.NONE}),
    Role.PROXY: frozenset({Right.NONE}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """One who was let in: a credential's holder, or anybody where the door is open."""

    name: str = "anonymous"
    account: str = DEFAULT_ACCOUNT
    role: Role = Role.ADMIN
    credential: str = ""
    """The access key id; of anybody: the one they claim, which nobody has checked."""
    proxies: frozenset[ProxyId] = frozenset()
    """For the role proxy: those it may stand for."""
    known: bool = False
    """Whether a credential says so."""
    expires_at: datetime | None = None

    def may(self, right: Right) -> bool:
        return right in _RIGHTS[self.role]

    def may_be(self, proxy: ProxyId) -> bool:
        """Whether it may stream as this proxy, and register instances of it."""
        if self.role is Role.PROXY:
            return proxy in self.proxies
        return self.may(Right.WRITE)
