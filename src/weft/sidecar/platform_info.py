"""
Where the proxy runs, as the image's agent put it into Envoy's node metadata.

Nobody in the control plane needs it; operators and scripts read it in ``/config_dump``.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from weft.errors import WeftError
from weft.sidecar.admin import parse_response

Json = dict[str, Any]

_TIMEOUT_SECONDS = 1.0
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
_KUBERNETES = {
    "k8sVersion": "APPMESH_PLATFORM_K8S_VERSION",
    "podUid": "APPMESH_PLATFORM_K8S_POD_UID",
    "appMeshControllerVersion": "APPMESH_PLATFORM_APP_MESH_CONTROLLER_VERSION",
}


def metadata(environment: Mapping[str, str]) -> Json:
    """The members ``aws.appmesh.platformInfo`` and ``aws.appmesh.task.interfaces``."""
    found = interfaces()
    families = {(True, True): "ALL", (True, False): "IPv4_ONLY", (False, True): "IPv6_ONLY"}
    info: Json = {
        "systemInfo": {
            "systemPlatform": os.uname().sysname.lower(),
            "systemKernelVersion": os.uname().release,
        }
    }
    if family := families.get((bool(found["ipv4"]), bool(found["ipv6"]))):
        info["supportedIPFamilies"] = family
    if all(environment.get(name) for name in _KUBERNETES.values()):
        info["k8sPlatformInfo"] = {key: environment[name] for key, name in _KUBERNETES.items()}
    info |= _ecs(environment)
    return {"aws.appmesh.platformInfo": info, "aws.appmesh.task.interfaces": found}


def interfaces() -> dict[str, dict[str, list[str]]]:
    """The addresses of this machine by family and interface, without loopback, as CIDR."""
    found: dict[str, dict[str, list[str]]] = {"ipv4": {}, "ipv6": {}}
    for _, name in socket.if_nameindex():
        if name != "lo" and (address := _ipv4(name)):
            found["ipv4"].setdefault(name, []).append(address)
    with suppress(OSError), open("/proc/net/if_inet6", encoding="ascii") as file:
        for line in file:
            digits, _, prefix, _, _, name = line.split()
            if name != "lo":
                host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
                found["ipv6"].setdefault(name, []).append(f"{host}/{int(prefix, 16)}")
    return found


def _ipv4(name: str) -> str | None:
    try:
        import fcntl

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            request = struct.pack("256s", name.encode()[:15])
            host = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, request)[20:24]
            mask = fcntl.ioctl(asked.fileno(), _SIOCGIFNETMASK, request)[20:24]
    except (ImportError, OSError):
        return None  # It has no such address, or this is not Linux.
    bits = int.from_bytes(mask, "big").bit_count()
    return f"{socket.inet_ntoa(host)}/{bits}"


# --- ECS --------------------------------------------------------------------------------------


def _ecs(environment: Mapping[str, str]) -> Json:
    launch = environment.get("AWS_EXECUTION_ENV", "")
    if not launch.startswith("AWS_ECS_"):
        return {}
    found = {"ecsLaunchType": launch}
    if instance := environment.get("ECS_CONTAINER_INSTANCE_ARN"):
        found["ecsContainerInstanceArn"] = instance
    made: Json = {"ecsPlatformInfo": found}
    uri = environment.get("ECS_CONTAINER_METADATA_URI_V4") or environment.get(
        "ECS_CONTAINER_METADATA_URI"
    )
    task = _task(uri) if uri else {}
    for key, name in (("ecsClusterArn", "Cluster"), ("ecsTaskArn", "TaskARN")):
        if isinstance(task.get(name), str):
            found[key] = task[name]
    limits = task.get("Limits")
    for name in ("CPU", "Memory"):
        if isinstance(limits, dict) and name in limits:
            found[name] = str(limits[name])
    if isinstance(task.get("AvailabilityZone"), str):
        made["AvailabilityZone"] = task["AvailabilityZone"]
    return made


def _task(uri: str) -> Json:
    """What the container agent says of our task; nothing if it does not say it in a second."""
    host, _, path = uri.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    request = f"GET /{path}/task HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    chunks = []
    try:
        with socket.create_connection((name, int(port or 80)), _TIMEOUT_SECONDS) as connection:
            connection.sendall(request.encode())
            while chunk := connection.recv(65536):
                chunks.append(chunk)
        status, body = parse_response(b"".join(chunks))
        found = json.loads(body)
    except (OSError, ValueError, WeftError):
        return {}
    return found if status == 200 and isinstance(found, dict) else {}
