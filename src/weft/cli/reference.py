"""Writes the reference of commands, settings and checks (``docs/cli.md`` and so on) to stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from weft.cli.about import OTHER_VARIABLES, every_setting
from weft.cli.commands import SECTIONS
from weft.cli.exits import MEANINGS, Exit
from weft.cli.kinds import NOUNS
from weft.cli.main import weft

_GENERATED = "<!-- written by: python -m weft.cli.reference {page} -->"


def commands_page() -> str:
    """Every command with its help and options."""
    lines = [
        "# The command line",
        "",
        _GENERATED.format(page="commands"),
        "",
        "Data goes to stdout, everything else to stderr; `-o json` gives the data of any command "
        "that answers a question.",
        "Errors are three lines: what is wrong, why, and what to do next.",
        "Colours are for terminals: `--color`, `NO_COLOR` and `FORCE_COLOR` decide otherwise.",
        "Without `--mesh` and `$WEFT_MESH` a command means the only mesh there is.",
        "",
    ]
    for section in SECTIONS:
        lines += [f"## {section.title}", ""]
        for entry in section.entries:
            lines += _command(entry.name)
    lines += ["## Kinds", "", "| kind | plural | short |", "|---|---|---|"]
    lines += [f"| {n.singular} | {n.plural} | {n.short} |" for n in NOUNS]
    lines += ["", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code.value} | {MEANINGS[code]} |" for code in Exit]
    return "\n".join(lines) + "\n"


def _command(name: str) -> Iterator[str]:
    context = click.Context(weft, info_name="weft")
    command = weft.get_command(context, name)
    assert command is not None
    yield from _explained(command, name, context, "###")


def _explained(
    command: click.Command, name: str, context: click.Context, heading: str
) -> Iterator[str]:
    with click.Context(command, info_name=name, parent=context) as inner:
        usage = " ".join(command.collect_usage_pieces(inner))
        yield f"{heading} {inner.command_path}"
        yield ""
        yield f"    {inner.command_path} {usage}".rstrip()
        yield ""
        for paragraph in (command.help or "").strip().split("\n\n"):
            yield " ".join(paragraph.split())
            yield ""
        records = [
            record
            for parameter in command.get_params(inner)
            if isinstance(parameter, click.Option)
            and "--help" not in parameter.opts
            and (record := parameter.get_help_record(inner)) is not None
        ]
        if records:
            yield "| option | |"
            yield "|---|---|"
            for option, text in records:
                yield f"| `{_cell(option)}` | {_cell(text)} |"
            yield ""
        if isinstance(command, click.Group):
            for each in command.list_commands(inner):
                part = command.get_command(inner, each)
                assert part is not None
                yield from _explained(part, each, inner, f"{heading}#")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def settings_page() -> str:
    """Every setting with its flag, its variable and its default."""
    lines = [
        "# Settings",
        "",
        _GENERATED.format(page="settings"),
        "",
        "A flag wins over its environment variable, that over the default.",
        "",
        "| flag | variable | default | |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{each.flag}` | `{each.variable}` | `{each.default}` | {_cell(each.help)} |"
        for each in every_setting()
    ]
    lines += ["", "Besides, these variables are read:", "", "| variable | |", "|---|---|"]
    lines += [f"| `{name}` | {_cell(text)} |" for name, text in OTHER_VARIABLES]
    lines += ["", "A sidecar has settings of its own: `weft sidecar --help`."]
    return "\n".join(lines) + "\n"


def checks_page() -> str:
    """Every check with its cause and its fix."""
    from weft.checks.catalogue import THEMES

    lines = [
        "# Checks",
        "",
        _GENERATED.format(page="checks"),
        "",
        "`weft check` looks at the control plane, the proxies and everything that is configured; "
        "`weft check FILES` at definitions before they are applied; `weft apply --check` refuses "
        "what is an error.",
        "The API is `GET` and `POST /weft/v1/checks`. What App Mesh would refuse it still refuses, "
        "and takes what it would take: findings are advice.",
        "A code keeps its meaning and is never used again.",
        "",
        "An *error* means that requests fail or something asked for is not in force; a *warning*, "
        "that it works and not as it reads; *info* is worth knowing and often meant so.",
        "",
    ]
    for title, checks in THEMES:
        lines += [f"## {title}", ""]
        for each in checks:
            lines += [f"### {each.code}: {each.title}", "", f"*{each.severity}*", ""]
            lines += [each.cause, "", f"Fix: {each.fix}", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


PAGES = {"commands": commands_page, "settings": settings_page, "checks": checks_page}


def main(arguments: list[str]) -> int:
    match arguments:
        case [page] if page in PAGES:
            sys.stdout.write(PAGES[page]())
            return Exit.OK
        case _:
            print(f"usage: python -m weft.cli.reference {'|'.join(PAGES)}", file=sys.stderr)
            return Exit.USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
