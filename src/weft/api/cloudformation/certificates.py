"""
Certificates and authorities of a template: what is only recorded otherwise is made here.

``AWS::ACMPCA::CertificateAuthority`` and ``AWS::CertificateManager::Certificate`` (of an
authority) get the ARNs that the stack gives them anyway, and real certificates under
these. What an authority's activation takes is recorded: it has its root from the start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

from weft.api.parts import Parts
from weft.errors import WeftError
from weft.identity.requests import wanted_authority, wanted_certificate
from weft.manifests.cloudformation.plan import Act, Plan
from weft.manifests.cloudformation.stack import StackResource
from weft.model.certificate import AUTHORITIES, CERTIFICATES
from weft.store.change import Author

log = structlog.get_logger(__name__)

_AUTHORITY = "AWS::ACMPCA::CertificateAuthority"
_CERTIFICATE = "AWS::CertificateManager::Certificate"


class StackCertificates:
    """Made before a stack is written, and forgotten with it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @asynccontextmanager
    async def made(self, plan: Plan, author: Author) -> AsyncIterator[None]:
        """Those that a stack's resources stand for; forgotten again if the block fails."""
        fresh: list[StackResource] = []
        try:
            for each in _in_order(move.after for move in plan.moves):
                if await self._make(each, plan.recorded.get(each.logical_id, {}), author):
                    fresh.append(each)
            yield
        except BaseException:
            await self.forget(fresh, author)
            raise

    async def forget_left(self, plan: Plan, author: Author) -> None:
        """What an update took out of the stack."""
        left = [
            move.before
            for move in plan.moves
            if move.before and move.act in (Act.REMOVE, Act.REPLACE)
        ]
        await self.forget(left, author)

    async def forget(self, resources: Iterable[StackResource], author: Author) -> None:
        """Those of a stack that nothing else uses; what is in use stays, as it would with AWS."""
        certificates = self._parts.certificates
        if certificates is None:
            return
        state = self._parts.store.state
        for each in reversed(_in_order(resources)):
            arn, authority = each.physical_id, each.type == _AUTHORITY
            if state.document(AUTHORITIES if authority else CERTIFICATES, arn) is None:
                continue
            try:
                if authority:
                    await certificates.authorities.delete(arn, author)
                else:
                    await certificates.delete(arn, author)
            except WeftError as error:
                log.warning("a stack's certificate stays", arn=arn, reason=error.message)

    async def _make(
        self, resource: StackResource, properties: Mapping[str, Any], author: Author
    ) -> bool:
        """Whether one was made: there may be one, or it may be one of those that are not issued here."""
        certificates, state = self._parts.certificates, self._parts.store.state
        arn = resource.physical_id
        if certificates is None:
            return False
        if resource.type == _AUTHORITY:
            if state.document(AUTHORITIES, arn) is not None:
                return False
            subject = properties.get("Subject")
            name = subject.get("CommonName") if isinstance(subject, Mapping) else None
            taken = {each.name for each in certificates.authorities.all()}
            wanted = wanted_authority(
                {
                    "arn": arn,
                    "keyAlgorithm": properties.get("KeyAlgorithm"),
                    "name": name if isinstance(name, str) and name not in taken else None,
                }
            )
            await certificates.authorities.create(wanted, author)
            return True
        authority = properties.get("CertificateAuthorityArn")
        if state.document(CERTIFICATES, arn) is not None or not isinstance(authority, str):
            return False
        names = [properties.get("DomainName"), *(properties.get("SubjectAlternativeNames") or ())]
        body = {
            "arn": arn,
            "hosts": list(dict.fromkeys(names)),
            "authority": authority,
            "keyAlgorithm": properties.get("KeyAlgorithm"),
        }
        await certificates.create(wanted_certificate(body), author)
        return True


def _in_order(resources: Iterable[StackResource | None]) -> list[StackResource]:
    """Authorities before what they issue."""
    found = [each for each in resources if each and each.type in (_AUTHORITY, _CERTIFICATE)]
    return sorted(found, key=lambda each: each.type != _AUTHORITY)
