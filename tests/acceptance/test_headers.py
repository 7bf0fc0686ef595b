"""P3: routes by header, from AWS's Kubernetes manifest, in two meshes with the same services at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.mesh_lab.apps import app
from tests.mesh_lab.lab import Lab, Workload, example, needs_examples

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

FILE = "walkthroughs/howto-k8s-http-headers/v1beta2/manifest.yaml.template"
COLORS = ("white", "blue", "red", "yellow", "green")
URL = "http://color.paints.svc.cluster.local:7070/"


@dataclass
class Front:
    mesh: str
    workload: Workload

    async def color(self, header: str | None) -> str:
        sent = {} if header is None else {"color_header": header}
        found = await self.workload.replies(URL, 3, sent)
        (only,) = found
        shop, _, color = only.partition(":")
        assert shop == self.mesh, "another mesh's workload answered"
        return color


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fronts(weft: Lab) -> AsyncIterator[list[Front]]:
    manifest = example(FILE, {"port: 8080": "port: 7070"})
    made = []
    async with AsyncExitStack() as stack:
        for mesh in ("north", "south"):
            # One namespace, so both meshes have the very same service names.
            await weft.applied(manifest, MESH_NAME=mesh, APP_NAMESPACE="paints")
            for color in COLORS:
                found = await stack.enter_async_context(app(f"{mesh}:{color}"))
                if color == "white":
                    await weft.workload(mesh, f"{color}_paints", {7070: found})
                else:
                    await weft.bare(mesh, f"{color}_paints", {7070: found})
            made.append(Front(mesh, await weft.workload(mesh, "front_paints")))
        yield made


@pytest.mark.parametrize(
    ("header", "color"),
    [
        ("blue", "blue"),
        ("red", "red"),
        ("redish", "red"),
        ("requesting.green.color", "green"),
        ("redgreen", "green"),  # priority 20 comes before 30
        ("rainbow", "yellow"),  # any value at all
        ("Blue", "yellow"),
        (None, "white"),
    ],
)
async def test_the_header_picks_the_colour(
    fronts: list[Front], header: str | None, color: str
) -> None:
    for front in fronts:
        assert await front.color(header) == color
