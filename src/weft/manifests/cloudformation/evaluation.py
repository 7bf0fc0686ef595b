"""
The values of a template: functions and references replaced by what they give.

A mistake is noted with its place, and the value it stands for is ``UNKNOWN``;
whatever is made of an unknown value is unknown and says nothing more, so that
each mistake is told once and the rest of the template is still checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from weft.manifests.cloudformation import functions
from weft.manifests.cloudformation.functions import Misused
from weft.manifests.cloudformation.parameters import Parameter, as_text
from weft.manifests.cloudformation.reading import Finding
from weft.manifests.cloudformation.template import PSEUDO_PARAMETERS, Template
from weft.manifests.document import Path, nearest


class _Mark:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


NO_VALUE: Final = _Mark("AWS::NoValue")
"""Takes the member it is given for away."""
UNKNOWN: Final = _Mark("unknown")
"""A value that a mistake, told elsewhere, keeps from being known."""

MAX_MADE = 64 * 1024 * 1024
"""Characters that the functions of one template may make in all."""
_IN_TEXT = re.compile(r"\$\{(!?)([^{}$]*)\}")
_REFUSED = {
    "Fn::Transform": "a macro runs in AWS and nowhere else; write what it makes",
    "Fn::ForEach": "is not known here; write what it makes",
    "Fn::GetStackOutput": "is not known here; use Fn::ImportValue",
}


class Made(Protocol):
    """A resource as others see it."""

    @property
    def ref(self) -> str: ...

    def attribute(self, name: str) -> Any:
        """LookupError, with the reason, when there is no such attribute."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a template may ask for that is not in it."""

    stack_name: str
    stack_id: str
    region: str
    account: str
    partition: str = "aws"
    exports: Mapping[str, str] = field(default_factory=dict)
    notification_arns: tuple[str, ...] = ()

    def pseudo(self, name: str) -> Any:
        match name:
            case "AWS::AccountId":
                return self.account
            case "AWS::NoValue":
                return NO_VALUE
            case "AWS::NotificationARNs":
                return list(self.notification_arns)
            case "AWS::Partition":
                return self.partition
            case "AWS::Region":
                return self.region
            case "AWS::StackId":
                return self.stack_id
            case "AWS::StackName":
                return self.stack_name
            case _:
                return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"


class Evaluator:
    """Values of one template with given parameters; resources are added as they are made."""

    def __init__(
        self,
        template: Template,
        parameters: Mapping[str, Parameter],
        around: Surroundings,
        findings: list[Finding],
    ) -> None:
        self.made: dict[str, Made] = {}
        self.imported: dict[str, None] = {}
        """Names of exports that were asked for."""
        self._template = template
        self._parameters = parameters
        self._around = around
        self._findings = findings
        self._conditions: dict[str, bool | _Mark] = {}
        self._asking: list[str] = []
        self._left = MAX_MADE
        self._made_known = True
        """Whether resources may be referred to here."""

    def find(self, path: Path, message: str, *, late: bool = False) -> Any:
        self._findings.append(Finding(path, message, late))
        return UNKNOWN

    # --- conditions ----------------------------------------------------------------------

    def holds(self, name: str, path: Path) -> bool | _Mark:
        """Whether a condition is true; UNKNOWN when that cannot be said."""
        if name in self._conditions:
            return self._conditions[name]
        if name not in self._template.conditions:
            known = list(self._template.conditions)
            more = nearest(name, known) if known else ""
            self.find(path, f"there is no condition {name!r}{more}")
            return UNKNOWN
        if name in self._asking:
            circle = " → ".join([*self._asking[self._asking.index(name) :], name])
            self.find(("Conditions", name), f"conditions go round in a circle: {circle}")
            return UNKNOWN
        self._asking.append(name)
        found: bool | _Mark = self._apart(
            lambda: self.truth(self._template.conditions[name], ("Conditions", name))
        )
        self._asking.pop()
        self._conditions[name] = found
        return found

    def chosen(self, name: str | None, path: Path) -> bool:
        """Whether something with this condition is there; what is unknown counts as there."""
        return name is None or self.holds(name, path) is not False

    def truth(self, raw: Any, path: Path) -> bool | _Mark:
        value = self.value(raw, path)
        match value:
            case bool():
                return value
            case "true" | "false":
                return bool(value == "true")
            case _Mark():
                return UNKNOWN
            case _:
                self.find(path, "must be a condition: Fn::Equals, Fn::And, Fn::Or, Fn::Not …")
                return UNKNOWN

    def _apart(self, ask: Callable[[], Any]) -> Any:
        """Evaluate where resources cannot be seen."""
        before, self._made_known = self._made_known, False
        try:
            return ask()
        finally:
            self._made_known = before

    def asserted(self, raw: Any, path: Path) -> bool | _Mark:
        """An assertion of a rule."""
        return bool(self._apart(lambda: self.truth(raw, path)) is not False)

    # --- values --------------------------------------------------------------------------

    def value(self, raw: Any, path: Path) -> Any:
        """A value with nothing left to evaluate; NO_VALUE where it is to be left out."""
        if isinstance(raw, list):
            items = [self.value(each, (*path, i)) for i, each in enumerate(raw)]
            return [each for each in items if each is not NO_VALUE]
        if not isinstance(raw, dict):
            return raw
        if len(raw) == 1:
            ((name, argument),) = raw.items()
            if name == "Ref" or name.startswith("Fn::") or name == "Condition":
                if name == "Condition" and not isinstance(argument, str):
                    pass  # A member of that name, as an IAM policy has.
                else:
                    return self._function(name, argument, (*path, name))
        found = {}
        for name, each in raw.items():
            if isinstance(name, str) and name.startswith("Fn::"):
                self.find((*path, name), "a function must be the only member of its object")
                continue
            value = self.value(each, (*path, name))
            if value is not NO_VALUE:
                found[name] = value
        return found

    def text(self, raw: Any, path: Path, what: str) -> Any:
        """A text, or UNKNOWN."""
        value = self.value(raw, path)
        if value is UNKNOWN:
            return UNKNOWN
        try:
            return functions.text(None if value is NO_VALUE else value, what)
        except Misused as error:
            return self.find(path, str(error))

    def _function(self, name: str, argument: Any, path: Path) -> Any:
        match name:
            case "Ref":
                return self._ref(argument, path)
            case "Fn::GetAtt":
                return self._get_att(argument, path)
            case "Fn::Sub":
                return self._sub(argument, path)
            case "Fn::If":
                return self._if(argument, path)
            case "Condition":
                return self.holds(argument, path)
            case "Fn::And" | "Fn::Or":
                return self._all_or_any(name, argument, path)
            case "Fn::Not":
                return self._not(argument, path)
            case "Fn::Equals":
                return self._equals(argument, path)
            case "Fn::FindInMap":
                return self._find_in_map(argument, path)
            case "Fn::ImportValue":
                return self._import(argument, path)
            case "Fn::GetAZs":
                region = self.text(argument, path, "Fn::GetAZs: its argument")
                if region is UNKNOWN:
                    return UNKNOWN
                return functions.availability_zones(region, self._around.region)
            case "Fn::ValueOf" | "Fn::ValueOfAll" | "Fn::RefAll":
                return UNKNOWN  # Of AWS's own inventory: the assertion is passed over.
            case _:
                return self._plain_function(name, argument, path)

    def _plain_function(self, name: str, argument: Any, path: Path) -> Any:
        if name in _REFUSED or name.startswith("Fn::ForEach"):
            return self.find(path, _REFUSED.get(name) or _REFUSED["Fn::ForEach"])
        apply = functions.PLAIN.get(name) or functions.OF_RULES.get(name)
        if apply is None:
            known = [*functions.PLAIN, "Fn::GetAtt", "Fn::Sub", "Fn::If", "Fn::FindInMap"]
            return self.find(path, f"there is no function {name}{nearest(name, known)}")
        value = self.value(argument, path)
        if _unknown_within(value):
            return UNKNOWN
        try:
            return self._counted(apply(value), path)
        except Misused as error:
            return self.find(path, f"{name} {error}")

    def _ref(self, name: Any, path: Path) -> Any:
        if not isinstance(name, str):
            return self.find(path, "Ref takes a name")
        if name in PSEUDO_PARAMETERS:
            return self._around.pseudo(name)
        if name in self._template.parameters:
            found = self._parameters.get(name)
            return UNKNOWN if found is None else found.value
        if (made := self._resource(name, path)) is None:
            return UNKNOWN
        return made.ref

    def _resource(self, name: str, path: Path) -> Made | None:
        """A resource that stands; None, with the reason told or known to be told, otherwise."""
        if name in self.made and self._made_known:
            return self.made[name]
        declared = self._template.resources.get(name)
        if declared is None:
            known = [*self._template.parameters, *self._template.resources, *PSEUDO_PARAMETERS]
            near = nearest(name, known)
            more = near if "did you mean" in near else ""
            self.find(
                path, f"{name!r:.80} is neither a parameter nor a resource of the template{more}"
            )
        elif not self._made_known:
            self.find(path, f"resource {name} cannot be referred to here, only parameters")
        elif not self.chosen(declared.condition, path):
            self.find(
                path,
                f"resource {name} is not there: its condition {declared.condition} is false",
            )
        return None

    def _get_att(self, argument: Any, path: Path) -> Any:
        attribute: Any
        match argument:
            case str() if "." in argument:
                name, _, attribute = argument.partition(".")
            case [str(name), wanted]:
                attribute = self.text(wanted, (*path, 1), "the attribute's name")
            case _:
                return self.find(path, "Fn::GetAtt takes LogicalId.Attribute")
        if attribute is UNKNOWN or (made := self._resource(name, path)) is None:
            return UNKNOWN
        return self._attribute(made, name, attribute, path)

    def _attribute(self, made: Made, name: str, attribute: str, path: Path) -> Any:
        try:
            return made.attribute(attribute)
        except LookupError as error:
            return self.find(path, f"{name} has no attribute {attribute!r}{error.args[0]}")

    def _sub(self, argument: Any, path: Path) -> Any:
        names: Mapping[str, Any] = {}
        match argument:
            case str():
                source = argument
            case [str(source), dict(names)]:
                pass
            case [str(source)]:
                pass
            case _:
                return self.find(path, "Fn::Sub takes a text, or [TEXT, {NAME: VALUE}]")
        values = {
            name: self.text(each, (*path, 1, name), f"Fn::Sub: {name}")
            for name, each in names.items()
        }
        unknown = False

        def put(found: re.Match[str]) -> str:
            nonlocal unknown
            literal, name = found[1], found[2].strip()
            if literal:
                return f"${{{found[2]}}}"
            value = values[name] if name in values else self._named(name, path)
            if value is UNKNOWN:
                unknown = True
                return ""
            try:
                return functions.text(value if value is not NO_VALUE else "", f"${{{name}}}")
            except Misused as error:
                self.find(path, f"Fn::Sub: {error}")
                unknown = True
                return ""

        made = _IN_TEXT.sub(put, source)
        try:
            return UNKNOWN if unknown else self._counted(functions.bounded(made), path)
        except Misused as error:
            return self.find(path, f"Fn::Sub {error}")

    def _counted(self, made: Any, path: Path) -> Any:
        """A value that a function made, as long as there are not too many."""
        if isinstance(made, str):
            before, self._left = self._left, self._left - len(made)
            if self._left < 0:
                if before >= 0:
                    self.find(path, f"the template makes more than {MAX_MADE} characters of text")
                return UNKNOWN
        return made

    def _named(self, name: str, path: Path) -> Any:
        """What ``${name}`` stands for in a text."""
        if not name:
            return self.find(path, "Fn::Sub: ${} names nothing; write ${!} for a plain ${}")
        if "." in name and name not in self._template.parameters:
            return self._get_att(name, path)
        return self._ref(name, path)

    def _if(self, argument: Any, path: Path) -> Any:
        match argument:
            case [str(name), then, otherwise]:
                holds = self.holds(name, (*path, 0))
                if holds is UNKNOWN:
                    return UNKNOWN
                return self.value(then, (*path, 1)) if holds else self.value(otherwise, (*path, 2))
            case _:
                return self.find(path, "Fn::If takes [CONDITION, VALUE IF TRUE, VALUE IF FALSE]")

    def _all_or_any(self, name: str, argument: Any, path: Path) -> Any:
        if not isinstance(argument, list) or not 1 <= len(argument) <= 10:
            return self.find(path, f"{name} takes a list of 2 to 10 conditions")
        values = [self.truth(each, (*path, i)) for i, each in enumerate(argument)]
        if any(each is UNKNOWN for each in values):
            return UNKNOWN
        return all(values) if name == "Fn::And" else any(values)

    def _not(self, argument: Any, path: Path) -> Any:
        if not isinstance(argument, list) or len(argument) != 1:
            return self.find(path, "Fn::Not takes [CONDITION]")
        value = self.truth(argument[0], (*path, 0))
        return UNKNOWN if value is UNKNOWN else not value

    def _equals(self, argument: Any, path: Path) -> Any:
        if not isinstance(argument, list) or len(argument) != 2:
            return self.find(path, "Fn::Equals takes [VALUE, VALUE]")
        left, right = (self.value(each, (*path, i)) for i, each in enumerate(argument))
        if _unknown_within(left) or _unknown_within(right):
            return UNKNOWN
        return _comparable(left) == _comparable(right)

    def _find_in_map(self, argument: Any, path: Path) -> Any:
        fallback: Any = None
        match argument:
            case [_, _, _]:
                pass
            case [_, _, _, {"DefaultValue": fallback}]:
                pass
            case _:
                return self.find(path, "Fn::FindInMap takes [MAP, TOP LEVEL KEY, SECOND LEVEL KEY]")
        names = [
            self.text(each, (*path, i), "Fn::FindInMap: each argument")
            for i, each in enumerate(argument[:3])
        ]
        if any(each is UNKNOWN for each in names):
            return UNKNOWN
        at: Any = self._template.mappings
        for i, name in enumerate(names):
            if name not in at:
                if len(argument) == 4:
                    return self.value(fallback, (*path, 3, "DefaultValue"))
                what = ("a mapping", f"a key of {names[0]}", f"a key of {'.'.join(names[:2])}")[i]
                return self.find(
                    (*path, i), f"{name!r:.60} is not {what}{nearest(name, list(map(str, at)))}"
                )
            at = at[name]
        return at

    def _import(self, argument: Any, path: Path) -> Any:
        name = self.text(argument, path, "Fn::ImportValue: its argument")
        if name is UNKNOWN:
            return UNKNOWN
        self.imported[name] = None
        if name not in self._around.exports:
            known = list(self._around.exports)
            near = nearest(name, known) if known else ""
            more = near if "did you mean" in near else ""
            return self.find(path, f"No export named {name} found{more}", late=True)
        return self._around.exports[name]


def _comparable(value: Any) -> Any:
    """CloudFormation compares texts: 1 and "1", true and "true" are equal."""
    if isinstance(value, bool | int | float):
        return as_text(value)
    if isinstance(value, list):
        return [_comparable(each) for each in value]
    return value


def _unknown_within(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_unknown_within, value))
    if isinstance(value, dict):
        return any(map(_unknown_within, value.values()))
    return value is UNKNOWN


def known(value: Any) -> bool:
    return not _unknown_within(value)
