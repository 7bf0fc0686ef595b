"""A sidecar's certificates: read again when written in place, and there without the control plane."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.envoy.changing import in_place, serial, shown
from tests.envoy.proxies import ControlPlane
from tests.envoy.running import ask, upstream
from tests.envoy.secret_server import secret_server
from tests.envoy.sidecar_harness import Sidecar, eventually
from tests.envoy.test_tls_mutual import ask_with_tls, listener

pytestmark = pytest.mark.envoy

GET = "GET / HTTP/1.1\nHost: any"
ARN = "arn:aws:acm:us-west-2:000000000000:certificate/web"


async def test_files_and_a_secret_server_are_there_without_the_control_plane_and_keys_by_arn_are_not(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    first, second = (authority.leaf(name, hosts=("web.test",)) for name in ("first", "second"))
    keys = tmp_path / "keys"
    keys.mkdir()
    in_place(first, keys)
    by_file = {
        "file": {
            "certificateChain": str(keys / "server.pem"),
            "privateKey": str(keys / "server.key"),
        }
    }
    by_server = {"sds": {"secretName": "spiffe://shop/web"}}
    by_arn = {"acm": {"certificateArn": ARN}}
    said: dict[str, Any] = {
        "nodes": {
            "web": {
                "listeners": [
                    listener(80, {"mode": "STRICT", "certificate": by_file}),
                    listener(81, {"mode": "STRICT", "certificate": by_server}),
                    listener(82, {"mode": "STRICT", "certificate": by_arn}),
                ]
            }
        },
        "certificates": {
            ARN: {
                "certificateChain": first.certificate.read_text(),
                "privateKey": first.key.read_text(),
            }
        },
    }
    control_plane = ControlPlane(said)
    async with upstream("app") as app, secret_server(tmp_path / "sds.sock") as sds:
        sds.certificate("spiffe://shop/web", first)
        await control_plane.start()
        sidecar = Sidecar(
            tmp_path,
            f"127.0.0.1:{control_plane.port}",
            *("--ingress", f"80=0:{app.port}", "--ingress", f"81=0:{app.port}"),
            *("--ingress", f"82=0:{app.port}"),
            *("--sds-socket", sds.socket, "--drain-time", "100ms"),
        )
        try:
            await sidecar.start()
            sockets = await serving(sidecar)
            for socket in sockets:
                assert (await ask_with_tls(socket, GET))[0].body == "app"

            in_place(second, keys)
            await eventually(lambda: is_shown(sockets[0], serial(second)))

            await kept(sidecar, "certificate:")
            await sidecar.stop()
            await control_plane.server.stop()
            for path in (tmp_path / "data").rglob("*.json"):
                assert "PRIVATE KEY" not in path.read_text()

            await sidecar.start()
            assert await serving(sidecar) == sockets
            *kept_ones, by_arn_alone = sockets
            for socket in kept_ones:
                assert (await ask_with_tls(socket, GET))[0].body == "app"
            # Its key was never on this machine's disk; it is closed, and plain text is no way in.
            with pytest.raises((asyncio.IncompleteReadError, OSError)):
                await ask_with_tls(by_arn_alone, GET)
            with pytest.raises((asyncio.IncompleteReadError, OSError)):
                await ask(by_arn_alone, GET)
            standing = await sidecar.json("/status")
            assert any("http_82" in each for each in standing["left_out"]), standing
            # And is followed there, too.
            in_place(first, keys)
            await eventually(lambda: is_shown(sockets[0], serial(first)))

            again = ControlPlane(said, port=control_plane.port)
            await again.start()
            try:

                async def open_again() -> bool:
                    try:
                        return (await ask_with_tls(by_arn_alone, GET))[0].body == "app"
                    except (asyncio.IncompleteReadError, OSError):
                        return False

                await eventually(open_again)
            finally:
                await sidecar.stop()
                await again.server.stop()
        finally:
            await sidecar.stop()
            await control_plane.server.stop()


async def is_shown(port: int, number: int) -> bool:
    return await shown(port) == number


async def serving(sidecar: Sidecar) -> list[int]:
    """The sockets of the listeners, in their order."""
    ready = await sidecar.ready()
    return [each["socket"] for each in ready["ports"]["ingress"]]


async def kept(sidecar: Sidecar, name: str) -> None:
    """Once a secret of this name is in what is kept on disk."""

    def there() -> bool:
        return any(name in path.read_text() for path in sidecar.directory.rglob("snap.json"))

    await eventually(there)
