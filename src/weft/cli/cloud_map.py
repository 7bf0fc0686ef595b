"""``get`` of what Cloud Map has: namespaces, services, instances."""

from __future__ import annotations

from typing import Any

from weft.cli.kinds import did_you_mean
from weft.cli.render import Column, Role, Table, cell
from weft.cli.session import Session
from weft.errors import NotFound

_HEALTH = {"HEALTHY": Role.OK, "UNHEALTHY": Role.BAD, "UNKNOWN": Role.DIM}
_OWN = ("WEFT_ADDRESS_", "AWS_INSTANCE_", "WEFT_MESH", "WEFT_VIRTUAL_NODE")
"""Attributes that say where an instance is; the others say what it is."""


def get_namespaces(session: Session, name: str | None) -> None:
    answer = session.client.get("/weft/v1/cloudMap/namespaces")
    found = _named(answer["namespaces"], name, ("name", "id"), "namespace", "namespaces")

    def table() -> Table:
        drawn = Table([Column("NAMESPACE"), Column("TYPE"), Column("ID"), Column("SERVICES")])
        for each in found:
            drawn.rows.append(
                [each["name"], each["type"], each["id"], ", ".join(each["services"]) or "none"]
            )
        return drawn

    session.emit_list(
        answer if name is None else found,
        found,
        name=lambda each: str(each["name"]),
        table=table,
        empty="Cloud Map has no namespace; aws servicediscovery create-http-namespace makes one",
    )


def get_services(session: Session, name: str | None) -> None:
    answer = session.client.get("/weft/v1/cloudMap/services")
    found = _named(answer["services"], name, ("name", "id"), "service", "cloudmap-services")

    def table() -> Table:
        columns = [Column("NAMESPACE"), Column("SERVICE"), Column("TYPE"), Column("ID")]
        drawn = Table([*columns, Column("INSTANCES", right=True), Column("UNHEALTHY", right=True)])
        for each in found:
            ill = sum(one["health"] == "UNHEALTHY" for one in each["instances"])
            row = [each["namespace"], each["name"], each["type"], each["id"]]
            drawn.rows.append(
                [*row, len(each["instances"]), cell(str(ill), Role.BAD) if ill else ""]
            )
        return drawn

    session.emit_list(
        answer if name is None else found,
        found,
        name=lambda each: f"{each['namespace']}/{each['name']}",
        table=table,
        empty="Cloud Map has no service; aws servicediscovery create-service makes one",
    )


def get_instances(session: Session, name: str | None) -> None:
    """Of every service, or of one; NAME may be an instance's as well."""
    answer = session.client.get("/weft/v1/cloudMap/services")
    everyone: list[dict[str, Any]] = [
        {"namespace": service["namespace"], "service": service["name"], **instance}
        for service in answer["services"]
        for instance in service["instances"]
    ]
    found = _named(everyone, name, ("id", "service"), "instance", "cloudmap-instances")

    def table() -> Table:
        columns = [Column("NAMESPACE"), Column("SERVICE"), Column("INSTANCE"), Column("HEALTH")]
        drawn = Table([*columns, Column("ADDRESS"), Column("ATTRIBUTES", free=True)])
        for each in found:
            row = [each["namespace"], each["service"], each["id"]]
            row.append(cell(each["health"], _HEALTH.get(each["health"], Role.DIM)))
            drawn.rows.append([*row, _address(each["attributes"]), _said(each["attributes"])])
        return drawn

    session.emit_list(
        {"instances": found},
        found,
        name=lambda each: f"{each['namespace']}/{each['service']}/{each['id']}",
        table=table,
        empty="no instance is registered in Cloud Map",
    )


def _address(attributes: dict[str, str]) -> str:
    own = {
        name.removeprefix("WEFT_ADDRESS_"): value
        for name, value in attributes.items()
        if name.startswith("WEFT_ADDRESS_")
    }
    if own:
        return ", ".join(f"{port} at {address}" for port, address in own.items())
    kinds = ("AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6", "AWS_INSTANCE_CNAME", "AWS_ALIAS_DNS_NAME")
    return ", ".join(attributes[kind] for kind in kinds if kind in attributes)


def _said(attributes: dict[str, str]) -> str:
    return ", ".join(
        f"{name}={value}" for name, value in attributes.items() if not name.startswith(_OWN)
    )


def _named(
    everyone: list[dict[str, Any]],
    name: str | None,
    members: tuple[str, ...],
    what: str,
    plural: str,
) -> list[dict[str, Any]]:
    found = [each for each in everyone if name is None or name in [each[m] for m in members]]
    if name is not None and not found:
        near = did_you_mean(name, [str(each[m]) for each in everyone for m in members])
        raise NotFound(
            f"Cloud Map has no {what} {name!r}",
            fix=(f"did you mean {near}? " if near else "") + f"weft get {plural} lists them",
        )
    return found
