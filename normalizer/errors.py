"""Errors, sorted by what we do about them.

TicketgateError
├── ConfigError      say where, what, and what to write instead; do not start
├── Rejected         refuse at the door (4xx); kept in quarantine with its reason
├── Unreadable       it is ours: keep the envelope aside with a coded reason
└── SendingError
    ├── Unavailable  again later
    └── Refused      give up, dead-letter, tell a person
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from normalizer.canon import Message


class TicketgateError(Exception):
    """Whatever this house raises on purpose."""


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file a person wrote; lines and columns count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class ConfigError(TicketgateError):
    """What a person wrote cannot be used; nothing starts until it is mended.

    `what` says what is wrong, `hint` what to write instead.
    """

    def __init__(self, where: Where, what: str, hint: str = "", code: str = "config") -> None:
        super().__init__(where, what, hint, code)
        self.where, self.what, self.hint, self.code = where, what, hint, code

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.hint})" if self.hint else "")


class Rejected(TicketgateError):
    """Refused at the door. `status` is HTTP's; `code` is one of `canon.REASONS`."""

    def __init__(self, reason: str, *, status: int = 401, code: str = "unverified") -> None:
        super().__init__(reason)
        self.reason, self.status, self.code = reason, status, code


class Unreadable(TicketgateError):
    """Journalled, but no message can be made of it, or not of all of it. `code` is one of `canon.REASONS`.

    `readable` are the messages of the same envelope that can be read: they go on, and the envelope is then kept aside.
    """

    def __init__(self, reason: str, *, code: str = "unreadable", readable: Sequence[Message] = ()) -> None:
        super().__init__(reason)
        self.reason, self.code, self.readable = reason, code, tuple(readable)


class SendingError(TicketgateError):
    """The other side did not take what we owe it."""

    def __init__(self, reason: str, status: str = "") -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status  # the status of RFC 3463, of mail: 4.2.1, 5.1.1


class Unavailable(SendingError):
    """Ask again later; `wait` is what the other side asked for (Retry-After), if it did."""

    def __init__(self, reason: str, *, wait: timedelta | None = None, status: str = "") -> None:
        super().__init__(reason, status)
        self.wait = wait


class Refused(SendingError):
    """The other side will never take this; a person has to look. `bounced`: nobody has that address."""

    def __init__(self, reason: str, *, bounced: bool = False, status: str = "") -> None:
        super().__init__(reason, status)
        self.bounced = bounced
