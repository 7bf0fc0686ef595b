"""
A replica's place in the registry of the control plane: held by a lease while the replica is ready.

    Out ──ready──▶ In ──a third of the lease──▶ In (heartbeat)
     ▲              │
     └──not ready───┴── forgotten by the registry: registered again
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from weft.errors import Unreachable
from weft.names import IngressPort, ProxyId
from weft.sidecar.access import Access
from weft.sidecar.admin import parse_response, quoted
from weft.sidecar.machine import connected
from weft.sidecar.values import Advertised, Api

LEASE_SECONDS = 15.0
LEAVE_SECONDS = 3.0
"""How long a stop waits for the registry; after that the lease ends by itself."""
_TIMEOUT_SECONDS = 2.0
_RETRY_SECONDS = 1.0
_MOST_BYTES = 1024 * 1024


def addresses_of(
    ingress: Iterable[IngressPort], advertised: Iterable[Advertised]
) -> Mapping[int, str]:
    """Where each listener is reached: as it was said, else at its own socket."""
    found = {each.listener: f"127.0.0.1:{each.socket}" for each in ingress}
    return found | {each.listener: str(each) for each in advertised}


class Registration:
    """Works in a thread of its own: a registry that hangs must not keep us from our Envoy."""

    def __init__(
        self,
        api: Api,
        access: Access,
        proxy: ProxyId,
        instance: str,
        addresses: Mapping[int, str],
        say: Callable[[str], None],
        warn: Callable[[str], None],
        mark: int | None = None,
    ) -> None:
        self._api = api
        self._mark = mark
        self._access = access
        self._path = (
            f"/weft/v1/meshes/{quoted(proxy.mesh)}/virtualNodes/{quoted(proxy.name)}"
            f"/instances/{quoted(instance)}"
        )
        self._body = {
            "addresses": {str(port): address for port, address in addresses.items()},
            "leaseSeconds": LEASE_SECONDS,
        }
        self._say = say
        self._warn = warn
        self._wanted = False
        self._held: bool | None = None
        """None: an earlier run may have left an address under our name that nobody serves."""
        self._ending = False
        self._complaint = ""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="registration", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def tell(self, *, ready: bool) -> None:
        """Whether the replica is to be found now."""
        with self._changed:
            if self._wanted != ready:
                self._wanted = ready
                self._changed.notify()

    def leave(self) -> None:
        """Out of the registry for good, or the lease ends by itself."""
        with self._changed:
            self._wanted, self._ending = False, True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(LEAVE_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                wanted, ending = self._wanted, self._ending
            pause: float | None = None
            try:
                if wanted:
                    self._hold()
                    pause = LEASE_SECONDS / 3
                else:
                    self._withdraw()
            except Unreachable as error:
                pause = _RETRY_SECONDS
                if ending:
                    return
                if error.message != self._complaint:
                    self._complaint = error.message
                    self._warn(f"not registered: {error.message}")
            if ending:
                return
            with self._changed:
                self._changed.wait_for(
                    lambda: self._wanted != wanted or self._ending != ending,  # noqa: B023 - awaited here
                    pause,
                )

    def _hold(self) -> None:
        """Register, or renew the lease."""
        if self._held and self._ask("POST", f"{self._path}/heartbeat", None, known=(404,)) == 404:
            self._held = False
        if not self._held:
            self._ask("PUT", self._path, self._body)
            self._held, self._complaint = True, ""
            self._say(f"registered at {self._api}")

    def _withdraw(self) -> None:
        if self._held is not False:
            self._ask("DELETE", self._path, None, known=(404,))
            self._held = False

    def _ask(
        self, method: str, path: str, body: Mapping[str, object] | None, known: tuple[int, ...] = ()
    ) -> int:
        """The status of the answer; Unreachable, with the registry's words, unless it is expected."""
        sent = b"" if body is None else json.dumps(body).encode()
        authorization = self._access.authorization()
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {str(self._api).partition('//')[2]}",
            "User-Agent: weft-sidecar",
            "Connection: close",
            f"Content-Length: {len(sent)}",
            *(["Content-Type: application/json"] if sent else []),
            *([f"Authorization: {authorization}"] if authorization else []),
        ]
        raw = self._exchanged(("\r\n".join(lines) + "\r\n\r\n").encode() + sent)
        status, answer = parse_response(raw)
        if status >= 300 and status not in known:
            raise Unreachable(f"{self._api} answers {status}: {_words(answer)}")
        return status

    def _exchanged(self, request: bytes) -> bytes:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        chunks: list[bytes] = []
        size = 0
        try:
            with self._connection() as connection:
                connection.sendall(request)
                while chunk := connection.recv(65536):
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > _MOST_BYTES or time.monotonic() > deadline:
                        raise Unreachable(f"{self._api} does not come to an end")
        except OSError as error:
            raise Unreachable(f"{self._api} does not answer: {error}") from error
        return b"".join(chunks)

    def _connection(self) -> socket.socket:
        plain = connected(self._api.host, self._api.port, _TIMEOUT_SECONDS, self._mark)
        if not self._api.tls:
            return plain
        import ssl  # Costs a tenth of a sidecar's memory, and few need it.

        try:
            context = ssl.create_default_context(cafile=self._access.ca)
            if self._access.certificate and self._access.key:
                context.load_cert_chain(self._access.certificate, self._access.key)
            return context.wrap_socket(plain, server_hostname=self._api.host)
        except BaseException:
            plain.close()
            raise


def _words(answer: bytes) -> str:
    with suppress(ValueError):
        found = json.loads(answer)
        if isinstance(found, dict) and isinstance(found.get("message"), str):
            return str(found["message"])
    return answer[:200].decode("utf-8", "replace").strip()
