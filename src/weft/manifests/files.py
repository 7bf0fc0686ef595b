"""From paths to what they ask for: every file read, every problem found and placed by file and line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from weft.errors import Invalid, Problem
from weft.manifests import cli_json, weft_yaml
from weft.manifests.definition import Definition, in_order
from weft.manifests.document import Document, json_document, nearest, yaml_documents
from weft.manifests.template import BackendOf, PortOf
from weft.manifests.workload import Workload
from weft.names import Key, Kind

SUFFIXES = (".yaml", ".yml", ".json")
MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that the files ask for."""

    definitions: tuple[Definition, ...]
    """In the order in which they can be created."""
    workloads: tuple[Workload, ...]
    mesh: str | None
    """The mesh they are about, where they agree on one."""


@dataclass(frozen=True, slots=True)
class _Text:
    name: str
    text: str
    directory: Path

    @property
    def is_json(self) -> bool:
        """By its name; what comes from standard input by what it holds."""
        if self.name != "-":
            return self.name.endswith(".json")
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
    problems: list[Problem] = []
    definitions: list[Definition] = []
    workloads: list[Workload] = []
    meshes: list[str] = [mesh] if mesh else []
    for text in _texts(paths, problems):
        documents = list(_documents(text, environment, problems))
        # A file's mesh: holds for all documents of the file.
        named = [found for each in documents if (found := weft_yaml.mesh_of(each))]
        its_mesh = mesh or (named[0] if named else _only_mesh(documents))
        meshes += [its_mesh] if its_mesh else []
        for document in documents:
            if text.is_json:
                definitions += cli_json.definitions(document, its_mesh, problems)
                continue
            reader = weft_yaml.Reader(document, its_mesh, text.directory, problems)
            reader.read()
            definitions += reader.definitions
            workloads += reader.workloads
    problems += _twice(definitions, workloads)
    problems += _placeholders(definitions, workloads)
    if problems:
        raise Invalid(dict.fromkeys(problems))
    agreed = {*meshes, *(each.key.mesh for each in definitions)}
    return Loaded(
        tuple(in_order(definitions)),
        tuple(workloads),
        agreed.pop() if len(agreed) == 1 else meshes[0] if meshes else None,
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
        for file in _files(Path(path), problems):
            try:
                with file.open("rb") as opened:
                    text = _decoded(str(file), opened.read(MAX_BYTES + 1), problems)
            except OSError as error:
                problems.append(Problem(str(file), f"cannot be read: {error.strerror or error}"))
                continue
            if text is not None:
                yield _Text(str(file), text, file.absolute().parent)


def _files(path: Path, problems: list[Problem]) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(
        each
        for each in path.iterdir()
        if each.suffix in SUFFIXES and each.is_file() and not each.name.startswith(".")
    )
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


def _documents(
    text: _Text, environment: Mapping[str, str], problems: list[Problem]
) -> Iterator[Document]:
    if text.is_json:
        document = json_document(text.text, text.name, problems)
        if document is not None:
            yield document
        return
    yield from yaml_documents(text.text, text.name, environment, problems, weft_yaml.is_template)


def _twice(definitions: list[Definition], workloads: list[Workload]) -> Iterator[Problem]:
    seen: dict[Key | str, str] = {}
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
    nodes = {each.key: each for each in definitions if each.kind is Kind.VIRTUAL_NODE}
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
