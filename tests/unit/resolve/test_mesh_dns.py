"""Which names a proxy answers, and what it does with connections to their addresses."""

from __future__ import annotations

import pytest

from tests.builders import resource, state_from, view_of
from weft.ir.listener import Close, Http, Listener, Tcp
from weft.names import Key, Kind, Mode, Ports
from weft.resolve.mesh_dns import is_name
from weft.resolve.proxy import proxy, resolve
from weft.resolve.reading import Parts, Reading, children_of
from weft.store.state import Draft

DNS = Ports(dns=15353)
MESH = {
    "nodes": {
        "web": {"calls": ["db-a.local", "db-b.local", "shop.local"]},
        "db-a": {"listen": "3306/tcp"},
        "db-b": {"listen": "3306/tcp"},
        "shop": {"listen": "8080/http"},
    },
    "services": {
        "db-a.local": "node db-a",
        "db-b.local": "node db-b",
        "shop.local": "node shop",
    },
}


def test_without_a_port_for_it_no_name_is_answered() -> None:
    found = resolve(state_from(MESH), view_of("web"))
    assert found.name_servers == ()
    assert all(not chain.match.prefixes for chain in egress(found.listeners).chains)


def test_in_explicit_mode_no_name_is_answered() -> None:
    found = resolve(state_from(MESH), view_of("web", Mode.EXPLICIT, DNS))
    assert found.name_servers == ()


def test_every_backend_that_can_be_called_has_a_name() -> None:
    (server,) = resolve(state_from(MESH), view_of("web", ports=DNS)).name_servers
    assert [each.name for each in server.table] == ["db-a.local", "db-b.local", "shop.local"]
    assert {len(each.addresses) for each in server.table} == {1}


def test_what_shares_a_port_without_mesh_dns_is_noted_and_with_it_reached() -> None:
    state = state_from(MESH)
    (note,) = resolve(state, view_of("web")).notes
    assert "db-b.local:3306 (tcp) cannot be reached" in note.message

    found = resolve(state, view_of("web", ports=DNS))
    assert found.notes == ()
    (server,) = found.name_servers
    addresses = {each.name: each.addresses[0] for each in server.table}
    reached = {
        chain.match.prefixes[0].address: chain.action.targets[0].cluster
        for chain in egress(found.listeners).chains
        if isinstance(chain.action, Tcp) and chain.match.prefixes
    }
    assert reached == {
        addresses["db-a.local"]: "cds_egress_shop_db-a_tcp_3306",
        addresses["db-b.local"]: "cds_egress_shop_db-b_tcp_3306",
    }


def test_names_that_differ_in_case_alone_are_one_and_the_other_is_noted() -> None:
    mesh = {
        "nodes": {"web": {"calls": ["DB.local", "db.local"]}, "db": {"listen": "3306/tcp"}},
        "services": {"DB.local": "node db", "db.local": "node db"},
    }
    found = resolve(state_from(mesh), view_of("web", ports=DNS))
    (server,) = found.name_servers
    assert [each.name for each in server.table] == ["db.local"]
    assert any("are one name in DNS" in note.message for note in found.notes)


def test_at_every_port_the_range_is_closed_unless_requests_are_read_there() -> None:
    chains = egress(resolve(state_from(MESH), view_of("web", ports=DNS)).listeners).chains
    closed = {
        chain.match.destination_port
        for chain in chains
        if isinstance(chain.action, Close) and chain.match.prefixes
    }
    read = {
        chain.match.destination_port
        for chain in chains
        if isinstance(chain.action, Http) and not chain.match.prefixes
    }
    assert closed == {None, 443, 3306}
    assert read == {8080}


def test_a_backend_more_leaves_the_other_chains_as_they_are() -> None:
    state, parts, view = state_from(MESH), Parts(), view_of("web", ports=DNS)
    before = egress(Reading(state, parts).part(proxy, view).listeners)

    draft = Draft(state)
    web = Key("shop", Kind.VIRTUAL_NODE, "web")
    more = {"nodes": {"web": {"calls": ["db-a.local", "db-b.local", "new.local", "shop.local"]}}}
    (changed,) = [r for r in state_from(more).resources() if r.key == web]
    draft.put(changed)
    service = Key("shop", Kind.VIRTUAL_SERVICE, "new.local")
    provider = {"provider": {"virtualNode": {"virtualNodeName": "db-a"}}}
    draft.put(resource(service, provider))
    parts.drop([web, service, children_of(Key.of_mesh("shop"), Kind.VIRTUAL_SERVICE)])
    after = egress(Reading(draft.freeze(2), parts).part(proxy, view).listeners)

    assert set(before.chains) < set(after.chains)
    assert {each.name for each in set(after.chains) - set(before.chains)} == {
        "tcp_3306_new.local_virtual"
    }


@pytest.mark.parametrize("name", ["db.local", "a_b.c-d", "db", "1.local", "_srv.x", "x" * 63])
def test_what_can_be_a_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "10.0.0.1", "1", "a..b", ".a", "a.", "-a", "a b", "*.a", "localhost", "x.localhost"),
        *("x" * 64, ".".join(["x" * 60] * 5), "ä.local", "fd00::1"),
    ],
)
def test_what_cannot(name: str) -> None:
    assert not is_name(name)


def egress(listeners: tuple[Listener, ...]) -> Listener:
    (found,) = [each for each in listeners if each.name.startswith("lds_egress")]
    return found
