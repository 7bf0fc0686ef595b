"""P4: an application that fails for a while is asked again, from AWS's stack and route files."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from tests.mesh_lab.apps import Asked, app
from tests.mesh_lab.lab import Lab, Workload, example, needs_examples

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module"), needs_examples]

MESH = "tries"
URL = f"http://color.{MESH}.local:6060/"
HOME = "walkthroughs/howto-http-retries"
NAMES = {"color-router": "tint-router", "blue-node": "azure-node"}
DEFAULT_ATTEMPTS = 3
"""One try, and the two retries of App Mesh's hidden policy."""
ATTEMPTS = 11


@dataclass
class Flaky:
    """Answers 503 until a call is old enough, as the walkthrough's application does."""

    fault_seconds: float = 0.3
    attempts: Counter[str] = field(default_factory=Counter)

    def judge(self, asked: Asked) -> int:
        self.attempts[asked.headers["call"]] += 1
        return 200 if time.time() - float(asked.headers["req-time"]) > self.fault_seconds else 503


@dataclass
class Case:
    weft: Lab
    front: Workload
    flaky: Flaky
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def route(self, file: str) -> Any:
        """One of the walkthrough's route files, in force."""
        found = json.loads(example(f"{HOME}/{file}", NAMES))
        await self.weft.update("route", meshName=MESH, **found)
        names = {name: found[name] for name in ("virtualRouterName", "routeName")}
        described = await self.weft.described("route", meshName=MESH, **names)
        return described["spec"]["httpRoute"]

    async def calls(self, count: int) -> dict[int, list[int]]:
        """Attempts of each call, by the status that came of it; 25 callers at once."""
        found: dict[int, list[int]] = defaultdict(list)
        left = [str(next(self.numbers)) for _ in range(count)]

        async def caller() -> None:
            while left:
                call = left.pop()
                sent = {"call": call, "req-time": str(time.time())}
                answer = await self.front.get(URL, sent)
                found[answer.status].append(self.flaky.attempts[call])
                if answer.status == 200:
                    assert answer.body == "azure"

        await asyncio.gather(*(caller() for _ in range(25)))
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(weft: Lab) -> AsyncIterator[Case]:
    template = example(f"{HOME}/app.yaml", {**NAMES, "Port: 8080": "Port: 6060"})
    await weft.networks(MESH)
    await weft.deployed(
        "retries",
        template,
        ProjectName=MESH,
        **dict.fromkeys(("EnvoyImage", "FrontAppImage", "ColorAppImage"), "none"),
    )
    flaky = Flaky()
    async with app("azure", judge=flaky.judge) as azure:
        await weft.workload(MESH, "azure-node", {6060: azure})
        yield Case(weft, await weft.workload(MESH, "front-node"), flaky)


async def test_without_a_policy_the_two_hidden_retries_are_not_enough(case: Case) -> None:
    found = await case.calls(10)

    assert dict(found) == {503: [DEFAULT_ATTEMPTS] * 10}


async def test_the_hidden_retries_are_enough_for_a_short_fault(case: Case) -> None:
    case.flaky.fault_seconds = 0.0
    assert dict(await case.calls(5)) == {200: [1] * 5}
    case.flaky.fault_seconds = 0.3


async def test_with_ten_retries_nearly_all_calls_come_through(case: Case) -> None:
    assert "retryPolicy" in await case.route("blue-route.json")

    found = await case.calls(100)
    assert set(found) <= {200, 503}
    assert len(found[200]) >= 95
    assert max(itertools.chain(*found.values())) <= ATTEMPTS
    assert min(found[200]) > 1

    case.flaky.fault_seconds = 1.0
    found = await case.calls(30)
    assert set(found) <= {200, 503}
    assert all(attempts == ATTEMPTS for attempts in found[503]), "given up only after the last"
    case.flaky.fault_seconds = 0.3


async def test_back_without_a_policy_calls_fail_again(case: Case) -> None:
    await case.route("blue-route.json")
    assert "retryPolicy" not in await case.route("blue-route-no-retry.json")

    assert dict(await case.calls(10)) == {503: [DEFAULT_ATTEMPTS] * 10}


async def test_a_route_of_a_mesh_that_is_not_there_is_refused(case: Case) -> None:
    found = json.loads(example(f"{HOME}/blue-route.json"))
    with pytest.raises(ClientError, match="NotFoundException"):
        await case.weft.ask("update_route", meshName=MESH, **found)
