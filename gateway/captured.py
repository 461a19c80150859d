"""Requests of channels kept in files, as a proxy or a vendor's page shows them: read again, as if they were posted now.

A file is a whole request (`POST URL`, perhaps `HTTP/1.1` behind it, header lines, an empty line, the body) or a bare
body, whose kind its first octets tell. Signatures are not asked for: whoever has the data folder may bring in anything.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from connectors.base import Request, Webhook, enclose
from gateway.attempt import content_type
from gateway.mailfiles import files
from normalizer.canon import Envelope
from normalizer.errors import Rejected

LARGEST = 64 * 1024 * 1024

_FIRST = re.compile(rb"(GET|POST|PUT) (\S+)(?: HTTP/\d(?:\.\d)?)?\r?\n")
_EMPTY = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Skipped:
    file: Path
    why: str


def request(raw: bytes, now: datetime) -> Request:
    """The request in a file. Names of headers are lower case, whatever they were. Raises Rejected for what is none."""
    first = _FIRST.match(raw)
    if first is None:
        return Request("POST", "", {"content-type": content_type(raw)}, raw, {}, "", now)
    end = _EMPTY.search(raw, first.end() - 2)
    head, body = (raw[first.end() : end.start()], raw[end.end() :]) if end else (raw[first.end() :], b"")
    lines = (line.partition(":") for line in head.decode("utf-8", "replace").splitlines())
    headers = {name.strip().lower(): value.strip() for name, _, value in lines if name.strip()}
    headers.setdefault("content-type", content_type(body))
    url = first[2].decode("utf-8", "replace")
    if first[1] == b"GET":
        raise Rejected("GET brings nothing: a vendor tries the address by it")
    try:
        query = dict(parse_qsl(urlsplit(url).query))
    except ValueError as error:
        raise Rejected(f"no URL: {error}") from None
    return Request(first[1].decode(), url, headers, body, query, "", now)


def envelopes(webhook: Webhook, paths: list[Path], now: datetime) -> Iterator[tuple[Path, Envelope] | Skipped]:
    """What the account would have journalled of each file; what it cannot name is skipped."""
    for file in files(paths):
        try:
            if file.stat().st_size > LARGEST:
                yield Skipped(file, "too large")
                continue
            yield file, enclose(webhook, request(file.read_bytes(), now))
        except OSError as error:
            yield Skipped(file, error.strerror or "cannot be read")
        except Rejected as error:
            yield Skipped(file, error.reason)
