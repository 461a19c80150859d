"""What a text is about, from the cues of the taxonomy: one pass over it, whatever the number of cues.

A cue counts once, in whichever part of the text it stands. Each category gathers the weight of its own cues and a
share of the weight of its topics. The confidence says how often such a verdict is right (measured on public corpora,
`make score`): little evidence, or evidence for two, is doubt, and below `DOUBT` there is no verdict at all.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from normalizer.canon import Derived
from normalizer.fold import fold
from normalizer.taxonomy import Taxonomy

MAX_CHARACTERS = 4_000  # customers say early what they want
DOUBT = 0.25  # below, saying nothing is more honest
CLEAR = 3.0  # evidence for a category that needs no topic beside it: one strong cue
SATURATION = 1.6  # evidence at which a verdict is two thirds as sure as it can get

_WORD = re.compile(r"[a-z0-9_\u00c0-\u024f\u0400-\u04ff]")
_PLURAL = re.compile(r"(?:s|es|'s)(?![a-z0-9_])")

# The customer does not want it or does not mean it. 没, 未, 不给, 拒绝, 无法 are the complaint itself and never here.
_DENIED_ZH = re.compile(
    r"(?<!是)(?:不是|并非|不需要|不需|不用|不想|不要|无需|无须|不必)(?:要|想|来|去|再|给|您|你|我|做|办|申请|需要|要求|咨询|关于|为了|一个|这个|开|了){0,4}$"
)
_QUESTION_ZH = re.compile(r"[^，。！；,.!;\n]{0,12}(?:吗|么|[?？])")
_DENIED_EN = re.compile(
    r"(?:\b(?:do not|don't|dont|does not|doesn't|did not|didn't|no longer) (?:really )?(?:want|need|require|mean|wish)(?: for)?(?: to)?(?: be| have| get)?(?: an?| any| the| my)?"
    r"|\bno need (?:for|to)(?: an?| any| the)?|\bnot (?:an?|about|about an?|about the|asking for|asking for an?|requesting an?|looking for an?)) $"
)
_NEGATED = re.compile(r"(?:不|没|没有|不太|不是很|不够|别|\bnot |\bnot very |\bnot at all |n't |\bnever |\bno )$")
_TOPICAL = frozenset({"topic", "sub", "category"})
_JUDGING = frozenset({"category", "feeling"})
_ALL = _TOPICAL | _JUDGING
_BEFORE = 32  # characters before a mention in which its denial stands


@dataclass(frozen=True, slots=True)
class Classified:
    """The verdict. Every Derived bears `cues:<sha of the taxonomy>` as its source."""

    category: Derived | None = None
    subcategory: Derived | None = None
    tags: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    sentiment: Derived | None = None


Target = tuple[str, ...]  # ("topic", code), ("category", code), ("sub", category, code), ("intent", code), ("feeling", code)


class Classifier:
    """Cues compiled once; `classify` is pure and may be called from any thread."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        import ahocorasick_rs

        self.taxonomy = taxonomy
        self.source = f"cues:{taxonomy.sha}"
        words: dict[str, list[tuple[Target, float]]] = defaultdict(list)
        for target, word, weight in _cues(taxonomy):
            words[fold(word)].append((target, weight))
        self._targets = list(words.values())
        self._words = [word.removesuffix("*") for word in words]
        self._open = [word.endswith("*") for word in words]
        self._latin = [(bool(_WORD.match(word)), bool(_WORD.match(word[-1]))) for word in self._words]
        self._every = ahocorasick_rs.AhoCorasick(self._words)
        # In words that stand apart the longest cue says it all; in Chinese one may begin within another.
        self._longest = ahocorasick_rs.AhoCorasick(self._words, ahocorasick_rs.MatchKind.LeftmostLongest)

    def classify(self, text: str) -> Classified:
        """What a text says it is about."""
        scores = self._scores(fold(text[:MAX_CHARACTERS]))
        if not scores:
            return Classified()
        category = self._category(scores)
        subcategory = self._subcategory(scores, category.value) if category else None
        return Classified(
            category,
            subcategory,
            self._tags(category, subcategory),
            tuple(code for code in self.taxonomy.intents if ("intent", code) in scores),
            self._sentiment(scores),
        )

    def _scores(self, folded: str) -> Mapping[Target, float]:
        """The weight of the cues found, by what they tell of."""
        found: dict[int, frozenset[str]] = {}  # cue -> what every mention of it so far does not count for
        for index, start, end in self._find(folded):
            if found.get(index, _ALL) and self._stands_alone(folded, index, start, end):
                found[index] = _void(folded, start, end)
        scores: dict[Target, float] = defaultdict(float)
        for index, void in found.items():
            for target, weight in self._targets[index]:
                if target[0] not in void:
                    scores[target] += weight
        return scores

    def _find(self, folded: str) -> Sequence[tuple[int, int, int]]:
        """(cue, start, end) of what may be cues."""
        if folded.isascii():
            return self._longest.find_matches_as_indexes(folded)
        return self._every.find_matches_as_indexes(folded, overlapping=True)

    def _stands_alone(self, folded: str, index: int, start: int, end: int) -> bool:
        """Latin words only as whole words (a plural s may follow), Chinese anywhere."""
        head, tail = self._latin[index]
        if head and start and _WORD.match(folded[start - 1]):
            return False
        if not tail or self._open[index] or end == len(folded) or not _WORD.match(folded[end]):
            return True
        return bool(_PLURAL.match(folded, end))

    def _category(self, scores: Mapping[Target, float]) -> Derived | None:
        totals: dict[str, float] = {}
        for code, category in self.taxonomy.categories.items():
            total = scores.get(("category", code), 0.0)
            for topic, sub in category.subcategories.items():
                total += sub.share * scores.get(("topic", topic), 0.0) + scores.get(("sub", code, topic), 0.0)
            for feeling, share in category.feeling.items():
                total += share * scores.get(("feeling", feeling), 0.0)
            totals[code] = total
        verdict = self._verdict(totals)
        if verdict and not any(target[0] in ("topic", "sub") for target in scores) and max(totals.values()) < CLEAR:
            return replace(verdict, confidence=round(verdict.confidence / 2, 2))  # a question, about what?
        return verdict

    def _subcategory(self, scores: Mapping[Target, float], category: str) -> Derived | None:
        totals: dict[str, float] = defaultdict(float)
        for target, score in scores.items():
            if target[0] == "topic":
                totals[target[1]] += score
            elif target[0] == "sub":
                totals[target[2]] += score
        known = self.taxonomy.categories[category].subcategories
        return self._verdict({topic: total for topic, total in totals.items() if topic in known})

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

    def _sentiment(self, scores: Mapping[Target, float]) -> Derived | None:
        totals = {code: scores.get(("feeling", code), 0.0) for code in self.taxonomy.sentiment}
        verdict = self._verdict(totals)
        return verdict or Derived("neutral", self.source, 0.5)


def confidence(best: float, second: float) -> float:
    """How often a verdict with this much evidence, against that much for the next, is right. Two digits."""
    enough = 1 - math.exp(-best / SATURATION)
    clear = (best - second) / best
    return round(0.97 * enough * (0.45 + 0.55 * clear), 2)


def _cues(taxonomy: Taxonomy) -> Iterator[tuple[Target, str, float]]:
    for topic, cues in taxonomy.topics.items():
        yield from ((("topic", topic), word, weight) for word, weight in cues.weights())
    for code, category in taxonomy.categories.items():
        yield from ((("category", code), word, weight) for word, weight in category.cues.weights())
        for topic, sub in category.subcategories.items():
            yield from ((("sub", code, topic), word, weight) for word, weight in sub.cues.weights())
    for code, intent in taxonomy.intents.items():
        yield from ((("intent", code), word, 1.0) for word in intent.cues)
    for feeling, cues in taxonomy.sentiment.items():
        yield from ((("feeling", feeling), word, weight) for word, weight in cues.weights())


def _void(folded: str, start: int, end: int) -> frozenset[str]:
    """What a mention does not count for: nothing the customer denies (不是退款), no judgement they negate (不满意)."""
    before = folded[max(0, start - _BEFORE) : start]
    if not before:
        return frozenset()
    if (_DENIED_ZH.search(before) and not _QUESTION_ZH.match(folded, end)) or _DENIED_EN.search(before):
        return _TOPICAL
    return _JUDGING if _NEGATED.search(before) else frozenset()
