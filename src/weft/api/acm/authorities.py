"""
ACM-PCA's API (awsJson 1.1), as far as scripts make a root with it.

Such a script makes an authority, has it sign its own request (template
``RootCACertificate/V1``) and installs what it gets. Here an authority has its root from
the start: what is issued for its own request is that root, and installing it changes
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.api.acm.inputs import Members, page
from weft.api.exchange import Call
from weft.api.parts import Parts
from weft.api.surfaces import Protocol, Reply, Surface
from weft.errors import BadRequest, Conflict, InUse, Invalid, NotFound, Problem, Unavailable
from weft.identity import ca
from weft.identity.authorities import Authorities
from weft.identity.kept import Authority
from weft.identity.requests import wanted_authority

_ROOT_TEMPLATE = "template/RootCACertificate/V1"
_CERTIFICATE = "/certificate/"

OPERATIONS: Mapping[str, str] = {
    "CreateCertificateAuthority": "create",
    "CreatePermission": "permit",
    "DeleteCertificateAuthority": "delete",
    "DescribeCertificateAuthority": "describe",
    "GetCertificate": "get_certificate",
    "GetCertificateAuthorityCertificate": "get_own",
    "GetCertificateAuthorityCsr": "get_request",
    "ImportCertificateAuthorityCertificate": "install",
    "IssueCertificate": "issue",
    "ListCertificateAuthorities": "list_authorities",
    "UpdateCertificateAuthority": "update",
}


def surface(parts: Parts) -> Surface:
    authorities = PrivateAuthorities(parts)
    return Surface(
        service="acm-pca",
        protocol=Protocol.AWS_JSON_1_1,
        target="ACMPrivateCA",
        operations={name: getattr(authorities, method) for name, method in OPERATIONS.items()},
        codes={
            BadRequest: "InvalidArgsException",
            InUse: "InvalidStateException",
            Conflict: "InvalidStateException",
        },
    )


class PrivateAuthorities:
    """A method for each operation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def _authorities(self) -> Authorities:
        if self._parts.certificates is None:
            raise Unavailable("this control plane keeps no certificates")
        return self._parts.certificates.authorities

    async def create(self, call: Call, sent: dict[str, Any]) -> Reply:
        members = Members(sent)
        if members.text("CertificateAuthorityType", needed=True) not in ("ROOT", ""):
            said = "must be ROOT; weft cert authority import takes in one of another authority's"
            members.found.append(Problem("CertificateAuthorityType", said))
        configuration = sent.get("CertificateAuthorityConfiguration")
        if not isinstance(configuration, dict):
            said = "is missing" if configuration is None else "must be a structure"
            members.found.append(Problem("CertificateAuthorityConfiguration", said))
        members.unlike("Tags", why="tags of authorities are not kept here")
        members.done()
        assert isinstance(configuration, dict), "or it is refused"
        subject = configuration.get("Subject")
        name = subject.get("CommonName") if isinstance(subject, dict) else None
        wanted = {"keyAlgorithm": configuration.get("KeyAlgorithm")}
        if isinstance(name, str) and not any(e.name == name for e in self._authorities.all()):
            # Two of AWS's may have one name; here a name means one.
            wanted["name"] = name
        made, revision = await self._authorities.create(wanted_authority(wanted), call.author)
        return Reply({"CertificateAuthorityArn": made.arn}, revision)

    async def list_authorities(self, _call: Call, sent: dict[str, Any]) -> Reply:
        shown, following = page(self._authorities.all(), Members(sent), "MaxResults")
        told: dict[str, Any] = {"CertificateAuthorities": [self._told(each) for each in shown]}
        return Reply(told | ({"NextToken": following} if following else {}))

    async def describe(self, _call: Call, sent: dict[str, Any]) -> Reply:
        return Reply({"CertificateAuthority": self._told(self._named(sent))})

    async def get_own(self, _call: Call, sent: dict[str, Any]) -> Reply:
        return Reply(_texts(self._named(sent)))

    async def get_request(self, _call: Call, sent: dict[str, Any]) -> Reply:
        return Reply({"Csr": self._authorities.signing_request(self._named(sent))})

    async def issue(self, _call: Call, sent: dict[str, Any]) -> Reply:
        authority, members = self._named(sent), Members(sent)
        request = ca.loaded_request(members.blob("Csr", needed=True))
        if request is None:
            members.found.append(Problem("Csr", "is no request that its own key has signed"))
        own = request is not None and request.public_key() == authority.own.public_key()
        if not (members.text("TemplateArn").endswith(_ROOT_TEMPLATE) and own):
            said = (
                "other requests than an authority's own are not signed here; "
                "aws acm request-certificate issues certificates"
            )
            members.found.append(Problem("TemplateArn", said))
        members.done()
        return Reply({"CertificateArn": authority.arn + _CERTIFICATE + _serial(authority)})

    async def get_certificate(self, _call: Call, sent: dict[str, Any]) -> Reply:
        authority, members = self._named(sent), Members(sent)
        arn = members.text("CertificateArn", needed=True)
        members.done()
        if arn != authority.arn + _CERTIFICATE + _serial(authority):
            raise NotFound(f"Could not find certificate {arn}.")
        return Reply(_texts(authority))

    async def install(self, _call: Call, sent: dict[str, Any]) -> Reply:
        authority, members = self._named(sent), Members(sent)
        text = members.blob("Certificate", needed=True)
        members.done()
        try:
            same = ca.loaded(text)[:1] == [authority.own]
        except ValueError:
            same = False
        if not same:
            said = "is not the one that this authority has; another is taken in under its own ARN"
            raise Invalid([Problem("Certificate", said)], fix="weft cert authority import")
        return Reply(None)

    async def permit(self, _call: Call, sent: dict[str, Any]) -> Reply:
        """That ACM may renew: here it always does."""
        self._named(sent)
        members = Members(sent)
        if members.text("Principal", needed=True) != "acm.amazonaws.com":
            said = "must be acm.amazonaws.com; other callers have roles (weft token create)"
            members.found.append(Problem("Principal", said))
        members.done()
        return Reply(None)

    async def update(self, call: Call, sent: dict[str, Any]) -> Reply:
        authority, members = self._named(sent), Members(sent)
        status = members.text("Status")
        if status not in ("ACTIVE", "DISABLED", ""):
            members.found.append(Problem("Status", "must be ACTIVE or DISABLED"))
        members.unlike("RevocationConfiguration", why="there are no revocation lists here")
        members.done()
        if not status or (status == "DISABLED") == authority.disabled:
            return Reply(None)
        disabled = status == "DISABLED"
        revision = await self._authorities.enable(authority.arn, call.author, disabled=disabled)
        return Reply(None, revision)

    async def delete(self, call: Call, sent: dict[str, Any]) -> Reply:
        _, revision = await self._authorities.delete(self._named(sent).arn, call.author)
        return Reply(None, revision)

    def _named(self, sent: dict[str, Any]) -> Authority:
        members = Members(sent)
        arn = members.text("CertificateAuthorityArn", needed=True)
        members.done()
        if not arn.startswith("arn:"):
            said = f"{arn[:80]!r} is not an ARN"
            raise Invalid([Problem("CertificateAuthorityArn", said)])
        try:
            return self._authorities.of(arn)
        except NotFound as error:
            said = f"Could not find certificate authority {arn}."
            raise NotFound(said, fix=error.fix) from None

    def _told(self, each: Authority) -> dict[str, Any]:
        own = each.own
        algorithm = ca.algorithm_of(own.public_key())
        over = own.not_valid_after_utc <= self._parts.clock.now()
        state = "EXPIRED" if over else "DISABLED" if each.disabled else "ACTIVE"
        return {
            "Arn": each.arn,
            "OwnerAccount": each.arn.split(":")[4],
            "CreatedAt": each.created_at.timestamp(),
            "LastStateChangeAt": each.created_at.timestamp(),
            "Type": "ROOT" if ca.signed(own, own) else "SUBORDINATE",
            "Serial": _serial(each),
            "Status": state,
            "NotBefore": own.not_valid_before_utc.timestamp(),
            "NotAfter": own.not_valid_after_utc.timestamp(),
            "CertificateAuthorityConfiguration": {
                "KeyAlgorithm": algorithm.value if algorithm else "",
                "SigningAlgorithm": _signing(algorithm),
                "Subject": {"CommonName": each.name},
            },
            "UsageMode": "GENERAL_PURPOSE",
        }


def _serial(authority: Authority) -> str:
    return f"{authority.own.serial_number:032x}"


def _texts(authority: Authority) -> dict[str, Any]:
    above = authority.above.removeprefix(authority.certificate)
    return {"Certificate": authority.certificate} | ({"CertificateChain": above} if above else {})


def _signing(algorithm: ca.KeyAlgorithm | None) -> str:
    match algorithm:
        case ca.KeyAlgorithm.EC_P256:
            return "SHA256WITHECDSA"
        case ca.KeyAlgorithm.EC_P384:
            return "SHA384WITHECDSA"
        case _:
            return "SHA256WITHRSA"
