"""Certificates by ARN change under load: another key, another authority, and no request notices."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.certificates import chain_by_openssl
from tests.envoy.running import DEADLINE, ask, listening
from tests.envoy.sidecar_harness import Sidecar, eventually, free_port
from tests.load import load
from weft.checks.by_arn import lacking
from weft.clock import SystemClock
from weft.identity import ca
from weft.identity.requests import WantedAuthority, WantedCertificate
from weft.identity.rotation import Rotation
from weft.names import Key
from weft.server import Running, serving
from weft.settings import Address, Settings
from weft.store.change import Author, Put

pytestmark = pytest.mark.envoy

ME = Author("ana", "pytest")
ARN = "arn:aws:acm:eu-west-1:111122223333:certificate/till"
CA_ARN = "arn:aws:acm-pca:eu-west-1:111122223333:certificate-authority/till"
NOW = SystemClock().now()
URL = "http://till.local:9080/"


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with its name; to /slow so late that many requests are under way at once."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b" /slow " in head:
                await asyncio.sleep(0.2)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntill")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@dataclass
class Mesh:
    """``front`` trusts an authority and calls ``till.local``, which presents a certificate."""

    running: Running
    front: Sidecar
    till: Sidecar
    egress: int
    ingress: int
    crowd: int = 20

    async def status(self, path: str = "") -> int:
        request = f"GET {URL}{path} HTTP/1.1\nHost: till.local:9080"
        return (await ask(self.egress, request)).status

    async def newcomers(self) -> None:
        """More requests at once than ever before: new connections, and so new handshakes."""
        self.crowd += 6
        crowd = [self.status("slow") for _ in range(self.crowd)]
        assert set(await asyncio.gather(*crowd)) == {200}

    async def presented(self) -> x509.Certificate:
        """The certificate that ``till`` shows to a new client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", self.ingress, ssl=context)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return x509.load_der_x509_certificate(shown)

    async def settled(self, revision: int) -> None:
        wait = self.running.parts.delivery.wait_settled
        found = await wait(revision, timedelta(seconds=DEADLINE))
        assert (found.waiting, found.rejected) == ((), ())

    async def fill(self) -> int:
        """As ``weft cert fill``; the last revision of it."""
        certificates, revision = self.running.parts.certificates, 0
        assert certificates is not None
        for each in lacking(self.running.parts.store.state):
            if each.authority:
                _, revision = await certificates.authorities.create(WantedAuthority(each.arn), ME)
            else:
                wanted = WantedCertificate(each.arn, ca.Names(each.hosts, each.uris), each.issuer)
                _, revision, _ = await certificates.create(wanted, ME)
        return revision


def definitions() -> dict[str, dict[str, Any]]:
    tls = {"mode": "STRICT", "certificate": {"acm": {"certificateArn": ARN}}}
    trust = {"validation": {"trust": {"acm": {"certificateAuthorityArns": [CA_ARN]}}}}
    return {
        "mesh/market": {},
        "mesh/market/virtualNode/till": {
            "listeners": [{"portMapping": {"port": 9080, "protocol": "http"}, "tls": tls}],
            "serviceDiscovery": {"dns": {"hostname": "till.market.local"}},
        },
        "mesh/market/virtualService/till.local": {
            "provider": {"virtualNode": {"virtualNodeName": "till"}}
        },
        "mesh/market/virtualNode/front": {
            "backends": [{"virtualService": {"virtualServiceName": "till.local"}}],
            "backendDefaults": {"clientPolicy": {"tls": trust}},
        },
    }


@pytest.fixture
async def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mesh]:
    """Both sidecars ready, and no certificate yet."""
    at_once = functools.partial(Rotation, settling=timedelta())
    monkeypatch.setattr("weft.server.Rotation", at_once)
    zero = Address("127.0.0.1", 0)
    settings = Settings(api=zero, xds=zero, data=tmp_path / "control")
    async with serving(settings) as running, listening(answering) as app:
        steps = [Put(Key.parse(key), spec) for key, spec in definitions().items()]
        await running.parts.store.apply(steps, ME)
        egress = free_port()
        register = ("--register", f"http://{running.settings.api}")
        made = []
        for name, arguments in (
            ("till", ("--ingress", f"9080=0:{app}", *register)),
            ("front", ("--egress", str(egress))),
        ):
            (tmp_path / name).mkdir()
            sidecar = Sidecar(tmp_path / name, str(running.settings.xds), *arguments)
            sidecar.add("--proxy", f"mesh/market/virtualNode/{name}")
            made.append(await sidecar.start())
        till, front = made
        try:
            ready = [await each.ready() for each in made]
            node = Key.parse("mesh/market/virtualNode/till")
            await eventually(lambda: running.parts.store.state.instances(node))
            ingress = ready[0]["ports"]["ingress"][0]["socket"]
            yield Mesh(running, front, till, egress, ingress)
        finally:
            await asyncio.gather(*(each.stop() for each in made))


async def test_what_lacks_its_certificate_is_closed_until_it_is_there(mesh: Mesh) -> None:
    assert await mesh.status() == 503
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await mesh.presented()
    await mesh.settled(await mesh.fill())
    await eventually(lambda: _is(mesh, 200))
    assert ca.names_of(await mesh.presented()) == ca.Names(("till.market.local",))


async def test_an_intermediate_is_trusted_without_its_root(mesh: Mesh, tmp_path: Path) -> None:
    """Decision 0029: other authorities under the root are none of the mesh's business."""
    _, first, second, root, _ = await asyncio.to_thread(chain_by_openssl, tmp_path)
    certificates = mesh.running.parts.certificates
    assert certificates is not None
    key = (tmp_path / "first.key").read_text()
    brought = WantedAuthority(CA_ARN, certificate=first, chain=second + root, private_key=key)
    await certificates.authorities.create(brought, ME)
    await mesh.settled(await mesh.fill())
    await eventually(lambda: _is(mesh, 200))
    # One that the same root stands above, and another intermediate signed.
    other = ca.Pair(ca.loaded(second)[0], ca.loaded_key((tmp_path / "second.key").read_text()))
    stranger = ca.leaf(ca.Names(("till.market.local",)), ca.KeyAlgorithm.EC_P256, other, NOW)
    wanted = WantedCertificate(
        ARN,
        certificate=ca.pem([stranger.certificate]) + second,
        private_key=ca.key_pem(stranger.key),
    )
    _, revision, _ = await certificates.create(wanted, ME, replacing=True)
    await mesh.settled(revision)
    await eventually(lambda: _refuses_newcomers(mesh))


@pytest.mark.parametrize("renewals", [4, pytest.param(40, marks=pytest.mark.soak)])
async def test_certificate_and_authority_change_under_load_and_no_request_fails(
    mesh: Mesh, renewals: int
) -> None:
    certificates = mesh.running.parts.certificates
    assert certificates is not None
    await mesh.settled(await mesh.fill())
    await eventually(lambda: _is(mesh, 200))
    before = await mesh.till.ready(), await mesh.front.ready()
    first = await mesh.presented()
    async with load(mesh.egress, URL, per_second=300, allowed={"till"}) as sent:
        for _ in range(renewals):
            last = await mesh.presented()
            _, revision = await certificates.renew(ARN, ME)
            await mesh.settled(revision)
            await eventually(lambda last=last: _shows_another(mesh, last))
            await mesh.newcomers()
        old = certificates.authorities.of(CA_ARN).own
        await certificates.authorities.begin(CA_ARN, ME)
        while certificates.authorities.of(CA_ARN).phase is not None:
            await mesh.newcomers()
        await mesh.settled(mesh.running.parts.store.state.revision)
        new = certificates.authorities.of(CA_ARN).own
        await eventually(lambda: _is_signed_by(mesh, new))
        await mesh.newcomers()
        seen = sent.total
        await eventually(lambda: sent.total > seen + 100)
    print(sent.summary())
    assert sent.failures == []
    assert new != old
    assert not ca.signed(first, new)
    assert ca.loaded(certificates.authorities.of(CA_ARN).trusted) == [new]
    after = await mesh.till.ready(), await mesh.front.ready()
    assert [each["envoy"] for each in after] == [each["envoy"] for each in before]


async def _is(mesh: Mesh, status: int) -> bool:
    return await mesh.status() == status


async def _refuses_newcomers(mesh: Mesh) -> bool:
    mesh.crowd += 12
    return 503 in set(await asyncio.gather(*(mesh.status("slow") for _ in range(mesh.crowd))))


async def _shows_another(mesh: Mesh, last: x509.Certificate) -> bool:
    return await mesh.presented() != last


async def _is_signed_by(mesh: Mesh, authority: x509.Certificate) -> bool:
    return ca.signed(await mesh.presented(), authority)
