"""``/weft/v1/checks`` over HTTP, and what proxies report in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.ads.scripted_proxy import CLUSTERS, LISTENERS, ScriptedProxy
from tests.contract import specs
from tests.contract.served import Reply, Served
from tests.contract.test_delivery import answer_everything, ask, write_node
from weft.checks.catalogue import CATALOGUE
from weft.server import Running, serving
from weft.settings import Settings

CHECKS = "/weft/v1/checks"


def node(mesh: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "kind": "virtualNode",
        "meshName": mesh,
        "virtualNodeName": name,
        "spec": {**specs.node(port=9080), **spec},
    }


def calling(*services: str) -> list[dict[str, Any]]:
    return [{"virtualService": {"virtualServiceName": each}} for each in services]


def codes(reply: Reply) -> set[str]:
    assert reply.status == 200, reply.body
    return {each["code"] for each in reply.body["findings"]}


def test_what_stands_is_checked_by_mesh(weft: Served, mesh: str) -> None:
    weft.request(
        "POST",
        "/weft/v1/apply",
        {"resources": [node(mesh, "web", backends=calling("nowhere.test"))]},
    )
    reply = weft.get(f"{CHECKS}?mesh={mesh}")
    (found,) = [each for each in reply.body["findings"] if each["code"] == "WEFT-101"]
    assert found == {
        "code": "WEFT-101",
        "title": "A backend does not exist",
        "severity": "error",
        "area": "configuration",
        "key": f"mesh/{mesh}/virtualNode/web",
        "path": "spec.backends[0].virtualService",
        "message": "no virtual service is named 'nowhere.test'",
        "cause": found["cause"],
        "fix": found["fix"],
    }
    assert reply.body["revision"] == weft.revision
    assert reply.body["counts"]["error"] == 1
    assert all(each["key"].startswith(f"mesh/{mesh}") for each in reply.body["findings"])
    assert "WEFT-101" in codes(weft.get(CHECKS)), "all meshes"


def test_a_change_is_seen_at_once(weft: Served, mesh: str) -> None:
    assert "WEFT-101" not in codes(weft.get(f"{CHECKS}?mesh={mesh}"))
    body = {"resources": [node(mesh, "web", backends=calling("nowhere.test"))]}
    weft.request("POST", "/weft/v1/apply", body)
    assert "WEFT-101" in codes(weft.get(f"{CHECKS}?mesh={mesh}"))


def test_severity_leaves_out_what_is_milder_and_counts_it(weft: Served, mesh: str) -> None:
    weft.request("POST", "/weft/v1/apply", {"resources": [node(mesh, "web")]})
    everything = weft.get(f"{CHECKS}?mesh={mesh}").body
    errors = weft.get(f"{CHECKS}?mesh={mesh}&severity=error").body
    assert everything["findings"]
    assert errors["findings"] == []
    assert errors["counts"] == everything["counts"]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("severity=awful", 400, "must be one of error, warning, info"),
        ("mesh=nowhere", 404, "nowhere"),
        ("sevrity=error", 400, "did you mean 'severity'"),
    ],
)
def test_a_mistake_in_the_question_is_said(
    weft: Served, query: str, status: int, said: str
) -> None:
    reply = weft.get(f"{CHECKS}?{query}")
    assert reply.status == status
    assert said in reply.body["message"]


def test_definitions_are_judged_on_top_of_what_stands(weft: Served, mesh: str) -> None:
    before = weft.revision
    service = {
        "kind": "virtualService",
        "meshName": mesh,
        "virtualServiceName": "shop.test",
        "spec": {"provider": {"virtualNode": {"virtualNodeName": "shop"}}},
    }
    assert "WEFT-002" in codes(weft.request("POST", CHECKS, {"resources": [service]}))
    both = weft.request("POST", CHECKS, {"resources": [service, node(mesh, "shop")]})
    assert "WEFT-002" not in codes(both)
    assert weft.revision == before, "nothing is written"


def test_a_definition_that_app_mesh_would_refuse_is_a_finding(weft: Served, mesh: str) -> None:
    bad = node(mesh, "web", listeners=[{"portMapping": {"port": 0, "protocol": "smtp"}}])
    reply = weft.request("POST", CHECKS, {"resources": [bad]})
    paths = {each["path"] for each in reply.body["findings"] if each["code"] == "WEFT-001"}
    assert paths == {
        "spec.listeners[0].portMapping.port",
        "spec.listeners[0].portMapping.protocol",
    }


def test_alone_leaves_out_what_stands(weft: Served, mesh: str) -> None:
    other = [node("not-there", "web", backends=calling("s.test"))]
    assert "WEFT-002" in codes(weft.request("POST", CHECKS, {"resources": other}))
    alone = weft.request("POST", CHECKS, {"resources": other, "alone": True})
    assert "WEFT-002" not in codes(alone)
    assert "WEFT-101" in codes(alone)
    assert alone.body["revision"] is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "resources"),
        ({"resources": {}}, "resources"),
        ({"resources": [], "alone": "yes"}, "alone"),
        ({"resources": [], "alnoe": True}, "alnoe"),
        ({"resources": [7]}, "resources[0]"),
        ({"resources": [{"kind": "virtualNod"}]}, "resources[0].kind"),
    ],
)
def test_a_malformed_question_is_refused_with_its_place(weft: Served, body: Any, path: str) -> None:
    reply = weft.request("POST", CHECKS, body)
    assert reply.status == 400
    assert path in {each["path"] for each in reply.body["problems"]}


def test_every_check_counts_as_clean_or_found(weft: Served, mesh: str) -> None:
    reply = weft.get(f"{CHECKS}?mesh={mesh}")
    standing = [each for each in CATALOGUE if each.code > "WEFT-1"]
    assert sum(reply.body["clean"].values()) + len(codes(reply)) == len(standing)


# --- with proxies -----------------------------------------------------------------------------


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    flags = {"--api": "127.0.0.1:0", "--xds": "127.0.0.1:0", "--data": str(tmp_path)}
    async with serving(Settings.read(flags, {})) as found:
        yield found


async def test_a_refusal_of_a_proxy_is_found_until_it_is_mended(running: Running) -> None:
    await write_node(running, 9080)
    proxy_id = "mesh/m/virtualNode/n"
    async with (
        ScriptedProxy(running.settings.xds.port, proxy=proxy_id) as proxy,
        asyncio.TaskGroup() as tasks,
    ):
        for kind in (CLUSTERS, LISTENERS):
            await proxy.ask(kind)
            await proxy.accept(kind)
        refusing = asyncio.Event()
        refusing.set()
        answering = tasks.create_task(answer_everything(proxy, refusing))
        bad = await write_node(running, 9090)
        await ask(running, "GET", f"/weft/v1/wait?revision={bad}")
        _, report = await ask(running, "GET", f"{CHECKS}?mesh=m")
        found = {each["code"]: each for each in report["findings"]}
        assert "value length" in found["WEFT-901"]["message"]
        assert found["WEFT-901"]["key"] == proxy_id
        assert report["proxies"] == {"rejected": 1}

        refusing.clear()
        _, reverted = await ask(running, "POST", f"/weft/v1/changes/{bad}/revert")
        await ask(running, "GET", f"/weft/v1/wait?revision={reverted['revision']}")
        _, report = await ask(running, "GET", f"{CHECKS}?mesh=m")
        assert "WEFT-901" not in {each["code"] for each in report["findings"]}
        answering.cancel()


async def test_what_a_connected_proxy_cannot_do_is_found(running: Running) -> None:
    body = {
        "resources": [
            {"kind": "mesh", "meshName": "m"},
            node("m", "n", backends=calling("empty.test", "nowhere.test")),
            {
                "kind": "virtualService",
                "meshName": "m",
                "virtualServiceName": "empty.test",
                "spec": {},
            },
        ]
    }
    await ask(running, "POST", "/weft/v1/apply", body)
    async with ScriptedProxy(running.settings.xds.port, proxy="mesh/m/virtualNode/n") as proxy:
        await proxy.ask(CLUSTERS)
        await proxy.accept(CLUSTERS)
        _, report = await ask(running, "GET", CHECKS)
        (note,) = [each for each in report["findings"] if each["code"] == "WEFT-905"]
        assert note["path"] == "spec.backends[0]", "the other one is said as WEFT-101 already"
        assert "WEFT-907" not in {each["code"] for each in report["findings"]}
    # Once it has left, it is missed.
    _, report = await ask(running, "GET", CHECKS)
    while "WEFT-907" not in {each["code"] for each in report["findings"]}:
        _, report = await ask(running, "GET", CHECKS)
