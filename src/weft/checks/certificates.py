"""Certificates and authorities by ARN: where they are named, and those that run out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from weft.checks.finding import Area, Check, Found, Severity
from weft.checks.proxies import Live
from weft.checks.scope import Mesh
from weft.checks.tls import client_policies, listeners
from weft.model.certificate import AUTHORITIES, CERTIFICATES, Authority, Certificate
from weft.model.tls import AcmListenerCertificate, AcmTrust
from weft.names import Key, Kind
from weft.store.state import MeshState

SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Named:
    """A place that names a certificate or an authority."""

    key: Key
    path: str
    collection: str
    arn: str


def running_out(live: Live) -> Iterator[Found]:
    for each, end, now in _ends(live):
        if now <= end < now + SOON and not _is_renewed(live.state, each):
            yield Found(each.key, each.path, f"{each.arn} ends in {_days(end - now)}, on {end:%F}")


def run_out(live: Live) -> Iterator[Found]:
    for each, end, now in _ends(live):
        if end < now:
            yield Found(each.key, each.path, f"{each.arn} has ended on {end:%F}")


def named(mesh: Mesh) -> Iterator[Named]:
    """Every place in a mesh that names something by ARN."""
    for key, path, tls in listeners(mesh):
        if isinstance(tls.certificate, AcmListenerCertificate) and tls.mode != "DISABLED":
            arn = tls.certificate.acm.certificate_arn
            yield Named(key, f"{path}.certificate.acm.certificateArn", CERTIFICATES, arn)
    for key, path, client in client_policies(mesh):
        if isinstance(client.validation.trust, AcmTrust):
            place = f"{path}.validation.trust.acm.certificateAuthorityArns"
            for i, arn in enumerate(client.validation.trust.acm.certificate_authority_arns):
                yield Named(key, f"{place}[{i}]", AUTHORITIES, arn)


def _chain(state: MeshState, each: Named) -> str | None:
    document = state.document(each.collection, each.arn)
    if each.collection == CERTIFICATES:
        certificate = Certificate.from_document(document)
        return certificate.chain if certificate else None
    authority = Authority.from_document(document)
    return authority.chain if authority else None


def _ends(live: Live) -> Iterator[tuple[Named, datetime, datetime]]:
    now = live.observed.now
    if now is None:
        return
    for mesh in live.state.children(None, Kind.MESH):
        if live.concerns(mesh.key.name):
            for each in named(Mesh(live.state, mesh.key.name)):
                if (end := _end(_chain(live.state, each))) is not None:
                    yield each, end, now


def _is_renewed(state: MeshState, each: Named) -> bool:
    """Whether its successor comes by itself; what stands in the way has a finding of its own."""
    document = state.document(each.collection, each.arn) or {}
    return bool(document.get("authorityArn")) or document.get("origin") == "created"


def _end(chain: str | None) -> datetime | None:
    """When the first certificate of a chain to end does so; None for what cannot be read."""
    try:
        found = x509.load_pem_x509_certificates((chain or "").encode())
    except ValueError:
        return None
    return min(each.not_valid_after_utc for each in found)


def _days(left: timedelta) -> str:
    return f"{left.days} day" if left.days == 1 else f"{left.days} days"


OF_PROXIES = (
    Check(
        "WEFT-910",
        "A certificate runs out within 30 days",
        Severity.WARNING,
        "After that day its clients refuse it, and every request over it fails.",
        "weft cert rotate renews what Weft has issued; import what came from elsewhere anew.",
        running_out,
        Area.CONFIGURATION,
    ),
    Check(
        "WEFT-911",
        "A certificate has run out",
        Severity.ERROR,
        "Clients that validate refuse it: every request over it fails.",
        "weft cert rotate renews what Weft has issued; import what came from elsewhere anew.",
        run_out,
        Area.CONFIGURATION,
    ),
)
