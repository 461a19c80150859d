"""What S/MIME signed in one piece (CMS, RFC 5652): the content comes out, whether the signature is true is not asked.

Total: what is broken, encrypted or no CMS gives nothing.
"""

from collections.abc import Iterator

MAX_NESTING = 20
MAX_ELEMENTS = 200_000  # looked at; content comes in chunks of a kilobyte or more

_SEQUENCE, _OBJECT, _OCTETS, _CHUNKS, _EXPLICIT = 0x30, 0x06, 0x04, 0x24, 0xA0
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")

Span = tuple[int, int]


def signed_content(raw: bytes) -> bytes:
    """The MIME entity that was signed, or nothing."""
    try:
        return _Elements(raw).content()
    except (IndexError, ValueError):
        return b""


class _Elements:
    """The elements of BER (X.690 8.1), and how many may still be looked at."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.left = MAX_ELEMENTS

    def content(self) -> bytes:
        whole = self._only((0, len(self.raw)), _SEQUENCE)
        if self.raw[slice(*self._only(whole, _OBJECT))] != _SIGNED_DATA:
            return b""
        signed = self._only(self._only(whole, _EXPLICIT), _SEQUENCE)
        return b"".join(self._octets(self._only(self._only(signed, _SEQUENCE), _EXPLICIT), 0))

    def _octets(self, within: Span, depth: int) -> Iterator[bytes]:
        """An octet string, in one piece or in chunks."""
        for tag, begin, stop in self._within(within):
            if tag == _OCTETS:
                yield self.raw[begin:stop]
            elif tag == _CHUNKS and depth < MAX_NESTING:
                yield from self._octets((begin, stop), depth + 1)

    def _only(self, within: Span, wanted: int) -> Span:
        """Where the contents of the first element with this tag lie."""
        for tag, begin, stop in self._within(within):
            if tag == wanted:
                return begin, stop
        raise ValueError("no such element")

    def _within(self, within: Span) -> Iterator[tuple[int, int, int]]:
        at, end = within
        while at < end:
            tag, begin, stop, at = self._element(at, end, 0)
            yield tag, begin, stop

    def _element(self, at: int, end: int, depth: int) -> tuple[int, int, int, int]:
        """Tag, where the contents begin and stop, and where the next element is."""
        self.left -= 1
        if depth > MAX_NESTING or self.left < 0:
            raise ValueError("too much to look at")
        tag, length, begin = self.raw[at], self.raw[at + 1], at + 2
        if length == 0x80:  # of indefinite length: up to two zeros
            stop = begin
            while self.raw[stop : stop + 2] != b"\0\0":
                *_, stop = self._element(stop, end, depth + 1)
            return tag, begin, stop, stop + 2
        if length > 0x80:
            size = length & 0x7F
            length, begin = int.from_bytes(self.raw[begin : begin + size]), begin + size
        if begin + length > end:
            raise ValueError("cut")
        return tag, begin, begin + length, begin + length
