"""From paths to what they ask for: every file read, every problem found and placed by file and line."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from weft.errors import Invalid, Problem
from weft.manifests import cli_json, weft_yaml
from weft.manifests.definition import Definition, in_order
from weft.manifests.document import Document, json_document, nearest, yaml_roots
from weft.manifests.kubernetes import Manifests
from weft.manifests.policies import PolicyDefinition
from weft.manifests.recognise import Sort, sort_of
from weft.manifests.template import BackendOf, PortOf
from weft.manifests.terraform import State
from weft.manifests.workload import Workload
from weft.names import Kind

SUFFIXES = (".yaml", ".yml", ".json", ".template", ".tfstate")
MAX_BYTES = 16 * 1024 * 1024
MAX_FILES = 2000
"""In one directory and all below it."""


@dataclass(frozen=True, slots=True)
class StackTemplate:
    """A CloudFormation template, as it stands in its file."""

    path: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that the files ask for."""

    definitions: tuple[Definition, ...]
    """In the order in which they can be created."""
    workloads: tuple[Workload, ...]
    mesh: str | None
    """The mesh they are about, where they agree on one."""
    templates: tuple[StackTemplate, ...] = ()
    """What only the CloudFormation engine can read."""
    warnings: tuple[Problem, ...] = ()
    """What was left out of what was read, with its place."""
    foreign: Mapping[str, int] = field(default_factory=dict)
    """How many Kubernetes objects of kinds that are none of ours were passed over, by kind."""
    policies: tuple[PolicyDefinition, ...] = ()


@dataclass(frozen=True, slots=True)
class _Text:
    name: str
    text: str
    directory: Path
    listed: bool = False
    """Found in a directory, and not named itself."""

    @property
    def is_json(self) -> bool:
        """By its name; what comes from standard input by what it holds."""
        if self.name.endswith((".json", ".tfstate")):
            return True
        if self.name != "-" and not self.name.endswith(".template"):
            return False
        if self.text.lstrip()[:1] not in ("{", "["):
            return False
        try:
            json.loads(self.text)
        except (ValueError, RecursionError):
            return False
        return True


def load(
    paths: Sequence[str], environment: Mapping[str, str], *, mesh: str | None = None
) -> Loaded:
    """
    Read files, directories and ``-`` (standard input); Invalid lists every problem in them.

    ``mesh`` fills in the mesh name where a resource gives none, before ``mesh:`` of its file.
    """
    loading = _Loading(environment, mesh)
    for text in _texts(paths, loading.problems):
        loading.read(text)
    return loading.loaded()


class _Loading:
    """Files one after the other, and what they come to in the end."""

    def __init__(self, environment: Mapping[str, str], mesh: str | None) -> None:
        self.problems: list[Problem] = []
        self._environment = environment
        self._mesh = mesh
        self._warnings: list[Problem] = []
        self._definitions: list[Definition] = []
        self._workloads: list[Workload] = []
        self._policies: list[PolicyDefinition] = []
        self._templates: list[StackTemplate] = []
        self._meshes: list[str] = [mesh] if mesh else []
        self._manifests = Manifests(self.problems, self._warnings)

    def read(self, text: _Text) -> None:
        plain: list[Document] = []
        for document, sort in self._documents(text):
            match sort:
                case Sort.KUBERNETES:
                    self._manifests.add(document)
                case Sort.TERRAFORM:
                    state = State(document, self.problems, self._warnings)
                    self._definitions += state.definitions()
                case Sort.APP_MESH if text.listed and cli_json.is_foreign(document.value):
                    self._warnings.append(
                        Problem(text.name, "is passed over: it holds nothing of App Mesh")
                    )
                case _:
                    plain.append(document)
        # A file's mesh: holds for all documents of the file.
        named = [found for each in plain if (found := weft_yaml.mesh_of(each))]
        its_mesh = self._mesh or (named[0] if named else _only_mesh(plain))
        self._meshes += [its_mesh] if its_mesh else []
        for document in plain:
            if text.is_json:
                self._definitions += cli_json.definitions(document, its_mesh, self.problems)
                continue
            reader = weft_yaml.Reader(document, its_mesh, text.directory, self.problems)
            reader.read()
            self._definitions += reader.definitions
            self._workloads += reader.workloads
            self._policies += reader.policies

    def _documents(self, text: _Text) -> Iterator[tuple[Document, Sort]]:
        """The documents of a text with their sorts; templates and foreign objects are noted."""
        if text.is_json:
            document = json_document(text.text, text.name, self.problems)
            if document is not None:
                value = document.value
                sort = sort_of(value) if isinstance(value, dict) else Sort.APP_MESH
                if not self._is_apart(text, sort, value):
                    if sort is not Sort.TERRAFORM:
                        self._warn_of_variables(text)
                    yield document, sort
            return
        for root in yaml_roots(text.text, text.name, self.problems):
            sort = sort_of(root.top)
            if self._is_apart(text, sort, root.top):
                continue
            document = root.document(self._environment, self.problems, weft_yaml.is_template)
            if document is not None:
                yield document, sort

    def _warn_of_variables(self, text: _Text) -> None:
        if found := re.search(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", text.text):
            line = text.text.count("\n", 0, found.start()) + 1
            said = f"{found[0]} is not filled in within JSON; envsubst < FILE does that"
            self._warnings.append(Problem(f"{text.name}:{line}", said))

    def _is_apart(self, text: _Text, sort: Sort, top: Mapping[str, object]) -> bool:
        """Whether it is not read here, variables and all."""
        if sort is Sort.CLOUDFORMATION:
            if all(each.path != text.name for each in self._templates):
                self._templates.append(StackTemplate(text.name, text.text))
            return True
        if sort is Sort.FOREIGN_KUBERNETES:
            self._manifests.foreign[str(top.get("kind"))] += 1
            return True
        return False

    def loaded(self) -> Loaded:
        """All together; Invalid with every problem of every file."""
        agreed = {*self._meshes, *(each.key.mesh for each in self._definitions)}
        agreed |= {each.key.mesh for each in self._policies}
        only = self._mesh or (next(iter(agreed)) if len(agreed) == 1 else None)
        definitions = [*self._definitions, *self._manifests.definitions(only)]
        self.problems += _twice(definitions, self._workloads, self._policies)
        self.problems += _placeholders(definitions, self._workloads)
        if self.problems:
            raise Invalid(dict.fromkeys(self.problems))
        agreed |= {each.key.mesh for each in definitions}
        return Loaded(
            tuple(in_order(definitions)),
            tuple(self._workloads),
            agreed.pop() if len(agreed) == 1 else self._meshes[0] if self._meshes else None,
            tuple(self._templates),
            tuple(dict.fromkeys(self._warnings)),
            dict(sorted(Counter(self._manifests.foreign).items())),
            tuple(self._policies),
        )


def _only_mesh(documents: list[Document]) -> str | None:
    """The mesh that a file without ``mesh:`` defines, if it is one."""
    found = set()
    for document in documents:
        value = document.value
        resources = value.get("resources") if isinstance(value, dict) else value
        for each in resources if isinstance(resources, list) else [value]:
            if isinstance(each, dict) and each.get("kind") == Kind.MESH.value:
                found.add(each.get("meshName"))
    only = found.pop() if len(found) == 1 else None
    return only if isinstance(only, str) else None


def _texts(paths: Sequence[str], problems: list[Problem]) -> Iterator[_Text]:
    for path in paths:
        if path == "-":
            text = _decoded("-", sys.stdin.buffer.read(MAX_BYTES + 1), problems)
            if text is not None:
                yield _Text("-", text, Path.cwd())
            continue
        named = Path(path)
        for file in _files(named, problems):
            try:
                with file.open("rb") as opened:
                    text = _decoded(str(file), opened.read(MAX_BYTES + 1), problems)
            except OSError as error:
                problems.append(Problem(str(file), f"cannot be read: {error.strerror or error}"))
                continue
            if text is not None:
                yield _Text(str(file), text, file.absolute().parent, listed=file != named)


def _files(path: Path, problems: list[Problem]) -> list[Path]:
    """The file itself, or what a directory and those below it hold, in the order of names."""
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    # Links to directories are not followed: they may lead in circles.
    for directory, below, names in os.walk(path):
        below[:] = sorted(each for each in below if not each.startswith("."))
        found += [
            Path(directory, name)
            for name in sorted(names)
            if not name.startswith(".") and name.endswith(SUFFIXES)
        ]
        if len(found) > MAX_FILES:
            problems.append(Problem(str(path), f"the directory holds more than {MAX_FILES} files"))
            return []
    if not found:
        problems.append(Problem(str(path), f"the directory holds no {', '.join(SUFFIXES)} file"))
    return found


def _decoded(name: str, raw: bytes, problems: list[Problem]) -> str | None:
    if len(raw) > MAX_BYTES:
        problems.append(Problem(name, f"is larger than {MAX_BYTES // 1024 // 1024} MB"))
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.append(Problem(f"{name}:{line}", "is not a text in UTF-8"))
        return None


def _twice(
    definitions: list[Definition], workloads: list[Workload], policies: list[PolicyDefinition]
) -> Iterator[Problem]:
    seen: dict[object, str] = {}
    for policy in policies:
        first = seen.setdefault(("policy", policy.key), policy.source)
        if first != policy.source:
            said = f"{policy.key} has a policy in {first} already"
            yield Problem(policy.source, said)
    for definition in definitions:
        first = seen.setdefault(definition.key, definition.source)
        if first != definition.source:
            yield Problem(definition.source, f"{definition.key} is defined in {first} already")
    for workload in workloads:
        first = seen.setdefault(workload.name, workload.source)
        if first != workload.source:
            said = f"workload {workload.name} is defined in {first} already"
            yield Problem(workload.source, said)


def _placeholders(definitions: list[Definition], workloads: list[Workload]) -> Iterator[Problem]:
    """What a workload refers to, held against its virtual node where a file defines that."""
    kinds = (Kind.VIRTUAL_NODE, Kind.VIRTUAL_GATEWAY)
    nodes = {each.key: each for each in definitions if each.kind in kinds}
    for workload in workloads:
        node = nodes.get(workload.node) if workload.node else None
        listeners = (
            [str(each.listener) for each in workload.ports]
            if workload.ports is not None
            else _listener_ports(node)
        )
        for placeholder in dict.fromkeys(workload.placeholders):
            said = f"workload {workload.name}: {placeholder}"
            match placeholder:
                case PortOf(listener) if workload.node is None and workload.ports is None:
                    yield Problem(
                        workload.source,
                        f"{said}: it has neither a virtualNode nor ports: [{listener}]",
                    )
                case PortOf(listener) if listeners is not None and str(listener) not in listeners:
                    others = f"; known are {', '.join(listeners)}" if listeners else ""
                    yield Problem(
                        workload.source, f"{said}: there is no listener {listener}{others}"
                    )
                case BackendOf() if not workload.sidecar:
                    yield Problem(
                        workload.source, f"{said}: without a sidecar it reaches no backend"
                    )
                case BackendOf(service) if node is not None and service not in (
                    known := _backends(node)
                ):
                    more = nearest(service, known) if known else ""
                    yield Problem(
                        workload.source,
                        f"{said}: {service} is no backend of virtual node {node.key.name}{more}",
                    )
                case _:
                    pass
        for ingress in workload.ingress:
            if listeners is None:
                continue
            if ingress.listener is None and len(listeners) != 1:
                yield Problem(
                    workload.source,
                    f"workload {workload.name}: ingress: {ingress.port} for which listener of "
                    f"{', '.join(listeners) or 'none'}? Write ingress: {{LISTENER: {ingress.port}}}",
                )
            elif ingress.listener is not None and str(ingress.listener) not in listeners:
                yield Problem(
                    workload.source,
                    f"workload {workload.name}: ingress: there is no listener {ingress.listener}",
                )


def _listener_ports(node: Definition | None) -> list[str] | None:
    """None where the definition cannot tell, or is too broken to."""
    if node is None:
        return None
    listeners = node.body["spec"].get("listeners") or []
    try:
        return [str(each["portMapping"]["port"]) for each in listeners]
    except (KeyError, TypeError):
        return None


def _backends(node: Definition) -> list[str]:
    found = []
    backends = node.body["spec"].get("backends") or []
    for each in backends if isinstance(backends, list) else ():
        try:
            found.append(str(each["virtualService"]["virtualServiceName"]))
        except (KeyError, TypeError):
            continue
    return found
