"""Settings of policies as people type them: ``reroute=on``, ``timeout=5s``, ``retries=3``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from weft.cli.durations import seconds_of
from weft.cli.exits import Usage

DEFAULT = "default"
"""Takes a setting back: then what App Mesh does holds."""
EVENTS = {
    "httpRetryEvents": ("server-error", "gateway-error", "client-error", "stream-error"),
    "tcpRetryEvents": ("connection-error",),
    "grpcRetryEvents": (
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    ),
}
Json = Mapping[str, Any]


def patch_of(assignments: Sequence[str], present: Json) -> dict[str, Any]:
    """What ``PATCH`` takes, out of ``NAME=VALUE``; what is set already fills a retry policy up."""
    patch: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator or not value:
            raise Usage(
                f"{assignment!r} is no setting",
                fix="write NAME=VALUE, as in reroute=on; NAME=default takes it back",
            )
        if name not in _SETTINGS:
            near = get_close_matches(name, _SETTINGS, n=1)
            guess = f"did you mean {near[0]}? " if near else ""
            raise Usage(
                f"there is no setting {name!r}", fix=f"{guess}Settings: {', '.join(_SETTINGS)}"
            )
        for path, given in _SETTINGS[name](name, value):
            place = patch
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = given
    return _completed(patch, present)


def _completed(patch: dict[str, Any], present: Json) -> dict[str, Any]:
    retry = patch.get("retryPolicy")
    if retry is None:
        return patch
    if retry.get("maxRetries", 0) is None:
        return {**patch, "retryPolicy": None}
    merged = {**(present.get("retryPolicy") or {}), **retry}
    if not any(merged.get(member) for member in EVENTS):
        raise Usage(
            "retries of what?",
            fix="say after which events, as in retry-on=server-error,connection-error",
        )
    retry.setdefault("maxRetries", merged.get("maxRetries", 2))
    off = {"unit": "s", "value": 0}
    retry["perRetryTimeout"] = merged.get("perRetryTimeout") or off
    return patch


Found = Iterator[tuple[tuple[str, ...], Any]]


def _switch(member: str) -> Callable[[str, str], Found]:
    def read(name: str, value: str) -> Found:
        known = {"on": True, "off": False, DEFAULT: None}
        if value not in known:
            raise Usage(f"{name} is on, off or {DEFAULT}, not {value!r}")
        yield (member,), known[value]

    return read


def _time(*path: str) -> Callable[[str, str], Found]:
    def read(name: str, value: str) -> Found:
        if value == DEFAULT:
            yield path, None
            return
        seconds = 0.0 if value == "off" else seconds_of(value)
        if seconds is None:
            raise Usage(
                f"{value!r} is no length of time",
                fix=f"write it as {name}=500ms, 5s or 1m; {name}=off switches it off",
            )
        millis = round(seconds * 1000)
        whole = millis % 1000 == 0
        duration = {"unit": "s" if whole else "ms", "value": millis // 1000 if whole else millis}
        yield path, duration

    return read


def _retries(name: str, value: str) -> Found:
    if value != DEFAULT and not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise Usage(f"{name} is a whole number or {DEFAULT}, not {value!r}")
    yield ("retryPolicy", "maxRetries"), None if value == DEFAULT else int(value)


def _events(name: str, value: str) -> Found:
    given = value.split(",")
    known = [event for events in EVENTS.values() for event in events]
    if wrong := [event for event in given if event not in known]:
        near = get_close_matches(wrong[0], known, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise Usage(f"{wrong[0]!r} is nothing to retry on", fix=f"{guess}{', '.join(known)}")
    for member, events in EVENTS.items():
        yield ("retryPolicy", member), [event for event in events if event in given] or None


def _egress(name: str, value: str) -> Found:
    if value not in ("ALLOW_ALL", "DROP_ALL", DEFAULT):
        raise Usage(f"{name} is ALLOW_ALL, DROP_ALL or {DEFAULT}, not {value!r}")
    yield ("egressFilter",), None if value == DEFAULT else {"type": value}


_SETTINGS: Mapping[str, Callable[[str, str], Found]] = {
    "reroute": _switch("reroute"),
    "amazonaws": _switch("amazonaws"),
    "egress": _egress,
    "timeout": _time("timeout", "perRequest"),
    "idle": _time("timeout", "idle"),
    "retries": _retries,
    "retry-on": _events,
    "per-try": _time("retryPolicy", "perRetryTimeout"),
}
NAMES = tuple(_SETTINGS)


def said(policy: Json) -> list[str]:
    """The inverse: a policy as assignments that would set it."""
    found = []
    for name in ("reroute", "amazonaws"):
        if name in policy:
            found.append(f"{name}={'on' if policy[name] else 'off'}")
    if egress := policy.get("egressFilter"):
        found.append(f"egress={egress['type']}")
    timeout = policy.get("timeout") or {}
    for name, member in (("timeout", "perRequest"), ("idle", "idle")):
        if member in timeout:
            found.append(f"{name}={_said(timeout[member])}")
    if retry := policy.get("retryPolicy"):
        events = [event for member in EVENTS for event in retry.get(member) or ()]
        found += [f"retries={retry['maxRetries']}", f"retry-on={','.join(events)}"]
        found.append(f"per-try={_said(retry['perRetryTimeout'])}")
    return found


def _said(duration: Json) -> str:
    value = duration.get("value") or 0
    return f"{value}{duration.get('unit', 's')}" if value else "off"
