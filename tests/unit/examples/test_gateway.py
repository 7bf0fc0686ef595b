"""The gateway's answers, to the letter."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.examples.conftest import Answer, FakeServer, Seen, Service

Start = Callable[..., "Service"]
Fake = Callable[[Callable[["Seen"], bytes | None]], "FakeServer"]
Reply = Callable[..., bytes]
Again = Callable[..., "Answer"]

ERROR = (500, b"500 - Unexpected Error")


@pytest.fixture
def gateway(start: Start, fake: Fake, reply: Reply) -> Callable[..., Service]:
    """Starts a gateway whose color teller answers these bodies in turn, the last for ever."""

    def gateway_for(*colors: bytes, **environ: str) -> Service:
        teller = fake(lambda seen: reply(colors[min(seen.number, len(colors)) - 1]))
        return start("gateway.py", COLOR_TELLER_ENDPOINT=teller.address, **environ)

    return gateway_for


@pytest.fixture
def tcp_server() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Serves one TCP connection with a function; its address."""

    def serve(talk: Callable[[socket.socket], None]) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.settimeout(30)
        host, port = listening.getsockname()

        def one() -> None:
            with listening:
                accepted, _ = listening.accept()
                with accepted:
                    accepted.settimeout(30)
                    talk(accepted)

        thread = threading.Thread(target=one)
        thread.start()
        threads.append(thread)
        return f"{host}:{port}"

    threads: list[threading.Thread] = []
    yield serve
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_color_answers_the_color_and_the_shares(gateway: Callable[..., Service]) -> None:
    service = gateway(b"red")
    answer = service.get("/color")
    assert answer.status == 200
    assert answer.body == b'{"color":"red", "stats": {"red":1}}'
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_shares_are_in_hundredths_and_keys_in_order(gateway: Callable[..., Service]) -> None:
    service = gateway(b"white", b"red", b"blue")
    assert service.get("/color").body.endswith(b'"stats": {"white":1}}')
    assert service.get("/color").body.endswith(b'"stats": {"red":0.5,"white":0.5}}')
    assert (
        service.get("/color").body
        == b'{"color":"blue", "stats": {"blue":0.33,"red":0.33,"white":0.33}}'
    )


def test_a_half_is_rounded_up(gateway: Callable[..., Service], again: Again) -> None:
    service = gateway(b"red", b"blue")
    connection = service.connection()
    for _ in range(7):
        again(connection, "/color")
    assert again(connection, "/color").body.endswith(b'{"blue":0.88,"red":0.13}}')
    for _ in range(191):
        again(connection, "/color")
    assert again(connection, "/color").body.endswith(b'{"blue":1,"red":0.01}}')
    connection.close()


def test_only_the_last_thousand_are_counted(gateway: Callable[..., Service], again: Again) -> None:
    service = gateway(b"red", b"blue")
    connection = service.connection()
    for _ in range(999):
        again(connection, "/color")
    assert again(connection, "/color").body.endswith(b'{"blue":1,"red":0}}')
    assert again(connection, "/color").body.endswith(b'{"blue":1}}')
    connection.close()


def test_clear_forgets_all_colors(gateway: Callable[..., Service]) -> None:
    service = gateway(b"red", b"blue")
    service.get("/color")
    answer = service.get("/color/clear")
    assert (answer.status, answer.body) == (200, b"cleared")
    assert service.get("/color").body == b'{"color":"blue", "stats": {"blue":1}}'


def test_white_space_around_a_color_is_dropped(gateway: Callable[..., Service]) -> None:
    assert gateway(b" \r\n red\t\n").get("/color").body == b'{"color":"red", "stats": {"red":1}}'


def test_an_empty_answer_is_an_error(gateway: Callable[..., Service]) -> None:
    service = gateway(b"", b"  \n", b"red")
    for _ in range(2):
        answer = service.get("/color")
        assert (answer.status, answer.body) == ERROR
    assert service.get("/color").body.endswith(b'{"red":1}}')


def test_the_status_of_the_answer_is_not_looked_at(start: Start, fake: Fake, reply: Reply) -> None:
    teller = fake(lambda _: reply(b"no healthy upstream", "503 Service Unavailable"))
    answer = start("gateway.py", COLOR_TELLER_ENDPOINT=teller.address).get("/color")
    assert answer.status == 200
    assert answer.body == b'{"color":"no healthy upstream", "stats": {"no healthy upstream":1}}'


def test_the_color_is_not_escaped_and_the_key_is(gateway: Callable[..., Service]) -> None:
    answer = gateway(b'<a> & "b"').get("/color")
    assert answer.body == (b'{"color":"<a> & "b"", "stats": {"\\u003ca\\u003e \\u0026 \\"b\\"":1}}')


def test_a_color_that_is_not_text_passes_unharmed(gateway: Callable[..., Service]) -> None:
    answer = gateway(b"\xff").get("/color")
    assert answer.body.startswith(b'{"color":"\xff", "stats": ')
    assert json.loads(answer.body.partition(b'"stats": ')[2][:-1]) == {"\ufffd": 1}


def test_a_color_teller_that_is_not_there_is_an_error(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    answer = start("gateway.py", COLOR_TELLER_ENDPOINT=f"127.0.0.1:{port}").get("/color")
    assert (answer.status, answer.body) == ERROR


def test_ping_answers_an_empty_200(gateway: Callable[..., Service]) -> None:
    answer = gateway(b"red").get("/ping")
    assert (answer.status, answer.body) == (200, b"")


def test_paths_are_exact(gateway: Callable[..., Service]) -> None:
    service = gateway(b"red")
    for path in ("/", "/color/", "/color/clear/", "/colors", "/ping/", "/tcpecho/", "//color"):
        answer = service.get(path)
        assert (answer.status, answer.body) == (404, b"404 page not found\n"), path
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_any_method_and_any_query_will_do(gateway: Callable[..., Service]) -> None:
    service = gateway(b"red")
    assert service.get("/color?x=1", "POST").status == 200
    assert service.get("/col%6fr/clear", "DELETE").body == b"cleared"
    assert service.get("/ping", "PUT").status == 200


def test_tcpecho_answers_the_first_line_of_the_server(start: Start) -> None:
    node = "mesh/appmesh-mesh/virtualNode/tcpecho-vn"
    echo = start("tcpecho.py", NODE_NAME=node)
    service = start(
        "gateway.py",
        COLOR_TELLER_ENDPOINT="127.0.0.1:1",
        TCP_ECHO_ENDPOINT=f"127.0.0.1:{echo.port}",
    )
    for _ in range(2):
        answer = service.get("/tcpecho")
        assert answer.status == 200
        assert answer.body == (
            f"Response from tcpecho server: Welcome, you are connected to node {node}.\n".encode()
        )
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_the_greeting_is_eighteen_bytes_without_a_newline(
    gateway: Callable[..., Service], tcp_server: Callable[..., str]
) -> None:
    heard: list[bytes] = []

    def talk(accepted: socket.socket) -> None:
        accepted.sendall(b"first\nsecond\n")
        while piece := accepted.recv(100):
            heard.append(piece)

    service = gateway(b"red", TCP_ECHO_ENDPOINT=tcp_server(talk))
    assert service.get("/tcpecho").body == b"Response from tcpecho server: first\n"
    service.terminate()
    assert b"".join(heard) == b"Hello from gateway"


def test_tcpecho_without_an_endpoint_is_an_error(gateway: Callable[..., Service]) -> None:
    answer = gateway(b"red").get("/tcpecho")
    assert (answer.status, answer.body) == (500, b"tcpecho endpoint is not set")


@pytest.mark.parametrize("endpoint", ["127.0.0.1:1", "localhost", "127.0.0.1:99999", "a..b:80"])
def test_a_tcpecho_that_cannot_be_dialled_is_an_error(
    gateway: Callable[..., Service], endpoint: str
) -> None:
    answer = gateway(b"red", TCP_ECHO_ENDPOINT=endpoint).get("/tcpecho")
    assert answer.status == 500
    assert answer.body.startswith(b"Dial failed, err:")
    assert len(answer.body) > len(b"Dial failed, err:")


def test_a_tcpecho_that_says_no_line_is_an_error(
    gateway: Callable[..., Service], tcp_server: Callable[..., str]
) -> None:
    def talk(accepted: socket.socket) -> None:
        accepted.recv(100)
        accepted.sendall(b"no newline")

    answer = gateway(b"red", TCP_ECHO_ENDPOINT=tcp_server(talk)).get("/tcpecho")
    assert (answer.status, answer.body) == (500, b"Read from server failed, err:EOF")


def test_a_tcpecho_that_says_nothing_is_given_up(
    gateway: Callable[..., Service], tcp_server: Callable[..., str]
) -> None:
    def talk(accepted: socket.socket) -> None:
        while accepted.recv(100):
            pass

    address = tcp_server(talk)
    service = gateway(b"red", TCP_ECHO_ENDPOINT=address, TCP_ECHO_TIMEOUT="0.2")
    answer = service.get("/tcpecho")
    assert (answer.status, answer.body) == (500, b"Read from server failed, err:timed out")


def test_a_tcpecho_that_hangs_up_is_an_error(
    gateway: Callable[..., Service], tcp_server: Callable[..., str]
) -> None:
    def talk(accepted: socket.socket) -> None:
        # Once the greeting is there, the gateway is past dialling and past writing.
        accepted.recv(64)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    answer = gateway(b"red", TCP_ECHO_ENDPOINT=tcp_server(talk)).get("/tcpecho")
    assert answer.status == 500
    assert answer.body.startswith(b"Read from server failed, err:")


def test_the_gateway_does_not_start_without_a_color_teller(fails: Callable[..., str]) -> None:
    assert fails("gateway.py", SERVER_PORT="0") == "gateway: COLOR_TELLER_ENDPOINT is not set\n"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COLOR_TELLER_ENDPOINT", "teller:port"),
        ("COLOR_TELLER_ENDPOINT", "a b:80"),
        ("http_proxy", "socks5://127.0.0.1:80"),
        ("http_proxy", "http://127.0.0.1:many"),
        ("TCP_ECHO_TIMEOUT", "soon"),
        ("XRAY_SAMPLING_RATE", "2"),
        ("AWS_XRAY_DAEMON_ADDRESS", "somewhere"),
        ("SERVER_PORT", "65536"),
    ],
)
def test_a_mistake_in_the_environment_is_named(
    fails: Callable[..., str], variable: str, value: str
) -> None:
    environ = {"SERVER_PORT": "0", "COLOR_TELLER_ENDPOINT": "teller:80", variable: value}
    assert value in fails("gateway.py", **environ)
