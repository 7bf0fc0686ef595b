"""What definitions lack of certificates, and what time does to those that are held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.builders import state_from
from tests.unit.checks.cases import ACM, PCA, by_arn
from weft.checks.by_arn import lacking
from weft.checks.catalogue import check, check_proxies
from weft.checks.proxies import Observed
from weft.identity import ca
from weft.identity.uses import uses, uses_of
from weft.store.state import MeshState

NOW = datetime(2026, 6, 1, tzinfo=UTC)


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
    fixes = [each.fix for each in check(state_from(said)) if each.code == "WEFT-510"]
    assert any(f"weft cert issue shop.local --arn {ACM}" in each for each in fixes)
    certificate = said["nodes"]["shop"]["listeners"][0]["tls"]["certificate"]
    certificate["acm"]["certificateArn"] = "TODO"
    fixes = [each.fix for each in check(state_from(said)) if each.code == "WEFT-510"]
    assert "write an ARN like arn:aws:acm:…:certificate/ID" in fixes


def test_a_certificate_is_used_where_it_is_named() -> None:
    state = state_from(by_arn())
    assert {each.arn for each in uses(state)} == {ACM, PCA}
    (use,) = uses_of(state, PCA)
    assert str(use.key) == "mesh/shop/virtualNode/web"
    assert use.path.endswith("trust.acm.certificateAuthorityArns[0]")


def test_a_renewal_that_failed_is_told_with_its_reason() -> None:
    observed = Observed(now=NOW, renewals={PCA: "the disk is full"})
    found = {each.code: each for each in check_proxies(state_from(by_arn()), observed)}
    assert found["WEFT-912"].key == PCA
    assert "the disk is full" in found["WEFT-912"].message


def test_what_is_renewed_by_itself_does_not_run_out() -> None:
    root = ca.root("weft", ca.KeyAlgorithm.EC_P256, NOW)
    leaf = ca.leaf(ca.Names(("shop.local",)), ca.KeyAlgorithm.EC_P256, root, NOW, timedelta(days=9))
    said = by_arn()
    said["certificates"][ACM]["certificateChain"] = ca.pem([leaf.certificate])

    def codes(issuer: str | None) -> list[str]:
        said["certificates"][ACM]["authorityArn"] = issuer
        found = check_proxies(state_from(said), Observed(now=NOW))
        return [each.code for each in found if each.code in ("WEFT-910", "WEFT-911")]

    assert codes(PCA) == []
    assert codes(None) == ["WEFT-910"]
