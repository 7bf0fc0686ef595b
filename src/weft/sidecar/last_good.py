"""
The last accepted configuration: what Envoy has in force, in a form it can be started from.

Made with JSON alone from ``/config_dump?include_eds``: route configurations are put
into the listeners that name them, discovered endpoints into their clusters. Nothing
is made up; what cannot be kept (Envoy redacts secrets) is left out and named.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from weft.names import View
from weft.sidecar import secrets

Json = dict[str, Any]

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_REDACTED = "[redacted]"
HIDDEN = "Envoy does not show its secrets"


@dataclass(frozen=True, slots=True)
class LastGood:
    """Listeners and clusters that need no control plane, and the view they were made for."""

    proxy: str
    view: Json
    listeners: tuple[Json, ...]
    clusters: tuple[Json, ...]
    left_out: tuple[str, ...] = ()
    """What is in force and could not be kept, each with its reason."""
    secrets: tuple[Json, ...] = ()
    """What listeners and clusters refer to by name, as far as Envoy shows it."""

    def to_json(self) -> bytes:
        return json.dumps(
            {
                "proxy": self.proxy,
                "view": self.view,
                "listeners": self.listeners,
                "clusters": self.clusters,
                "left_out": self.left_out,
                "secrets": self.secrets,
            },
            sort_keys=True,
            separators=(",", ":"),
        ).encode()

    def suits(self, view: View) -> bool:
        """Whether it was made for this proxy with this mode and these ports."""
        return self.proxy == str(view.proxy) and self.view == view.to_metadata()


def last_good(view: View, config_dump: Json) -> LastGood:
    """What a proxy with this view has in force, from Envoy's own account of it."""
    sections = {section["@type"].rpartition(".")[2]: section for section in config_dump["configs"]}
    routes = _named(
        sections.get("RoutesConfigDump", {}).get("dynamic_route_configs", ()),
        "route_config",
        "name",
    )
    endpoints = _named(
        sections.get("EndpointsConfigDump", {}).get("dynamic_endpoint_configs", ()),
        "endpoint_config",
        "cluster_name",
    )
    told = secrets.told(sections.get("SecretsConfigDump", {}))
    left_out: list[str] = []
    listeners, clusters = [], []

    for entry in sections.get("ListenersConfigDump", {}).get("dynamic_listeners", ()):
        active = entry.get("active_state", {}).get("listener")
        # No active state: it never was in force, or it is on its way out.
        if active is None:
            continue
        found = _with_routes(_plain(active), routes)
        closed = _close_hidden(found, told)
        if closed and not any(chain.get("filters") for chain in found["filter_chains"]):
            left_out.append(f"listener {active.get('name', '?')}: {HIDDEN}")
            continue
        left_out += closed
        if reason := _obstacle(found, told):
            left_out.append(f"listener {active.get('name', '?')}: {reason}")
        else:
            listeners.append(found)

    for entry in sections.get("ClustersConfigDump", {}).get("dynamic_active_clusters", ()):
        found = _with_endpoints(entry["cluster"], endpoints)
        if reason := _obstacle(found, told):
            left_out.append(f"cluster {found['name']}: {reason}")
        else:
            clusters.append(found)

    return LastGood(
        str(view.proxy),
        view.to_metadata(),
        tuple(sorted(listeners, key=_name)),
        tuple(sorted(clusters, key=_name)),
        tuple(sorted(left_out)),
        tuple(sorted(told.values(), key=_name)),
    )


def _name(resource: Json) -> str:
    return str(resource.get("name", ""))


def _named(entries: Any, member: str, key: str) -> dict[str, Json]:
    # Envoy lists a resource that it never received with its name alone.
    return {found[key]: found for entry in entries if key in (found := entry.get(member, {}))}


def _with_routes(value: Any, routes: dict[str, Json]) -> Any:
    """The value with each ``rds`` of an HTTP connection manager replaced by what it stands for."""
    if isinstance(value, list):
        return [_with_routes(item, routes) for item in value]
    if not isinstance(value, dict):
        return value
    if str(value.get("@type", "")).endswith(_HCM) and "rds" in value:
        configuration = routes.get(value["rds"].get("route_config_name", ""))
        if configuration is not None:
            inlined = {key: item for key, item in value.items() if key != "rds"}
            # The default for an inline one is true: one cluster left out would refuse all.
            inlined["route_config"] = {**_plain(configuration), "validate_clusters": False}
            value = inlined
    return {key: _with_routes(item, routes) for key, item in value.items()}


def _close_hidden(listener: Json, told: dict[str, Json]) -> list[str]:
    """
    Close the chains that need a secret which is not shown, so that the others serve.

    A chain without filters closes its connections; were it left out, they would find
    another chain, and that may speak plain text.
    """
    closed: list[str] = []
    chains: list[Json] = []
    for chain in listener.get("filter_chains", ()):
        if _obstacle(chain.get("transport_socket"), told) == HIDDEN:
            where = f"listener {listener.get('name', '?')}, {chain.get('name', '?')}"
            closed.append(f"{where}: {HIDDEN}")
            chain = {key: chain[key] for key in ("name", "filter_chain_match") if key in chain}
        chains.append(chain)
    if closed:
        listener["filter_chains"] = chains
    return closed


def _plain(resource: Json) -> Json:
    """Without the type URL, which has no place where a field has a type of its own."""
    return {key: value for key, value in resource.items() if key != "@type"}


def _with_endpoints(cluster: Json, endpoints: dict[str, Json]) -> Json:
    found = _plain(cluster)
    if found.get("type") != "EDS":
        return found
    eds = found.pop("eds_cluster_config", {})
    name = eds.get("service_name") or found["name"]
    # An unhealthy mark may be this Envoy's own finding. Given as configuration it could
    # never be lifted, so it is dropped where the next Envoy finds out for itself.
    judged = bool(found.get("health_checks") or found.get("outlier_detection"))
    found["type"] = "STATIC"
    found["load_assignment"] = {
        "cluster_name": found["name"],
        "endpoints": [
            _locality(locality, judged=judged)
            for locality in endpoints.get(name, {}).get("endpoints", ())
        ],
    }
    if policy := endpoints.get(name, {}).get("policy"):
        found["load_assignment"]["policy"] = policy
    return found


def _locality(locality: Json, *, judged: bool) -> Json:
    kept: Json = {
        key: locality[key]
        for key in ("locality", "load_balancing_weight", "priority")
        # Envoy shows "no weight" as 0, which it does not take as an input.
        if locality.get(key)
    }
    kept["lb_endpoints"] = [
        _endpoint(endpoint, judged=judged) for endpoint in locality.get("lb_endpoints", ())
    ]
    return kept


def _endpoint(endpoint: Json, *, judged: bool) -> Json:
    address = {
        key: endpoint["endpoint"][key]
        for key in ("address", "hostname", "additional_addresses")
        if endpoint["endpoint"].get(key)
    }
    kept: Json = {"endpoint": address}
    for key in ("load_balancing_weight", "metadata"):
        if key in endpoint:
            kept[key] = endpoint[key]
    if "health_status" in endpoint and not judged:
        kept["health_status"] = endpoint["health_status"]
    return kept


def _obstacle(value: Any, told: dict[str, Json]) -> str | None:
    """Why a resource cannot stand without the control plane, or None."""
    match value:
        case str():
            return HIDDEN if value == _REDACTED else None
        case list():
            return next(filter(None, (_obstacle(item, told) for item in value)), None)
        case dict():
            if secrets.is_told(value):
                return None if value["name"] in told else HIDDEN
            if "ads" in value and "@type" not in value:
                return "a part of it comes from the control plane"
            return next(filter(None, (_obstacle(item, told) for item in value.values())), None)
        case _:
            return None


# --- on disk -------------------------------------------------------------------------------


def read(path: str) -> LastGood | None:
    """The one kept at the path; None when there is none, or none that can be read."""
    try:
        with open(path, "rb") as file:
            found = json.load(file)
        return LastGood(
            str(found["proxy"]),
            dict(found["view"]),
            tuple(map(dict, found["listeners"])),
            tuple(map(dict, found["clusters"])),
            tuple(map(str, found["left_out"])),
            tuple(map(dict, found.get("secrets", ()))),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(path: str, content: bytes, *, mode: int = 0o600) -> None:
    """Replace the file as a whole: whoever reads it sees the old or the new, also after a crash."""
    beside = f"{path}.{os.getpid()}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
