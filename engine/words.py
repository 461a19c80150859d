"""What a customer said, for rules: words found in a text, and which of them were only mentioned to be denied.

Case, width, apostrophes, spaces and simplified/traditional are folded away. Chinese is not segmented; a word of
Latin script must stand alone ("fund" is not in "refund"). A mention is denied only by the customer not wanting or not
meaning it (不是退款, 不需要退款, 退款不用了, "not a refund", "don't want a refund"). 没, 未, 不给, 拒绝, 无法 are the
complaint itself; a question (是不是退款, 不是退款了吗) and a denial that is denied (不是不想退款) deny nothing.
"""

import re
import string
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import NamedTuple

import ahocorasick_rs
import opencc

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_WIDE = tuple(zip("，！？：；（）％", ",!?:;()%", strict=True))  # most of what NFKC has to change
_CONTROLS = "\t\n\v\f\r\x1c\x1d\x1e\x1f"  # blanks of ASCII besides the space
_ASCII = str.maketrans(string.ascii_uppercase + _CONTROLS, string.ascii_lowercase + " " * len(_CONTROLS))
_BEFORE = 24  # characters before a mention in which its denial must stand
_AFTER = 24  # characters after it in which a question may end
_MANY = 5_000  # words; a table for more would be quick, but large

# Between the denial and the word only these may stand: "不是 要申请 退款".
_FILLERS = (
    "为了|因为|想要|需要|要求|申请|办理|咨询|反馈|投诉|关于|什么|任何|这个|那个|这种|单纯|普通|再次|你们|我们|"
    "开具|上门|安排|提供|要|想|来|去|再|给|帮|您|你|我|做|办|个|是|开|转|补|寄"
)
_DENIED = re.compile(
    rf"(?P<deny>不是|并非|不需要|不需|不用|不想|不打算|不要求|不要|无需|无须|不必)(?:{_FILLERS}){{0,6}}$"
)
_RHETORIC = re.compile(r"(难道|岂|莫非|为什么|为何|怎么|凭什么|是否)[^,。!?;\n]{0,8}$")  # 难道不是退款, 为什么不是退款
# 不是不想退款, 我没说不要退款, 谁说不用退款: who denies a denial means it.
_TWICE = re.compile(
    r"(?:(?:不是|并非|没有?|不)(?:说|讲|提|表示)?过?|谁(?:说|讲)过?|不可能|不会)(?:我|我们|真的?|就|要)?$"
)
_QUOTES = str.maketrans("", "", " \"'“”‘’「」『』《》〈〉【】[]()*~_")  # what may stand between a denial and the word
_NO_LONGER = re.compile(
    r"^(?:我|就|都|也|现在|已经|暂时|先){0,2}(?:不用|不需要|不必)(?:了|啦|开了|寄了)?(?=[,。.!;\s]|$)"
)  # 发票不用了
# 我没有投诉的意思; 商家没有退款的意思 is the complaint itself.
_NO_MIND = re.compile(r"我们?(?:并|也|可|都|真的?|绝对|完全|根本|从来){0,2}没有?(?:要|想|任何){0,2}$")
_OF_MIND = re.compile(r"^(?:你们?|您|谁|客服)?的(?:意思|打算|想法|念头)")
_EITHER = re.compile(r"^[^,。!?;\n]{0,12}?(就是|便是|而是因为)")  # 不是退款就是换货
_ASKED = re.compile(r"^[^,。!?;.\n]{0,22}?(?:[吗么]|\?)")

_LINKS = (  # what may stand between "don't want" and the word: "don't want to ask for a refund"
    r"(?:(?:a|an|any|the|my|your|this|that|another|to|for|about|of|be|have|get|you|us|request|requesting|ask|asking"
    r"|looking|here|after)\s+)"
)
_NOT_WANTED = re.compile(
    rf"(?:\b(?:don't|dont|do not|didn't|did not|doesn't|does not|wouldn't|would not|no longer|never)\s+"
    rf"(?:really\s+|even\s+)?(?:need|want|wanted|like|require|mean|meant|request|requested|ask for|asked for)\s+"
    rf"{_LINKS}{{0,4}}"
    rf"|(?:^|[.!?;,]\s?|\b(?:please|pls|but|so)\s)(?:do not|don't|dont)\s+"
    rf"|\bno need\s+{_LINKS}{{1,4}}"
    rf"|(?<!why )(?:\bnot|\b(?:isn't|isnt|aren't|wasn't))\s+"
    rf"(?:(?:a|an)\s+|(?:about|for|requesting|asking for|looking for|asking about|here for|after)\s+{_LINKS}{{0,3}})"
    r")$"
)
_NOT_THAT = re.compile(r"\bnot (?:that|because|like|as if) (?:i|we)\s[^.!?;,]{0,40}$")  # it is not that I don't want it
_NO_NEED = re.compile(r"^s?(?: is| are)? (?:needed|required|necessary|wanted)\b")  # no invoice needed


class Said(NamedTuple):
    """Words of the lexicon that stand in a text: those meant, and all mentioned."""

    meant: frozenset[str]
    mentioned: frozenset[str]


NOTHING = Said(frozenset(), frozenset())


@cache
def _simplifier() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")


@cache
def _traditional() -> re.Pattern[str]:
    """Characters that simplifying changes; most texts have none, and looking is cheaper than converting."""
    common = [chr(point) for point in range(0x3400, 0xA000)]
    simplified = _simplifier().convert("\n".join(common)).split("\n")
    changed = [before for before, after in zip(common, simplified, strict=True) if before != after]
    return re.compile(f"[{''.join(changed)}\U00020000-\U0003ffff]")  # rare ones are left to the converter


def fold(text: str) -> str:
    """The form in which texts are compared."""
    if text.isascii():
        return _single_spaced(text.translate(_ASCII))
    flat = _INVISIBLE.sub("", text)
    for wide, narrow in _WIDE:
        flat = flat.replace(wide, narrow)
    flat = unicodedata.normalize("NFKC", flat).casefold()
    flat = flat.replace("’", "'").replace("‘", "'").replace("´", "'")
    if _traditional().search(flat):
        flat = _simplifier().convert(flat)
    return " ".join(flat.split())


def _single_spaced(flat: str) -> str:
    while "  " in flat:
        flat = flat.replace("  ", " ")
    return flat.strip(" ")


folded = lru_cache(maxsize=8192)(fold)  # for the short texts of rules and fields, which come again and again


class Lexicon:
    """All words of all rules, looked for in one pass."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = sorted({folded(word) for word in words} - {""})
        kind = ahocorasick_rs.Implementation.DFA if len(self.words) <= _MANY else None
        self._automaton = ahocorasick_rs.AhoCorasick(self.words, implementation=kind) if self.words else None

    def said(self, text: str) -> Said:
        if self._automaton is None:
            return NOTHING
        flat = fold(text)
        meant: set[int] = set()
        mentioned: set[int] = set()
        for word, start, end in self._automaton.find_matches_as_indexes(flat, overlapping=True):
            if word not in meant and stands_alone(flat, start, end):
                mentioned.add(word)
                if not denied(flat, start, end):
                    meant.add(word)
        return Said(self._named(meant), self._named(mentioned))

    def _named(self, found: Iterable[int]) -> frozenset[str]:
        return frozenset([self.words[word] for word in found])


def stands_alone(flat: str, start: int, end: int) -> bool:
    """Whether a match is a word of its own; only letters and digits of alphabetic scripts can run on."""
    if start and _runs_on(flat[start]) and _runs_on(flat[start - 1]):
        return False
    return not (end < len(flat) and _runs_on(flat[end - 1]) and _runs_on(flat[end]))


def _runs_on(character: str) -> bool:
    return character < "\u2e80" and character.isalnum()


def denied(flat: str, start: int, end: int) -> bool:
    """Whether the customer says that this mention is not what he means or wants."""
    before = flat[max(0, start - _BEFORE) : start]
    if "不" in (after := flat[end : end + _AFTER]) and _no_longer(after):
        return True
    if "没" in before and _OF_MIND.match(after):
        return bool(_NO_MIND.search(before)) and not _ASKED.match(after)
    if before.isascii():
        return bool(before) and _denied_in_english(flat, start, end)
    if not ("不" in before or "无" in before or "非" in before):  # most mentions; looking is cheaper than matching
        return False
    before = before.translate(_QUOTES)
    found = _DENIED.search(before)
    if not found:
        return False
    ahead = before[: found.start("deny")]
    # 是不是, 要不要, 需不需要
    if ahead[-1:] == found["deny"][1] or _RHETORIC.search(ahead) or _TWICE.search(ahead):
        return False
    after = flat[end : end + _AFTER]
    return not _ASKED.match(after) and not (found["deny"] == "不是" and _EITHER.match(after))


def _no_longer(after: str) -> bool:
    """发票不用了"""
    return bool(_NO_LONGER.match(after)) and not _ASKED.match(after)


def _denied_in_english(flat: str, start: int, end: int) -> bool:
    before = flat[max(0, start - 2 * _BEFORE) : start]
    if not ("no" in before or "n't" in before or "nt " in before or "never" in before):
        return False
    after = flat[end : end + _AFTER]
    if before.endswith("no ") and stands_alone(flat, start - 3, start - 1) and _NO_NEED.match(after):
        return True
    return bool(_NOT_WANTED.search(before)) and not _NOT_THAT.search(before) and not _ASKED.match(after)
