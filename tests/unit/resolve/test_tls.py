"""Who shares a cluster, and what a change of a policy or a certificate makes anew."""

from __future__ import annotations

from typing import Any

from tests.builders import state_from, view_of
from weft.ir import proxy as ir
from weft.model.certificate import CERTIFICATES
from weft.names import Key, Kind
from weft.resolve.proxy import proxy
from weft.resolve.reading import Parts, Reading, document_of

ARN = "arn:aws:acm:us-west-2:000000000000:certificate/api"
CLUSTER = "cds_egress_shop_api_http_80"


def policy(path: str, **more: Any) -> dict[str, Any]:
    return {"tls": {"validation": {"trust": {"file": {"certificateChain": path}}}, **more}}


def mesh(**policies: dict[str, Any] | None) -> dict[str, Any]:
    """Callers of one service, each with a client policy by default."""
    tls = {"mode": "STRICT", "certificate": {"acm": {"certificateArn": ARN}}}
    return {
        "nodes": {
            "api": {"listeners": [{"portMapping": {"port": 80, "protocol": "http"}, "tls": tls}]}
            | {"serviceDiscovery": {"dns": {"hostname": "api.test"}}},
            **{
                name: {
                    "calls": ["api.local"],
                    **({} if given is None else {"backendDefaults": {"clientPolicy": given}}),
                }
                for name, given in policies.items()
            },
        },
        "services": {"api.local": "node api"},
        "certificates": {ARN: {"certificateChain": "C", "privateKey": "K", "rootChain": "R"}},
    }


def cluster(found: ir.Proxy) -> Any:
    return next(each for each in found.clusters if each.name == CLUSTER)


def test_callers_with_the_same_policy_share_a_cluster_and_others_do_not() -> None:
    said = mesh(a=policy("/ca.pem"), b=policy("/ca.pem"), c=policy("/other.pem"), d=None, e=None)
    state, parts = state_from(said), Parts()
    a, b, c, d, e = (cluster(Reading(state, parts).part(proxy, view_of(name))) for name in "abcde")
    assert a is b
    assert d is e
    assert len({each.tls for each in (a, c, d)}) == 3


def test_a_change_of_one_policy_makes_the_cluster_of_no_other_caller_anew() -> None:
    before, after = mesh(a=policy("/ca.pem"), b=policy("/ca.pem")), None
    state, parts = state_from(before), Parts()
    kept = cluster(Reading(state, parts).part(proxy, view_of("b")))
    Reading(state, parts).part(proxy, view_of("a"))

    after = state_from(mesh(a=policy("/new.pem"), b=policy("/ca.pem")))
    doubted = parts.drop([Key("shop", Kind.VIRTUAL_NODE, "a")])
    assert view_of("b") not in [args[0] for part, args in doubted if part is proxy]
    assert cluster(Reading(after, parts).part(proxy, view_of("a"))).tls != kept.tls
    assert cluster(Reading(after, parts).part(proxy, view_of("b"))) is kept


def test_a_certificate_that_is_renewed_concerns_only_who_shows_it() -> None:
    state, parts = state_from(mesh(a=policy("/ca.pem"), b=None)), Parts()
    for name in ("a", "b", "api"):
        Reading(state, parts).part(proxy, view_of(name))
    doubted = parts.drop([document_of(CERTIFICATES, ARN)])
    views = {args[0] for part, args in doubted if part is proxy}
    # ``b`` has no policy: what it trusts is the root that comes with the certificate.
    assert views == {view_of("api"), view_of("b")}


def test_no_private_key_is_in_the_words_of_a_proxy() -> None:
    said = mesh(a=None)
    said["certificates"][ARN]["privateKey"] = "SECRET-KEY"
    found = Reading(state_from(said)).part(proxy, view_of("api"))
    assert found.secrets
    assert "SECRET-KEY" not in repr(found)
