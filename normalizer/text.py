"""The words a customer wrote this time, apart from what is quoted below and the signature.

    visible     the reply; between quoted lines too
    quoted      attribution lines, `>` lines, Outlook's header blocks, and what follows them
    signature   from `-- `, "Sent from my ...", and the like

Line by line, each line looked at a bounded number of times. A forwarded mail is the message itself and is not cut.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import ahocorasick_rs

from normalizer import quoting

MAX_LINE = 500  # characters of a line that are looked at
MAX_ATTRIBUTION = 6  # lines an attribution may be wrapped into
MAX_BLOCK = 10  # lines a header block may have
MAX_SIGNATURE = 25  # lines below `-- `; more is text
MAX_CARD = 12  # lines of name and address below a closing
MAX_FOOTER = 60  # lines below a rule; lists and lawyers fill some
MAX_HEADERS = 30  # header fields above one that are looked at
MAX_BLANKS = 10  # blank lines between an attribution and its quotation
MAX_NAMES = 7  # words that name a sender and nothing else
MAX_TRIES = 500  # how often something that may begin a quotation is looked at closely; hostile text has thousands


@dataclass(frozen=True, slots=True)
class Split:
    """A body taken apart; each piece without blank lines at its ends."""

    visible: str
    quoted: str = ""
    signature: str = ""


def split_reply(full: str, forwarded: bool = False, answers: bool = True) -> Split:
    """The visible reply of a mail body with "\\n" line ends. `forwarded`: the subject says it is a forwarded mail.

    `answers`: it may answer one. If it does not, lines like From: and Subject: are likelier a form that was filled in.
    If nothing would be visible, everything but `>` lines is: somebody forwarded without a word of their own.
    """
    marks = _finder().find_matches_as_indexes(full)
    block = _block_mark(full)
    if block is None and not marks:
        return Split(full.strip())
    if block is None and all(mark[0] == quoting.DELIMITED for mark in marks) and "---" not in full:
        return _signed(full)
    first = min(len(full) if block is None else block, marks[0][1] if marks else len(full))
    above = 0 if block is None and all(mark[0] in quoting.BELOW for mark in marks) else MAX_ATTRIBUTION + 1
    cutter = _Cutter(full.split("\n"), forwarded, answers, full.count("\n", 0, first) - above)
    cutter.run()
    visible = _joined(cutter.visible)
    if not visible:
        return Split(full.strip())
    return Split(visible, _joined(cutter.quoted), _joined(cutter.signature))


def _block_mark(full: str) -> int | None:
    """Where a quoted header may begin."""
    if not (":" in full or "：" in full or "|" in full or "\n-" in full):
        return None
    if quoting.BLOCK_MARK.match(f"\n{full[:100]}"):
        return 0
    found = quoting.BLOCK_MARK.search(full)
    return found.start() if found else None


@cache
def _finder() -> ahocorasick_rs.AhoCorasick:
    return ahocorasick_rs.AhoCorasick(quoting.ALL_MARKS, implementation=ahocorasick_rs.Implementation.DFA)


def _signed(full: str) -> Split:
    """A text with nothing but a signature below it, if that."""
    delimiter = quoting.DELIMITER.search(full)
    if not delimiter or not full[: delimiter.start()].strip() or full.count("\n", delimiter.end()) > MAX_SIGNATURE:
        return Split(full.strip())
    signature = full[delimiter.start() :].split("\n")
    if not (delimiter[0][3] == " " or _is_silent([line[:MAX_LINE] for line in signature])):
        return Split(full.strip())
    return Split(_joined(full[: delimiter.start()].split("\n")), signature=_joined(signature))


def _joined(lines: list[str]) -> str:
    return "\n".join(line.rstrip() for line in lines).strip()


class _Cutter:
    def __init__(self, lines: list[str], forwarded: bool, answers: bool, begin: int) -> None:
        self.lines = lines
        self.forwarded, self.answers = forwarded, answers
        self.at = max(0, begin)  # nothing is cut above
        self.tries = MAX_TRIES
        self.visible: list[str] = lines[: self.at]
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
        if quoting.FORWARDED.match(line):
            return self._take(self.visible, len(self.lines))
        if bare.startswith(">>>") and quoting.GROUPWISE.match(line):
            return self._take_rest()
        if _is_quote(bare):
            return self._quote()
        if bare.endswith("wrote:") and (shared := quoting.SHARED.search(line)) and self._next_is_quote(self.at + 1):
            self.visible.append(line[: shared.start()])
            self.lines[self.at] = self.lines[self.at][shared.end() :]
            return self._quote(1)
        if (
            quoting.ORIGINAL.match(line)
            or quoting.ABOVE.match(line)
            or self._header_block(self.at)
            or self._titled(line)
        ):
            return self._take_rest()
        if "--" in bare and quoting.NOTES.match(line):
            return self._take_rest()
        if length := self._attribution(line):
            return self._quote(length) if self._next_is_quote(self.at + length) else self._take_rest()
        return self._signature(line, bare)

    def _take(self, pile: list[str], end: int) -> bool:
        pile.extend(self.lines[self.at : end])
        self.at = end
        return True

    def _take_rest(self) -> bool:
        if quoting.BARE_ADDRESS.match(next((line for line in reversed(self.visible) if line.strip()), "")):
            self._move_last_shown()  # Foxmail signs with the address
        self._take_rule_above()
        return self._take(self.quoted, len(self.lines))

    def _take_rule_above(self) -> None:
        end = len(self.visible)
        while end and not self.visible[end - 1].strip():
            end -= 1
        if end and quoting.DRAWN.match(self.visible[end - 1][:MAX_LINE]):
            self.quoted.extend(self.visible[end - 1 :])
            del self.visible[end - 1 :]

    def _move_last_shown(self) -> None:
        while self.visible and not self.visible[-1].strip():
            self.visible.pop()
        if len(self.visible) > 1:
            self.signature.append(self.visible.pop())

    def _quote(self, length: int = 0) -> bool:
        """Attribution, `>` lines and the blanks among and after them."""
        if not length:
            self._take_attribution_above()
        end = self.at + length
        while end < len(self.lines):
            bare = self.lines[end].strip()
            if bare and not _goes_on(bare) and not (end and quoting.CUT_LINK.search(self.lines[end - 1][-MAX_LINE:])):
                break
            end += 1
        return self._take(self.quoted, end)

    def _take_attribution_above(self) -> None:
        """Who is quoted stands right above the quotation, in languages and forms that nobody has listed."""
        at = len(self.visible)
        while at and not self.visible[at - 1].strip() and len(self.visible) - at < 2:
            at -= 1
        end = at
        while at and end - at < 3 and self.visible[at - 1].strip():
            at -= 1
            text = " ".join(line[:MAX_LINE].strip() for line in self.visible[at:end])
            if not (quoting.COLON.search(text[-3:]) or quoting.VERB_END.search(text[-40:])):
                return
            if quoting.MAIL.search(text) and len(text) < MAX_LINE and not _is_sentence(text):
                self.quoted.extend(self.visible[at:])
                del self.visible[at:]
                return

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
        if "--" in line and quoting.STARTS_ANYWHERE.search(line):
            return 1
        starts = quoting.STARTS.match(line) is not None
        if not (starts or ("@" in line and quoting.DATED.search(line))) or not self._try():
            return 0
        firm = quoting.SPOKEN_START.match(line) is not None
        text, torn = "", False
        for length, added in enumerate(self.lines[self.at : self.at + MAX_ATTRIBUTION], 1):
            said = added[:MAX_LINE].strip()
            torn = torn or not said
            if len(text) > MAX_LINE or (torn and not firm) or (not said and text.endswith(quoting.FULL_STOPS)):
                return 0
            text = f"{text} {said}".strip()
            quoted = self._next_is_quote(self.at + length)
            if length > 1 and self._begins_anew(said, firm and not torn, quoted):
                return 0
            if _is_attribution(text, quoted):
                return length
            if not firm and not quoting.DATE.search(text):
                return 0
        return 0

    def _begins_anew(self, line: str, wrapped: bool, quoted: bool) -> bool:
        """Whether a line is an attribution by itself, so that the lines above it are the writer's."""
        starts = (
            quoting.SPOKEN_START.match(line)
            if wrapped
            else quoting.STARTS.match(line) or ("@" in line and quoting.DATED.search(line))
        )
        return bool(starts) and _is_attribution(line, quoted)

    def _header_block(self, at: int) -> bool:
        """Whether lines like From:, Sent:, To:, Subject: begin here (after a rule, perhaps)."""
        if self.forwarded:
            return False
        if quoting.RULE.match(self.lines[at]):
            at += 1
            while at < len(self.lines) and not self.lines[at].strip() and self._try():
                at += 1
        if at >= len(self.lines) or _label(self.lines[at]) not in ("from", "date", "sent"):
            return False
        return self._try() and self._is_header_block(at) and not self._is_pasted(at)

    def _is_pasted(self, at: int) -> bool:
        """Whether the field here is one of a whole header that somebody shows us: programs quote no Received: lines."""
        above = at
        while above and at - above < MAX_HEADERS and quoting.FIELD.match(self.lines[above - 1][:MAX_LINE]):
            above -= 1
            if quoting.TRANSPORT.match(self.lines[above]):
                return True
        return False

    def _titled(self, line: str) -> bool:
        """A title between dashes, in whatever language, and a quoted header right below it."""
        if self.forwarded or not quoting.TITLED.match(line):
            return False
        at = self.at + 1
        while at < len(self.lines) and at < self.at + 3 and not self.lines[at].strip():
            at += 1
        return at < len(self.lines) and bool(_label(self.lines[at])) and self._try() and self._is_header_block(at)

    def _try(self) -> bool:
        self.tries -= 1
        return self.tries >= 0

    def _is_header_block(self, at: int) -> bool:
        kinds: set[str] = set()
        dated = addressed = stamped = False
        for below, line in enumerate(self.lines[at : at + MAX_BLOCK], at + 1):
            if not line.strip(" >*|\t\xa0"):
                if below < len(self.lines) and _label(self.lines[below]):
                    continue  # each field a paragraph of its own
                break
            kind = _label(line)
            kinds.add(kind)
            dated = dated or quoting.DATED.search(line[:MAX_LINE]) is not None
            stamped = stamped or quoting.STAMP.search(line[:MAX_LINE]) is not None
            addressed = addressed or ("@" in line[:MAX_LINE] and (kind != "" or not quoting.LABEL_LINE.match(line)))
        # People fill in forms: from Berlin to Hamburg on this date, who sends a parcel and to whom.
        if not addressed and kinds.isdisjoint(("sent", "subject")):
            return False
        fields = {"date" if kind == "sent" else kind for kind in kinds if kind}
        if not (self.answers or stamped or fields >= quoting.WHOLE):
            return False
        return len(fields) >= 3 or (len(fields) == 2 and dated and (addressed or "sent" in kinds))

    def _signature(self, line: str, bare: str) -> bool:
        signs = bare.startswith(quoting.SIGNATURE_STARTS) or bare.endswith(quoting.SIGNATURE_ENDS)
        if signs and quoting.MOBILE.match(line):
            return self._take(self.signature, self.at + 1)  # people write below what their telephone adds
        if bare[0] == "|" and quoting.FRAME.match(line):
            return self._sign(8)
        if not any(shown.strip() for shown in self.visible[-3:]):
            return False
        return self._words_below(line, bare) if signs else self._rule(line, bare)

    def _words_below(self, line: str, bare: str) -> bool:
        """Closings with a card below, and what lawyers add."""
        if quoting.DISCLAIMER.match(line) and len(bare) > 12:
            return self._is_law() and self._sign(40)
        return bool(quoting.CLOSING.fullmatch(bare)) and self._sign(MAX_CARD, _is_card)

    def _is_law(self) -> bool:
        """Customers call their mail confidential too: lawyers say what follows from it."""
        below = self.lines[self.at : self.at + MAX_CARD]
        return self._try() and any(quoting.LAW.search(line[:MAX_LINE]) for line in below)

    def _rule(self, line: str, bare: str) -> bool:
        if bare[0] not in quoting.SIGNS:
            return False
        if quoting.LONG_RULE.match(line):
            return self._sign(MAX_FOOTER, _is_footer)
        if quoting.DASHES.match(line):
            return self._sign(MAX_SIGNATURE, None if line.startswith("-- ") else _is_silent)
        if quoting.RULE.match(line):
            return self._sign(6, _is_footer)
        above = next((line.strip() for line in reversed(self.visible) if line.strip()), "")
        return (
            not above.startswith("-")
            and above[-1:] not in (":", "：")
            and bool(quoting.NAMED.match(bare))
            and self._sign(0)
        )

    def _sign(self, most: int, fits: Callable[[list[str]], bool] | None = None) -> bool:
        """A signature up to the next quotation or postscript, unless it has more than `most` lines of text below its
        first, or these do not fit."""
        if not self._try():
            return False
        end, below = self.at + 1, list[str]()
        while end < len(self.lines) and not self._quotation_begins(end):
            line = self.lines[end][:MAX_LINE].strip()
            if quoting.POSTSCRIPT.match(line):
                break
            below += [line] if line else []
            end += 1
            if len(below) > most:
                return False
        return (fits is None or fits(below)) and self._take(self.signature, end)

    def _quotation_begins(self, at: int) -> bool:
        line = self.lines[at][:MAX_LINE]
        if not line.strip():
            return False
        if (
            _is_quote(line.strip())
            or quoting.ORIGINAL.match(line)
            or quoting.LONG_RULE.match(line)
            or self._header_block(at)
        ):
            return True
        here, self.at = self.at, at
        found = self._attribution(line)
        self.at = here
        return bool(found)


def _may_begin(bare: str) -> bool:
    """Whether a quotation or a signature may begin with this line: a cheap look, since it is taken at every line."""
    return (
        bare[0] in quoting.SIGNS
        or ((":" in bare or "：" in bare or "|" in bare) and quoting.LABEL_LINE.match(bare) is not None)
        or quoting.STARTS.match(bare) is not None
        or bare.startswith(quoting.SIGNATURE_STARTS)
        or bare.endswith(quoting.ENDS)
        or ("@" in bare and quoting.DATED.search(bare) is not None)
        or "---" in bare
        or "此行" in bare
        or "this line" in bare
    )


def _is_quote(bare: str) -> bool:
    return bare[:1] == ">" and not bare.endswith(("<<", "wrote:"))


def _is_sentence(text: str) -> bool:
    """`Refund me, as promised by Support <s@example.com>:`, and not who wrote when."""
    return text.count(" ") > MAX_NAMES and not (quoting.WHEN.search(text) or quoting.VERB_END.search(text))


def _goes_on(bare: str) -> bool:
    """Whether a quotation has this line too: the end of a wrapped attribution, for one."""
    return bare[:1] == ">" and not bare.endswith("<<")


def _is_attribution(text: str, quote_follows: bool) -> bool:
    if not quoting.DATED.search(text):
        return text.lower().startswith("sent from") and bool(quoting.VERB_END.search(text)) and text[-1] in ":：-"
    ends = text[-1:] in (":", "：")
    if quoting.VERB_END.search(text):
        return ends or text[-1] == "-" or quote_follows
    if quoting.MAIL_END.search(text) and not _is_sentence(text):
        return quote_follows or (ends and ("<" in text or bool(quoting.VERB_INSIDE.search(text))))
    if not ends:
        return False
    if quoting.MAIL.search(text) and quoting.TIMED.search(text):
        return True  # who, when, and a colon, in whatever language
    return bool(quoting.VERB_INSIDE.search(text)) and ("@" in text or quote_follows or bool(quoting.TIMED.search(text)))


def _is_silent(below: list[str]) -> bool:
    """Whether nobody asks anything of us in a would-be signature: better one shown than a wish hidden."""
    return not any(quoting.ASKS.search(line) for line in below)


def _is_card(below: list[str]) -> bool:
    """Whether below a closing there is more than a name: a company, a number, an address. No sentences, though."""
    if any(quoting.TALKS.search(line) or quoting.VERB_END.search(line) for line in below):
        return False
    return len(below) >= 2 and any(quoting.CONTACT.search(line) for line in below[1:]) and _is_silent(below)


def _is_footer(below: list[str]) -> bool:
    """Whether a mailing list, a lawyer, a program or a card speaks below a rule, and not the writer."""
    if not below or quoting.DISCLAIMER.match(below[0]):
        return bool(below)
    if not _is_silent(below):
        return False
    card = quoting.PERSON.fullmatch(below[0]) and any(quoting.CONTACT.search(line) for line in below[1:])
    return bool(card or quoting.BARE_ADDRESS.match(below[0])) or any(
        quoting.LISTED.search(line) or quoting.MOBILE.match(line) for line in below
    )


def _label(line: str) -> str:
    """Which field of a quoted header a line is, or an empty string."""
    found = quoting.LABEL_LINE.match(line)
    if not found:
        return ""
    word = found[1].lower()
    return quoting.KIND_OF.get(word.replace(" ", "").replace("\u3000", "").replace("\xa0", ""), "")
