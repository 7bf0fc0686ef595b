"""A replica registers itself while it is ready, and leaves before it drains."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from weft.errors import BadRequest
from weft.names import IngressPort, ProxyId
from weft.sidecar import registration
from weft.sidecar.access import Access
from weft.sidecar.options import options
from weft.sidecar.registration import Registration, addresses_of
from weft.sidecar.values import Advertised, Api

PROXY = ProxyId.parse("mesh/shop/virtualNode/web")
PLACE = "/weft/v1/meshes/shop/virtualNodes/web/instances/one"


class Registry:
    """As much of a control plane as a registration asks."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.tokens: set[str | None] = set()
        self.answers: dict[str, int] = {}
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if body:
                    registry.bodies.append(json.loads(body))
                registry.tokens.add(self.headers["authorization"])
                status = registry.answers.get(self.command, 204)
                said = b"" if status == 204 else b'{"message": "no such virtual node"}'
                self.send_response(status)
                if said:
                    self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)
                registry.asked.append((self.command, self.path))

            do_PUT = do_POST = do_DELETE = _answer

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def api(self) -> Api:
        return Api("127.0.0.1", self.server.server_address[1], tls=False)

    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]


@pytest.fixture
def registry() -> Iterator[Registry]:
    found = Registry()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def place(registry: Registry, said: list[str]) -> Iterator[Registration]:
    made = Registration(
        registry.api,
        Access("weft_t"),
        PROXY,
        "one",
        {9080: "127.0.0.1:4001"},
        said.append,
        said.append,
    )
    made.start()
    yield made
    made.leave()


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def test_it_comes_when_ready_and_leaves_at_the_end(place: Registration, registry: Registry) -> None:
    place.tell(ready=True)
    eventually(lambda: "PUT" in registry.methods())
    place.leave()

    assert registry.asked[-1] == ("DELETE", PLACE)
    assert registry.bodies == [
        {"addresses": {"9080": "127.0.0.1:4001"}, "leaseSeconds": registration.LEASE_SECONDS}
    ]
    assert registry.tokens == {"Bearer weft_t"}


def test_what_an_earlier_run_left_is_taken_out(place: Registration, registry: Registry) -> None:
    eventually(lambda: registry.methods() == ["DELETE"])


def test_it_leaves_while_it_is_not_ready(place: Registration, registry: Registry) -> None:
    place.tell(ready=True)
    eventually(lambda: "PUT" in registry.methods())
    place.tell(ready=False)
    eventually(lambda: registry.methods()[-1] == "DELETE")
    place.tell(ready=True)
    eventually(lambda: registry.methods()[-1] == "PUT")


def test_a_registry_that_forgot_it_is_told_again(
    place: Registration, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "LEASE_SECONDS", 0.03)
    registry.answers["POST"] = 404
    place.tell(ready=True)
    eventually(lambda: registry.methods().count("PUT") >= 2)


def test_a_refusal_is_said_once_in_the_registrys_words(
    place: Registration, registry: Registry, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "_RETRY_SECONDS", 0.01)
    registry.answers["PUT"] = 404
    place.tell(ready=True)
    eventually(lambda: registry.methods().count("PUT") >= 3)
    assert said == [f"not registered: {registry.api} answers 404: no such virtual node"]


def test_a_registry_that_is_away_does_not_keep_a_sidecar_from_its_end(said: list[str]) -> None:
    nobody = Api("127.0.0.1", 1, tls=False)
    made = Registration(nobody, Access(), PROXY, "one", {}, said.append, said.append)
    made.start()
    began = time.monotonic()
    made.leave()
    assert time.monotonic() - began < registration.LEAVE_SECONDS


def test_a_registry_with_tls_is_one_of_our_authorities(
    registry: Registry, said: list[str], tmp_path: Path
) -> None:
    ours, strange = Authority(tmp_path, "ours"), Authority(tmp_path, "strange")
    leaf = ours.leaf("api", hosts=("127.0.0.1",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.key)
    registry.server.socket = context.wrap_socket(registry.server.socket, server_side=True)
    api = Api("127.0.0.1", registry.server.server_address[1], tls=True)

    for authority in (strange, ours):
        access = Access(ca=str(authority.certificate))
        made = Registration(api, access, PROXY, "one", {}, said.append, said.append)
        made.start()
        made.tell(ready=True)
        eventually(lambda: len(said) > 0)
        made.leave()
        (words,) = said
        said.clear()
        assert ("CERTIFICATE_VERIFY_FAILED" in words) == (authority is strange), words


def test_others_reach_a_listener_at_its_socket_unless_it_says_otherwise() -> None:
    ingress = (IngressPort(9080, 4001, 8080), IngressPort(9090, 4002, 8081))
    said = (Advertised(9090, "10.0.0.7", 9090), Advertised(9091, "::1", 9091))
    assert addresses_of(ingress, said) == {
        9080: "127.0.0.1:4001",
        9090: "10.0.0.7:9090",
        9091: "[::1]:9091",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--register", "127.0.0.1:7400"], "not the address of an API"),
        (["--register", "http://127.0.0.1:7400", "--mode", "transparent"], "where this replica"),
        (["--address", "80=10.0.0.1:80"], "no meaning without --register"),
        (["--register", "http://h:1", "--address", "80=x:80"], "not LISTENER=IP:PORT"),
        (
            [
                "--register",
                "http://h:1",
                "--address",
                "80=10.0.0.1:1",
                "--address",
                "80=10.0.0.1:2",
            ],
            "twice",
        ),
    ],
)
def test_what_cannot_be_registered_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        options(["--proxy", str(PROXY), "--data", "x", *arguments], {})


def test_a_gateway_is_not_registered() -> None:
    arguments = ["--proxy", "mesh/shop/virtualGateway/g", "--data", "x"]
    with pytest.raises(BadRequest, match="needs a virtual node"):
        options([*arguments, "--register", "http://127.0.0.1:7400"], {})


def test_a_token_comes_from_the_environment_and_does_not_print_itself() -> None:
    made = options(["--proxy", str(PROXY), "--data", "x"], {"WEFT_TOKEN": "weft_secret"})
    assert made.access.authorization() == "Bearer weft_secret"
    assert "weft_secret" not in repr(made)
