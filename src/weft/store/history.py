"""The past, read back: what a revision changed, and the steps that undo it."""

from __future__ import annotations

from weft.errors import BadRequest, Conflict
from weft.names import Key
from weft.store.change import Action, Change, Delete, Entry, Keep, Outcome, Put, Step
from weft.store.database import Database, Logged, Row
from weft.store.document import (
    KEY_ID,
    UNLOGGED,
    Document,
    differences,
    is_registry,
    kept_of,
    resource_of,
    told,
)


def changes(database: Database, *, limit: int, before: int | None, registry: bool) -> list[Change]:
    """The log, newest first."""
    rows = database.revisions(limit=limit, before=before, registry=registry)
    return [_change(database, row) for row in rows]


def change(database: Database, revision: int) -> Change:
    row = database.revision(revision)
    assert row is not None, "a revision up to the newest is in the log"
    return _change(database, row)


def inverse(database: Database, revision: int) -> list[Step]:
    """The steps that put back what a revision changed; Conflict where a later one changed it too."""
    steps: list[Step] = []
    for line in _last_of_each(database.logged(revision)):
        if is_registry(line.id):
            continue
        newest = database.last(line.id)
        assert newest is not None, "the line itself is there"
        if newest.revision > revision:
            raise Conflict(
                f"{line.id} was changed again in revision {newest.revision}",
                fix=f"revert {newest.revision} first, or write the resource anew",
            )
        before = database.before(line.id, revision)
        if kept := kept_of(line.id):
            was = before.document if before else None
            if was is not None and kept[0] in UNLOGGED:
                _same_secret(line.id, was, newest.document)
            steps.append(Keep(*kept, was))
            continue
        key = Key.parse(line.id)
        if before is None or before.document is None:
            steps.append(Delete(key))
        else:
            spec, tags = before.document["spec"], tuple(before.document["tags"].items())
            steps.append(Put(key, spec, tags, owner=before.document.get("owner", "")))
    if not steps:
        raise BadRequest(
            f"revision {revision} only moved instances in the registry; there is nothing to revert"
        )
    return steps


def _same_secret(id: str, was: Document, now: Document | None) -> None:
    """Refuse to bring back what went with a private key that is forgotten."""
    if now is None or was.get(KEY_ID) != now.get(KEY_ID):
        raise Conflict(
            f"{id} cannot be brought back: the private key it had then is forgotten",
            fix="issue it anew: weft cert issue --arn ARN, or weft cert rotate ARN",
        )


def outcome(database: Database, revision: int, key: Key) -> Outcome:
    """What a revision made of one resource, as it was answered then."""
    (line,) = [line for line in database.logged(revision) if line.id == str(key)]
    assert line.document is not None, "a deletion has no client token"
    return Outcome(key, Action(line.action), resource_of(key, line.document))


def _change(database: Database, row: Row) -> Change:
    entries = []
    for line in _last_of_each(database.logged(row.revision)):
        before = database.before(line.id, row.revision)
        old, new = (before.document if before else None), line.document
        entries.append(
            Entry(line.id, Action(line.action), old, new, differences(told(old), told(new)))
        )
    return Change(row.revision, row.at, row.author, row.note, tuple(entries), row.registry_only)


def _last_of_each(lines: list[Logged]) -> list[Logged]:
    """Within one revision the last line about a thing is what came of it."""
    return list({line.id: line for line in lines}.values())
