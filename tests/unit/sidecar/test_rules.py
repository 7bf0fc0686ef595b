"""The kernel's rules as text."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from weft.sidecar.rules import IPV4, IPV6, MARK, Family, Interception, installed, removed

PORTS = st.lists(st.integers(1, 65535), max_size=50)

# What `iptables-save -t nat` says after a proxy for port 9080 was killed.
LEFT = """\
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:APPMESH_EGRESS - [0:0]
:APPMESH_INGRESS - [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A PREROUTING -p tcp -m addrtype ! --src-type LOCAL -j APPMESH_INGRESS
-A OUTPUT -p tcp -m addrtype ! --dst-type LOCAL -j APPMESH_EGRESS
-A APPMESH_EGRESS -p tcp -j REDIRECT --to-ports 15001
-A APPMESH_INGRESS -p tcp -m multiport --dports 9080 -j REDIRECT --to-ports 15000
COMMIT
"""


def test_the_rules_are_app_meshs_own() -> None:
    asked = Interception(
        ignored_uid=1337, egress_ignored_ips=("169.254.170.2", "169.254.169.254", "fd00:ec2::254")
    )

    assert installed(asked, IPV4, (9080,), mark=None).splitlines() == [
        "*nat",
        ":APPMESH_EGRESS - [0:0]",
        ":APPMESH_INGRESS - [0:0]",
        "-A APPMESH_EGRESS -m owner --uid-owner 1337 -j RETURN",
        "-A APPMESH_EGRESS -p tcp -m multiport --dports 22 -j RETURN",
        "-A APPMESH_EGRESS -p tcp -d 169.254.170.2 -j RETURN",
        "-A APPMESH_EGRESS -p tcp -d 169.254.169.254 -j RETURN",
        "-A APPMESH_EGRESS -p tcp -j REDIRECT --to-ports 15001",
        "-A OUTPUT -p tcp -m addrtype ! --dst-type LOCAL -j APPMESH_EGRESS",
        "-A APPMESH_INGRESS -p tcp -m multiport --dports 9080 -j REDIRECT --to-ports 15000",
        "-A PREROUTING -p tcp -m addrtype ! --src-type LOCAL -j APPMESH_INGRESS",
        "COMMIT",
    ]
    assert "-d fd00:ec2::254 -j RETURN" in installed(asked, IPV6, (9080,), mark=None)
    assert "169.254" not in installed(asked, IPV6, (9080,), mark=None)


def test_connections_of_a_group_or_with_a_mark_are_let_alone_too() -> None:
    text = installed(Interception(ignored_gid=20), IPV4, (), mark=MARK)

    assert "-A APPMESH_EGRESS -m owner --gid-owner 20 -j RETURN" in text
    assert "-A APPMESH_EGRESS -m mark --mark 1337 -j RETURN" in text


def test_without_app_ports_there_is_no_ingress_chain() -> None:
    text = installed(Interception(), IPV4, (), mark=MARK)

    assert "INGRESS" not in text
    assert "PREROUTING" not in text


@given(PORTS, PORTS)
def test_no_port_is_left_out_however_many_there_are(app: list[int], ignored: list[int]) -> None:
    text = installed(Interception(egress_ignored_ports=(*ignored, 22)), IPV4, app, mark=None)
    found: dict[str, list[int]] = {"APPMESH_INGRESS": [], "APPMESH_EGRESS": []}
    for line in text.splitlines():
        if "--dports" in line:
            words = line.split()
            ports = words[words.index("--dports") + 1].split(",")
            assert len(ports) <= 15, "a multiport match takes no more"
            found[words[1]] += map(int, ports)

    assert sorted(found["APPMESH_INGRESS"]) == sorted(set(app))
    assert sorted(found["APPMESH_EGRESS"]) == sorted({*ignored, 22})


@given(st.lists(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str), max_size=20))
def test_each_address_is_let_alone_by_the_rules_of_its_family(addresses: list[str]) -> None:
    def let_alone(family: Family) -> set[str]:
        text = installed(Interception(egress_ignored_ips=tuple(addresses)), family, (), mark=None)
        return {line.split()[5] for line in text.splitlines() if " -d " in line}

    by_version = {
        version: {a for a in addresses if ipaddress.ip_address(a).version == version}
        for version in (4, 6)
    }
    assert let_alone(IPV4) == by_version[4]
    assert let_alone(IPV6) == by_version[6]


def test_what_a_killed_proxy_left_is_replaced_in_the_same_step() -> None:
    text = installed(Interception(), IPV4, (80,), mark=None, saved=LEFT)

    assert text.index("-D OUTPUT") < text.index("-A OUTPUT")
    assert "-D PREROUTING -p tcp -m addrtype ! --src-type LOCAL -j APPMESH_INGRESS" in text
    assert "9080" not in text
    assert "DOCKER" not in text


def test_an_ingress_chain_that_is_no_longer_needed_goes() -> None:
    text = installed(Interception(), IPV4, (), mark=None, saved=LEFT)

    assert "-X APPMESH_INGRESS" in text
    assert "-A PREROUTING" not in text


def test_removal_takes_all_of_ours_and_nothing_else() -> None:
    assert removed(LEFT).splitlines() == [
        "*nat",
        "-D PREROUTING -p tcp -m addrtype ! --src-type LOCAL -j APPMESH_INGRESS",
        "-D OUTPUT -p tcp -m addrtype ! --dst-type LOCAL -j APPMESH_EGRESS",
        "-F APPMESH_EGRESS",
        "-F APPMESH_INGRESS",
        "-X APPMESH_EGRESS",
        "-X APPMESH_INGRESS",
        "COMMIT",
    ]
    assert removed("*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n") == ""
