"""
May this change be? Steps and a state in; the next state, or every reason against it.

All steps are written into a draft first and judged together on the result, so
that a change of several resources is judged by where it leads and not by the
order of its steps. Sources: app-mesh.md, 2.8 (what blocks a deletion, with App
Mesh's texts) and 2.9 (rules between resources); decisions 0007 and 0010.

Of one step, the first that is wrong is said: its syntax, who may do it and whether
the parent is there, whether the name is free, what it refers to, the quotas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from weft.clock import Clock
from weft.errors import (
    BadRequest,
    Conflict,
    Invalid,
    LimitExceeded,
    NotFound,
    Problem,
    TooManyTags,
    WeftError,
)
from weft.model.codec import decode, without_nulls
from weft.model.meta import Metadata, Resource, Tags
from weft.model.policy import POLICIES
from weft.model.virtual_node import VirtualNodeSpec
from weft.names import Key, Kind, owner_of
from weft.quotas import Quotas
from weft.store import cloud_map, document, ownership, policies
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
from weft.store.judging import Result, judged
from weft.store.naming import MAX_TAGS, name_problems, tag_problems
from weft.store.rules import Missing, outermost
from weft.store.state import Draft, MeshState

_NAMED = 10
"""How many of the resources that exceed a quota a message names."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A change that may be: what follows from it, not yet written."""

    draft: Draft
    outcomes: tuple[Outcome, ...]
    records: tuple[Record, ...]
    kept: tuple[Kept, ...] = ()


def admit(
    state: MeshState,
    steps: Sequence[Step],
    clock: Clock,
    account: str,
    *,
    caller: str | None = None,
    quotas: Quotas = Quotas(),  # noqa: B008 - frozen
) -> Admitted:
    """
    Do all steps on a draft and judge the result; raises with every reason against it.

    ``account`` is the control plane's own, ``caller`` the one that asks; without a
    caller nobody's ownership stands in the way.
    """
    admitted, errors = considered(state, steps, clock, account, caller=caller, quotas=quotas)
    if len(errors) == 1 and (len(steps) == 1 or not isinstance(errors[0][1], Invalid)):
        # Its message may name what is missing and not what needs it.
        errors[0][1].add_note(str(errors[0][0] or ""))
        raise errors[0][1]
    if errors:
        if all(isinstance(error, LimitExceeded) for _, error in errors):
            raise _many_exceeded([error for _, error in errors])
        raise Invalid(
            Problem(f"{key or ''} {problem.path}".strip(), problem.message)
            for key, error in errors
            for problem in _problems_of(error)
        )
    return admitted


def considered(
    state: MeshState,
    steps: Sequence[Step],
    clock: Clock,
    account: str,
    *,
    caller: str | None = None,
    quotas: Quotas = Quotas(),  # noqa: B008 - frozen
) -> tuple[Admitted, list[tuple[Key | None, WeftError]]]:
    """What the steps that can be done lead to, and every reason against all of them."""
    admission = _Admission(state, clock, account, caller, quotas)
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
    def __init__(
        self, state: MeshState, clock: Clock, account: str, caller: str | None, quotas: Quotas
    ) -> None:
        self.before = state
        self.draft = Draft(state)
        self.outcomes: list[Outcome] = []
        self.records: list[Record] = []
        self.kept: list[Kept] = []
        self._clock = clock
        self._account = account
        self._caller = caller
        self._quotas = quotas
        self._put: dict[Key, None] = {}
        self._deleted: dict[Key, None] = {}
        self._moved: dict[Key, None] = {}
        """Virtual nodes of which replicas came or went, or were given another place."""

    def _now(self, not_before: datetime | None = None) -> datetime:
        now = document.moment(document.milliseconds(self._clock.now()))
        # A machine's clock may be set back; a resource's times do not run backwards.
        return now if not_before is None else max(now, not_before)

    # --- the steps, one by one -----------------------------------------------------------

    def take(self, step: Step) -> None:
        match step:
            case Create(key, sent, tags, uid):
                self._create(key, sent, tags, uid)
            case Update(key, sent):
                self._update(key, sent)
            case Put(key, sent, tags, labels, owner):
                self._put_step(key, sent, tags, labels, owner)
            case Delete(key):
                self._delete(self._existing(key, ownership.check_deletion))
            case Prune():
                self._prune(step)
            case Tag(key, tags):
                self._tag(key, dict(tags))
            case Untag(key, names):
                self._tag(key, dict.fromkeys(names))
            case Register():
                self._register(step)
            case Deregister(node, id):
                self._deregister(node, id)
            case Keep():
                self._keep(step)

    def _existing(
        self,
        key: Key,
        check: Callable[[MeshState, Resource, str, str], None] = ownership.check_update,
    ) -> Resource:
        """The resource, if the caller may have it; whose mesh it is comes before what is in it."""
        state = self.draft.state
        if self._caller is not None:
            ownership.check_mesh(state, key.mesh, self._caller, self._account)
        found = state.resource(key)
        if found is None:
            raise NotFound(str(Missing(outermost(state, key), self._account)))
        if self._caller is not None:
            check(state, found, self._caller, self._account)
        return found

    def _create(
        self, key: Key, sent: object, tags: Tags, uid: str | None = None, owner: str = ""
    ) -> None:
        found = [*name_problems(key), *tag_problems(tags)]
        try:
            spec = decode(key.kind, plain := without_nulls(sent))
        except Invalid as error:
            raise Invalid([*found, *error.problems]) from None
        if found:
            raise Invalid(found)
        state = self.draft.state
        if self._caller is not None:
            ownership.check_creation(state, key, self._caller, self._account)
            owner = "" if self._caller == owner_of(key.mesh, self._account) else self._caller
        if state.resource(key) is not None:
            mesh = Key.of_mesh(key.mesh)
            raise Conflict(
                f"{key.kind.title} with name {key.shown} already exists"
                + (f" under mesh {mesh.shown}" if key.kind is not Kind.MESH else "")
            )
        now = self._now()
        metadata = Metadata(uid or self._clock.uid(), 1, now, now, owner)
        self._write(Resource(key, spec, plain, metadata, tags), Action.CREATED)  # type: ignore[arg-type]  # decoded: an object

    def _update(self, key: Key, sent: object, tags: Tags | None = None) -> None:
        spec = decode(key.kind, plain := without_nulls(sent))
        old = self._existing(key)
        metadata = replace(
            old.metadata,
            version=old.metadata.version + 1,
            last_updated_at=self._now(old.metadata.last_updated_at),
        )
        kept = old.tags if tags is None else tags
        self._write(Resource(key, spec, plain, metadata, kept), Action.UPDATED)  # type: ignore[arg-type]  # decoded: an object

    def _put_step(
        self, key: Key, sent: object, given: Tags | None, labels: Tags, owner: str
    ) -> None:
        if self._caller is not None:
            ownership.check_mesh(self.draft.state, key.mesh, self._caller, self._account)
        old = self.draft.state.resource(key)
        kept = given if given is not None else old.tags if old else ()
        tags = tuple({**dict(kept), **dict(labels)}.items())
        if old is None:
            self._create(key, sent, tags, owner=owner)
        elif old.sent == without_nulls(sent) and dict(tags) == dict(old.tags):
            self.outcomes.append(Outcome(key, Action.UNCHANGED, old))
        else:
            if found := tag_problems(tags):
                raise Invalid(found)
            self._update(key, sent, tags)

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
            and self._may_go(each)
        ]
        for name, resource in list(policies.pruned(self.draft.state, step)):
            if self._may_go(resource):
                self._forget_policy(name)
        # Routes before the routers they live in.
        going.sort(key=lambda each: (not each.key.parent_name, each.key))
        for each in going:
            self._delete(each)

    def _may_go(self, resource: Resource) -> bool:
        """Whether a label of the caller's means this resource: another's of that name does not."""
        owner = ownership.resource_owner(resource, self._account)
        return self._caller in (None, owner, owner_of(resource.key.mesh, self._account))

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
        if key.kind is Kind.MESH:
            # Or the next mesh of this name would be shared with them, too.
            for account in list(ownership.shares(self.draft.state, key.mesh)):
                name = ownership.share_name(key.mesh, account)
                self._keep(Keep(ownership.SHARES, name, None))
        for name in policies.going_with(self.draft.state, key):
            self._forget_policy(name)
        self.draft.remove(key)
        self._put.pop(key, None)
        self._moved[key] = None
        self._deleted[key] = None
        # App Mesh counts a deletion as a version, except of a mesh.
        version = old.metadata.version + (key.kind is not Kind.MESH)
        now = self._now(old.metadata.last_updated_at)
        metadata = replace(old.metadata, version=version, last_updated_at=now)
        self.outcomes.append(Outcome(key, Action.DELETED, replace(old, metadata=metadata)))
        self.records.append(Record(str(key), Action.DELETED, None))

    def _tag(self, key: Key, changes: dict[str, str | None] | dict[str, str]) -> None:
        old = self._existing(key)
        tags = tuple(
            (name, value)
            for name, value in {**dict(old.tags), **changes}.items()
            if value is not None
        )
        if found := tag_problems(tags, limit=False):
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
        spec = self._existing(node, _anyone).spec
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
        if step.collection == ownership.SHARES and self._caller is not None:
            # Only the owner shares a mesh, and only one that is there.
            self._existing(Key.of_mesh(ownership.mesh_of_share(step.name)))
        if step.collection == POLICIES:
            policies.check(self.draft.state, step, self._caller, self._account)
        before = self.draft.document(step.collection, step.name)
        id = document.id_of_kept(step.collection, step.name)
        if step.expect is Expect.ABSENT and before is not None:
            raise Conflict(f"{id} exists already")
        if before is None and (step.expect is Expect.PRESENT):
            raise NotFound(f"{id} does not exist")
        after, sealed = step.document, step.secret.sealed if step.secret else None
        if after is not None:
            # A secret stays until another takes its place.
            hidden = document.UNLOGGED.get(step.collection, ())
            known = {name: before[name] for name in hidden if before and name in before}
            after = {**after, **(step.secret.members if step.secret else known)}
        if before == after and sealed is None:
            action = Action.UNCHANGED
        elif before is None:
            action = Action.CREATED
        else:
            action = Action.UPDATED if after is not None else Action.DELETED
        self.kept.append(Kept(step.collection, step.name, action, after))
        if action is not Action.UNCHANGED:
            self.draft.keep(step.collection, step.name, after)
            logged = None if after is None else document.logged_of(step.collection, after)
            self.records.append(Record(id, action, logged, sealed))

    def _forget_policy(self, name: str) -> None:
        """With what it is about: whoever may delete that may not keep a policy for its namesake."""
        self.draft.keep(POLICIES, name, None)
        self.kept.append(Kept(POLICIES, name, Action.DELETED, None))
        self.records.append(Record(document.id_of_kept(POLICIES, name), Action.DELETED, None))

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

    def judge(self, broken: set[Key]) -> Iterator[tuple[Key, WeftError]]:
        """Every reason against the draft as a whole."""
        return judged(
            Result(self.before, self.draft.state, self._put, self._deleted),
            broken,
            account=self._account,
            caller=self._caller,
            quotas=self._quotas,
        )


def _anyone(state: MeshState, resource: Resource, caller: str, home: str) -> None:
    """A workload stands for a virtual node whoever created that."""


def _many_exceeded(errors: Sequence[WeftError]) -> LimitExceeded:
    messages = [error.message for error in errors]
    more = f"; and {len(messages) - _NAMED} more" if len(messages) > _NAMED else ""
    return LimitExceeded("; ".join(messages[:_NAMED]) + more, fix=errors[0].fix)


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
