"""
The text of a CloudFormation template → plain values, functions in their long form, with lines.

The parser hands over events, not nodes, so that neither deep nesting nor aliases
of aliases cost more than the limits below allow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from weft.errors import Invalid, Problem
from weft.manifests.document import Document, Path, shown

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 100
MAX_VALUES = 1_000_000
"""Of a template with its aliases followed."""

# The parser in C is ten times as fast, and both yield the same events.
_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

SHORT_TAGS = {
    "!Ref": "Ref",
    "!Condition": "Condition",
    **{
        f"!{name}": f"Fn::{name}"
        for name in (
            "And",
            "Base64",
            "Cidr",
            "Contains",
            "EachMemberEquals",
            "EachMemberIn",
            "Equals",
            "FindInMap",
            "GetAZs",
            "GetAtt",
            "GetStackOutput",
            "If",
            "ImportValue",
            "Join",
            "Length",
            "Not",
            "Or",
            "RefAll",
            "Select",
            "Split",
            "Sub",
            "ToJsonString",
            "Transform",
            "ValueOf",
            "ValueOfAll",
        )
    },
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake in a template: where, and what is wrong there."""

    path: Path
    message: str
    late: bool = False
    """Found when a resource is made, not when the template is read."""

    @property
    def logical_id(self) -> str | None:
        """The resource it is about."""
        match self.path:
            case ("Resources", str(name), *_):
                return name
            case _:
                return None


def refuse(document: Document, findings: list[Finding]) -> None:
    """Invalid with every finding, each with its line."""
    if findings:
        raise Invalid(problem_of(document, each) for each in dict.fromkeys(findings))


def problem_of(document: Document, finding: Finding) -> Problem:
    place = shown(finding.path)
    said = f"{place}: {finding.message}" if place else finding.message
    return Problem(document.at(finding.path), said)


class _Unreadable(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def read(text: str, file: str) -> Document:
    """One template, YAML or JSON; Invalid says at which line it stops being one."""
    if len(text) > MAX_BYTES:
        raise Invalid([Problem(file, f"is larger than {MAX_BYTES // 1024 // 1024} MB")])
    try:
        text.encode()
        if text.lstrip("\ufeff \t\r\n")[:1] == "{" and (found := _json(text)) is not None:
            return Document(file, *found)
        return Document(file, *_yaml(text))
    except _Unreadable as error:
        raise Invalid([Problem(f"{file}:{error.line}", error.message)]) from None
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        said = "has half of a surrogate pair, which is no character"
        raise Invalid([Problem(f"{file}:{line}", said)]) from None


# --- JSON --------------------------------------------------------------------------------


def _json(text: str) -> tuple[Any, Mapping[Path, int]] | None:
    """None for what may still be YAML that begins with a brace."""
    try:
        value = json.loads(text.lstrip("\ufeff"), parse_constant=_no_constant)
        if re.search(r"\\u[dD]", text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        if re.search(r"[{\[,:\s]![A-Z]|^\s*#|\{\s*[A-Za-z]", text, re.MULTILINE):
            return None
        raise _Unreadable(error.lineno, f"not JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        raise _Unreadable(1, f"is nested more than {MAX_DEPTH} levels deep") from None
    except UnicodeEncodeError:
        raise _Unreadable(1, "has half of a surrogate pair, which is no character") from None
    except ValueError as error:
        raise _Unreadable(1, f"not JSON that can be read: {error}") from None
    try:
        # JSON is YAML but for tabs between its tokens; only the lines are wanted of it.
        _, lines = _yaml(text.replace("\t", " "))
    except _Unreadable as error:
        if error.message.startswith(("is nested", "is too large", "is given twice")):
            raise
        lines = {}
        _check_depth(value)
    return value, lines


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            below
            for each in level
            if isinstance(each, dict | list)
            for below in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise _Unreadable(1, f"is nested more than {MAX_DEPTH} levels deep")


# --- YAML --------------------------------------------------------------------------------


def _yaml(text: str) -> tuple[Any, Mapping[Path, int]]:
    loader = _Parser(text)
    builder = _Builder()
    try:
        while loader.check_event():
            event = loader.get_event()
            try:
                builder.take(event)
            except _Refused as error:
                raise _Unreadable(_line(event), str(error)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        said = " ".join(filter(None, (error.context, error.problem))) or "cannot be read"
        raise _Unreadable(line, f"not YAML: {said}{_hint(text, line)}") from None
    except yaml.YAMLError as error:
        raise _Unreadable(1, f"not YAML: {str(error).splitlines()[0]}") from None
    finally:
        loader.dispose()
    return builder.root, builder.lines


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _hint(text: str, line: int) -> str:
    near = text.splitlines()[max(0, line - 2) : line]
    if any(re.match(r" *\t", each) for each in near):
        return "; YAML indents with blanks, not with tabs"
    return ""


class _Refused(Exception):
    pass


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    value: Any
    path: Path
    done: Callable[[Any], Any]
    """Puts the function's name of a short tag around it."""
    anchor: str | None
    began: int
    key: Any = None
    has_key: bool = False


@dataclass(slots=True)
class _Builder:
    """Events in, one value out."""

    root: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    _open: list[_Open] = field(default_factory=list)
    _anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    _incomplete: set[str] = field(default_factory=set)
    _count: int = 0
    _documents: int = 0

    def take(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._start(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _Refused("a second document; a template is one document")
            case _:
                pass

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._counted(1)
        at, path = self._place(event)
        if at is not None and isinstance(at.value, dict) and not at.has_key:
            self._key(at, event.value, event)
            return
        value, wrap = _scalar_of(event)
        path = (*path, *_name_of(event.tag)) if wrap else path
        self.lines.setdefault(path, _line(event))
        self._put(at, wrap(value) if wrap else value, event.anchor, 1)

    def _start(self, event: Any) -> None:
        self._counted(1)
        if len(self._open) >= MAX_DEPTH:
            raise _Refused(f"is nested more than {MAX_DEPTH} levels deep")
        at, path = self._place(event)
        if at is not None and isinstance(at.value, dict) and not at.has_key:
            raise _Refused("has a key that is not a text")
        self.lines.setdefault(path, _line(event))
        mapping = isinstance(event, yaml.MappingStartEvent)
        wrap = _wrap(event.tag, "map" if mapping else "seq")
        if wrap is not _as_is:
            path = (*path, *_name_of(event.tag))
        if event.anchor:
            self._incomplete.add(event.anchor)
        self._open.append(_Open({} if mapping else [], path, wrap, event.anchor, self._count))

    def _end(self) -> None:
        done = self._open.pop()
        at = self._open[-1] if self._open else None
        self._put(at, done.done(done.value), done.anchor, self._count - done.began + 1)

    def _alias(self, event: yaml.AliasEvent) -> None:
        at, path = self._place(event)
        if event.anchor in self._incomplete:
            raise _Refused(f"*{event.anchor} contains itself")
        if event.anchor not in self._anchors:
            raise _Refused(f"*{event.anchor} is defined nowhere above")
        if at is not None and isinstance(at.value, dict) and not at.has_key:
            raise _Refused("has an alias for a key")
        value, size = self._anchors[event.anchor]
        self._counted(size)
        self.lines.setdefault(path, _line(event))
        self._put(at, value, None, size)

    def _place(self, event: Any) -> tuple[_Open | None, Path]:
        if not self._open:
            return None, ()
        at = self._open[-1]
        if isinstance(at.value, list):
            return at, (*at.path, len(at.value))
        return at, (*at.path, at.key) if at.has_key else at.path

    def _key(self, at: _Open, name: str, event: yaml.ScalarEvent) -> None:
        if name == "<<" and not event.style:
            raise _Refused("<<: CloudFormation knows no merge keys; write the members out")
        if name in at.value:
            raise _Refused(f"is given twice: {name!r}")
        at.key, at.has_key = name, True
        self.lines[(*at.path, name)] = _line(event)

    def _put(self, at: _Open | None, value: Any, anchor: str | None, size: int) -> None:
        if anchor:
            self._anchors[anchor] = (value, size)
            self._incomplete.discard(anchor)
        if at is None:
            self.root = value
        elif isinstance(at.value, list):
            at.value.append(value)
        else:
            at.value[at.key] = value
            at.has_key = False

    def _counted(self, more: int) -> None:
        self._count += more
        if self._count > MAX_VALUES:
            raise _Refused("is too large once its aliases are followed")


def _as_is(value: Any) -> Any:
    return value


def _name_of(tag: str | None) -> Iterator[str]:
    if tag in SHORT_TAGS:
        yield SHORT_TAGS[tag]


def _wrap(tag: str | None, kind: str) -> Callable[[Any], Any]:
    if tag in (None, "!", f"tag:yaml.org,2002:{kind}"):
        return _as_is
    name = SHORT_TAGS.get(tag or "")
    if name is None:
        raise _Refused(f"the tag {tag} is not known in a template")
    return lambda value: {name: value}


def _scalar_of(event: yaml.ScalarEvent) -> tuple[Any, Callable[[Any], Any] | None]:
    text, tag = event.value, event.tag
    if tag in SHORT_TAGS:
        name = SHORT_TAGS[tag]
        if name == "Fn::GetAtt":
            logical_id, dot, attribute = text.partition(".")
            return ([logical_id, attribute] if dot else text), lambda value: {name: value}
        return text, lambda value: {name: value}
    if tag is None and event.implicit[0]:
        return plain(text), None
    match (tag or "").removeprefix("tag:yaml.org,2002:"):
        case "" | "!" | "str" | "timestamp":
            return text, None
        case "int" | "float" | "bool" | "null":
            return plain(text), None
        case _:
            raise _Refused(f"the tag {tag} is not known in a template")


def plain(text: str) -> Any:
    """A scalar without quotes, with the types of JSON; what a number would change stays a text."""
    match text:
        case "" | "~" | "null" | "Null" | "NULL":
            return None
        case "true" | "True" | "TRUE":
            return True
        case "false" | "False" | "FALSE":
            return False
        case _:
            pass
    if re.fullmatch(r"0|-?[1-9][0-9]{0,17}", text):
        return int(text)
    if re.fullmatch(r"-?[0-9]{1,15}\.[0-9]{1,15}", text) and repr(float(text)) == text:
        return float(text)
    return text
