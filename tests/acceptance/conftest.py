"""Each file of cases has a lab of its own, kept for all of its tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.mesh_lab.lab import Lab, lab


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def weft(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with lab(tmp_path_factory.mktemp("lab")) as made:
        yield made
