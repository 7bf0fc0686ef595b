"""``weft get`` of what Cloud Map has."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Weft
from tests.unit.cli.control_plane import ControlPlane

SERVICE = {
    "namespace": "shop.local",
    "name": "colour",
    "id": "srv-1",
    "type": "HTTP",
    "instancesRevision": 3,
    "instances": [
        {
            "id": "shop/red/red-0",
            "health": "UNKNOWN",
            "leaseSeconds": None,
            "attributes": {"colour": "red", "WEFT_ADDRESS_9080": "127.0.0.1:41001"},
        },
        {
            "id": "far",
            "health": "UNHEALTHY",
            "leaseSeconds": None,
            "attributes": {"colour": "blue", "AWS_INSTANCE_IPV4": "10.0.0.1"},
        },
    ],
}
NAMESPACE = {"name": "shop.local", "id": "ns-1", "type": "HTTP", "services": ["colour"]}


@pytest.fixture(autouse=True)
def _filled(plane: ControlPlane) -> None:
    plane.tell("GET", "/weft/v1/cloudMap/services", {"revision": 9, "services": [SERVICE]})
    plane.tell("GET", "/weft/v1/cloudMap/namespaces", {"revision": 9, "namespaces": [NAMESPACE]})


def test_namespaces_show_their_services(weft: Weft) -> None:
    _, row = weft("get", "namespaces").lines
    assert row.split() == ["shop.local", "HTTP", "ns-1", "colour"]


def test_services_count_their_instances_and_the_ill_ones(weft: Weft) -> None:
    _, row = weft("get", "cloudmap-services").lines
    assert row.split() == ["shop.local", "colour", "HTTP", "srv-1", "2", "1"]


def test_instances_show_where_they_are_and_what_they_are(weft: Weft) -> None:
    _, red, far = weft("get", "cloudmap-instances").lines
    assert "9080 at 127.0.0.1:41001" in red
    assert "colour=red" in red
    assert "AWS_INSTANCE_IPV4" not in far
    assert "UNHEALTHY" in far
    assert "10.0.0.1" in far


def test_one_is_found_by_its_name(weft: Weft) -> None:
    (found,) = json.loads(weft("get", "cloudmap-instances", "far", "-o", "json").out)["instances"]
    assert found["id"] == "far"
    assert json.loads(weft("get", "namespaces", "ns-1", "-o", "json").out)[0]["id"] == "ns-1"


def test_a_name_nobody_has_is_answered_with_the_nearest(weft: Weft) -> None:
    ran = weft("get", "cloudmap-services", "color")
    assert "did you mean colour?" in ran.err
