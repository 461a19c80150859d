"""What an acknowledgement may say: the variables of its template, its language, and its parts once rendered.

A template is a text file `rules/templates/NAME.LANGUAGE.liquid`. Its first line is `subject: ...`, perhaps a second one
`choices: solved=It works now, unsolved=Not yet` (buttons, where the channel has them), then an empty line, then the
words. The promise is computed from the SLA and never written out in the template. NAME.chat.LANGUAGE.liquid holds
shorter words for every channel but mail and forms, NAME.sms.LANGUAGE.liquid those of one channel.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, get_args

from engine.company import Company
from engine.decision import Past
from engine.sla import promise
from engine.vocabulary import Vocabulary
from normalizer.canon import Channel, Choice, Contact, Ticket, digest

VARIABLES = (
    "number", "name", "subject", "summary", "promise", "promise_is_length", "due", "company", "category",
    "subcategory", "priority", "order_number", "answer", "fields",
)  # fmt: skip

LINE, SUMMARY = 60, 200  # characters of what the customer wrote
# Why one that the rules wanted is held back, whatever they say; by the code of the limit.
THROTTLES: Mapping[str, str] = {
    "address": "as many acknowledgements to this address within an hour as are allowed",
    "thread": "as many acknowledgements in this thread within a day as are allowed",
    "domain": "as many acknowledgements to this domain within an hour as are allowed",
    "whole": "as many acknowledgements within an hour as are allowed in all",
    "storm": "a storm of acknowledgements; none goes out until it is over",
}
BOUNCING = "mail to this address came back, and nobody wrote from there since"
# RFC 3834 2 and what software calls itself: behind these is no person to be answered.
_NOBODY = re.compile(
    r"(?:owner-.*|.*-(?:request|owner|bounces?|errors)|mailer-daemon|listserv|majordomo|daemon|postmaster|root|nobody|"
    r"(?:no|do|not?)[-_.]?(?:not)?[-_.]?reply(?:[-_.+].*)?|bounces?(?:[-+=].*)?)",
    re.IGNORECASE,
)
MOST, WITHIN = 3, timedelta(hours=1)  # to one customer: mail that answers itself and marks nothing would go on for ever


LONG = frozenset(("email", "form", "api", "import"))  # channels on which people read letters
VARIANTS = frozenset(get_args(Channel)) | {"chat"}
HEADERS = ("subject", "choices")
MOST_CHOICES = 10


class Words(NamedTuple):
    """For a customer."""

    language: str
    subject: str
    text: str
    choices: tuple[Choice, ...] = ()


def identity(ticket: str) -> str:
    """The id of a ticket's acknowledgement; there can be only one."""
    return digest("acknowledge", ticket)


def is_nobody(address: str) -> bool:
    """Whether a mail address is a machine's."""
    return _NOBODY.fullmatch(address.rpartition("@")[0]) is not None


def too_many(history: Iterable[Past], now: datetime) -> bool:
    """Whether the customer was acknowledged so often within the hour that this would be one too many."""
    return sum(past.acknowledged and now - past.at < WITHIN for past in history) >= MOST


def too_many_replies(history: Iterable[Past], ticket: Ticket, now: datetime) -> bool:
    """The same of other automatic answers, those of this ticket among them."""
    others = sum(past.replies for past in history if past.ticket != ticket.id and now - past.at < WITHIN)
    return others + sum(now - at < WITHIN for at in ticket.replied_at) >= MOST


def language(ticket: Ticket, contact: Contact, languages: Sequence[str] = ("zh", "en")) -> str:
    """The language to answer in: the customer's if there are templates for it, else English, else the first there is.

    A customer whose language is unknown gets the first.
    """
    spoken = (ticket.language or contact.locale).lower().partition("-")[0]
    if not spoken or spoken in languages:
        return spoken or languages[0]
    return "en" if "en" in languages else languages[0]


def variables(
    ticket: Ticket,
    contact: Contact,
    company: Company,
    vocabulary: Vocabulary,
    in_language: str,
    fields: Sequence[str] = (),
    answer: str = "",
) -> dict[str, str | bool]:
    """What a template may use; every name of VARIABLES is there, empty if unknown.

    `fields` are those the customer is asked for, `answer` the name of one of answers/.
    """
    told = promise(ticket, company, in_language)
    category = ticket.category.value if ticket.category else ""
    subcategory = ticket.subcategory.value if ticket.subcategory else ""
    order = ticket.extracted.get("order_number")
    return {
        "number": ticket.number,
        "name": _short(contact.name, LINE),
        "subject": _short(ticket.subject, LINE),
        "summary": _short(ticket.description, SUMMARY),
        "promise": told.text if told else "",
        "promise_is_length": bool(told and told.is_length),
        "due": told.due if told else "",
        "company": company.name,
        "category": vocabulary.label("category", category, in_language) if category else "",
        "subcategory": vocabulary.label("subcategory", subcategory, in_language, category) if subcategory else "",
        "priority": vocabulary.label("priority", ticket.priority.value, in_language),
        "order_number": _short(order.value if order else ticket.custom.get("order_number", ""), LINE),
        "answer": company.answer(answer, in_language),
        "fields": "\n".join(f"- {vocabulary.field_label(name, in_language)}" for name in fields),
    }


def variants(name: str, channel: str) -> tuple[str, ...]:
    """The templates that may stand for this one on a channel, the nearest first."""
    return (f"{name}.{channel}", *((f"{name}.chat",) if channel not in LONG else ()), name)


def plain(name: str) -> str:
    """The name that rules call a template by, whatever channel it is for."""
    stem, dot, variant = name.rpartition(".")
    return stem if dot and variant in VARIANTS else name


def parts(rendered: str, language: str) -> Words:
    """What a rendered template says; without the line `subject:` it is all words."""
    heads: dict[str, str] = {}
    rest = rendered.lstrip("\ufeff\n")
    while True:
        first, _, after = rest.partition("\n")
        name, colon, value = first.partition(":")
        head = name.strip().lower()
        if not colon or head not in HEADERS or head in heads:
            break
        heads[head], rest = " ".join(value.split()), after
    return Words(language, heads.get("subject", ""), rest.strip() + "\n", _choices(heads.get("choices", "")))


def _choices(said: str) -> tuple[Choice, ...]:
    """`solved=It works now, unsolved=Not yet`; a label without a code is its own."""
    pairs = [part.strip().partition("=") for part in re.split("[,，]", said) if part.strip()]
    return tuple(Choice(code.strip(), (label or code).strip()) for code, _, label in pairs[:MOST_CHOICES])


def _short(text: str, length: int) -> str:
    flat = " ".join(text[: 2 * length].split())  # long enough, if it is not mostly blanks
    if len(flat) <= length and len(text) > 2 * length:
        flat = " ".join(text.split(maxsplit=length))  # so many words are longer
    return flat if len(flat) <= length else flat[: length - 1].rstrip() + "…"
