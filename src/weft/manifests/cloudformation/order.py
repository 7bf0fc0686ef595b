"""In which order resources are made: each after those it refers to; circles are named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from weft.manifests.cloudformation.template import PSEUDO_PARAMETERS, Declared, Template
from weft.manifests.document import Path

_IN_TEXT = re.compile(r"\$\{([^!{}$][^{}$]*)\}")


def references(
    raw: Any, path: Path, branch: Callable[[str, Path], bool | None] | None = None
) -> Iterator[tuple[str, Path]]:
    """
    Every name that a value refers to, with its place.

    ``branch`` says which side of an ``Fn::If`` is taken; without it both are looked at.
    """
    if isinstance(raw, list):
        for i, each in enumerate(raw):
            yield from references(each, (*path, i), branch)
        return
    if not isinstance(raw, dict):
        return
    if len(raw) == 1:
        ((name, argument),) = raw.items()
        at = (*path, name)
        match name, argument:
            case "Ref", str():
                yield argument, at
                return
            case "Fn::GetAtt", str():
                yield argument.partition(".")[0], at
                return
            case "Fn::GetAtt", [str(logical_id), attribute]:
                yield logical_id, at
                yield from references(attribute, (*at, 1), branch)
                return
            case "Fn::Sub", (str() as text) | [str(text)] | [str(text), _]:
                own: Any = argument[1] if isinstance(argument, list) and len(argument) > 1 else {}
                own = own if isinstance(own, dict) else {}
                for found in _IN_TEXT.findall(text):
                    if (wanted := found.strip()) not in own:
                        yield wanted.partition(".")[0], at
                yield from references(own, (*at, 1), branch)
                return
            case "Fn::If", [str(condition), then, otherwise] if branch is not None:
                match branch(condition, at):
                    case True:
                        yield from references(then, (*at, 1), branch)
                        return
                    case False:
                        yield from references(otherwise, (*at, 2), branch)
                        return
                    case None:
                        pass
            case _:
                pass
    for name, each in raw.items():
        yield from references(each, (*path, name), branch)


def dependencies(
    declared: Mapping[str, Declared], branch: Callable[[str, Path], bool | None]
) -> dict[str, tuple[str, ...]]:
    """What each resource needs, of those that are there."""
    found = {}
    for name, each in declared.items():
        wanted = [*each.depends_on]
        wanted += [to for to, _ in references(each.properties, (*each.path, "Properties"), branch)]
        found[name] = tuple(dict.fromkeys(to for to in wanted if to in declared))
    return found


def in_order(needs: Mapping[str, tuple[str, ...]]) -> tuple[list[str], list[str]]:
    """Names, each after those it needs, else as given; and a circle, if there is one."""
    waiting = {name: len(others) for name, others in needs.items()}
    wanted_by: dict[str, list[str]] = {name: [] for name in needs}
    for name, others in needs.items():
        for other in others:
            wanted_by[other].append(name)
    ready = [name for name, count in waiting.items() if count == 0]
    found: list[str] = []
    while ready:
        following: list[str] = []
        for name in ready:
            found.append(name)
            for waiter in wanted_by[name]:
                waiting[waiter] -= 1
                if waiting[waiter] == 0:
                    following.append(waiter)
        ready = following
    if len(found) == len(needs):
        return found, []
    return found, _circle({n: others for n, others in needs.items() if waiting[n] > 0}, set(found))


def _circle(needs: Mapping[str, tuple[str, ...]], done: set[str]) -> list[str]:
    """One way round, from what waits for each other."""
    name = next(iter(needs))
    walked: dict[str, None] = {}
    while name not in walked:
        walked[name] = None
        name = next(other for other in needs[name] if other not in done)
    names = list(walked)
    return names[names.index(name) :]


def unresolved(template: Template) -> Iterator[tuple[Path, str]]:
    """References to nothing, in whatever branch they stand."""
    known = {*template.parameters, *template.resources, *PSEUDO_PARAMETERS}
    for each in template.resources.values():
        place = (*each.path, "Properties")
        for name, path in references(each.properties, place):
            if name not in known:
                yield path, name
    for output in template.outputs.values():
        for name, path in references(output.value, (*output.path, "Value")):
            if name not in known:
                yield path, name
