"""TLS of listeners and clusters, in Envoy's words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from envoy.config.core.v3 import base_pb2, config_source_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message

from weft.ir import tls as ir
from weft.names import SDS_CLUSTER
from weft.translate.basics import duration, over_ads, packed

LOCAL_FETCH_TIMEOUT = timedelta(seconds=2)
"""
How long a start waits for the machine's own secret server. What it has not served by
then is closed, and opens when the secret comes.
"""

_FIRST_RETRY, _LAST_RETRY = timedelta(milliseconds=100), timedelta(seconds=2)

_SAN = common_pb2.SubjectAltNameMatcher
_KINDS = {
    ir.NameKind.DNS: _SAN.DNS,
    ir.NameKind.URI: _SAN.URI,
    ir.NameKind.IP: _SAN.IP_ADDRESS,
}


def server_side(value: ir.ServerTls) -> Any:
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=_common(value.protocols, value.certificate, value.validation),
        require_client_certificate=wrappers_pb2.BoolValue(value=value.client_certificate_required),
    )
    return _socket(context)


def client_side(value: ir.ClientTls) -> Any:
    return _socket(
        tls_pb2.UpstreamTlsContext(
            sni=value.server_name,
            common_tls_context=_common(value.protocols, value.certificate, value.validation),
        )
    )


def _socket(context: Message) -> Any:
    return base_pb2.TransportSocket(
        name="envoy.transport_sockets.tls", typed_config=packed(context)
    )


def _common(
    protocols: tuple[str, ...], certificate: ir.Source | None, validation: ir.Validation | None
) -> Any:
    context = tls_pb2.CommonTlsContext(alpn_protocols=protocols)
    if certificate is not None:
        context.tls_certificate_sds_secret_configs.append(_secret(certificate))
    if validation is not None and not validation.names:
        context.validation_context_sds_secret_config.CopyFrom(_secret(validation.trust))
    elif validation is not None:
        combined = context.combined_validation_context
        combined.validation_context_sds_secret_config.CopyFrom(_secret(validation.trust))
        combined.default_validation_context.match_typed_subject_alt_names.extend(
            map(_name, validation.names)
        )
    return context


def _name(value: ir.SubjectName) -> Any:
    matcher = string_pb2.StringMatcher()
    if value.any_label:
        pattern = "".join(c if c.isalnum() else f"\\{c}" for c in value.text)
        matcher.safe_regex.regex = rf"[^.]+\.{pattern}"
    else:
        matcher.exact = value.text
    return _SAN(san_type=_KINDS[value.kind], matcher=matcher)


def _secret(source: ir.Source) -> Any:
    config = over_ads() if isinstance(source, ir.Told) else _from_machine()
    return secret_pb2.SdsSecretConfig(name=source.name, sds_config=config)


def _from_machine() -> Any:
    config = config_source_pb2.ConfigSource(
        resource_api_version=config_source_pb2.ApiVersion.V3,
        initial_fetch_timeout=duration(LOCAL_FETCH_TIMEOUT),
    )
    server = config.api_config_source
    server.api_type = config_source_pb2.ApiConfigSource.GRPC
    server.transport_api_version = config_source_pb2.ApiVersion.V3
    server.set_node_on_first_message_only = True
    asked = server.grpc_services.add().envoy_grpc
    asked.cluster_name = SDS_CLUSTER
    # Envoy's own is up to half a minute: one that comes late would be found as late again.
    asked.retry_policy.retry_back_off.base_interval.CopyFrom(duration(_FIRST_RETRY))
    asked.retry_policy.retry_back_off.max_interval.CopyFrom(duration(_LAST_RETRY))
    return config
