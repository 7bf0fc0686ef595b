"""How golden files are read and written; shared by the tests that go through them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import MessageToDict

from tests.builders import state_from
from weft.ir import proxy as ir
from weft.names import ProxyId, View
from weft.resolve.proxy import resolve
from weft.translate.snapshot import Encoded, ResourceType, Snapshot

CASES = sorted((Path(__file__).parent / "golden").iterdir())
SECTIONS = ("listeners", "routes", "clusters", "endpoints", "secrets", "notes")
_XDS = {
    "listeners": ResourceType.LISTENER,
    "routes": ResourceType.ROUTE,
    "clusters": ResourceType.CLUSTER,
    "endpoints": ResourceType.ENDPOINT,
    "secrets": ResourceType.SECRET,
}


def mesh_of(case: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((case / "mesh.yaml").read_text())
    return found


def resolved(mesh: Mapping[str, Any]) -> ir.Proxy:
    proxy = ProxyId.parse(mesh["proxy"])
    return resolve(state_from(mesh, proxy.mesh), View.from_metadata(proxy, mesh))


def ir_text(mesh: Mapping[str, Any], proxy: ir.Proxy) -> str:
    shown = {
        "listeners": (*proxy.listeners, *proxy.name_servers),
        "routes": proxy.route_configurations,
        "clusters": proxy.clusters,
        "endpoints": proxy.assignments,
        "secrets": proxy.secrets,
        "notes": proxy.notes,
    }
    kept = {
        section: [each for each in values if _shown(mesh, section, _name(each))]
        for section, values in shown.items()
    }
    return _dump({section: values for section, values in kept.items() if values})


def xds_text(mesh: Mapping[str, Any], snapshot: Snapshot) -> str:
    kept = {
        section: [
            as_json(each)
            for name, each in sorted(snapshot.of(kind).items())
            if _shown(mesh, section, name)
        ]
        for section, kind in _XDS.items()
    }
    return _dump({section: values for section, values in kept.items() if values})


def as_json(resource: Encoded) -> dict[str, Any]:
    """What Envoy would read, unpacked."""
    entry = discovery_pb2.DeltaDiscoveryResponse.FromString(resource.delta).resources[0]
    found: dict[str, Any] = MessageToDict(entry.resource, preserving_proto_field_name=True)
    del found["@type"]
    _sort_maps(found)
    return found


_MAPS = {"filter_metadata", "weft", "json_format", "typed_extension_protocol_options"}


def _sort_maps(value: object) -> None:
    """Messages have an order of their own; maps have none, and show it from run to run."""
    match value:
        case dict():
            every = "type_url" in value  # a typed struct: all it holds are maps
            for name, each in value.items():
                if every and isinstance(each, dict):
                    value[name] = _sorted(each)
                    continue
                _sort_maps(each)
                if name in _MAPS:
                    value[name] = dict(sorted(each.items()))
        case list():
            for each in value:
                _sort_maps(each)
        case _:
            pass


def _sorted(value: Any) -> Any:
    match value:
        case dict():
            return {name: _sorted(each) for name, each in sorted(value.items())}
        case list():
            return [_sorted(each) for each in value]
        case _:
            return value


def _name(value: object) -> str:
    return str(getattr(value, "name", None) or getattr(value, "cluster", None) or "")


def _shown(mesh: Mapping[str, Any], section: str, name: str) -> bool:
    """``show: [routes, clusters/cds_ingress_*]``; notes are shown always."""
    if section == "notes":
        return True
    wanted: Iterable[str] = mesh.get("show", SECTIONS)
    return any(
        kind == section and fnmatchcase(name, pattern or "*")
        for kind, _, pattern in (each.partition("/") for each in wanted)
    )


class _Dumper(yaml.SafeDumper):
    """YAML in which a value says its type, and leaves out what it did not have to say."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _plain(value: object) -> object:
    match value:
        case Enum():
            return value.value
        case timedelta():
            return f"{value.total_seconds():g}s"
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def _represent(dumper: _Dumper, value: Any) -> yaml.Node:
    said = {
        field.name: _plain(getattr(value, field.name))
        for field in fields(value)
        if field.default is MISSING or getattr(value, field.name) != field.default
    }
    return dumper.represent_mapping(f"!{type(value).__name__}", said)


def _represent_any(dumper: _Dumper, value: object) -> yaml.Node:
    assert is_dataclass(value), f"no way to write {value!r}"
    return _represent(dumper, value)


_Dumper.add_multi_representer(object, _represent_any)
_Dumper.add_multi_representer(dict, yaml.SafeDumper.represent_dict)


def _dump(shown: Mapping[str, Any]) -> str:
    return yaml.dump(dict(shown), Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
