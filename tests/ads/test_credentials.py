"""Who may stream as what: a signature, a token or a certificate, and the status that refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys

from tests.ads.handmade import HandmadeSource
from tests.ads.scripted_proxy import CLUSTERS, METHODS, PROXY, ScriptedProxy, StreamEnded
from tests.certificates import Authority
from weft.clock import SystemClock
from weft.identity.caller import Role
from weft.identity.credentials import Credentials, Issued, Wanted
from weft.names import ProxyId
from weft.settings import Tls
from weft.store.store import Store
from weft.xds.delivery import Delivery
from weft.xds.gate import Gate
from weft.xds.listening import server_credentials
from weft.xds.server import AdsServer
from weft.xds.wire import Variant

OTHER = "mesh/m/virtualNode/other"
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
Metadata = list[tuple[str, str]]


@dataclass
class Closed:
    """An ADS server that asks proxies for credentials."""

    credentials: Credentials
    port: int

    async def issued(
        self, role: Role = Role.PROXY, *, lasts: timedelta | None = None, name: str = ""
    ) -> Issued:
        proxies = frozenset({ProxyId.parse(PROXY)}) if role is Role.PROXY else frozenset()
        wanted = Wanted(name or role.value, "0" * 12, role, proxies, lasts)
        return await self.credentials.create(wanted, "test", SystemClock())

    def proxy(
        self, metadata: Metadata, proxy: str = PROXY, variant: Variant = Variant.DELTA
    ) -> ScriptedProxy:
        return ScriptedProxy(self.port, variant, proxy, metadata=metadata)


async def serve(
    store: Store, directory: Path, *, required: bool, tls: grpc.ServerCredentials | None = None
) -> tuple[AdsServer, Closed]:
    source, clock = HandmadeSource(), SystemClock()
    credentials = await Credentials.open(store, directory)
    gate = Gate(credentials, clock, required=required, names=["mesh.example"])
    server = AdsServer(source, Delivery(clock), clock, "127.0.0.1:0", gate=gate, tls=tls)
    source.server = server
    source.say(PROXY)
    source.say(OTHER)
    return server, Closed(credentials, await server.start())


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, SystemClock()) as store:
        yield store


@pytest.fixture
async def closed(store: Store, tmp_path: Path) -> AsyncIterator[Closed]:
    server, made = await serve(store, tmp_path, required=True)
    yield made
    await server.stop()


@pytest.fixture
async def opened(store: Store, tmp_path: Path) -> AsyncIterator[Closed]:
    server, made = await serve(store, tmp_path, required=False)
    yield made
    await server.stop()


def bearer(token: str) -> Metadata:
    return [("authorization", f"Bearer {token}")]


def signed(
    key: str, secret: str, host: str, variant: Variant = Variant.SOTW, *, session: str | None = None
) -> Metadata:
    """What Envoy's AWS call credentials put into the metadata of a stream."""
    request = AWSRequest(
        "POST",
        f"http://{host}{METHODS[variant]}",
        headers={
            "x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb924"
            "27ae41e4649b934ca495991b7852b855"
        },
    )
    SigV4Auth(Keys(key, secret, session), "appmesh", "eu-central-1").add_auth(request)
    return [(name.lower(), value) for name, value in request.headers.items()]


async def refusal(proxy: ScriptedProxy) -> tuple[grpc.StatusCode, str]:
    async with proxy:
        with suppress(grpc.RpcError, asyncio.InvalidStateError):
            await proxy.ask(CLUSTERS)
        ended = await proxy.ended()
        return ended.code, ended.words


async def accepted(proxy: ScriptedProxy) -> None:
    async with proxy:
        await proxy.start()


@pytest.mark.parametrize("variant", list(Variant))
async def test_nobody_gets_in_without_saying_who_he_is(closed: Closed, variant: Variant) -> None:
    code, words = await refusal(closed.proxy([], variant=variant))
    assert code is UNAUTHENTICATED
    assert "--token-file" in words


@pytest.mark.parametrize("variant", list(Variant))
async def test_a_proxy_streams_with_its_token(closed: Closed, variant: Variant) -> None:
    issued = await closed.issued()
    await accepted(closed.proxy(bearer(issued.token), variant=variant))


@pytest.mark.parametrize("variant", list(Variant))
@pytest.mark.parametrize(
    "host", ["127.0.0.1:{}", "localhost:{}", "mesh.example:{}", "mesh.example"]
)
async def test_a_proxy_streams_with_a_signature(
    closed: Closed, variant: Variant, host: str
) -> None:
    issued = await closed.issued()
    metadata = signed(
        issued.credential.id, issued.secret, host.format(closed.port), variant, session="token"
    )
    await accepted(closed.proxy(metadata, variant=variant))


async def test_a_proxy_may_not_stand_for_another(closed: Closed) -> None:
    issued = await closed.issued()
    code, words = await refusal(closed.proxy(bearer(issued.token), OTHER))
    assert code is DENIED
    assert words == f"proxy may not stand for {OTHER}, only for {PROXY}"


async def test_whoever_changes_the_mesh_may_stand_for_any_proxy_and_a_viewer_for_none(
    closed: Closed,
) -> None:
    operator = await closed.issued(Role.OPERATOR)
    await accepted(closed.proxy(bearer(operator.token), OTHER))
    viewer = await closed.issued(Role.VIEWER)
    code, words = await refusal(closed.proxy(bearer(viewer.token)))
    assert (code, "role is viewer" in words) == (DENIED, True)


async def test_a_wrong_proof_is_unauthenticated(closed: Closed) -> None:
    issued = await closed.issued()
    host = f"127.0.0.1:{closed.port}"
    key, secret = issued.credential.id, issued.secret
    wrong: list[Metadata] = [
        bearer("weft_nothing"),
        bearer(""),
        [("authorization", "Basic eA==")],
        [("authorization", "AWS4-HMAC-SHA256 Credential=x")],
        signed(key, "another", host),
        signed("AKIAUNKNOWN", secret, host),
        signed(key, secret, "elsewhere.example"),
        signed(key, secret, host, Variant.DELTA),
    ]
    for metadata in wrong:
        code, words = await refusal(closed.proxy(metadata, variant=Variant.SOTW))
        assert code is UNAUTHENTICATED, metadata
        assert words


async def test_a_stream_ends_with_its_credential(closed: Closed) -> None:
    issued, other = await closed.issued(), await closed.issued(name="other")
    async with (
        closed.proxy(bearer(issued.token)) as proxy,
        closed.proxy(bearer(other.token)) as neighbour,
    ):
        await proxy.start()
        await neighbour.start()
        await closed.credentials.revoke("proxy")
        ended = await proxy.ended()
        assert ended.code is UNAUTHENTICATED
        assert "proxy has been revoked" in ended.words
        await closed.credentials.revoke("other")
        assert "other has been revoked" in (await neighbour.ended()).words


async def test_a_stream_ends_when_its_credential_does(closed: Closed) -> None:
    issued = await closed.issued(lasts=timedelta(seconds=1))
    async with closed.proxy(bearer(issued.token)) as proxy:
        await proxy.start()
        ended = await proxy.ended()
    assert ended.code is UNAUTHENTICATED
    assert "has expired" in ended.words
    code, words = await refusal(closed.proxy(bearer(issued.token)))
    assert (code, "expired" in words) == (UNAUTHENTICATED, True)


async def test_an_open_door_lets_any_proxy_in_and_still_knows_its_own(opened: Closed) -> None:
    for metadata in (
        [],
        bearer("anything"),
        [("authorization", "nonsense")],
        signed("AKIAANY", "any", "any.example"),
    ):
        await accepted(opened.proxy(metadata, variant=Variant.SOTW))
    issued = await opened.issued()
    code, _ = await refusal(opened.proxy(bearer(issued.token), OTHER))
    assert code is DENIED


async def test_tls_carries_tokens_and_certificates_name_proxies(
    store: Store, tmp_path: Path
) -> None:
    authority, strangers = Authority(tmp_path), Authority(tmp_path, "strangers")
    own = authority.leaf("server", hosts=("localhost", "127.0.0.1"))
    tls = server_credentials(Tls(own.certificate, own.key), authority.certificate)
    server, closed = await serve(store, tmp_path, required=True, tls=tls)

    def connected(leaf_name: str, uri: str = "", by: Authority = authority) -> grpc.aio.Channel:
        leaf = by.leaf(leaf_name, uri=uri)
        credentials = grpc.ssl_channel_credentials(
            authority.certificate.read_bytes(),
            leaf.key.read_bytes(),
            leaf.certificate.read_bytes(),
        )
        return grpc.aio.secure_channel(f"localhost:{closed.port}", credentials)

    async def outcome(
        channel: grpc.aio.Channel, proxy: str = PROXY, metadata: Metadata | None = None
    ) -> grpc.StatusCode | None:
        async with channel:
            scripted = ScriptedProxy(0, proxy=proxy, channel=channel, metadata=metadata or [])
            async with scripted:
                try:
                    await scripted.start()
                except (grpc.RpcError, asyncio.InvalidStateError, StreamEnded):
                    return (await scripted.ended()).code
                return None

    try:
        assert await outcome(connected("spiffe", f"spiffe://mesh.example/{PROXY}")) is None
        assert await outcome(connected(PROXY)) is None
        assert await outcome(connected("wrong", f"spiffe://a/{PROXY}"), OTHER) is DENIED
        assert await outcome(connected("nobody")) is UNAUTHENTICATED
        issued = await closed.issued()
        assert await outcome(connected("bearer"), PROXY, bearer(issued.token)) is None
        foreign = connected("foreign", f"spiffe://a/{PROXY}", strangers)
        assert await outcome(foreign) is grpc.StatusCode.UNAVAILABLE
    finally:
        await server.stop()
