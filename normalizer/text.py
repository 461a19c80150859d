"""The words a customer wrote this time, apart from what is quoted below and the signature.

    visible     the reply; between quoted lines too
    quoted      attribution lines, `>` lines, Outlook's header blocks, and what follows them
    signature   from `-- `, "Sent from my ...", and the like

Line by line, each line looked at a bounded number of times. A forwarded mail is the message itself and is not cut.
"""

import re
from dataclasses import dataclass
from functools import cache

import ahocorasick_rs

MAX_LINE = 500  # characters of a line that are looked at
MAX_ATTRIBUTION = 6  # lines an attribution may be wrapped into
MAX_BLOCK = 10  # lines a header block may have
MAX_SIGNATURE = 25  # lines below `-- `; more is text
MAX_BLANKS = 10  # blank lines between an attribution and its quotation
MAX_TRIES = 500  # how often something that may begin a quotation is looked at closely; hostile text has thousands

# What every quotation or signature found below has in it somewhere. Most mails have none of these, and are done.
_MARKS = (
    ">", "--", "__", "==", "##", "wrote", " sent:", "schr", "crit", "scri", "escre", "skrev", "napsal", "menulis",
    "kirjoitti", "Sent from",
    "Get Outlook", "gesendet", "Enviado", "Inviato", "this line", "Begin forwarded",
)  # fmt: skip
_WIDER_MARKS = (
    "—", "napisał", "пис", "写道", "寫道", "写到", "viết", "yazdı", "írta", "書き", "작성", "Envoyé", "iPhoneから",
    "나의 ", "发自", "發自",
    "送自", "来自", "來自", "寄自", "发送", "傳送", "此行", "发件", "發件", "寄件", "差出人", "送信者", "보낸",
    "转发", "轉寄",
)  # fmt: skip
_ALL_MARKS = _MARKS + _WIDER_MARKS
_BLOCK_MARK = re.compile(
    r"\n[ \t*|>]{0,8}(?:from|von|de|van|da|fra|från|od|nadawca|remitente|от|отправитель|expéditeur|mittente|lähettäjä|"
    r"kimden|date|sent|"
    r"datum|data|fecha|дата)[ \t*\xa0]{0,3}[:：|]|\n(?-i:-{1,2} ?[A-Z])",
    re.I,
)
_VERB = (
    r"wrote|sent|schrieb|schreef|geschreven|a écrit|écrit|ha scritto|scrisse|escribió|escreveu|napisał(?:a|\(a\))?|"
    r"skrev|"
    r"написала?|пишет|写道|寫道|写到|đã viết|kirjoitti|yazdı|írta|napsala?|a scris|menulis|のメッセージ|書きました|작성"
)
_VERB_END = re.compile(rf"(?:{_VERB})\s*[-:：]*\s*$", re.I)
_VERB_INSIDE = re.compile(r"\b(?:skrev|schreef|schrieb|wrote|escribió)\b", re.I)
_MAIL_END = re.compile(r"[<(\[]\s*(?:mailto:)?\S+@\S+\s*[>)\]]+\s*[:：]?\s*$")
_DATED = re.compile(r"\d{1,2}[:.]\d{2}|\d{4}|\d{1,2}\s?[./年月-]\s?\d{1,2}")
_STARTS = re.compile(
    r"[\s>*-]*(?:(?:On|Le|Am|El|Il|Op|Em|W dniu|Dnia|Den|På|Vào|Dne|Pada|At)\b|在|于|於|"
    r"(?:\S{2,12}\s)?\d{1,4}(?:[./年 :-]|\b)|"
    r"Sent from\b|[^\W\d_]{2,10}[.,]\s+\d)",
    re.I,
)
_STARTS_ANYWHERE = re.compile(r"-{2,}\s*(On [A-Z].{5,200}wrote\s*[:-]*)\s*$")

_SIGNS = frozenset(">-_=*#|—")
_SIGNATURE_STARTS = (
    "Sent ", "Get ", "Von ", "Envoyé", "Enviado", "Inviato", "发", "發", "来", "來", "从", "從", "寄", "iPhone",
    "나의", "Begin ", "开始", "以下",
)  # fmt: skip

_LABELS = {
    "from": (
        "from|von|de|van|da|fra|från|od|nadawca|remitente|od kogo|发件人|發件人|寄件者|寄件人|差出人|送信者|보낸 사람|"
        "от|отправитель|expéditeur|mittente|lähettäjä|kimden"
    ),
    "date": (
        "date|sent|gesendet|datum|envoyé|envoyé le|verzonden|inviato|data|sendt|skickat|enviado|enviado el|wysłano|"
        "fecha|发送时间|發送時間|发送日期|寄件日期|日期|时间|時間|日付|送信日時|送信日|보낸 날짜|날짜|отправлено|дата|"
        "lähetetty|tarih|gönderilme"
    ),
    "to": (
        "to|an|à|aan|a|til|till|para|do|destinatário|收件人|收件者|宛先|받는 사람|кому|vastaanottaja|kime|"
        "destinataire|destinatario"
    ),
    "subject": (
        "subject|betreff|objet|onderwerp|oggetto|emne|ämne|asunto|assunto|temat|主题|主題|主旨|标题|標題|件名|제목|"
        "тема|aihe|konu"
    ),
    "cc": "cc|kopie|抄送|副本|kopia|копия|참조",
}
_KIND_OF = {label.replace(" ", ""): kind for kind, labels in _LABELS.items() for label in labels.split("|")}
_LABEL_LINE = re.compile(r"[\s>*|]{0,12}([^\W\d_]{1,20}(?:[ \u3000\xa0][^\W\d_]{1,12})?)[\s*]{0,3}[:：|]", re.I)

_ORIGINAL = re.compile(
    r"[\s>*]*[-_=]{3,}\s*(?:Original(?: Message)?|Original Appointment|Reply message|Ursprüngliche Nachricht|"
    r"Message d.origine|"
    r"Mensaje original|Mensagem original|Messaggio originale|Oorspronkelijk bericht|Oprindelig meddelelse|"
    r"Ursprungligt meddelande|原始邮件|邮件原件|原邮件|回复的原邮件|回复的邮件|原始郵件|原始訊息|原始信件|"
    r"元のメッセージ|원본 메시지|"
    r"Исходное сообщение|(?:On )?[^-_=\n]{2,120} wrote)\s*:?\s*[-_=]{2,}\s*$",
    re.I,
)
_FORWARDED = re.compile(
    r"[\s>*]*(?:-{2,}\s*(?:Forwarded message|Forwarded by|Weitergeleitete Nachricht|Message transféré|转发的?邮件|"
    r"转发邮件信息|"
    r"转发的原邮件|轉寄|轉寄郵件|Mensaje reenviado)[^\n]{0,60}|Begin forwarded message:|(?:开始转发的邮件|"
    r"以下为转发邮件|开始转发邮件)[:：])",
    re.I,
)
_ABOVE = re.compile(
    r"[\s#*=_-]*(?:请在此行(?:以|之)?上方?回复|請在此行(?:以|之)?上方?回覆|(?:Please )?(?:type|write|"
    r"enter)? ?(?:your )?reply (?:above|ABOVE) this line)",
    re.I,
)  # fmt: skip
_RULE = re.compile(r"\s*(?:_{20,}|[-=*]{10,}|—{5,})\s*$")
_LONG_RULE = re.compile(r"\s*_{20,}\s*$")
_DELIMITER = re.compile(r"\n--[ \xa0\t]*\n")
_DASHES = re.compile(r"\s{0,3}(?:--|—|——)[ \xa0\t]*$")
_MOBILE = re.compile(
    r"\s*(?:Sent from (?:my )?(?:i?[A-Z0-9][\w+®™./-]*)(?: (?:for|on|by|[A-Z0-9][\w+®™./-]*|phone|device|tablet|"
    r"app)){0,6}|"
    r"Get Outlook for \w+(?: ?<[^>]*>)?|Von meinem .{2,40} gesendet|Envoyé de mon .{2,30}|Enviado desde mi .{2,30}|"
    r"Inviato da .{2,30}|"
    r"(?:发|發)(?:自|送自)(?:我|我的)?\S{0,30}(?:手机|手機|iPhone|iPad|邮箱|邮件|客户端|Mail|Outlook|\w+)|(?:来|"
    r"來)自(?:我的)? ?(?:iPhone|iPad|Android|安卓|华为|小米|OPPO|vivo)\S{0,20}|"
    r"从 ?(?:Windows|我的|网易|QQ|Android|iPhone).{0,24}发送|從我的.{0,20}傳送|寄自.{1,20}|iPhoneから送信|"
    r"나의 .{1,20}에서 보냄)\s*$"
)
_NAMED = re.compile(r"-{1,2} ?[A-Z][\w.]*(?: [A-Z][\w.]*){0,3}\s*$")
_BARE_ADDRESS = re.compile(r"\s*[\w.+-]{1,64}@[\w.-]{1,255}\s*$")
_CUT_LINK = re.compile(r"[(<]https?://[^\s)>]*$")


@dataclass(frozen=True, slots=True)
class Split:
    """A body taken apart; each piece without blank lines at its ends."""

    visible: str
    quoted: str = ""
    signature: str = ""


def split_reply(full: str, forwarded: bool = False) -> Split:
    """The visible reply of a mail body with "\\n" line ends. `forwarded`: the subject says it is a forwarded mail.

    If nothing would be visible, everything but `>` lines is: somebody forwarded without a word of their own.
    """
    marks = _marks(full)
    if not marks:
        return Split(full.strip())
    if marks == ["--"] and "---" not in full:
        return _signed(full)
    cutter = _Cutter(full.split("\n"), forwarded)
    cutter.run()
    visible = _joined(cutter.visible)
    if not visible:
        return Split(full.strip())
    return Split(visible, _joined(cutter.quoted), _joined(cutter.signature))


def _marks(full: str) -> list[str]:
    """What in the text may belong to a quotation or signature."""
    marks = list({_ALL_MARKS[found[0]]: None for found in _finder().find_matches_as_indexes(full)})
    labelled = ":" in full or "：" in full or "|" in full or "\n-" in full
    if labelled and (_BLOCK_MARK.search(full) or _BLOCK_MARK.match(f"\n{full[:100]}")):
        marks.append(":")
    return marks


@cache
def _finder() -> ahocorasick_rs.AhoCorasick:
    return ahocorasick_rs.AhoCorasick(_ALL_MARKS)


def _signed(full: str) -> Split:
    """A text with nothing but a signature below it, if that."""
    delimiter = _DELIMITER.search(full)
    if not delimiter or not full[: delimiter.start()].strip() or full.count("\n", delimiter.end()) > MAX_SIGNATURE:
        return Split(full.strip())
    signature = full[delimiter.start() :].split("\n")
    return Split(_joined(full[: delimiter.start()].split("\n")), signature=_joined(signature))


def _joined(lines: list[str]) -> str:
    return "\n".join(line.rstrip() for line in lines).strip()


class _Cutter:
    def __init__(self, lines: list[str], forwarded: bool) -> None:
        self.lines = lines
        self.forwarded = forwarded
        self.at = 0
        self.tries = MAX_TRIES
        self.visible: list[str] = []
        self.quoted: list[str] = []
        self.signature: list[str] = []

    def run(self) -> None:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            bare = line[:MAX_LINE].strip()
            if not (bare and _may_begin(bare) and self._step(line[:MAX_LINE], bare)):
                self.visible.append(line)
                self.at += 1

    def _step(self, line: str, bare: str) -> bool:
        """Deal with what begins at this line, if anything does."""
        if _FORWARDED.match(line):
            return self._take(self.visible, len(self.lines))
        if _is_quote(bare):
            return self._quote()
        if _ORIGINAL.match(line) or _ABOVE.match(line) or self._header_block(self.at):
            return self._take_rest()
        if length := self._attribution(line):
            return self._quote(length) if self._next_is_quote(self.at + length) else self._take_rest()
        return self._signature(line, bare)

    def _take(self, pile: list[str], end: int) -> bool:
        pile.extend(self.lines[self.at : end])
        self.at = end
        return True

    def _take_rest(self) -> bool:
        if _BARE_ADDRESS.match(next((line for line in reversed(self.visible) if line.strip()), "")):
            self._move_last_shown()  # Foxmail signs with the address
        return self._take(self.quoted, len(self.lines))

    def _move_last_shown(self) -> None:
        while self.visible and not self.visible[-1].strip():
            self.visible.pop()
        if len(self.visible) > 1:
            self.signature.append(self.visible.pop())

    def _quote(self, length: int = 0) -> bool:
        """Attribution, `>` lines and the blanks among and after them."""
        end = self.at + length
        while end < len(self.lines):
            bare = self.lines[end].strip()
            if bare and not _is_quote(bare) and not (end and _CUT_LINK.search(self.lines[end - 1][-MAX_LINE:])):
                break
            end += 1
        return self._take(self.quoted, end)

    def _next_is_quote(self, at: int) -> bool:
        return any(_is_quote(line.strip()) for line in self._next_words(at))

    def _next_words(self, at: int) -> list[str]:
        """The next line that is not blank, as a list of none or one."""
        end = min(len(self.lines), at + MAX_BLANKS)
        while at < end and not self.lines[at].strip():
            at += 1
        return self.lines[at : at + 1]

    def _attribution(self, line: str) -> int:
        """How many lines an attribution beginning here takes; 0 if none does."""
        if _STARTS_ANYWHERE.search(line):
            return 1
        if not _STARTS.match(line) or not self._try():
            return 0
        text = ""
        for length in range(1, MAX_ATTRIBUTION + 1):
            following = self.lines[self.at + length - 1 : self.at + length]
            if not following or len(text) > MAX_LINE:
                return 0
            text = f"{text} {following[0][:MAX_LINE].strip()}".strip()
            if _is_attribution(text, self._next_is_quote(self.at + length)):
                return length
        return 0

    def _header_block(self, at: int) -> bool:
        """Whether lines like From:, Sent:, To:, Subject: begin here (after a rule, perhaps)."""
        if self.forwarded:
            return False
        if _RULE.match(self.lines[at]):
            at += 1
            while at < len(self.lines) and not self.lines[at].strip() and self._try():
                at += 1
        if at >= len(self.lines) or _label(self.lines[at]) not in ("from", "date"):
            return False
        return self._try() and self._is_header_block(at)

    def _try(self) -> bool:
        self.tries -= 1
        return self.tries >= 0

    def _is_header_block(self, at: int) -> bool:
        kinds: set[str] = set()
        said = ""
        for line in self.lines[at : at + MAX_BLOCK]:
            if not line.strip(" >*|\t\xa0"):
                break
            said += line[:MAX_LINE]
            kinds.add(_label(line))
        kinds.discard("")
        return len(kinds) >= 3 or (len(kinds) == 2 and ("@" in said or "date" in kinds) and bool(_DATED.search(said)))

    def _signature(self, line: str, bare: str) -> bool:
        shown = any(shown.strip() for shown in self.visible[-3:])
        if _MOBILE.match(line):
            return self._sign(40)
        if not shown:
            return False
        if _LONG_RULE.match(line):
            return self._sign(len(self.lines))
        if _DASHES.match(line):
            return self._sign(MAX_SIGNATURE)
        if _RULE.match(line):
            return self._sign(6)
        return bool(_NAMED.match(bare)) and self._sign(0)

    def _sign(self, most: int) -> bool:
        """A signature up to the next quotation, unless it has more than `most` lines of text below its first."""
        if not self._try():
            return False
        end, words = self.at + 1, 0
        while end < len(self.lines) and not self._quotation_begins(end):
            words += bool(self.lines[end].strip())
            end += 1
            if words > most:
                return False
        return self._take(self.signature, end)

    def _quotation_begins(self, at: int) -> bool:
        line = self.lines[at][:MAX_LINE]
        if not line.strip():
            return False
        if _is_quote(line.strip()) or _ORIGINAL.match(line) or _LONG_RULE.match(line) or self._header_block(at):
            return True
        here, self.at = self.at, at
        found = self._attribution(line)
        self.at = here
        return bool(found)


def _may_begin(bare: str) -> bool:
    """Whether a quotation or a signature may begin with this line: a cheap look, since it is taken at every line."""
    return (
        bare[0] in _SIGNS
        or ((":" in bare or "：" in bare or "|" in bare) and _LABEL_LINE.match(bare) is not None)
        or _STARTS.match(bare) is not None
        or bare.startswith(_SIGNATURE_STARTS)
        or "---" in bare
        or "此行" in bare
        or "this line" in bare
    )


def _is_quote(bare: str) -> bool:
    return bare[:1] == ">" and not bare.endswith(("<<", "wrote:"))


def _is_attribution(text: str, quote_follows: bool) -> bool:
    if not _DATED.search(text) and not text.lower().startswith("sent from"):
        return False
    if _VERB_END.search(text):
        return text[-1] in ":：-" or quote_follows
    if _MAIL_END.search(text):
        return quote_follows or (text[-1] in ":：" and ("<" in text or bool(_VERB_INSIDE.search(text))))
    return text[-1:] in (":", "：") and bool(_VERB_INSIDE.search(text)) and ("@" in text or quote_follows)


def _label(line: str) -> str:
    """Which field of a quoted header a line is, or an empty string."""
    found = _LABEL_LINE.match(line)
    if not found:
        return ""
    word = found[1].lower()
    return _KIND_OF.get(word.replace(" ", "").replace("\u3000", "").replace("\xa0", ""), "")
