"""What can be asked of the store, and what it answers: steps in, outcomes out, one revision for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from weft.model.instance import Instance
from weft.model.meta import Resource, Tags
from weft.names import Key


@dataclass(frozen=True, slots=True)
class Create:
    """A new resource; Conflict when the name is taken."""

    key: Key
    sent: Any = field(repr=False)
    """The spec as JSON, not yet decoded."""
    tags: Tags = ()
    uid: str | None = None
    """Where it must be known before; else one is made."""


@dataclass(frozen=True, slots=True)
class Update:
    """A new spec for a resource that exists, in place of the whole old one."""

    key: Key
    sent: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Put:
    """Create or update, whichever it takes; nothing at all when the spec is the same already."""

    key: Key
    sent: Any = field(repr=False)
    tags: Tags | None = None
    """None leaves the tags as they are."""
    labels: Tags = ()
    """Tags that it carries besides, whatever it carried."""
    owner: str = ""
    """Whose it is, when it is made anew and nobody in particular asks; empty for the mesh's owner."""


@dataclass(frozen=True, slots=True)
class Delete:
    key: Key


@dataclass(frozen=True, slots=True)
class Prune:
    """Delete what carries all these tags in these meshes, but for what is kept; never a mesh."""

    meshes: frozenset[str]
    labels: Tags
    keep: frozenset[Key] = field(repr=False)
    keep_policies: frozenset[str] = field(default=frozenset(), repr=False)
    """Names of policies that stay; those of other labelled resources go, a mesh's own too."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Set these tags, leave others."""

    key: Key
    tags: Tags


@dataclass(frozen=True, slots=True)
class Untag:
    key: Key
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Register:
    """Put an instance into the registry; the same again changes nothing."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Deregister:
    node: Key
    id: str


@dataclass(frozen=True, slots=True)
class Secret:
    """What belongs to a document and stands in no log, so that it can be forgotten."""

    sealed: str = field(repr=False)
    """As it is kept on disk; whoever seals it can open it."""
    members: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the document has besides, in memory alone: those of ``document.UNLOGGED``."""


class Expect(StrEnum):
    """What must be so for a document to be written."""

    ANYTHING = "anything"
    ABSENT = "absent"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Keep:
    """
    Anything else that is remembered: a JSON document by collection and name.

    The surface that owns a collection knows its rules; the store keeps its documents
    in the same revisions as everything else, and they can be read back and reverted.
    """

    collection: str
    """Such as ``cloudmap/services``."""
    name: str
    document: Mapping[str, Any] | None = field(repr=False)
    """None forgets it."""
    expect: Expect = Expect.ANYTHING
    secret: Secret | None = field(default=None, repr=False)
    """In place of the one it had; None leaves that, as long as there is a document."""


Step = Create | Update | Put | Delete | Prune | Tag | Untag | Register | Deregister | Keep


class Action(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    TAGGED = "tagged"
    REGISTERED = "registered"
    DEREGISTERED = "deregistered"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step did."""

    key: Key
    action: Action
    resource: Resource | None = None
    """The resource afterwards; of a deletion, as it was answered for the last time."""
    instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What one ``Keep`` did."""

    collection: str
    name: str
    action: Action
    document: Mapping[str, Any] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Author:
    """Who asks, and with what."""

    name: str = "anonymous"
    client: str = ""
    """The user agent."""


@dataclass(frozen=True, slots=True)
class Applied:
    """One revision, durable. With nothing changed: the revision that stands."""

    revision: int
    outcomes: tuple[Outcome, ...]
    kept: tuple[Kept, ...] = ()

    @property
    def changed(self) -> bool:
        actions = [each.action for each in self.outcomes] + [each.action for each in self.kept]
        return any(action is not Action.UNCHANGED for action in actions)


@dataclass(frozen=True, slots=True)
class Difference:
    """One place in a document that changed; None stands for "was not there"."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Entry:
    """What one revision did to one thing."""

    id: str
    """A resource's key, ``KEY/instance/ID``, or ``COLLECTION//NAME``."""
    action: Action
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One revision of the log."""

    revision: int
    at: datetime
    author: Author
    note: str
    entries: tuple[Entry, ...]
    registry_only: bool
    """Only instances came or went; lists leave it out unless asked."""
