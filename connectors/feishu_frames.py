"""Frames of Feishu's long connection: one message of Protocol Buffers, `pbbp2.Frame`, written and read by hand.

    1 SeqID  2 LogID  3 service  4 method  5 headers {1 key, 2 value}  6 payload_encoding  7 payload_type  8 payload
    9 LogIDNew

protobuf.dev/programming-guides/encoding; what else a frame holds is passed over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

CONTROL, DATA = 0, 1  # methods

_VARINT, _EIGHT, _OCTETS, _FOUR = 0, 1, 2, 5  # wire types


@dataclass(frozen=True, slots=True)
class Frame:
    """An answer is the same frame with another payload."""

    method: int
    service: int = 0
    sequence: int = 0
    log: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    encoding: bytes = b""
    kind: bytes = b""
    payload: bytes = b""
    log_name: bytes = b""


def decode(raw: bytes) -> Frame:
    """Raises ValueError."""
    numbers: dict[int, int] = {}
    octets: dict[int, bytes] = {}
    headers: dict[str, str] = {}
    for number, value in _fields(raw):
        if isinstance(value, int):
            numbers[number] = value
        elif number == 5:
            one = {part: said for part, said in _fields(value) if isinstance(said, bytes)}
            headers[one.get(1, b"").decode()] = one.get(2, b"").decode()
        else:
            octets[number] = value
    return Frame(
        numbers.get(4, 0), numbers.get(3, 0), numbers.get(1, 0), numbers.get(2, 0), headers,
        octets.get(6, b""), octets.get(7, b""), octets.get(8, b""), octets.get(9, b""),
    )  # fmt: skip


def encode(frame: Frame) -> bytes:
    raw = bytearray()
    for number, value in ((1, frame.sequence), (2, frame.log), (3, frame.service), (4, frame.method)):
        raw += _varint(number << 3 | _VARINT) + _varint(value)
    for key, said in frame.headers.items():
        raw += _octets(5, _octets(1, key.encode()) + _octets(2, said.encode()))
    for number, octets in ((6, frame.encoding), (7, frame.kind), (8, frame.payload), (9, frame.log_name)):
        if octets:
            raw += _octets(number, octets)
    return bytes(raw)


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(raw):
        tag, at = _read(raw, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _read(raw, at)
            yield number, value
            continue
        if wire == _OCTETS:
            size, at = _read(raw, at)
        elif wire in (_EIGHT, _FOUR):
            size = 8 if wire == _EIGHT else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(raw):
            raise ValueError("cut short")
        if wire == _OCTETS:
            yield number, raw[at : at + size]
        at += size


def _read(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(raw):
            raise ValueError("cut short")
        octet, at = raw[at], at + 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("a number without an end")


def _varint(value: int) -> bytes:
    raw = bytearray()
    while value > 0x7F:
        raw.append(value & 0x7F | 0x80)
        value >>= 7
    raw.append(value)
    return bytes(raw)


def _octets(number: int, octets: bytes) -> bytes:
    return _varint(number << 3 | _OCTETS) + _varint(len(octets)) + octets
