"""``why`` names the route that a real Envoy takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import state_from, to, view_of
from tests.envoy.running import ask, envoy, free_ports, upstream
from weft.names import Mode, Ports
from weft.resolve.matching import Request
from weft.resolve.proxy import resolve
from weft.resolve.why import why
from weft.translate.proxy import translate

HOST = "shop.local:80"
MATCHES: dict[str, dict[str, object]] = {
    "exact": {"path": {"exact": "/a/b"}},
    "prefix": {"prefix": "/a/"},
    "regex": {"path": {"regex": "/r[0-9]+"}},
    "method": {"prefix": "/", "method": "DELETE"},
    "h-exact": {"prefix": "/", "headers": [{"name": "x-exact", "match": {"exact": "1"}}]},
    "h-not": {
        "prefix": "/not",
        "headers": [{"name": "x-not", "invert": True, "match": {"exact": "1"}}],
    },
    "h-prefix": {"prefix": "/", "headers": [{"name": "x-prefix", "match": {"prefix": "p"}}]},
    "h-suffix": {"prefix": "/", "headers": [{"name": "x-suffix", "match": {"suffix": "s"}}]},
    "h-regex": {"prefix": "/", "headers": [{"name": "x-regex", "match": {"regex": "r+"}}]},
    "h-range": {
        "prefix": "/",
        "headers": [{"name": "x-range", "match": {"range": {"start": -1, "end": 3}}}],
    },
    "h-present": {"prefix": "/", "headers": [{"name": "x_present"}]},
    "h-absent": {"prefix": "/absent", "headers": [{"name": "x-absent", "invert": True}]},
    "q-exact": {"prefix": "/", "queryParameters": [{"name": "q", "match": {"exact": "1"}}]},
    "q-present": {"prefix": "/", "queryParameters": [{"name": "p"}]},
}
REQUESTS = [
    Request(path="/a/b"),
    Request(path="/a/b?x"),
    Request(path="//a//b"),
    Request(path="/a/x/../b"),
    Request(path="/a/c"),
    Request(path="/a"),
    Request(path="/a/.."),
    Request(path="/r12"),
    Request(path="/r12/"),
    Request("DELETE", "/"),
    Request(headers=(("x-exact", "1"),)),
    Request(headers=(("X-EXACT", "1"),)),
    Request(headers=(("x-exact", "2"),)),
    Request(headers=(("x-exact", "1"), ("x-exact", "1"))),
    Request(headers=(("x-exact", "2"), ("x-exact", "1"))),
    Request(headers=(("x-exact", "2,1"),)),
    Request(headers=(("x-range", "7"), ("x-range", "1"))),
    Request(path="/not", headers=(("x-not", "1"), ("x-not", "2"))),
    Request(path="/not", headers=(("x-not", "2"), ("x-not", "1"))),
    Request(path="/not", headers=(("x-not", "2"), ("x-not", "3"))),
    Request(path="/not", headers=(("x-not", "1"),)),
    Request(path="/not", headers=(("x-not", "2"),)),
    Request(path="/not"),
    Request(headers=(("x-prefix", "pq"),)),
    Request(headers=(("x-suffix", "qs"),)),
    Request(headers=(("x-regex", "rrr"),)),
    Request(headers=(("x-regex", "rrs"),)),
    Request(headers=(("x-range", "-1"),)),
    Request(headers=(("x-range", "3"),)),
    Request(headers=(("x-range", "x"),)),
    Request(headers=(("x_present", "a"),)),
    Request(path="/absent"),
    Request(path="/absent", headers=(("x-absent", "a"),)),
    Request(path="/?q=1"),
    Request(path="/?q=2"),
    Request(path="/?q=2&q=1"),
    Request(path="/?p"),
    Request(path="/?p="),
    Request(path="/nothing"),
]


@pytest.mark.envoy
async def test_why_names_the_route_that_envoy_takes(tmp_path: Path) -> None:
    (egress,) = free_ports(1)
    async with upstream("any") as server:
        mesh = {
            "nodes": {"web": {"calls": ["shop.local"]}, "shop": {"listen": "9080/http"}},
            "services": {"shop.local": "router shop"},
            "routers": {
                "shop": {
                    "listen": "80/http",
                    "routes": {
                        name: {"httpRoute": {"match": match, "action": to("shop:1")}}
                        for name, match in MATCHES.items()
                    },
                }
            },
            "instances": {"shop": {"s": {9080: f"127.0.0.1:{server.port}"}}},
        }
        # The access log names the route: one line each, flushed by the time Envoy has ended.
        log = tmp_path / "access.log"
        mesh["nodes"]["web"]["logging"] = {  # type: ignore[index]
            "accessLog": {"file": {"path": str(log), "format": {"text": "%ROUTE_NAME%\n"}}}
        }
        state = state_from(mesh)
        snapshot = translate(resolve(state, view_of("web", Mode.EXPLICIT, Ports(egress=egress))))
        async with envoy(snapshot, egress, tmp_path, end_gently=True):
            for request in REQUESTS:
                headers = "".join(f"\n{name}: {value}" for name, value in request.headers)
                await ask(
                    egress, f"{request.method} {request.path} HTTP/1.1\nHost: {HOST}{headers}"
                )
        taken = log.read_text().splitlines()
    expected = [why(state, "shop", "shop.local", each).route or "-" for each in REQUESTS]
    assert dict(zip(map(str, REQUESTS), taken, strict=True)) == dict(
        zip(map(str, REQUESTS), expected, strict=True)
    )
