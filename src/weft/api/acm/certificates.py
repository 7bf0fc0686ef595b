"""ACM's API (awsJson 1.1), as far as App Mesh's users need it: certificates by ARN."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import structlog

from weft.api.acm.inputs import Members, page
from weft.api.exchange import Call
from weft.api.parts import Parts
from weft.api.surfaces import Protocol, Reply, Surface
from weft.errors import AccessDenied, BadRequest, Conflict, Invalid, NotFound, Problem, Unavailable
from weft.identity import ca
from weft.identity.caller import Right
from weft.identity.certificates import Certificates
from weft.identity.kept import Certificate
from weft.identity.requests import wanted_certificate
from weft.identity.uses import uses_of
from weft.names import Arn

log = structlog.get_logger(__name__)

_NO_TAGS = "tags of certificates are not kept here"
_TOKEN = uuid.UUID("6f2b6a1c-2f1e-5f0e-9a55-0b8c6f1c8e6d")
"""The namespace of ARNs made for idempotency tokens."""

OPERATIONS: Mapping[str, str] = {
    "DeleteCertificate": "delete",
    "DescribeCertificate": "describe",
    "ExportCertificate": "export",
    "GetCertificate": "get",
    "ImportCertificate": "take_in",
    "ListCertificates": "list_certificates",
    "RenewCertificate": "renew",
    "RequestCertificate": "request",
}


def surface(parts: Parts) -> Surface:
    certificates = CertificateManager(parts)
    return Surface(
        service="acm",
        protocol=Protocol.AWS_JSON_1_1,
        target="CertificateManager",
        operations={name: getattr(certificates, method) for name, method in OPERATIONS.items()},
        codes={BadRequest: "ValidationException", Conflict: "ConflictException"},
    )


class CertificateManager:
    """A method for each operation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def _certificates(self) -> Certificates:
        if self._parts.certificates is None:
            raise Unavailable("this control plane keeps no certificates")
        return self._parts.certificates

    async def list_certificates(self, _call: Call, sent: dict[str, Any]) -> Reply:
        members = Members(sent)
        statuses = members.texts("CertificateStatuses")
        found = [
            each
            for each in sorted(self._certificates.all(), key=lambda each: each.created_at)
            if not statuses or self._status(each) in statuses
        ]
        shown, following = page(found, members, "MaxItems")
        listed = [
            {
                "CertificateArn": each.arn,
                "DomainName": each.names.first,
                "SubjectAlternativeNameSummaries": list(each.names.hosts),
                "HasAdditionalSubjectAlternativeNames": False,
                "Status": self._status(each),
                "Type": _type(each),
                "KeyAlgorithm": _algorithm(each),
                "InUse": bool(uses_of(self._parts.store.state, each.arn)),
                "RenewalEligibility": "ELIGIBLE" if each.authority else "INELIGIBLE",
                "NotBefore": each.own.not_valid_before_utc.timestamp(),
                "NotAfter": each.own.not_valid_after_utc.timestamp(),
                "CreatedAt": each.created_at.timestamp(),
            }
            for each in shown
        ]
        told: dict[str, Any] = {"CertificateSummaryList": listed}
        return Reply(told | ({"NextToken": following} if following else {}))

    async def describe(self, _call: Call, sent: dict[str, Any]) -> Reply:
        found, own = self._named(sent), self._named(sent).own
        settings = self._parts.settings
        users = dict.fromkeys(
            str(Arn(settings.region, settings.account, use.key))
            for use in uses_of(self._parts.store.state, found.arn)
        )
        told: dict[str, Any] = {
            "CertificateArn": found.arn,
            "DomainName": found.names.first,
            "SubjectAlternativeNames": list(found.names.hosts),
            "Serial": ca.serial(own),
            "Subject": own.subject.rfc4514_string(),
            "Issuer": own.issuer.rfc4514_string(),
            "CreatedAt": found.created_at.timestamp(),
            "Status": self._status(found),
            "NotBefore": own.not_valid_before_utc.timestamp(),
            "NotAfter": own.not_valid_after_utc.timestamp(),
            "KeyAlgorithm": _algorithm(found),
            "SignatureAlgorithm": str(getattr(own.signature_algorithm_oid, "_name", "")),
            "InUseBy": list(users),
            "Type": _type(found),
            "RenewalEligibility": "ELIGIBLE" if found.authority else "INELIGIBLE",
        }
        if found.authority:
            told["CertificateAuthorityArn"] = found.authority
            told["IssuedAt"] = (found.renewed_at or found.created_at).timestamp()
        else:
            told["ImportedAt"] = (found.renewed_at or found.created_at).timestamp()
        return Reply({"Certificate": told})

    async def get(self, _call: Call, sent: dict[str, Any]) -> Reply:
        return Reply(_texts(self._named(sent)))

    async def request(self, call: Call, sent: dict[str, Any]) -> Reply:
        members = Members(sent)
        domain = members.text("DomainName", needed=True)
        names = dict.fromkeys([domain, *members.texts("SubjectAlternativeNames")])
        authority = members.text("CertificateAuthorityArn")
        if not authority:
            said = (
                "is missing: public certificates are not issued here, and App Mesh took none; "
                "aws acm-pca list-certificate-authorities shows whose are"
            )
            members.found.append(Problem("CertificateAuthorityArn", said))
        members.unlike("Tags", why=_NO_TAGS)
        token = members.text("IdempotencyToken")
        algorithm = members.text("KeyAlgorithm")
        members.done()
        arn = None
        if token:
            same = uuid.uuid5(_TOKEN, "\0".join([token, authority, *sorted(names)]))
            arn = f"arn:aws:acm:{self._parts.settings.region}:{self._parts.settings.account}:certificate/{same}"
            if any(each.arn == arn for each in self._certificates.all()):
                return Reply({"CertificateArn": arn})
        wanted = wanted_certificate(
            {
                "arn": arn,
                "hosts": list(names),
                "authority": authority,
                "keyAlgorithm": algorithm or None,
            }
        )
        made, revision, _ = await self._certificates.create(wanted, call.author)
        return Reply({"CertificateArn": made.arn}, revision)

    async def take_in(self, call: Call, sent: dict[str, Any]) -> Reply:
        members = Members(sent)
        arn = members.text("CertificateArn")
        body = {
            "certificate": members.blob("Certificate", needed=True),
            "privateKey": members.blob("PrivateKey", needed=True),
            "certificateChain": members.blob("CertificateChain") or None,
            "arn": arn or None,
        }
        members.unlike("Tags", why=_NO_TAGS)
        members.done()
        try:
            made, revision, _ = await self._certificates.create(
                wanted_certificate(body), call.author, replacing=bool(arn)
            )
        except Invalid as error:
            raise _in_pascal_case(error) from None
        return Reply({"CertificateArn": made.arn}, revision)

    async def renew(self, call: Call, sent: dict[str, Any]) -> Reply:
        _, revision = await self._certificates.renew(self._named(sent).arn, call.author)
        return Reply(None, revision)

    async def export(self, call: Call, sent: dict[str, Any]) -> Reply:
        if not call.caller.may(Right.ADMINISTER):
            raise AccessDenied(f"{call.caller.name} may not export private keys; an admin may")
        members = Members(sent)
        passphrase = members.binary("Passphrase", least=4, most=128)
        members.done()
        found = self._named(sent)
        key = ca.encrypted_pem(self._certificates.private_key(found), passphrase)
        log.warning("private key exported", arn=found.arn, by=call.author.name)
        return Reply({**_texts(found), "PrivateKey": key})

    async def delete(self, call: Call, sent: dict[str, Any]) -> Reply:
        _, revision = await self._certificates.delete(self._named(sent).arn, call.author)
        return Reply(None, revision)

    def _named(self, sent: dict[str, Any]) -> Certificate:
        members = Members(sent)
        arn = members.text("CertificateArn", needed=True)
        members.done()
        if not arn.startswith("arn:"):
            raise Invalid([Problem("CertificateArn", f"{arn[:80]!r} is not an ARN")])
        try:
            return self._certificates.of(arn)
        except NotFound as error:
            said = f"Could not find certificate {arn}."
            raise NotFound(said, fix=error.fix) from None

    def _status(self, each: Certificate) -> str:
        over = each.own.not_valid_after_utc <= self._parts.clock.now()
        return "EXPIRED" if over else "ISSUED"


def _texts(found: Certificate) -> dict[str, Any]:
    leaf, *above = ca.loaded(found.chain)
    chain = ca.pem(above) + (found.root or "")
    return {"Certificate": ca.pem([leaf])} | ({"CertificateChain": chain} if chain else {})


def _type(each: Certificate) -> str:
    return "IMPORTED" if each.authority is None else "PRIVATE"


def _algorithm(each: Certificate) -> str:
    found = ca.algorithm_of(each.own.public_key())
    return found.value if found else ""


def _in_pascal_case(error: Invalid) -> Invalid:
    """The mistakes at the members of ACM's request, which begin with a capital."""
    problems = [Problem(e.path[:1].upper() + e.path[1:], e.message) for e in error.problems]
    return Invalid(problems, fix=error.fix)
