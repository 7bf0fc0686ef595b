"""Live names for shell completion: at once, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from weft import settings
from weft.cli.kinds import NOUNS, Nouns, noun_of
from weft.errors import WeftError

_PATIENCE = 0.12  # seconds; a shell that waits for a Tab feels broken

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _starting(names: list[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_kind(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return _starting([noun.plural for noun in NOUNS], incomplete)


def complete_name(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of the kind that stands before."""
    try:
        return _starting(_names(context, str(context.params.get("kind"))), incomplete)
    except (WeftError, LookupError, TypeError):
        return []


def complete_service(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    try:
        return _starting(_names(context, Nouns.VIRTUAL_SERVICE.noun.singular), incomplete)
    except (WeftError, LookupError, TypeError):
        return []


def _names(context: click.Context, kind: str) -> list[str]:
    from weft.cli.client import Client

    noun = noun_of(kind)
    endpoint = (
        context.params.get("endpoint")
        or os.environ.get(settings.ENDPOINT.variable)
        or settings.ENDPOINT.default
    )
    mesh = context.params.get("mesh") or os.environ.get("WEFT_MESH")
    client = Client(endpoint, agent="weft completion")
    try:
        if noun is Nouns.PROXY.noun:
            found = client.get("/weft/v1/proxies", {"mesh": mesh}, timeout=_PATIENCE)
            return [each["instance"] for each in found["proxies"]]
        if noun.kind is None:
            return []
        query = {"kind": noun.kind.value, "mesh": mesh if noun is not Nouns.MESH.noun else None}
        found = client.get("/weft/v1/resources", query, timeout=_PATIENCE)
        return sorted({each[f"{noun.kind.value}Name"] for each in found["resources"]})
    finally:
        client.close()
