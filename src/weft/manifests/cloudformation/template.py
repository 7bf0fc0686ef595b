"""A CloudFormation template by its sections, each of the right shape; what is wrong with it, all at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from weft.manifests.cloudformation.reading import Finding, read, refuse
from weft.manifests.document import Document, Path, nearest

SECTIONS = (
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Hooks",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
)
RESOURCE_MEMBERS = (
    "Condition",
    "CreationPolicy",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "Properties",
    "Type",
    "UpdatePolicy",
    "UpdateReplacePolicy",
    "Version",
)
OUTPUT_MEMBERS = ("Condition", "Description", "Export", "Value")
DELETION_POLICIES = ("Delete", "Retain", "RetainExceptOnCreate", "Snapshot")
REPLACE_POLICIES = ("Delete", "Retain", "Snapshot")
KNOWN_TRANSFORMS = ("AWS::LanguageExtensions",)
PSEUDO_PARAMETERS = (
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
)
MAX_RESOURCES = 10_000
MAX_PARAMETERS = 1_000
_TYPE = re.compile(r"(AWS|Alexa|Custom|[A-Za-z0-9]{2,64})::[A-Za-z0-9_@:-]{1,200}")
_LOGICAL_ID = re.compile(r"[A-Za-z0-9]{1,255}")


@dataclass(frozen=True, slots=True)
class Declared:
    """One resource as the template declares it."""

    logical_id: str
    type: str
    properties: Mapping[str, Any] = field(repr=False)
    condition: str | None = None
    depends_on: tuple[str, ...] = ()
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"

    @property
    def path(self) -> Path:
        return ("Resources", self.logical_id)


@dataclass(frozen=True, slots=True)
class Output:
    name: str
    value: Any = field(repr=False)
    condition: str | None = None
    description: str = ""
    export: Any = None

    @property
    def path(self) -> Path:
        return ("Outputs", self.name)


@dataclass(frozen=True, slots=True)
class Template:
    text: str = field(repr=False)
    document: Document = field(repr=False)
    description: str
    parameters: Mapping[str, Mapping[str, Any]] = field(repr=False)
    mappings: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(repr=False)
    conditions: Mapping[str, Any] = field(repr=False)
    rules: Mapping[str, Any] = field(repr=False)
    resources: Mapping[str, Declared] = field(repr=False)
    outputs: Mapping[str, Output] = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)
    transforms: tuple[str, ...] = ()

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the caller must acknowledge, and ..."""
        found = set()
        for each in self.resources.values():
            if each.type in NAMED_IAM:
                named = each.properties.get(NAMED_IAM[each.type]) is not None
                found.add("CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM")
            elif each.type in IAM:
                found.add("CAPABILITY_IAM")
        if "CAPABILITY_NAMED_IAM" in found:
            return ("CAPABILITY_NAMED_IAM",)
        return tuple(sorted(found))

    @property
    def capabilities_reason(self) -> str | None:
        """... because of what."""
        found = sorted(
            {e.type for e in self.resources.values() if e.type in IAM or e.type in NAMED_IAM}
        )
        if not found:
            return None
        return f"The following resource(s) require capabilities: [{', '.join(found)}]"


NAMED_IAM = {
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
}
IAM = ("AWS::IAM::AccessKey", "AWS::IAM::Policy", "AWS::IAM::UserToGroupAddition")


def is_template(value: Any) -> bool:
    """Whether a document is meant as a CloudFormation template."""
    if not isinstance(value, Mapping):
        return False
    if "AWSTemplateFormatVersion" in value:
        return True
    resources = value.get("Resources")
    return isinstance(resources, Mapping) and any(
        isinstance(each, Mapping) and "::" in str(each.get("Type", ""))
        for each in resources.values()
    )


def looks_like_one(text: str) -> bool:
    """The same of a text that has not been parsed, or cannot be."""
    return bool(
        re.search(r"^\s{0,4}[\"']?AWSTemplateFormatVersion[\"']?\s*:", text, re.MULTILINE)
        or (
            re.search(r"^\s{0,8}\{?\s*[\"']?Resources[\"']?\s*:", text, re.MULTILINE)
            and re.search(r"[\"']?Type[\"']?\s*:\s*[\"']?[A-Za-z0-9]+::", text)
        )
    )


def parse(text: str, file: str = "template") -> Template:
    """A template, or Invalid with everything that is wrong with its shape."""
    document = read(text, file)
    findings: list[Finding] = []
    value = document.value
    if not isinstance(value, dict):
        refuse(document, [Finding((), "a template is a mapping with a member Resources")])
    reader = _Reader(document, findings)
    template = reader.template(text)
    refuse(document, findings)
    return template


class _Reader:
    def __init__(self, document: Document, findings: list[Finding]) -> None:
        self._value: Mapping[str, Any] = document.value
        self._document = document
        self._findings = findings

    def template(self, text: str) -> Template:
        for name in self._value:
            if name not in SECTIONS:
                self._find((name,), f"is no section of a template{nearest(name, list(SECTIONS))}")
        version = self._value.get("AWSTemplateFormatVersion")
        if version not in (None, "2010-09-09"):
            self._find(("AWSTemplateFormatVersion",), f"must be '2010-09-09', not {version!r:.40}")
        description = self._value.get("Description")
        if not isinstance(description, str | None):
            self._find(("Description",), "must be a text")
            description = ""
        parameters = self._objects("Parameters")
        if len(parameters) > MAX_PARAMETERS:
            self._find(("Parameters",), f"are more than {MAX_PARAMETERS}")
        return Template(
            text,
            self._document,
            description or "",
            parameters,
            self._mappings(),
            self._section("Conditions"),
            self._objects("Rules"),
            self._resources(),
            self._outputs(),
            self._section("Metadata"),
            self._transforms(),
        )

    def _find(self, path: Path, message: str) -> None:
        self._findings.append(Finding(path, message))

    def _section(self, name: str) -> Mapping[str, Any]:
        value = self._value.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._find((name,), "must be a mapping")
            return {}
        return value

    def _objects(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        found = {}
        for key, value in self._section(name).items():
            if isinstance(value, dict):
                found[key] = value
            else:
                self._find((name, key), "must be a mapping")
        return found

    def _mappings(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        found: dict[str, dict[str, Mapping[str, Any]]] = {}
        for name, mapping in self._objects("Mappings").items():
            found[name] = {}
            for top, values in mapping.items():
                if not isinstance(values, dict):
                    self._find(("Mappings", name, top), "must be a mapping of names to values")
                    continue
                found[name][top] = values
                for second, value in values.items():
                    if isinstance(value, dict) or (
                        isinstance(value, list) and any(isinstance(v, dict | list) for v in value)
                    ):
                        self._find(
                            ("Mappings", name, top, second), "must be a text or a list of texts"
                        )
        return found

    def _transforms(self) -> tuple[str, ...]:
        value = self._value.get("Transform")
        found = value if isinstance(value, list) else [] if value is None else [value]
        for each in found:
            if each not in KNOWN_TRANSFORMS:
                name = each if isinstance(each, str) else "a macro"
                self._find(
                    ("Transform",),
                    f"{name!s:.80} runs in AWS and nowhere else; give the template it makes "
                    "(sam build, or get-template --template-stage Processed)",
                )
        return tuple(each for each in found if isinstance(each, str))

    def _resources(self) -> Mapping[str, Declared]:
        if not isinstance(self._value.get("Resources"), dict) or not self._value["Resources"]:
            self._find(("Resources",), "at least one resource is needed")
            return {}
        declared = self._objects("Resources")
        if len(declared) > MAX_RESOURCES:
            self._find(("Resources",), f"are {len(declared)}, more than {MAX_RESOURCES}")
            return {}
        return {name: self._resource(name, value) for name, value in declared.items()}

    def _resource(self, name: str, value: Mapping[str, Any]) -> Declared:
        at: Path = ("Resources", name)
        if name.startswith("Fn::ForEach"):
            self._find(at, "Fn::ForEach is not known here; give the template it makes")
        elif not _LOGICAL_ID.fullmatch(name):
            self._find(at, "a logical id has 1 to 255 letters and digits")
        for member in value:
            if member not in RESOURCE_MEMBERS:
                self._find(
                    (*at, member),
                    f"is no member of a resource{nearest(member, list(RESOURCE_MEMBERS))}",
                )
        kind = value.get("Type")
        if kind is None:
            self._find(at, "needs a Type, such as AWS::AppMesh::VirtualNode")
        elif not isinstance(kind, str) or not _TYPE.fullmatch(kind):
            self._find((*at, "Type"), f"{kind!r:.60} is not a type such as AWS::AppMesh::Route")
        properties = value.get("Properties")
        if not isinstance(properties, dict | None):
            self._find((*at, "Properties"), "must be a mapping")
            properties = {}
        return Declared(
            name,
            str(kind),
            properties or {},
            self._condition(value, at),
            self._depends_on(value.get("DependsOn"), (*at, "DependsOn")),
            self._policy(value, at, "DeletionPolicy", DELETION_POLICIES),
            self._policy(value, at, "UpdateReplacePolicy", REPLACE_POLICIES),
        )

    def _condition(self, value: Mapping[str, Any], at: Path) -> str | None:
        name = value.get("Condition")
        if not isinstance(name, str | None):
            self._find((*at, "Condition"), "must be the name of a condition")
            return None
        if name is not None and name not in self._section("Conditions"):
            known = list(map(str, self._section("Conditions")))
            self._find((*at, "Condition"), f"there is no condition {name!r}{_near(name, known)}")
            return None
        return name

    def _depends_on(self, value: Any, at: Path) -> tuple[str, ...]:
        names = value if isinstance(value, list) else [] if value is None else [value]
        found: list[str] = []
        known = self._value["Resources"]
        for i, name in enumerate(names):
            place = (*at, i) if isinstance(value, list) else at
            if not isinstance(name, str):
                self._find(place, "must be a logical id")
            elif name not in known:
                self._find(place, f"there is no resource {name!r}{_near(name, known)}")
            else:
                found.append(name)
        return tuple(dict.fromkeys(found))

    def _policy(
        self, value: Mapping[str, Any], at: Path, member: str, known: tuple[str, ...]
    ) -> str:
        policy = value.get(member, "Delete")
        if policy not in known:
            self._find((*at, member), f"must be one of {', '.join(known)}, not {policy!r:.60}")
            return "Retain"
        return str(policy)

    def _outputs(self) -> Mapping[str, Output]:
        return {name: self._output(name, each) for name, each in self._objects("Outputs").items()}

    def _output(self, name: str, value: Mapping[str, Any]) -> Output:
        at: Path = ("Outputs", name)
        for member in value:
            if member not in OUTPUT_MEMBERS:
                self._find(
                    (*at, member),
                    f"is no member of an output{nearest(member, list(OUTPUT_MEMBERS))}",
                )
        if value.get("Value") is None:
            self._find(at, "needs a Value")
        export = value.get("Export")
        if export is not None and (not isinstance(export, dict) or set(export) != {"Name"}):
            self._find((*at, "Export"), "must be {Name: …}")
            export = None
        description = value.get("Description", "")
        return Output(
            name,
            value.get("Value"),
            self._condition(value, at),
            description if isinstance(description, str) else "",
            export["Name"] if export else None,
        )


def _near(name: str, known: Iterable[str]) -> str:
    said = nearest(name, list(known))
    return said if "did you mean" in said else ""
