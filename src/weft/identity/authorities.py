"""
Certificate authorities: made or taken in, signing, and changing their key.

They stand in for ACM-PCA. An authority's private key is sealed on disk and in memory, and
opened only to sign; no document, answer or state has it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from cryptography import x509
from cryptography.x509.oid import NameOID

from weft.errors import BadRequest, Conflict, InUse, Invalid, Problem, Unavailable
from weft.identity import ca, imported
from weft.identity.kept import Authority, iso, trusting
from weft.identity.requests import WantedAuthority
from weft.identity.uses import uses_of
from weft.identity.vault import Vault, listed, only, refuse_more, refuse_used
from weft.model.certificate import AUTHORITIES, CERTIFICATES
from weft.store.change import Applied, Author, Expect, Keep, Step
from weft.store.document import logged_of
from weft.store.state import MeshState

DEFAULT = "weft"
"""The name of the authority that issues where none is named; made when it is first needed."""


class Authorities:
    """Every authority; one that is made counts once it is on disk."""

    def __init__(self, vault: Vault, sealed: Mapping[str, str]) -> None:
        self._vault = vault
        self._sealed = dict(sealed)
        """Their keys, by ARN."""

    def all(self) -> list[Authority]:
        """By name."""
        found = [
            Authority.from_document(arn, document)
            for arn, document in self._vault.state.collection(AUTHORITIES).items()
        ]
        return sorted(found, key=lambda each: (each.name, each.arn))

    def of(self, said: str) -> Authority:
        """By its ARN, or by its name."""
        document = self._vault.state.document(AUTHORITIES, said)
        if document is not None:
            return Authority.from_document(said, document)
        named = [each for each in self.all() if said in (each.name, each.arn.rpartition("/")[2])]
        return only(named, said, "authority", "weft cert authority list", lambda each: each.arn)

    def can_sign(self, authority: Authority) -> bool:
        """Whether its key is here."""
        return authority.arn in self._sealed

    # --- made, taken in, forgotten --------------------------------------------------------

    async def create(self, wanted: WantedAuthority, author: Author) -> tuple[Authority, int]:
        """Make one, or take in one that somebody has already; with its revision."""
        return await self._vault.alone(self._create(wanted, author))

    async def default(self, author: Author) -> Authority:
        """The control plane's own; for those who have the turn."""
        for each in self.all():
            if each.name == DEFAULT:
                return each
        return (await self._create(WantedAuthority(name=DEFAULT), author))[0]

    async def _create(self, wanted: WantedAuthority, author: Author) -> tuple[Authority, int]:
        refuse_more(len(self._vault.state.collection(AUTHORITIES)), "authorities")
        authority, key = await self._made(wanted)
        secret = None
        if key is not None:
            text = json.dumps({"key": ca.key_pem(key)})
            secret = self._vault.secret(AUTHORITIES, authority.arn, text)
        keep = Keep(AUTHORITIES, authority.arn, authority.to_document(), Expect.ABSENT, secret)
        note = f"certificate authority {authority.name} {authority.origin}"
        applied = await self._vault.write(lambda _: [keep], author, note)
        # A revert may have taken away an earlier one of this ARN, whose key must not sign.
        self._sealed.pop(authority.arn, None)
        if secret is not None:
            self._sealed[authority.arn] = secret.sealed
        return authority, applied.revision

    async def _made(self, wanted: WantedAuthority) -> tuple[Authority, ca.SigningKey | None]:
        arn = wanted.arn or self._vault.new_arn("acm-pca", "certificate-authority")
        now = self._vault.now()
        found: list[Problem] = []
        if self._vault.state.document(AUTHORITIES, arn) is not None:
            found.append(Problem("arn", f"there is an authority {arn} already"))
        brought = None
        if wanted.certificate is not None:
            try:
                brought = imported.authority(
                    wanted.certificate, wanted.private_key, wanted.chain, now
                )
            except Invalid as error:
                found += error.problems
        name = wanted.name or (_common_name(brought.certificate) if brought else "")
        name = name or arn.rpartition("/")[2][:64]
        if any(each.name == name for each in self.all()):
            found.append(Problem("name", f"there is an authority named {name!r} already"))
        if found:
            raise Invalid(found)
        if brought is None:
            made = await asyncio.to_thread(ca.root, name, wanted.algorithm, now, wanted.lasts)
            own = ca.pem([made.certificate])
            authority = Authority(
                arn,
                name,
                own,
                own,
                "",
                "created",
                can_issue=True,
                lasts=wanted.lasts,
                created_at=now,
            )
            return authority, made.key
        first = brought.certificate
        own, above = ca.pem([first]), ca.pem(brought.intermediates)
        authority = Authority(
            arn,
            name,
            own,
            own,
            # Whoever trusts the root of them all needs every one below it.
            above if ca.signed(first, first) else own + above,
            "imported",
            can_issue=brought.key is not None,
            lasts=first.not_valid_after_utc - first.not_valid_before_utc,
            created_at=now,
        )
        return authority, brought.key

    async def delete(
        self, said: str, author: Author, *, force: bool = False
    ) -> tuple[Authority, int]:
        """Forget one with its key; InUse while something trusts it or came from it."""
        return await self._vault.alone(self._delete(said, author, force=force))

    async def _delete(self, said: str, author: Author, *, force: bool) -> tuple[Authority, int]:
        authority = self.of(said)

        def gone(state: MeshState) -> Sequence[Step]:
            issued = [
                arn
                for arn, each in state.collection(CERTIFICATES).items()
                if each["authorityArn"] == authority.arn
            ]
            if not force:
                refuse_used(f"authority {authority.name}", uses_of(state, authority.arn))
            if issued and not force:
                raise InUse(
                    f"authority {authority.name} renews {listed(sorted(issued))}",
                    fix="delete these first, or use --force: they are not renewed then",
                )
            return [Keep(AUTHORITIES, authority.arn, None)]

        note = f"certificate authority {authority.name} deleted"
        applied = await self._vault.write(gone, author, note)
        self._sealed.pop(authority.arn, None)
        return authority, applied.revision

    # --- signing --------------------------------------------------------------------------

    async def signed(
        self, authority: Authority, names: ca.Names, algorithm: ca.KeyAlgorithm, lasts: timedelta
    ) -> ca.Pair:
        """A leaf of an authority with a key of its own; BadRequest when it cannot sign."""
        if not self.can_sign(authority):
            raise BadRequest(
                f"authority {authority.name} cannot issue: its private key is not here",
                fix="name another with --authority, or import it with its key"
                if authority.origin == "imported"
                else f"weft cert authority rotate {authority.name} makes a new key",
            )
        if authority.disabled:
            raise BadRequest(
                f"authority {authority.name} cannot issue: it is disabled",
                fix="aws acm-pca update-certificate-authority --status ACTIVE "
                f"--certificate-authority-arn {authority.arn}",
            )
        now, ends = self._vault.now(), authority.own.not_valid_after_utc
        if ends <= now + timedelta(seconds=1):
            raise BadRequest(
                f"authority {authority.name} cannot issue: it expired at {iso(ends)}",
                fix=f"weft cert authority rotate {authority.name}"
                if authority.origin == "created"
                else "import its successor",
            )
        issuer = ca.Pair(authority.own, ca.loaded_key(self._keys(authority)["key"]))
        return await asyncio.to_thread(ca.leaf, names, algorithm, issuer, now, lasts)

    def signing_request(self, authority: Authority) -> str:
        """PEM of a request for its own certificate, signed by its key."""
        if not self.can_sign(authority):
            raise BadRequest(f"the private key of authority {authority.name} is not here")
        key = ca.loaded_key(self._keys(authority)["key"])
        return ca.request_pem(authority.own.subject, key)

    async def enable(self, said: str, author: Author, *, disabled: bool) -> int:
        """Let an authority sign, or not."""
        return await self._vault.alone(self._enable(said, author, disabled=disabled))

    async def _enable(self, said: str, author: Author, *, disabled: bool) -> int:
        authority = self.of(said)
        after = replace(authority, disabled=disabled)
        note = f"authority {authority.name} {'disabled' if disabled else 'enabled'}"
        return (await self._change(authority, after, author, note)).revision

    def _keys(self, authority: Authority) -> dict[str, str]:
        found = json.loads(
            self._vault.opened(AUTHORITIES, authority.arn, self._sealed[authority.arn])
        )
        assert isinstance(found, dict), "we wrote it"
        return found

    # --- changing the key: the phases of ``kept.Phase`` -----------------------------------

    async def begin(self, said: str, author: Author) -> tuple[Authority, int]:
        """Make the next key, and have it trusted beside the one that signs."""
        return await self._vault.alone(self._begin(said, author))

    async def _begin(self, said: str, author: Author) -> tuple[Authority, int]:
        authority = self.of(said)
        if authority.origin != "created":
            raise BadRequest(
                f"authority {authority.name} was imported, and cannot be renewed here",
                fix="import its successor under another ARN, and trust both for a while",
            )
        if authority.phase is not None:
            raise Conflict(
                f"authority {authority.name} is changing its key already",
                fix=f"weft cert authority show {authority.name} says how far it is",
            )
        algorithm = ca.algorithm_of(authority.own.public_key()) or ca.KeyAlgorithm.EC_P256
        made = await asyncio.to_thread(
            ca.root, authority.name, algorithm, self._vault.now(), authority.lasts
        )
        following, key = ca.pem([made.certificate]), ca.key_pem(made.key)
        after = replace(authority, trusted=trusting([authority.trusted, following]), can_issue=True)
        if self.can_sign(authority):
            keys = {"key": self._keys(authority)["key"], "next": key}
            after = replace(after, phase="trusting", following=following)
        else:
            # Nothing is signed with the old key any more: what it signed moves at once.
            keys = {"key": key}
            after = replace(after, phase="moving", certificate=following)
        note = f"authority {authority.name} has a new key, and both are trusted"
        applied = await self._change(authority, after, author, note, keys)
        return after, applied.revision

    async def promote(self, arn: str, author: Author) -> int:
        """Sign with the key that everybody trusts by now; the old one is forgotten."""
        return await self._vault.alone(self._promote(arn, author))

    async def _promote(self, arn: str, author: Author) -> int:
        authority = self.of(arn)
        if authority.following is None:
            raise Conflict(f"authority {authority.name} has no next key")
        after = replace(authority, certificate=authority.following, following=None, phase="moving")
        keys = {"key": self._keys(authority)["next"]}
        note = f"authority {authority.name} signs with its new key"
        return (await self._change(authority, after, author, note, keys)).revision

    async def end(self, arn: str, author: Author) -> int:
        """Trust the old key no more."""
        return await self._vault.alone(self._end(arn, author))

    async def _end(self, arn: str, author: Author) -> int:
        authority = self.of(arn)
        after = replace(authority, trusted=authority.certificate, phase=None)
        note = f"authority {authority.name} is trusted by its new key alone"
        return (await self._change(authority, after, author, note)).revision

    async def _change(
        self,
        before: Authority,
        after: Authority,
        author: Author,
        note: str,
        keys: Mapping[str, str] | None = None,
    ) -> Applied:
        """Write an authority, and what is to be trusted into each certificate that came from it."""
        secret = None
        if keys is not None:
            secret = self._vault.secret(AUTHORITIES, after.arn, json.dumps(keys))
        steps: list[Step] = [
            Keep(AUTHORITIES, after.arn, after.to_document(), Expect.PRESENT, secret)
        ]
        if before.trusted != after.trusted:
            steps += [
                Keep(
                    CERTIFICATES,
                    arn,
                    {**logged_of(CERTIFICATES, each), "rootChain": after.trusted},
                )
                for arn, each in self._vault.state.collection(CERTIFICATES).items()
                if each["authorityArn"] == after.arn
            ]
        applied = await self._vault.write(self.as_planned(before, steps), author, note)
        if secret is not None:
            self._sealed[after.arn] = secret.sealed
        return applied

    def as_planned(
        self, authority: Authority, steps: Sequence[Step]
    ) -> Callable[[MeshState], Sequence[Step]]:
        """The steps, unless somebody made the authority another one meanwhile."""
        planned_on = self._vault.state.document(AUTHORITIES, authority.arn)

        def unchanged(state: MeshState) -> Sequence[Step]:
            if state.document(AUTHORITIES, authority.arn) is not planned_on:
                raise Unavailable(
                    f"authority {authority.name} was changed meanwhile, and nothing was done",
                    fix="try again",
                )
            return steps

        return unchanged


def _common_name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value)[:64] if found else ""
