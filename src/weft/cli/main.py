"""The command line: finds the command, runs it, and turns every error into three lines and a number."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

import click

from weft.cli.commands import ENTRIES, SECTIONS
from weft.cli.exits import Exit, exit_of, lines_of
from weft.cli.render import Paint, Role
from weft.cli.session import color_option, credential_options, endpoint_option, mesh_option
from weft.errors import WeftError

PROGRAM = "weft"
_COMPLETE = "_WEFT_COMPLETE"


class Weft(click.Group):
    """The commands of ``commands.py``, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = ENTRIES.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.place.partition(":")
        found = getattr(importlib.import_module(f"weft.cli.{module}"), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in ENTRIES and not name.startswith("-") and not ctx.resilient_parsing:
            from weft.cli.kinds import did_you_mean

            near = did_you_mean(name, list(ENTRIES))
            raise click.UsageError(
                f"there is no command {name!r}" + (f"; did you mean {near!r}?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, ENTRIES))
        for section in SECTIONS:
            with formatter.section(section.title):
                formatter.write_dl([(e.name.ljust(width), e.help) for e in section.entries])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write_text("weft COMMAND --help explains a command; weft help lists topics.")


@click.group(
    cls=Weft,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@mesh_option
@endpoint_option
@credential_options[0]
@credential_options[1]
@credential_options[2]
@color_option
@click.option("--version", is_flag=True, help="Print the version.")
@click.pass_context
def weft(ctx: click.Context, /, *, version: bool, **_: Any) -> int | None:
    """Weft: a service mesh that installs with pip. The AWS App Mesh API in front, Envoy behind."""
    if version:
        from weft.cli.about import own_version

        print(f"weft {own_version()}")
        return Exit.OK
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is the answer to a script."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show must not end a command.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except click.UsageError as error:
        return _usage(error)
    except click.ClickException as error:
        return _complain([("error:", error.format_message())], Exit.FAILED)
    except (click.Abort, KeyboardInterrupt):
        return _complain([("", "interrupted; what was saved before stays")], Exit.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone, as head does; nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except WeftError as error:
        return _complain(lines_of(error), exit_of(error))
    except BaseExceptionGroup as group:
        # A part of the control plane that could not start, seen from outside its task group.
        found = _first(group)
        if not isinstance(found, WeftError):
            raise
        return _complain(lines_of(found), exit_of(found))
    return code


def _run(arguments: list[str]) -> int:
    if _COMPLETE in os.environ:
        weft.main(arguments, prog_name=PROGRAM, complete_var=_COMPLETE)
    # Not weft.main: it would turn a reader that has gone into a failure.
    try:
        with weft.make_context(PROGRAM, list(arguments)) as context:
            code = weft.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    return int(code) if isinstance(code, int) else Exit.OK


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _usage(error: click.UsageError) -> int:
    lines = [("error:", error.format_message())]
    if error.ctx is not None:
        lines.append(("fix:", f"{error.ctx.command_path} --help"))
    return _complain(lines, Exit.USAGE)


def _complain(lines: list[tuple[str, str]], code: Exit) -> int:
    paint = Paint(sys.stderr, _color())
    roles = {"error:": Role.BAD, "fix:": Role.OK}
    with contextlib.suppress(BrokenPipeError):
        for label, text in lines:
            margin = paint.text(label, roles.get(label, Role.STRONG)) + " " * (7 - len(label))
            print(f"{margin}{text}" if lines[0][0] else text, file=sys.stderr)
    return code


def _color() -> str:
    """Whatever was said on the command line, also where parsing it is what failed."""
    for i, argument in enumerate(sys.argv):
        if argument in ("--color=always", "--color=never"):
            return argument.partition("=")[2]
        if argument == "--color" and sys.argv[i + 1 : i + 2] in (["always"], ["never"]):
            return sys.argv[i + 1]
    return "auto"
