"""What is found among proxies: each check in a fleet where it applies, and in one where it does not."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.builders import listener, state_from
from tests.certificates import Authority
from weft.checks.catalogue import OF_PROXIES, check_proxies
from weft.checks.finding import Area
from weft.checks.proxies import Observed
from weft.ir.proxy import Note
from weft.names import Key, Kind, Mode, ProxyId
from weft.xds.status import ProxyStatus, Refusal, State, TypeStatus
from weft.xds.wire import Variant

WEB = ProxyId("shop", Kind.VIRTUAL_NODE, "web")
AT = datetime(2026, 1, 1, tzinfo=UTC)
CDS = TypeStatus("CDS", 1, "a", 1, "a", 1, (), None)
RDS = TypeStatus("RDS", 1, "a", 1, "a", 1, (), None)
WORDS = "unknown cluster 'cds_egress_x'"
REFUSED = Refusal(WEB, "web-1", "RDS", WORDS, WORDS, ("rds_egress_http_80",), 7)
ARN = "arn:aws:acm:us-west-2:000000000000:certificate/web"
with tempfile.TemporaryDirectory() as directory:
    CHAIN = Authority(Path(directory)).certificate.read_text()
ENDS = x509.load_pem_x509_certificate(CHAIN.encode()).not_valid_after_utc
BEGINS = ENDS - timedelta(days=300)
TLS = {"mode": "STRICT", "certificate": {"acm": {"certificateArn": ARN}}}
STATE = state_from(
    {
        "nodes": {
            "web": {"listeners": [{**listener("9080/http"), "tls": TLS}], "calls": ["shop.local"]}
        },
        "certificates": {ARN: {"certificateChain": CHAIN, "privateKey": "KEY"}},
        "instances": {"web": {"web-1": {9080: "127.0.0.1:1"}}},
    },
    revision=7,
)


def status(instance: str = "web-1", **more: Any) -> ProxyStatus:
    plain = ProxyStatus(
        WEB,
        instance,
        Mode.EXPLICIT,
        State.ACCEPTED,
        AT,
        None,
        "127.0.0.1:5",
        "1.40.0",
        "",
        Variant.DELTA,
        7,
        None,
        None,
        (CDS, RDS),
    )
    return replace(plain, **more)


def seen(*proxies: ProxyStatus, **more: Any) -> Observed:
    return Observed(7, proxies, leases={(WEB.key, "web-1"): 14.0}, **more)


WELL = seen(status())
CASES: dict[str, tuple[Observed, Observed]] = {
    "WEFT-901": (
        seen(status(state=State.REJECTED, types=(CDS, replace(RDS, rejected=(REFUSED,))))),
        WELL,
    ),
    "WEFT-902": (seen(status(failure="KeyError: 'x'", failed_revision=7)), WELL),
    "WEFT-903": (seen(status(types=(CDS, replace(RDS, suspect_since=AT)))), WELL),
    "WEFT-904": (
        seen(status(), status("web-2", state=State.DISCONNECTED)),
        seen(status(), status("web-2", state=State.DISCONNECTED)),
    ),
    "WEFT-905": (seen(status(), notes=((WEB, Note(f"{WEB} spec.backends[0]", "no")),)), WELL),
    "WEFT-906": (replace(WELL, leases={(WEB.key, "web-1"): 4.0}), WELL),
    "WEFT-907": (seen(), WELL),
    "WEFT-908": (
        seen(status(), status("web-2", envoy_version="1.39.1")),
        seen(status(), status("web-2")),
    ),
    "WEFT-909": (replace(WELL, processed=6), WELL),
    "WEFT-910": (replace(WELL, now=ENDS - timedelta(days=3)), replace(WELL, now=BEGINS)),
    "WEFT-912": (replace(WELL, renewals={"arn:aws:acm:x": "no"}), WELL),
    "WEFT-911": (replace(WELL, now=ENDS + timedelta(days=3)), replace(WELL, now=BEGINS)),
}
CASES["WEFT-904"] = (seen(status(state=State.DISCONNECTED)), CASES["WEFT-904"][1])


def test_every_check_is_tried() -> None:
    assert set(CASES) == {each.code for each in OF_PROXIES}


@pytest.mark.parametrize("code", CASES)
def test_a_check_finds_what_it_is_for_and_nothing_else(code: str) -> None:
    bad, good = CASES[code]
    assert code in {each.code for each in check_proxies(STATE, bad)}
    assert code not in {each.code for each in check_proxies(STATE, good)}


def test_a_fleet_that_is_well_has_no_findings() -> None:
    assert check_proxies(STATE, WELL) == ()


def test_envoys_own_words_are_told_and_how_to_undo_it() -> None:
    (found,) = check_proxies(STATE, CASES["WEFT-901"][0])
    assert WORDS in found.message
    assert "rds_egress_http_80" in found.message
    assert "weft revert 7" in found.fix
    assert (found.area, found.key) == (Area.DATA_PLANE, str(WEB))


def test_a_note_says_the_place_in_the_definition() -> None:
    (found,) = check_proxies(STATE, CASES["WEFT-905"][0])
    assert (found.key, found.path) == (str(WEB), "spec.backends[0]")


def test_proxies_of_other_meshes_are_left_out() -> None:
    assert check_proxies(STATE, CASES["WEFT-901"][0], "other") == ()


def test_a_lease_of_an_instance_that_is_gone_is_nobody_s() -> None:
    gone = replace(WELL, leases={(Key("shop", Kind.VIRTUAL_NODE, "web"), "web-9"): 0.1})
    assert check_proxies(STATE, gone) == ()


def test_how_long_a_certificate_lasts_is_said_with_its_day() -> None:
    (found,) = check_proxies(STATE, replace(WELL, now=ENDS - timedelta(days=3, hours=1)))
    assert found.message == f"{ARN} ends in 3 days, on {ENDS:%Y-%m-%d}"
    assert found.path == "spec.listeners[0].tls.certificate.acm.certificateArn"


def test_a_file_that_is_missing_is_to_be_put_there_and_not_reverted() -> None:
    refused = replace(REFUSED, type="SDS", words="Invalid path: /certs/web.pem")
    status_of_secrets = TypeStatus("SDS", 0, "a", 1, None, None, (refused,), None)
    (found,) = check_proxies(STATE, seen(status(types=(CDS, status_of_secrets))))
    assert "/certs/web.pem" in found.message
    assert found.fix.startswith("Put the file there")
