"""
DNS messages, as far as a stub must read and write them (RFC 1035, RFC 6891).

A question is taken apart only to see whether it is about a name of the mesh; what is
not is passed on as the bytes it came in.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from enum import IntEnum

A, AAAA, OPT, ANY = 1, 28, 41, 255
INTERNET = 1
MESH_TTL_SECONDS = 5
"""How long the answer for a name of the mesh may be kept."""

_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_RESPONSE, _AUTHORITATIVE, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x0400, 0x0100, 0x0080
_OPCODE, _RCODE = 0x7800, 0x000F
_LONGEST_NAME = 253
_UDP_PAYLOAD = 1232
"""What we take by UDP: no datagram of this size is cut up on its way (DNS flag day 2020)."""


class Rcode(IntEnum):
    """Response codes (RFC 1035, 4.1.1)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Query:
    """A message with one question."""

    message: bytes
    id: int
    name: str
    """In lower case, without the last dot; empty for what cannot be a name of the mesh."""
    type: int
    end: int
    """Where the question ends."""
    extended: bool
    """It has an OPT record (EDNS)."""


def parse(message: bytes) -> Query | None:
    """None for what is no plain question; such a thing may still be somebody else's to answer."""
    if len(message) < _HEADER.size:
        return None
    id, flags, questions, answers, authorities, more = _HEADER.unpack_from(message)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        return None
    try:
        name, end = _name(message, _HEADER.size)
        type, kind = struct.unpack_from("!HH", message, end)
        end += 4
        extended = not answers and not authorities and _has_opt(message, end, more)
    except (IndexError, struct.error):
        return None
    return Query(message, id, name if kind == INTERNET else "", type, end, extended)


def question(id: int, name: str, type: int) -> bytes:
    """The question for a name; recursion is asked for, as clients do."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split("."))
    header = _HEADER.pack(id, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack("!HH", type, INTERNET)


def answer(query: Query, addresses: tuple[str, ...]) -> bytes:
    """The addresses of a mesh name of the family asked for; without one: it exists, and no more."""
    records = b""
    count = 0
    for address in addresses:
        kind, family = (AAAA, socket.AF_INET6) if ":" in address else (A, socket.AF_INET)
        if query.type in (kind, ANY):
            content = socket.inet_pton(family, address)
            # A pointer: the name stands where the question has it.
            records += b"\xc0\x0c"
            records += _RECORD.pack(kind, INTERNET, MESH_TTL_SECONDS, len(content)) + content
            count += 1
    return _response(query, Rcode.NOERROR, records, count)


def failure(query: Query, rcode: Rcode) -> bytes:
    return _response(query, rcode, b"", 0)


def cannot(message: bytes) -> bytes | None:
    """SERVFAIL for a message that may be anything; None for what is not even a header."""
    query = parse(message)
    if query is not None:
        return failure(query, Rcode.SERVFAIL)
    if len(message) < _HEADER.size or message[2] & 0x80:
        return None
    flags = int.from_bytes(message[2:4]) & (_OPCODE | _RECURSION_DESIRED)
    said = flags | _RESPONSE | _RECURSION_AVAILABLE | Rcode.SERVFAIL
    return _HEADER.pack(id_of(message), said, 0, 0, 0, 0)


def _response(query: Query, rcode: Rcode, records: bytes, count: int) -> bytes:
    (_, flags) = struct.unpack_from("!HH", query.message)
    said = _RESPONSE | _RECURSION_AVAILABLE | (flags & _RECURSION_DESIRED) | rcode
    if rcode == Rcode.NOERROR:
        said |= _AUTHORITATIVE
    # Our own OPT only where the client has one (RFC 6891, 6.1.1).
    own = b"\0" + _RECORD.pack(OPT, _UDP_PAYLOAD, 0, 0) if query.extended else b""
    header = _HEADER.pack(query.id, said, 1, count, 0, 1 if own else 0)
    # Byte for byte, so that the case of the letters comes back as it was sent.
    return header + query.message[_HEADER.size : query.end] + records + own


# --- answers of others -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name server said."""

    id: int
    rcode: int
    addresses: tuple[str, ...]


def parse_answer(message: bytes) -> Answer | None:
    """The addresses in an answer; None for what is none."""
    if len(message) < _HEADER.size:
        return None
    id, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
    if not flags & _RESPONSE:
        return None
    found: list[str] = []
    try:
        at = _HEADER.size
        for _ in range(questions):
            at = _past_name(message, at) + 4
        for _ in range(answers):
            at = _past_name(message, at)
            type, _, _, length = _RECORD.unpack_from(message, at)
            at += _RECORD.size
            content = message[at : at + length]
            at += length
            if type == A and len(content) == 4:
                found.append(socket.inet_ntop(socket.AF_INET, content))
            elif type == AAAA and len(content) == 16:
                found.append(socket.inet_ntop(socket.AF_INET6, content))
    except (IndexError, struct.error):
        return None
    return Answer(id, flags & _RCODE, tuple(found))


def answers(message: bytes, asked: bytes) -> bool:
    """Whether a message is the answer to what was asked, and not one that somebody made up."""
    if len(message) < _HEADER.size or message[:2] != asked[:2]:
        return False
    _, flags, questions, *_ = _HEADER.unpack_from(message)
    if not flags & _RESPONSE:
        return False
    query = parse(asked)
    if query is None or not questions:
        # Servers that cannot read a question may leave it out.
        return query is None or flags & _RCODE != Rcode.NOERROR
    there = message[_HEADER.size : query.end]
    return there.lower() == asked[_HEADER.size : query.end].lower()


def id_of(message: bytes) -> int:
    return int.from_bytes(message[:2])


def rcode_of(message: bytes) -> int:
    return message[3] & _RCODE


def with_id(message: bytes, id: int) -> bytes:
    return id.to_bytes(2) + message[2:]


def _name(message: bytes, at: int) -> tuple[str, int]:
    """The name at a place, and where it ends."""
    labels: list[bytes] = []
    while length := message[at]:
        if length > 63:  # Nothing stands before a question that a pointer could point to.
            raise IndexError(at)
        if at + 1 + length >= len(message):
            raise IndexError(at)
        labels.append(message[at + 1 : at + 1 + length])
        at += 1 + length
    whole = b".".join(labels)
    plain = len(whole) <= _LONGEST_NAME and whole.isascii() and whole.count(b".") == len(labels) - 1
    return (whole.decode("ascii").lower() if plain else ""), at + 1


def _past_name(message: bytes, at: int) -> int:
    while length := message[at]:
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    return at + 1


def _has_opt(message: bytes, at: int, count: int) -> bool:
    for _ in range(count):
        at = _past_name(message, at)
        type, _, _, length = _RECORD.unpack_from(message, at)
        if type == OPT:
            return True
        at += _RECORD.size + length
    return False
