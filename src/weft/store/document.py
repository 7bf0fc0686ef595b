"""What is written to the log: one JSON document for each thing that is remembered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from weft.model.codec import decode
from weft.model.instance import Instance
from weft.model.meta import Metadata, Resource
from weft.names import Key
from weft.store.change import Action, Difference
from weft.store.state import Draft

Document = Mapping[str, Any]
_INSTANCE = "/instance/"
_REGISTERED = "/instances"
_KEPT = "//"

REGISTRY_COLLECTIONS = ("cloudmap/instances", "cloudmap/revisions")
"""Collections whose changes lists of changes leave out unless asked, with those below them."""


UNLOGGED: Mapping[str, tuple[str, ...]] = {"authorities": (), "certificates": ("privateKey",)}
"""Collections whose documents have a secret, with the members that it adds to them in memory."""
KEY_ID = "keyId"
"""The member that says which secret a document of theirs goes with."""


@dataclass(frozen=True, slots=True)
class Record:
    """A thing's new document, or None when it is gone."""

    id: str
    action: Action
    document: Document | None
    sealed: str | None = field(default=None, repr=False)
    """A new secret to keep beside it; without a document its secret goes, too."""


def id_of_instance(node: Key, id: str) -> str:
    return f"{node}{_INSTANCE}{id}"


def id_of_registered(node: Key) -> str:
    """The mark that a workload was registered for a virtual node once."""
    return f"{node}{_REGISTERED}"


def id_of_kept(collection: str, name: str) -> str:
    return f"{collection}{_KEPT}{name}"


def kept_of(id: str) -> tuple[str, str] | None:
    """Collection and name, when an id is that of a kept document."""
    collection, separator, name = id.partition(_KEPT)
    return (collection, name) if separator else None


def logged_of(collection: str, document: Document) -> Document:
    """A kept document without what stands in no log."""
    hidden = UNLOGGED.get(collection, ())
    return {name: each for name, each in document.items() if name not in hidden}


def is_registry(id: str) -> bool:
    """Whether a thing comes and goes with workloads, and not by an operator's hand."""
    if kept := kept_of(id):
        return any(f"{kept[0]}/".startswith(f"{each}/") for each in REGISTRY_COLLECTIONS)
    return _INSTANCE in id or id.endswith(_REGISTERED)


def of_resource(resource: Resource) -> Document:
    owner = resource.metadata.owner
    return {
        "spec": resource.sent,
        "tags": dict(resource.tags),
        "uid": resource.metadata.uid,
        "version": resource.metadata.version,
        "createdAt": milliseconds(resource.metadata.created_at),
        "lastUpdatedAt": milliseconds(resource.metadata.last_updated_at),
        **({"owner": owner} if owner else {}),
    }


def of_instance(instance: Instance) -> Document:
    return {
        "addresses": {str(port): address for port, address in instance.addresses},
        "leaseSeconds": instance.lease_seconds,
    }


def resource_of(key: Key, document: Document) -> Resource:
    return Resource(
        key,
        decode(key.kind, document["spec"]),
        document["spec"],
        Metadata(
            document["uid"],
            document["version"],
            moment(document["createdAt"]),
            moment(document["lastUpdatedAt"]),
            document.get("owner", ""),
        ),
        tuple(document["tags"].items()),
    )


def instance_of(node: Key, id: str, document: Document) -> Instance:
    addresses = sorted((int(port), str(a)) for port, a in document["addresses"].items())
    return Instance(node, id, tuple(addresses), float(document["leaseSeconds"]))


def load(draft: Draft, documents: Iterable[tuple[str, Document]]) -> None:
    """Write a whole set of documents into a draft."""
    for id, document in documents:
        if kept := kept_of(id):
            draft.keep(*kept, document)
        elif _INSTANCE in id:
            node, _, name = id.partition(_INSTANCE)
            draft.put_instance(instance_of(Key.parse(node), name, document))
        elif id.endswith(_REGISTERED):
            draft.know_instances(Key.parse(id.removesuffix(_REGISTERED)))
        else:
            draft.put(resource_of(Key.parse(id), document))


def differences(before: Any, after: Any, path: str = "") -> tuple[Difference, ...]:
    """Where two JSON values differ, down to the smallest place; lists item by item."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: list[Difference] = []
        for name in sorted({*before, *after}):
            below = f"{path}.{name}" if path else name
            found += differences(before.get(name), after.get(name), below)
        return tuple(found)
    if isinstance(before, list) and isinstance(after, list):
        found = []
        for i in range(max(len(before), len(after))):
            found += differences(
                before[i] if i < len(before) else None,
                after[i] if i < len(after) else None,
                f"{path}[{i}]",
            )
        return tuple(found)
    return () if before == after else (Difference(path, before, after),)


def told(document: Document | None) -> dict[str, Any]:
    """The part of a document that an operator changed, for showing differences."""
    if document is None:
        return {}
    if "uid" not in document and "addresses" not in document:
        return dict(document)
    return {name: document[name] for name in ("spec", "tags", "addresses") if name in document}


def milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
