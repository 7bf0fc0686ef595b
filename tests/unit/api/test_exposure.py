"""What is served to whom: open on loopback, closed elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.certificates import Authority
from weft.api import exposure
from weft.errors import CannotStart
from weft.identity.certificate import host_names
from weft.settings import Address, Settings, Tls
from weft.xds.listening import server_credentials

HERE, ANYWHERE = Address("127.0.0.1", 7400), Address("0.0.0.0", 7401)
LOCAL = Settings(HERE, HERE, Path("/data"))
TLS = Tls(Path("c"), Path("k"))


def read(**flags: str) -> Settings:
    return Settings.read({f"--{name.replace('_', '-')}": text for name, text in flags.items()}, {})


def test_loopback_is_open_unless_credentials_are_asked_for() -> None:
    assert not LOCAL.auth_required
    assert replace(LOCAL, auth="required").auth_required
    exposure.check_addresses(LOCAL)
    exposure.check_credentials(LOCAL, 0)
    assert list(exposure.given_up(LOCAL)) == []


@pytest.mark.parametrize("member", ["api", "xds"])
def test_an_address_that_others_reach_needs_tls_and_asks_for_credentials(member: str) -> None:
    exposed = replace(LOCAL, **{member: ANYWHERE})
    assert exposed.auth_required
    with pytest.raises(CannotStart, match=rf"--{member} is 0\.0\.0\.0:7401.*without TLS"):
        exposure.check_addresses(exposed)
    exposure.check_addresses(replace(exposed, tls=TLS))
    with pytest.raises(CannotStart, match="lets anybody in"):
        exposure.check_addresses(replace(exposed, tls=TLS, auth="open"))


def test_asking_for_credentials_when_there_are_none_would_let_nobody_in() -> None:
    with pytest.raises(CannotStart, match="there are none yet") as caught:
        exposure.check_credentials(replace(LOCAL, auth="required"), 0)
    assert caught.value.fix == "weft token create --name admin --role admin --data /data"
    exposure.check_credentials(replace(LOCAL, auth="required"), 1)


def test_insecure_says_what_it_gives_up() -> None:
    insecure = replace(LOCAL, api=ANYWHERE, xds=ANYWHERE, auth="open", insecure=True)
    exposure.check_addresses(insecure)
    said = list(exposure.given_up(insecure))
    assert sum("may read" in each for each in said) == 2
    assert sum("no TLS" in each for each in said) == 2
    asking = list(exposure.given_up(replace(insecure, auth="")))
    assert len(asking) == 2
    assert all("no TLS" in each for each in asking)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"tls_cert": "c"}, "belong together"),
        ({"tls_key": "k"}, "belong together"),
        ({"xds_client_ca": "c"}, "which needs TLS"),
        ({"auth": "maybe"}, "--auth is 'maybe'"),
        ({"host": "ok.example, not a host"}, "'not a host', which is no host name"),
    ],
)
def test_a_setting_that_cannot_be_is_named(flags: dict[str, str], words: str) -> None:
    with pytest.raises(CannotStart, match=words):
        read(**flags)


def test_settings_of_the_door_are_read() -> None:
    made = read(auth="required", host="A.example, b.example:443", insecure="yes")
    assert (made.auth, made.hosts, made.insecure) == (
        "required",
        ("a.example", "b.example:443"),
        True,
    )
    assert made.url == "http://127.0.0.1:7400"
    assert read(tls_cert="c", tls_key="k").url == "https://127.0.0.1:7400"


@pytest.mark.parametrize(
    "change",
    [{"api": ANYWHERE}, {"auth": "required"}, {"tls": TLS}],
    ids=["address", "auth", "tls"],
)
def test_a_mesh_on_one_machine_is_for_that_machine(change: dict[str, object]) -> None:
    LOCAL.refuse_all_but_here()
    with pytest.raises(CannotStart, match="that machine alone"):
        replace(LOCAL, **change).refuse_all_but_here()  # type: ignore[arg-type]


def test_files_of_tls_are_tried_before_anything_is_served(tmp_path: Path) -> None:
    leaf = Authority(tmp_path).leaf(
        "server", hosts=("mesh.example", "*.example", "10.0.0.1", "::1")
    )
    other = Authority(tmp_path).leaf("other")
    exposure.server_context(Tls(leaf.certificate, leaf.key))
    for tls in (
        Tls(leaf.certificate, other.key),
        Tls(tmp_path / "missing", leaf.key),
        Tls(leaf.key, leaf.key),
    ):
        with pytest.raises(CannotStart, match="cannot be used"):
            exposure.server_context(tls)
    with pytest.raises(CannotStart, match=r"--xds-client-ca .* cannot be read"):
        server_credentials(Tls(leaf.certificate, leaf.key), tmp_path / "missing")
    assert host_names(leaf.certificate) == ("mesh.example", "10.0.0.1", "[::1]")
    assert host_names(other.certificate) == ()
