"""What Envoy says of a configuration before it serves anything, and what a configuration is made of."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import symbol_database
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.envoy.envoy_binary import envoy_binary, write_bootstrap
from weft.translate.snapshot import Snapshot

TOLERATED: dict[str, str] = {}
"""Part of a warning, and why it stands. There is none so far."""


def complaints(snapshot: Snapshot, directory: Path) -> list[str]:
    """
    What Envoy warns of, deprecated fields among it.

    That it refuses the configuration altogether is an AssertionError in its own words.
    """
    bootstrap = write_bootstrap(directory / "envoy.json", snapshot)
    said = subprocess.run(
        [envoy_binary(), "--mode", "validate", "-c", bootstrap, "-l", "warn"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr or said.stdout
    return [
        line
        for line in said.stderr.splitlines()
        if "deprecated" in line.lower() or "[warning]" in line
        if not any(part in line for part in TOLERATED)
    ]


def untyped(snapshot: Snapshot) -> list[str]:
    """
    The extensions that have a name and no configuration of a type.

    Envoy would look them up by name, which is deprecated, and off where
    ``no_extension_lookup_by_name`` holds (App Mesh's image sets that).
    """
    return sorted({place for message in _messages(snapshot) for place in _untyped(message)})


def _messages(snapshot: Snapshot) -> Iterator[Message]:
    for kind, resources in snapshot.resources.items():
        for resource in resources.values():
            entry = discovery_pb2.DeltaDiscoveryResponse.FromString(resource.delta).resources[0]
            assert entry.resource.type_url == kind.value
            yield _unpacked(entry.resource)


def _unpacked(packed: Packed) -> Message:
    message = symbol_database.Default().GetSymbol(packed.type_url.rpartition("/")[2])()
    packed.Unpack(message)
    found: Message = message
    return found


def _untyped(message: Message) -> Iterator[str]:
    if isinstance(message, Packed):
        yield from _untyped(_unpacked(message))
        return
    fields: dict[str, Any] = message.DESCRIPTOR.fields_by_name
    named = "name" in fields and "typed_config" in fields
    if named and not message.HasField("typed_config"):
        yield f"{message.DESCRIPTOR.full_name} {message.name}"  # type: ignore[attr-defined]
    for field, value in message.ListFields():
        for each in _values(field, value):
            if isinstance(each, Message):
                yield from _untyped(each)


def _values(field: FieldDescriptor, value: Any) -> Iterator[Any]:
    if field.message_type and field.message_type.GetOptions().map_entry:
        yield from value.values()
    elif isinstance(value, Message):
        yield value
    elif field.message_type:
        yield from value
