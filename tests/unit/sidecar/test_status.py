"""The status page."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from weft.errors import CannotStart
from weft.sidecar.status import Pages, Standing, StatusServer, clusters, listeners

STANDING = Standing("mesh/shop/virtualNode/<web>", "one", "explicit", {"egress": 1}, started=10.0)


@contextmanager
def served(standing: Standing) -> Iterator[str]:
    complaints: list[str] = []
    server = StatusServer(0, Pages(lambda: standing, lambda: None, lambda: 12.5), complaints.append)
    server.start()
    try:
        yield f"http://{server.address}"
    finally:
        server.stop()
    assert complaints == []


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=10
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_ready_is_a_status_code() -> None:
    with served(STANDING) as url:
        code, body = get(f"{url}/ready")
        assert (code, json.loads(body)) == (
            503,
            {"ready": False, "why": "Envoy has not started yet"},
        )
    with served(replace(STANDING, ready=True)) as url:
        assert get(f"{url}/ready?verbose")[0] == 200


def test_the_status_is_json() -> None:
    with served(STANDING) as url:
        found = json.loads(get(f"{url}/status")[1])

    assert (found["instance"], found["ports"], found["uptime_seconds"]) == (
        "one",
        {"egress": 1},
        2.5,
    )


def test_what_needs_envoy_says_so_while_there_is_none() -> None:
    with served(STANDING) as url:
        assert get(f"{url}/clusters") == (503, '{\n  "error": "Envoy is not running"\n}\n')


def test_the_page_for_people_escapes_what_it_shows() -> None:
    with served(STANDING) as url:
        page = get(f"{url}/")[1]

    assert "&lt;web&gt;" in page
    assert "<web>" not in page


@pytest.mark.parametrize("host", ["weft.example", "127.0.0.1.example", "", "localhost.example:80"])
def test_another_host_is_refused(host: str) -> None:
    with served(STANDING) as url:
        assert get(f"{url}/status", Host=host)[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "[::1]:9"])
def test_a_local_host_is_not(host: str) -> None:
    with served(STANDING) as url:
        assert get(f"{url}/status", Host=host)[0] == 200


def test_only_reading_is_served() -> None:
    with served(STANDING) as url:
        request = urllib.request.Request(f"{url}/status", data=b"x")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        with caught.value as answer:
            assert answer.code == 405


def test_a_taken_port_is_named_with_its_flag() -> None:
    with served(STANDING) as url, pytest.raises(CannotStart) as caught:
        StatusServer(
            int(url.rpartition(":")[2]), Pages(lambda: STANDING, lambda: None, lambda: 0), print
        )

    assert "cannot be used for the status page" in caught.value.message
    assert "--status-port" in (caught.value.fix or "")


def test_clusters_count_requests_and_tcp_ones_connections() -> None:
    assert clusters(
        {
            "cluster.cds_egress_m_api_http_80.upstream_rq_total": 7,
            "cluster.cds_egress_m_api_http_80.upstream_cx_total": 2,
            "cluster.cds_egress_m_api_http_80.upstream_rq_5xx": 1,
            "cluster.cds_egress_m_db.v2_tcp_3306.upstream_cx_total": 3,
            "cluster.cds_egress_m_db.v2_tcp_3306.upstream_rq_total": 9,
            "cluster.cds_egress_m_db.v2_tcp_3306.upstream_cx_connect_fail": 2,
            "cluster.cds_egress_m_db.v2_tcp_3306.membership_healthy": 1,
            "cluster.cds_egress_m_db.v2_tcp_3306.membership_total": 4,
        }
    ) == {
        "cds_egress_m_api_http_80": {
            "requests": 7,
            "5xx": 1,
            "connect_failures": 0,
            "healthy": 0,
            "members": 0,
        },
        "cds_egress_m_db.v2_tcp_3306": {
            "requests": 3,
            "5xx": 0,
            "connect_failures": 2,
            "healthy": 1,
            "members": 4,
        },
    }


def test_listeners_say_where_they_accept() -> None:
    assert listeners(
        {
            "listener_statuses": [
                {
                    "name": "a",
                    "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 8}},
                },
                {"name": "b", "local_address": {"pipe": {"path": "/x"}}},
                {"name": "c", "local_address": {"envoy_internal_address": {}}},
            ]
        }
    ) == {"a": "127.0.0.1:8", "b": "/x", "c": "internal"}
