"""From a write through the whole control plane to a proxy's answer, and back to whoever asks."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.ads.scripted_proxy import CLUSTERS, LISTENERS, ScriptedProxy
from tests.contract import specs
from weft.server import Running, serving
from weft.settings import Settings

NODE = "mesh/m/virtualNode/n"
WORDS = "Proto constraint validation failed (ClusterValidationError.Name: value length)"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    flags = {"--api": "127.0.0.1:0", "--xds": "127.0.0.1:0", "--data": str(tmp_path)}
    async with serving(Settings.read(flags, {})) as found:
        yield found


async def ask(running: Running, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://{running.settings.api}{path}",
        None if body is None else json.dumps(body).encode(),
        method=method,
    )

    def answered() -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    return await asyncio.to_thread(answered)


async def write_node(running: Running, port: int) -> int:
    """The virtual node with its listener at a port; the revision that made it so."""
    item = {"meshName": "m", "virtualNodeName": "n", "spec": specs.node(port=port)}
    resources = [{"kind": "mesh", "meshName": "m"}, {"kind": "virtualNode", **item}]
    status, answer = await ask(running, "POST", "/weft/v1/apply", {"resources": resources})
    assert status == 200, answer
    return int(answer["revision"])


async def answer_everything(proxy: ScriptedProxy, refusing: asyncio.Event) -> None:
    """Accept what comes, or refuse it while that is what the event says."""
    while True:
        response = await proxy.hear()
        if refusing.is_set():
            await proxy.nack(response, WORDS)
        else:
            await proxy.ack(response)


async def test_a_write_is_settled_once_its_proxy_has_accepted_it(running: Running) -> None:
    await write_node(running, 9080)
    async with (
        ScriptedProxy(running.settings.xds.port, proxy=NODE) as proxy,
        asyncio.TaskGroup() as tasks,
    ):
        await proxy.ask(CLUSTERS)
        await proxy.ask(LISTENERS)
        answering = tasks.create_task(answer_everything(proxy, asyncio.Event()))
        revision = await write_node(running, 9090)
        status, settled = await ask(running, "GET", f"/weft/v1/wait?revision={revision}&mesh=m")
        answering.cancel()
    assert (status, settled["total"], settled["accepted"]) == (200, 1, 1)
    status, listed = await ask(running, "GET", "/weft/v1/proxies?mesh=m")
    (shown,) = listed["proxies"]
    assert (status, shown["proxy"], shown["acceptedRevision"]) == (200, NODE, revision)


async def test_a_refusal_is_shown_in_envoys_words_until_it_is_mended(running: Running) -> None:
    await write_node(running, 9080)
    async with (
        ScriptedProxy(running.settings.xds.port, proxy=NODE) as proxy,
        asyncio.TaskGroup() as tasks,
    ):
        await proxy.ask(CLUSTERS)
        await proxy.accept(CLUSTERS)
        await proxy.ask(LISTENERS)
        await proxy.accept(LISTENERS)
        refusing = asyncio.Event()
        refusing.set()
        answering = tasks.create_task(answer_everything(proxy, refusing))
        bad = await write_node(running, 9090)
        status, refused = await ask(running, "GET", f"/weft/v1/wait?revision={bad}")
        assert (status, refused["code"]) == (409, "Rejected")
        assert "refused CDS" in refused["message"]
        assert "value length" in refused["message"]
        _, shown = await ask(running, "GET", "/weft/v1/proxies/i1")
        assert shown["state"] == "rejected"
        assert shown["types"][0]["rejected"][0]["raw"] == WORDS
        _, seen = await ask(running, "GET", "/weft/v1/status")
        assert seen["proxies"] == {"connected": 1, "settled": 0, "waiting": 0, "rejected": 1}

        refusing.clear()
        status, reverted = await ask(running, "POST", f"/weft/v1/changes/{bad}/revert")
        assert status == 200
        status, settled = await ask(
            running, "GET", f"/weft/v1/wait?revision={reverted['revision']}"
        )
        assert (status, settled.get("accepted")) == (200, 1), settled
        answering.cancel()
