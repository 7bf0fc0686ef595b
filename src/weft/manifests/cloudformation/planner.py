"""
What a template would make of a stack: a pure step from what stands to what is asked for.

Resources are evaluated in the order of their references. Those of App Mesh and
Cloud Map become steps on the store; every other one is recorded, with stand-ins
for its id and attributes. Nothing is written here, and every problem is found.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weft.manifests.cloudformation import appmesh, cloudmap
from weft.manifests.cloudformation.cloudmap import CloudMap
from weft.manifests.cloudformation.evaluation import UNKNOWN, Evaluator, Surroundings
from weft.manifests.cloudformation.foreign import StandIn, generated_name
from weft.manifests.cloudformation.order import dependencies, in_order, unresolved
from weft.manifests.cloudformation.outputs import Outputs
from weft.manifests.cloudformation.parameters import Parameter, values
from weft.manifests.cloudformation.plan import Act, Move, Place, Plan, Request, digest_of
from weft.manifests.cloudformation.reading import Finding
from weft.manifests.cloudformation.stack import STACKS, Stack, StackResource, exports
from weft.manifests.cloudformation.template import Declared
from weft.manifests.document import Path
from weft.names import Arn, Key, Kind
from weft.store.change import Create, Delete, Put, Step
from weft.store.state import MeshState


def plan(request: Request, previous: Stack | None, state: MeshState, place: Place) -> Plan:
    """Everything at once: values, steps, outputs, and all that is wrong."""
    return _Planner(request, previous, state, place).plan()


class _Planner:
    def __init__(
        self, request: Request, previous: Stack | None, state: MeshState, place: Place
    ) -> None:
        self._request = request
        self._template = request.template
        self._previous = previous
        self._before = dict(previous.resources) if previous else {}
        self._state = state
        self._place = place
        self._findings: list[Finding] = []
        self._known = exports(state)
        self._others = {
            name: each for name, each in self._known.items() if each.stack_name != request.name
        }
        self._steps: list[Step] = []
        self._moves: dict[str, Move] = {}
        self._keys: dict[Key, str] = {}
        self._owners: dict[str, str] | None = None
        service = f"arn:{place.partition}:servicediscovery:{place.region}:{place.account}"
        self._cloud_map = CloudMap(state, service, place.at)
        self._left: list[StackResource] = []
        self._recorded: dict[str, dict[str, Any]] = {}
        """Resources of Cloud Map that go once all others stand."""

    def plan(self) -> Plan:
        template, findings = self._template, self._findings
        parameters = values(
            template,
            self._request.parameters,
            self._previous.parameters if self._previous else {},
            self._request.given,
            findings,
        )
        around = Surroundings(
            self._request.name,
            self._place.stack_id,
            self._place.region,
            self._place.account,
            self._place.partition,
            {name: each.value for name, each in self._others.items()},
            self._request.notification_arns,
        )
        evaluator = Evaluator(template, parameters, around, findings)
        for name in template.conditions:
            evaluator.holds(name, ("Conditions", name))
        self._rules(evaluator)
        declared = {
            name: each
            for name, each in template.resources.items()
            if evaluator.chosen(each.condition, (*each.path, "Condition"))
        }
        self._given(declared, parameters)
        order, circle = in_order(
            dependencies(declared, lambda name, path: _truth(evaluator.holds(name, path)))
        )
        if circle:
            where: Path = ("Resources", circle[0])
            way = " → ".join([*circle, circle[0]])
            findings.append(Finding(where, f"Circular dependency between resources: {way}"))
            return Plan(tuple(findings), parameters)
        for name in order:
            self._resource(declared[name], evaluator)
        self._removals(declared)
        outputs = Outputs(self._request.name, evaluator, self._previous, self._state, findings)
        said = outputs.of(template)
        self._branches_not_taken()
        # In the template's order, whatever order they were made in.
        moves = {name: self._moves[name] for name in declared if name in self._moves}
        moves |= {name: each for name, each in self._moves.items() if name not in moves}
        deletions = [each for each in self._steps if isinstance(each, Delete)]
        others = [each for each in self._steps if not isinstance(each, Delete)]
        return Plan(
            tuple(dict.fromkeys(findings)),
            parameters,
            tuple(moves.values()),
            # Deletions first: a name may pass from one resource to another.
            (*deletions, *others, *self._cloud_map.steps),
            said,
            tuple(evaluator.imported),
            self._recorded,
        )

    def _find(self, path: Path, message: str, *, late: bool = False) -> None:
        self._findings.append(Finding(path, message, late))

    # --- before the resources ------------------------------------------------------------

    def _rules(self, evaluator: Evaluator) -> None:
        for name, rule in self._template.rules.items():
            at: Path = ("Rules", name)
            condition = rule.get("RuleCondition")
            if condition is not None and not evaluator.asserted(condition, (*at, "RuleCondition")):
                continue
            assertions = rule.get("Assertions")
            if not isinstance(assertions, list):
                self._find(at, "needs a list of Assertions")
                continue
            for i, each in enumerate(assertions):
                place = (*at, "Assertions", i)
                if not isinstance(each, dict) or "Assert" not in each:
                    self._find(place, "needs an Assert")
                elif not evaluator.asserted(each["Assert"], (*place, "Assert")):
                    said = each.get("AssertDescription") or "the assertion does not hold"
                    self._find(place, str(said))

    def _given(self, declared: Mapping[str, Declared], parameters: Mapping[str, Parameter]) -> None:
        """Values in the place of stand-ins can be given only where there is one."""
        for name in self._request.given:
            logical_id = name.partition(".")[0]
            found = declared.get(logical_id)
            if found is None:
                parameter = parameters.get(name)
                if parameter is not None and not parameter.from_ssm:
                    self._find(
                        ("Parameters", name),
                        f"{name} is a parameter; give its value as one (--parameter {name}=…)",
                    )
            elif found.type in appmesh.TYPES or found.type in cloudmap.TYPES:
                self._find(
                    found.path,
                    f"{name} cannot be given a value: {found.type} is created, not recorded",
                )

    # --- resources -----------------------------------------------------------------------

    def _resource(self, declared: Declared, evaluator: Evaluator) -> None:
        place = (*declared.path, "Properties")
        properties = evaluator.value(declared.properties, place)
        if not isinstance(properties, dict):
            properties = {}
        before = self._before.get(declared.logical_id)
        if before is not None and before.type != declared.type:
            self._find(
                (*declared.path, "Type"),
                "Update of resource type is not permitted: "
                f"{declared.logical_id} is {before.type} and would be {declared.type}",
            )
        kind = appmesh.TYPES.get(declared.type)
        if kind is not None:
            self._mesh_resource(kind, declared, properties, before, evaluator)
        elif declared.type in cloudmap.TYPES:
            self._cloud_map_resource(declared, properties, before, evaluator)
        elif declared.type.startswith(appmesh.PREFIX):
            known = ", ".join(appmesh.TYPES)
            self._find((*declared.path, "Type"), f"{declared.type} is none of {known}")
        else:
            self._foreign(declared, properties, before, evaluator)

    def _mesh_resource(
        self,
        kind: Kind,
        declared: Declared,
        properties: dict[str, Any],
        before: StackResource | None,
        evaluator: Evaluator,
    ) -> None:
        place = (*declared.path, "Properties")
        old = before.mesh_key if before and before.type == declared.type else None
        made_up = old.name if old and before and not before.named else self._name(declared)
        account, findings = self._place.account, self._findings
        asked = appmesh.asked(kind, properties, place, made_up, account, findings)
        if asked and old is None and not asked.named and self._state.resource(asked.key):
            # Left behind by an earlier stack of this name, which retained it.
            made_up = self._name(declared, self._place.stack_id)
            asked = appmesh.asked(kind, properties, place, made_up, account, findings)
        if asked is None:
            # Others may still be checked against what this resource would have been.
            evaluator.made[declared.logical_id] = _Unmade()
            return
        tags = tuple({**self._request.tags, **dict(asked.tags)}.items())
        key = asked.key
        standing = self._state.resource(key)
        owner = self._owner(key) if standing is not None and old is None else None
        if owner is not None:
            self._find(declared.path, f"{key} belongs to stack {owner}", late=True)
        adopted = self._request.adopt and old is None and standing is not None
        uid = (
            standing.metadata.uid
            if standing is not None and (key == old or adopted)
            else str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._place.stack_id}/{key}"))
        )
        arn = Arn(self._place.region, self._place.account, key, self._place.partition)
        made = appmesh.MeshResource(arn, uid)
        evaluator.made[declared.logical_id] = made
        self._no_twin(declared, key)
        after = self._after(declared, made.ref, properties, tags, key=str(key), named=asked.named)
        if adopted:
            self._steps.append(Put(key, asked.sent, tags or None))
        elif old is None:
            self._steps.append(Create(key, asked.sent, tags, uid))
        elif key != old:
            self._steps.append(Create(key, asked.sent, tags, uid))
            assert before is not None, "an old key comes from before"
            self._drop(old, retain=declared.update_replace_policy == "Retain")
        elif before is None or before.digest != after.digest:
            self._steps.append(Put(key, asked.sent, tags))
        self._move(declared, before, after, replaced=old is not None and key != old)

    def _no_twin(self, declared: Declared, key: Key) -> None:
        first = self._keys.setdefault(key, declared.logical_id)
        if first != declared.logical_id:
            self._find(declared.path, f"is the same resource as {first}: {key}", late=True)

    def _owner(self, key: Key) -> str | None:
        """The stack that has a resource already."""
        if self._owners is None:
            self._owners = {
                resource["key"]: name
                for name, document in self._state.collection(STACKS).items()
                for resource in document["resources"].values()
                if resource["key"] and name != self._request.name
            }
        return self._owners.get(str(key))

    def _drop(self, key: Key, *, retain: bool) -> None:
        # What is gone already is as good as deleted.
        if not retain and self._state.resource(key) is not None:
            self._steps.append(Delete(key))

    def _name(self, declared: Declared, salt: str = "") -> str:
        """A name made up as CloudFormation does it; always the same."""
        seed = "\0".join((self._request.name, declared.logical_id, salt))
        digest = hashlib.sha256(seed.encode()).hexdigest()
        return generated_name(self._request.name, declared.logical_id, digest, 255)

    def _cloud_map_resource(
        self,
        declared: Declared,
        properties: dict[str, Any],
        before: StackResource | None,
        evaluator: Evaluator,
    ) -> None:
        tags = self._request.tags
        shown = {**properties, "Tags": [properties.get("Tags"), dict(tags)]} if tags else properties
        digests = {name: digest_of(each) for name, each in shown.items()}
        if before is not None and not before.documents:
            before = None  # Recorded by a version that knew no Cloud Map.
        if before is not None and before.digests == digests:
            evaluator.made[declared.logical_id] = self._cloud_map.found(before, properties)
            after = replace(
                before,
                deletion_policy=declared.deletion_policy,
                update_replace_policy=declared.update_replace_policy,
            )
            self._move(declared, before, after, replaced=False)
            return
        replaced = before is not None and any(
            before.digests.get(name) != digests.get(name)
            for name in cloudmap.CREATE_ONLY[declared.type]
        )
        salt = before.physical_id if before and replaced else ""
        made = self._cloud_map.make(
            declared,
            properties,
            None if replaced else before,
            self._name(declared, salt),
            f"{self._place.stack_id}/{declared.logical_id}/{salt}",
            tags,
            self._findings,
        )
        if made is None:
            evaluator.made[declared.logical_id] = _Unmade()
            return
        evaluator.made[declared.logical_id] = made
        after = self._after(declared, made.ref, shown, ())
        after = replace(after, documents=self._cloud_map.documents(declared, made.ref, properties))
        if before and replaced and declared.update_replace_policy != "Retain":
            self._left.append(before)
        self._move(declared, before, after, replaced=replaced)

    def _foreign(
        self,
        declared: Declared,
        properties: dict[str, Any],
        before: StackResource | None,
        evaluator: Evaluator,
    ) -> None:
        if self._request.refuse_foreign:
            self._find(
                (*declared.path, "Type"),
                f"{declared.type} is not created here, and --foreign refuse was given",
            )
        prefix = f"{declared.logical_id}."
        given = {
            name.removeprefix(prefix): value
            for name, value in self._request.given.items()
            if name.startswith(prefix)
        }
        if declared.logical_id in self._request.given:
            given[""] = self._request.given[declared.logical_id]
        made = StandIn(
            declared.type,
            declared.logical_id,
            self._request.name,
            self._place.region,
            self._place.account,
            self._place.partition,
            properties,
            given,
        )
        evaluator.made[declared.logical_id] = made
        self._recorded[declared.logical_id] = properties
        after = self._after(declared, made.ref, properties, (), recorded=True)
        replaced = before is not None and before.physical_id != after.physical_id
        self._move(declared, before, after, replaced=replaced)

    def _after(
        self,
        declared: Declared,
        physical_id: str,
        properties: Mapping[str, Any],
        tags: tuple[tuple[str, str], ...],
        *,
        key: str = "",
        named: bool = False,
        recorded: bool = False,
    ) -> StackResource:
        digests = {name: digest_of(each) for name, each in properties.items()}
        if tags:
            digests["Tags"] = digest_of(tags)
        return StackResource(
            declared.logical_id,
            declared.type,
            physical_id,
            "CREATE_COMPLETE",
            self._place.at,
            digest_of([physical_id, digests]),
            digests,
            key,
            (),
            recorded,
            named,
            declared.deletion_policy,
            declared.update_replace_policy,
        )

    def _move(
        self,
        declared: Declared,
        before: StackResource | None,
        after: StackResource,
        *,
        replaced: bool,
    ) -> None:
        name = declared.logical_id
        if before is None:
            self._moves[name] = Move(name, Act.ADD, None, after)
            return
        changed = tuple(
            sorted(
                each
                for each in {*before.digests, *after.digests}
                if before.digests.get(each) != after.digests.get(each)
            )
        )
        attributes = tuple(
            label
            for label, old, new in (
                ("DeletionPolicy", before.deletion_policy, after.deletion_policy),
                ("UpdateReplacePolicy", before.update_replace_policy, after.update_replace_policy),
            )
            if old != new
        )
        if replaced:
            act = Act.REPLACE
        elif changed or attributes or before.digest != after.digest:
            act = Act.MODIFY
        else:
            self._moves[name] = Move(name, Act.KEEP, before, before)
            return
        self._moves[name] = Move(
            name, act, before, replace(after, status="UPDATE_COMPLETE"), changed, attributes
        )

    def _removals(self, declared: Mapping[str, Declared]) -> None:
        for name, before in self._before.items():
            if name in declared:
                continue
            retain = before.deletion_policy in ("Retain", "RetainExceptOnCreate")
            if key := before.mesh_key:
                self._drop(key, retain=retain)
            elif before.documents and not retain:
                self._left.append(before)
            self._moves[name] = Move(name, Act.RETAIN if retain else Act.REMOVE, before, None)
        self._cloud_map.remove(self._left, self._findings)

    def _branches_not_taken(self) -> None:
        """References to nothing where nothing was evaluated."""
        told = {each.path for each in self._findings}
        for path, name in unresolved(self._template):
            if path not in told:
                self._find(path, f"{name!r:.80} is neither a parameter nor a resource")


class _Unmade:
    """What could not be made out; the reason is told already."""

    ref: Any = UNKNOWN

    def attribute(self, name: str) -> Any:
        return UNKNOWN


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
