"""``get`` of what App Mesh does not know: proxies, instances, changes, workloads."""

from __future__ import annotations

from typing import Any

from weft.cli.history import changes_table
from weft.cli.kinds import did_you_mean
from weft.cli.proxies import id_of, node_of, proxies_table, refusals
from weft.cli.render import Cell, Column, Glyph, Role, Table, cell
from weft.cli.session import Session
from weft.errors import NotFound
from weft.names import Kind

_CHANGES = 20


def get_proxies(session: Session, mesh: str | None, name: str | None) -> None:
    """One row for each Envoy; what was refused stands below, in Envoy's words."""
    answer = session.client.get("/weft/v1/proxies", {"mesh": mesh})
    found = answer["proxies"] if name is None else _named(answer["proxies"], name)
    session.emit_list(
        answer if name is None else found,
        found,
        name=lambda proxy: str(proxy.get("instance", "")),
        table=lambda: proxies_table(
            found, session.out, session.clock.now(), wide=session.wide, meshes=mesh is None
        ),
        empty="no proxy has connected yet; a workload's sidecar does: weft up, or weft sidecar",
    )
    if session.drawn:
        for proxy in found:
            for refusal in refusals(proxy):
                sign = session.out.text(session.out.glyph(Glyph.BAD), Role.BAD)
                session.say(f"{sign} {refusal}")


def proxies_of(session: Session, mesh: str | None, name: str) -> list[dict[str, Any]]:
    """The proxy of an instance id, or all replicas of a virtual node."""
    return _named(session.client.get("/weft/v1/proxies", {"mesh": mesh})["proxies"], name)


def _named(proxies: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    found = [
        proxy
        for proxy in proxies
        if name in (proxy.get("instance"), node_of(proxy), str(id_of(proxy)))
    ]
    if not found:
        known = [str(proxy.get("instance")) for proxy in proxies] + [node_of(p) for p in proxies]
        near = did_you_mean(name, known)
        raise NotFound(
            f"there is no proxy {name!r}",
            fix=(f"did you mean {near}? " if near else "") + "weft get proxies lists them",
        )
    return found


def get_instances(session: Session, mesh: str | None, name: str | None) -> None:
    """The registered workloads, of one virtual node or of all."""
    from weft.cli.client import path_of

    query = {"kind": Kind.VIRTUAL_NODE.value, "mesh": mesh}
    nodes = session.client.get("/weft/v1/resources", query)["resources"]
    found: list[dict[str, Any]] = []
    for node in nodes:
        owner, node_name = node["meshName"], node["virtualNodeName"]
        path = path_of("meshes", owner, "virtualNodes", node_name, "instances")
        for instance in session.client.get(path)["instances"]:
            found.append({"meshName": owner, "virtualNodeName": node_name, **instance})
    if name is not None:
        known = [each["id"] for each in found] + [node["virtualNodeName"] for node in nodes]
        found = [each for each in found if name in (each["id"], each["virtualNodeName"])]
        if not found and name not in known:
            near = did_you_mean(name, known)
            raise NotFound(
                f"there is no instance {name!r}",
                fix=(f"did you mean {near}? " if near else "") + "weft get instances lists them",
            )

    def table() -> Table:
        columns = [Column("MESH")] if mesh is None else []
        columns += [Column("VIRTUAL NODE"), Column("INSTANCE"), Column("ADDRESSES")]
        drawn = Table([*columns, Column("LEASE", right=True)])
        for each in found:
            addresses = each.get("addresses") or {}
            row = [each["meshName"]] if mesh is None else []
            row += [each["virtualNodeName"], each["id"]]
            row.append(", ".join(f"{port} at {address}" for port, address in addresses.items()))
            lease = each.get("leaseSeconds")
            drawn.rows.append([*row, f"{lease:g} s" if lease else ""])
        return drawn

    session.emit_list(
        {"instances": found},
        found,
        name=lambda each: str(each["id"]),
        table=table,
        empty="no instance is registered; weft up registers the workloads it starts",
    )


def get_changes(session: Session, name: str | None) -> None:
    """The newest changes, or one."""
    from weft.cli.history import show_change

    if name is not None:
        show_change(session, name)
        return
    answer = session.client.get("/weft/v1/changes", {"limit": _CHANGES})
    found = answer["changes"]
    session.emit_list(
        answer,
        found,
        name=lambda each: str(each["revision"]),
        table=lambda: changes_table(session, found),
        empty="nothing was changed yet",
    )


def get_workloads(session: Session, name: str | None) -> None:
    """What a running weft up has started."""
    from weft.cli.local import request

    answer = request(session, {"op": "status"}, None)
    everyone = answer.get("workloads") or []
    found = [each for each in everyone if name in (None, each["name"])]
    if name is not None and not found:
        near = did_you_mean(name, [str(each["name"]) for each in everyone])
        raise NotFound(
            f"there is no workload {name!r}",
            fix=(f"did you mean {near}? " if near else "") + "weft get workloads lists them",
        )
    session.emit_list(
        answer if name is None else found,
        found,
        name=lambda each: str(each["name"]),
        table=lambda: _workloads_table(found, wide=session.wide),
        empty="weft up runs no workload here; give it a file: weft up -f weft.yaml",
    )


_STATES = {"running": Role.OK, "stopped": Role.DIM, "restarting": Role.BAD}


def _workloads_table(found: list[dict[str, Any]], *, wide: bool) -> Table:
    columns = [Column("WORKLOAD"), Column("STATE"), Column("STANDS FOR")]
    columns += [Column("PID", right=True), Column("RESTARTS", right=True)]
    if wide:
        columns += [Column("SIDECAR PID", right=True), Column("INSTANCE")]
    replicas = [each for workload in found for each in workload["replicas"]]
    waits = any(replica.get("waitsFor") for replica in replicas)
    reached = any(replica.get("urls") for replica in replicas)
    if reached:
        columns.append(Column("REACHED AT"))
    table = Table([*columns, Column("WAITS FOR", free=True)] if waits else columns)
    for replica in replicas:
        state = str(replica.get("state", ""))
        row = [replica.get("name"), cell(state, _STATES.get(state, Role.WARN))]
        stands_for = replica.get("virtualNode") or replica.get("virtualGateway")
        row += [stands_for, replica.get("pid"), replica.get("restarts")]
        if wide:
            row += [replica.get("sidecarPid"), replica.get("instance")]
        if reached:
            row.append(Cell(tuple((replica.get("urls") or {}).values()) or ("",)))
        table.rows.append([*row, replica.get("waitsFor")] if waits else row)
    return table
