"""Certificates in a data directory whose control plane is killed at any moment."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.demo import DEADLINE_SECONDS, wait_for

ARNS = [f"arn:aws:acm:eu-west-1:111122223333:certificate/{i}" for i in range(4)]


@dataclass
class Served:
    """``weft serve`` as a process, and what it has acknowledged."""

    process: subprocess.Popen[bytes]
    port: int
    serials: dict[str, list[str]] = field(default_factory=dict)
    """By ARN, in order."""

    def request(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            content = json.loads(response.read())
        finally:
            connection.close()
        assert response.status == 200, content
        return content

    def renew_until_killed(self, arn: str) -> None:
        while True:
            try:
                path = f"/weft/v1/certificates/{quote(arn, safe='')}/renew"
                made = self.request("POST", path, {})
            except (OSError, http.client.HTTPException):
                return
            self.serials.setdefault(arn, []).append(made["serial"])


@contextmanager
def serving(directory: Path) -> Iterator[Served]:
    announced = directory / "serve.json"
    announced.unlink(missing_ok=True)
    command = [sys.executable, "-m", "weft", "serve", "--data", str(directory)]
    command += ["--api", "127.0.0.1:0", "--xds", "127.0.0.1:0"]
    with (directory.parent / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ})
    try:
        wait_for(announced.exists, "the control plane is up")
        port = int(json.loads(announced.read_text())["api"].rpartition(":")[2])
        yield Served(process, port)
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)


def test_whatever_moment_it_is_killed_at_what_was_acknowledged_is_there_and_no_key_shows(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    with serving(directory) as first:
        for arn in ARNS:
            body = {"arn": arn, "hosts": [f"{arn[-1]}.local"]}
            first.serials[arn] = [first.request("POST", "/weft/v1/certificates", body)["serial"]]
    acknowledged = first.serials
    for round_ in range(2):
        with serving(directory) as served:
            for each in served.request("GET", "/weft/v1/certificates")["certificates"]:
                assert each["hasKey"]
                # The last one that was answered, or one that was written and not answered.
                if each["serial"] != acknowledged[each["arn"]][-1]:
                    assert each["serial"] not in acknowledged[each["arn"]]
            if round_ == 0:
                served.request("POST", "/weft/v1/authorities/weft/renew", {})
            threads = [
                threading.Thread(target=served.renew_until_killed, args=(arn,)) for arn in ARNS
            ]
            for thread in threads:
                thread.start()
            wait_for(lambda: sum(map(len, served.serials.values())) > 20, "renewals")
            served.process.kill()
            for thread in threads:
                thread.join(DEADLINE_SECONDS)
        acknowledged = {arn: served.serials.get(arn) or acknowledged[arn] for arn in ARNS}
        files = [each for each in directory.iterdir() if each.is_file()]
        assert any(b"BEGIN CERTIFICATE" in each.read_bytes() for each in files)
        assert [each.name for each in files if b"PRIVATE KEY" in each.read_bytes()] == []
    assert b"PRIVATE KEY" not in (tmp_path / "serve.log").read_bytes()
