"""The last accepted configuration, made from Envoy's own account of what is in force."""

from __future__ import annotations

from pathlib import Path

from weft.names import Mode, Ports, ProxyId, View
from weft.sidecar import last_good
from weft.sidecar.last_good import Json, LastGood

VIEW = View(ProxyId.parse("mesh/shop/virtualNode/web"), Mode.EXPLICIT, Ports((), 17000))
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ADS = {"ads": {}, "resource_api_version": "V3"}


def listener(name: str, typed_config: Json) -> Json:
    return {
        "name": name,
        "active_state": {
            "version_info": "7",
            "last_updated": "now",
            "listener": {
                "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
                "name": name,
                "filter_chains": [{"filters": [{"name": "f", "typed_config": typed_config}]}],
            },
        },
    }


def cluster(name: str, **members: object) -> Json:
    return {
        "version_info": "7",
        "cluster": {
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": name,
            "type": "EDS",
            "eds_cluster_config": {"eds_config": ADS},
            **members,
        },
    }


def endpoints(name: str, **members: object) -> Json:
    return {
        "endpoint_config": {
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": name,
            "endpoints": [
                {
                    "locality": {},
                    "load_balancing_weight": 0,
                    "lb_endpoints": [
                        {
                            "endpoint": {
                                "address": {
                                    "socket_address": {"address": "127.0.0.1", "port_value": 1}
                                },
                                "health_check_config": {},
                                "hostname": "",
                            },
                            "health_status": "UNHEALTHY",
                            "metadata": {},
                            "load_balancing_weight": 3,
                            **members,
                        }
                    ],
                }
            ],
            "policy": {"overprovisioning_factor": 140},
        }
    }


def routes(name: str) -> Json:
    return {
        "version_info": "7",
        "route_config": {
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": name,
            "virtual_hosts": [],
        },
    }


def dump(
    listeners: tuple[Json, ...] = (),
    clusters: tuple[Json, ...] = (),
    route_configs: tuple[Json, ...] = (),
    assignments: tuple[Json, ...] = (),
) -> Json:
    kind = "type.googleapis.com/envoy.admin.v3."
    return {
        "configs": [
            {"@type": kind + "BootstrapConfigDump", "bootstrap": {}},
            {"@type": kind + "ClustersConfigDump", "dynamic_active_clusters": list(clusters)},
            {"@type": kind + "EndpointsConfigDump", "dynamic_endpoint_configs": list(assignments)},
            {"@type": kind + "ListenersConfigDump", "dynamic_listeners": list(listeners)},
            {"@type": kind + "RoutesConfigDump", "dynamic_route_configs": list(route_configs)},
        ]
    }


def made(**parts: tuple[Json, ...]) -> LastGood:
    return last_good.last_good(VIEW, dump(**parts))


def with_rds(name: str) -> Json:
    return {
        "@type": HCM,
        "rds": {"config_source": ADS, "route_config_name": name},
        "stat_prefix": "s",
    }


def test_a_listener_gets_the_routes_it_names() -> None:
    found = made(listeners=(listener("l", with_rds("r")),), route_configs=(routes("r"),))

    [kept] = found.listeners
    assert "@type" not in kept
    assert kept["filter_chains"][0]["filters"][0]["typed_config"] == {
        "@type": HCM,
        "stat_prefix": "s",
        "route_config": {"name": "r", "virtual_hosts": [], "validate_clusters": False},
    }


def test_versions_and_times_are_not_kept() -> None:
    found = made(listeners=(listener("l", {"@type": "tcp"}),), clusters=(cluster("c"),))

    assert b"version_info" not in found.to_json()
    assert b"last_updated" not in found.to_json()


def test_a_listener_that_never_was_in_force_is_not_kept() -> None:
    warming = {"name": "w", "warming_state": {"listener": {"name": "w"}}}
    draining = {"name": "d", "draining_state": {"listener": {"name": "d"}}}
    refused = {"name": "r", "error_state": {"details": "no"}}

    assert made(listeners=(warming, draining, refused)).listeners == ()


def test_discovered_endpoints_become_the_clusters_own() -> None:
    [kept] = made(clusters=(cluster("c"),), assignments=(endpoints("c"),)).clusters

    assert kept == {
        "name": "c",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "c",
            "policy": {"overprovisioning_factor": 140},
            "endpoints": [
                {
                    "lb_endpoints": [
                        {
                            "endpoint": {
                                "address": {
                                    "socket_address": {"address": "127.0.0.1", "port_value": 1}
                                }
                            },
                            "health_status": "UNHEALTHY",
                            "load_balancing_weight": 3,
                            "metadata": {},
                        }
                    ]
                }
            ],
        },
    }


def test_a_finding_of_envoys_own_is_not_made_permanent() -> None:
    checked = cluster("c", outlier_detection={"consecutive_5xx": 5})
    [kept] = made(clusters=(checked,), assignments=(endpoints("c"),)).clusters

    [locality] = kept["load_assignment"]["endpoints"]
    assert "health_status" not in locality["lb_endpoints"][0]


def test_endpoints_are_found_by_the_service_name_where_there_is_one() -> None:
    named = cluster("c", eds_cluster_config={"eds_config": ADS, "service_name": "s"})
    [kept] = made(clusters=(named,), assignments=(endpoints("s"),)).clusters

    assert len(kept["load_assignment"]["endpoints"]) == 1


def test_a_cluster_without_endpoints_stays_a_cluster() -> None:
    [kept] = made(clusters=(cluster("c"),)).clusters

    assert kept["load_assignment"] == {"cluster_name": "c", "endpoints": []}


def test_clusters_that_ask_dns_are_kept_as_they_are() -> None:
    dns = {
        "cluster": {"@type": "x", "name": "d", "type": "LOGICAL_DNS", "load_assignment": {"a": 1}}
    }

    assert made(clusters=(dns,)).clusters == (
        {"name": "d", "type": "LOGICAL_DNS", "load_assignment": {"a": 1}},
    )


def test_what_holds_a_secret_is_left_out_and_named() -> None:
    secret = {"private_key": {"inline_string": "[redacted]"}}
    found = made(
        clusters=(cluster("c", transport_socket={"typed_config": secret}), cluster("open")),
        listeners=(listener("l", {"@type": "tls", "sds": {"sds_config": ADS}}),),
    )

    assert [c["name"] for c in found.clusters] == ["open"]
    assert found.listeners == ()
    assert found.left_out == (
        "cluster c: Envoy does not show its secrets",
        "listener l: a part of it comes from the control plane",
    )


def test_a_listener_whose_routes_are_unknown_is_left_out() -> None:
    nameless = {"route_config": {"@type": "x"}}
    found = made(listeners=(listener("l", with_rds("r")),), route_configs=(nameless,))

    assert found.left_out == ("listener l: a part of it comes from the control plane",)


def test_the_order_in_envoys_account_makes_no_difference() -> None:
    one, two = cluster("a"), cluster("b")

    assert made(clusters=(one, two)).to_json() == made(clusters=(two, one)).to_json()


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    found = made(clusters=(cluster("c"),), listeners=(listener("l", {"@type": "tcp"}),))
    path = tmp_path / "snap.json"
    last_good.write(str(path), found.to_json())

    assert last_good.read(str(path)) == found
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["snap.json"]


def test_a_file_that_cannot_be_read_is_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "snap.json"
    for text in ("", "[]", '{"proxy": 1}', '{"proxy":"p","view":[],"listeners":1}', "\xff"):
        path.write_text(text)
        assert last_good.read(str(path)) is None
    assert last_good.read(str(tmp_path / "none.json")) is None


def test_it_suits_only_the_view_it_was_made_for() -> None:
    found = made()

    assert found.suits(VIEW)
    assert not found.suits(View(VIEW.proxy, Mode.EXPLICIT, Ports((), 17001)))
    assert not found.suits(View(VIEW.proxy, Mode.TRANSPARENT, VIEW.ports))
    assert not found.suits(View(ProxyId.parse("mesh/shop/virtualNode/api"), VIEW.mode, VIEW.ports))


def with_tls(name: str, secret: str) -> Json:
    """A filter chain that shows a certificate of this name."""
    context = {"tls_certificate_sds_secret_configs": [{"name": secret, "sds_config": ADS}]}
    return {
        "name": name,
        "filter_chain_match": {"destination_port": 80, "transport_protocol": "tls"},
        "filters": [{"name": "f", "typed_config": {"@type": "t"}}],
        "transport_socket": {"name": "tls", "typed_config": {"common_tls_context": context}},
    }


def dump_of(*chains: Json) -> Json:
    made = listener("l", {"@type": "t"})
    made["active_state"]["listener"]["filter_chains"] = list(chains)
    return {
        "configs": [
            {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump"}
            | {"dynamic_listeners": [made]},
            {"@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump"}
            | {"dynamic_active_secrets": [{"name": "trust:/ca.pem"}, {"name": "arn"}]},
        ]
    }


def test_a_chain_whose_key_is_hidden_is_closed_and_the_others_of_its_listener_are_kept() -> None:
    plain = {"name": "plain", "filter_chain_match": {"destination_port": 80}, "filters": [{}]}
    hidden, shown = with_tls("hidden", "unknown"), with_tls("shown", "trust:/ca.pem")
    found = last_good.last_good(VIEW, dump_of(hidden, shown, plain))
    (kept,) = found.listeners
    assert kept["filter_chains"] == [
        {"name": "hidden", "filter_chain_match": hidden["filter_chain_match"]},
        shown,
        plain,
    ]
    assert found.left_out == ("listener l, hidden: Envoy does not show its secrets",)


def test_a_listener_of_which_every_chain_would_be_closed_is_left_out() -> None:
    found = last_good.last_good(VIEW, dump_of(with_tls("hidden", "unknown")))
    assert found.listeners == ()
    assert found.left_out == ("listener l: Envoy does not show its secrets",)
