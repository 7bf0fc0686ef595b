"""
May this change be? Steps and a state in; the next state, or every reason against it.

All steps are written into a draft first and judged together on the result, so
that a change of several resources is judged by where it leads and not by the
order of its steps. Sources: app-mesh.md, 2.8 (what blocks a deletion, with App
Mesh's texts) and 2.9 (rules between resources); decisions 0007 and 0010.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from weft.clock import Clock
from weft.errors import (
    BadRequest,
    Conflict,
    InUse,
    Invalid,
    NotFound,
    Problem,
    TooManyTags,
    WeftError,
)
from weft.model.codec import decode, without_nulls
from weft.model.meta import Metadata, Resource, Tags
from weft.model.virtual_node import VirtualNodeSpec
from weft.names import Key, Kind
from weft.store import cloud_map, document
from weft.store.change import (
    Action,
    Create,
    Delete,
    Deregister,
    Expect,
    Keep,
    Kept,
    Outcome,
    Prune,
    Put,
    Register,
    Step,
    Tag,
    Untag,
    Update,
)
from weft.store.document import Record
from weft.store.rules import Missing, blame, blocker, dependents, rules
from weft.store.state import Draft, MeshState

MAX_TAGS = 50
_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
_SERVICE_NAME = re.compile(r"[^/\x00-\x20\x7f]{1,255}")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A change that may be: what follows from it, not yet written."""

    draft: Draft
    outcomes: tuple[Outcome, ...]
    records: tuple[Record, ...]
    kept: tuple[Kept, ...] = ()


def admit(state: MeshState, steps: Sequence[Step], clock: Clock, account: str) -> Admitted:
    """Do all steps on a draft and judge the result; raises with every reason against it."""
    admitted, errors = considered(state, steps, clock, account)
    if len(errors) == 1 and (len(steps) == 1 or not isinstance(errors[0][1], Invalid)):
        # Its message may name what is missing and not what needs it.
        errors[0][1].add_note(str(errors[0][0] or ""))
        raise errors[0][1]
    if errors:
        raise Invalid(
            Problem(f"{key or ''} {problem.path}".strip(), problem.message)
            for key, error in errors
            for problem in _problems_of(error)
        )
    return admitted


def considered(
    state: MeshState, steps: Sequence[Step], clock: Clock, account: str
) -> tuple[Admitted, list[tuple[Key | None, WeftError]]]:
    """What the steps that can be done lead to, and every reason against all of them."""
    admission = _Admission(state, clock, account)
    errors: list[tuple[Key | None, WeftError]] = []
    for step in steps:
        try:
            admission.take(step)
        except WeftError as error:
            errors.append((_key_of(step), error))
    admission.follow()
    errors += admission.judge(broken={key for key, _ in errors if key})
    errors += [(None, each) for each in cloud_map.broken(admission.draft.state, admission.kept)]
    admitted = Admitted(
        admission.draft,
        tuple(admission.outcomes),
        tuple(admission.records),
        tuple(admission.kept),
    )
    return admitted, errors


class _Admission:
    def __init__(self, state: MeshState, clock: Clock, account: str) -> None:
        self.before = state
        self.draft = Draft(state)
        self.outcomes: list[Outcome] = []
        self.records: list[Record] = []
        self.kept: list[Kept] = []
        self._clock = clock
        self._account = account
        self._put: dict[Key, None] = {}
        self._deleted: dict[Key, None] = {}
        self._moved: dict[Key, None] = {}
        """Virtual nodes of which replicas came or went, or were given another place."""

    def _now(self) -> datetime:
        return document.moment(document.milliseconds(self._clock.now()))

    # --- the steps, one by one -----------------------------------------------------------

    def take(self, step: Step) -> None:
        match step:
            case Create(key, sent, tags, uid):
                self._create(key, sent, tags, uid)
            case Update(key, sent):
                self._update(self._existing(key), sent)
            case Put(key, sent, tags, labels):
                self._put_step(key, sent, tags, labels)
            case Delete(key):
                self._delete(self._existing(key))
            case Prune():
                self._prune(step)
            case Tag(key, tags):
                self._tag(self._existing(key), dict(tags))
            case Untag(key, names):
                self._tag(self._existing(key), dict.fromkeys(names))
            case Register():
                self._register(step)
            case Deregister(node, id):
                self._deregister(node, id)
            case Keep():
                self._keep(step)

    def _existing(self, key: Key) -> Resource:
        found = self.draft.state.resource(key)
        if found is None:
            # The outermost thing that is missing says most: no mesh, rather than no route.
            missing = key
            while missing.parent is not None and self.draft.state.resource(missing.parent) is None:
                missing = missing.parent
            raise NotFound(str(Missing(missing, self._account)))
        return found

    def _create(self, key: Key, sent: object, tags: Tags, uid: str | None = None) -> None:
        if self.draft.state.resource(key) is not None:
            raise Conflict(
                f"{key.kind.title} with name {key.name} already exists"
                + (f" under mesh {key.mesh}" if key.kind is not Kind.MESH else "")
            )
        found = [*_name_problems(key), *_tag_problems(tags)]
        try:
            spec = decode(key.kind, plain := without_nulls(sent))
        except Invalid as error:
            raise Invalid([*found, *error.problems]) from None
        if found:
            raise Invalid(found)
        now = self._now()
        metadata = Metadata(uid or self._clock.uid(), 1, now, now)
        self._write(Resource(key, spec, plain, metadata, tags), Action.CREATED)  # type: ignore[arg-type]  # decoded: an object

    def _update(self, old: Resource, sent: object, tags: Tags | None = None) -> None:
        spec = decode(old.key.kind, plain := without_nulls(sent))
        metadata = replace(
            old.metadata, version=old.metadata.version + 1, last_updated_at=self._now()
        )
        kept = old.tags if tags is None else tags
        self._write(Resource(old.key, spec, plain, metadata, kept), Action.UPDATED)  # type: ignore[arg-type]  # decoded: an object

    def _put_step(self, key: Key, sent: object, given: Tags | None, labels: Tags) -> None:
        old = self.draft.state.resource(key)
        kept = given if given is not None else old.tags if old else ()
        tags = tuple({**dict(kept), **dict(labels)}.items())
        if old is None:
            self._create(key, sent, tags)
        elif old.sent == without_nulls(sent) and dict(tags) == dict(old.tags):
            self.outcomes.append(Outcome(key, Action.UNCHANGED, old))
        else:
            if found := _tag_problems(tags):
                raise Invalid(found)
            self._update(old, sent, tags)

    def _prune(self, step: Prune) -> None:
        wanted = set(step.labels)
        if not wanted:
            raise BadRequest("what is to go must be named by a tag", fix="give a label")
        going = [
            each
            for each in self.draft.state.resources()
            if each.key.mesh in step.meshes
            and each.key.kind is not Kind.MESH
            and each.key not in step.keep
            and wanted <= set(each.tags)
        ]
        # Routes before the routers they live in.
        going.sort(key=lambda each: (not each.key.parent_name, each.key))
        for each in going:
            self._delete(each)

    def _write(self, resource: Resource, action: Action) -> None:
        self.draft.put(resource)
        self._put[resource.key] = None
        self._moved[resource.key] = None
        self._deleted.pop(resource.key, None)
        self.outcomes.append(Outcome(resource.key, action, resource))
        self.records.append(Record(str(resource.key), action, document.of_resource(resource)))

    def _delete(self, old: Resource) -> None:
        key = old.key
        if self.draft.state.instances_known(key):
            for instance in self.draft.state.instances(key):
                id = document.id_of_instance(key, instance.id)
                self.records.append(Record(id, Action.DEREGISTERED, None))
            self.records.append(Record(document.id_of_registered(key), Action.DEREGISTERED, None))
        self.draft.remove(key)
        self._put.pop(key, None)
        self._moved[key] = None
        self._deleted[key] = None
        # App Mesh counts a deletion as a version, except of a mesh.
        version = old.metadata.version + (key.kind is not Kind.MESH)
        metadata = replace(old.metadata, version=version, last_updated_at=self._now())
        self.outcomes.append(Outcome(key, Action.DELETED, replace(old, metadata=metadata)))
        self.records.append(Record(str(key), Action.DELETED, None))

    def _tag(self, old: Resource, changes: dict[str, str | None] | dict[str, str]) -> None:
        tags = tuple(
            (name, value)
            for name, value in {**dict(old.tags), **changes}.items()
            if value is not None
        )
        if found := _tag_problems(tags, limit=False):
            raise Invalid(found)
        if len(tags) > MAX_TAGS:
            raise TooManyTags(f"a resource carries at most {MAX_TAGS} tags, not {len(tags)}")
        if tags == old.tags:
            self.outcomes.append(Outcome(old.key, Action.UNCHANGED, old))
            return
        tagged = replace(old, tags=tags)
        self.draft.put(tagged)
        self.outcomes.append(Outcome(old.key, Action.TAGGED, tagged))
        self.records.append(Record(str(old.key), Action.TAGGED, document.of_resource(tagged)))

    def _register(self, step: Register) -> None:
        instance = step.instance
        node = instance.node
        if not re.fullmatch(r"[A-Za-z0-9._:-]{1,255}", instance.id):
            raise BadRequest(
                f"{instance.id!r} cannot be an instance id", fix="use letters, digits, . _ : and -"
            )
        spec = self._existing(node).spec
        ports = (
            {each.port_mapping.port for each in spec.listeners or ()}
            if isinstance(spec, VirtualNodeSpec)
            else set()
        )
        if strange := [port for port, _ in instance.addresses if port not in ports]:
            raise Invalid(
                Problem(f"addresses.{port}", f"{node.name} has no listener at port {port}")
                for port in strange
            )
        known = self.draft.state.workloads.get(node, {})
        if known.get(instance.id) == instance:
            self.outcomes.append(Outcome(node, Action.UNCHANGED, instance_id=instance.id))
            return
        if node not in self.draft.state.workloads:
            self.records.append(Record(document.id_of_registered(node), Action.REGISTERED, {}))
        self.draft.put_instance(instance)
        self._moved[node] = None
        id = document.id_of_instance(node, instance.id)
        self.records.append(Record(id, Action.REGISTERED, document.of_instance(instance)))
        self.outcomes.append(Outcome(node, Action.REGISTERED, instance_id=instance.id))

    def _deregister(self, node: Key, id: str) -> None:
        if id not in self.draft.state.workloads.get(node, {}):
            raise NotFound(f"no instance {id} of {node} is registered")
        self.draft.remove_instance(node, id)
        self._moved[node] = None
        self.records.append(Record(document.id_of_instance(node, id), Action.DEREGISTERED, None))
        self.outcomes.append(Outcome(node, Action.DEREGISTERED, instance_id=id))

    def _keep(self, step: Keep) -> None:
        before = self.draft.document(step.collection, step.name)
        id = document.id_of_kept(step.collection, step.name)
        if step.expect is Expect.ABSENT and before is not None:
            raise Conflict(f"{id} exists already")
        if before is None and (step.expect is Expect.PRESENT):
            raise NotFound(f"{id} does not exist")
        after = step.document
        if before == after:
            action = Action.UNCHANGED
        elif before is None:
            action = Action.CREATED
        else:
            action = Action.UPDATED if after is not None else Action.DELETED
        self.kept.append(Kept(step.collection, step.name, action, after))
        if action is not Action.UNCHANGED:
            self.draft.keep(step.collection, step.name, after)
            self.records.append(Record(id, action, after))

    def follow(self) -> None:
        """Keep in Cloud Map what follows from the steps for replicas that are discovered there."""
        for node in self._moved:
            if node not in self.before.workloads and node not in self.draft.workloads:
                continue
            steps = cloud_map.follow(
                node,
                self.before,
                self.draft.state,
                self.draft,
                lambda prefix: cloud_map.new_id(prefix, self._clock.uid()),
                document.milliseconds(self._clock.now()),
            )
            for step in steps:
                self._keep(step)

    # --- the result, as a whole ----------------------------------------------------------

    def judge(self, broken: set[Key]) -> Iterator[tuple[Key, WeftError]]:
        """Every reason against the draft; what is missing because its own step failed is not one."""
        state = self.draft.state
        for key in self._put:
            resource = state.resource(key)
            assert resource is not None, "a key that was put stands in the draft"
            if self.before.resource(key) is None and key.parent is not None:
                parent = key.parent
                if state.resource(parent) is None:
                    if parent not in broken:
                        yield key, NotFound(str(Missing(_outermost(state, parent), self._account)))
                    continue
            found = list(rules(state, resource, self._account))
            problems = [each for each in found if isinstance(each, Problem)]
            missing = [
                each for each in found if isinstance(each, Missing) and each.key not in broken
            ]
            for dependent in dependents(state, resource):
                if dependent.key not in self._put:
                    problems += blame(dependent, rules(state, dependent, self._account))
            if problems:
                yield key, Invalid([*problems, *(Problem("", str(each)) for each in missing)])
            elif missing:
                yield key, NotFound("; ".join(dict.fromkeys(map(str, missing))))
        for key in self._deleted:
            if reason := blocker(state, key):
                yield key, InUse(reason)


def _outermost(state: MeshState, missing: Key) -> Key:
    parent = missing.parent
    return _outermost(state, parent) if parent and state.resource(parent) is None else missing


def _name_problems(key: Key) -> Iterator[Problem]:
    place = f"{key.kind}Name"
    if key.kind is Kind.VIRTUAL_SERVICE:
        if not _SERVICE_NAME.fullmatch(key.name):
            yield Problem(place, "must have 1 to 255 characters, none of them a blank or /")
    elif not _NAME.fullmatch(key.name):
        yield Problem(place, "must have 1 to 255 letters, digits, hyphens, underscores or dots")


def _tag_problems(tags: Tags, *, limit: bool = True) -> list[Problem]:
    found = []
    if limit and len(tags) > MAX_TAGS:
        found.append(Problem("tags", f"must have at most {MAX_TAGS} items, not {len(tags)}"))
    for i, (name, value) in enumerate(tags):
        if not 1 <= len(name) <= 128:
            found.append(Problem(f"tags[{i}].key", "must have 1 to 128 characters"))
        if len(value) > 256:
            found.append(Problem(f"tags[{i}].value", "must have at most 256 characters"))
        if name.lower().startswith("aws:"):
            found.append(Problem(f"tags[{i}].key", "must not start with aws:, which is reserved"))
    return found


def _key_of(step: Step) -> Key | None:
    match step:
        case Keep() | Prune():
            return None
        case Register(instance):
            return instance.node
        case Deregister(node):
            return node
        case _:
            return step.key


def _problems_of(error: WeftError) -> Iterable[Problem]:
    return error.problems if isinstance(error, Invalid) else (Problem("", error.message),)
