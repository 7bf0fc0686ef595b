"""A client of the control plane's HTTP interface: the standard library only, so that a command starts fast."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from weft import errors
from weft.cli.exits import Differs, Untrusted, Usage
from weft.clock import Clock, SystemClock
from weft.names import USER_HEADER
from weft.settings import CA, ENDPOINT, Address, user

DEFAULT_TIMEOUT = 30.0
_STALE_AFTER = 2.0  # A server may close an idle connection; a write must not meet that moment.

_STATUSES: dict[int, type[errors.WeftError]] = {
    400: errors.BadRequest,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    503: errors.Unavailable,
    504: errors.TimedOut,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the control plane said."""

    body: Any
    revision: int | None
    """Of a write: the revision it made."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the control plane listens: ``http://HOST:PORT``, ``https://…`` or ``unix:PATH``."""

    text: str
    scheme: str
    host: str = "localhost"
    port: int | None = None
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        if text.startswith(("unix:", "http+unix://")):
            path = unquote(text.removeprefix("http+unix://").removeprefix("unix:"))
            return cls(text, "unix", path=path)
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            if parts.scheme in ("http", "https") and parts.hostname:
                url = f"{parts.scheme}://{parts.netloc}"
                return cls(url, parts.scheme, parts.hostname, parts.port)
        except ValueError:
            pass
        raise Usage(
            f"{ENDPOINT.flag} is {text!r}, which is not an address of a control plane",
            fix=f"write http://HOST:PORT, as in {ENDPOINT.flag} {ENDPOINT.default}",
        )

    @property
    def is_open_to_others(self) -> bool:
        """Whether what is sent there can be read on the way."""
        return self.scheme == "http" and not Address(self.host, 0).is_loopback

    def connection(self, timeout: float, ca: str | None = None) -> http.client.HTTPConnection:
        match self.scheme:
            case "unix":
                return _UnixConnection(self.path, timeout)
            case "https":
                return http.client.HTTPSConnection(
                    self.host, self.port, timeout=timeout, context=_trusting(ca)
                )
            case _:
                return http.client.HTTPConnection(self.host, self.port, timeout=timeout)


def _trusting(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise Usage(
            f"{CA.flag} {ca} cannot be used: {error.strerror or error}",
            fix="give a PEM file with the authority's certificate",
        ) from error


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """One kept connection to one control plane."""

    def __init__(
        self,
        endpoint: str,
        *,
        agent: str = "weft",
        clock: Clock | None = None,
        token: str | None = None,
        ca: str | None = None,
    ) -> None:
        self.endpoint = Endpoint.parse(endpoint)
        self._token = token
        self._ca = ca
        self._agent = agent
        self._clock = clock or SystemClock()
        self._connection: http.client.HTTPConnection | None = None
        self._used_at = 0.0

    def get(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Any:
        """What is there; members of the query that are None are left away."""
        return self.request("GET", _with_query(path, query or {}), timeout=timeout).body

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        return self.request("POST", path, body)

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Answer:
        """Ask; whatever the control plane refuses is raised as the error it names."""
        sent = None if body is None else json.dumps(body).encode()
        try:
            response, content = self._exchange(method, path, sent, timeout)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise Untrusted(
                f"the certificate of {self.endpoint.text} is not trusted",
                fix=f"{CA.flag} FILE with the authority that signed it, or ${CA.variable}",
            ) from Differs(error.verify_message)
        except TimeoutError as error:
            self.close()
            raise errors.Unreachable(
                f"the control plane at {self.endpoint.text} does not answer",
                fix=f"is that a Weft control plane? Try {ENDPOINT.flag}, or weft status",
            ) from error
        except OSError as error:
            self.close()
            raise errors.Unreachable(
                f"no control plane at {self.endpoint.text}",
                fix=f"weft up, or {ENDPOINT.flag}",
            ) from error
        except http.client.HTTPException as error:
            self.close()
            raise errors.Unreachable(
                f"what answers at {self.endpoint.text} is no control plane",
                fix=f"weft up, or {ENDPOINT.flag}",
            ) from error
        return self._answer(response, content)

    def _exchange(
        self, method: str, path: str, sent: bytes | None, timeout: float
    ) -> tuple[http.client.HTTPResponse, bytes]:
        idle = self._clock.monotonic() - self._used_at
        if self._connection is not None and method != "GET" and idle > _STALE_AFTER:
            self.close()
        kept = self._connection is not None
        try:
            return self._once(method, path, sent, timeout)
        except (http.client.RemoteDisconnected, ConnectionError):
            self.close()
            if not kept or method != "GET":
                raise
            return self._once(method, path, sent, timeout)

    def _once(
        self, method: str, path: str, sent: bytes | None, timeout: float
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            self._connection = self.endpoint.connection(timeout, self._ca)
        self._connection.timeout = timeout
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout)
        headers = {"User-Agent": self._agent, "Accept": "application/json"}
        if who := user():
            headers[USER_HEADER] = who
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if sent is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, path, sent, headers)
        response = self._connection.getresponse()
        content = response.read()
        self._used_at = self._clock.monotonic()
        return response, content

    def _answer(self, response: http.client.HTTPResponse, content: bytes) -> Answer:
        try:
            body = json.loads(content) if content.strip() else None
        except ValueError:
            body = content
        if response.status < 400 and not isinstance(body, bytes):
            revision = response.headers.get("x-weft-revision", "")
            return Answer(body, int(revision) if revision.isdecimal() else None)
        if isinstance(body, Mapping):
            raise _error(response, body)
        kind = response.headers.get("Content-Type", "").partition(";")[0] or "nothing readable"
        raise errors.Unreachable(
            f"what answers at {self.endpoint.text} is no control plane",
            fix=f"weft up, or {ENDPOINT.flag}",
        ) from Differs(f"it answered {response.status} with {kind}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def path_of(*segments: str) -> str:
    """A path below ``/weft/v1``; every segment is escaped."""
    return "/weft/v1/" + "/".join(quote(each, safe="") for each in segments)


def resource_path(key: str) -> str:
    """Of a key, whose slashes stay."""
    return "/weft/v1/resources/" + quote(key, safe="/")


def _with_query(path: str, query: Mapping[str, Any]) -> str:
    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def _error(response: http.client.HTTPResponse, body: Mapping[str, Any]) -> errors.WeftError:
    code = str(
        body.get("code") or body.get("__type") or response.headers.get("x-amzn-ErrorType") or ""
    )
    code = code.partition(":")[0].rpartition("#")[2]
    message = str(body.get("message") or body.get("Message") or f"HTTP {response.status}")
    fix = body.get("fix") or None
    problems = tuple(
        errors.Problem(str(each.get("path", "")), str(each.get("message", "")))
        for each in body.get("problems") or ()
    )
    if problems:
        return errors.Invalid(problems, fix=fix)
    if code == "UnknownOperationException":
        return Differs(f"this control plane cannot do that: {message}", fix="weft version")
    kind = errors.ON_THE_WIRE.get(code) or _STATUSES.get(response.status) or errors.WeftError
    return kind(message, fix=fix)
