"""The addresses that stand for virtual services."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.resolve import virtual_addresses as module
from weft.resolve.virtual_addresses import virtual_addresses

NAMES = st.sets(st.text("abc.", min_size=1, max_size=6), max_size=12)


def test_an_address_follows_from_the_mesh_and_the_name() -> None:
    (here,) = virtual_addresses("shop", ["db.local"]).values()
    assert (here.v4, here.v6) == ("240.198.111.205", "fd77:6566:7400::f0c6:6fcd")
    (there,) = virtual_addresses("other", ["db.local"]).values()
    assert here != there


def test_addresses_lie_in_ranges_that_belong_to_nobody() -> None:
    found = virtual_addresses("shop", [f"s{i}.local" for i in range(2000)])
    assert len({each.v4 for each in found.values()}) == 2000
    for each in found.values():
        assert ip_address(each.v4) in ip_network("240.0.0.0/8")
        assert each.v4.rpartition(".")[2] not in ("0", "255")
        assert ip_address(each.v6) in ip_network("fd77:6566:7400::/96")


def test_a_backend_more_moves_none_of_the_others() -> None:
    names = [f"s{i}.local" for i in range(200)]
    before = virtual_addresses("shop", names)
    after = virtual_addresses("shop", [*names, "new.local"])
    assert {name: after[name] for name in names} == before


@pytest.fixture
def tiny_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few addresses that names collide all the time."""
    monkeypatch.setattr(module, "_COUNT", 40)


@pytest.mark.usefixtures("tiny_range")
@given(NAMES, st.text("abc.", min_size=1, max_size=6))
def test_colliding_names_get_addresses_of_their_own_and_disturb_nobody_else(
    names: set[str], new: str
) -> None:
    before = virtual_addresses("shop", names)
    after = virtual_addresses("shop", {*names, new})

    assert len(set(before.values())) == len(names)
    assert virtual_addresses("shop", sorted(names, reverse=True)) == before
    alone = {name: virtual_addresses("shop", [name])[name] for name in {*names, new}}
    undisputed = {
        name for name in names if sum(alone[name] == each for each in alone.values()) == 1
    }
    for name in undisputed:
        assert before[name] == after[name] == alone[name]
