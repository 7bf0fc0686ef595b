"""Certificates and authorities in a data directory: made, renewed, forgotten, sealed."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from weft.clock import ManualClock
from weft.errors import BadRequest, CannotStart, Conflict, InUse, Invalid, NotFound
from weft.identity import ca
from weft.identity.certificates import Certificates
from weft.identity.credentials import Credentials
from weft.identity.requests import WantedAuthority, WantedCertificate
from weft.identity.rotation import Rotation
from weft.identity.sealing import KEY_FILE
from weft.model.certificate import AUTHORITIES, CERTIFICATES
from weft.model.certificate import Authority as Trusted
from weft.model.certificate import Certificate as Presented
from weft.names import Key
from weft.store.change import Author, Create
from weft.store.store import Store

ME = Author("ana", "pytest")
ARN = "arn:aws:acm:eu-west-1:111122223333:certificate/of-an-old-template"
CA_ARN = "arn:aws:acm-pca:eu-west-1:111122223333:certificate-authority/of-an-old-template"
WEB = WantedCertificate(ARN, ca.Names(("web.local",)))
NODE = Key.parse("mesh/m/virtualNode/web")


@dataclass
class Kept:
    """One control plane's worth of it."""

    store: Store
    certificates: Certificates
    rotation: Rotation
    clock: ManualClock
    accepted: bool = True

    @property
    def keys(self) -> list[str]:
        found = self.store.state.collection(CERTIFICATES).values()
        return [str(each["privateKey"]) for each in found]


@contextlib.asynccontextmanager
async def opened(directory: Path, clock: ManualClock) -> AsyncIterator[Kept]:
    async with Store.open(directory, clock) as store:
        seal = (await Credentials.open(store, directory)).seal
        assert seal is not None
        certificates = await Certificates.open(store, seal, clock, "us-west-2", "000000000000")
        rotation = Rotation(store, certificates, lambda _: kept.accepted, timedelta())
        kept = Kept(store, certificates, rotation, clock)
        yield kept


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def kept(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Kept]:
    async with opened(tmp_path, clock) as kept:
        yield kept


def on_disk(directory: Path) -> bytes:
    return b"".join(each.read_bytes() for each in directory.iterdir() if each.name != KEY_FILE)


async def test_a_certificate_under_a_given_arn_is_what_proxies_read(kept: Kept) -> None:
    made, revision, _ = await kept.certificates.create(WEB, ME)
    assert (made.arn, revision) == (ARN, kept.store.state.revision)
    presented = Presented.from_document(kept.store.state.document(CERTIFICATES, ARN))
    assert presented is not None
    assert made.authority is not None
    trusted = Trusted.from_document(kept.store.state.document(AUTHORITIES, made.authority))
    assert trusted is not None
    assert presented.authority == made.authority
    assert presented.root_chain == trusted.chain
    (leaf,) = ca.loaded(presented.chain)
    assert leaf.public_key() == ca.loaded_key(presented.private_key.pem).public_key()
    assert ca.signed(leaf, ca.loaded(trusted.chain)[0])


async def test_the_first_certificate_makes_the_authority_and_later_ones_share_it(
    kept: Kept,
) -> None:
    await kept.certificates.create(WEB, ME)
    await kept.certificates.create(WantedCertificate(names=ca.Names(("b.local",))), ME)
    (authority,) = kept.certificates.authorities.all()
    assert authority.name == "weft"
    assert kept.store.state.revision == 3


async def test_no_private_key_is_on_disk_in_the_log_or_in_what_prints(
    kept: Kept, tmp_path: Path
) -> None:
    await kept.certificates.create(WEB, ME)
    await kept.certificates.renew(ARN, ME)
    authority = kept.certificates.authorities.all()[0]
    await kept.certificates.authorities.begin(authority.arn, ME)
    assert "-----BEGIN PRIVATE KEY" in kept.keys[0]
    raw = on_disk(tmp_path)
    assert b"BEGIN CERTIFICATE" in raw
    for line in [*kept.keys[0].splitlines()[1:-1], "PRIVATE KEY"]:
        assert line.encode() not in raw
    for change in await kept.store.changes(limit=10):
        assert "PRIVATE KEY" not in repr(change)
    assert "PRIVATE KEY" not in repr([kept.certificates.all(), kept.certificates.authorities.all()])
    assert "PRIVATE KEY" not in repr(kept.store.state.document(AUTHORITIES, authority.arn))


async def test_everything_is_there_after_a_restart_and_the_authority_still_signs(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as before:
        await before.certificates.create(WEB, ME)
        keys, revision = before.keys, before.store.state.revision
    async with opened(tmp_path, clock) as after:
        assert (after.keys, after.store.state.revision) == (keys, revision)
        await after.certificates.renew(ARN, ME)
        assert after.keys != keys


async def test_a_backup_without_the_key_file_opens_nothing_and_says_the_way_out(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as before:
        await before.certificates.create(WEB, ME)
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(CannotStart, match="is missing") as missing:
        async with opened(tmp_path, clock):
            pass
    assert "weft cert forget-keys" in str(missing.value.fix)
    async with Store.open(tmp_path / "other", clock) as other:
        await Credentials.open(other, tmp_path / "other")
    (tmp_path / "other" / KEY_FILE).rename(tmp_path / KEY_FILE)
    with pytest.raises(CannotStart, match="does not open") as wrong:
        async with opened(tmp_path, clock):
            pass
    assert "weft cert forget-keys" in str(wrong.value.fix)


async def test_keys_that_were_forgotten_come_anew_under_the_same_arns(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as before:
        await before.certificates.create(WEB, ME)
        assert before.store.secrets.forget_all() == 2
    async with opened(tmp_path, clock) as after:
        assert Presented.from_document(after.store.state.document(CERTIFICATES, ARN)) is None
        assert await after.rotation.renew_due() == 0
        assert "private key is not here" in after.rotation.failures[ARN].reason
        await after.certificates.authorities.begin("weft", ME)
        clock.advance(timedelta(minutes=1))
        while await after.rotation.renew_due():
            pass
        assert Presented.from_document(after.store.state.document(CERTIFICATES, ARN)) is not None
        assert after.rotation.failures == {}
        (authority,) = after.certificates.authorities.all()
        assert (authority.phase, authority.trusted) == (None, authority.certificate)


async def test_a_replaced_key_is_forgotten_and_no_revert_brings_it_back(
    kept: Kept, tmp_path: Path
) -> None:
    _, revision, _ = await kept.certificates.create(WEB, ME)
    _, renewed = await kept.certificates.renew(ARN, ME)
    with sqlite3.connect(tmp_path / "weft.db") as database:
        query = "select count(*) from secrets where id like 'certificates//%'"
        assert database.execute(query).fetchone() == (1,)
    database.close()
    past = (await kept.store.state_at(revision)).document(CERTIFICATES, ARN)
    assert past is not None
    assert Presented.from_document(past) is None
    with pytest.raises(Conflict, match="private key it had then is forgotten"):
        await kept.store.revert(renewed, ME)
    _, deleted = await kept.certificates.delete(ARN, ME)
    with pytest.raises(Conflict, match="private key it had then is forgotten"):
        await kept.store.revert(deleted, ME)


async def test_reverting_the_issue_of_a_certificate_forgets_it_with_its_key(
    kept: Kept, tmp_path: Path
) -> None:
    _, revision, _ = await kept.certificates.create(WEB, ME)
    await kept.store.revert(revision, ME)
    assert kept.certificates.all() == []
    assert not [each for each in kept.store.secrets.rows() if each.startswith(CERTIFICATES)]


async def test_what_is_in_use_is_not_deleted_unless_forced(kept: Kept) -> None:
    await kept.certificates.create(WEB, ME)
    authority = kept.certificates.authorities.all()[0]
    tls = {"mode": "STRICT", "certificate": {"acm": {"certificateArn": ARN}}}
    trust = {"validation": {"trust": {"acm": {"certificateAuthorityArns": [authority.arn]}}}}
    spec = {
        "listeners": [{"portMapping": {"port": 80, "protocol": "http"}, "tls": tls}],
        "backendDefaults": {"clientPolicy": {"tls": trust}},
        "serviceDiscovery": {"dns": {"hostname": "web.local"}},
    }
    await kept.store.apply([Create(Key.parse("mesh/m"), {}), Create(NODE, spec)], ME)
    place = r"mesh/m/virtualNode/web \(spec.listeners\[0\].tls.certificate.acm.certificateArn\)"
    with pytest.raises(InUse, match=place):
        await kept.certificates.delete("web.local", ME)
    with pytest.raises(InUse, match=r"clientPolicy\.tls\.validation\.trust\.acm"):
        await kept.certificates.authorities.delete("weft", ME)
    await kept.certificates.delete("web.local", ME, force=True)
    await kept.certificates.authorities.delete("weft", ME, force=True)
    assert kept.store.secrets.rows() == {}


async def test_a_name_means_the_one_that_has_it(kept: Kept) -> None:
    await kept.certificates.create(WEB, ME)
    assert kept.certificates.of("web.local").arn == ARN
    with pytest.raises(NotFound, match="no certificate 'nobody'"):
        kept.certificates.of("nobody")
    await kept.certificates.create(WantedCertificate(names=ca.Names(("web.local",))), ME)
    with pytest.raises(Conflict, match=r"2 are named 'web\.local'"):
        kept.certificates.of("web.local")


async def test_an_authority_is_made_under_a_given_arn_once(kept: Kept) -> None:
    made, _ = await kept.certificates.authorities.create(WantedAuthority(CA_ARN, "old"), ME)
    assert made.arn == CA_ARN
    with pytest.raises(Invalid) as refused:
        await kept.certificates.authorities.create(WantedAuthority(CA_ARN, "old"), ME)
    assert [each.path for each in refused.value.problems] == ["arn", "name"]
    wanted = WantedCertificate(ARN, ca.Names(("a.local",)), "old")
    assert (await kept.certificates.create(wanted, ME))[0].authority == CA_ARN


async def test_certificates_made_at_once_are_all_there(kept: Kept) -> None:
    wanted = [WantedCertificate(names=ca.Names((f"n{i}.local",))) for i in range(20)]
    await asyncio.gather(*(kept.certificates.create(each, ME) for each in wanted))
    assert len(kept.certificates.all()) == 20
    assert len(kept.certificates.authorities.all()) == 1


async def test_a_certificate_is_renewed_60_days_before_its_end_as_one_revision(kept: Kept) -> None:
    await kept.certificates.create(WEB, ME)
    before, revision = kept.keys, kept.store.state.revision
    kept.clock.advance(timedelta(days=334))
    assert await kept.rotation.renew_due() == 0
    kept.clock.advance(timedelta(days=2))
    assert await kept.rotation.renew_due() == 1
    assert kept.store.state.revision == revision + 1
    assert kept.keys != before
    change = await kept.store.change(revision + 1)
    assert (change.author.name, change.note) == ("weft", "certificate for web.local renewed")
    assert await kept.rotation.renew_due() == 0
    made = kept.certificates.of(ARN)
    assert made.renewals == 1
    assert made.own.not_valid_after_utc == kept.clock.now() + timedelta(days=395)


@pytest.mark.parametrize("lasts", [timedelta(seconds=30), timedelta(minutes=10), timedelta(days=1)])
async def test_a_short_life_is_renewed_in_its_last_third_and_not_before(
    kept: Kept, lasts: timedelta
) -> None:
    await kept.certificates.create(WantedCertificate(ARN, ca.Names(("s.local",)), lasts=lasts), ME)
    for done in range(5):
        kept.clock.advance(lasts * 0.6)
        assert await kept.rotation.renew_due() == 0
        kept.clock.advance(lasts * 0.2)
        assert await kept.rotation.renew_due() == 1
        assert await kept.rotation.renew_due() == 0
        assert kept.certificates.of(ARN).renewals == done + 1


async def test_the_schedule_goes_on_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as before:
        await before.certificates.create(WEB, ME)
    clock.advance(timedelta(days=336))
    async with opened(tmp_path, clock) as after:
        assert await after.rotation.renew_due() == 1


async def test_an_authority_changes_its_key_step_by_step_and_none_is_skipped(kept: Kept) -> None:
    await kept.certificates.create(WEB, ME)
    old = kept.certificates.authorities.of("weft")
    kept.accepted = False
    authority, _ = await kept.certificates.authorities.begin("weft", ME)
    assert authority.phase == "trusting"
    assert len(ca.loaded(authority.trusted)) == 2
    assert kept.certificates.of(ARN).root == authority.trusted
    # Who renews meanwhile gets what everybody trusts already.
    await kept.certificates.renew(ARN, ME)
    assert ca.signed(kept.certificates.of(ARN).own, old.own)
    assert await kept.rotation.renew_due() == 0
    kept.accepted = True
    assert await kept.rotation.renew_due() >= 1
    kept.accepted = False
    await kept.rotation.renew_due()
    authority = kept.certificates.authorities.of("weft")
    assert authority.phase == "moving"
    assert len(ca.loaded(authority.trusted)) == 2
    assert ca.signed(kept.certificates.of(ARN).own, authority.own)
    assert await kept.rotation.renew_due() == 0
    kept.accepted = True
    assert await kept.rotation.renew_due() == 1
    authority = kept.certificates.authorities.of("weft")
    assert (authority.phase, ca.loaded(authority.trusted)) == (None, [authority.own])
    assert authority.own != old.own
    assert kept.certificates.of(ARN).root == authority.trusted


async def test_a_change_of_key_goes_on_after_a_restart_from_whatever_step(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as kept:
        await kept.certificates.create(WEB, ME)
        await kept.certificates.authorities.begin("weft", ME)
    phases = []
    for _ in range(10):
        async with opened(tmp_path, clock) as kept:
            phases.append(kept.certificates.authorities.of("weft").phase)
            if not await kept.rotation.renew_due():
                break
    assert list(dict.fromkeys(phases)) == ["trusting", "moving", None]


async def test_an_authority_near_its_end_changes_its_key_by_itself(kept: Kept) -> None:
    wanted = WantedAuthority(name="weft", lasts=timedelta(days=30))
    await kept.certificates.authorities.create(wanted, ME)
    await kept.certificates.create(WEB, ME)
    old = kept.certificates.authorities.of("weft").own
    assert kept.certificates.of(ARN).own.not_valid_after_utc == old.not_valid_after_utc
    for _ in range(40):
        kept.clock.advance(timedelta(days=1))
        while await kept.rotation.renew_due():
            pass
        leaf, authority = kept.certificates.of(ARN), kept.certificates.authorities.of("weft")
        assert leaf.own.not_valid_after_utc > kept.clock.now()
        assert any(ca.signed(leaf.own, each) for each in ca.loaded(authority.trusted))
    assert authority.own != old
    # Once for the certificate's own time, once for the new key: not at every look.
    assert leaf.renewals < 5


async def test_a_renewal_that_fails_is_told_and_tried_again_later_and_later(kept: Kept) -> None:
    await kept.certificates.create(WEB, ME)
    await kept.certificates.authorities.delete("weft", ME, force=True)
    kept.clock.advance(timedelta(days=340))
    assert await kept.rotation.renew_due() == 0
    first = kept.rotation.failures[ARN]
    assert "no authority" in first.reason
    assert await kept.rotation.renew_due() == 0
    assert kept.rotation.failures[ARN].attempts == 1
    kept.clock.advance(first.again - kept.clock.now())
    await kept.rotation.renew_due()
    second = kept.rotation.failures[ARN]
    assert (second.attempts, second.since) == (2, first.since)
    assert second.again - kept.clock.now() > first.again - first.since
    await kept.certificates.delete(ARN, ME)
    await kept.rotation.renew_due()
    assert kept.rotation.failures == {}


async def test_an_imported_certificate_is_left_to_whoever_brought_it(kept: Kept) -> None:
    root = ca.root("theirs", ca.KeyAlgorithm.EC_P256, kept.clock.now())
    pair = ca.leaf(ca.Names(("x.local",)), ca.KeyAlgorithm.EC_P256, root, kept.clock.now())
    wanted = WantedCertificate(
        ARN, certificate=ca.pem([pair.certificate]), private_key=ca.key_pem(pair.key)
    )
    made, _, warnings = await kept.certificates.create(wanted, ME)
    assert made.names.first == "x.local"
    assert ["its root is not known" in each for each in warnings] == [True]
    with pytest.raises(BadRequest, match="was imported"):
        await kept.certificates.renew(ARN, ME)
    kept.clock.advance(timedelta(days=390))
    assert await kept.rotation.renew_due() == 0
    assert kept.rotation.failures == {}


async def test_a_key_whose_authority_was_reverted_never_signs_for_its_successor(
    kept: Kept,
) -> None:
    authorities = kept.certificates.authorities
    _, revision = await authorities.create(WantedAuthority(CA_ARN, "old"), ME)
    await kept.store.revert(revision, ME)
    theirs = ca.root("theirs", ca.KeyAlgorithm.EC_P256, kept.clock.now())
    trusted = WantedAuthority(CA_ARN, certificate=ca.pem([theirs.certificate]))
    made, _ = await authorities.create(trusted, ME)
    assert not authorities.can_sign(made)
    with pytest.raises(BadRequest, match="its private key is not here"):
        await kept.certificates.create(WantedCertificate(ARN, ca.Names(("a.local",)), CA_ARN), ME)


async def test_a_name_of_many_bytes_is_shortened_in_the_certificate_alone(kept: Kept) -> None:
    made, _ = await kept.certificates.authorities.create(WantedAuthority(name="ü" * 64), ME)
    assert made.name == "ü" * 64
    assert made.own.subject.rfc4514_string() == "CN=" + "ü" * 32
