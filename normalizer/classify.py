"""What a text is about, from the cues of the taxonomy: one pass over it, whatever the number of cues.

A cue counts once, in whichever part of the text it stands. Each category gathers the weight of its own cues and a
share of the weight of its topics. The confidence says how often such a verdict is right (measured on public corpora,
`make score`): little evidence, or evidence for two, is doubt, and below `DOUBT` there is no verdict at all.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import ahocorasick_rs

from normalizer.canon import Derived
from normalizer.fold import fold
from normalizer.taxonomy import Taxonomy

MAX_CHARACTERS = 4_000
WINDOW = 400  # characters searched at a time: where many cues stand, the rest is never looked at
MAX_CUES = 12  # different ones, in the order of the text: customers say early what they want
DOUBT = 0.25  # below, saying nothing is more honest
CLEAR = 3.0  # evidence for a category that needs no topic beside it: one strong cue
SATURATION = 1.6  # evidence at which a verdict is two thirds as sure as it can get

_CJK = "\u2e80"  # from here on words do not stand apart
_PLURAL = re.compile(r"(?:s|es|'s)(?![a-z0-9_])")

# The customer does not want it or does not mean it. 没, 未, 不给, 拒绝, 无法 are the complaint itself and never here.
_DENIED_ZH = re.compile(
    r"(?<!是)(?:不是|并非|不需要|不需|不用|不想|不要|无需|无须|不必)(?:要|想|来|去|再|给|您|你|我|做|办|申请|需要|"
    r"要求|咨询|关于|为了|一个|这个|开|了){0,4}$"
)
# 我没有投诉的意思
_NO_MIND_ZH = re.compile(r"我们?(?:并|也|可|都|真的?|绝对|完全|根本|从来){0,2}没有?(?:要|想|任何){0,2}$")
_OF_MIND_ZH = re.compile(r"(?:你们?|您|谁|客服)?的(?:意思|打算|想法|念头)")
_QUESTION_ZH = re.compile(r"[^，。！；,.!;\n]{0,12}(?:吗|么|[?？])")
_DENIED_EN = re.compile(
    r"(?:\b(?:do not|don't|dont|does not|doesn't|did not|didn't|no longer) (?:really )?(?:want|need|require|mean|"
    r"wish)(?: for)?(?: to)?(?: be| have| get)?(?: an?| any| the| my)?"
    r"|\bno need (?:for|to)(?: an?| any| the)?|\bnot (?:an?|about|about an?|about the|asking for|asking for an?|"
    r"requesting an?|looking for an?)) $"
)
_DENIAL_MARK = re.compile("不|无[需须]|并非|n't|not |no |dont|never|没|别")  # one stands in every denial
_NEGATIONS = (
    "不",
    "没",
    "没有",
    "不太",
    "不是很",
    "不够",
    "别",
    " not ",
    "n't ",
    " not very ",
    " not at all ",
    " never ",
    " no ",
)
_BEFORE = 32  # characters before a mention in which its denial stands


@dataclass(frozen=True, slots=True)
class Classified:
    """The verdict. Every Derived bears `cues:<sha of the taxonomy>` as its source."""

    category: Derived | None = None
    subcategory: Derived | None = None
    tags: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    sentiment: Derived | None = None


@dataclass(slots=True)
class _Cue:
    """A word and what it adds where it stands: (index of what, weight)."""

    word: str
    open_end: bool  # any ending may follow
    latin_head: bool
    latin_tail: bool
    topics: list[tuple[str, float]] = field(default_factory=list)  # shared among the categories that have them
    within: list[tuple[str, float]] = field(default_factory=list)  # topics as subcategories of one category,
    topical: list[tuple[str, float]] = field(default_factory=list)  # and that category
    judging: list[tuple[str, float]] = field(default_factory=list)  # for categories, in its own right
    feelings: list[tuple[str, float]] = field(default_factory=list)
    intents: list[str] = field(default_factory=list)

    @property
    def unmeant(self) -> int:
        """Of what a mention does not count for, that with which an intent is none: 不需要转人工, "not urgent"."""
        return _TOPICAL | (_JUDGING if self.latin_head else 0)  # 不赶紧处理 hurries us all the same


class _Scores:
    """What the cues of a text add up to."""

    __slots__ = ("categories", "feelings", "intents", "topics", "within")

    def __init__(self) -> None:
        self.categories: dict[str, float] = defaultdict(float)
        self.topics: dict[str, float] = defaultdict(float)
        self.within: dict[str, float] = defaultdict(float)
        self.feelings: dict[str, float] = defaultdict(float)
        self.intents: set[str] = set()

    def take(self, cue: _Cue, void: int) -> None:
        if not void & _TOPICAL:
            if cue.topics:
                _add(self.topics, cue.topics)
            if cue.within:
                _add(self.within, cue.within)
                _add(self.categories, cue.topical)
        if not void & _JUDGING and cue.judging:
            _add(self.categories, cue.judging)
        if not void & _FEELING and cue.feelings:
            _add(self.feelings, cue.feelings)
        if cue.intents and not void & cue.unmeant:
            self.intents.update(cue.intents)


def _add(totals: dict[str, float], what: list[tuple[str, float]]) -> None:
    for code, weight in what:
        totals[code] += weight


class Classifier:
    """Cues compiled once; `classify` is pure and may be called from any thread."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.source = f"cues:{taxonomy.sha}"
        self._cues = _compiled(taxonomy)
        self._shares = _shares(taxonomy)
        self._anywhere = [not (cue.latin_head or cue.latin_tail) for cue in self._cues]
        words = [cue.word for cue in self._cues]
        self._longest_cue = max(map(len, words), default=0)
        self._every = ahocorasick_rs.AhoCorasick(words)
        self._asking = [index for index, cue in enumerate(self._cues) if cue.intents]
        self._intents = ahocorasick_rs.AhoCorasick([words[index] for index in self._asking])
        # In words that stand apart the longest cue says it all; in Chinese one may begin within another.
        self._longest = ahocorasick_rs.AhoCorasick(words, ahocorasick_rs.MatchKind.LeftmostLongest)

    def classify(self, text: str) -> Classified:
        """What a text says it is about."""
        return self.classify_folded(fold(text[:MAX_CHARACTERS]))

    def classify_folded(self, folded: str) -> Classified:
        """The same for a text that is folded already."""
        scores = self._scores(folded[:MAX_CHARACTERS])
        if scores is None:
            return Classified()
        category = self._category(scores)
        subcategory = self._subcategory(scores, category.value) if category else None
        return Classified(
            category,
            subcategory,
            self._tags(category, subcategory),
            tuple(code for code in self.taxonomy.intents if code in scores.intents) if scores.intents else (),
            self._verdict(scores.feelings) or Derived("neutral", self.source, 0.5),
        )

    def _scores(self, folded: str) -> _Scores | None:
        """The weight of the cues found; None if there is not a single one."""
        found: dict[int, int] = {}  # cue -> what every mention of it so far does not count for
        scores = _Scores()
        for index, start, end in self._matches(folded):
            if found.get(index, 1) and (self._anywhere[index] or self._stands_alone(folded, index, start, end)):
                if len(found) >= MAX_CUES and index not in found:
                    self._hear(scores, folded, start)
                    break
                found[index] = _void(folded, start, end)
        if not found:
            return None
        for index, void in found.items():
            scores.take(self._cues[index], void)
        return scores

    def _hear(self, scores: _Scores, folded: str, first: int) -> None:
        """The intents in the rest of a text: to hurry and to ask for a person is what customers end with."""
        for word, start, end in self._intents.find_matches_as_indexes(folded[first:], overlapping=True):
            index, start, end = self._asking[word], start + first, end + first
            if self._anywhere[index] or self._stands_alone(folded, index, start, end):
                cue = self._cues[index]
                if not _void(folded, start, end) & cue.unmeant:
                    scores.intents.update(cue.intents)

    def _matches(self, folded: str) -> Iterator[tuple[int, int, int]]:
        """(cue, start, end) of what may be cues, in order."""
        for begin in range(0, len(folded), WINDOW):
            first = max(0, begin - self._longest_cue)  # what is cut by the last window's end begins here
            for index, start, end in self._find(folded[first : begin + WINDOW]):
                yield index, start + first, end + first

    def _find(self, folded: str) -> Sequence[tuple[int, int, int]]:
        if folded.isascii():
            return self._longest.find_matches_as_indexes(folded)
        return self._every.find_matches_as_indexes(folded, overlapping=True)

    def _stands_alone(self, folded: str, index: int, start: int, end: int) -> bool:
        """Latin words only as whole words (a plural s may follow), Chinese anywhere."""
        cue = self._cues[index]
        if cue.latin_head and start and _joins(folded[start - 1]):
            return False
        if not cue.latin_tail or cue.open_end or end == len(folded) or not _joins(folded[end]):
            return True
        return bool(_PLURAL.match(folded, end))

    def _category(self, scores: _Scores) -> Derived | None:
        totals = scores.categories
        for topic, total in scores.topics.items():
            for code, share in self._shares.get(topic, ()):
                totals[code] += share * total
        for code, category in self.taxonomy.categories.items() if scores.feelings else ():
            for feeling, share in category.feeling.items():
                if felt := scores.feelings.get(feeling):
                    totals[code] += share * felt
        verdict = self._verdict(totals)
        if verdict and not scores.topics and not scores.within and max(totals.values()) < CLEAR:
            return replace(verdict, confidence=round(verdict.confidence / 2, 2))  # a question, about what?
        return verdict

    def _subcategory(self, scores: _Scores, category: str) -> Derived | None:
        known = self.taxonomy.categories[category].subcategories
        totals = {topic: total for topic, total in scores.topics.items() if topic in known}
        for topic, total in scores.within.items():
            if topic in known:
                totals[topic] = totals.get(topic, 0.0) + total
        return self._verdict(totals)

    def _verdict(self, totals: Mapping[str, float]) -> Derived | None:
        ranked = sorted(((total, code) for code, total in totals.items() if total > 0), reverse=True)
        if not ranked:
            return None
        best, code = ranked[0]
        second = ranked[1][0] if len(ranked) > 1 else 0.0
        sure = confidence(best, second)
        return Derived(code, self.source, sure, tuple(c for _, c in ranked[1:3])) if sure >= DOUBT else None

    def _tags(self, category: Derived | None, subcategory: Derived | None) -> tuple[str, ...]:
        if not category or not subcategory:
            return ()
        return tuple(self.taxonomy.categories[category.value].subcategories[subcategory.value].tags)


def confidence(best: float, second: float) -> float:
    """How often a verdict with this much evidence, against that much for the next, is right. Two digits."""
    enough = 1 - math.exp(-best / SATURATION)
    clear = (best - second) / best
    return round(0.97 * enough * (0.45 + 0.55 * clear), 2)


def _compiled(taxonomy: Taxonomy) -> list[_Cue]:
    """Each word once, with everything it tells."""
    cues: dict[str, _Cue] = {}

    def cue(word: str) -> _Cue:
        folded = fold(word)
        bare = folded.removesuffix("*")
        return cues.setdefault(folded, _Cue(bare, bare != folded, _joins(bare[0]), _joins(bare[-1])))

    for code, category in taxonomy.categories.items():
        for word, weight in category.cues.weights():
            cue(word).judging.append((code, weight))
        for topic, sub in category.subcategories.items():
            for word, weight in sub.cues.weights():
                cue(word).within.append((topic, weight))
                cue(word).topical.append((code, weight))
    for topic, listed in taxonomy.topics.items():
        for word, weight in listed.weights():
            cue(word).topics.append((topic, weight))
    for feeling, listed in taxonomy.sentiment.items():
        for word, weight in listed.weights():
            cue(word).feelings.append((feeling, weight))
    for code, intent in taxonomy.intents.items():
        for word in intent.cues:
            cue(word).intents.append(code)
    return list(cues.values())


def _shares(taxonomy: Taxonomy) -> Mapping[str, list[tuple[str, float]]]:
    """For each topic, the categories it speaks for and how much."""
    shares: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for code, category in taxonomy.categories.items():
        for topic, sub in category.subcategories.items():
            shares[topic].append((code, sub.share))
    return shares


def _joins(character: str) -> bool:
    """Whether a word goes on with this character."""
    return character < _CJK and (character.isalnum() or character == "_")


_TOPICAL, _JUDGING, _FEELING = 1, 2, 4


def _void(folded: str, start: int, end: int) -> int:
    """What a mention does not count for: nothing the customer denies (不是退款), no judgement they negate (不满意)."""
    first = max(0, start - _BEFORE)
    if not _DENIAL_MARK.search(folded, first, start):
        return 0
    before = folded[first:start]
    if (_DENIED_ZH.search(before) and not _QUESTION_ZH.match(folded, end)) or _DENIED_EN.search(before):
        return _TOPICAL | _JUDGING
    if _OF_MIND_ZH.match(folded, end) and _NO_MIND_ZH.search(before):
        return _TOPICAL | _JUDGING
    return _JUDGING | _FEELING if (f" {before}" if not first else before).endswith(_NEGATIONS) else 0
