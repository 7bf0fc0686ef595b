"""What definitions lack of certificates, and what time does to those that are held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.builders import state_from
from tests.unit.checks.cases import ACM, PCA, by_arn
from weft.checks.by_arn import Held, lacking
from weft.checks.catalogue import BY_CODE, check, check_certificates
from weft.identity.uses import uses, uses_of
from weft.store.state import MeshState

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def document(ends: timedelta, origin: str = "issued", **more: Any) -> dict[str, Any]:
    return {
        "notBefore": "2026-01-01T00:00:00Z",
        "notAfter": (NOW + ends).isoformat(),
        "origin": origin,
        "hosts": ["shop.local"],
        "uris": [],
        "authorityArn": PCA,
        "privateKey": "key",
        **more,
    }


def found(*documents: dict[str, Any], failures: dict[str, str] | None = None) -> list[str]:
    state = state_from({"certificates": {f"arn:{i}": each for i, each in enumerate(documents)}})
    return [each.code for each in check_certificates(Held(state, NOW, failures or {}))]


def test_what_is_lacking_is_for_the_names_that_clients_look_for() -> None:
    authority, certificate = lacking(state_from(by_arn(known=False)))
    assert (authority.arn, authority.authority) == (PCA, True)
    assert (certificate.arn, certificate.hosts, certificate.issuer) == (ACM, ("shop.local",), PCA)
    assert certificate.command == f"weft cert issue shop.local --arn {ACM} --authority {PCA}"
    assert authority.command == f"weft cert authority create --arn {PCA}"
    assert lacking(state_from(by_arn())) == []


def test_a_name_of_the_policy_is_added_where_none_of_them_would_be_there() -> None:
    one = lacking(state_from(by_arn(known=False, accepted=("spiffe://shop/shop", "x.local"))))[1]
    assert (one.hosts, one.uris) == (("shop.local",), ("spiffe://shop/shop",))
    one = lacking(state_from(by_arn(known=False, accepted=("x.local", "shop.local"))))[1]
    assert (one.hosts, one.uris) == (("shop.local",), ())


def test_a_gateway_presents_a_certificate_for_the_hosts_of_its_routes() -> None:
    tls = {"mode": "STRICT", "certificate": {"acm": {"certificateArn": ACM}}}
    listener = {"portMapping": {"port": 443, "protocol": "http"}, "tls": tls}
    target = {"target": {"virtualService": {"virtualServiceName": "shop.local"}}}

    def front(*matches: dict[str, Any]) -> MeshState:
        routes = {
            f"r{i}": {"httpRoute": {"match": {**match, "prefix": "/"}, "action": target}}
            for i, match in enumerate(matches)
        }
        return state_from({"gateways": {"front": {"listeners": [listener], "routes": routes}}})

    hosts = [{"hostname": {"exact": "shop.example"}}, {"hostname": {"suffix": ".shop.example"}}]
    assert lacking(front(*hosts))[0].hosts == ("shop.example", "*.shop.example")
    assert lacking(front({}))[0].hosts == ("front",)


def test_the_finding_names_the_command_and_an_arn_that_is_none_is_said_to_be_none() -> None:
    said = by_arn(known=False)
    fixes = [each.fix for each in check(state_from(said)) if each.code == "WEFT-520"]
    assert any(f"weft cert issue shop.local --arn {ACM}" in each for each in fixes)
    certificate = said["nodes"]["shop"]["listeners"][0]["tls"]["certificate"]
    certificate["acm"]["certificateArn"] = "TODO"
    fixes = [each.fix for each in check(state_from(said)) if each.code == "WEFT-520"]
    assert "write an ARN like arn:aws:acm:…:certificate/ID" in fixes


def test_a_certificate_is_used_where_it_is_named() -> None:
    state = state_from(by_arn())
    assert {each.arn for each in uses(state)} == {ACM, PCA}
    (use,) = uses_of(state, PCA)
    assert str(use.key) == "mesh/shop/virtualNode/web"
    assert use.path.endswith("trust.acm.certificateAuthorityArns[0]")


def test_an_end_is_told_of_where_nobody_renews() -> None:
    assert found(document(timedelta(days=30))) == []
    assert found(document(timedelta(days=30), "imported")) == ["WEFT-881"]
    assert found(document(timedelta(days=50), "imported")) == []
    assert found(document(timedelta(days=50)), failures={"arn:0": "no"}) == ["WEFT-881"]
    assert found(document(timedelta(seconds=-1))) == ["WEFT-880"]
    assert found(document(timedelta(days=50), privateKey=None)) == ["WEFT-882"]


def test_every_check_of_certificates_says_what_to_do() -> None:
    for code in ("WEFT-520", "WEFT-521", "WEFT-522", "WEFT-880", "WEFT-881", "WEFT-882"):
        assert BY_CODE[code].fix
