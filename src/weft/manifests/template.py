"""
``${…}`` in files: the environment's when a file is read, a replica's when it is started.

``${VAR}`` and ``${VAR:-default}`` come from the environment. ``${port.9080}``,
``${backend.NAME}``, ``${backend.NAME:PORT}``, ``${bind}``, ``${replica}`` and
``${python}`` are known per replica only. ``$${`` is a plain ``${``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class PortOf:
    """``${port.9080}``: the port a replica's app listens on for that listener."""

    listener: int

    def __str__(self) -> str:
        return f"${{port.{self.listener}}}"


@dataclass(frozen=True, slots=True)
class BackendOf:
    """``${backend.NAME[:PORT]}``: the ``host:port`` at which a replica reaches a virtual service."""

    service: str
    port: int | None = None

    def __str__(self) -> str:
        return f"${{backend.{self.service}{f':{self.port}' if self.port else ''}}}"


@dataclass(frozen=True, slots=True)
class ReplicaNumber:
    """``${replica}``: 0 for the first replica, 1 for the second."""

    def __str__(self) -> str:
        return "${replica}"


@dataclass(frozen=True, slots=True)
class Python:
    """``${python}``: the interpreter Weft runs in."""

    def __str__(self) -> str:
        return "${python}"


@dataclass(frozen=True, slots=True)
class Bind:
    """``${bind}``: the host a replica's app listens on so that its callers reach it."""

    def __str__(self) -> str:
        return "${bind}"


Placeholder = PortOf | BackendOf | ReplicaNumber | Python | Bind


class Unreadable(ValueError):
    """A ``${…}`` that means nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with what only a replica knows left open."""

    parts: tuple[str | Placeholder, ...] = ()

    def __str__(self) -> str:
        return "".join(map(str, self.parts))

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str]) -> Template:
        """Fill in the environment; Unreadable names the first thing that cannot be."""
        parts: list[str | Placeholder] = []
        for part in _parts(text, environment, MAX_DEPTH):
            if isinstance(part, str) and parts and isinstance(parts[-1], str):
                parts[-1] += part
            elif part != "":
                parts.append(part)
        return cls(tuple(parts))

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        return tuple(part for part in self.parts if not isinstance(part, str))

    def render(self, value: Callable[[Placeholder], str]) -> str:
        return "".join(part if isinstance(part, str) else value(part) for part in self.parts)


def _parts(text: str, environment: Mapping[str, str], depth: int) -> Iterator[str | Placeholder]:
    at = 0
    while (start := text.find("${", at)) >= 0:
        if start > at and text[start - 1] == "$":
            yield text[at : start - 1] + "${"
            at = start + 2
            continue
        yield text[at:start]
        end = _closing(text, start + 2)
        yield from _meaning(text[start + 2 : end], environment, depth)
        at = end + 1
    yield text[at:]


def _closing(text: str, at: int) -> int:
    depth = 1
    for i in range(at, len(text)):
        if text.startswith("${", i):
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0:
                return i
    raise Unreadable(f"{text[at - 2 :]!r} is never closed; write $${{ for a plain ${{")


def _meaning(
    inside: str, environment: Mapping[str, str], depth: int
) -> Iterator[str | Placeholder]:
    if inside == "replica":
        yield ReplicaNumber()
    elif inside == "python":
        yield Python()
    elif inside == "bind":
        yield Bind()
    elif found := re.fullmatch(r"port\.([0-9]{1,5})", inside):
        yield PortOf(int(found[1]))
    elif inside.startswith("backend."):
        yield from _backend(inside, environment, depth)
    elif found := re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", inside, re.DOTALL):
        name, default = found[1], found[2]
        # As in a shell, an empty variable counts as unset where there is a default.
        if value := environment.get(name):
            yield value
        elif default is not None:
            if depth == 0:
                raise Unreadable(f"${{{name}…}} is nested too deeply")
            yield from _parts(default, environment, depth - 1)
        elif value is not None:
            yield value
        else:
            raise Unreadable(
                f"environment variable {name} is not set; set it or write ${{{name}:-default}}"
            )
    else:
        raise Unreadable(
            f"${{{inside}}} means nothing; known are ${{VAR}}, ${{VAR:-default}}, ${{port.9080}}, "
            "${backend.NAME}, ${backend.NAME:PORT}, ${bind}, ${replica} and ${python}"
        )


def _backend(
    inside: str, environment: Mapping[str, str], depth: int
) -> Iterator[str | Placeholder]:
    """The name may itself hold variables, as in ``${backend.db.${SERVICES_DOMAIN}}``."""
    if depth == 0:
        raise Unreadable("${backend.…} is nested too deeply")
    name = "".join(map(str, _parts(inside.removeprefix("backend."), environment, depth - 1)))
    found = re.fullmatch(r"([A-Za-z0-9*][A-Za-z0-9*._-]*)(?::([0-9]{1,5}))?", name)
    if found is None:
        raise Unreadable(f"${{{inside}}} does not name a virtual service")
    yield BackendOf(found[1], int(found[2]) if found[2] else None)
