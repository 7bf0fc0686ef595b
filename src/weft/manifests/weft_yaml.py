"""
``weft.yaml``: a mesh and the workloads that make it up, on one page.

    mesh: NAME                    # fills in meshName below
    resources: [{kind, …create input}]
    policies: [{for: mesh, …}]    # Weft's own; for a resource: virtualService/S and so on
    workloads: {NAME: {command, env, virtualNode, replicas, ports, ingress, sidecar, dir}}
                                  # or {virtualGateway, replicas, ingress}: an Envoy alone

Several documents in one file are read as one after the other; a document may
also be a single resource or a list of resources.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from weft.errors import Problem
from weft.manifests.definition import Definition, definition
from weft.manifests.document import MAX_PROBLEMS, Document, Path, nearest, shown
from weft.manifests.policies import PolicyDefinition, policy_definition
from weft.manifests.template import Template
from weft.manifests.workload import AppPort, Ingress, Workload, gateway_key, node_key

TOP = ("mesh", "resources", "policies", "workloads")
WORKLOAD = (
    "command",
    "env",
    "virtualNode",
    "virtualGateway",
    "replicas",
    "ports",
    "ingress",
    "sidecar",
    "dir",
)
OF_PROGRAMS = ("command", "env", "virtualNode", "ports", "sidecar", "dir")
"""What a gateway has none of."""
MAX_REPLICAS = 100


def is_template(path: Path) -> bool:
    """Only a workload's command and env may hold what a replica alone knows."""
    match path:
        case ("workloads", str(), "command", *_) | ("workloads", str(), "env", str(), *_):
            return True
        case _:
            return False


def mesh_of(document: Document) -> str | None:
    """The ``mesh:`` of a document."""
    value = document.value.get("mesh") if isinstance(document.value, dict) else None
    return value if isinstance(value, str) else None


class Reader:
    """Reads one document; every mistake goes into ``problems``."""

    def __init__(
        self, document: Document, mesh: str | None, directory: FilePath, problems: list[Problem]
    ) -> None:
        self._document = document
        self._mesh = mesh
        self._directory = directory
        self._problems = problems
        self.definitions: list[Definition] = []
        self.workloads: list[Workload] = []
        self.policies: list[PolicyDefinition] = []

    def read(self) -> None:
        match self._document.value:
            case None:
                pass
            case list() as resources:
                self._resources(resources, ())
            case dict() as value if not set(value) & set(TOP) and (
                "kind" in value or "spec" in value or "meshName" in value
            ):
                self._resources([value], None)
            case dict() as value:
                self._page(value)
            case value:
                self._problem(
                    (), f"expected mesh, resources, policies and workloads, not {value!r:.40}"
                )

    def _page(self, value: Mapping[Any, Any]) -> None:
        for name in value:
            if name not in TOP:
                self._problem((str(name),), f"unknown key {name!r}{nearest(str(name), list(TOP))}")
        mesh = value.get("mesh")
        if mesh is not None and not (isinstance(mesh, str) and mesh):
            self._problem(("mesh",), f"mesh must be a name, not {mesh!r:.40}")
        match value.get("resources"):
            case None:
                pass
            case list() as resources:
                self._resources(resources, ("resources",))
            case _:
                self._problem(("resources",), "resources must be a list")
        match value.get("policies"):
            case None:
                pass
            case list() as policies:
                self._policies(policies)
            case _:
                self._problem(("policies",), "policies must be a list: - {for: mesh, …}")
        match value.get("workloads"):
            case None:
                pass
            case dict() as workloads:
                for name, body in workloads.items():
                    self._workload(str(name), body)
            case _:
                self._problem(("workloads",), "workloads must be a mapping: NAME: {command: …}")

    def _resources(self, values: list[Any], path: Path | None) -> None:
        for i, value in enumerate(values):
            if len(self._problems) > MAX_PROBLEMS:
                break
            at = () if path is None else (*path, i)
            found = definition(value, self._document, at, self._mesh, self._problems)
            if found is not None:
                self.definitions.append(found)

    def _policies(self, values: list[Any]) -> None:
        for i, value in enumerate(values):
            at: Path = ("policies", i)
            found = policy_definition(value, self._document, at, self._mesh, self._problem)
            if found is not None:
                self.policies.append(found)

    def _workload(self, name: str, body: Any) -> None:
        at: Path = ("workloads", name)
        before = len(self._problems)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name):
            self._problem(at, f"{name!r} is no name for a workload: use letters, digits, . _ -")
        if not isinstance(body, dict):
            said = "a workload is a mapping with at least a command or a virtualGateway"
            self._problem(at, said)
            return
        for key in body:
            if key not in WORKLOAD:
                said = nearest(str(key), list(WORKLOAD))
                self._problem((*at, str(key)), f"unknown key {key!r}{said}")
        if body.get("virtualGateway") is not None:
            self._gateway(name, body, at, before)
            return
        node = self._text(body, at, "virtualNode")
        directory = self._text(body, at, "dir")
        sidecar = self._flag(body, at, "sidecar", default=node is not None)
        replicas = self._number(body.get("replicas", 1), (*at, "replicas"), 1, MAX_REPLICAS)
        ingress = self._ingress(body.get("ingress"), (*at, "ingress"))
        if node is None and sidecar:
            self._problem((*at, "sidecar"), "a sidecar needs a virtualNode to stand for")
        if ingress and not sidecar:
            self._problem((*at, "ingress"), "ingress is the sidecar's port, and there is none")
        if ingress and replicas is not None and replicas > 1:
            self._problem((*at, "ingress"), "a fixed ingress port allows one replica only")
        if node is not None and self._mesh is None:
            self._problem((*at, "virtualNode"), "which mesh? Give mesh: NAME at the top")
        ports = self._ports(body.get("ports"), (*at, "ports"))
        if ports and replicas is not None and replicas > 1:
            for port in ports:
                if port.fixed is not None:
                    self._problem((*at, "ports"), "a fixed app port allows one replica only")
                    break
        workload = Workload(
            name=name,
            command=self._command(body.get("command"), (*at, "command")),
            source=self._document.at(at),
            directory=self._directory / (directory or ""),
            env=self._env(body.get("env"), (*at, "env")),
            node=node_key(self._mesh, node) if node is not None and self._mesh else None,
            replicas=replicas or 1,
            ports=ports,
            ingress=ingress,
            sidecar=sidecar,
        )
        if len(self._problems) == before:
            self.workloads.append(workload)

    def _gateway(self, name: str, body: Mapping[Any, Any], at: Path, before: int) -> None:
        """A virtual gateway: Envoy alone, no program behind it."""
        gateway = self._text(body, at, "virtualGateway")
        for key in OF_PROGRAMS:
            if key in body:
                said = f"a virtual gateway has no {key}: its workload is an Envoy alone"
                self._problem((*at, key), said)
        replicas = self._number(body.get("replicas", 1), (*at, "replicas"), 1, MAX_REPLICAS)
        ingress = self._ingress(body.get("ingress"), (*at, "ingress"))
        if ingress and replicas is not None and replicas > 1:
            self._problem((*at, "ingress"), "a fixed ingress port allows one replica only")
        if self._mesh is None:
            self._problem((*at, "virtualGateway"), "which mesh? Give mesh: NAME at the top")
        if gateway is None or self._mesh is None or len(self._problems) > before:
            return
        self.workloads.append(
            Workload(
                name=name,
                command=(),
                source=self._document.at(at),
                directory=self._directory,
                node=gateway_key(self._mesh, gateway),
                replicas=replicas or 1,
                ingress=ingress,
            )
        )

    def _command(self, value: Any, at: Path) -> tuple[Template, ...]:
        match value:
            case Template() if value.parts:
                return self._words(value, at)
            case [*words] if words and all(isinstance(word, Template) for word in words):
                return tuple(words)
            case None:
                self._problem(at[:-1], "a workload needs a command, unless it is a virtualGateway")
            case _:
                self._problem(at, "command must be a text or a list of texts, and not empty")
        return ()

    def _words(self, template: Template, at: Path) -> tuple[Template, ...]:
        """Split as a shell would, placeholders kept whole; no shell runs it."""
        marks = {f"\ue000{i}\ue001": part for i, part in enumerate(template.placeholders)}
        names = iter(marks)
        text = "".join(part if isinstance(part, str) else next(names) for part in template.parts)
        try:
            words = shlex.split(text)
        except ValueError as error:
            self._problem(at, f"cannot be split into words: {error}")
            return ()
        return tuple(
            Template(
                tuple(
                    marks.get(part, part) for part in re.split("(\ue000[0-9]+\ue001)", word) if part
                )
            )
            for word in words
        )

    def _env(self, value: Any, at: Path) -> tuple[tuple[str, Template | None], ...]:
        if value is None:
            return ()
        if not isinstance(value, dict):
            self._problem(at, "env must be a mapping of names to texts")
            return ()
        found = []
        for name, text in value.items():
            if "=" in str(name) or not str(name):
                self._problem((*at, str(name)), f"{name!r} is no name for a variable")
            elif not isinstance(text, Template | None):
                self._problem((*at, str(name)), "a variable is a text, not a list or a mapping")
            else:
                found.append((str(name), text))
        return tuple(found)

    def _ports(self, value: Any, at: Path) -> tuple[AppPort, ...] | None:
        match value:
            case None:
                return None
            case list():
                pairs: list[tuple[Any, Any]] = [(each, None) for each in value]
            case dict():
                pairs = list(value.items())
            case _:
                pairs = [(value, None)]
        found = []
        for listener, fixed in pairs:
            number = self._number(listener, at, 1, 65535)
            app = None if fixed is None else self._number(fixed, (*at, str(listener)), 1, 65535)
            if number is not None:
                found.append(AppPort(number, app))
        if len({each.listener for each in found}) < len(found):
            self._problem(at, "a listener is given twice")
        return tuple(sorted(found, key=lambda each: each.listener))

    def _ingress(self, value: Any, at: Path) -> tuple[Ingress, ...]:
        if value is None:
            return ()
        if not isinstance(value, dict):
            port = self._number(value, at, 1, 65535)
            return (Ingress(None, port),) if port is not None else ()
        found = []
        for listener, port in value.items():
            number = self._number(listener, at, 1, 65535)
            socket = self._number(port, (*at, str(listener)), 1, 65535)
            if number is not None and socket is not None:
                found.append(Ingress(number, socket))
        return tuple(found)

    def _number(self, value: Any, at: Path, low: int, high: int) -> int | None:
        # A quoted ${VAR} arrives as a text of digits.
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self._problem(at, f"must be a whole number from {low} to {high}, not {value!r:.40}")
        return None

    def _text(self, body: Mapping[Any, Any], at: Path, key: str) -> str | None:
        value = body.get(key)
        if value is None or (isinstance(value, str) and value):
            return value
        self._problem((*at, key), f"must be a text, not {value!r:.40}")
        return None

    def _flag(self, body: Mapping[Any, Any], at: Path, key: str, *, default: bool) -> bool:
        value = body.get(key, default)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if isinstance(value, bool):
            return value
        self._problem((*at, key), f"must be true or false, not {value!r:.40}")
        return default

    def _problem(self, path: Path, message: str) -> None:
        said = f"{shown(path)}: {message}" if path else message
        self._problems.append(Problem(self._document.at(path), said))
