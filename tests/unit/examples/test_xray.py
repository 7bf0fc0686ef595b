"""X-Ray: the trace header in and out, and the segments that are sent."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.examples.conftest import Daemon, FakeServer, Seen, Service

Start = Callable[..., "Service"]
Fake = Callable[[Callable[["Seen"], bytes | None]], "FakeServer"]
Reply = Callable[..., bytes]

ROOT = "1-5759e988-bd862e3fe1be46a994272793"
PARENT = "53995c3f42cd8ad8"
HEADER = "X-Amzn-Trace-Id"


def fields(header: str | None) -> dict[str, str]:
    assert header is not None
    return dict(part.split("=", 1) for part in header.split(";"))


def test_every_reply_names_its_trace(start: Start) -> None:
    teller = start("colorteller.py")
    seen = set()
    for path in ("/", "/ping"):
        header = teller.get(path).headers[HEADER]
        assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Sampled=1", header)
        seen.add(header)
    assert len(seen) == 2


def test_a_segment_tells_of_the_request_and_its_answer(start: Start, daemon: Daemon) -> None:
    teller = start("colorteller.py", COLOR="red", AWS_XRAY_DAEMON_ADDRESS=daemon.address)
    answer = teller.get("/a?b", "POST", User_Agent="curl", Host="colorteller.myapp.local:9080")
    segment = daemon.segment()
    assert segment["name"] == "default-colorteller-red"
    assert segment["trace_id"] == fields(answer.headers[HEADER])["Root"]
    assert re.fullmatch(r"[0-9a-f]{16}", segment["id"])
    assert 0 <= segment["end_time"] - segment["start_time"] < 30
    assert "parent_id" not in segment
    assert segment["http"] == {
        "request": {
            "method": "POST",
            "url": "http://colorteller.myapp.local:9080/a",
            "client_ip": "127.0.0.1",
            "user_agent": "curl",
        },
        "response": {"status": 200, "content_length": 3},
    }


def test_the_stage_is_part_of_the_name(start: Start, daemon: Daemon) -> None:
    teller = start(
        "colorteller.py", COLOR="red", STAGE="beta", AWS_XRAY_DAEMON_ADDRESS=daemon.address
    )
    teller.get("/ping")
    assert daemon.segment()["name"] == "beta-colorteller-red"


def test_a_request_joins_the_trace_that_it_names(start: Start, daemon: Daemon) -> None:
    teller = start("colorteller.py", AWS_XRAY_DAEMON_ADDRESS=daemon.address)
    header = f"Root={ROOT};Parent={PARENT};Sampled=1"
    answer = teller.get("/", X_Amzn_Trace_Id=header, X_Forwarded_For="10.1.2.3, 10.4.5.6")
    segment = daemon.segment()
    assert (segment["trace_id"], segment["parent_id"]) == (ROOT, PARENT)
    assert segment["http"]["request"]["client_ip"] == "10.1.2.3"
    assert segment["http"]["request"]["x_forwarded_for"] is True
    assert fields(answer.headers[HEADER])["Root"] == ROOT


def test_what_is_not_sampled_is_not_sent(start: Start, daemon: Daemon) -> None:
    teller = start("colorteller.py", AWS_XRAY_DAEMON_ADDRESS=daemon.address)
    answer = teller.get("/unsampled", X_Amzn_Trace_Id=f"Root={ROOT};Sampled=0")
    assert answer.headers[HEADER] == f"Root={ROOT};Sampled=0"
    teller.get("/sampled")
    assert daemon.segment()["http"]["request"]["url"].endswith("/sampled")


def test_a_header_that_is_not_understood_starts_a_new_trace(start: Start, daemon: Daemon) -> None:
    teller = start("colorteller.py", AWS_XRAY_DAEMON_ADDRESS=daemon.address)
    for header in ("", ";;=", "Root=1-2-3;Parent=x", f"Root={ROOT}0;Parent={PARENT}", "Sampled=?"):
        answer = teller.get("/", X_Amzn_Trace_Id=header)
        segment = daemon.segment()
        assert segment["trace_id"] == fields(answer.headers[HEADER])["Root"]
        assert not segment["trace_id"].startswith(ROOT)
        assert "parent_id" not in segment


def test_one_trace_runs_from_the_gateway_to_the_color_teller(start: Start, daemon: Daemon) -> None:
    teller = start("colorteller.py", COLOR="red", AWS_XRAY_DAEMON_ADDRESS=daemon.address)
    endpoint = f"127.0.0.1:{teller.port}"
    gateway = start(
        "gateway.py", COLOR_TELLER_ENDPOINT=endpoint, AWS_XRAY_DAEMON_ADDRESS=daemon.address
    )
    answer = gateway.get("/color")
    segments = {segment["name"]: segment for segment in (daemon.segment(), daemon.segment())}
    front, back = segments["default-gateway"], segments["default-colorteller-red"]
    assert front["trace_id"] == back["trace_id"] == fields(answer.headers[HEADER])["Root"]
    (call,) = front["subsegments"]
    assert back["parent_id"] == call["id"]
    assert call["namespace"] == "remote"
    assert call["name"] == endpoint
    assert call["http"] == {
        "request": {"method": "GET", "url": f"http://{endpoint}/"},
        "response": {"status": 200, "content_length": 3},
    }
    assert front["start_time"] <= call["start_time"] <= call["end_time"] <= front["end_time"]


@pytest.fixture
def asked(start: Start, fake: Fake, reply: Reply, daemon: Daemon) -> Callable[[str], str]:
    """Asks the gateway with a trace header; the one that its color teller gets."""

    def asked_with(header: str) -> str:
        teller = fake(lambda _: reply(b"red"))
        gateway = start(
            "gateway.py",
            COLOR_TELLER_ENDPOINT=teller.address,
            AWS_XRAY_DAEMON_ADDRESS=daemon.address,
        )
        gateway.get("/color", X_Amzn_Trace_Id=header)
        passed_on = teller.seen[0].header(HEADER)
        assert passed_on is not None
        return passed_on

    return asked_with


def test_the_header_is_passed_on_with_the_call_as_parent(
    asked: Callable[[str], str], daemon: Daemon
) -> None:
    passed_on = fields(asked(f"Root={ROOT};Parent={PARENT};Sampled=1;Lineage=a:1;Self=x"))
    segment: dict[str, Any] = daemon.segment()
    assert segment["parent_id"] == PARENT
    assert passed_on == {
        "Root": ROOT,
        "Parent": segment["subsegments"][0]["id"],
        "Sampled": "1",
        "Lineage": "a:1",
    }


def test_a_decision_not_to_sample_is_passed_on(asked: Callable[[str], str]) -> None:
    assert asked(f"Root={ROOT};Parent={PARENT};Sampled=0") == f"Root={ROOT};Sampled=0"


def test_a_call_that_fails_is_a_fault(start: Start, daemon: Daemon) -> None:
    gateway = start(
        "gateway.py",
        COLOR_TELLER_ENDPOINT="127.0.0.1:1",
        AWS_XRAY_DAEMON_ADDRESS=daemon.address,
    )
    gateway.get("/color")
    segment = daemon.segment()
    assert segment["fault"] is True
    assert segment["http"]["response"]["status"] == 500
    (call,) = segment["subsegments"]
    assert call["fault"] is True
    assert "127.0.0.1:1" in call["cause"]["exceptions"][0]["message"]


def test_an_error_page_is_a_fault_of_the_call_only(
    start: Start, fake: Fake, reply: Reply, daemon: Daemon
) -> None:
    teller = fake(lambda _: reply(b"no healthy upstream", "503 Service Unavailable"))
    gateway = start(
        "gateway.py",
        COLOR_TELLER_ENDPOINT=teller.address,
        AWS_XRAY_DAEMON_ADDRESS=daemon.address,
    )
    gateway.get("/color")
    segment = daemon.segment()
    assert "fault" not in segment
    assert segment["subsegments"][0]["fault"] is True
    gateway.get("/nowhere")
    assert daemon.segment()["error"] is True


def test_without_a_daemon_every_request_is_answered(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    teller = start("colorteller.py", AWS_XRAY_DAEMON_ADDRESS=address)
    assert [teller.get("/").status for _ in range(5)] == [200] * 5
    unknown = start("colorteller.py", AWS_XRAY_DAEMON_ADDRESS="daemon.invalid:2000")
    assert unknown.get("/").status == 200


def test_the_daemon_may_be_named_for_tcp_and_udp_apart(start: Start, daemon: Daemon) -> None:
    address = f"tcp:127.0.0.1:1 udp:{daemon.address}"
    start("colorteller.py", AWS_XRAY_DAEMON_ADDRESS=address).get("/")
    assert daemon.segment()["name"] == "default-colorteller-black"


def test_at_a_sampling_rate_of_zero_only_sampled_traces_are_sent(
    start: Start, daemon: Daemon
) -> None:
    teller = start("colorteller.py", AWS_XRAY_DAEMON_ADDRESS=daemon.address, XRAY_SAMPLING_RATE="0")
    assert teller.get("/").headers[HEADER].endswith(";Sampled=0")
    teller.get("/", X_Amzn_Trace_Id=f"Root={ROOT};Sampled=1")
    assert daemon.segment()["trace_id"] == ROOT
