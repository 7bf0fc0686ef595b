"""What clients from outside get from a virtual gateway's real Envoy, and what services get."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.builders import http_route, state_from, to, view_of
from tests.envoy.running import (
    DEADLINE,
    Answer,
    Upstream,
    ask,
    envoy,
    free_ports,
    listening,
    said,
    stats,
    upstream,
)
from tests.envoy.sidecar_harness import eventually
from tests.mesh_lab.http2 import requests, serve
from tests.shares import assert_shares
from weft.names import IngressPort, Mode, Ports
from weft.resolve.matching import Request
from weft.resolve.proxy import resolve
from weft.resolve.why import why
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy

FRONT = "mesh/shop/virtualGateway/front"


@dataclass
class Gateway:
    """A running gateway, and the servers behind it by name."""

    sockets: dict[int, int]
    upstreams: dict[str, Upstream]
    admin: int

    async def get(
        self, path: str, host: str = "front", *headers: str, port: int = 8080, method: str = "GET"
    ) -> Answer:
        lines = (f"{method} {path} HTTP/1.1", f"Host: {host}", *headers)
        return await ask(self.sockets[port], "\n".join(lines))

    async def body(self, path: str, host: str = "front", *headers: str, **more: Any) -> str:
        """What the answer says, or its status where that is not 200."""
        found = await self.get(path, host, *headers, **more)
        return found.body if found.status == 200 else str(found.status)

    async def arrives(self, path: str, host: str = "front", **more: Any) -> tuple[str, str]:
        """With which path and host the service gets a request."""
        name = await self.body(path, host, **more)
        assert name in self.upstreams, f"{path} of {host} was answered {name}"
        first, *lines = self.upstreams[name].asked[-1].splitlines()
        (seen,) = (line[6:] for line in lines if line.lower().startswith("host: "))
        return first.split(" ")[1], seen


@asynccontextmanager
async def gateway(
    directory: Path, spec: dict[str, Any], mesh: dict[str, Any], *names: str
) -> AsyncIterator[Gateway]:
    """The gateway ``front`` in explicit mode; each name is a node with one server behind it."""
    listeners = [int(each.split("/")[0]) for each in spec.get("listen", [])]
    listeners += [each["portMapping"]["port"] for each in spec.get("listeners", [])]
    async with AsyncExitStack() as stack:
        upstreams = {name: await stack.enter_async_context(upstream(name)) for name in names}
        # After the servers, who might be given what was just found to be free.
        egress, admin, *sockets = free_ports(2 + len(listeners))
        ingress = tuple(map(IngressPort, listeners, sockets, [0] * len(listeners)))
        whole = {
            "gateways": {"front": spec},
            "nodes": {name: {"listen": "9080/http"} for name in names},
            "instances": {n: {n: {9080: f"127.0.0.1:{u.port}"}} for n, u in upstreams.items()},
            **mesh,
        }
        view = view_of(FRONT, Mode.EXPLICIT, Ports(ingress, egress))
        snapshot = translate(resolve(state_from(whole), view))
        await stack.enter_async_context(
            envoy(snapshot, sockets[0], directory, end_gently=True, admin=admin)
        )
        yield Gateway(dict(zip(listeners, sockets, strict=True)), upstreams, admin)


def leads(match: dict[str, Any], service: str, kind: str = "httpRoute", **more: Any) -> Any:
    """A gateway route: ``leads({"prefix": "/a"}, "one.local", rewrite={…}, priority=1)``."""
    name, _, port = service.partition("@")
    target: dict[str, Any] = {"virtualService": {"virtualServiceName": name}}
    if port:
        target["port"] = int(port)
    action = {"target": target, **({"rewrite": more.pop("rewrite")} if "rewrite" in more else {})}
    return {kind: {"match": match, "action": action}, **more}


async def test_the_service_sees_what_the_rewrite_says(tmp_path: Path) -> None:
    routes = {
        "default": leads({"prefix": "/p"}, "one.local"),
        "slash": leads({"prefix": "/slash/"}, "one.local"),
        "same": leads({"prefix": "/same"}, "one.local", rewrite={"prefix": {"defaultPrefix": "DISABLED"}}),
        "value": leads({"prefix": "/value/"}, "one.local", rewrite={"prefix": {"value": "/other/"}}),
        "exact": leads({"path": {"exact": "/exact"}}, "one.local"),
        "exact-to": leads({"path": {"exact": "/old"}}, "one.local", rewrite={"path": {"exact": "/new"}}),
        "regex": leads({"path": {"regex": "/r/[0-9]+"}}, "one.local"),
        "regex-to": leads({"path": {"regex": "/t/[0-9]+"}}, "one.local", rewrite={"path": {"exact": "/new"}}),
        "host": leads({"prefix": "/host"}, "one.local", rewrite={"hostname": {"defaultTargetHostname": "DISABLED"}}),
        "both": leads(
            {"prefix": "/both"},
            "one.local",
            rewrite={"hostname": {"defaultTargetHostname": "DISABLED"}, "prefix": {"defaultPrefix": "DISABLED"}},
        ),
    }  # fmt: skip
    mesh = {"services": {"one.local": "node white"}}
    expected = {
        "/p/tell?q=1": ("/tell?q=1", "one.local"),
        "/p/": ("/", "one.local"),
        "/p": ("/", "one.local"),
        "/p?q=1": ("/?q=1", "one.local"),
        "/px": ("/x", "one.local"),
        "/p//x": ("/x", "one.local"),
        "/slash/a/b": ("/a/b", "one.local"),
        "/same/a": ("/same/a", "one.local"),
        "/value/a": ("/other/a", "one.local"),
        "/exact?q": ("/exact?q", "one.local"),
        "/old?q=1": ("/new?q=1", "one.local"),
        "/r/12?q": ("/r/12?q", "one.local"),
        "/t/12?q=1": ("/new?q=1", "one.local"),
        "/host/a": ("/a", "Front.example:81"),
        "/both/a": ("/both/a", "Front.example:81"),
    }
    async with gateway(
        tmp_path, {"listen": ["8080/http"], "routes": routes}, mesh, "white"
    ) as front:
        found = {path: await front.arrives(path, "Front.example:81") for path in expected}
        assert found == expected
        for path in ("/slash", "/exact/", "/r/x", "/other", "/"):
            assert await front.body(path) == "404"


async def test_hosts_are_matched_with_and_without_a_port_in_any_case(tmp_path: Path) -> None:
    routes = {
        "long-path": leads({"prefix": "/deep/path"}, "any.local"),
        "exact": leads({"hostname": {"exact": "www.eu.example.com"}}, "exact.local"),
        "long": leads({"hostname": {"suffix": ".eu.example.com"}}, "long.local"),
        "short": leads({"hostname": {"suffix": "Example.com"}}, "short.local"),
        "first": leads({"prefix": "/first"}, "any.local", priority=0),
    }
    names = ("any", "exact", "long", "short")
    mesh = {"services": {f"{name}.local": f"node {name}" for name in names}}
    expected = {
        ("/deep/path", "www.eu.example.com"): "exact",
        ("/", "WWW.eu.Example.com:8080"): "exact",
        ("/", "a.eu.example.com:1"): "long",
        ("/", ".eu.example.com"): "long",
        ("/", "eu.example.com"): "short",
        ("/", "notexample.com"): "short",
        ("/", "example.com:443"): "short",
        ("/", "www.eu.example.com.org"): "404",
        ("/", "wwwxeuxexamplexcom"): "404",
        ("/", "other.org"): "404",
        ("/deep/path", "other.org"): "any",
        ("/first", "www.eu.example.com"): "any",
    }
    async with gateway(
        tmp_path, {"listen": ["8080/http"], "routes": routes}, mesh, *names
    ) as front:
        found = {(path, host): await front.body(path, host) for path, host in expected}
        assert found == expected


async def test_a_client_cannot_choose_a_service_that_its_route_does_not_lead_to(
    tmp_path: Path,
) -> None:
    kept = {"hostname": {"defaultTargetHostname": "DISABLED"}}
    routes = {
        "kept": leads({"prefix": "/kept"}, "one.local", rewrite=kept),
        "renamed": leads({"prefix": "/renamed"}, "two.local"),
        "nobody": leads({"prefix": "/nobody"}, "nobody.local", rewrite=kept),
    }
    mesh = {
        "services": {"one.local": "router one", "two.local": "node black", "nobody.local": {}},
        "routers": {"one": {"listen": "9080/http", "routes": {"a": http_route("white:1", prefix="/a")}}},
    }  # fmt: skip
    async with gateway(
        tmp_path, {"listen": ["8080/http"], "routes": routes}, mesh, "white", "black"
    ) as front:
        assert await front.arrives("/kept/a", "www.example.com") == ("/a", "www.example.com")
        for host in ("two.local", "two.local:15001", "one.local"):
            assert await front.body("/kept/a", host) == "white"
            assert await front.body("/kept/b", host) == "404"
            assert await front.body("/nobody", host) == "404"
        for other in ("one.local", "two.local"):
            named = f"x-app-mesh-virtual-service: {other}"
            assert await front.body("/kept/a", "front", named) == "white"
            assert await front.body("/renamed", "front", named) == "black"
        assert await front.arrives("/renamed", "one.local") == ("/", "two.local")


async def test_headers_query_and_method_are_conditions_and_more_of_them_come_first(
    tmp_path: Path,
) -> None:
    header = {"name": "color_header", "match": {"exact": "yellow"}}
    routes = {
        "plain": leads({"prefix": "/q"}, "plain.local"),
        "query": leads({"prefix": "/q", "queryParameters": [{"name": "fishes", "match": {"exact": "nemo"}}]}, "query.local"),
        "header": leads({"prefix": "/h", "headers": [header]}, "header.local"),
        "not-header": leads({"prefix": "/h", "headers": [{"name": "x-no", "invert": True}]}, "not.local"),
        "method": leads({"prefix": "/m", "method": "DELETE"}, "method.local"),
    }  # fmt: skip
    names = ("plain", "query", "header", "not", "method")
    mesh = {"services": {f"{name}.local": f"node {name}" for name in names}}
    async with gateway(
        tmp_path, {"listen": ["8080/http"], "routes": routes}, mesh, *names
    ) as front:
        assert await front.body("/q?fishes=nemo") == "query"
        assert await front.body("/q?fishes=dory") == "plain"
        assert await front.body("/h", "front", "color_header: yellow") == "header"
        assert await front.body("/h", "front", "color_header: red", "x-no: 1") == "404"
        assert await front.body("/h", "front", "color_header: red") == "not"
        assert await front.body("/m", method="DELETE") == "method"
        assert await front.body("/m") == "404"


async def test_each_listener_has_its_routes_and_each_port_of_a_service_its_own(
    tmp_path: Path,
) -> None:
    spec = {
        "listen": ["1111/http", "2222/http2"],
        "routes": {
            "fruit": leads({"port": 1111, "prefix": "/fruit"}, "food.local@3333"),
            "vegetable": leads({"port": 1111, "prefix": "/vegetable"}, "food.local@4444"),
            "kept": leads(
                {"port": 1111, "prefix": "/kept"},
                "food.local@4444",
                rewrite={"hostname": {"defaultTargetHostname": "DISABLED"}},
            ),
            "color": leads({"port": 2222}, "color.local", "http2Route"),
        },
    }
    mesh = {
        "services": {"food.local": "router food", "color.local": "node color"},
        "routers": {
            "food": {
                "listen": ["3333/http", "4444/http"],
                "routes": {
                    "fruit": {"httpRoute": {"match": {"port": 3333}, "action": to("apple:1")}},
                    "veg": {"httpRoute": {"match": {"port": 4444}, "action": to("leek:1")}},
                },
            }
        },
    }
    names = ("apple", "leek", "color")
    async with gateway(tmp_path, spec, mesh, *names) as front:
        for path, service in (("/fruit/x", "apple"), ("/vegetable/x", "leek")):
            assert await front.body(path, port=1111) == service
            assert await front.arrives(path, port=1111) == ("/x", "food.local")
        assert await front.arrives("/kept/x", "www.example.com", port=1111) == (
            "/x",
            "www.example.com",
        )
        assert await front.body("/anything", port=1111) == "404"
        answers = await requests(front.sockets[2222], 3, "front.example")
        assert [(each.status, each.body) for each in answers] == [(200, "color")] * 3


async def test_weights_hold_through_a_gateway(tmp_path: Path) -> None:
    mesh = {
        "services": {"one.local": "router one"},
        "routers": {
            "one": {
                "listen": "9080/http",
                "routes": {"all": http_route("white:3", "blue:1", "red:0", prefix="/tell")},
            }
        },
    }
    spec = {"listen": ["8080/http"], "routes": {"one": leads({"prefix": "/color"}, "one.local")}}
    async with gateway(tmp_path, spec, mesh, "white", "blue", "red") as front:
        said_by = Counter([await front.body("/color/tell") for _ in range(200)])
        assert_shares(said_by, {"white": 0.75, "blue": 0.25})
        assert await front.body("/color") == "404"


async def test_a_websocket_passes_both_hops(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"upgrade: websocket" in head.lower()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
        )
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async with listening(echo) as port:
        mesh = {
            "nodes": {"chat": {"listen": "9080/http"}},
            "services": {"chat.local": "node chat"},
            "instances": {"chat": {"c": {9080: f"127.0.0.1:{port}"}}},
        }
        spec = {"listen": ["8080/http"], "routes": {"c": leads({"prefix": "/ws"}, "chat.local")}}
        async with gateway(tmp_path, spec, mesh) as front, asyncio.timeout(DEADLINE):
            reader, writer = await asyncio.open_connection("127.0.0.1", front.sockets[8080])
            upgrade = "GET /ws/x HTTP/1.1\nHost: front\nConnection: Upgrade\nUpgrade: websocket"
            assert (await said(reader, writer, upgrade)).status == 101
            for line in (b"one\n", b"two\n"):
                writer.write(line)
                assert await reader.readline() == line
            writer.close()


async def test_a_gateway_waits_as_long_as_the_services_longest_route(tmp_path: Path) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(0.8)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def within(milliseconds: int, prefix: str) -> Any:
        limit = {"perRequest": {"unit": "ms", "value": milliseconds}}
        return http_route("slow:1", prefix=prefix, timeout=limit)

    async with listening(slow) as port:
        mesh = {
            "nodes": {"slow": {"listen": "9080/http"}},
            "services": {"both.local": "router both", "short.local": "router short"},
            "routers": {
                "both": {
                    "listen": "9080/http",
                    "routes": {"a": within(200, "/a"), "b": within(5000, "/b")},
                },
                "short": {"listen": "9080/http", "routes": {"a": within(200, "/")}},
            },
            "instances": {"slow": {"s": {9080: f"127.0.0.1:{port}"}}},
        }
        routes = {
            "both": leads({"prefix": "/both"}, "both.local"),
            "short": leads({"prefix": "/short"}, "short.local"),
        }
        async with gateway(tmp_path, {"listen": ["8080/http"], "routes": routes}, mesh) as front:
            found = await asyncio.gather(
                *(front.body(path) for path in ("/both/b", "/both/a", "/short"))
            )
            assert found == ["slow", "504", "504"]


async def test_a_gateways_pool_turns_away_what_is_above_it(tmp_path: Path) -> None:
    gate = asyncio.Event()
    busy = 0

    async def waiting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                busy += 1
                await gate.wait()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    pool = {"http": {"maxConnections": 3, "maxPendingRequests": 2}}
    mapping = {"port": 8080, "protocol": "http"}
    spec = {
        "listeners": [{"portMapping": mapping, "connectionPool": pool}],
        "routes": {"all": leads({"prefix": "/"}, "slow.local")},
    }
    async with listening(waiting) as port:
        mesh = {
            "nodes": {"slow": {"listen": "9080/http"}},
            "services": {"slow.local": "node slow"},
            "instances": {"slow": {"s": {9080: f"127.0.0.1:{port}"}}},
        }
        async with gateway(tmp_path, spec, mesh) as front, asyncio.timeout(DEADLINE):
            calls = []
            for count in range(1, 4):
                # One after the other: who waits for a connection to open counts as waiting.
                calls.append(asyncio.create_task(front.get("/")))
                await until(lambda: busy == count)  # noqa: B023 - awaited here
            calls += [asyncio.create_task(front.get("/")) for _ in range(10)]
            redirect = "cds_ingress_shop_front_self_redirect_http_15001"

            async def refused() -> bool:
                found = await stats(front.admin, redirect)
                return found["upstream_rq_pending_overflow"] == 8

            await eventually(refused, seconds=10)
            gate.set()
            found = Counter(each.status for each in await asyncio.gather(*calls))
            assert found == {200: 5, 503: 8}


@pytest.mark.parametrize("protocol", ["http2", "grpc"])
async def test_a_pool_of_streams_turns_away_what_is_above_it(protocol: str, tmp_path: Path) -> None:
    gate = asyncio.Event()
    busy = 0

    async def answer(_: object) -> tuple[int, str]:
        nonlocal busy
        busy += 1
        await gate.wait()
        return 200, "ok"

    async def waiting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer, answer)
        finally:
            writer.close()

    mapping = {"port": 8080, "protocol": protocol}
    route = leads({"port": 8080}, "slow.local", f"{protocol}Route")
    spec = {
        "listeners": [{"portMapping": mapping, "connectionPool": {protocol: {"maxRequests": 3}}}],
        "routes": {"all": route},
    }
    async with listening(waiting) as port:
        mesh = {
            "nodes": {"slow": {"listen": f"9080/{protocol}"}},
            "services": {"slow.local": "node slow"},
            "instances": {"slow": {"s": {9080: f"127.0.0.1:{port}"}}},
        }
        async with gateway(tmp_path, spec, mesh) as front, asyncio.timeout(DEADLINE):
            headers = {"content-type": "application/grpc"} if protocol == "grpc" else {}
            calls = asyncio.create_task(
                requests(front.sockets[8080], 8, "front", "/s/m", headers=headers)
            )
            redirect = f"cds_ingress_shop_front_self_redirect_{protocol}_15001"

            async def refused() -> bool:
                found = await stats(front.admin, redirect)
                return found["upstream_rq_active_overflow"] == 5

            await eventually(refused, seconds=10)
            await until(lambda: busy == 3)
            gate.set()
            found = Counter(
                each.headers.get("grpc-status", str(each.status)) for each in await calls
            )
            # To gRPC clients Envoy says 14, "unavailable".
            assert found == {"200": 3, "14" if protocol == "grpc" else "503": 5}


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


LOGGED = "%RESPONSE_CODE% %ROUTE_NAME% %REQ(:PATH)% %UPSTREAM_CLUSTER%"


@pytest.mark.parametrize(
    "written", [{"text": f"{LOGGED}\n"}, {"json": [{"key": "line", "value": LOGGED}]}], ids=str
)
async def test_both_hops_are_logged(written: dict[str, Any], tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    spec = {
        "listen": ["8080/http"],
        "logging": {"accessLog": {"file": {"path": str(log), "format": written}}},
        "routes": {"r": leads({"prefix": "/p"}, "one.local")},
    }
    mesh = {"services": {"one.local": "node white"}}
    async with gateway(tmp_path, spec, mesh, "white") as front:
        assert await front.body("/p/x") == "white"
        assert await front.body("/other") == "404"
    lines = log.read_text().splitlines()
    if "json" in written:
        lines = [json.loads(line)["line"] for line in lines]
    assert sorted(lines) == sorted(
        [
            "200 r /x cds_ingress_shop_front_self_redirect_http_15001",
            "200 white /x cds_egress_shop_white_http_9080",
            "404 - /other -",
        ]
    )


async def test_why_names_both_routes_that_envoy_takes(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    kept = {"hostname": {"defaultTargetHostname": "DISABLED"}}
    to_one = {"path": {"exact": "/a/b"}}
    text = "%REQ(X-N)% %FILTER_CHAIN_NAME% %ROUTE_NAME%\n"
    spec = {
        "listen": ["8080/http"],
        "logging": {"accessLog": {"file": {"path": str(log), "format": {"text": text}}}},
        "routes": {
            "prefix": leads({"prefix": "/p"}, "one.local"),
            "kept": leads({"prefix": "/kept"}, "one.local", rewrite=kept),
            "exact": leads({"path": {"exact": "/e"}}, "one.local", rewrite=to_one),
            "regex": leads({"path": {"regex": "/r/.*"}}, "two.local"),
            "host": leads({"hostname": {"suffix": ".example"}, "prefix": "/p/a"}, "two.local"),
        },
    }
    mesh = {
        "services": {"one.local": "router one", "two.local": "node black"},
        "routers": {
            "one": {
                "listen": "9080/http",
                "routes": {
                    "a": http_route("white:1", prefix="/a"),
                    "exact": {"httpRoute": {"match": {"path": {"exact": "/a/b"}}, "action": to("white:1")}},
                },
            }
        },
    }  # fmt: skip
    asked = [
        ("/p/a", "front"), ("/p/a/b", "front"), ("/p/a", "a.example:80"), ("/pa", "front"),
        ("/p", "front"), ("//p//a", "front"), ("/p/../p/a", "front"), ("/kept/a", "two.local"),
        ("/kept/x", "two.local"), ("/kept/a/b?q", "front"), ("/e?q=/x", "front"),
        ("/r/1", "front"), ("/r", "front"), ("/", "front"),
    ]  # fmt: skip
    async with gateway(tmp_path, spec, mesh, "white", "black") as front:
        for i, (path, host) in enumerate(asked):
            await front.get(path, host, f"x-n: {i}")
    nodes = {name: {"listen": "9080/http"} for name in ("white", "black")}
    state = state_from({"gateways": {"front": spec}, "nodes": nodes, **mesh})
    expected: set[str] = set()
    for i, (path, host) in enumerate(asked):
        found = why(state, "shop", host, Request(path=path), view=view_of(FRONT))
        assert found.passage is not None
        expected.add(f"{i} http_8080 {found.passage.route or '-'}")
        if found.passage.route:
            expected.add(f"{i} egress {found.route or '-'}")
    assert set(log.read_text().splitlines()) == expected


@pytest.mark.parametrize(
    ("preference", "hosts"),
    [(None, ["127.0.0.1"]), ("IPv4_ONLY", ["127.0.0.1", "::1"]), ("IPv6_PREFERRED", ["127.0.0.1", "::1"])],
)  # fmt: skip
async def test_where_nothing_is_redirected_a_gateway_listens_at_its_own_port(
    preference: str | None, hosts: list[str], tmp_path: Path
) -> None:
    async with upstream("white") as white:
        own, egress = free_ports(2)
        mesh = {
            "mesh": {"serviceDiscovery": {"ipPreference": preference}} if preference else {},
            "gateways": {
                "front": {
                    "listen": f"{own}/http",
                    "routes": {"all": leads({"prefix": "/"}, "one.local")},
                }
            },
            "nodes": {"white": {"listen": "9080/http"}},
            "services": {"one.local": "node white"},
            "instances": {"white": {"w": {9080: f"127.0.0.1:{white.port}"}}},
        }
        view = view_of(FRONT, ports=Ports(egress=egress))
        async with envoy(translate(resolve(state_from(mesh), view)), own, tmp_path):
            for host in hosts:
                reader, writer = await asyncio.open_connection(host, own)
                assert (await said(reader, writer, "GET / HTTP/1.1\nHost: x")).body == "white"
                writer.close()
