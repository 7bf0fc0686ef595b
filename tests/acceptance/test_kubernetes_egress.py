"""P8: what is outside the mesh is reached when the egress filter lets it, from AWS's Kubernetes manifest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.envoy.running import ask
from tests.mesh_lab.apps import App, app
from tests.mesh_lab.lab import Lab, Workload, example, needs_examples

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

FILE = "walkthroughs/howto-k8s-egress/v1beta2/manifest.yaml.template"
PORT = 7171
BLUE = f"http://blue.beyond.svc.cluster.local:{PORT}/"
NAMES = {"mesh-external": "beyond", "port: 8080": f"port: {PORT}"}
PLACE = {"MESH_NAME": "border", "APP_NAMESPACE": "inside"}


@dataclass
class Case:
    weft: Lab
    front: Workload
    red: App

    async def filter(self, kind: str) -> None:
        await self.weft.applied(example(FILE, NAMES | {"type: DROP_ALL": f"type: {kind}"}), **PLACE)

    async def external(self) -> tuple[int, str]:
        """A request to a host that no virtual service names."""
        # Any name will do that needs no resolver and is not written like loopback.
        answer = await self.front.get(f"http://0.0.0.0:{self.red.port}/")
        return answer.status, answer.body


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    await weft.applied(example(FILE, NAMES), **PLACE)
    async with AsyncExitStack() as stack:
        blue = await stack.enter_async_context(app("external: blue"))
        red = await stack.enter_async_context(app("external: red"))
        await weft.bare("border", "blue_inside", {PORT: blue})
        yield Case(weft, await weft.workload("border", "front_inside"), red)


async def test_the_filter_is_dropped_and_put_back(case: Case) -> None:
    for allowed in (False, True, False):
        await case.filter("ALLOW_ALL" if allowed else "DROP_ALL")

        answer = await case.front.get(BLUE)
        assert (answer.status, answer.body) == (200, "external: blue"), "a backend, in any case"
        status, body = await case.external()
        if allowed:
            assert (status, body) == (200, "external: red")
        else:
            assert status == 404
            assert "external" not in body
    assert len(case.red.asked) == 1


async def test_the_apis_of_aws_are_let_through_by_name_even_so(case: Case) -> None:
    await case.filter("DROP_ALL")

    async def tunnel(host: str) -> int:
        lines = f"CONNECT {host}:443 HTTP/1.1\nHost: {host}:443"
        return (await ask(case.front.egress, lines)).status

    # Let through means looked up; whether there is a network is another matter.
    assert await tunnel("sts.us-west-2.amazonaws.com") in (200, 503)
    assert await tunnel("amazonaws.com.example.test") == 404
    assert await tunnel("example.test") == 404
