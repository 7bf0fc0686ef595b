"""The columns of every kind of App Mesh resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from weft.cli import phrases
from weft.cli.render import Cell, Column, Role, Table, age, cell
from weft.names import Kind

Resource = Mapping[str, Any]
Maker = Callable[[Resource], Sequence[Any]]


def name_of(resource: Resource) -> str:
    """The resource's own name."""
    return str(resource[f"{resource['kind']}Name"])


def _mesh(resource: Resource) -> Sequence[Any]:
    return (name_of(resource), phrases.egress_of(resource["spec"]))


def _virtual_node(resource: Resource) -> Sequence[Any]:
    spec = resource["spec"]
    return (
        name_of(resource),
        Cell(phrases.listeners_in_words(spec)),
        phrases.discovery_of(spec),
        Cell(phrases.backends_of(spec)),
    )


def _virtual_service(resource: Resource) -> Sequence[Any]:
    return (name_of(resource), phrases.provider_of(resource["spec"]))


def _listening(resource: Resource) -> Sequence[Any]:
    return (name_of(resource), Cell(phrases.listeners_in_words(resource["spec"])))


def _route(resource: Resource) -> Sequence[Any]:
    spec = resource["spec"]
    return (
        name_of(resource),
        resource.get("virtualRouterName", ""),
        phrases.route_of(spec)[0],
        phrases.match_of(spec),
        Cell(phrases.targets_in_words(spec)),
    )


def _gateway_route(resource: Resource) -> Sequence[Any]:
    spec = resource["spec"]
    return (
        name_of(resource),
        resource.get("virtualGatewayName", ""),
        phrases.route_of(spec)[0],
        phrases.match_of(spec),
        phrases.gateway_target_of(spec),
    )


_MATCH = Column("MATCH", free=True)

COLUMNS: dict[Kind, tuple[tuple[Column, ...], Maker]] = {
    Kind.MESH: ((Column("MESH"), Column("EGRESS")), _mesh),
    Kind.VIRTUAL_NODE: (
        (Column("VIRTUAL NODE"), Column("LISTENERS"), Column("DISCOVERY"), Column("BACKENDS")),
        _virtual_node,
    ),
    Kind.VIRTUAL_SERVICE: ((Column("VIRTUAL SERVICE"), Column("PROVIDER")), _virtual_service),
    Kind.VIRTUAL_ROUTER: ((Column("VIRTUAL ROUTER"), Column("LISTENERS")), _listening),
    Kind.ROUTE: (
        (Column("ROUTE"), Column("ROUTER"), Column("PROTOCOL"), _MATCH, Column("TARGETS")),
        _route,
    ),
    Kind.VIRTUAL_GATEWAY: ((Column("VIRTUAL GATEWAY"), Column("LISTENERS")), _listening),
    Kind.GATEWAY_ROUTE: (
        (Column("GATEWAY ROUTE"), Column("GATEWAY"), Column("PROTOCOL"), _MATCH, Column("SERVICE")),
        _gateway_route,
    ),
}


def resources_table(
    kind: Kind, resources: Sequence[Resource], now: datetime, *, wide: bool, meshes: bool
) -> Table:
    """One row for each resource; ``meshes`` says in which one it is, ``wide`` how old it is."""
    columns, row_of = COLUMNS[kind]
    before = (Column("MESH"),) if meshes and kind is not Kind.MESH else ()
    extra = (
        (
            Column("PRIORITY", right=True),
            Column("VERSION", right=True),
            Column("CREATED"),
            Column("UPDATED"),
        )
        if wide
        else ()
    )
    table = Table((*before, *columns, *extra))
    for resource in resources:
        row = [resource.get("meshName", "")] if before else []
        row += row_of(resource)
        table.rows.append([*row, *(_age_cells(resource, now) if wide else ())])
    if wide and kind not in (Kind.ROUTE, Kind.GATEWAY_ROUTE):
        _drop(table, "PRIORITY")
    return table


def _age_cells(resource: Resource, now: datetime) -> Sequence[Any]:
    metadata = resource.get("metadata") or {}
    priority = resource["spec"].get("priority", "")
    return (
        priority,
        metadata.get("version", ""),
        cell(age(metadata.get("createdAt"), now), Role.DIM),
        cell(age(metadata.get("lastUpdatedAt"), now), Role.DIM),
    )


def _drop(table: Table, title: str) -> None:
    at = next(i for i, column in enumerate(table.columns) if column.title == title)
    table.columns = [column for i, column in enumerate(table.columns) if i != at]
    table.rows = [[value for i, value in enumerate(row) if i != at] for row in table.rows]
