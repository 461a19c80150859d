"""A mail's bytes to what it says. Total: whatever the bytes are, a Mail comes out, with a list of what was broken.

    parts.py      where the parts lie             addresses.py  who
    words.py      what header fields say          automatic.py  person or machine
    charset.py    bytes to characters             proof.py      whether the sender is proven
    html.py, text.py                              the words, and which of them are new

Cost is linear in the length; size, nesting, parts and fields are capped (parts.py) and what is beyond is noted.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from normalizer import tnef
from normalizer.addresses import address_list
from normalizer.automatic import Signs, answerable, kind_of
from normalizer.canon import Address, Attachment, Channel, Kind, Message, Returned, digest
from normalizer.charset import clean, decode, new_mail
from normalizer.cms import signed_content
from normalizer.dates import MAX_DATE, date
from normalizer.html import declared_charset, enriched, html_to_text
from normalizer.invitation import invitation_to_text
from normalizer.parts import MAX_PARTS, Part, Parts, file_name, uudecode
from normalizer.proof import proven, verdicts
from normalizer.reported import Told, returned, told, went_well
from normalizer.text import Split, split_reply
from normalizer.words import text as header_text

MAX_REFERENCES = 100
MAX_TEXT = 1024 * 1024  # of all text parts together, in bytes; the raw mail keeps the rest
MAX_FORWARDED = 10  # mails within mails that are looked into, in depth and in number
MAX_READ_ALONG = 10 * 1024 * 1024  # of an attached mail that is read with the words around it
MAX_UUENCODED = 10 * 1024 * 1024  # of a text that is searched for files

_MESSAGE_ID = re.compile(r"<\s*([^<>\s]+(?:\s[^<>\s]+)*?)\s*>")
_FORWARD = re.compile(r"\s*(?:fwd?|wg|tr|rv|enc|i|转发|轉寄|轉發|转寄|vs|vl|doorst)\s*[:：]", re.I)
_ANSWER = re.compile(
    r"\s*(?:re|aw|sv|antw|odp|ynt|res|rif|r|отв|回复|答复|回覆|回復|答覆|返信|답장)\s?(?:\[\d{1,3}\]|\(\d{1,3}\))?\s?[:：]",
    re.I,
)
_FORWARDED_FILE = re.compile(r"\s*(?:forwarded|weitergeleitet|转发|轉寄|轉發|転送)", re.I)  # as programs name it
_NO_TEXT = re.compile(
    r"\s*(?:\S+\s+){0,12}\S*\s*(?:html|HTML)(?![a-zA-Z])[^\n]{0,200}\s*|\s*[^\n]{0,20}(?:无法|無法|不能)(?:正常)?(?:查看|显示|顯示|浏览|瀏覽)[^\n]{0,60}\s*"
)
_PGP = "-----BEGIN PGP MESSAGE-----"
_NO_WORDS = re.compile(r"(?:\[(?:cid:|image|图片)[^\]\n]{0,200}\]|[\s\u200b\ufeff])*")  # places of images
_PAGE = re.compile(r"\s*(?:<\?xml[^>]{0,200}>\s*)?<(?:!doctype html|html)\b[^>]{0,500}>", re.I)
_FRAGMENT = re.compile(r"\s*<(?:head|body|meta|style|div|p|table|span|font|br)\b[^>]{0,500}>", re.I)
_UNSAFE = re.compile(r"[^-\w. ]+")
_UUENCODED = re.compile(
    rb"^begin [0-7]{3,4} ([^\r\n]{1,200})\r?\n(?:[!-`][^\r\n]{0,100}\r?\n)*+(?:`|[ ])?\r?\n?end[ \t]*(?:\r?\n|\Z)", re.M
)
_TEXT_TYPES = frozenset({"text/plain", "text/html", "text/markdown", "text/x-plain"})
_ENRICHED = frozenset({"text/enriched", "text/richtext"})  # RFC 1896, RFC 1341
# The mail once more for one program's eyes; everybody else reads the HTML beside it.
_RENDERINGS = frozenset({"text/x-amp-html", "text/watch-html"})
_MAILS = frozenset({"message/rfc822", "message/global"})
_LISTS = frozenset({"list-id", "list-post", "mailing-list"})
_REPORTING = frozenset({Kind.BOUNCE, Kind.READ_RECEIPT, Kind.FEEDBACK_LOOP, Kind.DELIVERY_NOTICE})
_REPORTS = frozenset({
    "message/delivery-status", "message/global-delivery-status", "message/disposition-notification",
    "message/feedback-report", "text/rfc822-headers", "message/rfc822",
})  # fmt: skip
_STATUSES = frozenset({
    "message/delivery-status", "message/global-delivery-status", "message/disposition-notification",
})  # fmt: skip
# Nobody but the addressee's key reads these (RFC 8551, RFC 3156), or nobody without undoing the signature.
_SEALED = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime", "application/pgp-encrypted"})
# Parts that speak to machines: no files of the sender's, unless they were given a name. The raw mail keeps them.
_MACHINES = frozenset({
    "application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature",
    "message/delivery-status", "message/global-delivery-status", "message/disposition-notification",
    "message/feedback-report", "text/rfc822-headers",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mail:
    """What a mail says. Ids are without angle brackets; `sent_at` is UTC; texts have "\\n" line ends and are NFC."""

    message_id: str
    in_reply_to: str
    references: tuple[str, ...]
    subject: str
    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    sent_at: datetime | None
    full_text: str
    text: str
    quoted: str
    signature: str
    html: str
    attachments: tuple[Attachment, ...]
    kind: Kind
    answerable: bool
    proven: bool
    authentication: Mapping[str, str]  # what our own server found by spf, dkim and dmarc
    return_path: str | None  # None: the mail does not say
    returned: Returned | None  # what a bounce, receipt or complaint tells of a mail of ours
    body_digest: str  # of what was said, not of how it travelled
    defects: tuple[str, ...]


def nobody(address: str) -> bool:
    """No address is ours, as far as we were told."""
    return False


def parse_mail(
    raw: bytes,
    *,
    trusted: Collection[str] = (),
    return_path: str | None = None,
    ours: Callable[[str], bool] = nobody,
) -> Mail:
    """Read a mail. Never raises.

    `trusted` are the authserv-ids whose Authentication-Results count. `return_path` is the envelope's sender where the
    transport knows it (empty for the null path); otherwise the Return-Path field is taken. `ours` tells our own
    addresses: a list of that name is a way to us, and an automatic answer from there is our own.
    """
    new_mail()
    return _Reader(raw).mail(trusted, return_path, ours)


def message(
    raw: bytes,
    *,
    connector: str,
    account: str,
    received_at: datetime,
    envelope_id: str = "",
    channel: Channel = "email",
    trusted: Collection[str] = (),
    return_path: str | None = None,
    ours: Callable[[str], bool] = nobody,
) -> Message:
    """The canonical message of a mail. Never raises.

    Its id digests Message-ID and what was said, so a mail that came twice, by SMTP and by IMAP, is one message, and
    two mails of a sender who repeats Message-IDs are two.
    """
    mail = parse_mail(raw, trusted=trusted, return_path=return_path, ours=ours)
    return Message(
        channel=channel,
        connector=connector,
        account=account,
        external_id=mail.message_id,
        revision=mail.body_digest,
        sender=mail.sender,
        received_at=received_at,
        envelope=envelope_id,
        to=mail.to,
        cc=mail.cc,
        reply_to=mail.reply_to,
        sent_at=mail.sent_at,
        author="customer" if mail.kind is Kind.MESSAGE else "system",
        kind=mail.kind,
        in_reply_to=mail.in_reply_to,
        references=mail.references,
        thread_key=mail.references[0] if mail.references else mail.in_reply_to or mail.message_id,
        subject=mail.subject,
        text=mail.text,
        full_text=mail.full_text,
        quoted=mail.quoted,
        signature=mail.signature,
        html=mail.html,
        attachments=mail.attachments,
        answerable=mail.answerable,
        proven=mail.proven,
        authentication=mail.authentication,
        returned=mail.returned,
        defects=mail.defects,
    )


class _Reader:
    def __init__(self, raw: bytes, depth: int = 0) -> None:
        self.raw = raw
        self.depth = depth  # in mails attached to mails
        self.parts = Parts(raw)
        self.root = self.parts.root
        self.defects = self.parts.defects
        self.room = MAX_TEXT
        self.charset = ""  # of the first text: what raw bytes in the header are most likely in
        self.attachments: list[Attachment] = []
        self.media_types: set[str] = set()
        self.calendar = ""  # METHOD of an invitation
        self.wrapped = ""  # the text in winmail.dat, or what else is no text part and has words
        self.signed = b""  # what was signed in one piece
        self.mails: list[tuple[str, bytes]] = []  # attached mails, with the names the sender gave them
        self.machines: list[tuple[str, bytes]] = []  # what parts say that speak to machines, and mails given back

    def mail(self, trusted: Collection[str], return_path: str | None, ours: Callable[[str], bool]) -> Mail:
        chunks = list(self._chunks(self.root, 0))
        html = "\n".join(chunk.html for chunk in chunks if chunk.html)
        full = "\n".join(_words(chunks))
        if not full.strip() and self.signed and (signed := self._inner(self.signed)):
            full, html = signed.full_text, signed.html
            self._take_files(signed)
        if not full.strip() and self.wrapped:
            full = self.wrapped
        if _PGP in full:
            self._note("encrypted")
        if not full.strip():
            full = self._report()
        subject = self._text("subject")
        handed = None
        if not full.strip() and self.mails and (handed := self._inner(self.mails[0][1])):
            full, html = handed.full_text, handed.html  # an attached mail and no word of their own
        answers = bool(_ANSWER.match(subject)) or not self.root.fields.keys().isdisjoint(("in-reply-to", "references"))
        split = split_reply(full, bool(_FORWARD.match(subject)), answers) if full else Split("")
        stated = self._sender()
        sender = self._behind_group(stated) if ours(stated.address) else stated
        path = self._return_path() if return_path is None else return_path.strip("<> ")
        signs = Signs(
            self.root.fields, sender.address, sender.name, subject, full, split.visible, self.calendar,
            self.root.params.get("report-type", ""), self.media_types, path, ours,
        )  # fmt: skip
        kind = kind_of(signs)
        in_reply_to = self._ids("in-reply-to")
        outcomes = self._told(kind, full)
        if kind is Kind.BOUNCE and went_well(outcomes):
            kind = Kind.DELIVERY_NOTICE
        body_digest = self._body_digest(sender, subject, full, html)
        said = self._read_along(_Said(full, split, html), handed, kind, subject)
        results = self.root.fields.get("authentication-results", [])
        return Mail(
            message_id=self._message_id(),
            in_reply_to=in_reply_to[0] if in_reply_to else "",
            references=self._ids("references")[-MAX_REFERENCES:],
            subject=subject,
            sender=sender,
            to=self._addresses("to"),
            cc=self._addresses("cc"),
            reply_to=self._addresses("reply-to"),
            sent_at=self._sent_at(),
            full_text=said.full,
            text=said.split.visible,
            quoted=said.split.quoted,
            signature=said.split.signature,
            html=said.html,
            attachments=tuple(self.attachments),
            kind=kind,
            answerable=answerable(kind, signs),
            proven=sender is stated and proven(results, sender.address, trusted),
            authentication=verdicts(results, trusted),
            return_path=path,
            returned=returned(outcomes, full, self.machines) if kind in _REPORTING else None,
            body_digest=body_digest,
            defects=tuple(self.defects),
        )

    def _report(self) -> str:
        """What a report tells programs, for people whom it tells nothing else."""
        told = [content for media_type, content in self.machines if media_type in _STATUSES]
        return "\n".join(clean(decode(content[: self.room])[0]).strip("\n") for content in told)

    def _inner(self, content: bytes) -> Mail | None:
        """An attached mail, read; its words count towards what is read of this one."""
        if self.depth >= MAX_FORWARDED:
            self._note("too_deep")
            return None
        reader = _Reader(content, self.depth + 1)
        reader.room = self.room
        mail = reader.mail((), None, nobody)
        self.room = reader.room
        return mail

    def _read_along(self, said: "_Said", handed: Mail | None, kind: Kind, subject: str) -> "_Said":
        """What was said, with the words of attached mails that belong to it; `handed` is the first, if it is in it.

        A mail that is handed on is read as if it had been handed on in the text, its files with it; one that a report
        gives back is quoted, as in reports that are plain text. Any other attached mail is a file like others.
        """
        reports = kind in _REPORTING
        declared = bool(_FORWARD.match(subject)) or "x-forwarded-message-id" in self.root.fields
        for at, (name, content) in enumerate(self.mails):
            forwards = not reports and (declared or bool(_FORWARDED_FILE.match(name)))
            if not (reports or forwards or handed) or len(content) > MAX_READ_ALONG:
                continue
            known = handed if at == 0 else None
            if not (inner := known or self._inner(content)):
                break
            if not known:
                said = said.quoting(inner) if reports else said.handing_on(inner)
            if forwards:
                self._take_files(inner)
        return said

    def _take_files(self, inner: Mail) -> None:
        self.attachments.extend(inner.attachments[: max(0, MAX_PARTS - len(self.attachments))])

    def _told(self, kind: Kind, full: str) -> list[Told]:
        failed = self.root.fields.get("x-failed-recipients", [])
        return told(kind, self.machines, full, failed, self.raw) if kind in _REPORTING else []

    # Header

    def _text(self, name: str) -> str:
        raw = self.root.first(name)
        return header_text(raw, self.charset) if raw else ""

    def _addresses(self, name: str) -> tuple[Address, ...]:
        fields = self.root.fields.get(name)
        if not fields:
            return ()
        if len(fields) == 1:
            return address_list(fields[0], self.charset)
        return tuple(address for raw in fields for address in address_list(raw, self.charset))

    def _sender(self) -> Address:
        for name in ("from", "sender", "reply-to", "x-sender", "return-path"):
            if found := self._addresses(name):
                if name != "from":
                    self._note("missing_from")
                return found[0]
        self._note("missing_from")
        # A mail from somebody without an address is a mail nonetheless.
        return Address("email", "", self._text("from").strip('<>" '))

    def _behind_group(self, sender: Address) -> Address:
        """Who wrote what a group of ours hands on under its own address, so that DMARC passes: `'Jane' via Support`."""
        name, via, _ = sender.name.rpartition(" via ")
        if not via or _LISTS.isdisjoint(self.root.fields):
            return sender
        behind = self._addresses("x-original-from") or self._addresses("reply-to")
        if len(behind) != 1:
            return sender
        return behind[0] if behind[0].name else replace(behind[0], name=name.strip("' "))

    def _return_path(self) -> str | None:
        raw = self.root.fields.get("return-path")
        return raw[-1].decode("latin-1").strip("<> \t") if raw else None

    def _message_id(self) -> str:
        ids = self._ids("message-id")
        if ids:
            return ids[0]
        if bare := self._text("message-id").strip("<> "):
            return bare
        self._note("missing_message_id")
        return f"{digest('mail', self.raw)}@missing-id.invalid"

    def _ids(self, name: str) -> tuple[str, ...]:
        raw = self.root.first(name)
        if not raw:
            return ()
        text = header_text(raw)
        found = _MESSAGE_ID.findall(text) or [word for word in text.split() if "@" in word]
        return tuple(dict.fromkeys(one.replace(" ", "") for one in found))

    def _sent_at(self) -> datetime | None:
        raw = self.root.first("date")
        if not raw:
            return None
        moment = date(raw[:MAX_DATE].decode("ascii") if raw.isascii() else header_text(raw[:MAX_DATE]))
        if moment is None:
            self._note("bad_date")
        return moment

    # Body

    def _chunks(self, part: Part, depth: int, *, alternative: bool = False) -> Iterator["_Chunk"]:
        """The texts, in order; attachments are kept on the way. Nesting is capped by `Parts`.

        Among alternatives a text is the text, even if it was given a name.
        """
        self.media_types.add(part.media_type)
        if part.media_type == "text/calendar":
            self.calendar = self.calendar or part.params.get("method", "").upper()
        if part.media_type.startswith("multipart/"):
            if not part.children:
                if part.start < part.end:
                    yield self._text_chunk(part, "text/plain")
            elif part.media_type == "multipart/alternative":
                yield self._alternatives(part, depth)
            else:
                for child in part.children:
                    yield from self._chunks(child, depth + 1)
        elif part.media_type in _TEXT_TYPES and (alternative or _unnamed(part)) and part.disposition[0] != "attachment":
            yield self._text_chunk(part, part.media_type)
        else:
            self._attach(part)

    def _alternatives(self, part: Part, depth: int) -> "_Chunk":
        """The same thing said several ways. A way that is not shown is a file only if it says something else."""
        shown = [child for child in part.children if not _is_hidden(child)]
        said = _either([chunk for child in shown for chunk in self._chunks(child, depth + 1, alternative=True)])
        for child in filter(_is_hidden, part.children):
            self.media_types.add(child.media_type)
            if not self._says_again(child, "".join(said.words().split())):
                self._attach(child)
        if "&nbsp;" in said.plain and "&nbsp;" in said.html:  # QQ takes the tags out and leaves these
            said.plain = said.plain.replace("&nbsp;", " ")
        return said

    def _says_again(self, part: Part, words: str) -> bool:
        return bool(words) and (part.media_type in _RENDERINGS or "".join(self._enriched(part).split()) == words)

    def _enriched(self, part: Part) -> str:
        content = self.parts.content(part)[: self.room]
        return enriched(clean(decode(content, part.params.get("charset", ""), self.charset)[0]))

    def _text_chunk(self, part: Part, media_type: str) -> "_Chunk":
        content = self.parts.content(part)
        if b"begin " in content and media_type == "text/plain":
            content = self._uuencoded(content)
        if len(content) > self.room:
            self._note("text_cut")
            content = content[: self.room]
        self.room -= len(content)
        label = part.params.get("charset", "")
        if media_type == "text/html" and not label:
            label = declared_charset(content)
        text, defect = decode(content, label, self.charset)
        if defect:
            self._note(defect)
        self.charset = self.charset or label
        text = clean(text)
        if media_type == "text/html":
            return _Chunk(html=text.strip("\n"))
        if part.params.get("format", "").lower() == "flowed":
            text = unflow(text, part.params.get("delsp", "").lower() == "yes")
        if _PAGE.match(text) or (_FRAGMENT.match(text) and text.rstrip().endswith(">")):
            text = html_to_text(text)
        return _Chunk(plain=unarmoured(text))

    def _uuencoded(self, content: bytes) -> bytes:
        """The text without the files in it, which become attachments, as before MIME."""
        files = list(_UUENCODED.finditer(content)) if len(content) < MAX_UUENCODED else []
        for file in files[:MAX_PARTS]:
            self._keep(clean(decode(file[1])[0]).strip(), "application/octet-stream", uudecode(file[0]), False)
        return _UUENCODED.sub(b"", content) if files else content

    def _attach(self, part: Part) -> None:
        name = clean(file_name(part, self.charset))
        content = self.parts.content(part)
        if part.media_type in _REPORTS:
            self.machines.append((part.media_type, content))
        if not name and part.media_type in _MACHINES:
            return
        disposition, _ = part.disposition
        if part.media_type in _MAILS or name.lower().endswith(".eml"):
            if len(self.mails) < MAX_FORWARDED:
                self.mails.append((name, content))
            name = name or _mail_name(content)
        if not self.wrapped:
            self.wrapped = self._words_of(part, name, content)
        inline = disposition == "inline" or (disposition != "attachment" and "content-id" in part.fields)
        if content.startswith(tnef.SIGNATURE) and (wrapped := tnef.unwrap(content)) and self._unwrap(wrapped):
            return
        if part.media_type in _SEALED:
            self.signed = self.signed or signed_content(content)
            signed = self.signed or part.params.get("smime-type", "").startswith("signed")
            self._note("opaque_signed" if signed else "encrypted")
        self._keep(name, part.media_type, content, inline)

    def _words_of(self, part: Part, name: str, content: bytes) -> str:
        """What a file says that is all there is: text with a name, enriched text, an invitation."""
        open_to_all = part is self.root or not name or part.disposition[0] != "attachment"
        named = part.media_type in _TEXT_TYPES and open_to_all
        if named or part.media_type == "text/calendar":
            text = clean(decode(content[: self.room], part.params.get("charset", ""), self.charset)[0])
            if part.media_type == "text/calendar":
                return invitation_to_text(text)
            return html_to_text(text) if part.media_type == "text/html" else text
        return self._enriched(part) if part.media_type in _ENRICHED and not name else ""

    def _unwrap(self, wrapped: tnef.Unwrapped) -> bool:
        """The files out of winmail.dat; if there are none, it stays what it is."""
        for file in wrapped.files:
            media_type = file.media_type if "/" in file.media_type else "application/octet-stream"
            self._keep(file.name.replace("\\", "/").rpartition("/")[2], media_type, file.content, file.inline)
        self.wrapped = self.wrapped or wrapped.text
        if not wrapped.files:
            self._note("tnef")
        return bool(wrapped.files)

    def _keep(self, name: str, media_type: str, content: bytes, inline: bool) -> None:
        sha256 = hashlib.sha256(content).hexdigest()
        name = " ".join(name.splitlines())
        self.attachments.append(Attachment(name, media_type, len(content), sha256, inline, content=content))

    def _body_digest(self, sender: Address, subject: str, full: str, html: str) -> str:
        """Equal for the same words, whatever relays did to encodings, line ends and blanks."""
        words = (full or html).encode("utf-8", "surrogatepass").translate(None, b" \n")
        return digest(
            sender.address, self.root.first("date"), subject, words, *(one.sha256 for one in self.attachments)
        )

    def _note(self, defect: str) -> None:
        if defect not in self.defects:
            self.defects.append(defect)


@dataclass(frozen=True, slots=True)
class _Said:
    """The words of a mail: all, taken apart, and as HTML."""

    full: str
    split: Split
    html: str

    def handing_on(self, mail: Mail) -> "_Said":
        split = replace(
            self.split,
            visible=_joined("\n\n", self.split.visible, mail.text),
            quoted=_joined("\n", self.split.quoted, mail.quoted),
        )
        return _Said(_joined("\n", self.full, mail.full_text), split, _joined("\n", self.html, mail.html))

    def quoting(self, mail: Mail) -> "_Said":
        split = replace(self.split, quoted=_joined("\n", self.split.quoted, mail.full_text.strip()))
        return replace(self, full=_joined("\n", self.full, mail.full_text), split=split)


@dataclass(slots=True)
class _Chunk:
    """One text of the body: plain, HTML, or the same in both."""

    plain: str = ""
    html: str = ""

    def words(self) -> str:
        return html_to_text(self.html) if self.html and self.says_nothing() else self.plain

    def says_nothing(self) -> bool:
        """No plain text, or one that only says that there is HTML."""
        if len(self.plain) >= 300:
            return not self.plain.strip()
        return bool(_NO_WORDS.fullmatch(self.plain) or _NO_TEXT.fullmatch(self.plain))


def _either(chunks: list[_Chunk]) -> _Chunk:
    """multipart/alternative: the same thing said several ways."""
    return _Chunk(_all(chunks, lambda chunk: chunk.plain), _all(chunks, lambda chunk: chunk.html))


def _words(chunks: list[_Chunk]) -> list[str]:
    """What the texts say, one after the other; what is there as plain text and as HTML, once."""
    said: list[tuple[bool, str]] = []
    for chunk in chunks:
        words, page = chunk.words(), chunk.says_nothing()
        if words and not (said and said[-1][0] != page and "".join(said[-1][1].split()) == "".join(words.split())):
            said.append((page, words))
    return [words for _, words in said]


def _joined(between: str, *texts: str) -> str:
    return between.join(filter(None, texts))


def _is_hidden(part: Part) -> bool:
    """A way of saying it that we do not show."""
    return part.media_type in _ENRICHED | _RENDERINGS and _unnamed(part)


def _unnamed(part: Part) -> bool:
    """No file: neither called an attachment nor given a name."""
    disposition, params = part.disposition
    return disposition != "attachment" and "filename" not in params and "name" not in part.params


def _all(chunks: list[_Chunk], of: Callable[[_Chunk], str]) -> str:
    return _joined("\n", *map(of, chunks))


def _mail_name(content: bytes) -> str:
    """An attached mail is called by its subject."""
    subject = header_text(Parts(content[:65_536]).root.first("subject"))
    return (_UNSAFE.sub("_", subject)[:80].strip() or "message") + ".eml"


def unarmoured(text: str) -> str:
    """The text that PGP signed (RFC 9580 7), without what the signature put around it."""
    if "-----BEGIN PGP SIGNED MESSAGE-----" not in text:
        return text
    before, _, rest = text.partition("-----BEGIN PGP SIGNED MESSAGE-----")
    said, signature, behind = rest.partition("-----BEGIN PGP SIGNATURE-----")
    header, blank, said = said.partition("\n\n")
    if not signature or not blank or any(":" not in line for line in header.split("\n") if line.strip()):
        return text
    return before + said.replace("\n- ", "\n").removeprefix("- ") + behind.partition("-----END PGP SIGNATURE-----\n")[2]


def unflow(text: str, delete_space: bool = False) -> str:
    """RFC 3676: lines that end with a space go on in the next line of the same quote depth."""
    out: list[str] = []
    flowing, depth = False, 0
    for line in text.split("\n"):
        bare = line.lstrip(">")
        quotes = len(line) - len(bare)
        bare = bare.removeprefix(" ")
        if flowing and quotes == depth and bare != "-- ":
            out[-1] += bare
        else:
            out.append(f"{'>' * quotes} {bare}" if quotes else bare)
        flowing, depth = bare.endswith(" ") and bare != "-- ", quotes
        if flowing and delete_space:
            out[-1] = out[-1][:-1]
    return "\n".join(out)
