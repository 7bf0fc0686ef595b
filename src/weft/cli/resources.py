"""``get``, ``describe`` and ``delete``: every kind, and what App Mesh does not know."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from weft.cli import cloud_map, phrases
from weft.cli.completing import complete_kind, complete_name
from weft.cli.exits import Exit, Usage
from weft.cli.kinds import NOUNS, RESOURCES, Noun, Nouns, Wanted, did_you_mean, short, wanted
from weft.cli.listing import (
    get_changes,
    get_instances,
    get_proxies,
    get_workloads,
    proxies_of,
)
from weft.cli.render import Column, Glyph, Table, plural, when
from weft.cli.session import DOCUMENTS, LISTS, Format, Session, client_command
from weft.cli.tables import name_of, resources_table
from weft.cli.waiting import timeout_option, wait_for, wait_option
from weft.errors import InUse, NotFound
from weft.names import Key, Kind

_KINDS = "Kinds: " + ", ".join(
    f"{noun.plural} ({noun.short})" if noun.short else noun.plural for noun in NOUNS
)
_DELETABLE = ", ".join(noun.plural for noun in RESOURCES)


@click.command(epilog=_KINDS + ".")
@click.argument("kind", shell_complete=complete_kind)
@click.argument("name", required=False, shell_complete=complete_name)
@click.option("-A", "--all-meshes", is_flag=True, help="Of every mesh.")
@click.option("--revision", type=click.IntRange(0), help="As it stood at this revision.")
@client_command(*LISTS)
def get(
    session: Session, *, kind: str, name: str | None, all_meshes: bool, revision: int | None
) -> None:
    """
    List what there is of a kind.

    NAME narrows it to one; a route may be written ROUTER/ROUTE. KIND/NAME, a
    key as -o name prints it, and an ARN do as well.
    """
    asked = wanted(kind, name)
    meshless = all_meshes or not asked.noun.within_mesh
    mesh = None if meshless else asked.mesh or session.mesh()
    if asked.noun.kind is None:
        if revision is not None:
            raise Usage(
                f"--revision is for resources, not for {asked.noun.plural}",
                fix="weft get routes --revision N",
            )
        _get_other(session, asked, mesh)
        return
    found = _resources(session, asked, mesh, revision)
    document: Any = found
    if asked.name is not None:
        resources = [_the_one(found["resources"], asked, mesh)]
        document = resources[0]
    else:
        resources = found["resources"]
    kind_found = asked.noun.kind
    session.emit_list(
        document,
        resources,
        name=lambda each: each["key"],
        table=lambda: resources_table(
            kind_found, resources, session.clock.now(), wide=session.wide, meshes=mesh is None
        ),
        empty=f"no {asked.noun.plural.replace('-', ' ')}" + (f" in mesh {mesh}" if mesh else ""),
    )


def _get_other(session: Session, asked: Wanted, mesh: str | None) -> None:
    match asked.noun:
        case Nouns.PROXY.value:
            get_proxies(session, mesh, asked.name)
        case Nouns.INSTANCE.value:
            get_instances(session, mesh, asked.name)
        case Nouns.CHANGE.value:
            get_changes(session, asked.name)
        case Nouns.NAMESPACE.value:
            cloud_map.get_namespaces(session, asked.name)
        case Nouns.CLOUD_MAP_SERVICE.value:
            cloud_map.get_services(session, asked.name)
        case Nouns.CLOUD_MAP_INSTANCE.value:
            cloud_map.get_instances(session, asked.name)
        case _:
            get_workloads(session, asked.name)


def _resources(
    session: Session, asked: Wanted, mesh: str | None, revision: int | None
) -> dict[str, Any]:
    assert asked.noun.kind is not None
    query = {
        "kind": asked.noun.kind.value,
        "mesh": mesh if asked.noun.kind is not Kind.MESH else None,
        "revision": revision,
    }
    try:
        found: dict[str, Any] = session.client.get("/weft/v1/resources", query)
    except NotFound as error:
        # The list itself is always there: it is the mesh or the revision that is not.
        error.fix = error.fix or ("weft get meshes" if revision is None else "weft changes")
        raise
    return found


def _the_one(resources: list[dict[str, Any]], asked: Wanted, mesh: str | None) -> dict[str, Any]:
    """The resource of that name; unknown and unclear names say what there is."""
    found = [
        each
        for each in resources
        if name_of(each) == asked.name
        and asked.parent in (None, Key.parse(each["key"]).parent_name)
    ]
    match found:
        case [one]:
            return one
        case []:
            _raise_unknown(asked.noun, asked.name or "", [name_of(r) for r in resources], mesh)
        case _:
            keys = [Key.parse(each["key"]) for each in found]
            raise Usage(
                f"{len(keys)} {asked.noun.plural} are named {asked.name}: "
                + ", ".join(short(str(key), mesh=mesh is None) for key in keys),
                fix=f"weft describe {keys[0]}",
            )
    raise AssertionError("unreachable")


def _raise_unknown(noun: Noun, name: str, known: list[str], mesh: str | None) -> None:
    place = f" in mesh {mesh}" if mesh and noun.kind is not Kind.MESH else ""
    near = did_you_mean(name, known)
    listed = f"weft get {noun.plural}"
    raise NotFound(
        f"there is no {noun.title} {name!r}{place}",
        fix=f"did you mean {near}? {listed} lists them" if near else listed,
    )


@click.command(epilog=_KINDS + ".")
@click.argument("kind", shell_complete=complete_kind)
@click.argument("name", required=False, shell_complete=complete_name)
@click.option("--revision", type=click.IntRange(0), help="As it stood at this revision.")
@client_command(*DOCUMENTS)
def describe(session: Session, *, kind: str, name: str | None, revision: int | None) -> None:
    """
    Everything about one thing.

    Its spec, its tags, who refers to it and its instances; of a proxy, what it
    was sent and has accepted. KIND/NAME, a key and an ARN do as well as KIND
    NAME. The defaults that apply to a route are in weft why.
    """
    asked = wanted(kind, name)
    if asked.name is None:
        raise Usage(
            f"which {asked.noun.title}?", fix=f"weft get {asked.noun.plural}, then name one"
        )
    if asked.noun is Nouns.PROXY.value:
        _describe_proxies(session, asked.name)
    elif asked.noun is Nouns.CHANGE.value:
        from weft.cli.history import show_change

        show_change(session, asked.name)
    elif asked.noun.kind is None:
        mesh = session.mesh() if asked.noun is Nouns.INSTANCE.value else None
        _get_other(session, asked, mesh)
    else:
        _describe_resource(session, asked, revision)


def _describe_resource(session: Session, asked: Wanted, revision: int | None) -> None:
    from weft.cli.client import resource_path

    key = _key_of(session, asked, revision)
    try:
        document = session.client.get(resource_path(str(key)), {"revision": revision})
    except NotFound:
        # The error that lists what there is helps more than the one that says no.
        listed = _resources(session, asked, key.mesh, revision)["resources"]
        document = _the_one(listed, asked, key.mesh)
    session.emit(document, lambda: _draw_resource(session, document))


def _draw_resource(session: Session, document: Mapping[str, Any]) -> None:
    metadata = document.get("metadata") or {}
    facts = [
        ("key", document.get("key")),
        ("arn", document.get("arn")),
        ("version", metadata.get("version")),
        ("created", when(metadata.get("createdAt"))),
        ("updated", when(metadata.get("lastUpdatedAt"))),
    ]
    if document.get("kind") in (Kind.ROUTE.value, Kind.GATEWAY_ROUTE.value):
        facts.append(("matches", phrases.match_of(document["spec"])))
    if targets := phrases.targets_in_words(document["spec"]):
        facts.append(("targets", ", ".join(targets)))
    if tags := document.get("tags"):
        facts.append(("tags", _tags(tags)))
    if referrers := document.get("referrers"):
        facts.append(("used by", ", ".join(short(each) for each in referrers)))
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        if value not in (None, ""):
            session.say(f"{name.ljust(width)}  {value}")
    session.say("spec")
    _draw_yaml(session, document["spec"])
    if instances := document.get("instances"):
        session.say("instances")
        table = Table((Column("INSTANCE"), Column("ADDRESSES")))
        for each in instances:
            addresses = each.get("addresses") or {}
            text = ", ".join(f"{port} at {address}" for port, address in addresses.items())
            table.rows.append((each.get("id", ""), text))
        session.draw(table, indent="  ")


def _tags(tags: Any) -> str:
    if isinstance(tags, Mapping):
        return ", ".join(f"{name}={value}" for name, value in tags.items())
    return ", ".join(f"{each.get('key')}={each.get('value')}" for each in tags)


def _draw_yaml(session: Session, document: Any) -> None:
    from weft.cli.session import dump

    for line in dump(document, Format.YAML).splitlines():
        session.say(f"  {line}")


def _describe_proxies(session: Session, name: str) -> None:
    found = proxies_of(session, None, name)
    document: Any = found[0] if len(found) == 1 else found
    session.emit(document, lambda: _draw_yaml(session, document))


@click.command(epilog=f"Kinds: {_DELETABLE}.")
@click.argument("kind", shell_complete=complete_kind)
@click.argument("names", nargs=-1, shell_complete=complete_name)
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@wait_option
@timeout_option
@client_command(*DOCUMENTS)
def delete(
    session: Session, *, kind: str, names: tuple[str, ...], yes: bool, wait: bool, timeout: float
) -> int:
    """
    Delete resources by name.

    Whole names only. Each deletion is a revision, so that weft revert can bring
    it back. What other resources still need is not deleted.
    """
    asked = [wanted(kind, name) for name in names] or [wanted(kind, None)]
    if asked[0].noun.kind is None:
        raise Usage(
            f"{asked[0].noun.plural} cannot be deleted",
            fix=f"weft delete takes {_DELETABLE}; a change is undone by weft revert REVISION",
        )
    if asked[0].name is None:
        raise Usage(
            f"which {asked[0].noun.title}?", fix=f"weft get {asked[0].noun.plural}, then name one"
        )
    keys = [_key_of(session, each, None) for each in asked]
    if not yes:
        _confirm(keys)
    deleted, revision = [], 0
    for one, key in zip(asked, keys, strict=True):
        try:
            answer = session.client.delete(_appmesh_path(key))
        except InUse as error:
            error.fix = error.fix or f"weft describe {key} shows what uses it"
            raise
        except NotFound:
            _the_one(_resources(session, one, key.mesh, None)["resources"], one, key.mesh)
            raise
        revision = answer.revision or revision
        deleted.append({"key": str(key), "revision": answer.revision})
        session.event(Glyph.OK, f"deleted {short(str(key))}" + _in_revision(answer.revision))
    if not session.drawn:
        session.emit({"deleted": deleted}, lambda: None)
    return wait_for(session, revision, timeout) if wait else Exit.OK


def _in_revision(revision: int | None) -> str:
    return f"  (revision {revision}; undo: weft revert {revision})" if revision else ""


def _key_of(session: Session, asked: Wanted, revision: int | None) -> Key:
    """The key meant; only a route named without its router must be looked for."""
    assert asked.noun.kind is not None
    assert asked.name is not None
    if asked.noun.kind is Kind.MESH:
        return Key.of_mesh(asked.name)
    mesh = asked.mesh or session.mesh()
    if asked.parent or asked.noun.kind.parent is Kind.MESH:
        return Key(mesh, asked.noun.kind, asked.name, asked.parent or "")
    listed = _resources(session, asked, mesh, revision)["resources"]
    return Key.parse(_the_one(listed, asked, mesh)["key"])


def _confirm(keys: list[Key]) -> None:
    named = ", ".join(short(str(key), mesh=True) for key in keys)
    if not sys.stdin.isatty():
        raise Usage(
            f"deleting {named} needs --yes where there is no terminal to ask at",
            fix="the same command with --yes",
        )
    click.confirm(f"Delete {plural(len(keys), 'resource')}: {named}?", abort=True, err=True)


def _appmesh_path(key: Key) -> str:
    def of(text: str) -> str:
        return quote(text, safe="")

    base = f"/v20190125/meshes/{of(key.mesh)}"
    match key.kind:
        case Kind.MESH:
            return base
        case Kind.ROUTE:
            return f"{base}/virtualRouter/{of(key.parent_name)}/routes/{of(key.name)}"
        case Kind.GATEWAY_ROUTE:
            return f"{base}/virtualGateway/{of(key.parent_name)}/gatewayRoutes/{of(key.name)}"
        case kind:
            return f"{base}/{kind}s/{of(key.name)}"
