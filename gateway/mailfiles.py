"""Mail in files, one after the other: mbox, Maildir (with its folders), .eml, and folders of all these.

Never more than one mail is in memory, and of one that is too large only its beginning. An mbox is cut at lines `From `
behind an empty line that bear a time (RFC 4155); what was quoted as `>From ` is restored.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from connectors.imported import KEPT, is_mail
from connectors.mail_account import head_of
from normalizer.dates import date as mail_date

LIMIT = 50 * 1024 * 1024  # octets of one mail
LINE = 64 * 1024

_START = re.compile(rb"From \S.*\d{1,2}:\d{2}.*\b\d{4}\b")
_STARTED_AT = re.compile(rb"From .*?((?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b.*)")
_FIELD = re.compile(rb"[!-9;-~]{1,100}:[ \t]")
_QUOTED = re.compile(rb">+From ")
_DATE = re.compile(rb"^date[ \t]*:[ \t]*((?:.*(?:\r?\n[ \t].*)*))", re.I | re.M)


@dataclass(frozen=True, slots=True)
class Found:
    """One mail of a file: `at` is where it begins, `read` what of the file is done with it; `size` if it is cut."""

    file: Path
    raw: bytes
    dated: datetime | None
    at: int = 0
    read: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is none, or cannot be read."""

    file: Path
    why: str


def files(paths: list[Path]) -> Iterator[Path]:
    """Every file below, in a settled order; links are not followed into folders."""
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path):
                folders.sort()
                if "cur" in folders and "tmp" in folders:
                    folders.remove("tmp")  # a Maildir's: not delivered yet
                yield from (Path(folder) / name for name in sorted(names))
        else:
            yield path


def mails(file: Path, limit: int = LIMIT) -> Iterator[Found | Skipped]:
    """The mails in a file."""
    try:
        with file.open("rb") as opened:
            first = opened.readline(LINE)
            opened.seek(0)
            if first.startswith(b"From "):
                yield from _mbox(file, opened, limit, strict=bool(_START.match(first)))
            elif file.suffix.lower() == ".eml" or file.parent.name in ("cur", "new") or _headed(first, opened):
                yield _single(file, opened, limit)
            else:
                yield Skipped(file, "neither .eml nor mbox")
    except OSError as error:
        yield Skipped(file, error.strerror or type(error).__name__)


def _headed(first: bytes, opened: BinaryIO) -> bool:
    """Whether a file by another name begins as a mail does."""
    head = _FIELD.match(first) is not None and is_mail(opened.read(LINE))
    opened.seek(0)
    return head


def _single(file: Path, opened: BinaryIO, limit: int) -> Found:
    size = os.fstat(opened.fileno()).st_size
    raw = opened.read(KEPT if size > limit else limit + 1)
    written = datetime.fromtimestamp(os.fstat(opened.fileno()).st_mtime, UTC)
    return Found(file, raw, _dated(raw) or written, 0, size, size if size > limit else 0)


def _mbox(file: Path, opened: BinaryIO, limit: int, *, strict: bool) -> Iterator[Found]:
    mail, at, started = _Growing(limit), 0, b""
    empty, whole = True, True  # whether the line before was empty; whether this one begins a line
    position = 0
    while line := opened.readline(LINE):
        if whole and empty and line.startswith(b"From ") and (not strict or _START.match(line)):
            if started:
                yield mail.found(file, started, at, position)
            mail, at, started = _Growing(limit), position, line
        else:
            mail.add(line[1:] if whole and _QUOTED.match(line) else line)
        position += len(line)
        empty, whole = line in (b"\n", b"\r\n") and whole, line.endswith(b"\n")
    if started:
        yield mail.found(file, started, at, position)


class _Growing:
    """A mail line by line; beyond the limit it is only counted."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.raw = bytearray()

    def add(self, line: bytes) -> None:
        self.size += len(line)
        if self.size <= self.limit:
            self.raw += line
        elif len(self.raw) > KEPT:
            del self.raw[KEPT:]

    def found(self, file: Path, started: bytes, at: int, read: int) -> Found:
        raw = bytes(self.raw)
        for end in (b"\r\n\r\n", b"\n\n"):  # the empty line before the next `From ` belongs to the mbox
            if raw.endswith(end):
                raw = raw[: -len(end) // 2]
                break
        return Found(
            file, raw, _dated(raw) or _started_at(started), at, read, self.size if self.size > self.limit else 0
        )


def _dated(raw: bytes) -> datetime | None:
    field = _DATE.search(head_of(raw))
    return mail_date(field[1][:200].decode("latin-1")) if field else None


def _started_at(line: bytes) -> datetime | None:
    """The time in an mbox's `From ` line, which is UTC."""
    if named := _STARTED_AT.match(line):
        text = " ".join(named[1].decode("latin-1").split())
        with suppress(ValueError):
            return datetime.strptime(f"{text} +0000", "%a %b %d %H:%M:%S %Y %z").astimezone(UTC)
        with suppress(ValueError):  # Gmail's
            return datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y").astimezone(UTC)
    return None
