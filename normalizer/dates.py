"""Dates of mails (RFC 5322 3.3), and what programs write instead: JavaScript's zones, AM and PM, Chinese, ISO 8601.

A date without a zone is UTC. What could be read two ways (5/1/2026) is none.
"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from normalizer.moments import utc

MAX_DATE = 200  # characters that are looked at

_DATE = re.compile(
    r"\s*(?:[A-Za-z]{3},?\s+)?(\d{1,2})\s+([A-Za-z]{3})\s+(\d{4})\s+(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([+-])(\d{2})(\d{2})(?:\s*\([^)]*\))?\s*"
)
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: at for at, name in enumerate(_MONTH_NAMES, 1)}
_NUMERALS = "一二三四五六七八九十"
_MONTH = re.compile(r"(\d{1,2}|十?[一二三四五六七八九十])月")
_WEEKDAY = re.compile(r"(?:周|週|星期|礼拜|禮拜)[一二三四五六日天]\s*[,，]?")
_YEAR_FIRST = re.compile(r"(\d{4})\s*[年/.-]\s*(\d{1,2})\s*[月/.-]\s*(\d{1,2})(?:\s*日)?")
_HALF = re.compile(r"(\d{1,2})(:\d{2}(?::\d{2})?)\s*([AaPp])\.?[Mm]\b\.?")
_HALF_BEFORE = re.compile(r"(上午|下午)\s*(\d{1,2}:\d{2}(?::\d{2})?)")
_FRACTION = re.compile(r"(\d:\d{2})[.,]\d{1,9}")
_OFFSET = re.compile(r"(?:GMT|UTC|UT)?\s*([+-])(\d{1,2}):?(\d{2})\b(?!\s*[-:])")
_TIME_BEFORE = re.compile(r"\d:\d{2}.{0,8}$")
_ZONE = re.compile(r"(?<=\d )[A-Z]{3,4}\b")
# Those that mean one thing only. CST is America's (RFC 5322) and China's; BST and IST are several.
_ZONES = {
    "JST": "+0900", "KST": "+0900", "HKT": "+0800", "SGT": "+0800", "MSK": "+0300", "CET": "+0100", "MEZ": "+0100",
    "CEST": "+0200", "MESZ": "+0200", "EET": "+0200", "EEST": "+0300", "AEST": "+1000", "AEDT": "+1100",
}  # fmt: skip


def date(text: str) -> datetime | None:
    """An RFC 5322 date, or what is meant as one, in UTC."""
    if (found := _DATE.fullmatch(text)) and (month := _MONTHS.get(found[2].lower())):
        minutes = int(found[8]) * 60 + int(found[9])
        ahead = timedelta(minutes=-minutes if found[7] == "-" else minutes)
        day, hour, minute, second = (int(found[group] or 0) for group in (1, 4, 5, 6))
        try:  # a leap second is told as the one before
            return utc(datetime(int(found[3]), month, day, hour, minute, min(second, 59), tzinfo=UTC) - ahead)
        except (ValueError, OverflowError):
            return None
    return _other_date(text)


def _other_date(text: str) -> datetime | None:
    plain = _plain(" ".join(text[:MAX_DATE].split()))
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(plain)
            if 100 <= moment.year < 1000:
                moment = moment.replace(year=moment.year + 1900)  # RFC 5322 4.3: three digits count from 1900
            return utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
            continue
    return None


def _plain(text: str) -> str:
    """The same moment in a form that the standard library reads."""
    if not text.isascii():
        text = _WEEKDAY.sub("", text)
        text = _HALF_BEFORE.sub(lambda found: f"{found[2]} {'AM' if found[1] == '上午' else 'PM'}", text)
    text = _YEAR_FIRST.sub(lambda found: f"{found[1]}-{int(found[2]):02}-{int(found[3]):02}", text)
    if not text.isascii():
        text = _MONTH.sub(_month, text)
    text = _FRACTION.sub(r"\1", _HALF.sub(_whole_day, text)).replace("Sept ", "Sep ")
    text = _ZONE.sub(lambda found: _ZONES.get(found[0], found[0]), text)
    offset = _OFFSET.search(text)
    if offset and _TIME_BEFORE.search(text[: offset.start()]):
        return f"{text[: offset.start()]} {offset[1]}{offset[2]:0>2}{offset[3]}"
    return text.strip()


def _month(found: re.Match[str]) -> str:
    said = found[1]
    number = int(said) if said.isascii() else 10 * (len(said) > 1) + _NUMERALS.index(said[-1]) + 1
    return _MONTH_NAMES[number - 1].title() if 1 <= number <= 12 else said


def _whole_day(found: re.Match[str]) -> str:
    hour = int(found[1]) % 12 + 12 * (found[3] in "Pp")
    return f"{hour:02}{found[2]}"
