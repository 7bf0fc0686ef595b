"""Where a proxy's files are, and which ports it takes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from weft.errors import CannotStart
from weft.names import BackendPort, IngressPort, Ports, ProxyId
from weft.sidecar.directory import Directory, with_free_ports

WEB = ProxyId.parse("mesh/shop/virtualNode/web")
ANY = Ports((IngressPort(9080, 0, 8080),), 0, (BackendPort("db.local", 3306, 0),))


def take(
    data: Path, instance: str | None = None, ports: Ports = ANY, proxy: ProxyId = WEB
) -> Directory:
    return Directory.take(str(data), proxy, instance, ports)


def test_an_instance_that_runs_is_not_started_twice(tmp_path: Path) -> None:
    first = take(tmp_path, "one")
    with pytest.raises(
        CannotStart, match="instance one of mesh/shop/virtualNode/web is already running"
    ):
        take(tmp_path, "one")
    first.give_back()

    take(tmp_path, "one").give_back()


def test_a_made_instance_is_found_again_and_not_shared(tmp_path: Path) -> None:
    first = take(tmp_path)
    second = take(tmp_path)
    names = {first.instance, second.instance}
    assert len(names) == 2
    first.give_back()
    second.give_back()

    again = take(tmp_path)
    assert again.instance in names
    again.give_back()


def test_of_several_made_instances_the_one_with_the_same_ports_is_taken(tmp_path: Path) -> None:
    made = [take(tmp_path) for _ in range(4)]
    ports = [with_free_ports(one, ANY) for one in made]
    for one in made:
        one.give_back()

    for before, asked in zip(made, ports, strict=True):
        again = take(tmp_path, ports=asked)
        assert again.instance == before.instance
        again.give_back()


def test_two_proxies_have_two_directories_however_long_their_names(tmp_path: Path) -> None:
    names = ["web", "w" * 255, "w" * 254 + "x"]
    taken = [
        take(tmp_path, "one", proxy=ProxyId.parse(f"mesh/{'m' * 200}/virtualNode/{n}"))
        for n in names
    ]

    assert len({one.path for one in taken}) == 3
    for one in taken:
        one.give_back()


def test_sockets_have_a_short_path_and_go_with_the_sidecar(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    one = take(deep, "one")
    assert len(one.socket("hot_udp_parent_0000000000")) < 108
    Path(one.socket("admin-0.sock")).touch()
    one.give_back()

    assert not Path(one.run).exists()
    assert not Path(one.file("run")).is_symlink()


def test_what_a_killed_sidecar_left_is_swept(tmp_path: Path) -> None:
    one = take(tmp_path / ("d" * 100), "one")
    Path(one.socket("base-id")).write_text("7")
    Path(one.socket("admin-0.sock")).touch()
    assert one.base_id() == 7
    one.sweep()

    assert list(Path(one.run).iterdir()) == []
    assert one.base_id() is None
    one.give_back()


def test_a_data_directory_that_is_a_file_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(CannotStart, match=r"data directory .* cannot be used") as caught:
        take(tmp_path / "data")
    assert "--data" in (caught.value.fix or "")


def test_free_ports_are_taken_and_remembered(tmp_path: Path) -> None:
    one = take(tmp_path, "one")
    made = with_free_ports(one, ANY)
    sockets = {made.egress, made.ingress[0].socket, made.backends[0].socket}

    assert len(sockets) == 3
    assert 0 not in sockets
    assert with_free_ports(one, ANY) == made
    one.give_back()


def test_a_remembered_port_that_is_taken_now_is_replaced(tmp_path: Path) -> None:
    one = take(tmp_path, "one")
    made = with_free_ports(one, ANY)
    with socket.create_server(("127.0.0.1", made.egress)):
        assert with_free_ports(one, ANY).egress != made.egress
    one.give_back()


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path) -> None:
    one = take(tmp_path, "one")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            CannotStart, match=f"port {port} cannot be used for --backend db.local:3306"
        ):
            with_free_ports(one, Ports((), 0, (BackendPort("db.local", 3306, port),)))
    one.give_back()
