"""What a ticket can be found by: the terms of its words, folded as rules fold them.

A word of an alphabet is one term; of Chinese, Japanese and Korean each pair of characters is one, and a character that
stands alone. Numbers, ids and addresses are terms as a whole too (marked by `=`), so that who has one finds it first.
What a text is searched for and what it is found by are made by the same rules, here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from operator import add

from engine.words import fold, folded
from normalizer.canon import Contact, Message, Ticket
from normalizer.identity import phone

LONGEST_ASKED = 200  # characters of what is searched for
MOST = 400  # different terms of one message; what comes after is not found
LONGEST = 6_000  # characters of a text that are looked at: more than MOST terms' worth, and no time lost on a log file

_PAIRED = (
    "\u2e80-\u2fff\u3005-\u3007\u3031-\u3035\u3040-\u30fa\u30fc-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7ff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
RUN = re.compile(f"[{_PAIRED}]+|[^\\W_{_PAIRED}]+")
_PLAIN_RUN = re.compile("[a-z0-9]+")
_FIRST_PAIRED = "\u2e80"
_NUMBER = re.compile(r"[+0-9 ()./-]{7,}")  # a phone or order number, written with gaps
_GAPS = re.compile(r"[+ ()./-]")
_LAST_DIGITS = 4


def terms(text: str) -> list[str]:
    """The terms of a text, as they come."""
    flat = fold(text[:LONGEST])
    if flat.isascii():
        return _PLAIN_RUN.findall(flat)
    found: list[str] = []
    for run in RUN.findall(flat):
        if run[0] < _FIRST_PAIRED or len(run) == 1:
            found.append(run)
        else:
            found.extend(map(add, run, run[1:]))
    return found


def whole(text: str) -> str:
    """The one term that stands for all of a number, an id or an address; empty for nothing."""
    flat = "".join(folded(text).strip("<>#").split())
    return f"={flat}" if flat else ""


def asked(text: str) -> list[list[str]]:
    """Terms that must all be there; of several lists, those of one. Nothing for a text without a word."""
    listed = list(dict.fromkeys(terms(text[:LONGEST_ASKED])))
    flat = folded(text[:LONGEST_ASKED])
    joined = _GAPS.sub("", flat) if _NUMBER.fullmatch(flat) else ""
    return [each for each in (listed, [joined] if len(joined) >= 7 else []) if each]


def exactly(text: str) -> list[str]:
    """The terms of which one says that this very number, id or address is meant."""
    text = text[:LONGEST_ASKED]
    number = phone(text) if len(text) < 40 else None
    return [term for term in dict.fromkeys((whole(text), whole(number or ""))) if term]


def of_ticket(ticket: Ticket) -> list[str]:
    """Number, subject, what was found in its words, what its type asks for, what helpdesks call it."""
    return _some(
        _exact(ticket.number, *(one.id for one in ticket.external)),
        _found({name: one.value for name, one in ticket.extracted.items()}),
        _found(ticket.custom),
        terms(ticket.subject),
        terms(ticket.solution),
    )


def of_contact(contact: Contact) -> list[str]:
    """Name, also by single characters, and identities, also by the mail's domain and a phone's last digits."""
    listed = (_identity(one.kind, one.value) for one in contact.identities)
    return _some(_name(contact.name), *listed, *(terms(value) for value in contact.attributes.values()))


def of_message(message: Message) -> list[str]:
    """Ids first, words last: of a long text the beginning counts."""
    return _some(
        _exact(message.external_id),
        _identity(message.sender.kind, message.sender.address),
        _name(message.sender.name),
        _found({name: one.value for name, one in message.understanding.extracted.items()}),
        _found(message.claims),
        *(_exact(attachment.name) for attachment in message.attachments[:20]),
        terms(message.subject),
        terms(message.text),
    )


def _some(*parts: Iterable[str]) -> list[str]:
    """The first MOST different ones."""
    kept: dict[str, None] = {}
    for part in parts:
        kept.update(dict.fromkeys(part))
    return list(islice(kept, MOST))


def _exact(*values: str) -> Iterator[str]:
    for value in values:
        if value:
            yield whole(value)
            yield from terms(value)


def _name(name: str) -> Iterator[str]:
    yield from terms(name)
    yield from (character for character in fold(name[:100]) if character >= _FIRST_PAIRED)


def _identity(kind: str, value: str) -> Iterator[str]:
    yield from _exact(value)
    if kind == "phone":
        yield from _digits(value)
    elif kind == "email":
        yield whole(value.rpartition("@")[2])


def _found(values: Mapping[str, str]) -> Iterator[str]:
    for name, value in values.items():
        yield from _exact(value)
        if "phone" in name:
            yield from _digits(value)


def _digits(value: str) -> Iterator[str]:
    """A number as people write it at home, and its end, by which they name it."""
    digits = "".join(filter(str.isdigit, value))
    if len(digits) > _LAST_DIGITS:
        yield from (digits, digits[-11:], digits[-_LAST_DIGITS:])
