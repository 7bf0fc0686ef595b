"""
The door of xDS: which proxies a stream may stand for.

A stream says who opens it once, when it opens: by a signature in its metadata, as AWS's
Envoy image signs, by a bearer token, or by the certificate of its connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from weft.clock import Clock
from weft.errors import (
    AccessDenied,
    BadRequest,
    IncompleteSignature,
    MissingToken,
    Unauthenticated,
)
from weft.identity import sigv4
from weft.identity.caller import Caller, Role
from weft.identity.credentials import Credentials
from weft.names import ProxyId

SERVICE = "appmesh"
_BEARER = "bearer "
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Opening(Protocol):
    """What we use of gRPC's context of a call that begins."""

    def invocation_metadata(self) -> Iterable[tuple[str, Any]] | None: ...

    def auth_context(self) -> Mapping[str, Sequence[bytes]]: ...


class Gate:
    """Lets proxies in."""

    def __init__(
        self,
        credentials: Credentials,
        clock: Clock,
        *,
        required: bool = False,
        names: Iterable[str] = (),
    ) -> None:
        self.credentials = credentials
        self._clock = clock
        self._required = required
        self._names = tuple(dict.fromkeys((*_LOOPBACK, *names)))
        self._hosts: tuple[str, ...] = self._names

    def listens_at(self, port: int) -> None:
        """Say the port that was bound: it is part of the host that proxies sign."""
        hosts = (
            host
            for name in self._names
            for host in ((name,) if _has_port(name) else (name, f"{name}:{port}"))
        )
        self._hosts = tuple(dict.fromkeys(hosts))

    def caller(self, opening: Opening, path: str) -> Caller:
        """Who opens a stream; Unauthenticated says why nobody we know does."""
        headers = [
            (key, value)
            for key, value in opening.invocation_metadata() or ()
            if isinstance(value, str)
        ]
        header = next((value for key, value in headers if key == "authorization"), "")
        if header[: len(_BEARER)].lower() == _BEARER:
            return self._of_token(header[len(_BEARER) :].strip())
        if header:
            return self._of_signature(sigv4.Request("POST", path, "", headers))
        if proxies := frozenset(_certified(opening.auth_context())):
            whose = min(map(str, proxies))
            return Caller(f"certificate of {whose}", role=Role.PROXY, proxies=proxies, known=True)
        if not self._required:
            return Caller()
        raise MissingToken(
            "the control plane asks proxies for credentials, and this one sent none",
            fix="give the sidecar --token-file FILE; weft token create --role proxy makes a token",
        )

    def check(self, caller: Caller, proxy: ProxyId) -> None:
        """AccessDenied where a caller may not stand for a proxy."""
        if caller.may_be(proxy):
            return
        whose = ", ".join(sorted(map(str, caller.proxies)))
        raise AccessDenied(
            f"{caller.name} may not stand for {proxy}, "
            + (f"only for {whose}" if whose else f"since its role is {caller.role}")
        )

    def _of_token(self, token: str) -> Caller:
        credential = self.credentials.of_token(token)
        if credential is not None:
            return credential.caller(self._clock.now())
        if self._required:
            raise Unauthenticated(
                "the token is not one of this control plane, or has been revoked",
                fix="weft token list shows those that stand",
            )
        return Caller()

    def _of_signature(self, request: sigv4.Request) -> Caller:
        try:
            claim = sigv4.claim(request)
        except IncompleteSignature:
            if self._required:
                raise
            return Caller()
        if claim is None:
            if self._required:
                raise IncompleteSignature("the authorization metadata holds no signature or token")
            return Caller()
        known = self.credentials.of_key(claim.access_key)
        if known is None:
            if self._required:
                raise Unauthenticated("The security token included in the request is invalid.")
            return Caller(claim.access_key, credential=claim.access_key)
        credential, secret = known
        now = self._clock.now()
        caller = credential.caller(now)
        sigv4.check_time(claim, now)
        sigv4.check_service(claim, SERVICE)
        # gRPC keeps the authority to itself, so each of our own names is tried for it.
        payload = sigv4.payload_hash(request, claim, b"")
        sigv4.verify(request, claim, secret, payload, self._hosts)
        return caller


def _certified(context: Mapping[str, Sequence[bytes]]) -> Iterator[ProxyId]:
    """The proxies that a client certificate names: SPIFFE ids or the plain proxy id."""
    for name in (
        *context.get("x509_subject_alternative_name", ()),
        *context.get("x509_common_name", ()),
    ):
        text = name.decode("utf-8", "replace")
        if text.startswith("spiffe://"):
            text = urlsplit(text).path.lstrip("/")
        try:
            yield ProxyId.parse(text)
        except (BadRequest, ValueError):
            continue


def _has_port(name: str) -> bool:
    return ":" in name.rpartition("]")[2]
