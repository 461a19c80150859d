"""Bytes to characters, when the label cannot be trusted.

`decode` never raises. A label that fits is believed; otherwise strict UTF-8, then what the bytes look like (chardet,
loaded at the first doubt), then replacement characters. What was wrong comes back as a code for `Message.defects`.
"""

import codecs
import re
import unicodedata
from contextvars import ContextVar
from functools import lru_cache

import webencodings  # type: ignore[import-untyped]

# Senders in China write gb2312 and mean GBK, or its superset. The WHATWG table behind webencodings maps the rest.
_RAISED = {
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "cp936": "gb18030", "ms936": "gb18030",
    "gb18030": "gb18030",
    "gb_2312-80": "gb18030", "gb2312-80": "gb18030", "euc-cn": "gb18030", "chinese": "gb18030", "zh-cn": "gb18030",
    "hz": "hz", "hz-gb-2312": "hz", "utf-7": "utf-7", "unicode-1-1-utf-7": "utf-7", "x-unicode-2-0-utf-7": "utf-7",
    "big5": "big5hkscs", "big5-hkscs": "big5hkscs", "big5hkscs": "big5hkscs", "cn-big5": "big5hkscs",
    "x-x-big5": "big5hkscs",
    "cp950": "cp950", "shift_jis": "cp932", "shift-jis": "cp932", "sjis": "cp932", "x-sjis": "cp932", "cp932": "cp932",
    "windows-31j": "cp932", "ms_kanji": "cp932", "iso-2022-jp": "iso2022_jp_ext", "iso-2022-jp-1": "iso2022_jp_ext",
    "iso-2022-jp-2": "iso2022_jp_2", "iso-2022-jp-3": "iso2022_jp_3", "iso-2022-jp-ms": "iso2022_jp_ext",
    "cp50220": "iso2022_jp_ext", "cp50221": "iso2022_jp_ext", "iso-2022-kr": "iso2022_kr", "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949", "ks_c_5601": "cp949", "cp949": "cp949", "us-ascii": "ascii", "ascii": "ascii",
    "ansi_x3.4-1968": "ascii", "utf8": "utf-8", "utf-8": "utf-8", "unicode-1-1-utf-8": "utf-8",
    "csiso2022kr": "iso2022_kr",
    "utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "utf-32": "utf-32",
}  # fmt: skip
# Labels nobody registered, by what is in them.
_KIN = (
    (re.compile(r"utf[-_]?8"), "utf-8"), (re.compile(r"gb|936|1386"), "gb18030"),
    (re.compile(r"big-?5|950"), "big5hkscs"),
    (re.compile(r"2022-?_?jp"), "iso2022_jp_ext"), (re.compile(r"s(?:hift)?[-_]?jis|932|943"), "cp932"),
    (re.compile(r"us-?ascii"), "ascii"), (re.compile(r"koi8"), "koi8_r"), (re.compile(r"ks_?c|949"), "cp949"),
)  # fmt: skip
_NUMBERED = re.compile(r"(?:^|[^0-9])(8859[-_]\d{1,2}|125[0-8])$")
_STATEFUL = frozenset(
    {"hz", "utf-7", "iso2022_jp_ext", "iso2022_jp_2", "iso2022_jp_3", "iso2022_kr", "utf-16", "utf-16-le"}
)
_SEVEN_BIT = _STATEFUL - {"utf-7", "utf-16", "utf-16-le"}
_ASCII = bytes(range(128))
_UTF_16 = frozenset({"utf-16", "utf-16-le", "utf-16-be"})
_BIG5 = frozenset({"big5hkscs", "cp950"})
_WIDE = _STATEFUL | {"utf-16-be", "utf-32"}  # ASCII bytes need not mean ASCII characters
_SHIFTED = {"utf-7": re.compile(rb"\+[A-Za-z0-9/]{3,}-"), "hz": re.compile(rb"~\{[!-~]{2,}~\}")}  # inside plain ASCII
_MULTIBYTE = frozenset({"gb18030", "big5hkscs", "cp950", "cp932", "euc_jp", "euc-jp", "cp949"})
_GENERIC = frozenset(
    {"ascii", "cp1252", "windows-1252", "iso8859-1", "latin-1"}
)  # what software says when it does not know

MAX_GUESSES = 50  # of one mail
_guesses: ContextVar[list[int] | None] = ContextVar("guesses", default=None)

_SHIFTED_OUT = re.compile(rb"(?:\x1b\$\)A)?\x0e([!-~]*)\x0f?|\x1b\$\)A")
_DOUBLE_BYTES = re.compile(rb"\x1b\$[@B]((?:[!-~]{2})*)")
_ROMAN = re.compile(rb"\x1b\([BJ]")
_LABEL = re.compile(r"[a-z0-9_.:+-]+")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Windows-1252 that somebody took for Latin-1 on its way to UTF-8; the controls themselves are in no text.
_CONTROL_1 = re.compile("[\x80-\x9f]")
_CONTROLS_1 = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0) if code != 0x85}
_HARMLESS = bytes(byte for byte in range(256) if (byte >= 32 and byte != 127) or byte in b"\t\n\x0c\r")
# Four Chinese characters in a row, which no Latin text has.
_CHINESE_RUN = re.compile(rb"(?:[\xb0-\xf7][\xa1-\xfe]){4}")
_COMMON_PAIR = re.compile(rb"[\xb0-\xd7][\xa1-\xfe]")
_CHINESE_WORD = re.compile(rb"(?:[\xb0-\xf7][\xa1-\xfe]){2}")
_HANGUL_PAIR = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")
_DOUBLE = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
# Letters and signs of Western Europe, one or two among ASCII ones; other scripts and languages have others too.
_WESTERN = re.compile(
    rb"(?:[\x00-\x7f]+[\x80\x82\x84\x85\x91-\x97\xa0\xa1\xa3\xa9\xab\xae\xb0\xb4\xb7\xbb\xbf-\xc4\xc7-\xcb\xcd\xd1-\xd6"
    rb"\xd9-\xdc\xdf-\xe4\xe7-\xef\xf1-\xf6\xf9-\xfc]{1,2})+[\x00-\x7f]*"
)
_SURROGATES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_HIGH = re.compile(rb"[\x80-\xff]+")
_SAMPLE = 16_384  # enough bytes to guess from


@lru_cache(maxsize=512)
def codec(label: str) -> str:
    """Python's codec for a charset label as found in the wild; empty if unknown."""
    found = _LABEL.search(label.lower())
    if not found:
        return ""
    name = found[0]
    if raised := _RAISED.get(name):
        return raised
    if known := webencodings.lookup(name):
        name = str(_RAISED.get(known.name, known.codec_info.name))
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):  # some are known to the web only, as what is not to be read
        return _kin(name)
    return _RAISED.get(info.name, info.name) if "escape" not in info.name and _is_charset(info.name) else ""


def _is_charset(name: str) -> bool:
    """Whether any bytes can be read by it: base64, zip and the names of domains are codecs too, or say they are."""
    try:
        return isinstance(b"A\xff".decode(name, "replace"), str)
    except (LookupError, ValueError):
        return False


def _kin(name: str) -> str:
    if numbered := _NUMBERED.search(name):
        return ("iso" if numbered[1].startswith("8859") else "cp") + numbered[1].replace("_", "-")
    return next((codec for sign, codec in _KIN if sign.search(name)), "")


def decode(raw: bytes, label: str = "", hint: str = "") -> tuple[str, str]:
    """The characters, and a defect (`unknown_charset`, `wrong_charset`, `bad_bytes`) or an empty string.

    `hint` is a charset to try where nothing is declared: the body's, for raw bytes in a header.
    """
    name = codec(label) if label else ""
    if raw.isascii() and name not in _WIDE:
        if b"\x1b$" in raw:
            return _escaped(raw), ""
        if hint and (b"+" in raw or b"~" in raw) and (shifted := _SHIFTED.get(codec(hint))) and shifted.search(raw):
            return _strict(raw, codec(hint)) or raw.decode("ascii"), ""
        return raw.decode("ascii"), "unknown_charset" if label and not name else ""
    text, defect = _decode(raw, name, codec(hint) if hint else "")
    return text.removeprefix("\ufeff"), "unknown_charset" if label and not name else defect


def _decode(raw: bytes, name: str, hint: str) -> tuple[str, str]:
    if name in _SEVEN_BIT and b"\x1b" not in raw and b"~{" not in raw and len(raw.translate(None, _ASCII)) > 3:
        name = "ascii"  # which it is as little; a stray byte or two is one
    utf8 = _strict(raw, "utf-8")
    if name in _WIDE and not (name in _UTF_16 and b"\0" not in raw and (utf8 is not None or _looks_gb(raw))):
        return _labelled(raw, name)
    if utf8 is not None:
        if name in _MULTIBYTE and not _mostly_wide(utf8) and (labelled := _strict(raw, name)) is not None:
            return labelled, ""
        return utf8, "wrong_charset" if name and name != "utf-8" else ""
    if name in ("utf-8", "") and _SURROGATES.search(raw) and (halves := _from_surrogates(raw)):
        return halves, "wrong_charset"
    if not name or name == "ascii" or name in _WIDE:
        text = _strict(raw, hint) if hint and hint not in _GENERIC else None
        return (text if text is not None else _guess(raw)), "wrong_charset" if name else ""
    if name in _GENERIC and (_CHINESE_RUN.search(raw) or (_CHINESE_WORD.search(raw) and _looks_gb(raw))):
        return _guess(raw), "wrong_charset"
    if (other := _other_chinese(raw, name)) and (text := _strict(raw, other)) is not None:
        return text, "wrong_charset"
    return _labelled(raw, name)


def _labelled(raw: bytes, name: str) -> tuple[str, str]:
    text = _strict(raw, name)
    if text is None and name == "iso2022_jp_ext":
        text = _windows_japanese(raw)
    if text is not None:
        return text, ""
    text = raw.decode(name, "replace")
    bad = text.count("\ufffd")
    none = name == "utf-8" and bad == sum(c >= "\x80" for c in text[:100_000])  # nothing in it is UTF-8
    if (bad * 10 <= len(text) - raw.count(b"\n") and not none) or name in _STATEFUL:
        return text, "bad_bytes"
    return _guess(raw), "wrong_charset"


def _from_surrogates(raw: bytes) -> str:
    """UTF-8 of UTF-16's halves (CESU-8), as old databases write emoji; empty if it is not that throughout."""
    try:
        return raw.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeError:
        return ""


def _escaped(raw: bytes) -> str:
    """ISO 2022, which says by its own escapes what it is."""
    if b"\x1b$)A" in raw:  # ISO-2022-CN, RFC 1922
        return _SHIFTED_OUT.sub(lambda out: bytes(byte | 0x80 for byte in out[1] or b""), raw).decode(
            "gb18030", "replace"
        )
    names = ("iso2022_kr", "iso2022_jp_ext") if b"\x1b$)C" in raw else ("iso2022_jp_ext", "iso2022_jp_3")
    said = next(filter(None, (_strict(raw, name) for name in names)), None)
    return said or _windows_japanese(raw) or raw.decode("ascii")


def _windows_japanese(raw: bytes) -> str | None:
    """ISO-2022-JP as Windows writes it (CP50221): with circled numbers and rarer names, which the standard has not."""
    if b"\x1b$B" not in raw:
        return None
    return _strict(_ROMAN.sub(b"", _DOUBLE_BYTES.sub(lambda found: _shift_jis(found[1]), raw)), "cp932")


def _shift_jis(pairs: bytes) -> bytes:
    """Two bytes of JIS X 0208 each, as Shift JIS has them."""
    said = bytearray()
    for first, second in zip(pairs[::2], pairs[1::2], strict=False):
        said.append((first + 1) // 2 + (0x70 if first < 0x5F else 0xB0))
        said.append(second + (0x7E if first % 2 == 0 else 0x20 if second > 0x5F else 0x1F))
    return bytes(said)


def _strict(raw: bytes, name: str) -> str | None:
    try:
        return raw.decode(name)
    except (UnicodeError, ValueError):
        return None


def _mostly_wide(text: str) -> bool:
    """Whether what is not ASCII lies above U+0800: bytes of GBK seldom make three-byte UTF-8 by chance."""
    high = [c for c in text[:4096] if c >= "\x80"]
    return sum(c >= "\u0800" for c in high) * 2 > len(high)


def _guess(raw: bytes) -> str:
    """What undeclared bytes that are no UTF-8 most likely say."""
    text = raw.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    if bad * 8 <= sum(c >= "\x80" for c in text[:100_000]) - bad:
        return text  # UTF-8, cut or spoilt in places
    if _looks_korean(raw) and (korean := _strict(raw, "cp949")) is not None:
        return korean
    if _looks_gb(raw) and (chinese := _strict(raw, "gb18030")) is not None:
        return chinese
    if _WESTERN.fullmatch(b" " + raw[:_SAMPLE]):
        return raw.decode("cp1252", "replace")
    return _detected(raw) or raw.decode("cp1252", "replace")


def _looks_gb(raw: bytes) -> bool:
    """Nine in ten pairs of high bytes are among the 3,755 commonest characters, or the punctuation before them."""
    sample = raw[:_SAMPLE]
    runs = _HIGH.findall(sample)
    high = sum(map(len, runs))
    if any(len(run) < 2 for run in runs) or high < 4:
        return False
    pairs = sum(len(_COMMON_PAIR.findall(run)) + run.count(b"\xa3") + run.count(b"\xa1\xa3") for run in runs)
    return bool(pairs * 2 >= high * 0.9)


def _looks_korean(raw: bytes) -> bool:
    """Syllables of KS X 1001 only, in words as Korean has them. A third of Chinese text is beyond these rows."""
    sample = raw[:_SAMPLE]
    runs = _HIGH.findall(sample)
    pairs = sum(len(_HANGUL_PAIR.findall(run)) for run in runs)
    return pairs >= 10 and sum(map(len, runs)) <= 2.2 * pairs and len(runs) * 5 >= pairs


def _other_chinese(raw: bytes, name: str) -> str:
    """The Chinese charset that was meant where the other one is named: both decode without error, to rare characters.

    What is in daily use has second bytes from A1 up in GB 2312, and first bytes up to C6 with a third of the second
    bytes in the ASCII range in Big5.
    """
    if name not in _BIG5 and name != "gb18030":
        return ""
    start = high.start() if (high := _HIGH.search(raw)) else 0
    doubles = b"".join(_DOUBLE.findall(raw[start : start + 512]))
    pairs, first, second = len(doubles) // 2, doubles[::2], doubles[1::2]
    low = pairs - len(second.translate(None, _BIG5_LOW))
    if pairs < 8:
        return ""
    if name in _BIG5:
        return "gb18030" if not low and _looks_gb(raw) else ""
    common = pairs - len(first.translate(None, _BIG5_FIRST))
    return "big5hkscs" if low * 7 >= pairs and common * 8 >= pairs * 7 else ""


_BIG5_LOW, _BIG5_FIRST = bytes(range(0x7F)), bytes(range(0xA1, 0xC7))


def new_mail() -> None:
    """Each mail may guess so often: detection takes milliseconds, and it may have a thousand names in no charset."""
    _guesses.set([MAX_GUESSES])


def _may_guess() -> bool:
    left = _guesses.get()
    if left:
        left[0] -= 1
    return not left or left[0] >= 0


def _detected(raw: bytes) -> str | None:
    if not _may_guess():
        return None
    import chardet  # 100 ms to load, needed by one mail in a thousand

    name = codec(chardet.detect(raw[:_SAMPLE]).get("encoding") or "")
    if not name or name == "ascii":
        return None
    return raw.decode(name, "replace")


def clean(text: str) -> str:
    """NFC, one kind of line end, and nothing PostgreSQL or a terminal would choke on."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    raw = text.encode("utf-8", "surrogatepass")
    if raw.translate(None, _HARMLESS) or (b"\xed" in raw and _SURROGATE.search(text)):
        text = _CONTROLS.sub("", text)
    if len(raw) == len(text):
        return text
    if b"\xc2" in raw and _CONTROL_1.search(text):
        text = text.translate(_CONTROLS_1)
    return unicodedata.normalize("NFC", text)
