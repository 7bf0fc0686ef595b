"""The small parts of a runner, each by itself."""

import asyncio
import contextlib
import io
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weft.clock import ManualClock, SystemClock
from weft.errors import CannotStart, Invalid, NotFound, TimedOut, Unreachable
from weft.local import control, demo, http
from weft.local.applying import Applying, apply
from weft.local.backoff import Backoff
from weft.local.client import ControlPlane
from weft.local.control import ControlServer
from weft.local.lock import locked
from weft.local.output import LogStream
from weft.local.plan import NotYet
from weft.local.ports import PortPool, is_free
from weft.local.processes import MAX_LINE, Lines
from weft.local.traffic import Traffic
from weft.manifests.files import Loaded, load
from weft.settings import API, Address, Settings, wants_color

# --- back-off ---


def test_pauses_double_up_to_half_a_minute_and_a_healthy_minute_forgets() -> None:
    backoff, pauses = Backoff(), []
    for _ in range(9):
        backoff = backoff.after(ran_seconds=1)
        pauses.append(backoff.delay_seconds)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.after(ran_seconds=61).delay_seconds == 0.5


# --- ports ---


def test_a_port_that_is_held_can_be_bound_by_nobody_until_it_is_let_go() -> None:
    pool = PortPool()
    port = pool.take()
    assert not is_free("127.0.0.1", port)
    with pytest.raises(NotYet, match=f"port {port}, which another program has"):
        pool.hold_fixed(port)
    pool.release(port)
    assert is_free("127.0.0.1", port)
    assert pool.take() != port, "it is not given out again at once"
    pool.close()


def test_a_pool_without_a_free_port_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match="is free"):
            PortPool(port, port + 1).take()


# --- output ---


def test_lines_are_whole_however_their_bytes_arrive() -> None:
    lines = Lines()
    found = lines.feed(b"caf") + lines.feed(b"\xc3") + lines.feed(b"\xa9\r\nb\n\nc")
    assert found + lines.end() == ["café", "b", "", "c"]
    assert [len(line) for line in lines.feed(b"x" * (MAX_LINE + 1) + b"\n")] == [MAX_LINE + 1]
    assert [len(line) for line in lines.feed(b"x" * (MAX_LINE + 1))] == [MAX_LINE]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def stream(out: io.StringIO, **options: Any) -> LogStream:
    made = LogStream(out, clock=options.pop("clock", ManualClock()), environment={}, **options)
    made.expect(["web", "db"])
    return made


def test_each_name_has_a_colour_on_a_terminal_and_none_elsewhere() -> None:
    plain, terminal = io.StringIO(), Terminal()
    stream(plain).line("web", "up")
    log = stream(terminal)
    log.line("web", "up")
    log.line("db", "up", of="sidecar")
    assert plain.getvalue() == "web  | up\n"
    web, db = terminal.getvalue().splitlines()
    assert web == "\x1b[36mweb  | \x1b[0mup\x1b[0m"
    assert db == "\x1b[33mdb   | \x1b[0m\x1b[2msidecar: \x1b[0mup\x1b[0m"


def test_colour_follows_the_flag_then_the_environment_then_the_terminal() -> None:
    terminal, plain = Terminal(), io.StringIO()
    assert wants_color("always", {"NO_COLOR": "1"}, terminal=plain.isatty())
    assert not wants_color("never", {"FORCE_COLOR": "1"}, terminal=terminal.isatty())
    assert not wants_color("auto", {"NO_COLOR": "1"}, terminal=terminal.isatty())
    assert not wants_color("auto", {"TERM": "dumb"}, terminal=terminal.isatty())
    assert wants_color("auto", {"FORCE_COLOR": "1"}, terminal=plain.isatty())
    assert wants_color("auto", {}, terminal=terminal.isatty())


def test_json_lines_say_when_who_and_what() -> None:
    out = io.StringIO()
    log = stream(out, as_json=True)
    log.line("web", "up", of="sidecar")
    log.say()
    [line] = map(json.loads, out.getvalue().splitlines())
    assert line == {
        "at": "2026-01-01T00:00:00+00:00",
        "name": "web",
        "line": "up",
        "of": "sidecar",
    }


def test_what_a_process_repeats_is_counted_on_a_terminal_that_folds() -> None:
    out, clock = Terminal(), ManualClock()
    log = stream(out, color="never", fold_seconds=30, clock=clock)
    for _ in range(5):
        log.line("web", "white")
    log.line("db", "white")
    clock.elapsed_seconds += 31
    log.line("web", "white")
    assert out.getvalue().splitlines() == [
        "web  | white",
        "db   | white",
        "web  | white   (and 4 times before)",
    ]


def test_a_terminal_that_cannot_show_a_letter_shows_something() -> None:
    class Ascii(io.StringIO):
        encoding = "ascii"

    out = Ascii()
    log = stream(out)
    log.done("ready")
    log.line("web", "café")
    assert out.getvalue() == "  + ready\nweb  | caf?\n"


def test_the_runner_is_told_once_when_nobody_reads_any_more() -> None:
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    told: list[int] = []
    log = stream(Broken(), on_broken=lambda: told.append(1))
    log.say("a")
    log.say("b")
    assert told == [1]


async def read_until(descriptor: int, holds: Callable[[bytes], bool]) -> bytes:
    """Read beside a loop that goes on."""
    os.set_blocking(descriptor, False)
    got = b""
    async with asyncio.timeout(30):
        while not holds(got):
            with contextlib.suppress(BlockingIOError):
                got += os.read(descriptor, 65536)
            await asyncio.sleep(0.001)
    return got


async def test_a_reader_that_pauses_gets_everything_later_and_blocks_nothing() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "w") as out:
        log = stream(out)
        for i in range(5000):
            log.line("web", f"{i:<60}")
        got = await read_until(reader.fileno(), lambda got: got.count(b"\n") == 5000)
    assert [int(line.split()[2]) for line in got.splitlines()] == list(range(5000))


async def test_what_nobody_reads_is_left_out_beyond_a_limit_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("weft.local.outlet.MAX_KEPT_BYTES", 10_000)
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "w") as out:
        log = stream(out)
        for _ in range(5000):
            log.line("web", "x" * 60)
        got = await read_until(reader.fileno(), lambda got: b"left out" in got)
    *lines, last = got.decode().splitlines()
    assert last == f"({5000 - len(lines)} lines are left out here: nobody read them)"


def test_a_reader_that_has_gone_is_told_once() -> None:
    told: list[int] = []
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as out:
        log = stream(out, on_broken=lambda: told.append(1))
        log.say("a")
        log.say("b")
    assert told == [1]


# --- control ---


async def test_a_socket_path_that_is_too_long_moves_to_a_short_directory(tmp_path: Path) -> None:
    async def handler(message: Any) -> dict[str, Any]:
        if message["op"] == "bad":
            raise NotFound("no such thing", fix="name another")
        return {"echo": message}

    data = tmp_path / ("x" * 120)
    data.mkdir()
    server = ControlServer(data, handler)
    await server.start()
    elsewhere = Path((data / control.ELSEWHERE).read_text())
    assert elsewhere.stat().st_mode & 0o777 == 0o600
    answer = await asyncio.to_thread(control.request, data, {"op": "hello"})
    assert answer == {"echo": {"op": "hello"}}
    with pytest.raises(NotFound) as caught:
        await asyncio.to_thread(control.request, data, {"op": "bad"})
    assert caught.value.fix == "name another"

    await server.close()
    assert not elsewhere.parent.exists()
    with pytest.raises(Unreachable, match="no weft up runs on"):
        control.request(data, {"op": "hello"})


async def test_a_runner_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    async def handler(_: Any) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    server = ControlServer(tmp_path, handler)
    await server.start()
    with pytest.raises(TimedOut):
        await asyncio.to_thread(control.request, tmp_path, {"op": "x"}, seconds=0.2)
    await server.close()


def test_a_data_directory_that_cannot_be_is_an_error_with_its_flag(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart) as caught, locked(tmp_path / "file" / "data"):
        pass
    assert caught.value.fix == "give another one: --data DIR"


# --- HTTP ---


class Scripted:
    """A server that answers each request with the next of some answers."""

    def __init__(self, *answers: bytes) -> None:
        self.asked: list[bytes] = []
        self._answers = list(answers)
        self._open = 0

    async def __aenter__(self) -> "Scripted":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = Address("127.0.0.1", self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        async with asyncio.timeout(30):
            while self._open:
                await asyncio.sleep(0.001)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._open -= 1

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[16:]) for line in head.lower().split(b"\r\n") if b"content-length:" in line),
            0,
        )
        self.asked.append(head + await reader.readexactly(length))
        writer.write(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])
        await writer.drain()


def ok(body: Any, status: str = "200 OK", header: str = "") -> bytes:
    content = json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(content)}\r\n{header}\r\n".encode() + content


async def test_a_chunked_answer_is_read_whole() -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    async with Scripted(chunked) as server:
        assert (await http.request(server.address, "GET", "/")).body == b"abc"


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9"]
)
async def test_what_is_no_answer_is_unreachable(answer: bytes) -> None:
    async with Scripted(answer) as server:
        with pytest.raises(Unreachable):
            await ControlPlane(server.address).status()


async def test_errors_of_the_control_plane_are_raised_as_what_they_are() -> None:
    said = {"code": "NotFoundException", "message": "no such node", "fix": "create it"}
    async with Scripted(ok(said, "404 Not Found")) as server:
        client = ControlPlane(server.address)
        with pytest.raises(NotFound) as caught:
            await client.register(demo_node(), "a/b", {"80": "127.0.0.1:1"}, 15)
        assert caught.value.fix == "create it"
        assert server.asked[0].startswith(
            b"PUT /weft/v1/meshes/m/virtualNodes/n/instances/a%2Fb HTTP/1.1\r\n"
        )
        assert not await client.heartbeat(demo_node(), "x")
        assert await client.deregister(demo_node(), "x") is None


def demo_node() -> Any:
    from weft.manifests.workload import node_key

    return node_key("m", "n")


async def test_traffic_says_when_requests_begin_to_fail_and_when_they_succeed_again() -> None:
    said: list[str] = []
    bad = ok({}, "503 Service Unavailable")
    async with Scripted(bad, bad, bad, bad, ok({})) as server:
        traffic = Traffic(
            server.address, "/color", per_second=500, note=said.append, clock=SystemClock()
        )
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(traffic.run())
            async with asyncio.timeout(30):
                while traffic.succeeded < 3:
                    await asyncio.sleep(0.01)
            running.cancel()
    assert said == [
        "requests to /color fail: status 503",
        "requests to /color succeed again, after 4 failures",
    ]
    assert traffic.failed == 4


# --- applying ---

TWO = """
mesh: shop
resources:
  - kind: mesh
  - kind: virtualNode
    virtualNodeName: web-vn
    spec: {}
"""


def two(tmp_path: Path) -> Loaded:
    (tmp_path / "weft.yaml").write_text(TWO)
    return load([str(tmp_path / "weft.yaml")], {})


async def applied(
    loaded: Loaded, applying: Applying, *answers: bytes, asked: list[bytes] | None = None
) -> tuple[list[Any], str]:
    out = io.StringIO()
    async with Scripted(*answers) as server:
        await apply(ControlPlane(server.address), loaded, applying, stream(out))
        bodies = [json.loads(each.partition(b"\r\n\r\n")[2] or b"null") for each in server.asked]
        if asked is not None:
            asked += server.asked
    return bodies, out.getvalue().strip()


async def test_what_exists_already_stays_as_it_is(tmp_path: Path) -> None:
    existing = ok({"revision": 7, "resources": [{"key": "mesh/shop"}]})
    done = ok({"revision": 8, "outcomes": [{"action": "created"}]})
    [_, sent], said = await applied(two(tmp_path), Applying.MISSING, existing, done)
    assert [each["kind"] for each in sent["resources"]] == ["virtualNode"]
    assert said.endswith(
        "mesh shop   1 created, 1 kept as you left them (--fresh brings the example's own back), "
        "revision 8"
    )


async def test_a_mesh_that_is_all_there_is_not_touched(tmp_path: Path) -> None:
    keys = ["mesh/shop", "mesh/shop/virtualNode/web-vn"]
    existing = ok({"revision": 7, "resources": [{"key": key} for key in keys]})
    bodies, said = await applied(two(tmp_path), Applying.MISSING, existing)
    assert bodies == [None]
    assert said.endswith("kept as you left it; --fresh brings the example's own back")


async def test_afresh_deletes_what_the_files_do_not_define(tmp_path: Path) -> None:
    keys = ["mesh/shop", "mesh/shop/virtualNode/old", "mesh/shop/virtualRouter/vr/route/r"]
    keys += ["mesh/other/virtualNode/x", "mesh/shop/virtualRouter/vr"]
    existing = ok({"revision": 7, "resources": [{"key": key} for key in keys]})
    done = ok({"revision": 8, "outcomes": [{"action": "updated"}]})
    asked: list[bytes] = []
    kept = ok({"policies": [{"for": "mesh/shop", "reroute": True}, {"for": "mesh/other"}]})
    answers = (done, existing, ok({}), ok({}), ok({}), kept, ok({}))
    _, said = await applied(two(tmp_path), Applying.AFRESH, *answers, asked=asked)
    assert [each.split()[1].decode() for each in asked if each.startswith(b"DELETE")] == [
        "/v20190125/meshes/shop/virtualRouter/vr/routes/r",
        "/v20190125/meshes/shop/virtualRouters/vr",
        "/v20190125/meshes/shop/virtualNodes/old",
        "/weft/v1/policies/mesh/shop",
    ]
    assert said.endswith("mesh shop   1 updated, 3 deleted, revision 8")


async def test_policies_come_with_what_is_missing_and_not_with_what_was_kept(
    tmp_path: Path,
) -> None:
    more = "policies: [{for: mesh, reroute: on}, {for: virtualNode/web-vn, "
    more += "egressFilter: {type: ALLOW_ALL}}]\n"
    (tmp_path / "weft.yaml").write_text(TWO + more)
    loaded = load([str(tmp_path / "weft.yaml")], {})
    existing = ok({"revision": 7, "resources": [{"key": "mesh/shop"}]})
    done = ok({"revision": 8, "outcomes": [{"action": "created"}]})
    [_, sent], _ = await applied(loaded, Applying.MISSING, existing, done)
    assert sent["policies"] == [
        {"for": "mesh/shop/virtualNode/web-vn", "egressFilter": {"type": "ALLOW_ALL"}}
    ]


async def test_nothing_is_applied_when_others_create_the_mesh(tmp_path: Path) -> None:
    assert await applied(two(tmp_path), Applying.NOTHING, ok({})) == ([], "")


async def test_what_the_store_refuses_is_placed_by_file_and_line(tmp_path: Path) -> None:
    problem = {"path": "resources[1].spec.backends", "message": "no such service"}
    refused = ok({"code": "BadRequestException", "problems": [problem]}, "400 Bad Request")
    with pytest.raises(Invalid) as caught:
        await applied(two(tmp_path), Applying.EVERYTHING, refused)
    [found] = caught.value.problems
    assert found.path.endswith("weft.yaml:7")
    assert found.message == "mesh/shop/virtualNode/web-vn: spec.backends: no such service"


# --- demo ---


def test_the_demo_invites_with_commands_that_name_the_ports_in_use() -> None:
    def commands(api: str) -> tuple[str, ...]:
        settings = Settings.read({API.flag: api}, {"HOME": "/"})
        return demo.invitation(settings, "shop", 7480).commands

    usual, other = commands("127.0.0.1:7400"), commands("127.0.0.1:8400")
    assert usual[1:] == (
        "weft split colorteller white=0",
        "weft policy set mesh/shop reroute=on",
        "weft get proxies",
    )
    assert "aws appmesh describe-route --mesh-name shop" in usual[0]
    assert other[1].startswith("WEFT_ENDPOINT=http://127.0.0.1:8400 weft split")


def test_a_gateway_port_that_is_none_is_named_with_its_flag() -> None:
    settings = Settings.read({}, {"HOME": "/"})
    with pytest.raises(CannotStart, match="--gateway-port is 'x', which is not a port"):
        demo.demo(demo.DemoOptions(settings, environment={"WEFT_DEMO_GATEWAY_PORT": "x"}))
