"""What the parameters of a template are worth: given, kept from before, or by default; all limits held."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import re2

from weft.manifests.cloudformation.reading import Finding
from weft.manifests.cloudformation.template import Template
from weft.manifests.document import Path, nearest

MEMBERS = (
    "AllowedPattern",
    "AllowedValues",
    "ConstraintDescription",
    "Default",
    "Description",
    "MaxLength",
    "MaxValue",
    "MinLength",
    "MinValue",
    "NoEcho",
    "Type",
)
MAX_VALUE = 16 * 1024
_AWS_TYPE = re.compile(r"(?:List<)?AWS::[A-Za-z0-9]+::[A-Za-z0-9:]+>?")
_SSM_VALUE = re.compile(r"AWS::SSM::Parameter::Value<(.+)>")
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,3})?"
)


@dataclass(frozen=True, slots=True)
class Previous:
    """As it was when the stack was last written (``UsePreviousValue``)."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter with its value."""

    name: str
    type: str
    text: str = field(repr=False)
    """As it was given."""
    value: Any = field(repr=False)
    """What ``Ref`` gives: a text, or a list of texts."""
    no_echo: bool = False
    from_ssm: bool = False


Given = Mapping[str, str | Previous]


def values(
    template: Template,
    given: Given,
    previous: Mapping[str, str],
    overrides: Mapping[str, str],
    findings: list[Finding],
) -> dict[str, Parameter]:
    """Every parameter with its value; what is wrong goes to ``findings``."""
    found: dict[str, Parameter] = {}
    lacking: list[str] = []
    for name, declared in template.parameters.items():
        at: Path = ("Parameters", name)
        before = len(findings)
        findings += shape(name, declared)
        if len(findings) > before:
            continue
        text = given.get(name)
        if isinstance(text, Previous):
            text = previous.get(name)
        if text is None:
            default = declared.get("Default")
            text = None if default is None else as_text(default)
        if text is None:
            lacking.append(name)
            continue
        kind = str(declared["Type"])
        from_ssm = _SSM_VALUE.fullmatch(kind)
        findings += (Finding(at, message) for message in _limits(name, declared, kind, text))
        resolved = text
        if from_ssm:
            kind = from_ssm[1]
            resolved = overrides.get(name) or _stand_in(kind, text)
        found[name] = Parameter(
            name,
            str(declared["Type"]),
            text,
            [each.strip() for each in resolved.split(",")] if _is_list(kind) else resolved,
            no_echo=declared.get("NoEcho") in (True, "true", "True"),
            from_ssm=from_ssm is not None,
        )
    if lacking:
        findings.append(
            Finding(("Parameters",), f"Parameters: [{', '.join(lacking)}] must have values")
        )
    if unknown := [name for name in given if name not in template.parameters]:
        near = nearest(unknown[0], list(template.parameters)) if template.parameters else ""
        findings.append(
            Finding(
                ("Parameters",),
                f"Parameters: [{', '.join(unknown)}] do not exist in the template{near}",
            )
        )
    return found


def shape(name: str, declared: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with a declaration, whatever its value."""
    at: Path = ("Parameters", name)
    if not re.fullmatch(r"[A-Za-z0-9]{1,255}", name):
        yield Finding(at, "a parameter's name has 1 to 255 letters and digits")
    for member in declared:
        if member not in MEMBERS:
            yield Finding(
                (*at, member), f"is no member of a parameter{nearest(member, list(MEMBERS))}"
            )
    kind = declared.get("Type")
    if not isinstance(kind, str):
        yield Finding(at, "Every Parameters object must contain a Type member.")
        return
    inner = _SSM_VALUE.fullmatch(kind)
    if not _known(inner[1] if inner else kind):
        yield Finding(
            (*at, "Type"),
            f"{kind!r:.80} is no type of a parameter; known are String, Number, List<Number>, "
            "CommaDelimitedList, AWS::…, List<AWS::…> and AWS::SSM::Parameter::Value<…>",
        )
    allowed = declared.get("AllowedValues")
    if allowed is not None and not isinstance(allowed, list):
        yield Finding((*at, "AllowedValues"), "must be a list")
    for member in ("MinLength", "MaxLength", "MinValue", "MaxValue"):
        if declared.get(member) is not None and _number(as_text(declared[member])) is None:
            yield Finding((*at, member), "must be a number")
    for member in ("Default",):
        value = declared.get(member)
        if isinstance(value, dict | list):
            yield Finding((*at, member), "must be a text or a number; functions do not work here")
    for member in ("AllowedPattern", "Description", "ConstraintDescription"):
        if not isinstance(declared.get(member), str | None):
            yield Finding((*at, member), "must be a text")


def _known(kind: str) -> bool:
    return kind in ("String", "Number", "List<Number>", "List<String>", "CommaDelimitedList") or (
        _AWS_TYPE.fullmatch(kind) is not None and kind.startswith("List<") == kind.endswith(">")
    )


def _is_list(kind: str) -> bool:
    return kind == "CommaDelimitedList" or kind.startswith("List<")


def as_text(value: Any) -> str:
    """A scalar as CloudFormation hands it on: true, not True."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text.strip()) else None


def _limits(name: str, declared: Mapping[str, Any], kind: str, text: str) -> Iterator[str]:
    if len(text) > MAX_VALUE:
        yield f"Parameter '{name}' is longer than {MAX_VALUE} characters"
        return
    why = declared.get("ConstraintDescription")

    def failed(constraint: str) -> str:
        return f"Parameter {name} failed to satisfy constraint: {why or constraint}"

    items = [each.strip() for each in text.split(",")] if _is_list(kind) else [text]
    if kind in ("Number", "List<Number>"):
        for each in items:
            if (number := _number(each)) is None:
                yield f"Parameter '{name}' must be a number, not {each!r:.60}"
                continue
            low, high = declared.get("MinValue"), declared.get("MaxValue")
            if low is not None and number < float(low):
                yield failed(f"Parameter '{name}' must be a number not less than {low}")
            if high is not None and number > float(high):
                yield failed(f"Parameter '{name}' must be a number not greater than {high}")
    allowed = declared.get("AllowedValues")
    if isinstance(allowed, list):
        known = [as_text(each) for each in allowed]
        if any(each not in known for each in items):
            shown = ", ".join(known[:20])
            yield (
                f"Parameter '{name}' must be one of AllowedValues: {shown}"
                if why is None
                else failed("")
            )
    low, high = declared.get("MinLength"), declared.get("MaxLength")
    if low is not None and len(text) < float(low):
        yield failed(f"Parameter '{name}' must contain at least {low} characters")
    if high is not None and len(text) > float(high):
        yield failed(f"Parameter '{name}' must contain at most {high} characters")
    pattern = declared.get("AllowedPattern")
    if isinstance(pattern, str) and not all(map(_matcher(pattern), items)):
        yield failed(f"Parameter '{name}' must match pattern {pattern}")


def _matcher(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options).fullmatch
    except re2.error:
        # RE2 is safe with any pattern and knows no look-around: such a pattern is not checked.
        return lambda _: True


def _stand_in(kind: str, name: str) -> str:
    """A value for what AWS would look up in its parameter store; always the same for a name."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    prefix = {
        "AWS::EC2::Image::Id": "ami-",
        "AWS::EC2::VPC::Id": "vpc-",
        "AWS::EC2::Subnet::Id": "subnet-",
        "AWS::EC2::SecurityGroup::Id": "sg-",
        "AWS::EC2::Instance::Id": "i-",
    }.get(kind.removeprefix("List<").removesuffix(">"))
    return f"{prefix}{digest[:17]}" if prefix else f"ssm-{digest[:12]}"
