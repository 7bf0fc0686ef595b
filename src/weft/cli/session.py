"""One run of a client command: its options, its control plane, its output."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import click

from weft import settings
from weft.cli.exits import Usage
from weft.cli.render import Glyph, Paint, Role, Table
from weft.errors import NotFound

if TYPE_CHECKING:
    from weft.cli.client import Client
    from weft.clock import Clock

Command = Callable[..., int | None]
COLORS = ("auto", "always", "never")


class Format(StrEnum):
    """What ``-o`` takes."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    NAME = "name"


LISTS = tuple(Format)
DOCUMENTS = (Format.TABLE, Format.JSON, Format.JSONL, Format.YAML)


@dataclass(slots=True)
class Session:
    """What every client command works with. Data goes to stdout, all else to stderr."""

    endpoint: str = settings.ENDPOINT.default
    endpoint_given: bool = False
    token: str | None = None
    ca: str | None = None
    mesh_given: str | None = None
    format: Format = Format.TABLE
    headers: bool = True
    color: str = "auto"
    agent: str = "weft"
    _clock: Clock | None = None
    _client: Client | None = None
    _out: Paint | None = None
    _err: Paint | None = None

    @property
    def clock(self) -> Clock:
        if self._clock is None:
            from weft.clock import SystemClock

            self._clock = SystemClock()
        return self._clock

    @property
    def client(self) -> Client:
        if self._client is None:
            from weft.cli.client import Client

            self._client = Client(
                self.endpoint, agent=self.agent, clock=self.clock, token=self.token, ca=self.ca
            )
            if self.token and self._client.endpoint.is_open_to_others:
                self.warn(f"the token travels to {self.endpoint} without TLS, and can be read")
        return self._client

    @property
    def out(self) -> Paint:
        if self._out is None:
            self._out = Paint(sys.stdout, self.color)
        return self._out

    @property
    def err(self) -> Paint:
        if self._err is None:
            self._err = Paint(sys.stderr, self.color)
        return self._err

    @property
    def wide(self) -> bool:
        return self.format is Format.WIDE

    @property
    def drawn(self) -> bool:
        """Whether a person reads the output."""
        return self.format in (Format.TABLE, Format.WIDE)

    def say(self, text: str = "") -> None:
        print(text)

    def note(self, text: str) -> None:
        print(text, file=sys.stderr)

    def warn(self, text: str) -> None:
        self.note(f"{self.err.text('warning:', Role.WARN)} {text}")

    def event(self, glyph: Glyph, text: str) -> None:
        """One line of progress: data where a person reads, else on stderr."""
        paint = self.out if self.drawn else self.err
        role = {Glyph.OK: Role.OK, Glyph.BAD: Role.BAD, Glyph.NOTE: Role.WARN}.get(glyph, Role.DIM)
        line = f"  {paint.text(paint.glyph(glyph), role)} {text}"
        print(line, file=sys.stdout if self.drawn else sys.stderr, flush=True)

    def mesh(self) -> str:
        """The mesh that was named, else the only one there is."""
        if self.mesh_given:
            return self.mesh_given
        names = self.meshes()
        match names:
            case [name]:
                return name
            case []:
                raise NotFound(
                    "there is no mesh yet",
                    fix='weft demo, or weft apply -f FILE, or eval "$(weft env)" and '
                    "aws appmesh create-mesh --mesh-name NAME",
                )
            case _:
                raise Usage(
                    f"there are {len(names)} meshes: {', '.join(names)}",
                    fix=f"choose one with --mesh or $WEFT_MESH, as in --mesh {names[0]}",
                )

    def meshes(self) -> list[str]:
        answer = self.client.get("/weft/v1/resources", {"kind": "mesh"})
        return [each["meshName"] for each in answer["resources"]]

    def emit(self, document: Any, draw: Callable[[], None]) -> None:
        """One document: drawn for a person, or as it is."""
        if self.drawn:
            draw()
        else:
            self.say(dump(document, self.format))

    def emit_list(
        self,
        document: Any,
        items: Iterable[Any],
        *,
        name: Callable[[Any], str],
        table: Callable[[], Table],
        empty: str = "",
    ) -> None:
        """A list: one row, line or name for each."""
        items = list(items)
        match self.format:
            case Format.TABLE | Format.WIDE:
                if items:
                    self.draw(table())
                elif empty:
                    self.note(empty)
            case Format.JSONL:
                for item in items:
                    self.say(dump(item, Format.JSONL))
            case Format.NAME:
                for item in items:
                    self.say(name(item))
            case _:
                self.say(dump(document, self.format))

    def draw(self, table: Table, *, indent: str = "") -> None:
        for line in table.lines(self.out, headers=self.headers):
            self.say(indent + line)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def dump(document: Any, format: Format) -> str:
    if format is Format.YAML:
        import yaml

        text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        return text.rstrip("\n")
    if format is Format.JSONL:
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return json.dumps(document, indent=2, ensure_ascii=False)


def client_command(*formats: Format, mesh: bool = True) -> Callable[[Command], Command]:
    """Give a command its Session and the options that every client command has."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**options: Any) -> int | None:
            session = _session(options)
            try:
                return command(session, **options)
            finally:
                session.close()

        decorated: Command = run
        for option in reversed(_options(formats, mesh=mesh)):
            decorated = option(decorated)
        return decorated

    return decorate


def _options(formats: tuple[Format, ...], *, mesh: bool) -> list[Callable[[Command], Command]]:
    found: list[Callable[[Command], Command]] = [output_option(formats)] if formats else []
    found += [mesh_option] if mesh else []
    found += [endpoint_option, *credential_options, color_option]
    if Format.WIDE in formats:
        found.append(
            click.option("--no-headers", is_flag=True, help="Leave the column titles away.")
        )
    return found


def output_option(formats: tuple[Format, ...]) -> Callable[[Command], Command]:
    return click.option(
        "-o",
        "--output",
        type=click.Choice([each.value for each in formats]),
        default=Format.TABLE.value,
        help="How to print the answer.",
    )


mesh_option = click.option(
    "--mesh", metavar="NAME", help="Mesh, if there are several.  [env: WEFT_MESH]"
)
endpoint_option = click.option(
    settings.ENDPOINT.flag,
    metavar="URL",
    help=f"{settings.ENDPOINT.help}  [env: {settings.ENDPOINT.variable}; "
    f"default: {settings.ENDPOINT.default}]",
)


def _client_option(setting: settings.Setting, metavar: str) -> Callable[[Command], Command]:
    help = f"{setting.help}  [env: {setting.variable}; default: {setting.default}]"
    return click.option(setting.flag, metavar=metavar, help=help)


credential_options = (
    _client_option(settings.TOKEN, "TOKEN"),
    _client_option(settings.TOKEN_FILE, "FILE"),
    _client_option(settings.CA, "FILE"),
)
color_option = click.option(
    "--color", type=click.Choice(COLORS), help="Colours; auto: on a terminal."
)


def _session(options: dict[str, Any]) -> Session:
    """Take the common options out; what the command was not given, weft itself may have been."""
    context = click.get_current_context()
    outer = context.find_root().params

    def taken(name: str) -> Any:
        return options.pop(name, None) or outer.get(name)

    endpoint = taken("endpoint") or os.environ.get(settings.ENDPOINT.variable)
    return Session(
        endpoint=endpoint or settings.ENDPOINT.default,
        endpoint_given=bool(endpoint),
        token=_token(taken("token"), taken("token_file")),
        ca=taken("ca") or os.environ.get(settings.CA.variable) or None,
        mesh_given=taken("mesh") or os.environ.get("WEFT_MESH") or None,
        format=Format(options.pop("output", None) or Format.TABLE),
        headers=not options.pop("no_headers", False),
        color=taken("color") or "auto",
        agent=context.command_path,
    )


def _token(given: str | None, file: str | None) -> str | None:
    """Flags win over variables, and among each the token itself over a file that holds it."""
    if given:
        return given
    if not file:
        if kept := os.environ.get(settings.TOKEN.variable):
            return kept
        file = os.environ.get(settings.TOKEN_FILE.variable)
    if not file:
        return None
    try:
        with open(file, encoding="ascii") as opened:
            token = opened.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"the token in {file} cannot be read: {error}") from error
    if not token or len(token.split()) > 1:
        raise Usage(f"{file} does not hold a token and nothing else")
    return token
