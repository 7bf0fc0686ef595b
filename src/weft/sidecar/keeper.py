"""Keeps the last accepted configuration on disk: read when it may have changed, written when it has."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from weft.errors import Unreachable
from weft.names import View
from weft.sidecar import last_good, secrets
from weft.sidecar.admin import Admin

# Every subscription counts its accepted updates. All counts are compared, and not their
# sum: a cluster that is removed takes its own count along.
_ACCEPTED = r"\.update_success$"


class Keeper:
    """The kept configuration of one proxy."""

    def __init__(
        self, path: str, view: View, warn: Callable[[str], None], *, keeps: bool = True
    ) -> None:
        self._path = path
        self._view = view
        self._warn = warn
        self.files: tuple[str, ...] = ()
        """The files that this Envoy reads certificates and trust from."""
        self._written = b""
        self._seen_bytes = -1
        self._seen_updates: dict[str, int | str] = {}
        self._keeps = keeps
        found = last_good.read(path) if keeps else None
        self.kept = found if found is not None and found.suits(view) else None
        """None too where the ports or the mode have changed since it was written."""
        if self.kept is not None:
            self._written = self.kept.to_json()
            self.files = secrets.files(each["name"] for each in self.kept.secrets)

    def begin(self) -> None:
        """Another Envoy is in force: what the one before it had accepted says nothing of it."""
        self._seen_bytes, self._seen_updates = -1, {}

    def look(self, admin: Admin, received_bytes: int) -> None:
        """Keep what this Envoy has in force, unless nothing came since the last look."""
        if not self._keeps or received_bytes == self._seen_bytes:
            return
        try:
            updates = admin.stats(_ACCEPTED)
            if updates == self._seen_updates:  # Pings are bytes too.
                self._seen_bytes = received_bytes
                return
            dump = admin.json("/config_dump?include_eds")
            found = last_good.last_good(self._view, dump)
            self.files = tuple(
                path
                for section in dump["configs"]
                if section["@type"].endswith(".SecretsConfigDump")
                for path in secrets.files(secrets.names(section))
            )
        except (Unreachable, KeyError, TypeError, AttributeError) as error:
            # An answer in another shape must not end a proxy that serves.
            self._warn(f"the configuration in force cannot be read: {error}")
            return
        content = found.to_json()
        try:
            if content != self._written:
                last_good.write(self._path, content)
        except OSError as error:
            self._warn(f"the configuration in force cannot be kept: {error}")
            return
        self.kept, self._written = found, content
        self._seen_bytes, self._seen_updates = received_bytes, updates

    def set_aside(self) -> str:
        """Envoy refuses it: out of the way, but there for whoever wants to know; the new path."""
        path = self._path.removesuffix(".json") + ".refused.json"
        with suppress(OSError):
            os.replace(self._path, path)
        self.kept, self._written = None, b""
        return path
