"""Quotas as settings: App Mesh's own, others, or none."""

from __future__ import annotations

import pytest

from weft.errors import CannotStart
from weft.quotas import AWS, Quotas
from weft.settings import Settings


def test_nothing_is_limited_unless_asked_for() -> None:
    assert Settings.read({}, {}).quotas == Quotas({})
    assert {Quotas().of(name) for name in AWS} == {None}


def test_awss_own_can_be_switched_on_and_each_changed() -> None:
    quotas = Quotas.parse("aws", "meshes=20, routes=unlimited")

    assert (quotas.of("meshes"), quotas.of("routes"), quotas.of("backends")) == (20, None, 50)
    assert Quotas.parse("none", "meshes=1") == Quotas({"meshes": 1})


def test_they_are_read_from_flags_and_from_the_environment() -> None:
    environment = {"WEFT_QUOTAS": "aws", "WEFT_QUOTA": "virtual-nodes=7"}
    quotas = Settings.read({"--quota": "meshes=2"}, environment).quotas

    assert (quotas.of("meshes"), quotas.of("virtual-nodes")) == (2, 200)
    assert Settings.read({}, environment).quotas.of("virtual-nodes") == 7


def test_what_they_say_of_themselves_can_be_read_back() -> None:
    for quotas in (Quotas.parse("aws", "routes=unlimited,meshes=0"), Quotas()):
        assert Quotas.parse("none", str(quotas)) == quotas


@pytest.mark.parametrize(
    ("base", "changes", "words"),
    [
        ("gcp", "none", "--quotas is 'gcp'"),
        ("aws", "mesh=2", "there is no quota 'mesh'"),
        ("aws", "meshes", "--quota meshes is ''"),
        ("aws", "meshes=-1", "--quota meshes is '-1'"),
        ("aws", "meshes=99999999999", "--quota meshes is"),
    ],
)
def test_a_mistake_in_them_is_told_before_the_start(base: str, changes: str, words: str) -> None:
    with pytest.raises(CannotStart, match=words) as caught:
        Quotas.parse(base, changes)
    assert caught.value.fix
