"""Members of ACM's and ACM-PCA's requests, every mistake in them said at once."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from weft.errors import Invalid, Problem

MOST_ITEMS = 1000


@dataclass(slots=True)
class Members:
    """What was sent; ``done`` refuses it if something is wrong."""

    sent: dict[str, Any]
    found: list[Problem] = field(default_factory=list)

    def text(self, name: str, *, needed: bool = False) -> str:
        value = self.sent.get(name)
        if value is None:
            if needed:
                self.found.append(Problem(name, "is missing"))
            return ""
        if not isinstance(value, str):
            self.found.append(Problem(name, "must be text"))
            return ""
        return value

    def texts(self, name: str) -> list[str]:
        value = self.sent.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.found.append(Problem(name, "must be a list of texts"))
            return []
        return value

    def blob(self, name: str, *, needed: bool = False) -> str:
        """Base64 on the wire; what it decodes to, as text."""
        try:
            return base64.b64decode(self.text(name, needed=needed), validate=True).decode()
        except ValueError:
            self.found.append(Problem(name, "must be text in base64"))
            return ""

    def binary(self, name: str, *, least: int, most: int) -> bytes:
        """Base64 on the wire, of so many bytes."""
        try:
            value = base64.b64decode(self.text(name), validate=True)
        except ValueError:
            value = b""
        if not least <= len(value) <= most:
            self.found.append(Problem(name, f"must be {least} to {most} bytes, in base64"))
        return value

    def number(self, name: str, default: int) -> int:
        value = self.sent.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_ITEMS:
            self.found.append(Problem(name, f"must be a whole number from 1 to {MOST_ITEMS}"))
            return default
        return value

    def unlike(self, name: str, *, why: str) -> None:
        """What is not done here is refused, not passed over."""
        if self.sent.get(name):
            self.found.append(Problem(name, why))

    def done(self) -> None:
        if self.found:
            raise Invalid(self.found)


def page(items: Iterable[Any], members: Members, size: str) -> tuple[list[Any], str | None]:
    """The items after ``NextToken``, and the token of those after these."""
    most = members.number(size, MOST_ITEMS)
    token = members.text("NextToken")
    if token and not token.isdecimal():
        members.found.append(Problem("NextToken", "is not one that was given"))
    members.done()
    start = int(token or 0)
    found = list(items)
    following = start + most
    return found[start:following], str(following) if following < len(found) else None
