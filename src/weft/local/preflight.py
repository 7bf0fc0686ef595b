"""What would go wrong later, found before anything is started: taken ports, missing programs."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence

from weft.errors import CannotStart, Invalid, Problem
from weft.local.ports import LOOPBACK, is_free
from weft.manifests.workload import Workload
from weft.settings import API, XDS, Address, Setting, Settings


def check(
    settings: Settings,
    workloads: Sequence[Workload],
    environment: Mapping[str, str],
    *,
    setting_of_port: Mapping[int, Setting] | None = None,
    isolated: bool = False,
) -> None:
    """
    Raises what the operator has to mend; ``setting_of_port`` names the flag behind a port.

    ``isolated``: apps have ports of their own, which nobody else can take.
    """
    if found := list(_missing(workloads, environment)):
        raise Invalid(found)
    _check_ports(settings, workloads, setting_of_port or {}, isolated=isolated)


def _missing(workloads: Sequence[Workload], environment: Mapping[str, str]) -> Iterator[Problem]:
    for workload in workloads:
        if not workload.directory.is_dir():
            yield Problem(
                workload.source, f"workload {workload.name}: no directory {workload.directory}"
            )
            continue
        if workload.is_gateway:
            continue
        program = workload.command[0]
        if program.placeholders:
            continue
        path = next((value for name, value in workload.env if name == "PATH" and value), None)
        name = str(program)
        if os.sep in name:
            found = shutil.which(workload.directory / name)
        else:
            found = shutil.which(name, path=str(path) if path else environment.get("PATH"))
        if found is None:
            yield Problem(workload.source, f"workload {workload.name}: no program {name!r}")


def _check_ports(
    settings: Settings,
    workloads: Sequence[Workload],
    setting_of_port: Mapping[int, Setting],
    *,
    isolated: bool,
) -> None:
    if settings.api.path:
        raise CannotStart(
            f"the API cannot be served at {settings.api}",
            fix=f"give HOST:PORT, as in {API.flag} {API.default}",
        )
    wanted: dict[int, str] = {}

    def want(host: str, port: int, what: str, fix: str) -> None:
        if port == 0:
            return
        if port in wanted:
            raise CannotStart(f"port {port} is asked for by {wanted[port]} and by {what}", fix=fix)
        wanted[port] = what
        try:
            free = is_free(host, port)
        except OSError as error:
            raise CannotStart(
                f"{what} cannot use {host}:{port}: {error.strerror}", fix=fix
            ) from error
        if not free:
            raise CannotStart(f"port {port}, for {what}, is taken by another program", fix=fix)

    for setting, address, what in (
        (API, settings.api, "the API"),
        (XDS, settings.xds, "xDS"),
    ):
        fix = f"stop what listens there, or give another: {_usage(setting)}"
        if address.path:
            if _answers(address):
                raise CannotStart(f"{address}, for {what}, is taken by another program", fix=fix)
        else:
            want(address.host, address.port, what, fix)
    for workload in workloads:
        fixed = [(each.port, "ingress") for each in workload.ingress]
        if not isolated or workload.node is None:
            fixed += [(each.fixed, "ports") for each in workload.ports or () if each.fixed]
        for port, key in fixed:
            fix = f"stop what listens there, or change {key}: in {workload.source}"
            if port in setting_of_port:
                fix = f"stop what listens there, or give another: {_usage(setting_of_port[port])}"
            want(LOOPBACK, port, f"workload {workload.name}", fix)


def _usage(setting: Setting) -> str:
    shape = "127.0.0.1:PORT" if ":" in setting.default else "PORT"
    return f"{setting.flag} {shape} (or {setting.variable})"


def _answers(address: Address) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address.path)
        except OSError:
            return False
    return True
