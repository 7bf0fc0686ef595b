"""
Secrets that Envoy was told: found in its own account, said to it again from files, and their files watched.

Envoy shows what it read and hides private keys; the names of secrets that are files say
which. So these, and trust, can be kept for a start without the control plane, each in a
file of its own, so that one that cannot be read costs only what uses it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from weft.names import parse_file_secret

Json = dict[str, Any]

LOOK_SECONDS = 1.0
"""How often files are looked at; one that changed must stay as it is for so long."""
_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
_REDACTED = "[redacted]"


def told(section: Json) -> dict[str, Json]:
    """The secrets of a ``SecretsConfigDump`` that can be said again, by name."""
    return {
        name: secret
        for name, shown in _secrets(section).items()
        if (secret := _of_files(name) or ({} if _hidden(shown) else shown))
    }


def names(section: Json) -> tuple[str, ...]:
    """Of all secrets that a ``SecretsConfigDump`` lists, also of those that could not be used."""
    return tuple(_secrets(section))


def files(names: Iterable[str]) -> tuple[str, ...]:
    """The files that secrets of these names are read from."""
    return tuple(sorted({path for name in names for path in parse_file_secret(name)}))


def _of_files(name: str) -> Json:
    """A secret of files, which Envoy shows with what it read; empty for any other."""
    match parse_file_secret(name):
        case chain, key:
            content: Json = {
                "tls_certificate": {
                    "certificate_chain": {"filename": _in_a_directory(chain)},
                    "private_key": {"filename": _in_a_directory(key)},
                }
            }
        case (path,):
            content = {"validation_context": {"trusted_ca": {"filename": _in_a_directory(path)}}}
        case _:
            return {}
    return {"name": name, **content}


def _in_a_directory(path: str) -> str:
    # Envoy watches the directory of a file, and takes no path without one.
    return path if "/" in path else f"./{path}"


def from_files(value: Any, paths: dict[str, str]) -> Any:
    """The value with each secret that came over ADS read from the file that holds it."""
    if isinstance(value, list):
        return [from_files(item, paths) for item in value]
    if not isinstance(value, dict):
        return value
    if is_told(value) and value["name"] in paths:
        return {
            "name": value["name"],
            "sds_config": {
                "path_config_source": {"path": paths[value["name"]]},
                "resource_api_version": "V3",
            },
        }
    return {key: from_files(item, paths) for key, item in value.items()}


def is_told(value: Json) -> bool:
    """Whether this names a secret that comes over ADS."""
    return "name" in value and "ads" in (value.get("sds_config") or {})


def response(secret: Json) -> bytes:
    """A secret as Envoy reads it from a file."""
    return json.dumps({"resources": [{"@type": _TYPE, **_plain(secret)}]}).encode()


def _secrets(section: Json) -> dict[str, Json]:
    """By name; Envoy lists one that it could not use with its name alone."""
    return {
        entry["name"]: _plain(entry.get("secret") or {})
        for members in ("dynamic_active_secrets", "dynamic_warming_secrets")
        for entry in section.get(members, ())
        if "name" in entry
    }


def _plain(secret: Json) -> Json:
    return {key: value for key, value in secret.items() if key != "@type"}


def _hidden(value: Any) -> bool:
    match value:
        case str():
            return value == _REDACTED or value == "W3JlZGFjdGVkXQ=="  # The same as bytes in JSON.
        case list():
            return any(map(_hidden, value))
        case dict():
            return any(map(_hidden, value.values()))
        case _:
            return False


# --- files that change in place --------------------------------------------------------------

_Sight = tuple[int, int, int] | None


class Watched:
    """
    Makes Envoy read files again that changed without a rename, which is all it sees.

    It watches their directories, and reads all of a secret anew when anything in one is
    renamed: so something is.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._seen: dict[str, _Sight] = {}
        self._changing: set[str] = set()
        self._in_place: set[str] = set()
        self._complained: set[str] = set()
        self._next = 0.0

    def look(self, paths: Iterable[str], now: float) -> None:
        """Look at the files, if it is time to; ``now`` in seconds that only grow."""
        if now < self._next:
            return
        self._next = now + LOOK_SECONDS
        seen = {path: _sight(path) for path in paths}
        before, self._seen = self._seen, seen
        # One that is seen for the first time may have changed since Envoy read it.
        changed = {path for path in seen if path not in before or before[path] != seen[path]}
        settled = {path for path in self._changing - changed if seen.get(path)}
        self._in_place |= {p for p in changed & before.keys() if _same(before[p], seen[p])}
        self._changing = changed
        for directory in sorted({os.path.dirname(path) for path in settled}):
            inside = {path for path in settled if os.path.dirname(path) == directory}
            self._stir(directory, matters=bool(inside & self._in_place))
            self._in_place -= inside

    def _stir(self, directory: str, *, matters: bool) -> None:
        # Whoever replaced a file by renaming has shown Envoy already.
        made = os.path.join(directory, f".weft-{os.getpid()}")
        try:
            with open(made, "x"):
                pass
            os.rename(made, f"{made}-renamed")
        except OSError as error:
            if matters and directory not in self._complained:
                self._complained.add(directory)
                self._warn(
                    f"certificates in {directory} changed; Envoy reads them again only when a file "
                    f"is renamed into that directory, and the sidecar cannot ({error.strerror}): "
                    "replace them by renaming"
                )
        finally:
            for leftover in (made, f"{made}-renamed"):
                with suppress(OSError):
                    os.unlink(leftover)


def _sight(path: str) -> _Sight:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _same(before: _Sight, now: _Sight) -> bool:
    """Whether it is the same file, whatever is in it."""
    return before is not None and now is not None and before[0] == now[0]
