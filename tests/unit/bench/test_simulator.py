"""Simulated proxies in their own process, against the pusher in its own."""

from __future__ import annotations

from envoy.config.route.v3 import route_pb2
from envoy.service.discovery.v3 import discovery_pb2

from bench.fleet import Fleet, Simulated
from bench.floor import Floor, without_nonce
from bench.proxy import ROUTE
from weft.names import ProxyId, View


def proxies(count: int) -> list[Simulated]:
    view = View(ProxyId.parse("mesh/m/virtualNode/n"))
    return [Simulated(view, f"proxy-{i}") for i in range(count)]


def a_response(type_url: str = ROUTE) -> bytes:
    message = discovery_pb2.DeltaDiscoveryResponse(type_url=type_url, nonce="of another stream")
    value = route_pb2.RouteConfiguration(name="x" * 40_000)
    message.resources.add(name="r", version="1").resource.Pack(value)
    return bytes(message.SerializeToString())


def test_every_proxy_acknowledges_what_it_is_sent() -> None:
    with Floor() as floor, Fleet() as fleet:
        fleet.connect(floor.target, proxies(20))
        fleet.settle(0, quiet=0.2, timeout=20)
        begin = fleet.mark()
        pushed = floor.push(a_response())
        report = fleet.settle(20, quiet=0.05, timeout=20)

    assert not report.timed_out
    assert report.streams == len(report.touched) == report.messages == 20
    assert {got.bytes for got in report.touched.values()} == {report.bytes // 20}
    assert report.bytes > 20 * 40_000
    assert begin <= pushed < report.acks_ns[0] <= report.acks_ns[-1]
    assert report.by_type["RDS"]["changed"] == 20
    assert without_nonce(report.sample) == without_nonce(a_response())
    assert (report.nacks, report.ended) == (0, 0)


def test_a_mark_begins_a_new_count() -> None:
    with Floor() as floor, Fleet() as fleet:
        fleet.connect(floor.target, proxies(3))
        fleet.settle(0, quiet=0.2, timeout=20)
        floor.push(a_response())
        fleet.settle(3, quiet=0.05, timeout=20)
        fleet.mark()
        report = fleet.settle(0, quiet=0.05, timeout=20)

    assert (report.messages, report.bytes, report.touched) == (0, 0, {})


def test_a_response_of_a_type_nobody_knows_is_refused() -> None:
    with Floor() as floor, Fleet() as fleet:
        fleet.connect(floor.target, proxies(2))
        fleet.settle(0, quiet=0.2, timeout=20)
        floor.push(a_response("type.googleapis.com/unknown"))
        report = fleet.settle(0, quiet=0.2, timeout=20)

    assert report.nacks == 2
    assert report.acks_ns == []


def test_waiting_for_what_does_not_come_ends() -> None:
    with Floor() as floor, Fleet() as fleet:
        fleet.connect(floor.target, proxies(1))
        report = fleet.settle(1, quiet=0.05, timeout=0.3)

    assert report.timed_out


def test_a_connection_that_is_refused_or_lost_is_reported() -> None:
    with Fleet() as fleet:
        with Floor() as floor:
            fleet.connect(floor.target, proxies(2))
            fleet.settle(0, quiet=0.2, timeout=20)
        lost = fleet.settle(0, quiet=0.2, timeout=20)
        fleet.reconnect(floor.target)
        refused = fleet.settle(0, quiet=0.2, timeout=20)

    assert (lost.ended, refused.ended, refused.streams) == (2, 2, 2)
    assert lost.ended_words
