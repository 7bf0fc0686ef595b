"""What a sidecar redirects, as it is told by flags, by App Mesh's variables and in ECS's spelling."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weft.errors import BadRequest
from weft.names import Mode
from weft.sidecar.options import Options, options
from weft.sidecar.program import main
from weft.sidecar.rules import METADATA_ADDRESSES, Interception

WEB = "mesh/shop/virtualNode/web"

PROXY_CONFIGURATION = {
    "type": "APPMESH",
    "containerName": "envoy",
    "properties": [
        {"name": "IgnoredUID", "value": "1337"},
        {"name": "ProxyIngressPort", "value": "15000"},
        {"name": "ProxyEgressPort", "value": "15001"},
        {"name": "AppPorts", "value": "9080,9081"},
        {"name": "EgressIgnoredIPs", "value": "169.254.170.2,169.254.169.254"},
        {"name": "EgressIgnoredPorts", "value": ""},
    ],
}


def read(*arguments: str, **environment: str) -> Options:
    return options(["--proxy", WEB, "--data", "/tmp", *arguments], environment)


def asked(*arguments: str, **environment: str) -> Interception:
    found = read(*arguments, **environment).intercept
    assert found is not None
    return found


def test_nothing_is_redirected_unless_it_is_asked_for() -> None:
    assert read().intercept is None
    assert read(APPMESH_APP_PORTS="9080", APPMESH_START_ENABLED="0").intercept is None


def test_to_redirect_is_transparent_mode_with_app_meshs_ports() -> None:
    found = read("--intercept")

    assert (found.mode, found.egress) == (Mode.TRANSPARENT, 15001)
    assert found.intercept == Interception(
        app_ports=None,
        egress_ignored_ports=(22,),
        egress_ignored_ips=METADATA_ADDRESSES,
        ingress_port=15000,
        egress_port=15001,
    )


def test_the_variables_of_the_script_for_ec2_are_understood() -> None:
    found = asked(
        APPMESH_START_ENABLED="1",
        APPMESH_IGNORE_UID="1337",
        APPMESH_IGNORE_GID="1338",
        APPMESH_APP_PORTS="80,443",
        APPMESH_ENVOY_EGRESS_PORT="15101",
        APPMESH_EGRESS_IGNORED_IP="169.254.169.254, fd00:ec2::254,10.0.0.1/8",
        APPMESH_EGRESS_IGNORED_PORTS="3306,25",
        APPMESH_ENABLE_IPV6="0",
    )

    assert found == Interception(
        app_ports=(80, 443),
        ignored_uid=1337,
        ignored_gid=1338,
        egress_ignored_ports=(3306, 25, 22),
        egress_ignored_ips=("169.254.169.254", "fd00:ec2::254", "10.0.0.0/8"),
        egress_port=15101,
        ipv6=False,
    )


@pytest.mark.parametrize(
    "shape", [PROXY_CONFIGURATION, {"proxyConfiguration": PROXY_CONFIGURATION}]
)
def test_the_proxy_configuration_of_a_task_definition_is_understood(
    shape: object, tmp_path: Path
) -> None:
    file = tmp_path / "task.json"
    file.write_text(json.dumps(shape))

    found = asked("--intercept", "--proxy-configuration", str(file))

    assert found == asked("--intercept", "--proxy-configuration", json.dumps(shape))
    assert found == Interception(
        app_ports=(9080, 9081),
        ignored_uid=1337,
        egress_ignored_ips=("169.254.170.2", "169.254.169.254"),
    )


def test_a_flag_wins_over_the_proxy_configuration_and_that_over_a_variable() -> None:
    found = asked(
        "--intercept",
        *("--app-ports", "1", "--proxy-configuration", json.dumps(PROXY_CONFIGURATION)),
        APPMESH_IGNORE_UID="7",
    )

    assert (found.app_ports, found.ignored_uid) == ((1,), 1337)


def test_lists_can_be_empty() -> None:
    found = asked("--intercept", "--egress-ignored-ips", "", "--app-ports", "")

    assert (found.egress_ignored_ips, found.app_ports) == ((), ())
    assert found.egress_ignored_ports == (22,), "SSH never was redirected"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--app-ports", "80"], "--app-ports has no meaning without --intercept"),
        (["--dry-run"], "--dry-run has no meaning without --intercept"),
        (["--intercept", "--app-ports", "80,x"], "--app-ports: 'x' is not a port"),
        (["--intercept", "--ignore-uid", "envoy"], "'envoy' is not the number of a user"),
        (["--intercept", "--egress-ignored-ips", "aws"], "'aws' is no address and no network"),
        (["--intercept", "--intercept-ipv6", "maybe"], "none of auto, yes and no"),
        (["--intercept", "--mode", "explicit"], "explicit mode contradict each other"),
        (["--intercept", "--proxy-ingress-port", "1"], "the proxy accepts at 15000, not at 1"),
        (["--intercept", "--proxy-egress-port", "15000"], "cannot be both"),
        (["--intercept", "--proxy-configuration", "/no/such"], "/no/such cannot be read"),
        (["--intercept", "--proxy-configuration", "{}"], "is no proxyConfiguration"),
        (
            ["--intercept", "--proxy-configuration", '[{"name": "UID", "value": "1"}]'],
            "'UID' is no property of it",
        ),
        (
            ["--intercept", "--proxy", "mesh/shop/virtualGateway/edge"],
            "--intercept needs a virtual node",
        ),
    ],
)
def test_a_mistake_is_named_with_what_to_do(arguments: list[str], words: str) -> None:
    with pytest.raises(BadRequest, match=words) as found:
        read(*arguments)

    assert found.value.fix


def test_a_dry_run_prints_the_rules_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    dry = ["--proxy", WEB, "--data", "/nowhere", "--intercept", "--dry-run"]

    assert main([*dry, "--app-ports", "9080"]) == 0

    said = capsys.readouterr().out
    assert (
        "-A APPMESH_INGRESS -p tcp -m multiport --dports 9080 -j REDIRECT --to-ports 15000" in said
    )
    assert "-m mark --mark 1337 -j RETURN" in said


def test_the_rules_are_printed_for_those_who_install_them_themselves(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["rules", "--app-ports", "9080", "--ignore-uid", "1337"]) == 0

    said = capsys.readouterr().out
    assert "--uid-owner 1337" in said
    assert "--mark" not in said
    assert main(["rules", "--ingress", "1"]) == 2
    assert main(["rules", "--install", "--remove"]) == 2
    assert main(["rules", "--install"]) == 2, "whose connections are the proxy's?"
