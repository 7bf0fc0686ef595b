"""Certificates and their authorities over the API: made, listed, renewed, forgotten."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from weft.api.appmesh import accounts
from weft.api.exchange import Answer, Call, answer, flag, unknown_members
from weft.api.parts import Parts
from weft.api.routing import Route
from weft.api.weft.apply import MAX_BODY_BYTES, Apply
from weft.checks.by_arn import Lacking, lacking
from weft.checks.proposal import propose, with_meshes
from weft.errors import Invalid, Problem, Unavailable
from weft.identity import ca
from weft.identity.caller import Right
from weft.identity.certificates import Certificates
from weft.identity.kept import Authority, Certificate, iso
from weft.identity.requests import (
    AUTHORITY_MEMBERS,
    CERTIFICATE_MEMBERS,
    WantedAuthority,
    WantedCertificate,
    wanted_authority,
    wanted_certificate,
)
from weft.identity.rotation import renewal_of
from weft.identity.uses import Use, uses
from weft.model.certificate import AUTHORITIES, CERTIFICATES

log = structlog.get_logger(__name__)

_CERTIFICATES = "/weft/v1/certificates"
_AUTHORITIES = "/weft/v1/authorities"


def routes(parts: Parts) -> list[Route]:
    certificates, authorities = CertificateRequests(parts), AuthorityRequests(parts)
    return [
        Route("GET", _CERTIFICATES, certificates.list_certificates),
        Route("POST", _CERTIFICATES, certificates.create),
        Route("GET", _CERTIFICATES + "/{arn}", certificates.describe),
        Route("DELETE", _CERTIFICATES + "/{arn}", certificates.delete),
        Route("POST", _CERTIFICATES + "/{arn}/renew", certificates.renew),
        Route("POST", _CERTIFICATES + "/{arn}/export", certificates.export, Right.ADMINISTER),
        Route("POST", "/weft/v1/missingCertificates", certificates.missing, Right.READ),
        Route("POST", "/weft/v1/missingCertificates/fill", certificates.fill),
        Route("GET", _AUTHORITIES, authorities.list_authorities),
        Route("POST", _AUTHORITIES, authorities.create),
        Route("GET", _AUTHORITIES + "/{arn}", authorities.describe),
        Route("DELETE", _AUTHORITIES + "/{arn}", authorities.delete),
        Route("POST", _AUTHORITIES + "/{arn}/renew", authorities.renew),
    ]


class _Requests:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def _certificates(self) -> Certificates:
        if self._parts.certificates is None:
            raise Unavailable("this control plane keeps no certificates")
        return self._parts.certificates

    def _used(self) -> Mapping[str, Sequence[Use]]:
        """Where each ARN is named."""
        found: dict[str, list[Use]] = defaultdict(list)
        for each in uses(self._parts.store.state):
            found[each.arn].append(each)
        return found

    def _failure(self, arn: str) -> dict[str, Any] | None:
        rotation = self._parts.rotation
        found = rotation.failures.get(arn) if rotation else None
        if found is None:
            return None
        return {
            "reason": found.reason,
            "since": iso(found.since),
            "attempts": found.attempts,
            "again": iso(found.again),
        }

    def _told(self, arn: str, document: Mapping[str, Any], used: Sequence[Use]) -> dict[str, Any]:
        """What certificates and authorities have in common."""
        now = iso(self._parts.clock.now())
        return {
            "keyAlgorithm": document["keyAlgorithm"],
            "serial": document["serial"],
            "notBefore": document["notBefore"],
            "notAfter": document["notAfter"],
            "expired": document["notAfter"] <= now,
            "createdAt": document["createdAt"],
            "failure": self._failure(arn),
            "usedBy": [{"key": str(each.key), "path": each.path} for each in used],
        }


class CertificateRequests(_Requests):
    async def list_certificates(self, call: Call) -> Answer:
        call.known_query()

        def listed() -> Answer:
            used = self._used()
            found = [
                self._document(each, used.get(each.arn, ())) for each in self._certificates.all()
            ]
            return answer({"revision": self._parts.store.state.revision, "certificates": found})

        # A large mesh takes a while, and proxies are served meanwhile.
        return await asyncio.to_thread(listed)

    async def create(self, call: Call) -> Answer:
        replacing = flag(call.known_query("replace"), "replace")
        body = await call.json_object()
        if found := list(unknown_members(body, CERTIFICATE_MEMBERS)):
            raise Invalid(found)
        wanted = wanted_certificate(body, replacing=replacing)
        certificate, revision, warnings = await self._certificates.create(
            wanted, call.author, replacing=replacing
        )
        return self._answer(certificate, revision, warnings)

    async def describe(self, call: Call) -> Answer:
        call.known_query()
        return self._answer(self._certificates.of(call.labels["arn"]))

    async def renew(self, call: Call) -> Answer:
        call.known_query()
        certificate, revision = await self._certificates.renew(call.labels["arn"], call.author)
        return self._answer(certificate, revision)

    async def export(self, call: Call) -> Answer:
        call.known_query()
        certificate = self._certificates.of(call.labels["arn"])
        key = self._certificates.private_key(certificate)
        log.warning("private key exported", arn=certificate.arn, by=call.author.name)
        return answer(
            {
                "arn": certificate.arn,
                "certificateChain": certificate.chain,
                "rootChain": certificate.root,
                "privateKey": key,
            }
        )

    async def delete(self, call: Call) -> Answer:
        force = flag(call.known_query("force"), "force")
        certificate, revision = await self._certificates.delete(
            call.labels["arn"], call.author, force=force
        )
        name = certificate.names.first
        return answer({"arn": certificate.arn, "name": name}, revision=revision)

    async def missing(self, call: Call) -> Answer:
        call.known_query()
        found = await self._missing(call)
        return answer({"missing": [_missing(each) for each in found]})

    async def fill(self, call: Call) -> Answer:
        """Make everything that is lacking, one after the other: what is made stays made."""
        call.known_query()
        found = await self._missing(call)
        strange = [each for each in found if not each.is_well_formed]
        if strange:
            raise Invalid(
                Problem(f"{use.key} {use.path}", f"{each.arn!r} is no ARN of what can be made")
                for each in strange
                for use in each.uses
            )
        certificates, revision = self._certificates, None
        for each in found:
            if each.authority:
                wanted = WantedAuthority(each.arn)
                _, revision = await certificates.authorities.create(wanted, call.author)
                continue
            names = ca.Names(each.hosts, each.uris)
            issuer = each.issuer if self._can_issue(each.issuer) else None
            _, revision, _ = await certificates.create(
                WantedCertificate(each.arn, names, issuer), call.author
            )
        return answer({"made": [_missing(each) for each in found]}, revision=revision)

    def _can_issue(self, arn: str | None) -> bool:
        authorities = self._certificates.authorities
        return arn is not None and authorities.can_sign(authorities.of(arn))

    async def _missing(self, call: Call) -> list[Lacking]:
        """What the meshes lack, as they stand, or with the definitions of the request."""
        body = await call.json_object(most_bytes=MAX_BODY_BYTES)
        if found := list(unknown_members(body, ("resources",))):
            raise Invalid(found)
        state = self._parts.store.state
        if body.get("resources") is None:
            return await asyncio.to_thread(lacking, state)
        home = accounts.caller_account(call)
        items = Apply(self._parts).items(body["resources"], (), found, home)
        if found:
            raise Invalid(found)
        steps = with_meshes([item.step for item in items if item.step])
        clock, account = self._parts.clock, self._parts.settings.account
        proposal = await asyncio.to_thread(propose, state, steps, clock, account)
        named = {step.key for step in steps}
        there = await asyncio.to_thread(lacking, proposal.state)
        return [each for each in there if any(use.key in named for use in each.uses)]

    def _answer(
        self, certificate: Certificate, revision: int | None = None, warnings: Sequence[str] = ()
    ) -> Answer:
        told = {
            **self._document(certificate, self._used().get(certificate.arn, ())),
            "certificateChain": certificate.chain,
            "rootChain": certificate.root,
            "warnings": list(warnings),
        }
        return answer(told, revision=revision)

    def _document(self, certificate: Certificate, used: Sequence[Use]) -> dict[str, Any]:
        arn = certificate.arn
        document = self._parts.store.state.document(CERTIFICATES, arn) or certificate.to_document()
        issued = certificate.authority is not None
        return {
            "arn": arn,
            "name": certificate.names.first,
            "hosts": list(certificate.names.hosts),
            "uris": list(certificate.names.uris),
            "origin": certificate.origin,
            "authority": certificate.authority,
            "hasKey": self._certificates.has_key(certificate),
            "renewsAt": iso(renewal_of(document)) if issued else None,
            "renewedAt": document["renewedAt"],
            "renewals": certificate.renewals,
            **self._told(arn, document, used),
        }


def _missing(lacking: Lacking) -> dict[str, Any]:
    return {
        "arn": lacking.arn,
        "kind": "authority" if lacking.authority else "certificate",
        "hosts": list(lacking.hosts),
        "uris": list(lacking.uris),
        "authority": lacking.issuer,
        "command": lacking.command,
        "usedBy": [{"key": str(each.key), "path": each.path} for each in lacking.uses],
    }


class AuthorityRequests(_Requests):
    async def list_authorities(self, call: Call) -> Answer:
        call.known_query()

        def listed() -> Answer:
            used = self._used()
            found = [
                self._document(each, used.get(each.arn, ()))
                for each in self._certificates.authorities.all()
            ]
            return answer({"revision": self._parts.store.state.revision, "authorities": found})

        return await asyncio.to_thread(listed)

    async def create(self, call: Call) -> Answer:
        call.known_query()
        body = await call.json_object()
        if found := list(unknown_members(body, AUTHORITY_MEMBERS)):
            raise Invalid(found)
        wanted = wanted_authority(body)
        return self._answer(*await self._certificates.authorities.create(wanted, call.author))

    async def describe(self, call: Call) -> Answer:
        call.known_query()
        return self._answer(self._certificates.authorities.of(call.labels["arn"]))

    async def renew(self, call: Call) -> Answer:
        call.known_query()
        made = await self._certificates.authorities.begin(call.labels["arn"], call.author)
        return self._answer(*made)

    async def delete(self, call: Call) -> Answer:
        force = flag(call.known_query("force"), "force")
        authority, revision = await self._certificates.authorities.delete(
            call.labels["arn"], call.author, force=force
        )
        return answer({"arn": authority.arn, "name": authority.name}, revision=revision)

    def _answer(self, authority: Authority, revision: int | None = None) -> Answer:
        told = {
            **self._document(authority, self._used().get(authority.arn, ())),
            "certificateChain": authority.trusted,
        }
        return answer(told, revision=revision)

    def _document(self, authority: Authority, used: Sequence[Use]) -> dict[str, Any]:
        arn, state = authority.arn, self._parts.store.state
        document = state.document(AUTHORITIES, arn) or authority.to_document()
        certificates = state.collection(CERTIFICATES).values()
        return {
            "arn": arn,
            "name": authority.name,
            "origin": authority.origin,
            "canIssue": self._certificates.authorities.can_sign(authority),
            "phase": authority.phase,
            "renewsAt": iso(renewal_of(document)) if authority.origin == "created" else None,
            "certificates": sum(each["authorityArn"] == arn for each in certificates),
            **self._told(arn, document, used),
        }
