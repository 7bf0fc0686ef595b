"""A client of Cloud Map, and namespaces and services of one's own."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from botocore.config import Config

from tests.contract.asking_cloud_map import made_namespace
from tests.contract.served import Served

_names = itertools.count(1)


@pytest.fixture(scope="module")
def client(weft: Served) -> Any:
    config = Config(inject_host_prefix=False, retries={"total_max_attempts": 1})
    return weft.client("servicediscovery", config=config)


@pytest.fixture
def name() -> str:
    return f"namespace-{next(_names)}.local"


@pytest.fixture
def namespace(client: Any, name: str) -> str:
    """A fresh HTTP namespace, by id."""
    return made_namespace(client, client.create_http_namespace(Name=name))


@pytest.fixture
def private(client: Any, name: str) -> str:
    return made_namespace(client, client.create_private_dns_namespace(Name=name, Vpc="vpc-1"))


@pytest.fixture
def service(client: Any, namespace: str) -> str:
    """A fresh service whose health is told, by id."""
    made = client.create_service(
        Name="colour", NamespaceId=namespace, HealthCheckCustomConfig={"FailureThreshold": 1}
    )
    return str(made["Service"]["Id"])
