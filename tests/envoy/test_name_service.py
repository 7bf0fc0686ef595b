"""The sidecar's name service in front of a real Envoy's table, asked by clients of all kinds."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.builders import state_from, view_of
from tests.envoy.envoy_binary import envoy_binary, write_bootstrap
from tests.envoy.name_server import NameServer, name_server
from weft.errors import CannotStart
from weft.names import Ports
from weft.resolve.proxy import resolve
from weft.sidecar.dns import NameService
from weft.sidecar.dns_servers import NameServer as Server
from weft.translate.proxy import translate

pytestmark = pytest.mark.envoy

MESH = {
    "nodes": {
        "web": {"calls": ["db.mesh.local", "DB-B.mesh.local"]},
        "db": {"listen": "3306/tcp"},
    },
    "services": {"db.mesh.local": "node db", "DB-B.mesh.local": "node db"},
}
V6 = {**MESH, "mesh": {"serviceDiscovery": {"ipPreference": "IPv6_PREFERRED"}}}


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Machine:
    """An Envoy with a table, another name server, and the service between."""

    def __init__(self, directory: Path, mesh: dict[str, object], outside: NameServer) -> None:
        self.directory = directory
        self.outside = outside
        self.port = free_udp_port()
        self.envoy_port = free_udp_port()
        self.warnings: list[str] = []
        proxy = resolve(state_from(mesh), view_of("web", ports=Ports(dns=self.envoy_port)))
        (server,) = proxy.name_servers
        self.table = {each.name: each.addresses for each in server.table}
        # The proxy's other listeners are at fixed ports, which belong to the whole machine.
        alone = translate(type(proxy)(name_servers=proxy.name_servers))
        self._bootstrap = write_bootstrap(directory / "envoy.json", alone)
        self._envoy: subprocess.Popen[bytes] | None = None
        self.service = self.serve(Server(*outside.address))

    def serve(self, *servers: Server) -> NameService:
        self.service = NameService(
            Server("127.0.0.1", self.port), self.envoy_port, servers, self.warnings.append
        )
        self.service.start()
        return self.service

    def start_envoy(self) -> None:
        self._envoy = subprocess.Popen(
            [
                *(envoy_binary(), "-c", str(self._bootstrap), "--use-dynamic-base-id"),
                *("--concurrency", "1", "-l", "critical"),
            ]
        )
        deadline = time.monotonic() + 30
        while True:
            asked = dns.message.make_query("db.mesh.local", "A")
            try:
                dns.query.udp(asked, "127.0.0.1", timeout=0.2, port=self.envoy_port)
            except (OSError, dns.exception.Timeout):
                assert time.monotonic() < deadline
            else:
                return

    def kill_envoy(self) -> None:
        if self._envoy is not None:
            self._envoy.kill()
            self._envoy.wait()

    def ask(
        self, name: str, type: str = "A", *, tcp: bool = False, edns: bool = False
    ) -> dns.message.Message:
        """Checked by dnspython: the id, the question with its case, and the format."""
        query = dns.message.make_query(name, type, use_edns=0 if edns else None)
        over = dns.query.tcp if tcp else dns.query.udp
        return over(query, "127.0.0.1", timeout=8, port=self.port)

    def addresses(self, name: str, type: str = "A", **how: bool) -> list[str]:
        found = self.ask(name, type, **how)
        assert found.rcode() == dns.rcode.NOERROR
        return [each.to_text() for rrset in found.answer for each in rrset]


@pytest.fixture(scope="module")
def outside() -> Iterator[NameServer]:
    with name_server() as made:
        made.records[("www.example", "A")] = ["192.0.2.80"]
        made.records[("www.example", "TXT")] = ['"hello"']
        made.records[("big.example", "A")] = [f"192.0.2.{i}" for i in range(1, 60)]
        yield made


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, outside: NameServer) -> Iterator[Machine]:
    made = Machine(tmp_path_factory.mktemp("names"), MESH, outside)
    made.start_envoy()
    yield made
    made.service.stop()
    made.kill_envoy()
    assert made.warnings == []


@pytest.fixture(autouse=True)
def _as_usual(outside: NameServer) -> None:
    outside.silent = outside.refuses = outside.truncates = False
    outside.asked.clear()
    outside.messages.clear()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("edns", [False, True], ids=["plain", "edns"])
def test_a_name_of_the_mesh_has_its_virtual_address(
    machine: Machine, tcp: bool, edns: bool
) -> None:
    found = machine.ask("db.mesh.local", tcp=tcp, edns=edns)
    (rrset,) = found.answer
    assert [each.to_text() for each in rrset] == list(machine.table["db.mesh.local"])
    assert rrset.ttl == 5
    assert found.flags & dns.flags.RA
    assert (found.edns == 0) is edns


def test_letters_of_any_case_ask_for_the_same_name_and_come_back_as_sent(machine: Machine) -> None:
    found = machine.ask("Db.MESH.lOcAl.")
    assert found.question[0].name.to_text() == "Db.MESH.lOcAl."
    assert found.answer[0].name.to_text() == "Db.MESH.lOcAl."
    # A service that is called in capitals has the same address as any other.
    assert machine.addresses("db-b.mesh.local") == list(machine.table["db-b.mesh.local"])


@pytest.mark.parametrize("type", ["AAAA", "TXT", "MX", "HTTPS", "SRV", "PTR"])
def test_what_a_name_of_the_mesh_does_not_have_is_empty_and_not_an_error(
    machine: Machine, outside: NameServer, type: str
) -> None:
    assert machine.addresses("db.mesh.local", type) == []
    assert outside.asked == []


def test_what_is_near_a_name_of_the_mesh_is_somebody_elses(
    machine: Machine, outside: NameServer
) -> None:
    for name in ("x.db.mesh.local", "db.mesh.local.search.example", "mesh.local", "db"):
        assert machine.ask(name).rcode() == dns.rcode.NXDOMAIN
        assert outside.asked[-1][0] == name + "."


def test_all_else_is_passed_on_word_for_word(machine: Machine, outside: NameServer) -> None:
    option = dns.edns.GenericOption(65001, b"weft")
    query = dns.message.make_query("WWW.example", "TXT", use_edns=0, options=[option], payload=900)
    query.flags |= dns.flags.AD
    found = dns.query.udp(query, "127.0.0.1", timeout=5, port=machine.port)

    assert found.answer[0][0].to_text() == '"hello"'
    sent, arrived = query.to_wire(), outside.messages[-1]
    assert arrived[2:] == sent[2:]
    assert arrived[:2] != sent[:2], "an id of our own, or answers could be guessed"


def test_a_cut_answer_is_asked_for_again_by_tcp(machine: Machine, outside: NameServer) -> None:
    outside.truncates = True
    query = dns.message.make_query("big.example", "A")
    found, by_tcp = dns.query.udp_with_fallback(query, "127.0.0.1", 5, machine.port)
    assert by_tcp
    assert len(found.answer[0]) == 59
    assert [transport for _, _, transport in outside.asked] == ["udp", "tcp"]


def test_nonsense_is_survived(machine: Machine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", machine.port))
        for message in (
            b"",
            b"x",
            bytes(12),
            bytes(600),
            b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1",
            b"\0\1\1\0\0\1\0\0\0\0\0\0\x3fshort",
            b"\0\1\x81\x80\0\1\0\0\0\0\0\0\0\0\1\0\1",
            b"\xff" * 512,
        ):
            client.send(message)
    with socket.create_connection(("127.0.0.1", machine.port)) as client:
        client.sendall(b"\0\3abc")
        client.settimeout(5)
        assert client.recv(100) == b""
    assert machine.addresses("db.mesh.local") == list(machine.table["db.mesh.local"])


def test_a_server_that_is_silent_or_refuses_is_passed_over(
    tmp_path: Path, outside: NameServer, machine: Machine
) -> None:
    dead = Server("127.0.0.1", free_udp_port())
    with name_server() as silent, name_server() as refusing:
        silent.silent = refusing.refuses = True
        servers = [Server(*each.address) for each in (refusing, silent, outside)]
        port = free_udp_port()
        for others in ([dead, servers[2]], [servers[0], servers[2]], [servers[1], servers[2]]):
            service = NameService(Server("127.0.0.1", port), machine.envoy_port, others, print)
            service.start()
            try:
                query = dns.message.make_query("www.example", "A")
                found = dns.query.udp(query, "127.0.0.1", timeout=4, port=port)
                assert found.answer[0][0].to_text() == "192.0.2.80"
            finally:
                service.stop()


def test_a_name_server_that_never_answers_holds_up_nobody_else(
    machine: Machine, outside: NameServer
) -> None:
    outside.silent = True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", machine.port))
        for i in range(400):
            client.send(dns.message.make_query(f"n{i}.example", "A").to_wire())
        begun = time.monotonic()
        assert machine.addresses("db.mesh.local")
        assert time.monotonic() - begun < 1
        # More than can be on their way at once are refused right away, and tried again later.
        client.settimeout(5)
        assert dns.message.from_wire(client.recv(600)).rcode() == dns.rcode.SERVFAIL


def test_while_envoy_is_away_the_table_last_known_answers(
    tmp_path: Path, outside: NameServer
) -> None:
    machine = Machine(tmp_path, V6, outside)
    try:
        # Nothing was ever known: any answer might be the wrong one.
        assert machine.ask("db.mesh.local").rcode() == dns.rcode.SERVFAIL
        assert machine.ask("www.example").rcode() == dns.rcode.SERVFAIL
        machine.start_envoy()
        v4, v6 = machine.table["db.mesh.local"]
        assert machine.addresses("db.mesh.local", "AAAA") == [v6]
        assert set(machine.addresses("db.mesh.local", "ANY")) == {v4, v6}
        machine.service.know(machine.table)
        # Where only version 4 is redirected, an address of version 6 would lead past the proxy.
        machine.service._v6 = False
        assert machine.addresses("db.mesh.local", "AAAA") == []
        machine.service._v6 = True
        machine.kill_envoy()
        for tcp in (False, True):
            assert machine.addresses("db.mesh.local", "A", tcp=tcp) == [v4]
            assert machine.addresses("db.mesh.local", "AAAA", tcp=tcp) == [v6]
            assert machine.addresses("www.example", tcp=tcp) == ["192.0.2.80"]
        machine.start_envoy()
        assert machine.addresses("db.mesh.local") == [v4]
    finally:
        machine.service.stop()
        machine.kill_envoy()


def test_an_address_that_is_taken_is_said(machine: Machine) -> None:
    second = NameService(Server("127.0.0.1", machine.port), machine.envoy_port, (), print)
    with pytest.raises(CannotStart, match="names cannot be answered"):
        second.start()
    second.stop()


# --- C libraries -----------------------------------------------------------------------------

LOOKUP = r"""
#include <netdb.h>
#include <stdio.h>
#include <arpa/inet.h>
int main(int count, char **names) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found, *each;
    for (int i = 1; i < count; i++) {
        int error = getaddrinfo(names[i], "80", &hints, &found);
        printf("%s", names[i]);
        if (error) { printf(" %s\n", gai_strerror(error)); continue; }
        for (each = found; each; each = each->ai_next) {
            char text[64];
            void *address = each->ai_family == AF_INET
                ? (void *)&((struct sockaddr_in *)each->ai_addr)->sin_addr
                : (void *)&((struct sockaddr_in6 *)each->ai_addr)->sin6_addr;
            printf(" %s", inet_ntop(each->ai_family, address, text, sizeof text));
        }
        printf("\n");
    }
}
"""


MOUNTED = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


@pytest.mark.parametrize("compiler", ["cc", "musl-gcc"], ids=["glibc", "musl"])
def test_c_libraries_find_names_that_have_no_address_of_version_6(
    compiler: str, machine: Machine, tmp_path: Path
) -> None:
    """musl gives a name up when the answer for either family is "no such name"."""
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler} (apt-get install gcc musl-tools)")
    if not _may_mount():
        pytest.skip("only root may put another resolv.conf in front of a program")
    program, source = tmp_path / "lookup", tmp_path / "lookup.c"
    source.write_text(LOOKUP)
    subprocess.run([compiler, "-static", "-w", "-o", program, source], check=True)
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.53\nsearch mesh.local\noptions timeout:2\n")
    at_port_53 = NameService(
        Server("127.0.0.53"), machine.envoy_port, (Server(*machine.outside.address),), print
    )
    try:
        at_port_53.start()
    except CannotStart:
        pytest.skip("another name server has 127.0.0.53")
    names = ["db.mesh.local", "DB.Mesh.Local", "db.mesh.local.", "db", "www.example", "no.example"]
    try:
        # Statically linked glibc would load its name services at run time; this one asks DNS alone.
        said = subprocess.run(
            [
                *("unshare", "-m", "sh", "-c", MOUNTED, "sh", str(resolv_conf)),
                *(str(program), *names),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    finally:
        at_port_53.stop()
    found = dict(line.split(" ", 1) for line in said.splitlines())
    (address,) = machine.table["db.mesh.local"]
    assert [found[name] for name in names[:5]] == [address] * 4 + ["192.0.2.80"]
    assert found["no.example"] in ("Name or service not known", "Name does not resolve")


def _may_mount() -> bool:
    return (
        shutil.which("unshare") is not None
        and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode
        == 0
    )


def test_a_flood_of_questions_is_answered_without_a_loss(machine: Machine) -> None:
    """Four clients, each with one question after the other."""
    (address,) = machine.table["db.mesh.local"]
    lost: list[str] = []
    counts: list[int] = []
    ends = time.monotonic() + 1

    def client() -> None:
        count = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.connect(("127.0.0.1", machine.port))
            own.settimeout(2)
            while time.monotonic() < ends:
                own.send(dns.message.make_query("db.mesh.local", "A").to_wire())
                try:
                    found = dns.message.from_wire(own.recv(600))
                    if found.answer[0][0].to_text() != address:
                        lost.append("wrong")
                except (TimeoutError, IndexError) as error:
                    lost.append(repr(error))
                count += 1
        counts.append(count)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    assert lost == []
    assert sum(counts) > 200
