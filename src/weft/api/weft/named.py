"""Kinds as people write them."""

from __future__ import annotations

from weft.names import Kind


def kind_named(text: str) -> Kind | None:
    """``virtualNode`` or ``VirtualNode``; None for anything else."""
    try:
        return Kind(text[:1].lower() + text[1:])
    except ValueError:
        return None
