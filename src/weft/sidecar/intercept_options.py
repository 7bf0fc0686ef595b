"""
How a sidecar is told what to redirect: its own flags, App Mesh's variables, ECS's spelling.

A flag wins over ``--proxy-configuration``, that over the environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from weft.errors import BadRequest
from weft.names import Kind, Mode, ProxyId
from weft.sidecar import values
from weft.sidecar.flag import Flag
from weft.sidecar.rules import ALWAYS_IGNORED_PORT, METADATA_ADDRESSES, Interception

T = TypeVar("T")

INTERCEPT = Flag(
    "--intercept",
    "",
    "redirect the workload's traffic to the proxy (iptables; Linux, CAP_NET_ADMIN); means --mode transparent",
    ("WEFT_INTERCEPT", "APPMESH_START_ENABLED"),
    switch=True,
)
DRY_RUN = Flag(
    "--dry-run",
    "",
    "with --intercept: print the rules, as iptables-restore --noflush takes them, and do nothing",
    ("WEFT_DRY_RUN",),
    switch=True,
)
APP_PORTS = Flag(
    "--app-ports",
    "PORT,…",
    "with --intercept: ports whose connections from elsewhere go to the proxy (default: the virtual node's listeners)",
    ("WEFT_APP_PORTS", "APPMESH_APP_PORTS"),
)
IGNORE_UID = Flag(
    "--ignore-uid",
    "UID",
    "with --intercept: connections of this user are let alone; Envoy's own always are",
    ("WEFT_IGNORE_UID", "APPMESH_IGNORE_UID"),
)
IGNORE_GID = Flag(
    "--ignore-gid",
    "GID",
    "with --intercept: connections of this group are let alone",
    ("WEFT_IGNORE_GID", "APPMESH_IGNORE_GID"),
)
EGRESS_IGNORED_PORTS = Flag(
    "--egress-ignored-ports",
    "PORT,…",
    f"with --intercept: connections to these ports are let alone, and to port {ALWAYS_IGNORED_PORT}",
    ("WEFT_EGRESS_IGNORED_PORTS", "APPMESH_EGRESS_IGNORED_PORTS"),
)
EGRESS_IGNORED_IPS = Flag(
    "--egress-ignored-ips",
    "IP,…",
    "with --intercept: connections to these addresses and networks are let alone "
    f"(default: {','.join(METADATA_ADDRESSES)}, AWS's metadata)",
    ("WEFT_EGRESS_IGNORED_IPS", "APPMESH_EGRESS_IGNORED_IP"),
)
INGRESS_PORT = Flag(
    "--proxy-ingress-port",
    "PORT",
    "with --intercept: where the proxy accepts what comes from elsewhere",
    ("WEFT_PROXY_INGRESS_PORT", "APPMESH_ENVOY_INGRESS_PORT"),
    "15000",
)
EGRESS_PORT = Flag(
    "--proxy-egress-port",
    "PORT",
    "with --intercept: where the proxy accepts what the workload sends",
    ("WEFT_PROXY_EGRESS_PORT", "APPMESH_ENVOY_EGRESS_PORT"),
    "15001",
)
IPV6 = Flag(
    "--intercept-ipv6",
    "auto|yes|no",
    "with --intercept: whether IPv6 is redirected, too; auto: where the kernel has it",
    ("WEFT_INTERCEPT_IPV6", "APPMESH_ENABLE_IPV6"),
    "auto",
)
PROXY_CONFIGURATION = Flag(
    "--proxy-configuration",
    "JSON|FILE",
    "with --intercept: the proxyConfiguration of an ECS task definition (IgnoredUID, AppPorts, EgressIgnoredIPs and so on)",
    ("WEFT_PROXY_CONFIGURATION",),
)

FLAGS = (
    INTERCEPT,
    DRY_RUN,
    APP_PORTS,
    IGNORE_UID,
    IGNORE_GID,
    EGRESS_IGNORED_PORTS,
    EGRESS_IGNORED_IPS,
    INGRESS_PORT,
    EGRESS_PORT,
    IPV6,
    PROXY_CONFIGURATION,
)

# As the ECS agent reads them: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ProxyConfiguration.html
_ECS = {
    "AppPorts": APP_PORTS,
    "IgnoredUID": IGNORE_UID,
    "IgnoredGID": IGNORE_GID,
    "EgressIgnoredPorts": EGRESS_IGNORED_PORTS,
    "EgressIgnoredIPs": EGRESS_IGNORED_IPS,
    "ProxyIngressPort": INGRESS_PORT,
    "ProxyEgressPort": EGRESS_PORT,
}
_LISTS = (APP_PORTS, EGRESS_IGNORED_PORTS, EGRESS_IGNORED_IPS)
_MOST_BYTES = 1024 * 1024
_LISTENING_PORT = 15000


def interception(given: Mapping[str, Any], environment: Mapping[str, str]) -> Interception | None:
    """What is asked for; None: nothing is redirected. A wrong value is a BadRequest that names it."""
    if not switched(INTERCEPT, given, environment):
        for flag in FLAGS:
            if given[flag.dest]:
                raise BadRequest(
                    f"{flag.name} has no meaning without {INTERCEPT.name}",
                    fix=f"give {INTERCEPT.name}, too, or leave {flag.name} out",
                )
        return None
    return settled(given, environment)


def settled(given: Mapping[str, Any], environment: Mapping[str, str]) -> Interception:
    """The same, with the question answered whether there is to be any."""
    ecs = _proxy_configuration(given, environment)

    def text(flag: Flag) -> tuple[str, str | None]:
        if (stated := given[flag.dest]) is not None:
            return flag.name, stated
        for name, stands_for in _ECS.items():
            if stands_for is flag and name in ecs:
                return f"{PROXY_CONFIGURATION.name} {name}", ecs[name]
        for variable in flag.variables:
            if found := environment.get(variable, "").strip():
                return variable, found
        return flag.name, flag.default

    def value(flag: Flag, parse: Callable[[str], T], otherwise: T) -> T:
        where, found = text(flag)
        try:
            return otherwise if found is None else parse(found)
        except BadRequest as error:
            raise BadRequest(f"{where}: {error.message}", fix=error.fix) from error.__cause__

    made = Interception(
        app_ports=value(APP_PORTS, _ports, None),
        ignored_uid=value(IGNORE_UID, _number, None),
        ignored_gid=value(IGNORE_GID, _number, None),
        egress_ignored_ports=(
            *value(EGRESS_IGNORED_PORTS, _ports, tuple[int, ...]()),
            ALWAYS_IGNORED_PORT,
        ),
        egress_ignored_ips=value(EGRESS_IGNORED_IPS, _addresses, METADATA_ADDRESSES),
        ingress_port=value(INGRESS_PORT, _port, _LISTENING_PORT),
        egress_port=value(EGRESS_PORT, _port, _LISTENING_PORT + 1),
        ipv6=value(IPV6, _yes_no_auto, None),
    )
    if made.ingress_port == made.egress_port:
        raise BadRequest(
            f"port {made.egress_port} cannot be both {INGRESS_PORT.name} and {EGRESS_PORT.name}",
            fix="leave both out: they are 15000 and 15001",
        )
    return made


def switched(flag: Flag, given: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Whether a switch is on, by its flag or by a variable."""
    if given[flag.dest]:
        return True
    for variable in flag.variables:
        if found := environment.get(variable, "").strip():
            if found.lower() not in ("0", "1", "yes", "no"):
                raise BadRequest(f"{variable} is {found!r}", fix="set it to yes or no")
            return found.lower() in ("1", "yes")
    return False


def egress(mode: Mode, asked: Interception | None) -> int:
    """The port at which the proxy accepts what its workload sends, unless another is named."""
    if asked is not None:
        return asked.egress_port
    return 15001 if mode is Mode.TRANSPARENT else 0


def refuse(asked: Interception | None, proxy: ProxyId, mode: Mode) -> None:
    """Refuse what cannot be intercepted; a BadRequest says why."""
    if asked is None:
        return
    if mode is Mode.EXPLICIT:
        raise BadRequest(
            f"{INTERCEPT.name} and explicit mode contradict each other",
            fix="leave --mode out, or give --mode transparent",
        )
    if proxy.kind is not Kind.VIRTUAL_NODE:
        raise BadRequest(
            f"{INTERCEPT.name} needs a virtual node, and {proxy} is none",
            fix=f"leave {INTERCEPT.name} out: a gateway's clients call it at its own ports",
        )
    if asked.ingress_port != _LISTENING_PORT:
        raise BadRequest(
            f"the proxy accepts at {_LISTENING_PORT}, not at {asked.ingress_port}",
            fix=f"leave {INGRESS_PORT.name} out; weft sidecar rules takes any port",
        )


def _ports(text: str) -> tuple[int, ...]:
    return tuple(values.port(each.strip(), lowest=1) for each in text.split(",") if each.strip())


def _port(text: str) -> int:
    return values.port(text, lowest=1)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**32 - 1):
        raise BadRequest(f"{text!r} is not the number of a user or group", fix="give it as in 1337")
    return int(text)


def _addresses(text: str) -> tuple[str, ...]:
    import ipaddress  # Here alone: few sidecars need it, and all would pay for it.

    found = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        try:
            network = ipaddress.ip_network(each, strict=False)
        except ValueError as error:
            raise BadRequest(
                f"{each!r} is no address and no network",
                fix="write 10.0.0.7, 10.0.0.0/8 or fd00::/8",
            ) from error
        alone = network.prefixlen == network.max_prefixlen
        found.append(str(network.network_address if alone else network))
    return tuple(dict.fromkeys(found))


def _yes_no_auto(text: str) -> bool | None:
    try:
        return {"auto": None, "yes": True, "no": False, "1": True, "0": False}[text.lower()]
    except KeyError:
        raise BadRequest(f"{text!r} is none of auto, yes and no", fix="leave it out") from None


def _proxy_configuration(
    given: Mapping[str, Any], environment: Mapping[str, str]
) -> Mapping[str, str]:
    flag = PROXY_CONFIGURATION
    text = given[flag.dest] or environment.get(flag.variables[0], "").strip()
    if not text:
        return {}
    wrong = BadRequest(
        f"{flag.name} is no proxyConfiguration of a task definition",
        fix='write {"type": "APPMESH", "properties": [{"name": "AppPorts", "value": "9080"}, …]}',
    )
    if not re.match(r"\s*[\[{]", text):
        try:
            with open(text, encoding="utf-8") as file:
                text = file.read(_MOST_BYTES)
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(
                f"{flag.name}: {text} cannot be read", fix="give a file, or the JSON itself"
            ) from error
    try:
        found = json.loads(text)
    except ValueError as error:
        raise wrong from error
    if isinstance(found, dict):
        found = found.get("proxyConfiguration", found)
    properties = found.get("properties") if isinstance(found, dict) else found
    if not isinstance(properties, list):
        raise wrong
    stated: dict[str, str] = {}
    for each in properties:
        match each:
            case {"name": str(name), "value": str(value)} if name in _ECS:
                # Lists may be empty, and then mean just that; a user may be left out.
                if value.strip() or _ECS[name] in _LISTS:
                    stated[name] = value
            case {"name": str(name)}:
                raise BadRequest(
                    f"{flag.name}: {name!r} is no property of it",
                    fix="known are " + ", ".join(_ECS),
                )
            case _:
                raise wrong
    return stated
