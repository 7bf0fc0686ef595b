"""Certificates come, change and go wrong while requests go on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Leaf
from tests.envoy.changing import (
    API,
    PLAIN,
    in_place,
    load,
    renamed,
    running,
    serial,
    swapped,
    until,
)
from tests.envoy.proxies import ControlPlane, directory_of_certificates
from tests.envoy.running import ask
from tests.envoy.secret_server import secret_server
from tests.envoy.test_tls_mutual import file, trust
from weft.sidecar.secrets import Watched

pytestmark = pytest.mark.envoy

CERTIFICATE_ARN = "arn:aws:acm:us-west-2:000000000000:certificate/server"
AUTHORITY_ARN = "arn:aws:acm-pca:us-west-2:000000000000:certificate-authority/root"


@pytest.mark.parametrize("replace", [renamed, swapped, in_place], ids=lambda f: f.__name__)
async def test_a_file_that_is_replaced_under_load_costs_no_request(
    replace: Callable[[Leaf, Path], None],
) -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        leaves = [authority.leaf(f"leaf-{i}", hosts=("api.test",)) for i in range(4)]
        keys = directory / "keys"
        keys.mkdir()
        replace(leaves[0], keys)
        tls = {
            "mode": "STRICT",
            "certificate": {
                "file": {
                    "certificateChain": str(keys / "server.pem"),
                    "privateKey": str(keys / "server.key"),
                }
            },
        }
        # What the sidecar does beside its Envoy.
        watched = Watched(pytest.fail)
        now = iter(range(10_000))

        paths = [str(keys / "server.pem"), str(keys / "server.key")]
        watched.look(paths, next(now))

        async def shows(leaf: Leaf) -> bool:
            watched.look(paths, next(now))
            return await there.shows() == serial(leaf)

        async with running(tls, {"validation": trust(authority)}) as there:
            await there.serves()
            async with load(there) as going:
                for leaf in leaves[1:]:
                    await going.more()
                    replace(leaf, keys)
                    await until(lambda leaf=leaf: shows(leaf))  # type: ignore[misc]
            assert going.failures == []


@pytest.mark.parametrize("state_of_the_world", [False, True], ids=["delta", "sotw"])
async def test_a_missing_file_costs_only_what_uses_it_and_heals_when_it_comes(
    state_of_the_world: bool,
) -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        leaf = authority.leaf("server", hosts=("api.test",))
        late, bundle = directory / "late", directory / "bundle.pem"
        late.mkdir()
        tls = {
            "mode": "STRICT",
            "certificate": {
                "file": {
                    "certificateChain": str(late / "server.pem"),
                    "privateKey": str(late / "server.key"),
                }
            },
        }
        policy = {"validation": {"trust": {"file": {"certificateChain": str(bundle)}}}}
        async with running(tls, policy, state_of_the_world=state_of_the_world) as there:
            told = await there.control_plane.settled()
            assert sorted(refusal.words for refusal in told.rejected) == [
                f"Invalid path: {bundle}",
                f"Invalid path: {late / 'server.pem'}",
            ]
            assert await there.status() == 503
            assert await there.status(PLAIN) == 200

            # Half of a pair, and then one that does not fit: still closed, still said.
            (late / "server.pem").write_bytes(leaf.certificate.read_bytes())
            (late / "server.key").write_bytes(authority.leaf("other").key.read_bytes())
            shutil.copy(authority.certificate, bundle)

            async def misfit() -> bool:
                words = [each.words for each in (await there.control_plane.settled()).rejected]
                return any("KEY_VALUES_MISMATCH" in each for each in words)

            await until(misfit)
            assert await there.status() == 503
            assert await there.status(PLAIN) == 200

            shutil.copy(leaf.key, late / "server.key")
            await there.serves()

            async def well() -> bool:
                return not (await there.control_plane.settled()).rejected

            await until(well)
            # From then on it is watched as any other.
            renewed = authority.leaf("renewed", hosts=("api.test",))
            renamed(renewed, late)

            async def shows_renewed() -> bool:
                return await there.shows() == serial(renewed)

            await until(shows_renewed)


async def test_a_proxy_that_comes_back_still_says_which_file_is_missing() -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        leaf = authority.leaf("server", hosts=("api.test",))
        tls = {
            "mode": "STRICT",
            "certificate": {
                "file": {
                    "certificateChain": str(directory / "missing.pem"),
                    "privateKey": str(leaf.key),
                }
            },
        }
        async with running(tls, {"validation": trust(authority)}) as there:
            assert len((await there.control_plane.settled()).rejected) == 1

            # Another control plane at the same address: nothing is remembered.
            before = there.control_plane
            await before.server.stop()
            after = ControlPlane(before.said, port=before.port)
            await after.start()
            try:

                async def said_again() -> bool:
                    told = await after.settled()
                    words = [refusal.words for refusal in told.rejected]
                    return told.total == 2 and words == [f"Invalid path: {directory}/missing.pem"]

                await until(said_again)
                shutil.copy(leaf.certificate, directory / "missing.pem")
                await there.serves()
            finally:
                await after.server.stop()


async def test_a_secret_server_may_come_late_rotate_and_go() -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        first, second = (authority.leaf(n, uri="spiffe://shop/api") for n in ("first", "second"))
        tls = {"mode": "STRICT", "certificate": {"sds": {"secretName": "spiffe://shop/api"}}}
        policy = {
            "validation": {
                "trust": {"sds": {"secretName": "spiffe://shop"}},
                "subjectAlternativeNames": {"match": {"exact": ["spiffe://shop/api"]}},
            }
        }
        socket = directory / "sds.sock"
        async with running(tls, policy, sds_socket=str(socket)) as there:
            # Nobody serves secrets yet: closed, and nothing else is.
            assert await there.status() == 503
            assert await there.status(PLAIN) == 200
            async with secret_server(socket) as sds:
                sds.trust("spiffe://shop", authority.certificate)
                sds.certificate("spiffe://shop/api", first)
                await there.serves()
                async with load(there) as going:
                    sds.certificate("spiffe://shop/api", second)

                    async def shows_second() -> bool:
                        return await there.shows() == serial(second)

                    await until(shows_second)
                assert going.failures == []
            # Its end is no matter: what was served is held.
            assert await there.status() == 200


async def test_a_certificate_by_arn_opens_what_was_closed_and_rotates_under_load() -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        first, second = (authority.leaf(n, hosts=("api.test",)) for n in ("first", "second"))
        tls = {"mode": "STRICT", "certificate": {"acm": {"certificateArn": CERTIFICATE_ARN}}}
        policy = {"validation": {"trust": {"acm": {"certificateAuthorityArns": [AUTHORITY_ARN]}}}}

        def issued(leaf: Leaf) -> dict[str, Any]:
            return {
                CERTIFICATE_ARN: {
                    "certificateChain": leaf.certificate.read_text(),
                    "privateKey": leaf.key.read_text(),
                }
            }

        root = {AUTHORITY_ARN: {"certificateChain": authority.certificate.read_text()}}
        async with running(tls, policy) as there:
            said = dict(there.control_plane.said)
            assert not (await there.control_plane.settled()).rejected
            answer = await ask(there.egress, API)
            assert (answer.status, answer.body) == (503, "no healthy upstream")
            assert await there.status(PLAIN) == 200

            await there.control_plane.changed({**said, "authorities": root})
            assert await there.status() == 503
            await there.control_plane.changed(
                {**said, "authorities": root, "certificates": issued(first)}
            )
            await there.serves()
            async with load(there) as going:
                await there.control_plane.changed(
                    {**said, "authorities": root, "certificates": issued(second)}
                )

                async def shows_second() -> bool:
                    return await there.shows() == serial(second)

                await until(shows_second)
            assert going.failures == []
            for each in (there.server, there.client):
                assert "PRIVATE KEY" not in await each.config_dump()


async def test_health_is_checked_over_tls() -> None:
    with directory_of_certificates() as directory:
        authority = Authority(directory)
        leaf = authority.leaf("server", hosts=("api.test",))
        tls = {"mode": "STRICT", "certificate": file(leaf)}
        async with running(tls, {"validation": trust(authority)}) as there:
            said: dict[str, Any] = dict(there.control_plane.said)
            checked = {
                "protocol": "http",
                "path": "/ping",
                "healthyThreshold": 2,
                "unhealthyThreshold": 2,
                "intervalMillis": 5000,
                "timeoutMillis": 2000,
            }
            api = dict(said["nodes"]["api"])
            api["listeners"] = [
                {**api["listeners"][0], "healthCheck": checked},
                api["listeners"][1],
            ]
            await there.control_plane.changed({**said, "nodes": {**said["nodes"], "api": api}})
            name = "cluster.cds_egress_shop_api_http_80.health_check.success"

            async def healthy() -> bool:
                return await there.client.stat(name) >= 1

            await until(healthy)
            assert await there.status() == 200
