"""The options of a sidecar: flags, environment, and one clear error per mistake."""

from __future__ import annotations

import pytest

from weft.errors import BadRequest
from weft.names import BackendPort, IngressPort, Mode, ProxyId
from weft.sidecar.flags import FLAGS, parser
from weft.sidecar.options import Options, options
from weft.sidecar.program import main
from weft.sidecar.values import Pipe, Tcp

FRONT = "mesh/shop/virtualGateway/front"
WEB = "mesh/shop/virtualNode/web"
HOME = {"HOME": "/home/op"}


def read(*arguments: str, **environment: str) -> Options:
    return options(["--proxy", WEB, *arguments], {**HOME, **environment})


def test_a_proxy_id_is_enough() -> None:
    found = options(["--proxy", WEB], HOME)

    assert found.proxy == ProxyId.parse(WEB)
    assert found.xds == Tcp("127.0.0.1", 7401)
    assert (found.mode, found.egress, found.concurrency) == (Mode.EXPLICIT, 0, 1)
    assert (found.drain_seconds, found.restarts, found.instance) == (5.0, None, None)
    assert found.data == "/home/op/.local/state/weft"


def test_ports_are_read_and_sorted() -> None:
    found = read(
        "--ingress", "9090=0:8090", "--ingress", "9080=19080:8080", "--backend", "db.local:3306=0"
    )

    assert found.ingress == (IngressPort(9080, 19080, 8080), IngressPort(9090, 0, 8090))
    assert found.backends == (BackendPort("db.local", 3306, 0),)


def test_app_meshs_variables_stand_in() -> None:
    found = options(
        [],
        {
            **HOME,
            "APPMESH_RESOURCE_ARN": f"arn:aws:appmesh:us-west-2:000000000000:{WEB}",
            "APPMESH_XDS_ENDPOINT": "unix:///run/xds.sock",
            "ENVOY_LOG_LEVEL": "DEBUG",
            "ENVOY_CONCURRENCY": "-1",
            "LISTENER_DRAIN_WAIT_TIME_S": "20",
            "APPNET_ENVOY_RESTART_COUNT": "3",
        },
    )

    assert (str(found.proxy), found.xds) == (WEB, Pipe("/run/xds.sock"))
    assert (found.log_level, found.concurrency, found.drain_seconds, found.restarts) == (
        "debug",
        0,
        20.0,
        3,
    )


def test_ours_win_over_app_meshs_and_flags_over_both() -> None:
    variables = {"WEFT_XDS": "127.0.0.1:2", "APPMESH_XDS_ENDPOINT": "127.0.0.1:3"}

    assert read(**variables).xds == Tcp("127.0.0.1", 2)
    assert read("--xds", "[::1]:1", **variables).xds == Tcp("::1", 1)


def test_a_repeated_option_is_separated_by_commas_in_its_variable() -> None:
    assert len(read(WEFT_INGRESS="9080=0:8080, 9090=0:8090").ingress) == 2


def test_behind_a_gateways_listener_there_is_no_workload() -> None:
    for said in ("8080=8081", "8080=8081:0"):
        assert read("--proxy", FRONT, "--ingress", said).ingress == (IngressPort(8080, 8081, 0),)


def test_a_gateway_listens_at_its_own_ports_unless_it_is_given_sockets() -> None:
    assert read("--proxy", FRONT).mode is Mode.TRANSPARENT
    assert read("--proxy", FRONT, "--ingress", "8080=8080").mode is Mode.EXPLICIT


def test_transparent_mode_has_app_meshs_ports() -> None:
    assert read("--mode", "transparent").egress == 15001


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--proxy", "web"], "--proxy: not a proxy id"),
        (["--xds", "127.0.0.1"], "--xds: '127.0.0.1' is not an address"),
        (["--xds", "127.0.0.1:0"], "--xds: '0' is not a port"),
        (["--xds", "http://127.0.0.1:7401"], "is not an address"),
        (["--xds", "unix:"], "a Unix socket needs a path"),
        (["--mode", "magic"], "'magic' is not a mode"),
        (["--instance", "../x"], "is not an instance id"),
        (["--ingress", "9080"], "'9080' is not LISTENER=SOCKET:APP"),
        (["--ingress", "9080=0:x"], "'x' is not a port"),
        (["--ingress", "9080=0"], "9080=0 does not say where the workload listens"),
        (["--proxy", FRONT, "--ingress", "1=2:3"], "1=2:3: nothing is behind a gateway"),
        (["--proxy", FRONT, "--mode", "explicit"], "none of its listeners has a socket"),
        (["--ingress", "1=0:2", "--ingress", "1=0:3"], "names one listener port twice"),
        (["--backend", "db=0"], "'db=0' is not NAME:PORT=SOCKET"),
        (["--backend", "db:1=0", "--backend", "db:1=0"], "names one port of a service twice"),
        (
            ["--ingress", "1=5:2", "--egress", "5"],
            "port 5 is asked for by --ingress 1 and by --egress",
        ),
        (["--egress", "65536"], "'65536' is not a port"),
        (["--egress", "²"], "'²' is not a port"),
        (["--mode", "transparent", "--egress", "1"], "--egress has no meaning in transparent mode"),
        (["--drain-time", "soon"], "'soon' is not a time"),
        (["--drain-time", "2h"], "'2h' is not a time"),
        (["--log-level", "loud"], "'loud' is not a log level"),
        (["--concurrency", "x"], "'x' is not a number of threads"),
        (["--restarts=-1"], "'-1' is not a count"),
        (["--bogus"], "unrecognized arguments: --bogus"),
    ],
)
def test_a_wrong_value_is_named_with_its_option_and_a_fix(
    arguments: list[str], message: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        read(*arguments)

    assert message in caught.value.message
    assert caught.value.fix


def test_a_wrong_variable_is_named_as_the_variable() -> None:
    with pytest.raises(BadRequest, match="ENVOY_CONCURRENCY: 'many' is not"):
        read(ENVOY_CONCURRENCY="many")


def test_a_machine_without_a_home_needs_a_data_directory() -> None:
    with pytest.raises(BadRequest, match="no directory to keep"):
        options(["--proxy", WEB], {})


def test_a_mistake_ends_with_two_lines_and_status_two(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--proxy", WEB, "--egress", "x"]) == 2

    assert capfd.readouterr().err.splitlines() == [
        "error: --egress: 'x' is not a port",
        "fix:   give a whole number from 0 to 65535",
    ]


def test_every_option_is_explained_and_has_a_variable() -> None:
    text = parser().format_help()

    for flag in FLAGS:
        assert flag.name in text
        assert flag.variables[0] == "WEFT_" + flag.name[2:].replace("-", "_").upper()
        assert flag.variables[0] in text
