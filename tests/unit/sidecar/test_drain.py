"""When a proxy may stop."""

from __future__ import annotations

from weft.sidecar.drain import Drain, Traffic


def test_the_admin_interface_is_not_traffic() -> None:
    assert Traffic.of(
        {
            "http.admin.downstream_rq_active": 1,
            "listener.admin.downstream_cx_active": 1,
            "http.egress.downstream_rq_active": 2,
            "http.egress.downstream_rq_total": 9,
            "tcp.db.downstream_cx_active": 3,
            "listener.127.0.0.1_80.downstream_cx_active": 5,
            "http.egress.downstream_cx_active": 2,
        }
    ) == Traffic(connections=5, busy=5, total=9)


def test_half_a_second_is_the_least() -> None:
    over = Drain(5)

    assert not over.is_over(0.1, Traffic(0, 0, 4))
    assert over.is_over(0.5, Traffic(0, 0, 4))


def test_a_request_in_flight_is_waited_for_up_to_the_limit() -> None:
    over = Drain(5)

    assert not over.is_over(4.9, Traffic(1, 1, 4))
    assert over.is_over(5.0, Traffic(1, 1, 4))


def test_an_idle_connection_is_cut_after_a_second_without_requests() -> None:
    over = Drain(60)

    assert not over.is_over(0.6, Traffic(1, 0, 4))
    assert not over.is_over(1.5, Traffic(1, 0, 5)), "a request came in between"
    assert not over.is_over(2.4, Traffic(1, 0, 5))
    assert over.is_over(2.5, Traffic(1, 0, 5))


def test_an_envoy_that_does_not_answer_gets_the_whole_time() -> None:
    over = Drain(2)

    assert not over.is_over(1.9, None)
    assert over.is_over(2, None)
    assert not Drain(0).is_over(0.4, None)
