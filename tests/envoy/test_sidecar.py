"""The sidecar with a real Envoy: it starts, serves, survives its control plane, and leaves nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.envoy.mesh_in_a_file import (
    assignment,
    eds_cluster,
    http_listener,
    one_service,
    resources,
    route_configuration,
    tcp_listener,
)
from tests.envoy.sidecar_harness import (
    ControlPlane,
    Load,
    Sidecar,
    Upstream,
    eventually,
    free_port,
    http_get,
    left_behind,
    processes,
)

pytestmark = pytest.mark.envoy


def egress_of(sidecar: Sidecar) -> int:
    return int(sidecar.argument("--egress"))


async def test_it_serves_what_the_control_plane_says_and_tells_where(
    sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    await ads.publish(one_service(egress_of(sidecar), api.port))
    await sidecar.start()
    ready = await sidecar.ready()

    assert await http_get(f"127.0.0.1:{ready['ports']['egress']}", "/") == (200, "first")
    status = await sidecar.json("/status")
    assert (status["ready"], status["source"], status["xds"]["connected"]) == (True, "ads", True)
    assert status["envoy"]["version"].startswith("1.40")
    assert status["envoy"]["pid"] == ready["envoy"]
    assert await sidecar.json("/listeners") == {
        "lds_egress_0.0.0.0_15001": f"127.0.0.1:{egress_of(sidecar)}"
    }
    assert await sidecar.json("/clusters") == {
        "cds_egress_shop_api_http_8080": {
            "requests": 1,
            "5xx": 0,
            "connect_failures": 0,
            "healthy": 1,
            "members": 1,
        }
    }
    [node, *_] = ads.events("node")
    assert node["node"]["mode"] == "explicit"
    assert node["node"]["ports"]["egress"] == egress_of(sidecar)
    assert (node["node"]["instance"], node["node"]["status"]) == (
        ready["instance"],
        ready["status"],
    )


async def test_a_view_without_listeners_is_ready_once_it_was_told_so(
    sidecar: Sidecar, ads: ControlPlane
) -> None:
    await sidecar.start()
    await sidecar.ready()

    assert await sidecar.json("/listeners") == {}
    assert (await sidecar.get("/ready"))[0] == 200


async def test_it_is_not_ready_before_its_configuration_came(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    # The route configuration is missing, so the listener cannot become active.
    told = one_service(egress_of(sidecar), api.port)
    await ads.publish({**told, "route": {}})
    status = f"127.0.0.1:{free_port()}"
    sidecar.add("--status-port", status.rpartition(":")[2])
    await sidecar.start()
    await eventually(lambda: [e for e in ads.events("subscribed") if e["type"] == "route"])

    code, body = await http_get(status, "/ready")
    assert (code, json.loads(body)["ready"]) == (503, False)
    assert not sidecar.ready_file.exists()

    await ads.publish(told)
    await sidecar.ready()
    assert (await http_get(status, "/ready"))[0] == 200


async def test_a_killed_control_plane_is_not_missed_and_found_again_quickly(
    sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    await ads.publish(one_service(egress_of(sidecar), api.port))
    await sidecar.start()
    await sidecar.ready()
    second = await Upstream("second").start()

    async with Load(egress_of(sidecar)) as load:
        await eventually(lambda: load.answers["first"] > 50)
        await ads.kill()
        await eventually(lambda: not_connected(sidecar))
        seen = load.answers["first"]
        await eventually(lambda: load.answers["first"] > seen + 50)
        await ads.publish(one_service(egress_of(sidecar), second.port))
        await ads.start()
        [back] = ads.events("serving")[-1:]
        await eventually(lambda: load.answers["second"] > 50)
    await second.stop()

    assert load.failures == []
    subscribed = [e for e in ads.events("subscribed") if e["at"] > back["at"]]
    # Envoy's own back-off would be up to 30 s.
    assert subscribed[0]["at"] - back["at"] < 5
    assert {"cds_egress_shop_api_http_8080"} == set(
        next(e["known"] for e in subscribed if e["type"] == "cluster")
    ), "what it had accepted is not asked for again"


async def not_connected(sidecar: Sidecar) -> bool:
    return not (await sidecar.json("/status"))["xds"]["connected"]


def kept(directory: Path, word: str) -> bool:
    return any(word in path.read_text() for path in directory.rglob("snap.json"))


def shared_memory(directory: Path) -> Path:
    [base_id] = directory.glob("data/sidecar/*/*/run/base-id")
    return Path(f"/dev/shm/envoy_shared_memory_{base_id.read_text()}0")


def is_there(path: Path) -> bool:
    return path.exists()


def spoil_what_was_kept(directory: Path) -> None:
    [path] = directory.rglob("snap.json")
    path.write_text(path.read_text().replace('"STATIC"', '"NO_SUCH_TYPE"'))


async def test_started_without_a_control_plane_it_serves_what_it_accepted_last(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    second = await Upstream("second").start()
    await ads.publish(one_service(egress_of(sidecar), api.port))
    await sidecar.start()
    before = await sidecar.ready()
    await eventually(lambda: kept(tmp_path, f'"port_value":{api.port}'))
    assert await sidecar.stop() == 0
    await ads.kill()

    await sidecar.start()
    after = await sidecar.ready()
    assert (after["source"], after["instance"]) == ("last accepted", before["instance"])
    async with Load(egress_of(sidecar), connections=6) as load:
        await eventually(lambda: load.answers["first"] > 100)
        assert (await sidecar.json("/status"))["source"] == "last accepted"
        assert (await sidecar.json("/clusters"))["cds_egress_shop_api_http_8080"]["members"] == 1

        await ads.publish(one_service(egress_of(sidecar), second.port))
        await ads.start()
        await eventually(lambda: load.answers["second"] > 200)
        # Until the predecessor is gone the sockets have two owners.
        await eventually(lambda: len([p for p in processes() if str(tmp_path) in p]) == 1)
        seen = load.answers["second"]
        await eventually(lambda: load.answers["second"] > seen + 100)
    await second.stop()

    assert load.failures == []
    status = await sidecar.json("/status")
    assert (status["source"], status["envoy"]["epoch"], status["envoy"]["restarts"]) == (
        "ads",
        1,
        0,
    )


async def test_a_silent_control_plane_is_waited_for_three_seconds_only(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    await ads.publish(one_service(egress_of(sidecar), api.port))
    await sidecar.start()
    await sidecar.ready()
    await eventually(lambda: kept(tmp_path, f'"port_value":{api.port}'))
    await sidecar.stop()
    await ads.kill()

    port = int(ads.address.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):  # It accepts and never says a word.
        await sidecar.start()
        assert (await sidecar.ready())["source"] == "last accepted"
        assert await http_get(f"127.0.0.1:{egress_of(sidecar)}", "/") == (200, "first")
        # Its successor waits beside it and has taken the admin interface; still it serves.
        await eventually(lambda: len([p for p in processes() if str(tmp_path) in p]) == 2)
        assert (await sidecar.get("/ready"))[0] == 200

        # When the successor dies there is another one, and the one that serves stays.
        serving = (await sidecar.json("/status"))["envoy"]["pid"]
        waiting = await eventually(lambda: successor(tmp_path, serving))
        os.kill(waiting, signal.SIGKILL)
        await eventually(lambda: successor(tmp_path, serving, other_than=waiting))
        assert (await sidecar.json("/status"))["envoy"]["pid"] == serving
        assert await http_get(f"127.0.0.1:{egress_of(sidecar)}", "/") == (200, "first")

    await ads.start()
    await eventually(lambda: from_ads(sidecar))
    assert await http_get(f"127.0.0.1:{egress_of(sidecar)}", "/") == (200, "first")


async def from_ads(sidecar: Sidecar) -> bool:
    return bool((await sidecar.json("/status"))["source"] == "ads")


def successor(directory: Path, serving: int, other_than: int = 0) -> int | None:
    pids = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(directory).encode() in (text := _read(path)) and b"--restart-epoch" in text
    ]
    return next((pid for pid in pids if pid not in (serving, other_than)), None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def test_a_kept_configuration_that_envoy_refuses_is_set_aside(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    told = one_service(egress_of(sidecar), api.port)
    await ads.publish(told)
    await sidecar.start()
    await sidecar.ready()
    await eventually(lambda: kept(tmp_path, f'"port_value":{api.port}'))
    await sidecar.stop()
    await ads.kill()
    spoil_what_was_kept(tmp_path)

    await sidecar.start()
    await eventually(lambda: [*tmp_path.rglob("snap.refused.json")])
    await ads.start()
    assert (await sidecar.ready())["source"] == "ads"
    assert "NO_SUCH_TYPE" in sidecar.log


async def test_a_crashed_envoy_is_started_again_and_that_is_said(
    sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    await ads.publish(one_service(egress_of(sidecar), api.port))
    await sidecar.start()
    first = (await sidecar.ready())["envoy"]
    os.kill(first, signal.SIGKILL)

    await eventually(lambda: json.loads(sidecar.ready_file.read_text())["envoy"] != first)
    assert await http_get(f"127.0.0.1:{egress_of(sidecar)}", "/") == (200, "first")
    assert (await sidecar.json("/status"))["envoy"]["restarts"] == 1
    assert "Envoy was ended by SIGKILL; starting it again in 0.1 s" in sidecar.log


async def test_it_gives_up_where_it_was_told_to(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane
) -> None:
    broken = tmp_path / "envoy"
    broken.write_text("#!/bin/sh\necho '[t][critical][main] no such luck' >&2\nexit 3\n")
    broken.chmod(0o700)
    sidecar.add("--envoy", str(broken), "--restarts", "2")
    await sidecar.start()

    assert sidecar.process is not None
    assert await asyncio.wait_for(sidecar.process.wait(), 60) == 1
    assert (
        "error: Envoy ended with code 3: no such luck; that was the 3rd time without a quiet minute"
        in sidecar.log
    )
    assert "Traceback" not in sidecar.log


async def test_a_refused_listener_is_told_in_envoys_words(
    sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    told = one_service(egress_of(sidecar), api.port)
    await ads.publish(told)
    await sidecar.start()
    await sidecar.ready()
    bad = http_listener("bad", free_port(), "r")
    bad["address"]["socket_address"]["address"] = "203.0.113.9"
    await ads.publish({**told, "listener": {**told["listener"], "bad": bad}})
    [nack] = await eventually(lambda: ads.events("nack"))

    assert "cannot bind '203.0.113.9" in nack["words"]
    rejected = await eventually(lambda: words_of_rejection(sidecar))
    assert "cannot bind '203.0.113.9" in rejected[-1]["words"]
    assert (await sidecar.get("/ready"))[0] == 200, "the last good configuration stays"


async def words_of_rejection(sidecar: Sidecar) -> list[dict[str, str]]:
    return list((await sidecar.json("/status"))["rejected"])


async def test_requests_in_flight_are_finished_before_it_stops(
    sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    await ads.publish(one_service(egress_of(sidecar), api.port))
    sidecar.add("--drain-time", "30s")
    await sidecar.start()
    await sidecar.ready()
    api.gate.clear()
    asked = asyncio.create_task(http_get(f"127.0.0.1:{egress_of(sidecar)}", "/"))
    await eventually(lambda: api.waiting)
    stopping = asyncio.create_task(sidecar.stop())
    await eventually(lambda: "draining" in sidecar.log)
    assert (await sidecar.get("/ready"))[0] == 503
    api.gate.set()

    assert await asked == (200, "first")
    assert await stopping == 0


async def test_an_idle_connection_does_not_hold_up_the_end(
    sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    await ads.publish(one_service(egress_of(sidecar), api.port))
    sidecar.add("--drain-time", "60s")
    await sidecar.start()
    await sidecar.ready()
    reader, writer = await asyncio.open_connection("127.0.0.1", egress_of(sidecar))
    writer.write(b"GET / HTTP/1.1\r\nHost: api.local:8080\r\n\r\n")
    await reader.readuntil(b"first")

    assert await asyncio.wait_for(sidecar.stop(), 20) == 0
    writer.close()


async def test_the_second_signal_ends_it_at_once(
    sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    await ads.publish(one_service(egress_of(sidecar), api.port))
    sidecar.add("--drain-time", "600s")
    await sidecar.start()
    await sidecar.ready()
    api.gate.clear()
    asked = asyncio.create_task(http_get(f"127.0.0.1:{egress_of(sidecar)}", "/"))
    await eventually(lambda: api.waiting)
    stopping = asyncio.create_task(sidecar.stop(with_signal=signal.SIGINT))
    await eventually(lambda: "draining" in sidecar.log)
    assert await sidecar.stop(with_signal=signal.SIGINT) == 0
    await stopping
    with pytest.raises((OSError, IndexError)):
        await asked


async def test_a_killed_sidecar_takes_its_envoy_along_and_the_next_one_sweeps_up(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    await ads.publish(one_service(egress_of(sidecar), api.port))
    await sidecar.start()
    before = await sidecar.ready()
    memory = shared_memory(tmp_path)
    assert is_there(memory)
    await sidecar.stop(with_signal=signal.SIGKILL)
    await eventually(lambda: not [p for p in processes() if str(tmp_path) in p])

    sidecar.ready_file.unlink()
    await sidecar.start()
    after = await sidecar.ready()
    assert after["instance"] == before["instance"]
    assert not is_there(memory)
    assert await sidecar.stop() == 0
    assert not sidecar.ready_file.exists()


async def test_two_replicas_run_side_by_side(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane
) -> None:
    other = Sidecar(tmp_path, ads.address)
    other.ready_file = tmp_path / "other.json"
    other.add("--ready-file", str(other.ready_file))
    await sidecar.start()
    one = await sidecar.ready()
    await other.start()
    two = await other.ready()

    assert one["instance"] != two["instance"]
    assert one["ports"]["egress"] != two["ports"]["egress"]
    assert await other.stop() == 0


async def test_a_control_plane_at_a_unix_socket_and_a_very_long_data_directory(
    tmp_path: Path, api: Upstream
) -> None:
    plane = ControlPlane(tmp_path, f"unix:{tmp_path}/xds.sock")
    await plane.start()
    made = Sidecar(tmp_path, plane.address, "--egress", "0", "--data", str(tmp_path / ("d" * 120)))
    await made.start()
    ready = await made.ready()
    await plane.publish(one_service(ready["ports"]["egress"], api.port))
    await eventually(lambda: answers(ready["ports"]["egress"]))

    assert await made.stop() == 0
    await plane.kill()
    left_behind(tmp_path)


async def answers(port: int) -> bool:
    try:
        return await http_get(f"127.0.0.1:{port}", "/") == (200, "first")
    except OSError:
        return False


async def test_tcp_is_kept_too_and_counted_by_connections(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    port, cluster = free_port(), "cds_egress_shop_db_tcp_3306"
    await ads.publish(
        resources(
            listener=[tcp_listener("db", port, cluster)],
            cluster=[eds_cluster(cluster)],
            endpoint=[assignment(cluster, api.port)],
            route=[route_configuration("unused", cluster)],
        )
    )
    await sidecar.start()
    await sidecar.ready()
    assert await http_get(f"127.0.0.1:{port}", "/") == (200, "first")
    assert (await sidecar.json("/clusters"))[cluster]["requests"] == 1
    await eventually(lambda: kept(tmp_path, f'"port_value":{api.port}'))
    await sidecar.stop()
    await ads.kill()

    await sidecar.start()
    assert (await sidecar.ready())["source"] == "last accepted"
    assert await http_get(f"127.0.0.1:{port}", "/") == (200, "first")


async def test_pages_are_for_this_machine_alone(sidecar: Sidecar, ads: ControlPlane) -> None:
    await sidecar.start()
    await sidecar.ready()

    assert (await sidecar.get("/status", host="weft.example"))[0] == 403
    assert (await sidecar.get("/nothing"))[0] == 404
    code, page = await sidecar.get("/")
    assert (code, "mesh/shop/virtualNode/web" in page) == (200, True)
    assert "weft_xds" in (await sidecar.get("/config"))[1]


async def test_a_taken_port_is_an_error_that_names_it(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane
) -> None:
    with socket.create_server(("127.0.0.1", egress_of(sidecar))):
        await sidecar.start()
        assert sidecar.process is not None
        assert await asyncio.wait_for(sidecar.process.wait(), 60) == 1

    assert f"port {egress_of(sidecar)} cannot be used for --egress" in sidecar.log
    assert "Traceback" not in sidecar.log


async def test_every_kind_of_resource_that_can_be_kept_is(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    """CONNECT through an internal listener, a cluster found by DNS, inline routes."""
    outer = http_listener("outer", egress_of(sidecar), "to-inner")
    manager = outer["filter_chains"][0]["filters"][0]["typed_config"]
    manager["upgrade_configs"] = [{"upgrade_type": "CONNECT", "enabled": True}]
    tunnel = route_configuration("to-inner", "self")
    tunnel["virtual_hosts"][0]["routes"] = [
        {
            "match": {"connect_matcher": {}},
            "route": {
                "cluster": "self",
                "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
            },
        }
    ]
    inner = http_listener("inner", 0, "to-api")
    del inner["address"]
    inner["internal_listener"] = {}
    to_self = {
        "endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "inner"}}}
    }
    by_name = assignment("cds_dns", api.port)
    by_name["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"][
        "address"
    ] = "localhost"
    await ads.publish(
        resources(
            listener=[outer, inner],
            route=[tunnel, route_configuration("to-api", "cds_dns")],
            cluster=[
                {
                    "name": "self",
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": "self",
                        "endpoints": [{"lb_endpoints": [to_self]}],
                    },
                },
                {
                    "name": "cds_dns",
                    "type": "STRICT_DNS",
                    "dns_lookup_family": "V4_ONLY",
                    "load_assignment": by_name,
                },
            ],
        )
    )
    await sidecar.start()
    await sidecar.ready()
    assert await through_a_tunnel(egress_of(sidecar)) == "first"
    assert await sidecar.json("/listeners") == {
        "inner": "internal",
        "outer": f"127.0.0.1:{egress_of(sidecar)}",
    }
    await eventually(lambda: kept(tmp_path, "envoy_internal_address"))
    await sidecar.stop()
    await ads.kill()

    await sidecar.start()
    assert (await sidecar.ready())["source"] == "last accepted"
    assert (await sidecar.json("/status"))["left_out"] == []
    assert await through_a_tunnel(egress_of(sidecar)) == "first"


async def through_a_tunnel(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"CONNECT api.local:8080 HTTP/1.1\r\nHost: api.local:8080\r\n\r\n")
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"GET / HTTP/1.1\r\nHost: api.local\r\nConnection: close\r\n\r\n")
    raw = (await reader.read()).decode()
    writer.close()
    return raw.rpartition("\r\n")[2]


async def test_it_stops_while_its_successor_waits_or_nothing_is_ready_yet(
    tmp_path: Path, sidecar: Sidecar, ads: ControlPlane, api: Upstream
) -> None:
    await ads.kill()
    await sidecar.start()
    await eventually(lambda: [p for p in processes() if str(tmp_path) in p])
    assert await sidecar.stop() == 0
    left_behind(tmp_path)

    await ads.publish(one_service(egress_of(sidecar), api.port))
    await ads.start()
    await sidecar.start()
    await sidecar.ready()
    assert await sidecar.stop() == 0, "what was in force is kept at the end too"
    await ads.kill()
    with socket.create_server(("127.0.0.1", int(ads.address.rpartition(":")[2]))):
        await sidecar.start()
        await sidecar.ready()
        await eventually(lambda: len([p for p in processes() if str(tmp_path) in p]) == 2)
        assert await sidecar.stop() == 0
    left_behind(tmp_path)
