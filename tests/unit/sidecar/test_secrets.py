"""Secrets as Envoy shows them, and files that change in place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from weft.sidecar import secrets
from weft.sidecar.secrets import Watched

ADS = {"ads": {}, "resource_api_version": "V3"}
TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def secret(name: str, **content: Any) -> dict[str, Any]:
    return {"name": name, "secret": {"@type": TYPE, "name": name, **content}}


FILES = secret(
    "certificate:/c.pem:c.key",
    tls_certificate={
        "certificate_chain": {"inline_bytes": "UEVN"},
        "private_key": {"inline_bytes": "W3JlZGFjdGVkXQ=="},
    },
)
HIDDEN = secret(
    "arn",
    tls_certificate={
        "certificate_chain": {"inline_string": "PEM"},
        "private_key": {"inline_string": "[redacted]"},
    },
)
TRUST = secret("authorities:arn", validation_context={"trusted_ca": {"inline_string": "PEM"}})
SECTION = {
    "dynamic_active_secrets": [FILES, HIDDEN, TRUST],
    "dynamic_warming_secrets": [{"name": "trust:/ca.pem"}],
}


def test_files_are_kept_by_their_paths_and_what_envoy_hides_is_not() -> None:
    assert secrets.told(SECTION) == {
        "certificate:/c.pem:c.key": {
            "name": "certificate:/c.pem:c.key",
            "tls_certificate": {
                "certificate_chain": {"filename": "/c.pem"},
                "private_key": {"filename": "./c.key"},
            },
        },
        "authorities:arn": {
            "name": "authorities:arn",
            "validation_context": {"trusted_ca": {"inline_string": "PEM"}},
        },
        "trust:/ca.pem": {
            "name": "trust:/ca.pem",
            "validation_context": {"trusted_ca": {"filename": "/ca.pem"}},
        },
    }
    assert secrets.files(secrets.names(SECTION)) == ("/c.pem", "/ca.pem", "c.key")


def test_a_secret_that_is_kept_is_read_from_its_file_instead_of_the_control_plane() -> None:
    listener = {
        "filter_chains": [
            {"certificates": [{"name": "arn", "sds_config": ADS}]},
            {"trust": {"name": "trust:/ca.pem", "sds_config": ADS}},
        ]
    }
    found = secrets.from_files(listener, {"trust:/ca.pem": "/run/secret-0.json"})
    kept, replaced = found["filter_chains"]
    assert kept == listener["filter_chains"][0]
    assert replaced["trust"]["sds_config"]["path_config_source"] == {"path": "/run/secret-0.json"}


def test_the_file_of_a_secret_is_a_response_of_its_own() -> None:
    (resource,) = json.loads(secrets.response(FILES["secret"]))["resources"]
    assert resource["@type"] == TYPE
    assert resource["name"] == "certificate:/c.pem:c.key"


class Directory:
    """Certificates in a directory, of which every rename is noticed."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.file = path / "c.pem"
        self.file.write_text("one")
        self.renames: list[str] = []
        self.warnings: list[str] = []
        self.watched = Watched(self.warnings.append)
        self.now = 0.0
        real = os.rename

        def noticed(source: str, target: str) -> None:
            self.renames.append(os.path.dirname(target))
            real(source, target)

        monkeypatch.setattr(os, "rename", noticed)
        self.look()
        self.look()
        assert self.renames == [str(path)], "it may have changed since Envoy read it"
        self.renames.clear()

    def look(self) -> None:
        self.now += secrets.LOOK_SECONDS
        self.watched.look([str(self.file)], self.now)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directory:
    return Directory(tmp_path, monkeypatch)


def test_something_is_renamed_once_a_file_that_changed_has_come_to_rest(
    directory: Directory,
) -> None:
    directory.look()
    assert directory.renames == []
    directory.file.write_text("two!")
    directory.look()
    directory.file.write_text("three")
    os.utime(directory.file, ns=(1, 1))
    directory.look()
    assert directory.renames == [], "it is still being written"
    directory.look()
    assert directory.renames == [str(directory.path)]
    directory.look()
    assert len(directory.renames) == 1
    assert [each.name for each in directory.path.iterdir()] == ["c.pem"]
    assert directory.warnings == []


def test_a_directory_that_cannot_be_written_is_complained_of_once(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refused)
    for text in ("four", "fifth"):
        directory.file.write_text(text)
        os.utime(directory.file, ns=(len(text), len(text)))
        directory.look()
        directory.look()
    (warning,) = directory.warnings
    assert str(directory.path) in warning
    assert "replace them by renaming" in warning


def test_a_file_that_was_renamed_into_place_needs_nothing_of_us(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = directory.path / "new"
    beside.write_text("new")
    os.replace(beside, directory.file)

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refused)
    directory.look()
    directory.look()
    assert directory.warnings == []
