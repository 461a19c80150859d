"""What a machine's mail reports of a mail of ours: that it did not arrive, was read, or was called spam.

RFC 3464 (delivery), RFC 8098 (disposition) and RFC 5965 (feedback) say it in fields, which count first. Mail systems
that are older, or know better, say it in words: those are read by flufl.bounce and by what all of them have in common.
Total and linear like all reading of mail: at most so many characters and recipients are looked at.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.errors import MessageError
from email.parser import BytesParser
from email.policy import compat32

from normalizer.canon import Address, Kind, Returned
from normalizer.charset import clean

MAX_RECIPIENTS = 100
MAX_IDS = 10
MAX_CHARACTERS = 65_536  # of each part, and of the words
MAX_GUESSED = 256 * 1024  # bytes of a mail that flufl.bounce gets to see
MAX_DEPTH = 10  # of its parts; the standard library's parser recurses

STATUS = "message/delivery-status"
DISPOSITION = "message/disposition-notification"
FEEDBACK = "message/feedback-report"
HEADERS = "text/rfc822-headers"
MAIL = "message/rfc822"

_LINE = re.compile(r"^[> \t]{0,8}([A-Za-z][\w-]{1,40})[ \t]*:[ \t]*([^\n]*(?:\n[ \t]+[^\s:][^\n]*)*)", re.M)
_GROUP = re.compile(r"\n[> \t\r]*\n")
_TYPED = re.compile(r"\s*[\w-]{1,20}\s*;\s*")
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w.-]{1,253}\w")
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_BASIC = re.compile(r"(?<![\d.])([45]\d\d)(?=[ -][^\d])")
# What mail systems say that give no code, and the code it has in RFC 3463.
_SAID = tuple(
    (re.compile(pattern, re.I), status)
    for pattern, status in (
        (
            r"not yet been delivered|delivery attempts will continue|will (?:keep|continue)(?: to)? try|"
            r"has been (?:delayed|postponed)",
            "4.4.7",
        ),
        (
            r"over (?:disk )?quota|quota (?:has been )?exceeded|"
            r"(?:out of|exceed\w*) (?:\w+ ){0,3}(?:quota|storage)|"
            r"(?:mail ?(?:box|folder)|inbox|account) (?:\S+ ){0,3}full\b|full mailbox|邮箱(?:已满|空间不足)",
            "5.2.2",
        ),
        (r"account (?:\S+ ){0,2}(?:disabled|discontinued|suspended|inactive)", "5.2.1"),
        (
            r"(?:user|recipient|address|account|addressee) (?:\S+ ){0,3}?(?:is )?(?:unknown|not (?:found|recogni[sz]ed|"
            r"listed|known|a valid)|does(?: not|n't) exist|invalid)|(?:unknown|no such|invalid|bad|unrecogni[sz]ed) "
            r"(?:local )?(?:user|recipient|address|mailbox|account|addressee)|unrout(?:e)?able address|"
            r"mailbox (?:\S+ ){0,2}?(?:is )?(?:unavailable|not found)|recipient name is not recogni[sz]ed|"
            r"(?:用户|收件人|地址)(?:不存在|有误)|宛先(?:不明|が見つかりません)",
            "5.1.1",
        ),
        (r"host (?:\S+ ){0,2}?(?:not found|unknown)|unknown host|name service error|no such domain", "5.1.2"),
        (r"(?:message|mail|size) (?:\S+ ){0,3}?(?:too (?:large|big)|exceed\w*)|exceeded maximum \w+ message", "5.3.4"),
        (r"not (?:responding|reachable)|timed? ?out|too long|failed \d+ attempts|maximum delivery attempts", "5.4.7"),
    )
)
MAX_SAID = 2000  # characters in which a mail system has said it; our own mail follows
_ID = re.compile(r"^[> \t]*message-id[ \t]*:\s{0,80}<([^<>\s]{1,900})>", re.M | re.I)
_FAILED_LINE = re.compile(
    r"(?:could not be delivered|undeliverable|delivery|failed|unknown|rejected|recipient|address|user|mailbox|error|"
    r"not found|"
    r"收件人|退信|无法|不存在|宛先|[45]\d\d[ -])",
    re.I,
)
_DELAYED = re.compile(
    r"\b(?:delayed|deferred|will (?:keep|continue) (?:trying|retry)|warning)\b|延迟|延遲|将继续尝试", re.I
)
_MACHINE = re.compile(r"(?:postmaster|mailer-daemon)@|[\w.-]{30,}@", re.I)  # who says it; a Message-ID
_ACTIONS = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})
_GONE_WELL = frozenset({"delivered", "relayed", "expanded"})


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a mail of ours at one recipient."""

    address: str
    action: str = ""  # failed, delayed, delivered, relayed, expanded; displayed, deleted; abuse, fraud, ...
    status: str = ""  # RFC 3463: 5.1.1; its class alone (5.0.0) where only SMTP's code is known
    diagnostic: str = ""


def told(kind: Kind, parts: Sequence[tuple[str, bytes]], words: str, header: Sequence[bytes], raw: bytes) -> list[Told]:
    """What a bounce, receipt or complaint says of our mail, a recipient each.

    `parts` are the mail's parts for machines and the mails it gives back, `header` its X-Failed-Recipients, `raw` all
    of it, for flufl.bounce.
    """
    texts, words = _texts(parts), words[:MAX_CHARACTERS]
    match kind:
        case Kind.FEEDBACK_LOOP:
            outcomes = _complaints(texts)
        case Kind.READ_RECEIPT:
            outcomes = _readers(texts)
        case _:
            outcomes = _fielded(texts, words) or _in_words(words, header, raw) or _written_to(texts)
    return outcomes[:MAX_RECIPIENTS]


def went_well(outcomes: Sequence[Told]) -> bool:
    """Whether nothing but success is reported: a receipt somebody asked for, not a bounce."""
    return bool(outcomes) and all(one.action in _GONE_WELL for one in outcomes)


def returned(outcomes: Sequence[Told], words: str, parts: Sequence[tuple[str, bytes]]) -> Returned:
    """The same as the canon has it: of several outcomes the worst, and whom it is about."""
    worst = [one for one in outcomes if one.action == "failed"] or [one for one in outcomes if one.action == "delayed"]
    about = worst or outcomes
    return Returned(
        recipients=tuple(Address("email", one.address) for one in {one.address: one for one in about}.values()),
        status=about[0].status if about else "",
        final=not about or about[0].action not in ("delayed", *_GONE_WELL),
        of=_message_ids(_texts(parts), words[:MAX_CHARACTERS]),
        diagnostic=about[0].diagnostic if about else "",
    )


def _texts(parts: Sequence[tuple[str, bytes]]) -> list[tuple[str, str]]:
    return [(media_type, clean(content[:MAX_CHARACTERS].decode("utf-8", "replace"))) for media_type, content in parts]


def _fields(text: str) -> dict[str, str]:
    return {name.lower(): " ".join(value.split()) for name, value in reversed(_LINE.findall(text))}


def _untyped(value: str) -> str:
    """`rfc822; a@b.example` without its type."""
    typed = _TYPED.match(value)
    return value[typed.end() :].strip() if typed else value.strip()


def _address(value: str) -> str:
    found = _ADDRESS.search(_untyped(value))
    return found[0].lower() if found else ""


# Deliveries


def _fielded(texts: Iterable[tuple[str, str]], words: str) -> list[Told]:
    """RFC 3464 2.3: one group of fields a recipient, in a part of its own or, of old or forwarded ones, in the text."""
    stated = [text for media_type, text in texts if media_type in (STATUS, "message/global-delivery-status")]
    if not stated and "inal-" in words:
        stated = [words]
    return [found for text in stated for group in _GROUP.split(text) if (found := _recipient(_fields(group)))]


def _recipient(fields: dict[str, str]) -> Told | None:
    # RFC 3464 2.3.1: the original recipient is the one the sender knows.
    address = next(filter(None, map(_address, _named(fields))), "")
    if not address:
        return None
    diagnostic = _untyped(fields.get("diagnostic-code", ""))
    action = fields.get("action", "").split(" ")[0].strip("();").lower()
    stated = _ENHANCED.search(fields.get("status", ""))
    status = stated[1] if stated else _status(diagnostic) or _status_said(diagnostic)
    return Told(address, action if action in _ACTIONS else _action_of(status), status, diagnostic[:500])


def _named(fields: dict[str, str]) -> Iterator[str]:
    for name in ("original-recipient", "final-recipient", "x-actual-recipient", "x-original-to"):
        if name in fields:
            yield fields[name]


def _in_words(words: str, header: Sequence[bytes], raw: bytes) -> list[Told]:
    """Who did not get it, by the words: what the mail system names in its header, what flufl.bounce knows, else lines
    that speak of failure and name an address."""
    addresses = _named_in_header(header)
    delayed: frozenset[str] = frozenset()
    if not addresses:
        addresses, delayed = _known_to_flufl(raw)
    if not addresses:
        addresses = _in_lines(words)
    status = _status(words) or _status_said(words)
    late = status.startswith("4") and bool(_DELAYED.search(words))
    return [
        Told(one, "delayed" if one in delayed or late else "failed", status, _diagnostic(words, one))
        for one in dict.fromkeys(addresses)
    ]


def _written_to(texts: Iterable[tuple[str, str]]) -> list[Told]:
    """Whom the mail given back had been sent to: mail of ours has one recipient."""
    heads = [_fields(_head(text)) for media_type, text in texts if media_type in (MAIL, HEADERS)]
    addresses = filter(None, (_address(head.get("to", "")) for head in heads))
    return [Told(address, "failed") for address in addresses][:1]


def _head(text: str) -> str:
    return text.replace("\r\n", "\n").partition("\n\n")[0]


def _named_in_header(header: Sequence[bytes]) -> list[str]:
    return [one.lower() for raw in header for one in _ADDRESS.findall(raw[:MAX_CHARACTERS].decode("latin-1"))]


def _known_to_flufl(raw: bytes) -> tuple[list[str], frozenset[str]]:
    from flufl.bounce import all_failures  # needed by bounces without fields only

    logging.getLogger("flufl.bounce").disabled = True  # it logs whole tracebacks of what is only an odd mail
    try:
        mail = BytesParser(policy=compat32).parsebytes(raw[:MAX_GUESSED])
        temporary, permanent = all_failures(mail)
    except (MessageError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        return [], frozenset()  # the library trusts its input more than we do
    late = _addresses(temporary)
    return [*_addresses(permanent), *late], frozenset(late)


def _addresses(found: Iterable[bytes]) -> list[str]:
    return sorted(filter(None, (_address(one.decode("latin-1")) for one in found)))


def _in_lines(words: str) -> list[str]:
    lines = words.split("\n")[:200]
    for at, line in enumerate(lines):
        if "@" not in line:
            continue
        around = " ".join(lines[max(0, at - 3) : at + 2])[:2000]
        named = [one.lower() for one in _ADDRESS.findall(line[:1000]) if not _MACHINE.match(one)]
        if named and _FAILED_LINE.search(around):
            return named
    return []


def _diagnostic(words: str, address: str) -> str:
    lines = [line.strip() for line in words.split("\n")[:300] if _BASIC.search(line) or _ENHANCED.search(line)]
    return next((line for line in lines if address in line.lower()), lines[0] if lines else "")[:500]


def _status(said: str) -> str:
    """The code of RFC 3463, or the class that goes with SMTP's own."""
    if (found := _ENHANCED.search(said)) and found[1][0] in "45":
        return found[1]
    basic = _BASIC.search(said)
    return f"{basic[1][0]}.0.0" if basic else ""


def _status_said(words: str) -> str:
    said = " ".join(words[:MAX_SAID].split())
    return next((status for pattern, status in _SAID if pattern.search(said)), "")


def _action_of(status: str) -> str:
    return {"2": "delivered", "4": "delayed"}.get(status[:1], "failed")


# Receipts and complaints


def _readers(texts: Iterable[tuple[str, str]]) -> list[Told]:
    """RFC 8098 3.2: who opened it, or deleted it unread."""
    found: list[Told] = []
    for media_type, text in texts:
        if media_type != DISPOSITION:
            continue
        fields = _fields(text)
        done = fields.get("disposition", "").rpartition(";")[2].partition("/")[0].strip().lower()
        if address := _address(fields.get("original-recipient", "")) or _address(fields.get("final-recipient", "")):
            found.append(Told(address, done))
    return found


def _complaints(texts: Iterable[tuple[str, str]]) -> list[Told]:
    """RFC 5965 3.2: who complained; where it hides them, who the mail had been sent to."""
    fields = [_fields(text) for media_type, text in texts if media_type == FEEDBACK]
    heads = [_fields(_head(text)) for media_type, text in texts if media_type in (MAIL, HEADERS)]
    for names, sources in ((("original-rcpt-to", "removal-recipient"), fields), (("to",), heads)):
        for source in sources:
            for address in filter(None, (_address(source.get(name, "")) for name in names)):
                return [Told(address, next((one.get("feedback-type", "") for one in fields), "abuse"))]
    return []


# Which mail


def _message_ids(texts: Sequence[tuple[str, str]], words: str) -> tuple[str, ...]:
    """Of the mail it is about: from a field, from the mail given back, or from the header quoted in the words."""
    stated = (_fields(text).get("original-message-id", "") for media_type, text in texts if media_type == DISPOSITION)
    heads = [_head(text) for media_type, text in texts if media_type in (MAIL, HEADERS)]
    found = [*(one.strip("<> ") for one in stated), *(one for text in (*heads, words) for one in _ID.findall(text))]
    return tuple(dict.fromkeys(filter(None, found)))[:MAX_IDS]
