"""Access logs that a virtual node or a virtual gateway asks for."""

from __future__ import annotations

from weft.ir.listener import AccessLog, JsonFormat, TextFormat
from weft.model.virtual_gateway import VirtualGatewaySpec
from weft.model.virtual_node import AsJson, AsText, VirtualNodeSpec


def access_log(spec: VirtualNodeSpec | VirtualGatewaySpec) -> AccessLog | None:
    """The file that both directions of a proxy's traffic are logged to."""
    if spec.logging is None or spec.logging.access_log is None:
        return None
    file = spec.logging.access_log.file
    match file.format:
        case AsJson(json_=members):
            return AccessLog(file.path, JsonFormat(tuple((m.key, m.value) for m in members)))
        case AsText(text=text):
            return AccessLog(file.path, TextFormat(text))
        case None:
            return AccessLog(file.path)
