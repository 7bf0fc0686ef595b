"""The interface of AWS's agent: what it says of health, what it takes, and how often."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from weft.errors import Unreachable
from weft.names import ProxyId, View
from weft.sidecar.admin import Admin
from weft.sidecar.agent_api import BURST, Bucket, Interface, LogLevel, status
from weft.sidecar.prometheus import Connections, Page, is_ingress
from weft.sidecar.statsd import lines
from weft.sidecar.status import Standing

VIEW = View(ProxyId.parse("mesh/shop/virtualNode/web"), metrics=True)
STANDING = Standing(
    "mesh/shop/virtualNode/web",
    "one",
    "explicit",
    {},
    ready=True,
    envoy={"pid": 7, "state": "LIVE", "restarts": 2},
    xds={"connected": True, "since": 1000.0},
    started=1000.0,
)
AWAY = replace(STANDING, xds={"connected": False, "since": 1000.0})


class Scripted(Admin):
    """An Envoy that answers from a table, and remembers what it was asked."""

    def __init__(self, **answers: str) -> None:
        super().__init__("/nowhere")
        object.__setattr__(self, "asked", [])
        object.__setattr__(self, "answers", answers)

    __slots__ = ("answers", "asked")
    asked: list[str]
    answers: dict[str, str]

    def _ask(self, method: str, target: str) -> bytes:
        self.asked.append(f"{method} {target}")
        name = target.split("?")[0].rpartition("/")[2]
        return self.answers.get(name, "OK").encode()


def interface(admin: Admin | None) -> Interface:
    level = LogLevel(lambda: admin or Admin("/nowhere"), "warning", 60, print)
    return Interface(lambda: STANDING, lambda: admin, Page(VIEW), level, 10, lambda: 1007.0)


def test_the_status_is_the_agents_with_numbers_as_text() -> None:
    assert status(STANDING, 1012.7, 10) == {
        "healthStatus": "HEALTHY",
        "agentUptime": "12s",
        "envoyPid": "7",
        "envoyState": "LIVE",
        "envoyRestartCount": "2",
        "managementServerConnectionStatus": "CONNECTED",
        "envoyReadinessState": "INITIALIZED",
        "initialConfigUpdateStatus": "UPDATE_SUCCESSFUL",
    }


def test_a_proxy_without_a_control_plane_is_healthy_for_a_time() -> None:
    within, beyond = status(AWAY, 1010.0, 10), status(AWAY, 1010.1, 10)

    assert (within["healthStatus"], beyond["healthStatus"]) == ("HEALTHY", "UNHEALTHY")
    assert within["managementServerConnectionStatus"] == "NOT_CONNECTED"
    assert within["managementServerDisconnectedTimestamp"] == "1970-01-01T00:16:40Z"


@pytest.mark.parametrize(
    ("state", "said"), [("NOT_RUNNING", "UNREACHABLE"), ("DRAINING", "DRAINING")]
)
def test_an_envoy_that_is_not_live_is_unhealthy(state: str, said: str) -> None:
    found = status(replace(STANDING, ready=False, envoy={"state": state}), 1001.0, 10)

    assert (found["healthStatus"], found["envoyState"]) == ("UNHEALTHY", said)
    assert found["envoyReadinessState"] == "NOT_INITIALIZED"
    assert "initialConfigUpdateStatus" not in found


def test_ten_requests_a_second_are_answered_and_twenty_at_once() -> None:
    now = 0.0
    bucket = Bucket(lambda: now)

    assert [bucket.take() for _ in range(int(BURST) + 1)] == [True] * int(BURST) + [False]
    now = 0.35
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("method", "target", "body", "code"),
    [
        ("GET", "/status", 0, 200),
        ("POST", "/status", 0, 405),
        ("GET", "/", 0, 404),
        ("POST", "/drain_listeners?inboundonly", 0, 200),
        ("POST", "/drain_listeners?inboundonly", 3, 400),
        ("POST", "/drain_listeners", 0, 400),
        ("POST", "/drain_listeners?graceful", 0, 400),
        ("GET", "/drain_listeners?inboundonly", 0, 405),
        ("POST", "/enableLogging?level=debug", 0, 200),
        ("POST", "/enableLogging?level=debug&permanent=true", 0, 200),
        ("POST", "/enableLogging?level=loud", 0, 400),
        ("POST", "/enableLogging", 0, 400),
        ("GET", "/stats/prometheus?usedonly&filter=metrics_extension&delta", 0, 200),
        ("GET", "/stats/prometheus?text_readouts", 0, 400),
    ],
)
def test_what_is_taken_is_what_the_agent_took(
    method: str, target: str, body: int, code: int
) -> None:
    served = interface(Scripted(stats="", prometheus=""))
    try:
        assert served.answer(method, target, body).status == code
    finally:
        served.level.stop()


def test_without_an_envoy_the_answer_is_503() -> None:
    assert interface(None).answer("GET", "/stats/prometheus", 0).status == 503
    assert interface(None).answer("GET", "/status", 0).status == 200


def test_a_log_level_is_taken_back_unless_it_is_permanent() -> None:
    envoy, back = Scripted(), threading.Event()

    class Telling(Scripted):
        def _ask(self, method: str, target: str) -> bytes:
            envoy.asked.append(target)
            if target.endswith("warning") or target.endswith("info"):
                back.set()
            return b""

    level = LogLevel(Telling, "warning", 0.01, print)
    level.set("debug", permanent=False)
    assert back.wait(10)
    level.set("info", permanent=True)
    level.stop()
    assert envoy.asked == ["/logging?level=debug", "/logging?level=warning", "/logging?level=info"]


def test_a_log_level_that_cannot_be_set_back_is_told() -> None:
    told, said = threading.Event(), []

    def tell(text: str) -> None:
        said.append(text)
        told.set()

    class Gone(Scripted):
        def _ask(self, method: str, target: str) -> bytes:
            if target.endswith("warning"):
                raise Unreachable("Envoy is not running")
            return b""

    level = LogLevel(Gone, "warning", 0.01, tell)
    level.set("debug", permanent=False)
    assert told.wait(10)
    assert said == ["Envoy's log level could not be set back: Envoy is not running"]


# --- the page of statistics -------------------------------------------------------------------

STATS = """\
listener.0.0.0.0_15000.downstream_cx_total: 5
listener.0.0.0.0_15000.downstream_cx_active: 2
listener.0.0.0.0_15000.worker_0.downstream_cx_total: 5
listener.0.0.0.0_15001.downstream_cx_total: 9
listener.0.0.0.0_8443.downstream_cx_total: 1
listener.admin.downstream_cx_total: 70
"""
PAGE = """\
# TYPE envoy_appmesh_RequestCount counter
envoy_appmesh_RequestCount{Mesh="shop"} 7
# TYPE envoy_server_live gauge
envoy_server_live{} 1
"""


def test_connections_of_callers_are_added_to_the_page() -> None:
    text = Page(VIEW).text(Scripted(stats=STATS, prometheus=PAGE), "")

    assert text.splitlines()[-4:] == [
        "# TYPE envoy_appmesh_NewConnectionCount counter",
        'envoy_appmesh_NewConnectionCount{Mesh="shop",VirtualNode="web"} 6',
        "# TYPE envoy_appmesh_ActiveConnectionCount gauge",
        'envoy_appmesh_ActiveConnectionCount{Mesh="shop",VirtualNode="web"} 2',
    ]


def test_the_extensions_own_page_has_names_without_prefix() -> None:
    envoy = Scripted(stats=STATS, prometheus=PAGE)
    text = Page(VIEW).text(envoy, "usedonly&filter=metrics_extension")

    assert 'RequestCount{Mesh="shop"} 7' in text.splitlines()
    assert envoy.asked[0] == "GET /stats/prometheus?usedonly&filter=%5Eappmesh%5C."


def test_deltas_are_of_counters_alone_and_survive_a_restart() -> None:
    envoy, page = Scripted(stats="", prometheus=PAGE), Page(replace(VIEW, metrics=False))
    first = page.text(envoy, "delta")
    envoy.answers["prometheus"] = PAGE.replace("} 7", "} 9")
    second = page.text(envoy, "delta")
    envoy.answers["prometheus"] = PAGE.replace("} 7", "} 3")
    third = page.text(envoy, "delta")

    counts = [text.splitlines()[1].rpartition(" ")[2] for text in (first, second, third)]
    assert counts == ["7", "2", "3"]
    assert second.splitlines()[3] == "envoy_server_live{} 1"


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("listener.0.0.0.0_15000.downstream_cx_total", True),
        ("listener.0.0.0.0_8080.downstream_cx_active", True),
        ("listener.0.0.0.0_15001.downstream_cx_total", False),
        ("listener.[__]_15000.downstream_cx_total", True),
        ("listener.127.0.0.1_51379.downstream_cx_total", False),
        ("listener.0.0.0.0_15000.worker_0.downstream_cx_total", False),
        ("listener.admin.downstream_cx_total", False),
        ("listener.admin.main_thread.downstream_cx_total", False),
    ],
)
def test_only_listeners_of_callers_count(name: str, counts: bool) -> None:
    assert is_ingress(name) is counts


def test_connections_are_told_to_dog_statsd_as_what_was_added() -> None:
    assert lines(Connections(5, 2), 3, VIEW) == (
        "envoy.appmesh.NewConnectionCount:2|c|#Mesh:shop,VirtualNode:web",
        "envoy.appmesh.ActiveConnectionCount:2|g|#Mesh:shop,VirtualNode:web",
    )
    assert lines(Connections(1, 1), 3, VIEW)[0].startswith("envoy.appmesh.NewConnectionCount:1|c")
