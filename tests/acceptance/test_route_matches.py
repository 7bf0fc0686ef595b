"""Every condition of an HTTP route, of both versions of HTTP: what it takes and what it leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.builders import to
from tests.mesh_lab.apps import app
from tests.mesh_lab.lab import Lab, Workload

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

MESH = "sieve"
PORTS = {"http": 5001, "http2": 5002}
TAKEN, LEFT = "taken", "left"


def header(match: dict[str, Any] | None, *, invert: bool = False) -> dict[str, Any]:
    given: dict[str, Any] = {"name": "x-tier", "invert": invert}
    return {"prefix": "/", "headers": [given | ({"match": match} if match else {})]}


def query(exact: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {"name": "size"}
    return {
        "prefix": "/",
        "queryParameters": [given | ({"match": {"exact": exact}} if exact else {})],
    }


GOLD, SILVER = {"x-tier": "gold"}, {"x-tier": "silver"}
NOTHING: dict[str, str] = {}
Request = tuple[str, str, dict[str, str]]

CASES: list[tuple[str, dict[str, Any], Request, Request]] = [
    ("prefix", {"prefix": "/cart"}, ("GET", "/cart/1", NOTHING), ("GET", "/car", NOTHING)),
    ("path", {"path": {"exact": "/cart"}}, ("GET", "/cart", NOTHING), ("GET", "/cart/", NOTHING)),
    (
        "path with query",
        {"path": {"exact": "/cart"}},
        ("GET", "/cart?size=1", NOTHING),
        ("GET", "/carts?size=1", NOTHING),
    ),
    (
        "regex",
        {"path": {"regex": "/c[a-z]+/[0-9]+"}},
        ("GET", "/cart/12", NOTHING),
        ("GET", "/cart/12x", NOTHING),
    ),
    (
        "method",
        {"prefix": "/", "method": "POST"},
        ("POST", "/", NOTHING),
        ("GET", "/", NOTHING),
    ),
    ("header exact", header({"exact": "gold"}), ("GET", "/", GOLD), ("GET", "/", SILVER)),
    ("header prefix", header({"prefix": "go"}), ("GET", "/", GOLD), ("GET", "/", SILVER)),
    ("header suffix", header({"suffix": "ld"}), ("GET", "/", GOLD), ("GET", "/", SILVER)),
    ("header regex", header({"regex": "g.+d"}), ("GET", "/", GOLD), ("GET", "/", SILVER)),
    (
        "header range",
        header({"range": {"start": 10, "end": 20}}),
        ("GET", "/", {"x-tier": "10"}),
        ("GET", "/", {"x-tier": "20"}),
    ),
    ("header there", header(None), ("GET", "/", SILVER), ("GET", "/", NOTHING)),
    (
        "header missing",
        header(None, invert=True),
        ("GET", "/", NOTHING),
        ("GET", "/", SILVER),
    ),
    (
        "header inverted",
        header({"exact": "gold"}, invert=True),
        ("GET", "/", SILVER),
        ("GET", "/", GOLD),
    ),
    (
        "header missing is not another one",
        header({"exact": "gold"}, invert=True),
        ("GET", "/", SILVER),
        ("GET", "/", NOTHING),
    ),
    ("query exact", query("9"), ("GET", "/?size=9", NOTHING), ("GET", "/?size=90", NOTHING)),
    ("query there", query(None), ("GET", "/?size=", NOTHING), ("GET", "/?sizes=9", NOTHING)),
    (
        "all together",
        header({"exact": "gold"}) | query("9") | {"headers": header({"exact": "gold"})["headers"]},
        ("GET", "/?size=9", GOLD),
        ("GET", "/?size=9", SILVER),
    ),
]


def router(protocol: str, match: dict[str, Any], priorities: tuple[int, int] = (1, 2)) -> Any:
    """The condition leads to one virtual node, everything else to another."""
    routes = {
        TAKEN: (match, f"{TAKEN}-{protocol}", priorities[0]),
        LEFT: ({"prefix": "/"}, f"{LEFT}-{protocol}", priorities[1]),
    }
    return {
        "routers": {
            protocol: {
                "listen": f"{PORTS[protocol]}/{protocol}",
                "routes": {
                    name: {
                        f"{protocol}Route": {"match": matched, "action": to(f"{node}:1")},
                        "priority": priority,
                    }
                    for name, (matched, node, priority) in routes.items()
                },
            }
        }
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(weft: Lab) -> AsyncIterator[Workload]:
    nodes = {
        f"{word}-{protocol}": {"listen": f"{port}/{protocol}"}
        for word in (TAKEN, LEFT)
        for protocol, port in PORTS.items()
    }
    said: dict[str, Any] = {
        "nodes": {**nodes, "front": {"calls": [f"{protocol}.sieve.local" for protocol in PORTS]}},
        "services": {f"{protocol}.sieve.local": f"router {protocol}" for protocol in PORTS},
        "routers": {},
    }
    for protocol in PORTS:
        said["routers"] |= router(protocol, {"prefix": "/"})["routers"]
    await weft.say(MESH, said)
    async with AsyncExitStack() as stack:
        for word in (TAKEN, LEFT):
            found = await stack.enter_async_context(app(word))
            for protocol, port in PORTS.items():
                await weft.bare(MESH, f"{word}-{protocol}", {port: found})
        yield await weft.workload(MESH, "front")


async def answer(front: Workload, protocol: str, request: Request) -> str:
    method, path, headers = request
    url = f"http://{protocol}.sieve.local:{PORTS[protocol]}{path}"
    found = await front.get(url, headers, method=method)
    assert found.status == 200, found
    return found.body


@pytest.mark.parametrize("protocol", PORTS)
@pytest.mark.parametrize(
    ("match", "taken", "left"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
async def test_a_condition_takes_what_fits_and_leaves_the_rest(
    weft: Lab,
    front: Workload,
    protocol: str,
    match: dict[str, Any],
    taken: Request,
    left: Request,
) -> None:
    await weft.say(MESH, router(protocol, match))

    assert await answer(front, protocol, taken) == TAKEN
    assert await answer(front, protocol, left) == LEFT


@pytest.mark.parametrize(("scheme", "word"), [("http", TAKEN), ("https", LEFT)])
async def test_the_scheme_is_that_of_the_request(
    weft: Lab, front: Workload, scheme: str, word: str
) -> None:
    await weft.say(MESH, router("http2", {"prefix": "/", "scheme": scheme}))

    assert await answer(front, "http2", ("GET", "/", NOTHING)) == word


@pytest.mark.parametrize("protocol", PORTS)
async def test_the_lower_priority_comes_first_whatever_is_more_specific(
    weft: Lab, front: Workload, protocol: str
) -> None:
    request: Request = ("GET", "/cart", NOTHING)
    match = {"path": {"exact": "/cart"}}
    await weft.say(MESH, router(protocol, match, (5, 9)))
    assert await answer(front, protocol, request) == TAKEN
    await weft.say(MESH, router(protocol, match, (9, 5)))
    assert await answer(front, protocol, request) == LEFT
