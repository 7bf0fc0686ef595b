"""How a proxy proves who it is, and whom it trusts."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft.errors import BadRequest
from weft.names import ProxyId, View
from weft.sidecar.access import Access, without_tokens
from weft.sidecar.bootstrap import Json, bootstrap
from weft.sidecar.options import options
from weft.sidecar.values import Address, Pipe, Tcp

PROXY = ("--proxy", "mesh/m/virtualNode/n")
HOME = {"HOME": "/home/x"}


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("weft_one\n")
    return file


@pytest.fixture
def pem(tmp_path: Path) -> str:
    file = tmp_path / "some.pem"
    file.write_text("-----BEGIN CERTIFICATE-----")
    return str(file)


def bootstrapped(access: Access, xds: Address | None = None) -> Json:
    return bootstrap(
        View(ProxyId.parse("mesh/m/virtualNode/n")),
        "one",
        xds=xds or Tcp("mesh.example", 7401),
        status="",
        admin="/a",
        max_connections=1,
        access=access,
    )


def metadata(made: Json) -> list[Json]:
    (service,) = made["dynamic_resources"]["ads_config"]["grpc_services"]
    return service.get("initial_metadata", [])


def test_without_a_token_nothing_is_said() -> None:
    made = bootstrapped(Access())
    assert metadata(made) == []
    assert "transport_socket" not in made["static_resources"]["clusters"][0]


def test_a_token_is_said_when_a_stream_opens(token_file: Path) -> None:
    access = options([*PROXY, "--token-file", str(token_file)], HOME).access
    said = {"key": "authorization", "value": "Bearer weft_one"}
    assert metadata(bootstrapped(access)) == [said]
    assert metadata(bootstrapped(options(PROXY, {**HOME, "WEFT_TOKEN": "weft_one"}).access)) == [
        said
    ]


def test_a_new_token_is_said_at_the_next_start_and_a_file_that_is_away_changes_nothing(
    token_file: Path,
) -> None:
    access = options([*PROXY, "--token-file", str(token_file)], HOME).access
    token_file.write_text("weft_two")
    assert metadata(bootstrapped(access))[0]["value"] == "Bearer weft_two"
    token_file.unlink()
    assert metadata(bootstrapped(access))[0]["value"] == "Bearer weft_two"


@pytest.mark.parametrize("text", ["", " \n", "two words"])
def test_a_file_without_a_token_is_refused(token_file: Path, text: str) -> None:
    token_file.write_text(text)
    with pytest.raises(BadRequest, match="does not hold a token"):
        options([*PROXY, "--token-file", str(token_file)], HOME)


@pytest.mark.parametrize(
    ("xds", "kind"),
    [
        (Tcp("mesh.example", 1), "DNS"),
        (Tcp("10.0.0.1", 1), "IP_ADDRESS"),
        (Tcp("::1", 1), "IP_ADDRESS"),
    ],
)
def test_tls_takes_only_a_control_plane_of_the_name_it_is_called_by(
    pem: str, xds: Tcp, kind: str
) -> None:
    (cluster,) = bootstrapped(Access(ca=pem), xds)["static_resources"]["clusters"]
    context = cluster["transport_socket"]["typed_config"]
    validation = context["common_tls_context"]["validation_context"]
    assert validation == {
        "trusted_ca": {"filename": pem},
        "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": xds.host}}],
    }
    assert context.get("sni") == (xds.host if kind == "DNS" else None)


def test_a_socket_file_has_no_name_to_compare(pem: str) -> None:
    (cluster,) = bootstrapped(Access(ca=pem), Pipe("/x"))["static_resources"]["clusters"]
    context = cluster["transport_socket"]["typed_config"]["common_tls_context"]
    assert "match_typed_subject_alt_names" not in context["validation_context"]


def test_a_certificate_of_its_own_goes_with_tls(pem: str) -> None:
    flags = ["--xds-ca", pem, "--xds-cert", pem, "--xds-key", pem]
    access = options([*PROXY, *flags], HOME).access
    (cluster,) = bootstrapped(access)["static_resources"]["clusters"]
    context = cluster["transport_socket"]["typed_config"]["common_tls_context"]
    assert context["tls_certificates"] == [
        {"certificate_chain": {"filename": pem}, "private_key": {"filename": pem}}
    ]
    with pytest.raises(BadRequest, match="belong together"):
        options([*PROXY, *flags[:4]], HOME)
    with pytest.raises(BadRequest, match="--xds-ca is missing"):
        options([*PROXY, *flags[2:]], HOME)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(BadRequest, match="--xds-ca: /nowhere cannot be read"):
        options([*PROXY, "--xds-ca", "/nowhere"], HOME)


def test_a_dump_of_the_configuration_shows_no_token() -> None:
    dump = b'{"key": "authorization", "value": "Bearer weft_one"}, {"value": "other"}'
    assert without_tokens(dump) == (
        b'{"key": "authorization", "value": "Bearer [redacted]"}, {"value": "other"}'
    )
