"""``version``, ``completion`` and ``help``: about the command line itself."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import click

from weft import settings
from weft.cli.commands import ENTRIES
from weft.cli.exits import MEANINGS, Exit, Usage
from weft.cli.kinds import did_you_mean
from weft.cli.session import DOCUMENTS, Session, client_command
from weft.errors import WeftError

_SHELLS = ("bash", "zsh", "fish")
_PATIENCE = 2.0

OTHER_VARIABLES = (
    ("WEFT_MESH", "Mesh that a command means, where --mesh does not say."),
    ("NO_COLOR", "Set: no colours."),
    ("FORCE_COLOR", "Set: colours also where there is no terminal."),
    ("COLUMNS", "Width of tables, where there is no terminal to ask."),
    ("XDG_STATE_HOME", "Where the data directory lies by default; else ~/.local/state."),
    ("ENVOY", "Path of an Envoy to use in place of the one that comes with Weft."),
)


def own_version() -> str:
    """The version of this installation."""
    try:
        return metadata.version("weft")
    except metadata.PackageNotFoundError:
        return "unknown (not installed)"


@click.command()
@client_command(*DOCUMENTS, mesh=False)
def version(session: Session) -> None:
    """Versions of this client and of the control plane, if one answers."""
    mine, theirs = own_version(), _control_plane(session)
    document = {"client": mine, "control_plane": theirs, "endpoint": session.endpoint}

    def draw() -> None:
        session.say(f"weft {mine}")
        session.say(f"control plane {theirs or 'none'} at {session.endpoint}")

    session.emit(document, draw)
    if theirs and theirs != mine:
        session.warn(f"this client is {mine}, the control plane is {theirs}; install one version")


def _control_plane(session: Session) -> str | None:
    try:
        answer: dict[str, Any] = session.client.get("/weft/v1/status", timeout=_PATIENCE)
    except WeftError:
        return None
    return str(answer.get("version"))


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """
    Print a script that completes commands and live names.

    bash: weft completion bash >> ~/.bashrc. zsh: weft completion zsh >>
    ~/.zshrc. fish: weft completion fish > ~/.config/fish/completions/weft.fish.
    """
    from click.shell_completion import ShellComplete, get_completion_class

    from weft.cli.main import weft

    found = get_completion_class(shell)
    assert found is not None
    # Bash's own class starts bash to ask its version; the script is the same without.
    print(ShellComplete.source(found(weft, {}, "weft", "_WEFT_COMPLETE")))


@click.command(name="help")
@click.argument("topic", nargs=-1)
@click.pass_context
def help(ctx: click.Context, /, *, topic: tuple[str, ...]) -> None:
    """
    Explain a command or a topic.

    Topics: exit-codes, environment.
    """
    match topic:
        case ():
            assert ctx.parent is not None
            print(ctx.parent.get_help())
        case ("exit-codes",):
            print("\n".join(exit_code_lines()))
        case ("environment",):
            print("\n".join(environment_lines()))
        case ("sidecar", *_):
            print(f"{ENTRIES['sidecar'].help}\n\nweft sidecar --help lists its options.")
        case (name, *_) if name in ENTRIES:
            _explain(ctx, name)
        case _:
            name = topic[0]
            known = [*ENTRIES, "exit-codes", "environment"]
            near = did_you_mean(name, known)
            raise Usage(
                f"there is no command or topic {name!r}",
                fix=f"weft help {near}" if near else "weft help",
            )


def _explain(ctx: click.Context, name: str) -> None:
    assert ctx.parent is not None
    group = ctx.parent.command
    assert isinstance(group, click.Group)
    command = group.get_command(ctx.parent, name)
    assert command is not None
    with click.Context(command, info_name=name, parent=ctx.parent) as inner:
        print(command.get_help(inner))


def exit_code_lines() -> list[str]:
    return ["Exit codes", ""] + [f"  {code.value:>3}  {MEANINGS[code]}" for code in Exit]


def every_setting() -> list[settings.Setting]:
    """The settings of ``settings.py``, in its order."""
    return [each for each in vars(settings).values() if isinstance(each, settings.Setting)]


def environment_lines() -> list[str]:
    """Every variable that is read: a flag wins over it, it wins over the default."""
    rows = [
        (each.variable, f"{each.help}  (flag {each.flag}, default {each.default})")
        for each in every_setting()
    ]
    rows += OTHER_VARIABLES
    width = max(len(name) for name, _ in rows)
    return ["Environment variables; a flag wins over each", ""] + [
        f"  {name.ljust(width)}  {text}" for name, text in rows
    ]
