"""``env``: settings that point the AWS CLI, boto3 and Terraform at this control plane."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from weft import settings
from weft.cli import gateways
from weft.cli.session import Format, Session, client_command, dump
from weft.errors import CannotStart, Unreachable, WeftError
from weft.names import KEY_PREFIX
from weft.settings import data_directory

_PATIENCE = 2.0
_KEY = "weft"  # On loopback every key is accepted; the AWS tools only insist that there is one.
_KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_LOOPBACK = "127.0.0.1,localhost,::1"
_PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_FOREIGN = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
"""Left over from other work, these would send a strange token along or ignore our endpoint."""


@click.command()
@click.option(
    "--shell",
    type=click.Choice(["sh", "fish", "powershell"]),
    default="sh",
    show_default=True,
    help="Whose syntax.",
)
@click.option("--unset", is_flag=True, help="Print what takes the settings back.")
@click.option(settings.DATA.flag, metavar="DIR", help=settings.DATA.help)
@client_command(Format.TABLE, Format.JSON, Format.JSONL, Format.YAML, mesh=False)
def env(session: Session, *, shell: str, unset: bool, data: str | None) -> None:
    """
    Print settings that point the AWS CLI at this mesh.

    Use it as: eval "$(weft env)". The AWS CLI, boto3 and Terraform then talk to
    this control plane, and leave your AWS account alone: with an access key of
    weft token create where AWS_ACCESS_KEY_ID is one, else with dummy keys;
    AWS_CONFIG_FILE names a file in the data directory with the same settings as
    the [default] profile. WEFT_GATEWAY_NAME is where a virtual gateway of weft up is
    reached. weft env --unset takes it all back.
    """
    directory = data_directory(
        data or os.environ.get(settings.DATA.variable) or settings.DATA.default
    )
    region = _region(session, needed=not unset)
    profile = os.environ.get("AWS_PROFILE", "default")
    keys = keys_in(os.environ)
    variables = variables_for(
        session.endpoint, region, directory, os.environ, keys=keys, ca=session.ca
    )
    variables |= gateways.variables(gateways.reached(str(directory), session.endpoint))
    if unset:
        gone = [name for name in variables if name.upper() != "NO_PROXY"]
        if session.drawn:
            session.say("\n".join(_UNSET[shell](name) for name in gone))
        else:
            session.say(dump({"unset": gone}, session.format))
        return
    _write(directory, session.endpoint, region, profile, keys)
    if not session.drawn:
        session.say(dump(variables, session.format))
        return
    for name in _FOREIGN:
        if name in os.environ:
            session.say(_UNSET[shell](name))
    for name, value in variables.items():
        session.say(_SET[shell](name, value))


def _region(session: Session, *, needed: bool) -> str:
    given = os.environ.get(settings.REGION.variable) or settings.REGION.default
    if not needed:
        return given
    try:
        answer = session.client.get("/weft/v1/status", timeout=_PATIENCE)
        return str(answer.get("region") or given)
    except Unreachable as error:
        session.warn(f"{error.message}; start one with: weft up")
    except WeftError as error:
        session.warn(error.message)
    return given


def keys_in(environment: Mapping[str, str]) -> tuple[str, str]:
    """An access key of ours that is set already stays; of anybody else's none is taken over."""
    key, secret = (environment.get(name, "") for name in _KEY_VARIABLES)
    return (key, secret) if key.startswith(KEY_PREFIX) and secret else (_KEY, _KEY)


def variables_for(
    endpoint: str,
    region: str,
    directory: Path,
    environment: Mapping[str, str],
    *,
    keys: tuple[str, str] = (_KEY, _KEY),
    ca: str | None = None,
) -> dict[str, str]:
    """Everything to set, by name."""
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_APP_MESH": endpoint,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        **dict(zip(_KEY_VARIABLES, keys, strict=True)),
        "AWS_CONFIG_FILE": str(directory / "aws" / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "aws" / "credentials"),
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "WEFT_ENDPOINT": endpoint,
    }
    if ca is not None:
        path = str(Path(ca).absolute())
        variables |= {"AWS_CA_BUNDLE": path, "WEFT_CA": path}
    if any(environment.get(name) for name in _PROXIES):
        kept = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
        have = kept.split(",") if kept else []
        whole = ",".join([*have, *(h for h in _LOOPBACK.split(",") if h not in have)])
        variables |= {"NO_PROXY": whole, "no_proxy": whole}
    return variables


def _write(
    directory: Path, endpoint: str, region: str, profile: str, keys: tuple[str, str]
) -> None:
    """
    The files, readable by their owner alone.

    A profile that is asked for by name outranks the keys of the environment, so
    the profile has keys too; and $AWS_PROFILE must exist, whatever it is called.
    """
    profiles = ["default"] if profile in ("", "default") else ["default", profile]
    settings_text = f"region = {region}\nendpoint_url = {endpoint}\n"
    settings_text += "disable_host_prefix_injection = true\n"
    proofs = f"aws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n"
    headings = {each: each if each == "default" else f"profile {each}" for each in profiles}
    config = "\n".join(f"[{headings[each]}]\n{settings_text}" for each in profiles)
    credentials = "\n".join(f"[{each}]\n{proofs}" for each in profiles)
    place = directory / "aws"
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, text in (("config", config), ("credentials", credentials)):
            _replace(place / name, text)
    except OSError as error:
        raise CannotStart(
            f"cannot write the profile to {place}",
            fix=f"give a directory you may write to, with {settings.DATA.flag} DIR",
        ) from error


def _replace(path: Path, text: str) -> None:
    made = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(made, path)


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_SET: dict[str, Callable[[str, str], str]] = {
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": lambda name, value: f"set -gx {name} {_fish(value)}",
    "powershell": lambda name, value: f"$Env:{name} = {_powershell(value)}",
}
_UNSET: dict[str, Callable[[str], str]] = {
    "sh": lambda name: f"unset {name}",
    "fish": lambda name: f"set -e {name}",
    "powershell": lambda name: f"Remove-Item Env:{name} -ErrorAction SilentlyContinue",
}
