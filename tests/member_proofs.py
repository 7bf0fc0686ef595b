"""
What each member of the model becomes in Envoy, and the tests that prove it with traffic.

Patterns spell members out: ``{a,b}`` is either. There are no wildcards, so that a new
member of the model is in no pattern, and ``tests.test_members`` fails until it is.
"""

from __future__ import annotations

from dataclasses import dataclass

ENVOY = "tests/envoy/"
CASES = "tests/acceptance/"


@dataclass(frozen=True, slots=True)
class Proof:
    """Members that are proved together."""

    members: str
    envoy: str
    """The field of Envoy's that they become, in Envoy's words."""
    tests: tuple[str, ...]
    """``file::function``."""


TIME = "{.unit,.value}"
HTTP_KINDS = "{httpRoute,http2Route}"
ACCESS_LOG = "logging.accessLog.file{.path,.format.text,.format.json[].key,.format.json[].value}"
PROXIES = "{virtualNode,virtualGateway}"
POLICIES = (
    "{virtualNode.backendDefaults,virtualNode.backends[].virtualService,"
    "virtualGateway.backendDefaults}.clientPolicy.tls"
)
EGRESS = "cds_egress_*"
INGRESS = "cds_ingress_*"

MATRIX = f"{ENVOY}test_tls_matrix.py::test_a_mode_a_policy_and_a_name_come_to"
MUTUAL_CLIENT = (
    f"{ENVOY}test_tls_mutual.py::test_a_client_is_let_in_by_its_certificate_authority_and_name"
)
MUTUAL_SERVER = (
    f"{ENVOY}test_tls_mutual.py::"
    "test_a_client_validates_the_server_by_authority_and_by_its_discovery_name"
)
FILES = (
    f"{ENVOY}test_certificates_change.py::test_a_file_that_is_replaced_under_load_costs_no_request"
)
SDS = f"{ENVOY}test_certificates_change.py::test_a_secret_server_may_come_late_rotate_and_go"
BY_ARN = (
    f"{ENVOY}test_certificates_change.py::"
    "test_a_certificate_by_arn_opens_what_was_closed_and_rotates_under_load"
)
ROTATION = (
    f"{ENVOY}test_certificate_rotation.py::"
    "test_certificate_and_authority_change_under_load_and_no_request_fails"
)
MATCHES = f"{CASES}test_route_matches.py::test_a_condition_takes_what_fits_and_leaves_the_rest"
WHY = f"{ENVOY}test_why_property.py::test_why_says_what_envoy_does"
METADATA = f"{CASES}test_grpc.py::test_calls_are_matched_by_their_metadata"
LISTENERS = f"{CASES}test_listeners.py::test_each_port_leads_to_its_own_listener"
HEALTH = f"{CASES}test_health_checks.py::test_a_replica_that_fails_its_check_gets_nothing_until_it_is_well"
LIMITS = f"{CASES}test_timeouts.py::test_each_limit_of_each_protocol_ends_a_call_by_itself"
IDLE = f"{ENVOY}test_timeouts.py::test_an_answer_that_stalls_is_cut_off"
SILENT = f"{ENVOY}test_timeouts.py::test_a_silent_connection_is_closed_and_one_that_speaks_is_not"
CLOUD_MAP = (
    f"{CASES}test_cloud_map.py::"
    "test_two_colours_under_one_service_share_and_leave_as_they_are_registered"
)
MESH_PREFERENCE = (
    f"{ENVOY}test_ip_preference.py::"
    "test_what_the_mesh_prefers_decides_between_the_addresses_of_each_target"
)
NODE_PREFERENCE = (
    f"{ENVOY}test_ip_preference.py::test_what_a_virtual_node_prefers_goes_before_what_its_mesh_does"
)
GATEWAY_MATCH = (
    f"{ENVOY}test_gateways.py::"
    "test_headers_query_and_method_are_conditions_and_more_of_them_come_first"
)
GATEWAY_HOSTS = (
    f"{ENVOY}test_gateways.py::test_hosts_are_matched_with_and_without_a_port_in_any_case"
)
GATEWAY_REWRITES = f"{ENVOY}test_gateways.py::test_the_service_sees_what_the_rewrite_says"
GATEWAY_PORTS = (
    f"{ENVOY}test_gateways.py::test_each_listener_has_its_routes_and_each_port_of_a_service_its_own"
)
GATEWAY_GRPC = f"{ENVOY}test_gateway_grpc.py::test_calls_are_led_by_service_host_and_metadata"
GATEWAY_WHY = f"{ENVOY}test_why_gateway_property.py::test_why_says_what_a_gateways_envoy_does"
LOGS = f"{CASES}test_access_logs.py::test_lines_of_both_formats_stand_in_their_files"

MESH = (
    Proof(
        "mesh.egressFilter.type",
        "the catch-all chain or virtual host to cds_egress_*_mesh-allow-all, or none",
        (
            f"{CASES}test_kubernetes_egress.py::test_the_filter_is_dropped_and_put_back",
            f"{ENVOY}test_isolated_egress.py::test_with_drop_all_the_outside_is_out_of_reach",
        ),
    ),
    Proof(
        "mesh.serviceDiscovery.ipPreference",
        f"{EGRESS}.cluster_type.dns_lookup_family; the address of endpoints; the bind address of "
        "listeners",
        (MESH_PREFERENCE,),
    ),
)

TLS = (
    Proof(
        f"{POLICIES}.certificate.file{{.certificateChain,.privateKey}}",
        f"{EGRESS}.transport_socket: tls_certificate_sds_secret_configs by a file, read again "
        "when it changes",
        (MUTUAL_CLIENT, FILES),
    ),
    Proof(
        f"{POLICIES}.certificate.sds.secretName",
        f"{EGRESS}.transport_socket: tls_certificate_sds_secret_configs of "
        "static_cluster_sds_unix_socket",
        (MUTUAL_CLIENT, SDS),
    ),
    Proof(
        f"{POLICIES}.{{enforce,ports[]}}",
        f"{EGRESS}.transport_socket: there, or not",
        (MATRIX,),
    ),
    Proof(
        f"{POLICIES}.validation.subjectAlternativeNames.match.exact[]",
        f"{EGRESS}.transport_socket: match_typed_subject_alt_names",
        (MATRIX, MUTUAL_SERVER),
    ),
    Proof(
        f"{POLICIES}.validation.trust.acm.certificateAuthorityArns[]",
        f"{EGRESS}.transport_socket: validation_context_sds_secret_config over ADS",
        (MATRIX, ROTATION),
    ),
    Proof(
        f"{POLICIES}.validation.trust.file.certificateChain",
        f"{EGRESS}.transport_socket: validation_context_sds_secret_config by a file",
        (MATRIX, MUTUAL_SERVER),
    ),
    Proof(
        f"{POLICIES}.validation.trust.sds.secretName",
        f"{EGRESS}.transport_socket: validation_context_sds_secret_config of "
        "static_cluster_sds_unix_socket",
        (MATRIX, SDS),
    ),
    Proof(
        f"{PROXIES}.listeners[].tls.mode",
        "filter chains with a transport socket, without one, or both behind tls_inspector",
        (
            MATRIX,
            f"{ENVOY}test_tls_mutual.py::test_each_mode_takes_what_it_says_from_any_client",
        ),
    ),
    Proof(
        f"{PROXIES}.listeners[].tls.certificate.acm.certificateArn",
        "DownstreamTlsContext: tls_certificate_sds_secret_configs over ADS",
        (MATRIX, BY_ARN),
    ),
    Proof(
        f"{PROXIES}.listeners[].tls.certificate.file{{.certificateChain,.privateKey}}",
        "DownstreamTlsContext: tls_certificate_sds_secret_configs by a file, read again when "
        "it changes",
        (MATRIX, FILES),
    ),
    Proof(
        f"{PROXIES}.listeners[].tls.certificate.sds.secretName",
        "DownstreamTlsContext: tls_certificate_sds_secret_configs of "
        "static_cluster_sds_unix_socket",
        (MATRIX, SDS),
    ),
    Proof(
        f"{PROXIES}.listeners[].tls.validation.trust{{.file.certificateChain,.sds.secretName}}",
        "DownstreamTlsContext: require_client_certificate and validation_context",
        (MUTUAL_CLIENT,),
    ),
    Proof(
        f"{PROXIES}.listeners[].tls.validation.subjectAlternativeNames.match.exact[]",
        "DownstreamTlsContext: match_typed_subject_alt_names",
        (MUTUAL_CLIENT,),
    ),
)

NODES = (
    Proof(
        "virtualNode.backends[].virtualService.virtualServiceName",
        "a virtual host or filter chain of the egress listener, and the clusters behind it",
        (
            f"{ENVOY}test_explicit_mode.py::"
            "test_http_proxy_reaches_backends_and_says_why_it_does_not_reach_others",
            f"{ENVOY}test_transparent_chains.py::"
            "test_the_port_picks_the_chain_and_the_host_the_backend",
            f"{ENVOY}test_mesh_dns.py::"
            "test_two_tcp_backends_on_one_port_and_an_http_one_are_told_apart",
        ),
    ),
    Proof(
        "virtualNode.listeners[].connectionPool.http{.maxConnections,.maxPendingRequests}",
        f"{INGRESS}.circuit_breakers: max_connections, max_pending_requests",
        (
            f"{CASES}test_circuit_breakers.py::"
            "test_fifteen_of_fifty_come_through_and_the_others_are_told",
            f"{ENVOY}test_pools.py::"
            "test_ten_connections_and_five_waiting_let_fifteen_of_fifty_through",
        ),
    ),
    Proof(
        "virtualNode.listeners[].connectionPool.http2.maxRequests",
        f"{INGRESS}.circuit_breakers: max_requests",
        (
            f"{ENVOY}test_pools.py::"
            "test_ten_requests_of_http2_are_let_through_whatever_the_connections",
        ),
    ),
    Proof(
        "virtualNode.listeners[].connectionPool.grpc.maxRequests",
        f"{INGRESS}.circuit_breakers: max_requests",
        (
            f"{ENVOY}test_pools.py::"
            "test_ten_calls_of_grpc_are_let_through_and_the_others_are_unavailable",
        ),
    ),
    Proof(
        "virtualNode.listeners[].connectionPool.tcp.maxConnections",
        f"{INGRESS}.circuit_breakers: max_connections",
        (f"{ENVOY}test_pools.py::test_ten_connections_of_tcp_are_kept_and_the_others_are_closed",),
    ),
    Proof(
        "virtualNode.listeners[].healthCheck"
        "{.healthyThreshold,.unhealthyThreshold,.intervalMillis,.timeoutMillis,.path,.port,"
        ".protocol}",
        f"{EGRESS}.health_checks: thresholds, interval, timeout, and an http, grpc or tcp check",
        (HEALTH, f"{CASES}test_grpc.py::test_the_health_check_asks_the_standard_service"),
    ),
    Proof(
        f"virtualNode.listeners[].outlierDetection{{.baseEjectionDuration,.interval}}{TIME}",
        f"{EGRESS}.outlier_detection: base_ejection_time, interval",
        (
            f"{ENVOY}test_outlier_detection.py::"
            "test_an_ejection_lasts_its_time_and_longer_the_second_time",
        ),
    ),
    Proof(
        "virtualNode.listeners[].outlierDetection.maxEjectionPercent",
        f"{EGRESS}.outlier_detection: max_ejection_percent",
        (
            f"{ENVOY}test_outlier_detection.py::"
            "test_no_more_than_the_given_share_is_left_out_but_one_always",
        ),
    ),
    Proof(
        "virtualNode.listeners[].outlierDetection.maxServerErrors",
        f"{EGRESS}.outlier_detection: consecutive_5xx",
        (f"{ENVOY}test_outlier_detection.py::test_with_detection_five_calls_fail_and_then_none",),
    ),
    Proof(
        "virtualNode.listeners[].portMapping{.port,.protocol}",
        "a filter chain of lds_ingress_0.0.0.0_15000; cds_ingress_* and cds_egress_* with the "
        "protocol's options",
        (
            LISTENERS,
            f"{CASES}test_listeners.py::test_http2_stays_http2_from_end_to_end",
            f"{CASES}test_listeners.py::test_grpc_has_a_listener_beside_them",
        ),
    ),
    Proof(
        f"virtualNode.listeners[].timeout{{.http,.http2,.grpc}}.perRequest{TIME}",
        "the route timeout of rds_ingress_http_*",
        (LIMITS, f"{ENVOY}test_timeouts.py::test_the_listeners_own_limit_holds_at_the_workload"),
    ),
    Proof(
        f"virtualNode.listeners[].timeout{{.http,.http2,.grpc}}.idle{TIME}",
        "the route idle_timeout of rds_ingress_http_*",
        (LIMITS,),
    ),
    Proof(
        f"virtualNode.listeners[].timeout.tcp.idle{TIME}",
        "tcp_proxy.idle_timeout of the ingress chain",
        (LIMITS,),
    ),
    Proof(
        f"virtualNode.{ACCESS_LOG}",
        "access_log of every connection manager and TCP proxy: path, log_format",
        (LOGS,),
    ),
    Proof(
        f"virtualGateway.{ACCESS_LOG}",
        "access_log of the connection managers of both hops: path, log_format",
        (f"{ENVOY}test_gateways.py::test_both_hops_are_logged",),
    ),
    Proof(
        "virtualNode.serviceDiscovery.awsCloudMap"
        "{.namespaceName,.serviceName,.attributes[].key,.attributes[].value}",
        "the endpoints of the ClusterLoadAssignment (EDS)",
        (CLOUD_MAP,),
    ),
    Proof(
        "virtualNode.serviceDiscovery{.awsCloudMap,.dns}.ipPreference",
        "which address an endpoint has; cluster_type.dns_lookup_family; the bind address",
        (NODE_PREFERENCE,),
    ),
    Proof(
        "virtualNode.serviceDiscovery.dns{.hostname,.responseType}",
        f"{EGRESS}: the address of its endpoint; cluster_type.all_addresses_in_single_endpoint",
        (
            f"{ENVOY}test_dns_discovery.py::"
            "test_a_load_balancers_name_is_one_address_and_endpoints_are_all",
            f"{ENVOY}test_ip_preference.py::"
            "test_a_load_balancers_name_is_one_address_at_a_time_and_a_new_one_is_used_soon",
            f"{ENVOY}test_ip_preference.py::"
            "test_a_name_of_endpoints_is_all_its_addresses_and_follows_them_soon",
        ),
    ),
)

SERVICES = (
    Proof(
        "virtualService.provider.virtualNode.virtualNodeName",
        "one catch-all route to the virtual node's cluster",
        (
            f"{ENVOY}test_policies.py::test_a_service_without_a_router_has_the_retries_of_its_policy",
        ),
    ),
    Proof(
        "virtualService.provider.virtualRouter.virtualRouterName",
        "the virtual host's routes",
        (f"{ENVOY}test_demo.py::test_each_of_three_colours_gets_a_third_and_black_nothing",),
    ),
    Proof(
        "virtualRouter.listeners[].portMapping{.port,.protocol}",
        "the port of the egress chain, and of the virtual host's domains",
        (LISTENERS, f"{CASES}test_listeners.py::test_a_port_without_a_listener_is_nowhere"),
    ),
)

WEIGHTS = (
    f"{ENVOY}test_demo.py::test_the_update_files_of_the_example_behave_as_it_says",
    f"{CASES}test_djapp.py::test_five_in_a_hundred_go_to_the_second_version_until_it_is_taken_away",
)
VALUE_MATCHES = "{.exact,.prefix,.suffix,.regex,.range.start,.range.end}"

ROUTES = (
    Proof(
        f"route.{HTTP_KINDS}.action.weightedTargets[]{{.virtualNode,.weight}}",
        "weighted_clusters",
        WEIGHTS,
    ),
    Proof(
        "route.{httpRoute,http2Route,grpcRoute,tcpRoute}.action.weightedTargets[].port",
        "which cds_egress_* of the virtual node",
        (LISTENERS, f"{CASES}test_listeners.py::test_grpc_has_a_listener_beside_them"),
    ),
    Proof(
        "route.grpcRoute.action.weightedTargets[]{.virtualNode,.weight}",
        "weighted_clusters",
        (f"{ENVOY}test_explicit_grpc.py::test_methods_are_routed_by_both_ways",),
    ),
    Proof(
        "route.tcpRoute.action.weightedTargets[]{.virtualNode,.weight}",
        "tcp_proxy.weighted_clusters",
        (f"{CASES}test_tcp.py::test_connections_are_shared_by_weight_and_switched_over",),
    ),
    Proof(
        "route.{httpRoute,http2Route,grpcRoute,tcpRoute}.match.port",
        "which chain or virtual host has the route",
        (LISTENERS, f"{CASES}test_listeners.py::test_grpc_has_a_listener_beside_them"),
    ),
    Proof(
        f"route.{HTTP_KINDS}.match.headers[]{{.name,.invert}}",
        "match.headers: name, invert_match",
        (MATCHES, WHY),
    ),
    Proof(
        f"route.{HTTP_KINDS}.match.headers[].match{VALUE_MATCHES}",
        "match.headers: string_match, range_match",
        (MATCHES, WHY),
    ),
    Proof(
        f"route.{HTTP_KINDS}.match.{{method,path.exact,path.regex,prefix}}",
        "match: :method, path, safe_regex, prefix",
        (MATCHES, WHY),
    ),
    Proof(
        f"route.{HTTP_KINDS}.match.queryParameters[]{{.name,.match.exact}}",
        "match.query_parameters",
        (MATCHES, WHY),
    ),
    Proof(
        "route.http2Route.match.scheme",
        "match.headers: :scheme",
        (f"{CASES}test_route_matches.py::test_the_scheme_is_that_of_the_request",),
    ),
    Proof(
        "route.httpRoute.match.scheme",
        "nothing: it is refused, since App Mesh took it for http2Route only",
        ("tests/unit/model/test_codec.py::test_rules_within_a_route",),
    ),
    Proof(
        "route.grpcRoute.match.{serviceName,methodName}",
        "match: prefix /SERVICE/ or path /SERVICE/METHOD",
        (f"{CASES}test_grpc.py::test_only_the_method_of_the_route_is_served",),
    ),
    Proof(
        "route.grpcRoute.match.metadata[]{.name,.invert}",
        "match.headers: name, invert_match",
        (METADATA,),
    ),
    Proof(
        f"route.grpcRoute.match.metadata[].match{VALUE_MATCHES}",
        "match.headers: string_match, range_match",
        (METADATA, WHY),
    ),
    Proof(
        "route.{httpRoute,http2Route,grpcRoute}.retryPolicy.httpRetryEvents[]",
        "retry_policy: retriable_status_codes; retry_on reset, refused-stream",
        (
            f"{CASES}test_retry_events.py::"
            "test_an_http_event_tries_its_own_statuses_again_and_no_others",
            f"{ENVOY}test_retries.py::test_a_stream_error_is_a_stream_that_was_refused",
        ),
    ),
    Proof(
        "route.{httpRoute,http2Route,grpcRoute}.retryPolicy.tcpRetryEvents[]",
        "retry_policy.retry_on: connect-failure",
        (f"{CASES}test_retry_events.py::test_a_connection_error_is_tried_at_another_replica",),
    ),
    Proof(
        "route.grpcRoute.retryPolicy.grpcRetryEvents[]",
        "retry_policy.retry_on: cancelled, deadline-exceeded, internal, resource-exhausted, "
        "unavailable",
        (
            f"{CASES}test_retry_events.py::"
            "test_a_grpc_event_tries_its_own_status_again_and_no_others",
        ),
    ),
    Proof(
        "route.{httpRoute,http2Route,grpcRoute}.retryPolicy.maxRetries",
        "retry_policy.num_retries",
        (
            f"{ENVOY}test_retries.py::test_as_many_as_are_asked_for",
            f"{ENVOY}test_retries.py::test_no_retries_are_none",
        ),
    ),
    Proof(
        f"route.{{httpRoute,http2Route,grpcRoute}}.retryPolicy.perRetryTimeout{TIME}",
        "retry_policy.per_try_timeout",
        (
            f"{CASES}test_retry_events.py::test_each_try_has_its_own_limit",
            f"{ENVOY}test_retries.py::test_a_try_that_takes_too_long_is_ended_and_made_again",
        ),
    ),
    Proof(
        f"route.{{httpRoute,http2Route,grpcRoute}}.timeout.perRequest{TIME}",
        "route.timeout",
        (LIMITS, f"{ENVOY}test_timeouts.py::test_zero_is_no_limit"),
    ),
    Proof(
        f"route.{{httpRoute,http2Route,grpcRoute}}.timeout.idle{TIME}",
        "route.idle_timeout",
        (LIMITS, IDLE),
    ),
    Proof(
        f"route.tcpRoute.timeout.idle{TIME}",
        "tcp_proxy.idle_timeout",
        (f"{CASES}test_tcp.py::test_a_silent_connection_is_closed_at_its_idle_timeout", SILENT),
    ),
    Proof(
        "route.priority",
        "the order of routes",
        (
            f"{CASES}test_route_matches.py::"
            "test_the_lower_priority_comes_first_whatever_is_more_specific",
        ),
    ),
)

GATEWAYS = (
    Proof(
        "virtualGateway.listeners[].connectionPool.http{.maxConnections,.maxPendingRequests}",
        "cds_ingress_*_self_redirect_*.circuit_breakers: max_connections, max_pending_requests",
        (f"{ENVOY}test_gateways.py::test_a_gateways_pool_turns_away_what_is_above_it",),
    ),
    Proof(
        "virtualGateway.listeners[].connectionPool{.http2.maxRequests,.grpc.maxRequests}",
        "cds_ingress_*_self_redirect_*.circuit_breakers: max_requests",
        (f"{ENVOY}test_gateways.py::test_a_pool_of_streams_turns_away_what_is_above_it",),
    ),
    Proof(
        "virtualGateway.listeners[].healthCheck"
        "{.healthyThreshold,.unhealthyThreshold,.intervalMillis,.timeoutMillis,.path,.port,"
        ".protocol}",
        "nothing, as in App Mesh: nobody inside a mesh checks a gateway; weft check says so "
        "(WEFT-805)",
        ("tests/unit/checks/test_configuration.py::test_a_check_finds_what_it_is_for",),
    ),
    Proof(
        "virtualGateway.listeners[].portMapping{.port,.protocol}",
        "a listener lds_ingress_0.0.0.0_PORT, and the options of its self-redirect cluster",
        (GATEWAY_PORTS, GATEWAY_GRPC),
    ),
)

GATEWAY_ROUTES = (
    Proof(
        "gatewayRoute.{httpRoute,http2Route,grpcRoute}.action.rewrite.hostname.defaultTargetHostname",
        "host_rewrite_literal, or a header that names the service",
        (GATEWAY_REWRITES, GATEWAY_WHY),
    ),
    Proof(
        f"gatewayRoute.{HTTP_KINDS}.action.rewrite"
        "{.path.exact,.prefix.defaultPrefix,.prefix.value}",
        "prefix_rewrite, which takes the place of an exact path or a pattern whole",
        (GATEWAY_REWRITES, GATEWAY_WHY),
    ),
    Proof(
        "gatewayRoute.{httpRoute,http2Route,grpcRoute}.action.target"
        "{.port,.virtualService.virtualServiceName}",
        "host_rewrite_literal, and a virtual host of rds_egress_http_15001",
        (GATEWAY_PORTS, GATEWAY_WHY),
    ),
    Proof(
        "gatewayRoute.{httpRoute,http2Route,grpcRoute}.match.hostname{.exact,.suffix}",
        "match.headers: :authority",
        (GATEWAY_HOSTS, GATEWAY_GRPC, GATEWAY_WHY),
    ),
    Proof(
        "gatewayRoute.{httpRoute,http2Route,grpcRoute}.match.port",
        "which rds_ingress_http_* has the route",
        (GATEWAY_PORTS,),
    ),
    Proof(
        f"gatewayRoute.{HTTP_KINDS}.match.headers[]{{.name,.invert}}",
        "match.headers: name, invert_match",
        (GATEWAY_MATCH,),
    ),
    Proof(
        f"gatewayRoute.{HTTP_KINDS}.match.headers[].match{VALUE_MATCHES}",
        "match.headers: string_match, range_match",
        (GATEWAY_MATCH, GATEWAY_WHY),
    ),
    Proof(
        f"gatewayRoute.{HTTP_KINDS}.match.{{method,path.exact,path.regex,prefix}}",
        "match: :method, path, safe_regex, prefix",
        (GATEWAY_MATCH, GATEWAY_REWRITES),
    ),
    Proof(
        f"gatewayRoute.{HTTP_KINDS}.match.queryParameters[]{{.name,.match.exact}}",
        "match.query_parameters",
        (GATEWAY_MATCH, GATEWAY_WHY),
    ),
    Proof(
        "gatewayRoute.grpcRoute.match.serviceName",
        "match.prefix /SERVICE/",
        (GATEWAY_GRPC,),
    ),
    Proof(
        "gatewayRoute.grpcRoute.match.metadata[]{.name,.invert}",
        "match.headers: name, invert_match",
        (GATEWAY_GRPC,),
    ),
    Proof(
        f"gatewayRoute.grpcRoute.match.metadata[].match{VALUE_MATCHES}",
        "match.headers: string_match, range_match",
        (GATEWAY_GRPC, GATEWAY_WHY),
    ),
    Proof(
        "gatewayRoute.priority",
        "the order of routes",
        (GATEWAY_WHY,),
    ),
)

PROOFS = (*MESH, *NODES, *TLS, *SERVICES, *ROUTES, *GATEWAYS, *GATEWAY_ROUTES)
