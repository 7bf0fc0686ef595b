"""``weft serve`` behind credentials and TLS: from the first credential to a real proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.certificates import Authority
from tests.demo import DEADLINE_SECONDS, wait_for

NODE = {
    "listeners": [{"portMapping": {"port": 80, "protocol": "http"}}],
    "serviceDiscovery": {"dns": {"hostname": "web.test"}},
}


def weft(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("WEFT_")}
    return subprocess.run(
        [sys.executable, "-m", "weft", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        env={**kept, "NO_COLOR": "1", **(environment or {})},
        check=False,
    )


def created(data: Path, *arguments: str) -> Any:
    done = weft("token", "create", "--data", str(data), "-o", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass
class Closed:
    """A control plane that asks for credentials, and what gets in."""

    api: str
    xds: str
    ca: str
    admin: Mapping[str, Any]
    proxy: Mapping[str, Any]
    data: Path

    def weft(self, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {"WEFT_ENDPOINT": self.api, "WEFT_CA": self.ca}
        if token:
            environment["WEFT_TOKEN"] = token
        return weft(*arguments, environment=environment)

    def client(self, service: str, key: Mapping[str, Any]) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.api,
            region_name="us-west-2",
            verify=self.ca,
            aws_access_key_id=key["accessKeyId"],
            aws_secret_access_key=key["secretAccessKey"],
        )


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    directory = tmp_path_factory.mktemp("closed")
    data = directory / "data"
    authority = Authority(directory)
    leaf = authority.leaf("server", hosts=("localhost", "127.0.0.1"))
    admin = created(data, "--name", "admin", "--role", "admin")
    proxy = created(
        data,
        "--name",
        "web",
        "--role",
        "proxy",
        "--proxy",
        "mesh/m/virtualNode/web",
        "--expires=1d",
    )
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "weft", "serve", "--data", str(data), "--auth", "required"),
            *("--api", "127.0.0.1:0", "--xds", "127.0.0.1:0"),
            *("--tls-cert", str(leaf.certificate), "--tls-key", str(leaf.key)),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: (data / "serve.json").exists(), "the control plane is up")
        found = json.loads((data / "serve.json").read_text())
        ca = str(authority.certificate)
        yield Closed(found["api"], found["xds"], ca, admin, proxy, data)
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def test_a_command_gets_in_with_a_token_and_the_authority(closed: Closed, tmp_path: Path) -> None:
    assert closed.api.startswith("https://")
    done = closed.weft("get", "meshes", token=closed.admin["token"])
    assert done.returncode == 0, done.stderr
    file = tmp_path / "token"
    file.write_text(closed.admin["token"])
    listed = closed.weft("token", "list", "-o", "name", "--token-file", str(file))
    assert listed.stdout.split() == ["admin", "web"]


def test_without_a_token_a_command_says_what_it_needs(closed: Closed) -> None:
    done = closed.weft("get", "meshes")
    assert done.returncode == 4
    assert "asks callers for credentials" in done.stderr
    assert "weft token create" in done.stderr


def test_a_server_that_cannot_prove_itself_gets_no_token(closed: Closed) -> None:
    done = weft("get", "meshes", "--endpoint", closed.api, "--token", closed.admin["token"])
    assert done.returncode == 8
    assert "is not trusted" in done.stderr
    assert "--ca FILE" in done.stderr


def test_boto3_gets_in_with_the_key(closed: Closed) -> None:
    identity = closed.client("sts", closed.admin).get_caller_identity()
    assert identity["Arn"] == "arn:aws:iam::000000000000:user/admin"
    closed.client("appmesh", closed.admin).list_meshes()
    closed.client("servicediscovery", closed.admin).list_namespaces()
    closed.client("cloudformation", closed.admin).list_stacks()
    for service, operation in (
        ("servicediscovery", "list_namespaces"),
        ("cloudformation", "list_stacks"),
    ):
        with pytest.raises(ClientError, match="role proxy and may not read"):
            getattr(closed.client(service, closed.proxy), operation)()


def test_a_running_control_plane_makes_and_revokes_credentials(closed: Closed) -> None:
    token = closed.admin["token"]
    made = closed.weft(
        "token",
        "create",
        "--name",
        "ci",
        "--role",
        "viewer",
        "--account",
        "123456789012",
        token=token,
    )
    assert made.returncode == 0, made.stderr
    assert "viewer ci of account 123456789012, until it is revoked" in made.stdout
    (theirs,) = [line.split()[1] for line in made.stdout.splitlines() if "token " in line]
    refused = closed.weft("delete", "mesh", "m", "--yes", token=theirs)
    assert refused.returncode != 0
    assert closed.weft("get", "meshes", token=theirs).returncode == 0
    assert closed.weft("token", "revoke", "ci", token=token).returncode == 0
    assert closed.weft("get", "meshes", token=theirs).returncode == 4


def test_a_data_directory_in_use_is_left_alone(closed: Closed) -> None:
    done = weft("token", "create", "--name", "x", "--role", "admin", "--data", str(closed.data))
    assert done.returncode == 1
    assert "in use by process" in done.stderr


@pytest.mark.envoy
def test_a_proxy_streams_by_tls_with_its_token(closed: Closed, tmp_path: Path) -> None:
    appmesh = closed.client("appmesh", closed.admin)
    appmesh.create_mesh(meshName="m")
    appmesh.create_virtual_node(meshName="m", virtualNodeName="web", spec=NODE)
    token, ready = tmp_path / "token", tmp_path / "ready.json"
    token.write_text(closed.proxy["token"] + "\n")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "weft", "sidecar", "--proxy", "mesh/m/virtualNode/web"),
            *("--xds", closed.xds, "--xds-ca", closed.ca, "--token-file", str(token)),
            *("--data", str(tmp_path), "--ready-file", str(ready), "--ingress", "80=0:8080"),
            *("--register", closed.api),
        ]
    )
    try:
        wait_for(ready.exists, "the proxy is ready")

        def registered() -> bool:
            done = closed.weft(
                "describe", "virtualnode", "web", "-o", "json", token=closed.admin["token"]
            )
            return bool(json.loads(done.stdout)["instances"])

        wait_for(registered, "the proxy is in the registry")
        closed.weft("token", "revoke", "web", token=closed.admin["token"])

        def cut() -> bool:
            done = closed.weft("get", "proxies", "-o", "json", token=closed.admin["token"])
            (proxy,) = json.loads(done.stdout)["proxies"]
            return bool(proxy["state"] == "disconnected")

        wait_for(cut, "the stream has ended with its credential")
        assert process.poll() is None, "it serves what it accepted"
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)
