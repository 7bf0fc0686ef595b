"""One server for the suite; every test works in meshes of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.served import Served, served

_names = itertools.count(1)


@pytest.fixture(scope="session")
def weft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("data")) as found:
        yield found


@pytest.fixture(scope="session")
def appmesh(weft: Served) -> Any:
    """boto3's own client."""
    return weft.client()


@pytest.fixture
def mesh(appmesh: Any) -> str:
    """A fresh mesh, by name."""
    name = f"mesh-{next(_names)}"
    appmesh.create_mesh(meshName=name)
    return name
