"""Access logs in both formats, of both directions, in the file that was asked for or on the output."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.mesh_lab.apps import app
from tests.mesh_lab.lab import Lab, Workload, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

MESH, PORT = "ledger", 8585
URL = f"http://book.ledger.local:{PORT}/page"


@dataclass
class Case:
    weft: Lab
    directory: Path
    front: Workload
    book: Workload

    async def logs(self, node: str, log: dict[str, Any] | None) -> None:
        spec = specs()[node]
        if log is not None:
            spec["logging"] = {"accessLog": {"file": log}}
        await self.weft.update("virtual_node", meshName=MESH, virtualNodeName=node, spec=spec)

    async def lines(self, file: str, count: int) -> list[str]:
        """The lines of a log, once there are so many; Envoy writes them within ten seconds."""

        def read() -> list[str]:
            path = self.directory / file
            return path.read_text().splitlines() if path.exists() else []

        async def enough() -> list[str]:
            return read() if len(read()) >= count else []

        found: list[str] = await until(enough)
        return found


def specs() -> dict[str, dict[str, Any]]:
    backend = {"virtualService": {"virtualServiceName": "book.ledger.local"}}
    return {
        "book": {
            "listeners": [{"portMapping": {"port": PORT, "protocol": "http"}}],
            "serviceDiscovery": {"dns": {"hostname": "book.invalid"}},
        },
        "front": {"backends": [backend]},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Case]:
    place = {"meshName": MESH}
    await weft.ask("create_mesh", **place)
    for node, spec in specs().items():
        await weft.ask("create_virtual_node", **place, virtualNodeName=node, spec=spec)
    await weft.ask(
        "create_virtual_service",
        **place,
        virtualServiceName="book.ledger.local",
        spec={"provider": {"virtualNode": {"virtualNodeName": "book"}}},
    )
    async with app("page") as served:
        book = await weft.workload(MESH, "book", {PORT: served})
        front = await weft.workload(MESH, "front")
        yield Case(weft, tmp_path_factory.mktemp("logs"), front, book)


async def test_lines_of_both_formats_stand_in_their_files(case: Case) -> None:
    text = {"text": "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% by %UPSTREAM_CLUSTER%\n"}
    members = [
        {"key": "path", "value": "%REQ(:PATH)%"},
        {"key": "code", "value": "%RESPONSE_CODE%"},
        {"key": "host", "value": "%REQ(:AUTHORITY)%"},
    ]
    await case.logs("front", {"path": str(case.directory / "out.log"), "format": text})
    await case.logs("book", {"path": str(case.directory / "in.json"), "format": {"json": members}})
    assert (await case.front.get(URL)).status == 200
    # The first line is written at once; more would wait for Envoy's ten seconds.
    out, into = await asyncio.gather(case.lines("out.log", 1), case.lines("in.json", 1))

    assert out == [f"GET /page 200 by cds_egress_{MESH}_book_http_{PORT}"]
    host = f"book.ledger.local:{PORT}"
    assert [json.loads(line) for line in into] == [{"path": "/page", "code": 200, "host": host}]


async def test_without_a_format_the_lines_are_envoys_own_and_may_go_to_the_output(
    case: Case,
) -> None:
    await case.logs("front", {"path": str(case.directory / "plain.log")})
    await case.logs("book", {"path": "/dev/stdout"})
    assert (await case.front.get(URL)).status == 200

    await case.logs("front", None)
    (line,) = await case.lines("plain.log", 1)
    assert '"GET /page HTTP/1.1" 200' in line
    assert f'"book.ledger.local:{PORT}"' in line

    async def told() -> bool:
        # A kept connection keeps the log it began with. The sidecar's output is its Envoy's.
        await case.front.get(URL)
        said = case.book.sidecar.output.read_text()
        return '"GET /page HTTP/1.1" 200' in said

    await until(told)


async def test_a_log_that_is_taken_away_is_written_no_more(case: Case) -> None:
    await case.logs("front", {"path": str(case.directory / "gone.log")})
    await case.front.get(URL)
    before = await case.lines("gone.log", 1)
    await case.logs("front", None)
    await case.logs("book", None)
    for _ in range(3):
        await case.front.get(URL)
    await case.logs("front", {"path": str(case.directory / "next.log")})
    await case.front.get(URL)

    await case.lines("next.log", 1)
    assert await case.lines("gone.log", 1) == before
