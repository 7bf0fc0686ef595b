"""``up``, ``demo``, ``start``, ``stop``, ``serve`` and ``sidecar``: what runs on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from weft import settings
from weft.cli.render import Glyph
from weft.cli.session import DOCUMENTS, Command, Session, client_command, color_option
from weft.errors import CannotStart, WeftError
from weft.settings import Setting, Settings, data_directory

if TYPE_CHECKING:
    from weft.local.isolation import Isolate

_PATIENCE = 2.0
_RESTART = 600.0
"""Of all replicas of one workload, each with what it has in flight."""


def _option(setting: Setting) -> Callable[[Command], Command]:
    """The flag of a setting; its variable and default are read by the settings themselves."""
    name = setting.flag.removeprefix("--").replace("-", "_")
    if setting.switch:
        return click.option(
            setting.flag, name, is_flag=True, flag_value="yes", default=None, help=_help(setting)
        )
    return click.option(
        setting.flag,
        name,
        metavar="VALUE",
        help=_help(setting),
        multiple=setting.repeatable,
        callback=_joined if setting.repeatable else None,
    )


def _joined(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> str:
    return ",".join(given)


def _help(setting: Setting) -> str:
    return f"{setting.help}  [env: {setting.variable}; default: {setting.default}]"


def _serve_options(command: Command) -> Command:
    for setting in reversed(settings.SERVE):
        command = _option(setting)(command)
    return command


def _isolate_option(command: Command) -> Command:
    """``--isolate`` alone is ``--isolate yes``."""
    return click.option(
        settings.ISOLATE.flag,
        is_flag=False,
        flag_value="yes",
        metavar="[yes|require|no]",
        help=_help(settings.ISOLATE),
    )(command)


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
    # Settings first: a mistake in them is told at once.
    settings_given = _settings(given)
    from weft.server import run

    return run(settings_given)


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
    from weft.sidecar.program import main

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


@click.command()
@click.argument("workloads", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All workloads that run.")
@_option(settings.DATA)
@client_command(*DOCUMENTS, mesh=False)
def restart(session: Session, *, workloads: tuple[str, ...], every: bool, data: str | None) -> None:
    """
    Replace workloads of a running weft up, without a failed request.

    The files are read again, so a changed command or environment is a new version
    of the workload. One replica after the other: the new app starts beside the old
    one, a new Envoy takes the sockets over and leads to it, and the old app ends
    when what it had in flight is done. Only where two cannot be at once (an app
    with a fixed port, no sidecar) is there a pause, and it is said.
    WORKLOADS are names of the weft.yaml, or NAME/REPLICA.
    """
    if bool(workloads) == every:
        raise click.UsageError("name the workloads, or give --all")
    if every:
        status = request(session, {"op": "status"}, data)
        workloads = tuple(str(each["name"]) for each in status["workloads"])
    answers: list[Any] = []
    for name in workloads:
        answer = request(session, {"op": "restart", "workload": name}, data, seconds=_RESTART)
        answers += answer["replicas"]
        for replica in answer["replicas"]:
            _say_replaced(session, replica)
    session.emit({"replicas": answers}, lambda: None)


def _say_replaced(session: Session, replica: Mapping[str, Any]) -> None:
    version = "from the changed files" if replica.get("changed") else "as before"
    said = f"{replica['name']}  replaced {version} in {replica['seconds']:.1f} s"
    if replica.get("paused"):
        session.event(Glyph.SAME, f"{said}, with a pause: {replica['paused']}")
    else:
        session.event(Glyph.OK, f"{said}, without a pause")


def _control(session: Session, op: str, workload: str, data: str | None) -> None:
    answer = request(session, {"op": op, "workload": workload}, data)
    unchanged = set(answer.get("unchanged") or ())

    def draw() -> None:
        for replica in answer.get("replicas") or ():
            name, state = replica.get("name", workload), replica.get("state", "")
            before = "was so before" if name in unchanged else ""
            if replica.get("waitsFor"):
                before = f"waits for {replica['waitsFor']}"
            glyph = Glyph.SAME if before else Glyph.OK
            session.event(glyph, f"{name}  {state}" + (f"  ({before})" if before else ""))

    session.emit(answer, draw)


def request(
    session: Session, message: Mapping[str, Any], data: str | None, *, seconds: float = 60
) -> dict[str, Any]:
    """Ask the weft up of a data directory; of none given, that of the control plane we talk to."""
    from weft.local.control import request as ask

    given = data or os.environ.get(settings.DATA.variable) or _data_of(session)
    answer: dict[str, Any] = ask(data_directory(given), dict(message), seconds=seconds)
    return answer


def _data_of(session: Session) -> str:
    try:
        answer = session.client.get("/weft/v1/status", timeout=_PATIENCE)
    except WeftError:
        return settings.DATA.default
    return str(answer.get("data") or settings.DATA.default)


@click.command()
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    help="weft.yaml with the workloads; without one, the control plane alone.",
)
@click.option("--mesh", metavar="NAME", help="Mesh, where the files leave it open.")
@_isolate_option
@_serve_options
@color_option
def up(
    *,
    files: tuple[str, ...],
    mesh: str | None,
    isolate: str | None,
    color: str | None,
    **given: Any,
) -> int:
    """
    Run the control plane and the workloads of a weft.yaml.

    Everything in the foreground with one log; a workload that crashes is
    started again. Ctrl-C stops all of it. Without -f an empty control plane.
    """
    settings_given = _settings(given)
    settings_given.refuse_all_but_here()
    from weft.local.run import UpOptions
    from weft.local.run import up as run

    mesh = mesh or os.environ.get("WEFT_MESH") or None
    return run(
        UpOptions(
            settings=settings_given,
            files=files,
            mesh=mesh,
            color=_color(color),
            isolate=_isolate(isolate),
        )
    )


@click.command()
@click.option("--no-traffic", is_flag=True, help="Send no requests.")
@click.option("--no-mesh", is_flag=True, help="Start the workloads; others create the mesh.")
@click.option("--fresh", is_flag=True, help="Bring the example's own mesh back.")
@click.option(
    settings.GATEWAY_PORT.flag,
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help=_help(settings.GATEWAY_PORT),
)
@_isolate_option
@_serve_options
@color_option
def demo(
    *,
    no_traffic: bool,
    no_mesh: bool,
    fresh: bool,
    gateway_port: int | None,
    isolate: str | None,
    color: str | None,
    **given: Any,
) -> int:
    """
    Run Color App, the example mesh, with some traffic.

    A gateway asks colorteller for a colour; the mesh shares the answers over
    white, blue and red. What you changed in an earlier run stays, unless --fresh.
    It prints three commands worth trying. Ctrl-C stops it.
    """
    if fresh and no_mesh:
        raise click.UsageError("--fresh and --no-mesh contradict each other")
    settings_given = _settings(given)
    settings_given.refuse_all_but_here()
    from weft.local.demo import DemoOptions
    from weft.local.demo import demo as run

    return run(
        DemoOptions(
            settings=settings_given,
            gateway_port=gateway_port,
            traffic=not no_traffic,
            mesh=not no_mesh,
            fresh=fresh,
            color=_color(color),
            isolate=_isolate(isolate),
        )
    )


def _isolate(given: str | None) -> Isolate:
    from weft.local.isolation import Isolate

    setting = settings.ISOLATE
    text = given or os.environ.get(setting.variable) or setting.default
    try:
        return Isolate(text)
    except ValueError:
        raise CannotStart(
            f"{setting.flag} is {text!r}", fix=f"give one of {', '.join(Isolate)}"
        ) from None


def _color(given: str | None) -> str:
    return given or click.get_current_context().find_root().params.get("color") or "auto"
