"""YAML and JSON texts with the line of every member kept, so that each problem can name its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import TracebackType
from typing import TYPE_CHECKING, Any

import yaml

from weft.errors import Problem
from weft.manifests.template import Template, Unreadable

Path = tuple[str | int, ...]
"""Where in a document: member names and list positions from its root."""

MAX_NODES = 500_000
MAX_PROBLEMS = 1000
"""After so many, nothing more of a list is looked at."""
_ENDLESS = "holds too many values; divide it into several files"
_MAX_MARKS = 1_500_000
"""Of signs after which a value can stand: parsed, each may cost half a kilobyte."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file, with the line of each of its members."""

    file: str
    value: Any
    lines: Mapping[Path, int] = field(default_factory=dict, repr=False)

    def at(self, path: Path = ()) -> str:
        """``file:line`` of a member, or of the nearest thing around it that has a line."""
        for end in range(len(path), -1, -1):
            if (line := self.lines.get(path[:end])) is not None:
                return f"{self.file}:{line}"
        return f"{self.file}:1"


IsTemplate = Callable[[Path], bool]
"""Whether a text at this place keeps what only a replica knows open."""


def path_of(text: str) -> Path:
    """``spec.listeners[0].port`` as a path."""
    return tuple(
        int(found[2]) if found[2] else found[1]
        for found in re.finditer(r"([^.\[\]]+)|\[([0-9]+)\]", text)
    )


def shown(path: Path) -> str:
    """The inverse of ``path_of``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def nearest(name: str, known: list[str]) -> str:
    """``; did you mean 'x'?``, or what is known where nothing is near."""
    found = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else f"; known are {', '.join(sorted(known))}"


# --- JSON --------------------------------------------------------------------------------


def json_document(text: str, file: str, problems: list[Problem]) -> Document | None:
    if _is_endless(text):
        problems.append(Problem(f"{file}:1", _ENDLESS))
        return None
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"{file}:{error.lineno}"
        said = _variables(text, error.pos) or f"not JSON: {error.msg} (column {error.colno})"
        problems.append(Problem(where, said))
        return None
    except (RecursionError, ValueError) as error:
        problems.append(Problem(f"{file}:1", f"not JSON that can be read: {error}"))
        return None
    lines: dict[Path, int] = {}
    try:
        # JSON is YAML but for tabs between its tokens.
        if root := yaml.compose(text.replace("\t", " "), Loader=_Loader):
            builder = _Builder(file, text, {}, problems, lambda _: False, plain=True)
            builder.value(root, ())
            lines = builder.lines
    except (yaml.YAMLError, RecursionError):
        pass  # The value stands; places are then known by file only.
    return Document(file, value, lines)


def _variables(text: str, position: int) -> str | None:
    """What to say of a file that jq or a shell fills in, when that is what is wrong with it."""
    if not re.match(r"\$\{?[A-Za-z_]", text[position:]):
        return None
    names = dict.fromkeys(re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", text))
    if text.startswith("${", position):
        return f"not JSON: ${{{next(iter(names))}}} is not filled in; envsubst < FILE does that"
    said = " ".join(f"--arg {name} VALUE" for name in names)
    return (
        f"not JSON: a template for jq with the variables {', '.join(names)}; "
        f"fill them in first: jq -n {said} -f FILE"
    )


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


# --- YAML --------------------------------------------------------------------------------


if TYPE_CHECKING:
    _Fastest = yaml.SafeLoader
else:
    # libyaml where PyYAML was built with it: six times as fast, and bounded in depth.
    _Fastest = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Fastest):
    """YAML with the scalars of JSON: ``on`` and ``2026-01-01`` are texts."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_SCALARS: tuple[tuple[str, str, str], ...] = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
)
for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}",
        re.compile(rf"^(?:{_pattern})$"),
        ["" if each == "\0" else each for each in _first],
    )


@dataclass(frozen=True, slots=True)
class Root:
    """One YAML document before anything in it is looked at."""

    file: str
    text: str
    """Of the whole file."""
    node: yaml.Node

    @property
    def top(self) -> dict[str, Any]:
        """Its members: a text, or None for what is no text. Nothing is filled in."""
        if not isinstance(self.node, yaml.MappingNode):
            return {}
        return {
            key.value: value.value if isinstance(value, yaml.ScalarNode) else None
            for key, value in self.node.value
            if isinstance(key, yaml.ScalarNode)
        }

    def document(
        self, environment: Mapping[str, str], problems: list[Problem], is_template: IsTemplate
    ) -> Document | None:
        """Its value, variables filled in; None when it cannot be had."""
        builder = _Builder(self.file, self.text, environment, problems, is_template)
        with _Told(self.file, self.text, problems):
            return Document(self.file, builder.value(self.node, ()), builder.lines)
        return None


def yaml_roots(text: str, file: str, problems: list[Problem]) -> Iterator[Root]:
    """Every document of a text; what is wrong with one is added to ``problems``."""
    if _is_endless(text):
        problems.append(Problem(f"{file}:1", _ENDLESS))
        return
    with _Told(file, text, problems):
        for node in yaml.compose_all(text, Loader=_Loader):
            yield Root(file, text, node)


def _is_endless(text: str) -> bool:
    return sum(text.count(mark) for mark in ("\n", ",", ":", "- ", "[", "{")) > _MAX_MARKS


class _Told:
    """Turns what the parser raises into a problem with its place."""

    def __init__(self, file: str, text: str, problems: list[Problem]) -> None:
        self._file = file
        self._text = text
        self._problems = problems

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        match error:
            case yaml.MarkedYAMLError():
                mark = error.problem_mark or error.context_mark
                line = mark.line + 1 if mark else 1
                said = " ".join(filter(None, (error.context, error.problem))) or "cannot be read"
                self._problem(line, f"not YAML: {said}{_hint(self._text, line)}")
            case yaml.YAMLError():
                self._problem(1, f"not YAML: {str(error).splitlines()[0]}")
            case RecursionError():
                self._problem(1, "is nested too deeply to be read")
            case _:
                return False
        return True

    def _problem(self, line: int, message: str) -> None:
        self._problems.append(Problem(f"{self._file}:{line}", message))


def _hint(text: str, line: int) -> str:
    lines = text.splitlines()
    near = "\n".join(lines[max(0, line - 2) : line])
    if re.search(r"^ *\t", near, re.MULTILINE):
        return "; YAML indents with blanks, not with tabs"
    if re.search(r"[{\[,:] *\$\{[^\"'\n]*[}\]]", near):
        return "; put quotes around ${…} inside { } or [ ]"
    return ""


class _Builder:
    """Turns the nodes of one document into plain values and remembers their lines."""

    def __init__(
        self,
        file: str,
        text: str,
        environment: Mapping[str, str],
        problems: list[Problem],
        is_template: IsTemplate,
        *,
        plain: bool = False,
    ) -> None:
        self.lines: dict[Path, int] = {}
        self._file = file
        self._text = text
        self._environment = environment
        self._problems = problems
        self._is_template = is_template
        self._plain = plain
        self._inside: set[int] = set()
        self._count = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        self._count += 1
        if self._count > MAX_NODES:
            raise yaml.MarkedYAMLError(
                problem="is too large once its aliases are followed", problem_mark=node.start_mark
            )
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._inside:
            self._problem(node, path, "contains itself")
            return None
        self._inside.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                self._check_tag(node, path, "seq")
                return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
            assert isinstance(node, yaml.MappingNode)
            self._check_tag(node, path, "map")
            return self._mapping(node, path)
        finally:
            self._inside.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        merged: list[dict[Any, Any]] = []
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge" and not self._plain:
                others = self.value(value_node, (*path, "<<"))
                merged += [
                    each
                    for each in (others if isinstance(others, list) else [others])
                    if isinstance(each, dict)
                ]
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            at = (*path, str(key))
            if key in found:
                self._problem(key_node, at, "is given twice")
            self.lines[at] = key_node.start_mark.line + 1
            found[key] = self.value(value_node, at)
        for each in merged:
            for key, value in each.items():
                found.setdefault(key, value)
        return found

    def _key(self, node: yaml.Node, path: Path) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self._problem(node, path, "has a key that is not a text or a number")
            return None
        key = self._scalar(node, path)
        return key if isinstance(key, str | int) and not isinstance(key, bool) else node.value

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text, tag = node.value, node.tag
        if self._plain:
            return text
        if "${" in text and "${" in self._text[node.start_mark.index : node.end_mark.index]:
            # Written as "\x24{", it is the text itself that every reader of YAML sees.
            try:
                template = Template.parse(text, self._environment)
            except Unreadable as error:
                self._problem(node, path, str(error))
                return Template() if self._is_template(path) else ""
            if self._is_template(path):
                return template
            if template.placeholders:
                self._problem(
                    node,
                    path,
                    f"{template.placeholders[0]} has a meaning only in a workload's "
                    "command and env",
                )
                return ""
            text = str(template)
            if node.style is None:
                tag = _tag_of(text)
        elif self._is_template(path):
            return None if tag.endswith(":null") else Template((text,) if text else ())
        return self._typed(node, path, text, tag)

    def _typed(self, node: yaml.ScalarNode, path: Path, text: str, tag: str) -> Any:
        match tag.removeprefix("tag:yaml.org,2002:"):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if re.fullmatch(r"[-+]?[0-9]{1,4000}", text):
                return int(text)
            case "float" if re.fullmatch(_SCALARS[3][1], text):
                return float(text)
            case "str" | "merge":
                return text
            case _:
                self._problem(node, path, f"{node.tag} cannot be read here: {text[:40]!r}")
                return text

    def _check_tag(self, node: yaml.Node, path: Path, kind: str) -> None:
        if node.tag != f"tag:yaml.org,2002:{kind}":
            self._problem(node, path, f"the tag {node.tag} is not known here")

    def _problem(self, node: yaml.Node, path: Path, message: str) -> None:
        where = f"{self._file}:{node.start_mark.line + 1}"
        self._problems.append(Problem(where, f"{shown(path)}: {message}" if path else message))


_resolver = _Loader("")


def _tag_of(text: str) -> str:
    return str(_resolver.resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]


def reads_as_text(text: str) -> bool:
    """Whether it is a text without quotes around it."""
    return _tag_of(text).endswith(":str")
