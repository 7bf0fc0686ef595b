"""Reading and writing DNS messages, and whom else a sidecar asks."""

from __future__ import annotations

import os
from pathlib import Path

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.errors import BadRequest
from weft.sidecar import dns_message as wire
from weft.sidecar.directory import Directory
from weft.sidecar.dns_message import Rcode
from weft.sidecar.dns_options import free_port, table_of
from weft.sidecar.dns_servers import NameServer, name_server, of_machine
from weft.sidecar.options import Options, options

NAMES = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,8}[A-Za-z0-9_])?(\.[A-Za-z0-9]{1,9}){0,4}", fullmatch=True)  # fmt: skip
LONGEST = ".".join(["x" * 63, "y" * 63, "z" * 63, "w" * 61])


@given(NAMES, st.sampled_from(["A", "AAAA", "TXT", "ANY"]), st.booleans())
def test_what_a_client_asks_is_read_and_answered_in_its_own_spelling(
    name: str, type: str, edns: bool
) -> None:
    sent = dns.message.make_query(name, type, use_edns=0 if edns else None)
    query = wire.parse(sent.to_wire())
    assert query is not None
    assert (query.id, query.name, query.extended) == (sent.id, name.lower(), edns)

    answered = dns.message.from_wire(wire.answer(query, ("240.0.0.1", "fd77::1")))
    assert answered.is_response
    assert sent.is_response(answered)
    assert answered.question[0].name.to_text() == name + "."
    there = sorted(each.to_text() for rrset in answered.answer for each in rrset)
    assert (
        there
        == {
            "A": ["240.0.0.1"],
            "AAAA": ["fd77::1"],
            "TXT": [],
            "ANY": ["240.0.0.1", "fd77::1"],
        }[type]
    )

    failed = dns.message.from_wire(wire.failure(query, Rcode.SERVFAIL))
    assert sent.is_response(failed)
    assert failed.rcode() == Rcode.SERVFAIL


@given(NAMES, st.sampled_from([wire.A, wire.AAAA]))
def test_what_we_ask_others_can_read(name: str, type: int) -> None:
    read = dns.message.from_wire(wire.question(7, name.lower(), type))
    assert (read.id, read.question[0].rdtype) == (7, type)
    assert read.question[0].name.to_text() == name.lower() + "."


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_no_bytes_at_all_do_harm(one: bytes, other: bytes) -> None:
    for message in (one, b"\0\1\1\0\0\1\0\0\0\0\0\0" + one, b"\0\1\x81\x80\0\1\0\1\0\0\0\0" + one):
        wire.parse(message)
        wire.parse_answer(message)
        wire.cannot(message)
        wire.answers(message, b"\0\1\1\0\0\1\0\0\0\0\0\0" + other)


def test_the_longest_name_is_one_and_a_longer_one_is_not() -> None:
    for name, read in ((LONGEST, LONGEST), (LONGEST + "ww", "")):
        asked = wire.question(1, name, wire.A)
        query = wire.parse(asked)
        assert query is not None
        assert query.name == read


def test_a_label_with_a_dot_in_it_is_no_name_of_ours() -> None:
    message = b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x08db.local\0" + b"\0\1\0\1"
    query = wire.parse(message)
    assert query is not None
    assert query.name == ""


def test_only_the_answer_to_the_question_is_taken() -> None:
    asked = wire.question(7, "www.example", wire.A)
    right = dns.message.make_response(dns.message.from_wire(asked)).to_wire()
    assert wire.answers(right, asked)
    assert not wire.answers(wire.with_id(right, 8), asked)
    assert not wire.answers(asked, asked)
    other = dns.message.from_wire(wire.question(7, "evil.example", wire.A))
    assert not wire.answers(dns.message.make_response(other).to_wire(), asked)


# --- name servers ----------------------------------------------------------------------------


def test_name_servers_are_read_from_resolv_conf_without_our_own(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# a comment\nnameserver 127.0.0.1\nnameserver 10.0.0.2 # the first\n"
        "nameserver fe80::1%1\nnameserver what\nsearch a b\nnameserver 10.0.0.2\n"
        "nameserver 10.0.0.3\nnameserver 10.0.0.4\n"
    )
    own = NameServer("127.0.0.1")
    assert of_machine(NameServer("0.0.0.0"), str(path)) == of_machine(own, str(path))
    # At another port, what is there is somebody else.
    assert of_machine(NameServer("127.0.0.1", 5353), str(path))[0] == own
    found = of_machine(own, str(path))
    assert [each.host for each in found] == ["10.0.0.2", "fe80::1%1", "10.0.0.3"]
    assert found[1].address() == ("fe80::1%1".partition("%")[0], 53, 0, 1)
    assert of_machine(own, str(tmp_path / "nothing")) == ()


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1", "127.0.0.1", 53),
        ("127.0.0.1:5353", "127.0.0.1", 5353),
        ("::1", "::1", 53),
        ("[::1]", "::1", 53),
        ("[::1]:5353", "::1", 5353),
    ],
)
def test_an_address_may_have_a_port(text: str, host: str, port: int) -> None:
    assert name_server(text) == NameServer(host, port)


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "127.0.0.1:0", "[::1", "::1:x", "a:53"])
def test_a_name_is_no_address(text: str) -> None:
    with pytest.raises(BadRequest):
        name_server(text)


# --- options ---------------------------------------------------------------------------------


def read(*arguments: str, **environment: str) -> Options:
    given = ["--proxy", "mesh/shop/virtualNode/web", *arguments]
    return options(given, {"HOME": "/home/op", **environment})


def test_names_are_answered_where_it_is_asked_for() -> None:
    found = read("--mode", "transparent", "--dns", "127.0.0.1", "--dns-upstream", "10.0.0.2:5353")
    assert found.dns == NameServer("127.0.0.1")
    assert found.dns_upstreams == (NameServer("10.0.0.2", 5353),)
    found = read(WEFT_MODE="transparent", WEFT_DNS="[::1]:5353", WEFT_DNS_UPSTREAM="::2,10.0.0.2")
    assert found.dns == NameServer("::1", 5353)
    assert found.dns_upstreams == (NameServer("::2"), NameServer("10.0.0.2"))
    assert read().dns is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dns", "127.0.0.1"], "no meaning in explicit mode"),
        (["--dns-upstream", "10.0.0.2"], "no meaning without --dns"),
        (["--mode", "transparent", "--dns", "names.local"], "is not an IP address"),
        (
            ["--mode", "transparent", "--dns", "127.0.0.1", "--dns-upstream", "127.0.0.1"],
            "would ask itself",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        read(*arguments)


def test_a_gateway_has_no_workload_that_asks() -> None:
    given = ["--proxy", "mesh/shop/virtualGateway/front", "--mode", "transparent"]
    with pytest.raises(BadRequest, match="needs a virtual node"):
        options([*given, "--dns", "127.0.0.1"], {"HOME": "/home/op"})


def test_the_port_for_envoy_is_the_same_after_a_restart(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path), "i", os.open(tmp_path, os.O_RDONLY), str(tmp_path))
    first = free_port(directory)
    assert free_port(directory) == first
    (tmp_path / "dns_port").write_text("nonsense")
    assert free_port(directory) > 0
    os.close(directory.lock)


def test_the_names_in_force_are_read_from_what_was_kept() -> None:
    table = {
        "virtual_domains": [
            {
                "name": "db.local",
                "endpoint": {"address_list": {"address": ["240.0.0.1", "fd77::1"]}},
            }
        ]
    }
    listeners = [
        {"name": "lds_egress_0.0.0.0_15001", "listener_filters": [{"name": "original_dst"}]},
        {
            "name": "lds_dns_127.0.0.1_15353",
            "listener_filters": [
                {
                    "name": "envoy.filters.udp.dns_filter",
                    "typed_config": {"server_config": {"inline_dns_table": table}},
                }
            ],
        },
    ]
    assert table_of(listeners) == {"db.local": ("240.0.0.1", "fd77::1")}
    assert table_of([]) == {}
