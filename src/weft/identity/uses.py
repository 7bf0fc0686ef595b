"""Where definitions name a certificate or an authority by its ARN."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from weft.names import Key, Kind
from weft.store.state import MeshState

CERTIFICATE_ARN = re.compile(
    r"arn:aws[a-z-]*:acm:[a-z0-9-]{1,32}:[0-9]{12}:certificate/[A-Za-z0-9_-]{1,128}"
)
AUTHORITY_ARN = re.compile(
    r"arn:aws[a-z-]*:acm-pca:[a-z0-9-]{1,32}:[0-9]{12}:certificate-authority/[A-Za-z0-9_-]{1,128}"
)
_CERTIFICATE = "certificateArn"
_AUTHORITIES = "certificateAuthorityArns"


@dataclass(frozen=True, slots=True)
class Use:
    """One place that names an ARN."""

    key: Key
    path: str
    arn: str
    authority: bool
    """Whether an authority is meant, or a certificate."""


def uses(state: MeshState, mesh: str | None = None) -> Iterator[Use]:
    """Every place of one mesh or of all, the resources by key."""
    found = [
        each
        for each in state.resources()
        if each.key.kind in (Kind.VIRTUAL_NODE, Kind.VIRTUAL_GATEWAY)
        and mesh in (None, each.key.mesh)
    ]
    for each in sorted(found, key=lambda each: each.key):
        yield from _within(each.key, each.sent, "spec")


def uses_of(state: MeshState, arn: str) -> list[Use]:
    """The places that name one ARN."""
    return [each for each in uses(state) if each.arn == arn]


def _within(key: Key, value: Any, path: str) -> Iterator[Use]:
    if isinstance(value, dict):
        for name, each in value.items():
            below = f"{path}.{name}"
            if name == _CERTIFICATE and isinstance(each, str):
                yield Use(key, below, each, authority=False)
            elif name == _AUTHORITIES and isinstance(each, list):
                for i, arn in enumerate(each):
                    if isinstance(arn, str):
                        yield Use(key, f"{below}[{i}]", arn, authority=True)
            else:
                yield from _within(key, each, below)
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from _within(key, each, f"{path}[{i}]")
