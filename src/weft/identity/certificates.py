"""
The certificates of the mesh: issued, taken in, renewed and forgotten, by ARN.

They stand in for ACM. Every write is one revision; the private key goes with it sealed,
and the key that it takes the place of is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from weft.clock import Clock
from weft.errors import BadRequest, CannotStart, Conflict, NotFound
from weft.identity import ca, imported
from weft.identity.authorities import Authorities
from weft.identity.kept import Certificate
from weft.identity.requests import WantedCertificate
from weft.identity.sealing import Seal
from weft.identity.uses import uses_of
from weft.identity.vault import FORGET, Vault, only, refuse_more, refuse_used
from weft.model.certificate import AUTHORITIES, CERTIFICATES
from weft.store.change import Author, Expect, Keep, Step
from weft.store.document import kept_of
from weft.store.state import MeshState
from weft.store.store import Store

Made = tuple[Certificate, int, tuple[str, ...]]
"""A certificate, the revision that made it, and what is odd about it."""


class Certificates:
    """Every certificate; one that is made counts once it is on disk."""

    def __init__(self, vault: Vault, authorities: Authorities) -> None:
        self.authorities = authorities
        self.clock = vault.clock
        self._vault = vault

    @classmethod
    async def open(cls, store: Store, seal: Seal, clock: Clock, region: str, account: str) -> Self:
        """
        Those of a data directory, whose state gets its private keys by this.

        CannotStart when they do not open.
        """
        vault = Vault(store, seal, clock, region, account)
        members, of_authorities = {}, {}
        for id, sealed in (await store.blocking(store.secrets.rows)).items():
            kept = kept_of(id)
            if kept is None:
                raise CannotStart(f"the secret of {id} belongs to nothing", fix=FORGET)
            opened = vault.opened(*kept, sealed)
            if kept[0] == AUTHORITIES:
                of_authorities[kept[1]] = sealed
            else:
                members[kept] = {"privateKey": opened}
        store.complete(members)
        return cls(vault, Authorities(vault, of_authorities))

    def all(self) -> list[Certificate]:
        """By the name that people call them by."""
        found = [
            Certificate.from_document(arn, document)
            for arn, document in self._vault.state.collection(CERTIFICATES).items()
        ]
        return sorted(found, key=lambda each: (each.names.first, each.arn))

    def of(self, said: str) -> Certificate:
        """By its ARN, or by a name that no other has."""
        document = self._vault.state.document(CERTIFICATES, said)
        if document is not None:
            return Certificate.from_document(said, document)
        named = [
            each
            for each in self.all()
            if said in (*each.names.hosts, *each.names.uris, each.arn.rpartition("/")[2])
        ]
        return only(named, said, "certificate", "weft cert list", lambda each: each.arn)

    def has_key(self, certificate: Certificate) -> bool:
        """Whether its private key is here."""
        return bool(
            (self._vault.state.document(CERTIFICATES, certificate.arn) or {}).get("privateKey")
        )

    def private_key(self, certificate: Certificate) -> str:
        """PEM, for whoever may have it."""
        document = self._vault.state.document(CERTIFICATES, certificate.arn) or {}
        if not (found := document.get("privateKey")):
            raise NotFound(
                f"the private key of {certificate.arn} is not here",
                fix=f"weft cert rotate {certificate.arn} makes a new one",
            )
        return str(found)

    # --- made, taken in -------------------------------------------------------------------

    async def create(
        self, wanted: WantedCertificate, author: Author, *, replacing: bool = False
    ) -> Made:
        """
        Issue one, or take in one that somebody has already.

        ``replacing`` puts it in the place of the one that is there under its ARN.
        """
        return await self._vault.alone(self._create(wanted, author, replacing=replacing))

    async def _create(self, wanted: WantedCertificate, author: Author, *, replacing: bool) -> Made:
        before = None
        if replacing:
            before = self.of(wanted.arn or "")
        else:
            refuse_more(len(self._vault.state.collection(CERTIFICATES)), "certificates")
        arn = before.arn if before else wanted.arn or self._vault.new_arn("acm", "certificate")
        if before is None and self._vault.state.document(CERTIFICATES, arn) is not None:
            raise Conflict(
                f"there is a certificate {arn} already",
                fix=f"weft cert rotate {arn} renews it; --replace puts another in its place",
            )
        if wanted.certificate is not None:
            return await self._import(arn, before, wanted, author)
        if wanted.authority is None:
            authority = await self.authorities.default(author)
        else:
            authority = self.authorities.of(wanted.authority)
        pair = await self.authorities.signed(
            authority, wanted.names, wanted.algorithm, wanted.lasts
        )
        now = self._vault.now()
        certificate = Certificate(
            arn,
            ca.pem([pair.certificate]) + authority.above,
            authority.arn,
            authority.trusted,
            wanted.names,
            "issued",
            wanted.lasts,
            before.created_at if before else now,
            ca.key_id(authority.own),
            now if before else None,
            before.renewals + 1 if before else 0,
        )
        keep = self._keep(certificate, pair.key, Expect.PRESENT if before else Expect.ABSENT)
        note = f"certificate for {wanted.names.first} issued by {authority.name}"
        steps = self.authorities.as_planned(authority, [keep])
        applied = await self._vault.write(steps, author, note)
        return certificate, applied.revision, ()

    async def _import(
        self, arn: str, before: Certificate | None, wanted: WantedCertificate, author: Author
    ) -> Made:
        now = self._vault.now()
        brought = imported.certificate(
            wanted.certificate or "", wanted.private_key, wanted.chain, wanted.root, now
        )
        assert brought.key is not None, "a certificate is not taken without"
        own = brought.certificate
        certificate = Certificate(
            arn,
            ca.pem([own, *brought.intermediates]),
            None,
            ca.pem(brought.roots) or None,
            ca.names_of(own),
            "imported",
            own.not_valid_after_utc - own.not_valid_before_utc,
            before.created_at if before else now,
            None,
            now if before else None,
            before.renewals + 1 if before else 0,
        )
        keep = self._keep(certificate, brought.key, Expect.PRESENT if before else Expect.ABSENT)
        note = f"certificate for {certificate.names.first or arn} imported"
        applied = await self._vault.write(lambda _: [keep], author, note)
        return certificate, applied.revision, brought.warnings

    # --- renewed, forgotten ---------------------------------------------------------------

    async def renew(self, said: str, author: Author) -> tuple[Certificate, int]:
        """Put a new certificate with a new key under the ARN, as one revision."""
        return await self._vault.alone(self._renew(said, author))

    async def _renew(self, said: str, author: Author) -> tuple[Certificate, int]:
        certificate = self.of(said)
        if certificate.authority is None:
            raise BadRequest(
                f"{certificate.arn} was imported, and cannot be renewed here",
                fix=f"import its successor: weft cert import --replace --arn {certificate.arn}",
            )
        authority = self.authorities.of(certificate.authority)
        algorithm = ca.algorithm_of(certificate.own.public_key()) or ca.KeyAlgorithm.EC_P256
        pair = await self.authorities.signed(
            authority, certificate.names, algorithm, certificate.lasts
        )
        renewed = replace(
            certificate,
            chain=ca.pem([pair.certificate]) + authority.above,
            root=authority.trusted,
            issuer_key=ca.key_id(authority.own),
            renewed_at=self._vault.now(),
            renewals=certificate.renewals + 1,
        )
        keep = self._keep(renewed, pair.key, Expect.PRESENT)
        steps = self.authorities.as_planned(authority, [keep])
        note = f"certificate for {renewed.names.first} renewed"
        applied = await self._vault.write(steps, author, note)
        return renewed, applied.revision

    async def delete(
        self, said: str, author: Author, *, force: bool = False
    ) -> tuple[Certificate, int]:
        """Forget one with its key; InUse while a listener presents it."""
        return await self._vault.alone(self._delete(said, author, force=force))

    async def _delete(self, said: str, author: Author, *, force: bool) -> tuple[Certificate, int]:
        certificate = self.of(said)

        def gone(state: MeshState) -> Sequence[Step]:
            if not force:
                refuse_used(f"certificate {certificate.arn}", uses_of(state, certificate.arn))
            return [Keep(CERTIFICATES, certificate.arn, None, Expect.PRESENT)]

        note = f"certificate for {certificate.names.first or certificate.arn} deleted"
        applied = await self._vault.write(gone, author, note)
        return certificate, applied.revision

    def _keep(self, certificate: Certificate, key: ca.SigningKey, expect: Expect) -> Keep:
        text = ca.key_pem(key)
        secret = self._vault.secret(CERTIFICATES, certificate.arn, text, {"privateKey": text})
        return Keep(CERTIFICATES, certificate.arn, certificate.to_document(), expect, secret)
