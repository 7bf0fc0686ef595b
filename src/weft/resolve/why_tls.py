"""How a caller's proxy speaks to the targets: in plain text, with TLS and whose, or not at all."""

from __future__ import annotations

from dataclasses import replace

from weft.ir import cluster, proxy
from weft.ir import tls as ir
from weft.names import Key, Kind
from weft.resolve.explained import Explanation, Setting, Share

_CLOSED = "cannot be called with TLS: "


def as_called(found: Explanation, told: proxy.Proxy, mesh: str) -> Explanation:
    """The same with what this proxy was told of each target's connections."""
    clusters = {each.name: each for each in told.clusters}
    targets = tuple(
        _called(each, clusters[each.cluster], told, mesh) if each.cluster in clusters else each
        for each in found.targets
    )
    return replace(found, targets=targets)


def _called(share: Share, told: cluster.Cluster, all_of_it: proxy.Proxy, mesh: str) -> Share:
    if told.discovery == cluster.Static(()):
        place = f"{Key(mesh, Kind.VIRTUAL_NODE, share.virtual_node)} port {share.port}"
        reasons = (
            note.message.removeprefix(_CLOSED)
            for note in all_of_it.notes
            if note.path == place and note.message.startswith(_CLOSED)
        )
        why = next(reasons, "it cannot be called as it was asked for")
        return replace(share, endpoints=(), tls=Setting(f"closed: {why}", default=False))
    if told.tls is None:
        return replace(share, tls=Setting("plain text", default=True))
    return replace(share, tls=Setting(_said(told.tls), default=False))


def _said(given: ir.ClientTls) -> str:
    words = ["TLS"]
    if given.server_name:
        words.append(f"server name {given.server_name}")
    if given.certificate is not None:
        words.append(f"shows {given.certificate.name}")
    if given.validation is None:
        words.append("any certificate is accepted")
    else:
        names = " or ".join(
            f"*.{each.text}" if each.any_label else each.text for each in given.validation.names
        )
        whose = f" for {names}" if names else ""
        words.append(f"believes {given.validation.trust.name}{whose}")
    return ", ".join(words)
