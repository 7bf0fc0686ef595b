"""
The door of the API: who asks, proved by a signature or a token, and what they may do.

Where the door is open, anybody is let in with every right. Even there a credential that is
known has to be good, and holds its owner to its role: a script with a wrong secret or a
viewer's key fails where it is written, and not on the day the door is closed.
"""

from __future__ import annotations

import re

from weft.api.exchange import Call
from weft.api.parts import Parts
from weft.clock import Clock
from weft.errors import AccessDenied, IncompleteSignature, MissingToken, Unauthenticated
from weft.identity import sigv4
from weft.identity.caller import Caller, Right
from weft.identity.credentials import Credential, Credentials
from weft.names import DEFAULT_ACCOUNT, USER_HEADER, Kind, ProxyId
from weft.store.change import Author

_BEARER = "bearer "


class Door:
    """Lets callers in."""

    def __init__(
        self,
        credentials: Credentials,
        clock: Clock,
        *,
        required: bool = False,
        account: str = DEFAULT_ACCOUNT,
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._required = required
        self._account = account

    @classmethod
    def of(cls, parts: Parts) -> Door:
        settings = parts.settings
        return cls(
            parts.credentials,
            parts.clock,
            required=settings.auth_required,
            account=settings.account,
        )

    async def let_in(self, call: Call, service: str, most_bytes: int) -> None:
        """Say who calls, or refuse; a body is read only for somebody whose key is known."""
        caller = await self._caller(call, service, most_bytes)
        call.caller = caller
        call.author = Author(caller.name, call.author.client)

    def allow(self, call: Call, right: Right) -> None:
        """Refuse what the caller's role does not reach."""
        caller = call.caller
        if caller.may(right):
            return
        if right is Right.REGISTER and caller.may_be(_proxy_of(call)):
            return
        if right is Right.REGISTER and caller.proxies:
            whose = ", ".join(sorted(map(str, caller.proxies)))
            raise AccessDenied(f"{caller.name} may register instances of {whose} only")
        raise AccessDenied(
            f"{caller.name} has the role {caller.role} and may not {right.value}",
            fix="use a credential with another role; weft token list shows them",
        )

    def claimed_service(self, call: Call) -> str:
        """The service that a signature is for, before anything of it is verified."""
        claim = self._claim(_request(call))
        return claim.service if claim else ""

    async def _caller(self, call: Call, service: str, most_bytes: int) -> Caller:
        token = _token(call)
        if token is not None:
            credential = self._credentials.of_token(token)
            if credential is not None:
                return credential.caller(self._clock.now())
            if self._required:
                raise Unauthenticated("The security token included in the request is invalid.")
            return self._anybody()
        if not self._required and not _signed(call):
            return self._anybody(user=_user(call))
        request = _request(call)
        claim = self._claim(request)
        if claim is None:
            if not self._required:
                return self._anybody()
            raise MissingToken(
                "Missing Authentication Token: this control plane asks callers for credentials",
                fix="sign with an access key, or send Authorization: Bearer TOKEN; "
                "weft token create makes both",
            )
        known = self._credentials.of_key(claim.access_key)
        if known is None:
            if self._required:
                raise Unauthenticated("The security token included in the request is invalid.")
            return self._anybody(claim.access_key)
        credential, secret = known
        now = self._clock.now()
        caller = credential.caller(now)
        sigv4.check_time(claim, now)
        sigv4.check_service(claim, service)
        body = await call.body(most_bytes=most_bytes)
        sigv4.verify(request, claim, secret, sigv4.payload_hash(request, claim, body))
        return self._still(caller, credential)

    def _claim(self, request: sigv4.Request) -> sigv4.Claim | None:
        try:
            return sigv4.claim(request)
        except IncompleteSignature:
            if self._required:
                raise
            return None

    def _still(self, caller: Caller, credential: Credential) -> Caller:
        """The body took its time; meanwhile the credential may have been revoked."""
        if not self._credentials.stands(credential.id):
            raise Unauthenticated("The security token included in the request is invalid.")
        return caller

    def _anybody(self, claimed: str = "", user: str = "") -> Caller:
        return Caller(claimed or user or "anonymous", self._account, credential=claimed)


def _user(call: Call) -> str:
    """Where the door is open: what the caller is called on its machine, if it says so."""
    said = call.header(USER_HEADER.lower().encode()) or ""
    return said if re.fullmatch(r"[A-Za-z0-9._@+-]{1,64}", said) else ""


def _token(call: Call) -> str | None:
    header = call.header(b"authorization")
    if header is None or header[: len(_BEARER)].lower() != _BEARER:
        return None
    return header[len(_BEARER) :].strip()


def _signed(call: Call) -> bool:
    header = call.header(b"authorization")
    return (header is not None and header.startswith("AWS4-")) or (
        b"X-Amz-Algorithm=" in call.scope["query_string"]
    )


def _request(call: Call) -> sigv4.Request:
    scope = call.scope
    return sigv4.Request(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        [(name.decode("latin-1"), _text(value)) for name, value in scope["headers"]],
    )


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _proxy_of(call: Call) -> ProxyId:
    """The virtual node that a request about instances names in its path."""
    return ProxyId(call.labels.get("mesh", ""), Kind.VIRTUAL_NODE, call.labels.get("node", ""))
