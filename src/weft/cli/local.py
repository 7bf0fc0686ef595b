"""``up``, ``demo``, ``start``, ``stop``, ``serve`` and ``sidecar``: what runs on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import click

from weft import settings
from weft.cli.render import Glyph
from weft.cli.session import DOCUMENTS, Command, Session, client_command, color_option
from weft.settings import Setting, Settings, data_directory


def _option(setting: Setting) -> Callable[[Command], Command]:
    """The flag of a setting; its variable and default are read by the settings themselves."""
    return click.option(
        setting.flag,
        setting.flag.removeprefix("--").replace("-", "_"),
        metavar="VALUE",
        help=f"{setting.help}  [env: {setting.variable}; default: {setting.default}]",
    )


def _serve_options(command: Command) -> Command:
    for setting in reversed(settings.SERVE):
        command = _option(setting)(command)
    return command


def _settings(given: Mapping[str, Any]) -> Settings:
    return Settings.read(
        {
            each.flag: given[each.flag.removeprefix("--").replace("-", "_")]
            for each in settings.SERVE
        }
    )


@click.command()
@_serve_options
def serve(**given: Any) -> int:
    """
    Run the control plane alone.

    The App Mesh API, Weft's own API and xDS, until Ctrl-C or SIGTERM. It can be
    stopped at any moment: what was acknowledged is on disk, and proxies keep
    what they have.
    """
    from weft.server import run

    return run(_settings(given))


@click.command(
    name="sidecar", context_settings={"ignore_unknown_options": True, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sidecar(*, arguments: tuple[str, ...]) -> int:
    """
    Run Envoy beside one workload.

    weft sidecar --help lists its options.
    """
    # Usually never reached: weft.__main__ starts a sidecar without importing Click.
    from weft.sidecar.agent import main

    return main(list(arguments))


@click.command()
@click.argument("workload")
@_option(settings.DATA)
@client_command(*DOCUMENTS, mesh=False)
def start(session: Session, *, workload: str, data: str | None) -> None:
    """
    Bring a stopped workload of a running weft up back.

    WORKLOAD is a name of the weft.yaml, or NAME/REPLICA.
    """
    _control(session, "start", workload, data)


@click.command()
@click.argument("workload")
@_option(settings.DATA)
@client_command(*DOCUMENTS, mesh=False)
def stop(session: Session, *, workload: str, data: str | None) -> None:
    """
    Take a workload of a running weft up down, and keep it down.

    Its instances leave the mesh before it is stopped, so that no request is
    lost. WORKLOAD is a name of the weft.yaml, or NAME/REPLICA.
    """
    _control(session, "stop", workload, data)


def _control(session: Session, op: str, workload: str, data: str | None) -> None:
    answer = request({"op": op, "workload": workload}, data=data)
    done = {"start": "started", "stop": "stopped"}[op]
    session.emit(answer, lambda: session.event(Glyph.OK, f"{done} {workload}"))


def request(message: Mapping[str, Any], *, data: str | None) -> dict[str, Any]:
    """Ask the weft up that runs in the data directory."""
    from weft.local import control

    directory = data_directory(
        data or os.environ.get(settings.DATA.variable) or settings.DATA.default
    )
    answer: dict[str, Any] = control.request(directory, dict(message))
    return answer


@click.command()
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    help="weft.yaml with the workloads; without one, the control plane alone.",
)
@_serve_options
@color_option
def up(*, files: tuple[str, ...], color: str | None, **given: Any) -> int:
    """
    Run the control plane and the workloads of a weft.yaml.

    Everything in the foreground with one log; a workload that crashes is
    started again. Ctrl-C stops all of it. Without -f an empty control plane.
    """
    from weft.local.run import UpOptions
    from weft.local.run import up as run

    return run(UpOptions(settings=_settings(given), files=files, color=color or "auto"))


@click.command()
@click.option("--no-traffic", is_flag=True, help="Send no requests.")
@click.option("--no-mesh", is_flag=True, help="Start the workloads; others create the mesh.")
@click.option("--fresh", is_flag=True, help="Bring the example's own mesh back, changes undone.")
@_option(settings.GATEWAY_PORT)
@_serve_options
@color_option
def demo(
    *,
    no_traffic: bool,
    no_mesh: bool,
    fresh: bool,
    gateway_port: str | None,
    color: str | None,
    **given: Any,
) -> int:
    """
    Run Color App, the example mesh, with some traffic.

    A gateway asks colorteller for a colour; the mesh shares the answers over
    white, blue and red. It prints three commands worth trying. Ctrl-C stops it.
    What you changed in its mesh is kept for the next start; --fresh undoes it.
    """
    from weft.local.demo import DemoOptions
    from weft.local.demo import demo as run

    return run(
        DemoOptions(
            settings=_settings(given),
            traffic=not no_traffic,
            mesh=not no_mesh,
            fresh=fresh,
            gateway_port=gateway_port,
            color=color or "auto",
        )
    )
